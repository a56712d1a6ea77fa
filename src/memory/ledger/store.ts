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
import { decodeEntry, encodeEntry, type DecodedEntry, type Entry } from './entry.js';
import { EntryError } from './unpack.js';
import { coded } from '../../text/code.js';

/** An entry, and the manifest under whose tag it lies. */
export type StoredEntry = DecodedEntry & Artifact;

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

/** Every method rejects with RequestFailure, unless it says otherwise. */
export class LedgerStore {
  readonly #tools: StoreTools;
  /** by `keyOf` */
  #listed = new Map<string, readonly EntryTag[]>();
  #isShared = false;
  #config: Promise<void> | undefined;
  /** of the ledger's tags */
  #changes: Promise<void> = Promise.resolve();

  constructor(tools: StoreTools) {
    this.#tools = tools;
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
   * @param isOutdated lists them again first: the blob of an entry that another run has deleted is still served
   * @returns the warnings say why an entry was skipped, and are safe to print
   */
  async read(
    repository: string,
    isOutdated = false,
  ): Promise<{ entries: StoredEntry[]; warnings: string[] }> {
    const key = keyOf(repository);
    if (isOutdated) {
      await this.#listAgain(key);
    }
    for (let round = 1; ; round += 1) {
      const tags = this.#tagsOf(key);
      const found = await pMap(tags, (tag) => this.#readEntry(repository, tag), {
        concurrency: CONCURRENCY,
      });
      const missing = tags.filter((_, n) => found[n] === undefined);
      // Another run has merged them meanwhile, and its own entry is in the list; or they are damaged.
      const again = missing.length === 0 ? tags : await this.#listAgain(key);
      const isUnchanged = again.map(({ tag }) => tag).join() === tags.map(({ tag }) => tag).join();
      if (isUnchanged || round === MOST_READINGS) {
        const entries = found.filter((each) => typeof each === 'object');
        const warnings = found.filter((each) => typeof each === 'string');
        for (const { tag } of missing) {
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
    const { registry, ledger } = this.#tools;
    const { reader, pusher } = registry;
    const bytes = await encodeEntry(entry);
    const artifact = artifactOf(entry.repository, bytes);
    const { tag, digest } = artifact;
    const [blob] = await Promise.all([pusher.pushBlob(ledger, bytes), this.#pushConfig()]);
    await this.#inTurn(() => pusher.pushManifest(ledger, tag, artifact));
    // Registries have been seen to take a manifest and lose it; what it replaces is deleted after this.
    const isThere =
      (await this.#resolve(tag)) === digest &&
      (await reader.blob(ledger, blob, MOST_BYTES)) !== undefined;
    if (!isThere) {
      return undefined;
    }
    const key = keyOf(entry.repository);
    this.#listed.set(key, [...this.#tagsOf(key), { tag, key, blob, isOurs: true }]);
    return tag;
  }

  async remove(entry: StoredEntry): Promise<void> {
    const { registry, ledger } = this.#tools;
    const { reader, deleter, pusher } = registry;
    const { repository, tag, digest } = entry;
    await this.#inTurn(async () => {
      const result = await deleter.deleteManifest(ledger, digest, { tags: [tag] });
      // Left behind by a delete that met another: without a manifest, a tag can't be deleted at all.
      if (result === 'gone' && (await reader.tags(ledger)).includes(tag)) {
        await this.#pushConfig();
        await pusher.pushManifest(ledger, tag, entry);
        await deleter.deleteManifest(ledger, digest, { tags: [tag] });
      }
    });
    const key = keyOf(repository);
    const others = this.#tagsOf(key).filter((other) => other.tag !== tag);
    this.#listed.set(key, others);
  }

  #tagsOf(key: string): readonly EntryTag[] {
    return this.#listed.get(key) ?? [];
  }

  async #list(): Promise<Map<string, EntryTag[]>> {
    const { registry, ledger } = this.#tools;
    const tags = await registry.reader.tags(ledger);
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

  /** @returns a warning where it can't be understood; `undefined` where it is missing */
  async #readEntry(
    repository: string,
    { tag, blob, isOurs }: EntryTag,
  ): Promise<StoredEntry | string | undefined> {
    if (!isOurs) {
      return this.#skipped(tag, 'a later version of this action wrote it');
    }
    try {
      const { registry, ledger } = this.#tools;
      const bytes = await registry.reader.blob(ledger, blob, MOST_BYTES);
      return (
        bytes && { ...(await decodeEntry(bytes, repository)), ...artifactOf(repository, bytes) }
      );
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'wrong-bytes') {
        return this.#skipped(tag, 'its bytes are damaged');
      }
      if (error instanceof TransportError && error.kind === 'too-large') {
        return this.#skipped(tag, 'it is larger than an entry can be');
      }
      if (error instanceof EntryError) {
        return this.#skipped(tag, error.message);
      }
      throw error;
    }
  }

  async #resolve(tag: string): Promise<Digest | undefined> {
    const { registry, ledger } = this.#tools;
    const digest = await registry.reader.resolve(ledger, tag);
    if (digest !== undefined) {
      return digest;
    }
    const answer = await registry.reader.manifest(ledger, tag);
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
    return coded(`${this.#tools.ledger}:${tag} is skipped: ${why}`, 'ledger-entry-skipped');
  }

  /** Once, and again after a failure. */
  #pushConfig(): Promise<void> {
    return (this.#config ??= this.#findConfig().catch((error: unknown) => {
      this.#config = undefined;
      throw error;
    }));
  }

  async #findConfig(): Promise<void> {
    const { registry, ledger } = this.#tools;
    // Distribution rewrites the link of a blob that is uploaded again, under the eyes of other runs.
    const there = await registry.reader.blob(ledger, digestOf(EMPTY_CONFIG), MOST_BYTES);
    if (there === undefined) {
      await registry.pusher.pushBlob(ledger, EMPTY_CONFIG);
    }
  }
}
