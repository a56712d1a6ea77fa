/**
 * Puts deleted manifests back from their saved bytes: children before parents, tags last. Never moves a
 * tag that names something else, and never restores an index without its entries. For each manifest that can't be
 * restored, it says why.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { IndexManifest, Manifest } from '../oci/manifest.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer, Pusher, Reader } from '../registry/registry.js';
import { entriesOf } from '../plan/naming.js';
import { childrenFirst, readLost, requiredBlobsOf, type Lost, type Readable } from './lost.js';

export interface RestoreOptions {
  readonly reader: Reader;
  /** absent: only look what could be put back */
  readonly pusher?: Pick<Pusher, 'pushManifest'>;
  readonly concurrency: number;
  /** what was missing before: an index that holds it may come back without it */
  readonly absent?: ReadonlySet<Digest>;
}

/** A push of a tag is sent once, and after each failure the tag is looked at again. */
const MOST_PUSHES = 3;

/** All texts are safe to print; each list is sorted by digest or tag. */
export interface Restored {
  readonly repository: string;
  /** pushed, and read back with the same bytes; of a look: could be pushed */
  readonly restored: readonly Digest[];
  /** was there all the time */
  readonly standing: readonly Digest[];
  readonly failed: readonly { readonly digest: Digest; readonly why: string }[];
  /** point at their manifest again: not those that did all the time */
  readonly tags: readonly string[];
  readonly failedTags: readonly { readonly tag: string; readonly why: string }[];
}

type Result =
  { readonly kind: 'restored' | 'standing' } | { readonly kind: 'failed'; readonly why: string };

const STANDING: Result = { kind: 'standing' };
const RESTORED: Result = { kind: 'restored' };

/**
 * @throws nothing of registry and network: what can't be put back is in the answer
 */
export async function restoreRepository(
  repository: string,
  lost: readonly Lost[],
  options: RestoreOptions,
): Promise<Restored> {
  return new Restoration(repository, options).run(lost);
}

class Restoration {
  readonly #repository: string;
  readonly #options: RestoreOptions;
  readonly #manifests = new Map<Digest, Result>();
  readonly #tags = new Map<string, Result>();

  constructor(repository: string, options: RestoreOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  async run(lost: readonly Lost[]): Promise<Restored> {
    const readable = new Map<Digest, Readable>();
    const unreadable = new Map<Lost, string>();
    for (const one of lost) {
      const saved = readLost(one);
      if (typeof saved === 'string') {
        unreadable.set(one, saved);
      } else {
        readable.set(one.digest, saved);
      }
    }
    const all = [...readable.values()];
    await this.#each([...unreadable], ([one, why]) => this.#findUnreadable(one, why));
    for (const wave of childrenFirst(all.map(({ manifest }) => manifest))) {
      await this.#each(
        wave.map((digest) => readable.get(digest)).filter((each) => each !== undefined),
        async (each) => {
          const result = await attempt(() => this.#restoreManifest(each));
          this.#manifests.set(each.manifest.digest, result);
        },
      );
    }
    await this.#each(tagsOf(all, 'tags'), async ([tag, each]) => {
      this.#tags.set(tag, await attempt(() => this.#restoreTag(tag, each)));
    });
    // People have taken those of a manifest away that was there all the time.
    const restored = all.filter(({ manifest }) => this.#is(manifest.digest, 'restored'));
    await this.#each(tagsOf(restored, 'formerTags'), async ([tag, each]) => {
      this.#tags.set(tag, await attempt(() => this.#restoreFormerTag(tag, each)));
    });
    return {
      repository: this.#repository,
      restored: keysOf(this.#manifests, 'restored'),
      standing: keysOf(this.#manifests, 'standing'),
      failed: failuresOf(this.#manifests).map(([digest, why]) => ({ digest, why })),
      tags: keysOf(this.#tags, 'restored'),
      failedTags: failuresOf(this.#tags).map(([tag, why]) => ({ tag, why })),
    };
  }

  async #each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
    await pMap(all, work, { concurrency: this.#options.concurrency });
  }

  /** Those of the digests of which this is not so. */
  async #without(
    digests: readonly Digest[],
    isSo: (digest: Digest) => Promise<boolean>,
  ): Promise<Digest[]> {
    const { concurrency } = this.#options;
    const found = await pMap(digests, async (each) => ((await isSo(each)) ? [] : [each]), {
      concurrency,
    });
    return found.flat();
  }

  #is(digest: Digest, kind: Result['kind']): boolean {
    return this.#manifests.get(digest)?.kind === kind;
  }

  #readTag(tag: string): Promise<ManifestAnswer> {
    return this.#options.reader.manifest(this.#repository, tag);
  }

  /** HEAD; and GET where its answer settles nothing. */
  async #isThere(digest: Digest): Promise<boolean> {
    const { reader } = this.#options;
    return (
      (await reader.resolve(this.#repository, digest)) === digest ||
      (await reader.manifest(this.#repository, digest)).kind === 'found'
    );
  }

  /** Without its bytes nothing can be put back; but what is there need not be. */
  async #findUnreadable({ digest, tags }: Lost, why: string): Promise<void> {
    const lacking: Result = { kind: 'failed', why };
    this.#manifests.set(
      digest,
      await attempt(async () => ((await this.#isThere(digest)) ? STANDING : lacking)),
    );
    for (const tag of tags) {
      const isSet = async () =>
        (await this.#options.reader.resolve(this.#repository, tag)) === digest;
      this.#tags.set(
        tag,
        await attempt(async () => ((await isSet()) ? STANDING : withoutIts(digest))),
      );
    }
  }

  async #restoreManifest({ manifest, bytes }: Readable): Promise<Result> {
    const { digest, mediaType } = manifest;
    const { reader, pusher } = this.#options;
    if (await this.#isThere(digest)) {
      return STANDING;
    }
    const missing =
      (manifest.kind === 'index'
        ? (this.#missingEntry(manifest) ?? (await this.#missingChild(manifest)))
        : undefined) ?? (await this.#missingBlobs(manifest));
    if (missing !== undefined) {
      return { kind: 'failed', why: missing };
    }
    if (pusher === undefined) {
      return RESTORED;
    }
    await pusher.pushManifest(this.#repository, digest, { mediaType, bytes });
    // Asked for by its digest, so that what comes has been checked against it.
    return (await reader.manifest(this.#repository, digest)).kind === 'found'
      ? RESTORED
      : { kind: 'failed', why: 'the registry took it, and says that it does not have it' };
  }

  #missingEntry(index: IndexManifest): string | undefined {
    const entry = entriesOf(index).find((digest) => this.#is(digest, 'failed'));
    return entry && `${entry}, which it holds, could not be put back`;
  }

  /** Some registries take an index without its children, which nobody could pull. */
  async #missingChild({ children }: IndexManifest): Promise<string | undefined> {
    const [first] = await this.#without(
      children
        .map(({ digest }) => digest)
        .filter((digest) => this.#options.absent?.has(digest) !== true)
        .filter((digest) => !this.#manifests.has(digest)),
      (digest) => this.#isThere(digest),
    );
    return (
      first && `${first}, which it holds, is neither there nor in the backup: push that image again`
    );
  }

  async #missingBlobs(manifest: Manifest): Promise<string | undefined> {
    const missing = await this.#without(requiredBlobsOf(manifest), (blob) =>
      this.#hasBlob(manifest, blob),
    );
    return missing.length === 0
      ? undefined
      : `the registry's garbage collector has freed what it consists of (${missing.join(', ')}): build or push it again`;
  }

  /** An index may list layers, and manifests of types that are none of ours. */
  async #hasBlob(manifest: Manifest, digest: Digest): Promise<boolean> {
    return (
      (await this.#options.reader.hasBlob(this.#repository, digest)) ||
      // What has a result has been put back before it, or would have been.
      (manifest.kind === 'index' && (this.#manifests.has(digest) || (await this.#isThere(digest))))
    );
  }

  async #restoreTag(tag: string, { manifest, bytes }: Readable): Promise<Result> {
    const { digest, mediaType } = manifest;
    if (this.#is(digest, 'failed')) {
      return withoutIts(digest);
    }
    const { pusher } = this.#options;
    const before = this.#setTag(digest, await this.#readTag(tag));
    if (before !== undefined || pusher === undefined) {
      return before ?? RESTORED;
    }
    for (let push = 1; ; push += 1) {
      // Right before the push, each time: it would move a tag that somebody has set since.
      const meanwhile = this.#setTag(digest, await this.#readTag(tag));
      if (meanwhile !== undefined) {
        return meanwhile;
      }
      try {
        const isLate = onceOnly();
        await pusher.pushManifest(this.#repository, tag, { mediaType, bytes }, { isLate });
        break;
      } catch (error) {
        const isFinal = error instanceof RegistryError && error.kind !== 'unexpected';
        if (isFinal || push === MOST_PUSHES || !(error instanceof RequestFailure)) {
          throw error;
        }
      }
    }
    return pushedTag(digest, await this.#readTag(tag));
  }

  /** @returns what becomes of a tag that points at something, and so is not pushed */
  #setTag(digest: Digest, now: ManifestAnswer): Result | undefined {
    if (now.kind === 'absent') {
      return undefined;
    }
    if (now.manifest.digest === digest) {
      // A tag may have been left behind by the delete of its manifest.
      return this.#is(digest, 'restored') ? RESTORED : STANDING;
    }
    return { kind: 'failed', why: `it names ${now.manifest.digest} by now, and was left there` };
  }

  /** Nobody misses one that has moved on. */
  async #restoreFormerTag(tag: string, each: Readable): Promise<Result> {
    const { kind } = await this.#readTag(tag);
    return kind === 'absent' ? this.#restoreTag(tag, each) : STANDING;
  }
}

function tagsOf(
  manifests: readonly Readable[],
  which: 'tags' | 'formerTags',
): (readonly [tag: string, of: Readable])[] {
  return manifests.flatMap((each) => each[which].map((tag) => [tag, each] as const));
}

/** What became of a tag after its push. */
function pushedTag(digest: Digest, after: ManifestAnswer): Result {
  if (after.kind === 'absent') {
    const why = `the registry took it, and does not say that it names ${digest}`;
    return { kind: 'failed', why };
  }
  const now = after.manifest.digest;
  return now === digest
    ? RESTORED
    : {
        kind: 'failed',
        why: `somebody set it to ${now} while it was put back, and it was left there`,
      };
}

/** Says from the second question on that it is late: what would be sent again needs another look first. */
function onceOnly(): () => boolean {
  let isSent = false;
  return () => {
    const wasSent = isSent;
    isSent = true;
    return wasSent;
  };
}

/** What becomes of a tag whose manifest can't come back. */
function withoutIts(digest: Digest): Result {
  return { kind: 'failed', why: `${digest} could not be put back` };
}

async function attempt(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RequestFailure) {
      return { kind: 'failed', why: error.message };
    }
    throw error;
  }
}

function keysOf<K extends string>(results: ReadonlyMap<K, Result>, kind: Result['kind']): K[] {
  return [...results].flatMap(([key, result]) => (result.kind === kind ? [key] : [])).sort();
}

function failuresOf<K extends string>(results: ReadonlyMap<K, Result>): [K, string][] {
  return [...results]
    .flatMap(([key, result]): [K, string][] =>
      result.kind === 'failed' ? [[key, result.why]] : [],
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
