/**
 * The entries of the ledger in their registry: listed, read, written, deleted. An entry never changes. One
 * that can't be understood is skipped with a warning and never deleted.
 */
import pMap from 'p-map';

import { TransportError } from '../../http/message.js';
import { digestOf, type Digest } from '../../oci/digest.js';
import { RegistryError } from '../../registry/registry-error.js';
import type { Reader, Deleter, Pusher } from '../../registry/registry.js';
import {
  EMPTY_CONFIG,
  artifactOf,
  keyOf,
  parseEntryTag,
  type Artifact,
  type EntryTag,
} from './artifact.js';
import { EntryError, decodeEntry, encodeEntry, type DecodedEntry, type Entry } from './entry.js';
import { coded } from '../../text/code.js';

/** An entry, and where it lies. */
export interface StoredEntry extends DecodedEntry {
  readonly tag: string;
  /** of its manifest */
  readonly digest: Digest;
  readonly artifact: Artifact;
}

interface StoredEntries {
  readonly entries: readonly StoredEntry[];
  /** why an entry was not understood; safe to print */
  readonly warnings: readonly string[];
}

export interface StoreTools {
  readonly registry: {
    readonly reader: Pick<Reader, 'tags' | 'blob' | 'resolve' | 'manifest'>;
    readonly deleter: Deleter;
    readonly pusher: Pusher;
  };
  /** where the ledger lies */
  readonly ledger: string;
}

/** of a compressed entry */
const MOST_BYTES = 256 * 1024 * 1024;
const CONCURRENCY = 4;
/** Each further reading is needed only because another run got on in the meantime. */
const MOST_READINGS = 20;

/** Every method rejects with RequestFailure. */
export class LedgerStore {
  readonly #registry: StoreTools['registry'];
  readonly #ledger: string;
  /** by `keyOf` */
  #listed = new Map<string, readonly EntryTag[]>();
  #isShared = false;
  #config: Promise<unknown> | undefined;
  /** of the ledger's tags */
  #changes: Promise<void> = Promise.resolve();

  constructor({ registry, ledger }: StoreTools) {
    this.#registry = registry;
    this.#ledger = ledger;
  }

  /** Lists the ledger's tags. To be called before the others. */
  async open(): Promise<void> {
    this.#listed = await this.#list();
  }

  /** whether the ledger has entries of anything */
  get isEmpty(): boolean {
    return this.#listed.size === 0;
  }

  /** whether anything but entries is tagged there */
  get isShared(): boolean {
    return this.#isShared;
  }

  has(repository: string): boolean {
    return this.#tagsOf(keyOf(repository)).length > 0;
  }

  /**
   * All entries of a repository's memory.
   *
   * @param anew lists them again: of an entry that another run has deleted, the blob is still served
   */
  async read(repository: string, anew = false): Promise<StoredEntries> {
    const key = keyOf(repository);
    if (anew) {
      await this.#listAgain(key);
    }
    for (let round = 1; ; round += 1) {
      const tags = this.#tagsOf(key);
      const { entries, warnings, missing } = await this.#readAll(repository, tags);
      if (missing.length === 0) {
        return { entries, warnings };
      }
      // Another run has merged them meanwhile, and its own entry is in the list; or they are damaged.
      const again = await this.#listAgain(key);
      const isUnchanged = again.map(({ tag }) => tag).join() === tags.map(({ tag }) => tag).join();
      if (isUnchanged || round === MOST_READINGS) {
        for (const tag of missing) {
          // A tag without even a manifest is what an interrupted delete has left, and no entry.
          if ((await this.#resolve(tag)) !== undefined) {
            warnings.push(this.#skipped(tag, 'its content is missing'));
          }
        }
        return { entries, warnings };
      }
    }
  }

  /** whether its tag still points at it */
  async stands({ tag, digest }: StoredEntry): Promise<boolean> {
    return (await this.#resolve(tag)) === digest;
  }

  /**
   * Writes an entry and reads it back.
   *
   * @returns its tag; `undefined` when it is not there any more: another run has merged it into one of its own
   * @throws EntryError when it is too large
   */
  async write(entry: Entry): Promise<string | undefined> {
    const { reader, pusher } = this.#registry;
    const bytes = await encodeEntry(entry);
    const artifact = artifactOf(entry.repository, bytes);
    const [blob] = await Promise.all([pusher.pushBlob(this.#ledger, bytes), this.#pushConfig()]);
    await this.#inTurn(() => pusher.pushManifest(this.#ledger, artifact.tag, artifact));
    // Registries have been seen to take a manifest and lose it; what it replaces is deleted after this.
    if ((await this.#resolve(artifact.tag)) !== artifact.digest) {
      return undefined;
    }
    if ((await reader.blob(this.#ledger, blob, MOST_BYTES)) === undefined) {
      return undefined;
    }
    const { tag } = artifact;
    const key = keyOf(entry.repository);
    this.#listed.set(key, [...this.#tagsOf(key), { tag, key, blob, isOurs: true }]);
    return tag;
  }

  async remove({ repository, tag, digest, artifact }: StoredEntry): Promise<void> {
    const { reader, deleter, pusher } = this.#registry;
    await this.#inTurn(async () => {
      const result = await deleter.deleteManifest(this.#ledger, digest, { tags: [tag] });
      // Left behind by a delete that met another: without a manifest, a tag can't be deleted at all.
      if (result === 'gone' && (await reader.tags(this.#ledger)).includes(tag)) {
        await this.#pushConfig();
        await pusher.pushManifest(this.#ledger, tag, artifact);
        await deleter.deleteManifest(this.#ledger, digest, { tags: [tag] });
      }
    });
    const key = keyOf(repository);
    this.#listed.set(
      key,
      this.#tagsOf(key).filter((other) => other.tag !== tag),
    );
  }

  #tagsOf(key: string): readonly EntryTag[] {
    return this.#listed.get(key) ?? [];
  }

  async #list(): Promise<Map<string, EntryTag[]>> {
    const tags = await this.#registry.reader.tags(this.#ledger);
    const entries = tags.map(parseEntryTag).filter((entry) => entry !== undefined);
    this.#isShared = entries.length < tags.length;
    const byKey = new Map<string, EntryTag[]>();
    for (const entry of entries) {
      byKey.set(entry.key, [...(byKey.get(entry.key) ?? []), entry]);
    }
    return byKey;
  }

  async #listAgain(key: string): Promise<readonly EntryTag[]> {
    const tags = (await this.#list()).get(key) ?? [];
    this.#listed.set(key, tags);
    return tags;
  }

  async #readAll(
    repository: string,
    tags: readonly EntryTag[],
  ): Promise<{ entries: StoredEntry[]; warnings: string[]; missing: string[] }> {
    const entries: StoredEntry[] = [];
    const warnings: string[] = [];
    const missing: string[] = [];
    const found = await pMap(tags, (tag) => this.#readEntry(repository, tag), {
      concurrency: CONCURRENCY,
    });
    tags.forEach(({ tag }, n) => {
      const entry = found[n];
      if (entry === undefined) {
        missing.push(tag);
      } else if (entry instanceof EntryError) {
        warnings.push(this.#skipped(tag, entry.message));
      } else {
        entries.push(entry);
      }
    });
    return { entries, warnings, missing };
  }

  async #readEntry(
    repository: string,
    { tag, blob, isOurs }: EntryTag,
  ): Promise<StoredEntry | EntryError | undefined> {
    if (!isOurs) {
      return new EntryError('a later version of this action wrote it');
    }
    try {
      const bytes = await this.#registry.reader.blob(this.#ledger, blob, MOST_BYTES);
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

  async #resolve(tag: string): Promise<Digest | undefined> {
    const { reader } = this.#registry;
    const digest = await reader.resolve(this.#ledger, tag);
    if (digest !== undefined) {
      return digest;
    }
    const answer = await reader.manifest(this.#ledger, tag);
    return answer.kind === 'found' ? answer.manifest.digest : undefined;
  }

  /**
   * One after the other: a delete of Distribution's reads all tags of the repository, and if one of them comes
   * or goes meanwhile, it fails with 500, has deleted the manifest, and leaves its tag (seen on 2.8.2).
   */
  async #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changes.then(change);
    this.#changes = turn.catch(() => undefined);
    return turn;
  }

  #skipped(tag: string, why: string): string {
    return coded(`${this.#ledger}:${tag} is skipped: ${why}`, 'ledger-entry-skipped');
  }

  async #findConfig(): Promise<void> {
    const { reader, pusher } = this.#registry;
    // Distribution rewrites the link of a blob that is uploaded again, under the eyes of other runs.
    const there = await reader.blob(this.#ledger, digestOf(EMPTY_CONFIG), MOST_BYTES);
    if (there === undefined) {
      await pusher.pushBlob(this.#ledger, EMPTY_CONFIG);
    }
  }

  async #pushConfig(): Promise<void> {
    this.#config ??= this.#findConfig();
    try {
      await this.#config;
    } catch (error) {
      this.#config = undefined;
      throw error;
    }
  }
}
