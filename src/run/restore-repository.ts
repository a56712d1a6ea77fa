/**
 * Restores deleted manifests, by the registry's own undo or from their saved bytes: children before parents, tags last.
 * It never moves a tag that names something else, and never restores an index without its entries. For each manifest
 * that can't be restored, it says why.
 */
import pMap from 'p-map';

import { failureMessage, RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { compare } from '../plan/graph.js';
import { entriesOf } from '../plan/naming.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer, Pusher, Reader } from '../registry/registry.js';
import { childrenFirst, parseCopy, requiredBlobsOf } from './saved-copy.js';
import type { ParsedCopy, SavedCopy } from './saved-copy.js';
import type { ServerUndo } from './server-undo.js';

export interface RestoreOptions {
  readonly reader: Reader;
  /** absent: only find out what could be restored */
  readonly pusher?: Pick<Pusher, 'pushManifest'>;
  readonly concurrency: number;
  /** the registry's own undo in this repository, for manifests with an id; absent: all are pushed */
  readonly undo?: ServerUndo;
  /** manifests that were missing before: an index that lists one may be restored without it */
  readonly absent?: ReadonlySet<Digest>;
  /** manifests that earlier calls have restored, or would restore without a pusher */
  readonly earlier?: ReadonlySet<Digest>;
}

/** A push of a tag is sent once, and after each failure the tag is read again. */
const MOST_PUSHES = 3;

/** All texts are safe to print; each list is sorted by digest or tag. */
export interface Restored {
  readonly repository: string;
  /** restored, and read back with the same bytes; without a pusher: could be restored */
  readonly restored: readonly Digest[];
  /** those among them that the registry's own undo restored; the others were pushed */
  readonly byServer: readonly Digest[];
  /** manifests that were there all the time */
  readonly standing: readonly Digest[];
  readonly failed: readonly { readonly digest: Digest; readonly why: string }[];
  /** tags that point at their manifest again, without those that did all the time */
  readonly tags: readonly string[];
  readonly failedTags: readonly { readonly tag: string; readonly why: string }[];
}

type Success = 'restored' | 'standing';
type Result = Success | { readonly why: string };

/** Failures of the registry and the network are part of the result, and not thrown. */
export async function restoreRepository(
  repository: string,
  lost: readonly SavedCopy[],
  options: RestoreOptions,
): Promise<Restored> {
  return new Restoration({ ...options, repository }).run(lost);
}

/** The joined results of several calls for one repository. */
export function joinRestored(
  repository: string,
  parts: readonly Omit<Restored, 'repository'>[],
): Restored {
  return {
    repository,
    restored: parts.flatMap(({ restored }) => restored).sort(),
    byServer: parts.flatMap(({ byServer }) => byServer).sort(),
    standing: parts.flatMap(({ standing }) => standing).sort(),
    failed: parts.flatMap(({ failed }) => failed).sort((a, b) => compare(a.digest, b.digest)),
    tags: parts.flatMap(({ tags }) => tags).sort(),
    failedTags: parts.flatMap(({ failedTags }) => failedTags).sort((a, b) => compare(a.tag, b.tag)),
  };
}

class Restoration {
  readonly #options: RestoreOptions & { readonly repository: string };
  readonly #manifests = new Map<Digest, Result>();
  readonly #byServer = new Set<Digest>();
  readonly #tags = new Map<string, Result>();

  constructor(options: RestoreOptions & { readonly repository: string }) {
    this.#options = options;
  }

  async run(lost: readonly SavedCopy[]): Promise<Restored> {
    const all: ParsedCopy[] = [];
    await this.#each(lost, async (one) => {
      const saved = parseCopy(one);
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
    // If the manifest was there all the time, people have removed its former tags.
    const restored = all.filter(({ digest }) => this.#manifests.get(digest) === 'restored');
    await this.#each(tagsOf(restored, 'formerTags'), ([tag, each]) =>
      note(this.#tags, tag, () => this.#restoreFormerTag(tag, each)),
    );
    return joinRestored(this.#options.repository, [
      {
        restored: keysOf(this.#manifests, 'restored'),
        byServer: [...this.#byServer],
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

  /** The digests for which `isSo` is false. */
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

  #isDecided(digest: Digest): boolean {
    return this.#manifests.has(digest) || this.#options.earlier?.has(digest) === true;
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

  /** One HEAD, and one GET if its answer does not settle it. */
  async #isThere(digest: Digest): Promise<boolean> {
    return (await this.#resolves(digest, digest)) || (await this.#read(digest)).kind === 'found';
  }

  /** A manifest can't be restored without its bytes, but it may be there already. */
  async #findUnreadable({ digest, tags }: SavedCopy, why: string): Promise<void> {
    await note(this.#manifests, digest, async () =>
      (await this.#isThere(digest)) ? 'standing' : { why },
    );
    for (const tag of tags) {
      await note(this.#tags, tag, async () =>
        (await this.#resolves(tag, digest)) ? 'standing' : withoutIts(digest),
      );
    }
  }

  async #restoreManifest(copy: ParsedCopy): Promise<Result> {
    if (await this.#isThere(copy.digest)) {
      return 'standing';
    }
    const lack = await this.#missingEntry(copy.manifest);
    if (lack !== undefined) {
      return { why: lack };
    }
    const byServer = await this.#undo(copy);
    if (byServer === 'restored') {
      this.#byServer.add(copy.digest);
      return byServer;
    }
    const pushed = await resultOf(() => this.#push(copy));
    return typeof byServer === 'object' && typeof pushed === 'object'
      ? { why: `${byServer.why}. It can't be pushed either: ${pushed.why}` }
      : pushed;
  }

  /** By the registry's own means, which need no blob. @returns `undefined` where it has none for this manifest */
  async #undo({ digest, id }: ParsedCopy): Promise<Result | undefined> {
    const { undo, pusher } = this.#options;
    if (undo === undefined || id === undefined) {
      return undefined;
    }
    const why =
      pusher === undefined
        ? await undo.whyNot(id)
        : await undo.restore(id, () => this.#isReadable(digest));
    return why === undefined ? 'restored' : { why };
  }

  async #push({ digest, mediaType, manifest, bytes }: ParsedCopy): Promise<Result> {
    const { pusher, repository } = this.#options;
    const why = await this.#missingBlobs(manifest);
    if (why !== undefined || pusher === undefined) {
      return why === undefined ? 'restored' : { why };
    }
    await pusher.pushManifest(repository, digest, { mediaType, bytes });
    return (await this.#isReadable(digest))
      ? 'restored'
      : { why: 'the registry took the push, and then says that it has no such manifest' };
  }

  /** It is read by its digest, so that the reader checks the bytes against it. */
  async #isReadable(digest: Digest): Promise<boolean> {
    return (await this.#read(digest)).kind === 'found';
  }

  /** Some registries take an index without its children, and nobody could pull it. */
  async #missingEntry(index: Manifest): Promise<string | undefined> {
    const entries = index.kind === 'index' ? entriesOf(index) : [];
    const failed = entries.find((digest) => this.#hasFailed(digest));
    if (failed !== undefined) {
      return `${failed}, which it lists, could not be restored`;
    }
    const children = index.kind === 'index' ? index.children : [];
    const unknown = children
      .map(({ digest }) => digest)
      .filter((digest) => this.#options.absent?.has(digest) !== true)
      .filter((digest) => !this.#isDecided(digest));
    const [child] = await this.#without(unknown, (digest) => this.#isThere(digest));
    return (
      child && `${child}, which it lists, is neither there nor in the backup: push that image again`
    );
  }

  async #missingBlobs(manifest: Manifest): Promise<string | undefined> {
    const missing = await this.#without(requiredBlobsOf(manifest), (blob) =>
      this.#hasBlob(manifest, blob),
    );
    return missing.length === 0
      ? undefined
      : `the registry no longer has what it consists of (${missing.join(', ')}): build or push it again`;
  }

  /** An index may list layers, and manifests of unknown types. */
  async #hasBlob(manifest: Manifest, digest: Digest): Promise<boolean> {
    const { reader, repository } = this.#options;
    return (
      (await reader.hasBlob(repository, digest)) ||
      // Everything with a result was restored before it, or would have been.
      (manifest.kind === 'index' && (this.#isDecided(digest) || (await this.#isThere(digest))))
    );
  }

  async #restoreTag(tag: string, { digest, mediaType, bytes }: ParsedCopy): Promise<Result> {
    if (this.#hasFailed(digest)) {
      return withoutIts(digest);
    }
    const { pusher, repository } = this.#options;
    const before = this.#setTag(digest, await this.#read(tag));
    if (before !== undefined || pusher === undefined) {
      return before ?? 'restored';
    }
    for (let push = 1; ; push += 1) {
      // The tag is read right before each push, which would move a tag that somebody has set since.
      const meanwhile = this.#setTag(digest, await this.#read(tag));
      if (meanwhile !== undefined) {
        return meanwhile;
      }
      try {
        // Before a retry the tag has to be read again.
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

  /** @returns the result for a tag that points at something, and so is not pushed */
  #setTag(digest: Digest, now: ManifestAnswer): Result | undefined {
    if (now.kind === 'absent') {
      return undefined;
    }
    if (now.manifest.digest === digest) {
      // A tag may have been left behind by the delete of its manifest.
      return this.#manifests.get(digest) === 'restored' ? 'restored' : 'standing';
    }
    return { why: `it names ${now.manifest.digest} now, and was left there` };
  }

  /** A former tag that points at something else now is left there. */
  async #restoreFormerTag(tag: string, each: ParsedCopy): Promise<Result> {
    const { kind } = await this.#read(tag);
    return kind === 'absent' ? this.#restoreTag(tag, each) : 'standing';
  }
}

function tagsOf(
  manifests: readonly ParsedCopy[],
  which: 'tags' | 'formerTags',
): (readonly [tag: string, of: ParsedCopy])[] {
  return manifests.flatMap((each) => (each[which] ?? []).map((tag) => [tag, each] as const));
}

/** The result for a tag after its push. */
function pushedTag(digest: Digest, after: ManifestAnswer): Result {
  if (after.kind === 'absent') {
    return { why: `the registry took the push, and does not say that the tag names ${digest}` };
  }
  const now = after.manifest.digest;
  return now === digest
    ? 'restored'
    : { why: `somebody set it to ${now} during the restore, and it was left there` };
}

/** The result for a tag whose manifest can't be restored. */
function withoutIts(digest: Digest): Result {
  return { why: `${digest} could not be restored` };
}

/** Notes the result for one manifest or tag. */
async function note<K>(
  results: Map<K, Result>,
  key: K,
  work: () => Promise<Result>,
): Promise<void> {
  results.set(key, await resultOf(work));
}

/** A failure of the registry or the network is a result, too. */
async function resultOf(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    return { why: failureMessage(error) };
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
