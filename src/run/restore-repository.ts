/**
 * Puts deleted manifests back from their saved bytes: children before parents, tags last. Never moves a
 * tag that names something else, and never restores an index without its entries. For each manifest that can't be
 * restored, it says why.
 */
import pMap from 'p-map';

import { failureMessage, RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { compare } from '../plan/graph.js';
import { entriesOf } from '../plan/naming.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer, Pusher, Reader } from '../registry/registry.js';
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

type Success = 'restored' | 'standing';
type Result = Success | { readonly why: string };

/**
 * @throws nothing of registry and network: what can't be put back is in the answer
 */
export async function restoreRepository(
  repository: string,
  lost: readonly Lost[],
  options: RestoreOptions,
): Promise<Restored> {
  return new Restoration({ ...options, repository }).run(lost);
}

/** What several calls did in one repository. */
export function joinRestored(
  repository: string,
  parts: readonly Omit<Restored, 'repository'>[],
): Restored {
  return {
    repository,
    restored: parts.flatMap(({ restored }) => restored).sort(),
    standing: parts.flatMap(({ standing }) => standing).sort(),
    failed: parts.flatMap(({ failed }) => failed).sort((a, b) => compare(a.digest, b.digest)),
    tags: parts.flatMap(({ tags }) => tags).sort(),
    failedTags: parts.flatMap(({ failedTags }) => failedTags).sort((a, b) => compare(a.tag, b.tag)),
  };
}

class Restoration {
  readonly #options: RestoreOptions & { readonly repository: string };
  readonly #manifests = new Map<Digest, Result>();
  readonly #tags = new Map<string, Result>();

  constructor(options: RestoreOptions & { readonly repository: string }) {
    this.#options = options;
  }

  async run(lost: readonly Lost[]): Promise<Restored> {
    const all: Readable[] = [];
    await this.#each(lost, async (one) => {
      const saved = readLost(one);
      if (typeof saved === 'string') {
        await this.#findUnreadable(one, saved);
      } else {
        all.push(saved);
      }
    });
    for (const wave of childrenFirst(all)) {
      await this.#each(wave, (each) =>
        note(this.#manifests, each.digest, () => this.#restoreManifest(each)),
      );
    }
    await this.#each(tagsOf(all, 'tags'), ([tag, each]) =>
      note(this.#tags, tag, () => this.#restoreTag(tag, each)),
    );
    // People have taken those of a manifest away that was there all the time.
    const restored = all.filter(({ digest }) => this.#manifests.get(digest) === 'restored');
    await this.#each(tagsOf(restored, 'formerTags'), ([tag, each]) =>
      note(this.#tags, tag, () => this.#restoreFormerTag(tag, each)),
    );
    return joinRestored(this.#options.repository, [
      {
        restored: keysOf(this.#manifests, 'restored'),
        standing: keysOf(this.#manifests, 'standing'),
        failed: failuresOf(this.#manifests).map(([digest, why]) => ({ digest, why })),
        tags: keysOf(this.#tags, 'restored'),
        failedTags: failuresOf(this.#tags).map(([tag, why]) => ({ tag, why })),
      },
    ]);
  }

  async #each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
    await pMap(all, work, { concurrency: this.#options.concurrency });
  }

  /** Those of the digests of which this is not so. */
  async #without(
    digests: readonly Digest[],
    isSo: (digest: Digest) => Promise<boolean>,
  ): Promise<Digest[]> {
    const found: Digest[] = [];
    await this.#each(digests, async (digest) => {
      if (!(await isSo(digest))) {
        found.push(digest);
      }
    });
    return found.sort(compare);
  }

  #hasFailed(digest: Digest): boolean {
    return typeof this.#manifests.get(digest) === 'object';
  }

  #read(reference: string): Promise<ManifestAnswer> {
    return this.#options.reader.manifest(this.#options.repository, reference);
  }

  async #resolves(reference: string, digest: Digest): Promise<boolean> {
    const { reader, repository } = this.#options;
    return (await reader.resolve(repository, reference)) === digest;
  }

  /** HEAD; and GET where its answer settles nothing. */
  async #isThere(digest: Digest): Promise<boolean> {
    return (await this.#resolves(digest, digest)) || (await this.#read(digest)).kind === 'found';
  }

  /** Without its bytes nothing can be put back; but what is there need not be. */
  async #findUnreadable({ digest, tags }: Lost, why: string): Promise<void> {
    await note(this.#manifests, digest, async () =>
      (await this.#isThere(digest)) ? 'standing' : { why },
    );
    for (const tag of tags) {
      await note(this.#tags, tag, async () =>
        (await this.#resolves(tag, digest)) ? 'standing' : withoutIts(digest),
      );
    }
  }

  async #restoreManifest({ digest, mediaType, manifest, bytes }: Readable): Promise<Result> {
    const { pusher, repository } = this.#options;
    if (await this.#isThere(digest)) {
      return 'standing';
    }
    const why = (await this.#missingEntry(manifest)) ?? (await this.#missingBlobs(manifest));
    if (why !== undefined || pusher === undefined) {
      return why === undefined ? 'restored' : { why };
    }
    await pusher.pushManifest(repository, digest, { mediaType, bytes });
    // Asked for by its digest, so that what comes has been checked against it.
    return (await this.#read(digest)).kind === 'found'
      ? 'restored'
      : { why: 'the registry took it, and says that it does not have it' };
  }

  /** Some registries take an index without its children, which nobody could pull. */
  async #missingEntry(index: Manifest): Promise<string | undefined> {
    const entries = index.kind === 'index' ? entriesOf(index) : [];
    const failed = entries.find((digest) => this.#hasFailed(digest));
    if (failed !== undefined) {
      return `${failed}, which it holds, could not be put back`;
    }
    const children = index.kind === 'index' ? index.children : [];
    const unknown = children
      .map(({ digest }) => digest)
      .filter((digest) => this.#options.absent?.has(digest) !== true)
      .filter((digest) => !this.#manifests.has(digest));
    const [child] = await this.#without(unknown, (digest) => this.#isThere(digest));
    return (
      child && `${child}, which it holds, is neither there nor in the backup: push that image again`
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
    const { reader, repository } = this.#options;
    return (
      (await reader.hasBlob(repository, digest)) ||
      // What has a result has been put back before it, or would have been.
      (manifest.kind === 'index' && (this.#manifests.has(digest) || (await this.#isThere(digest))))
    );
  }

  async #restoreTag(tag: string, { digest, mediaType, bytes }: Readable): Promise<Result> {
    if (this.#hasFailed(digest)) {
      return withoutIts(digest);
    }
    const { pusher, repository } = this.#options;
    const before = this.#setTag(digest, await this.#read(tag));
    if (before !== undefined || pusher === undefined) {
      return before ?? 'restored';
    }
    for (let push = 1; ; push += 1) {
      // Right before the push, each time: it would move a tag that somebody has set since.
      const meanwhile = this.#setTag(digest, await this.#read(tag));
      if (meanwhile !== undefined) {
        return meanwhile;
      }
      try {
        // What would be sent again needs another look first.
        let sent = 0;
        const isLate = () => (sent += 1) > 1;
        await pusher.pushManifest(repository, tag, { mediaType, bytes }, { isLate });
        break;
      } catch (error) {
        const isFinal = error instanceof RegistryError && error.kind !== 'unexpected';
        if (isFinal || push === MOST_PUSHES || !(error instanceof RequestFailure)) {
          throw error;
        }
      }
    }
    return pushedTag(digest, await this.#read(tag));
  }

  /** @returns what becomes of a tag that points at something, and so is not pushed */
  #setTag(digest: Digest, now: ManifestAnswer): Result | undefined {
    if (now.kind === 'absent') {
      return undefined;
    }
    if (now.manifest.digest === digest) {
      // A tag may have been left behind by the delete of its manifest.
      return this.#manifests.get(digest) === 'restored' ? 'restored' : 'standing';
    }
    return { why: `it names ${now.manifest.digest} by now, and was left there` };
  }

  /** Nobody misses one that has moved on. */
  async #restoreFormerTag(tag: string, each: Readable): Promise<Result> {
    const { kind } = await this.#read(tag);
    return kind === 'absent' ? this.#restoreTag(tag, each) : 'standing';
  }
}

function tagsOf(
  manifests: readonly Readable[],
  which: 'tags' | 'formerTags',
): (readonly [tag: string, of: Readable])[] {
  return manifests.flatMap((each) => (each[which] ?? []).map((tag) => [tag, each] as const));
}

/** What became of a tag after its push. */
function pushedTag(digest: Digest, after: ManifestAnswer): Result {
  if (after.kind === 'absent') {
    return { why: `the registry took it, and does not say that it names ${digest}` };
  }
  const now = after.manifest.digest;
  return now === digest
    ? 'restored'
    : { why: `somebody set it to ${now} while it was put back, and it was left there` };
}

/** What becomes of a tag whose manifest can't come back. */
function withoutIts(digest: Digest): Result {
  return { why: `${digest} could not be put back` };
}

/** Writes down what became of one. What registry and network do wrong is a failure of it. */
async function note<K>(
  results: Map<K, Result>,
  key: K,
  work: () => Promise<Result>,
): Promise<void> {
  try {
    results.set(key, await work());
  } catch (error) {
    results.set(key, { why: failureMessage(error) });
  }
}

function keysOf<K>(results: ReadonlyMap<K, Result>, kind: Success): K[] {
  return [...results].flatMap(([key, result]) => (result === kind ? [key] : []));
}

function failuresOf<K>(results: ReadonlyMap<K, Result>): [K, string][] {
  return [...results].flatMap(([key, result]): [K, string][] =>
    typeof result === 'object' ? [[key, result.why]] : [],
  );
}
