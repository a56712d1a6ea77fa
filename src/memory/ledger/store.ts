/**
 * The entries of the ledger in their registry: listed, read, written, deleted. An entry never changes. One
 * that can't be understood is skipped with a warning and never deleted.
 */
import pMap from 'p-map';

import { TransportError } from '../../http/message.js';
import { digestOf, type Digest } from '../../oci/digest.js';
import { RegistryError } from '../../registry/distribution/answer.js';
import type { RegistryPusher } from '../../registry/distribution/pusher.js';
import type { RegistryReader } from '../../registry/distribution/reader.js';
import type { RegistryWriter } from '../../registry/distribution/writer.js';
import {
  EMPTY_CONFIG,
  artifactOf,
  keyOf,
  parseEntryTag,
  type Artifact,
  type EntryTag,
} from './artifact.js';
import { EntryError, decodeEntry, encodeEntry, type DecodedEntry, type Entry } from './entry.js';

/** An entry, and where it lies. */
export interface StoredEntry extends DecodedEntry {
  readonly tag: string;
  /** of its manifest */
  readonly digest: Digest;
  readonly artifact: Artifact;
}

export interface Reading {
  readonly entries: readonly StoredEntry[];
  /** why an entry was not understood; safe to print */
  readonly warnings: readonly string[];
}

export interface StoreTools {
  readonly reader: Pick<RegistryReader, 'tags' | 'blob' | 'resolve' | 'manifest'>;
  readonly writer: RegistryWriter;
  readonly pusher: RegistryPusher;
  /** where the ledger lies */
  readonly ledger: string;
}

/** Every function rejects with RequestFailure. */
export interface LedgerStore {
  /** Lists the ledger's tags. To be called before the others. */
  open(): Promise<void>;
  /** whether the ledger has entries of anything */
  readonly isEmpty: boolean;
  /** whether anything but entries is tagged there */
  readonly isShared: boolean;
  has(repository: string): boolean;
  /**
   * All entries of a repository's memory.
   *
   * @param anew lists them again: of an entry that another run has deleted, the blob is still served
   */
  read(repository: string, anew?: boolean): Promise<Reading>;
  /** whether its tag still points at it */
  stands(entry: StoredEntry): Promise<boolean>;
  /**
   * Writes an entry and reads it back.
   *
   * @returns its tag; `undefined` when it is not there any more: another run has merged it into one of its own
   * @throws EntryError when it is too large
   */
  write(entry: Entry): Promise<string | undefined>;
  remove(entry: StoredEntry): Promise<void>;
}

/** Of an entry compressed. */
const MOST_BYTES = 256 * 1024 * 1024;
const CONCURRENCY = 4;
/** Each further reading is needed only because another run got on in the meantime. */
const MOST_READINGS = 20;

export function createStore({ reader, writer, pusher, ledger }: StoreTools): LedgerStore {
  /** by `keyOf` */
  let listed = new Map<string, readonly EntryTag[]>();
  let isShared = false;
  let config: Promise<unknown> | undefined;
  /** of the ledger's tags */
  let changes: Promise<void> = Promise.resolve();

  async function list(): Promise<Map<string, EntryTag[]>> {
    const tags = await reader.tags(ledger);
    const entries = tags.map(parseEntryTag).filter((entry) => entry !== undefined);
    isShared = entries.length < tags.length;
    const byKey = new Map<string, EntryTag[]>();
    for (const entry of entries) {
      byKey.set(entry.key, [...(byKey.get(entry.key) ?? []), entry]);
    }
    return byKey;
  }

  async function readEntry(
    repository: string,
    { tag, blob, isOurs }: EntryTag,
  ): Promise<StoredEntry | EntryError | undefined> {
    if (!isOurs) {
      return new EntryError('a later version of this action wrote it');
    }
    try {
      const bytes = await reader.blob(ledger, blob, MOST_BYTES);
      if (bytes === undefined) {
        return undefined;
      }
      const artifact = artifactOf(repository, bytes);
      const { digest } = artifact;
      return { ...(await decodeEntry(bytes, repository)), tag, digest, artifact };
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'wrong-bytes') {
        return new EntryError('its bytes are damaged');
      }
      if (error instanceof TransportError && error.kind === 'too-large') {
        return new EntryError('it is larger than an entry can be');
      }
      if (error instanceof EntryError) {
        return error;
      }
      throw error;
    }
  }

  async function resolve(tag: string): Promise<Digest | undefined> {
    const digest = await reader.resolve(ledger, tag);
    if (digest !== undefined) {
      return digest;
    }
    const answer = await reader.manifest(ledger, tag);
    return answer.kind === 'found' ? answer.manifest.digest : undefined;
  }

  /**
   * One after the other: a delete of Distribution's reads all tags of the repository, and if one of them comes
   * or goes meanwhile, it fails with 500, has deleted the manifest, and leaves its tag (seen on 2.8.2).
   */
  async function inTurn(change: () => Promise<void>): Promise<void> {
    const turn = changes.then(change);
    changes = turn.catch(() => undefined);
    return turn;
  }

  const skipped = (tag: string, why: string) => `${ledger}:${tag} is skipped: ${why}`;

  async function findConfig(): Promise<void> {
    // Distribution rewrites the link of a blob that is uploaded again, under the eyes of other runs.
    const there = await reader.blob(ledger, digestOf(EMPTY_CONFIG), MOST_BYTES);
    if (there === undefined) {
      await pusher.pushBlob(ledger, EMPTY_CONFIG);
    }
  }

  async function pushConfig(): Promise<void> {
    config ??= findConfig();
    try {
      await config;
    } catch (error) {
      config = undefined;
      throw error;
    }
  }

  return {
    async open() {
      listed = await list();
    },
    get isEmpty() {
      return listed.size === 0;
    },
    get isShared() {
      return isShared;
    },
    has: (repository) => (listed.get(keyOf(repository)) ?? []).length > 0,

    async read(repository, anew = false) {
      const key = keyOf(repository);
      if (anew) {
        listed.set(key, (await list()).get(key) ?? []);
      }
      for (let round = 1; ; round += 1) {
        const tags = listed.get(key) ?? [];
        const found = await pMap(
          tags,
          async (tag) => ({ tag: tag.tag, entry: await readEntry(repository, tag) }),
          { concurrency: CONCURRENCY },
        );
        const entries: StoredEntry[] = [];
        const warnings: string[] = [];
        const missing: string[] = [];
        for (const { tag, entry } of found) {
          if (entry === undefined) {
            missing.push(tag);
          } else if (entry instanceof EntryError) {
            warnings.push(skipped(tag, entry.message));
          } else {
            entries.push(entry);
          }
        }
        if (missing.length === 0) {
          return { entries, warnings };
        }
        // Another run has merged them meanwhile, and its own entry is in the list by now; or they are damaged.
        const again = (await list()).get(key) ?? [];
        listed.set(key, again);
        const isUnchanged =
          again.map(({ tag }) => tag).join() === tags.map(({ tag }) => tag).join();
        if (isUnchanged || round === MOST_READINGS) {
          for (const tag of missing) {
            // A tag without even a manifest is what an interrupted delete has left, and no entry.
            if ((await resolve(tag)) !== undefined) {
              warnings.push(skipped(tag, 'its content is missing'));
            }
          }
          return { entries, warnings };
        }
      }
    },

    stands: async ({ tag, digest }) => (await resolve(tag)) === digest,

    async write(entry) {
      const bytes = await encodeEntry(entry);
      const artifact = artifactOf(entry.repository, bytes);
      const [blob] = await Promise.all([pusher.pushBlob(ledger, bytes), pushConfig()]);
      await inTurn(() => pusher.pushManifest(ledger, artifact.tag, artifact));
      // Registries have been seen to take a manifest and lose it; what it replaces is deleted after this.
      if ((await resolve(artifact.tag)) !== artifact.digest) {
        return undefined;
      }
      if ((await reader.blob(ledger, blob, MOST_BYTES)) === undefined) {
        return undefined;
      }
      const { tag } = artifact;
      const key = keyOf(entry.repository);
      listed.set(key, [...(listed.get(key) ?? []), { tag, key, blob, isOurs: true }]);
      return tag;
    },

    async remove({ repository, tag, digest, artifact }) {
      const key = keyOf(repository);
      await inTurn(async () => {
        const result = await writer.deleteManifest(ledger, digest);
        // Left behind by a delete that met another: without a manifest, a tag can't be deleted at all.
        if (result === 'gone' && (await reader.tags(ledger)).includes(tag)) {
          await pushConfig();
          await pusher.pushManifest(ledger, tag, artifact);
          await writer.deleteManifest(ledger, digest);
        }
      });
      listed.set(
        key,
        (listed.get(key) ?? []).filter((other) => other.tag !== tag),
      );
    },
  };
}
