/**
 * Restores deleted manifests, by the registry's own undo or from their saved bytes: children before parents, tags last.
 * It never restores an index without its entries. For each manifest that can't be restored, it says why.
 */
import pMap from 'p-map';

import { failureMessage } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import { compare } from '../plan/graph.js';
import { entriesOf } from '../plan/naming.js';
import { RegistryError } from '../registry/registry-error.js';
import type { Pusher, Reader } from '../registry/registry.js';
import { Parts, type RestoreResult } from './parts.js';
import { childrenFirst, parseCopy } from './saved-copy.js';
import type { ParsedCopy, SavedCopy } from './saved-copy.js';
import type { ServerUndo } from './server-undo.js';
import { TagRestoration, withoutIts } from './tag-restoration.js';

/** Distribution remembers the blobs that it had before a collection beside it, and answers by that. */
const RESTART =
  'It lacks a part of that image. If garbage was collected while it ran, restart it, and build or push the image again';

export interface RestoreOptions {
  readonly reader: Reader;
  /** absent: only find out what could be restored */
  readonly pusher?: Pick<Pusher, 'pushManifest'>;
  readonly concurrency: number;
  /** the registry's own undo in this repository, for manifests with an id; absent: all are pushed */
  readonly undo?: ServerUndo;
  /** manifests that were missing before: an index that lists one may be restored without it */
  readonly absent?: ReadonlySet<Digest>;
}

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

/** Failures of the registry and the network are part of the result, and not thrown. */
export async function restoreRepository(
  repository: string,
  lost: readonly SavedCopy[],
  options: RestoreOptions,
): Promise<Restored> {
  const restoration = new Restoration(repository, options);
  await restoration.restore(lost);
  return restoration.result();
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

/** One repository's restore, in one batch or several. */
export class Restoration {
  readonly #repository: string;
  readonly #options: RestoreOptions;
  /** the digests of all batches; one that comes with a later batch is waited for */
  readonly #saved: ReadonlySet<Digest>;
  readonly #parts: Parts;
  readonly #tagRestoration: TagRestoration;
  readonly #manifests = new Map<Digest, RestoreResult>();
  readonly #byServer = new Set<Digest>();
  readonly #tags = new Map<string, RestoreResult>();

  /** @param saved the digests of all batches; default: there is one batch */
  constructor(
    repository: string,
    options: RestoreOptions,
    saved: ReadonlySet<Digest> = new Set<Digest>(),
  ) {
    this.#repository = repository;
    this.#options = options;
    this.#saved = saved;
    const resultOf = (digest: Digest) => this.#manifests.get(digest);
    this.#parts = new Parts(repository, { ...options, resultOf });
    this.#tagRestoration = new TagRestoration(repository, {
      ...options,
      resultOf,
      whyIncomplete: ({ manifest }) => this.#parts.whyIncomplete(manifest),
      whyRefused: (copy, error) => this.#whyRefused(copy, error),
    });
  }

  /** @returns the indexes that wait for an entry in another batch: to be given again */
  async restore(lost: readonly SavedCopy[]): Promise<ReadonlySet<Digest>> {
    const all: ParsedCopy[] = [];
    await this.#each(lost, async (one) => {
      const saved = parseCopy(one);
      if (typeof saved === 'string') {
        await this.#findUnreadable(one, saved);
      } else {
        all.push(saved);
      }
    });
    const waiting = new Set<Digest>();
    for (const wave of childrenFirst(all)) {
      const ready = wave.filter((copy) => !this.#waits(copy));
      await this.#restoreWave(ready);
      wave.filter((copy) => !ready.includes(copy)).forEach(({ digest }) => waiting.add(digest));
    }
    const decided = all.filter(({ digest }) => !waiting.has(digest));
    await this.#each(tagsOf(decided, 'tags'), ([tag, each]) =>
      note(this.#tags, tag, () => this.#tagRestoration.restore(tag, each)),
    );
    // If the manifest was there all the time, people have removed its former tags.
    const restored = decided.filter(({ digest }) => this.#manifests.get(digest) === 'restored');
    await this.#each(tagsOf(restored, 'formerTags'), ([tag, each]) =>
      note(this.#tags, tag, () => this.#tagRestoration.restoreFormer(tag, each)),
    );
    return waiting;
  }

  /** What became of all batches. */
  result(): Restored {
    return joinRestored(this.#repository, [
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

  #waits({ manifest }: ParsedCopy): boolean {
    const entries = manifest.kind === 'index' ? entriesOf(manifest) : [];
    return entries.some((digest) => this.#saved.has(digest) && !this.#manifests.has(digest));
  }

  async #isReadable(digest: Digest): Promise<boolean> {
    // It is read by its digest, so that the reader checks the bytes against it.
    return (await this.#options.reader.manifest(this.#repository, digest)).kind === 'found';
  }

  /** A manifest can't be restored without its bytes, but it may be there already. */
  async #findUnreadable({ digest, tags }: SavedCopy, why: string): Promise<void> {
    await note(this.#manifests, digest, async () =>
      (await this.#parts.isThere(digest)) ? 'standing' : { why },
    );
    for (const tag of tags) {
      await note(this.#tags, tag, async () =>
        (await this.#parts.resolves(tag, digest)) ? 'standing' : withoutIts(digest),
      );
    }
  }

  async #restoreWave(wave: readonly ParsedCopy[]): Promise<void> {
    const pushes: { readonly copy: ParsedCopy; readonly refusal?: string }[] = [];
    await this.#each(wave, (copy) =>
      note(this.#manifests, copy.digest, async () => {
        if (await this.#parts.isThere(copy.digest)) {
          return 'standing';
        }
        const why = await this.#parts.whyWithoutEntries(copy.manifest);
        if (why !== undefined) {
          return { why };
        }
        const undone = await this.#undo(copy);
        if (undone.kind === 'not') {
          pushes.push({ copy, ...undone });
          return undefined;
        }
        this.#byServer.add(copy.digest);
        this.#parts.expectBlobs(copy.manifest);
        return 'restored';
      }),
    );
    // After them, since the undo brings layers back that a push may need.
    await this.#each(pushes, ({ copy, refusal }) =>
      note(this.#manifests, copy.digest, async () => {
        const pushed = await resultOf(() => this.#push(copy));
        return refusal !== undefined && typeof pushed === 'object'
          ? { why: `${refusal}. It can't be pushed either: ${pushed.why}` }
          : pushed;
      }),
    );
  }

  /** By the registry's own means, which need no blob. The refusal is absent where it has none for this manifest. */
  async #undo({
    digest,
    id,
  }: ParsedCopy): Promise<{ kind: 'restored' } | { kind: 'not'; refusal?: string }> {
    const { undo, pusher } = this.#options;
    if (undo === undefined || id === undefined) {
      return { kind: 'not' };
    }
    const refusal =
      pusher === undefined
        ? await undo.whyNot(id)
        : await undo.restore(id, () => this.#isReadable(digest));
    return refusal === undefined ? { kind: 'restored' } : { kind: 'not', refusal };
  }

  async #push(copy: ParsedCopy): Promise<RestoreResult> {
    const { digest, mediaType, manifest, bytes } = copy;
    const { pusher } = this.#options;
    const why = await this.#parts.whyIncomplete(manifest);
    if (why !== undefined || pusher === undefined) {
      return why === undefined ? 'restored' : { why };
    }
    try {
      await pusher.pushManifest(this.#repository, digest, { mediaType, bytes });
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'part-missing') {
        return { why: await this.#whyRefused(copy, error) };
      }
      throw error;
    }
    return (await this.#isReadable(digest))
      ? 'restored'
      : { why: 'the registry took the push, and then says that it has no such manifest' };
  }

  /** A part may have gone since it was asked for. */
  async #whyRefused({ manifest }: ParsedCopy, error: RegistryError): Promise<string> {
    this.#parts.forget();
    const why = await this.#parts.whyIncomplete(manifest);
    return why ?? `${failureMessage(error)}. ${RESTART}`;
  }
}

function tagsOf(
  manifests: readonly ParsedCopy[],
  which: 'tags' | 'formerTags',
): (readonly [tag: string, of: ParsedCopy])[] {
  return manifests.flatMap((each) => (each[which] ?? []).map((tag) => [tag, each] as const));
}

/** Notes the result for one manifest or tag, if there is one. */
async function note<K>(
  results: Map<K, RestoreResult>,
  key: K,
  work: () => Promise<RestoreResult | undefined>,
): Promise<void> {
  const result = await resultOf(work);
  if (result !== undefined) {
    results.set(key, result);
  }
}

/** A failure of the registry or the network is a result, too. */
async function resultOf<T>(work: () => Promise<T>): Promise<T | { readonly why: string }> {
  try {
    return await work();
  } catch (error) {
    return { why: failureMessage(error) };
  }
}

function keysOf<K>(results: ReadonlyMap<K, RestoreResult>, kind: 'restored' | 'standing'): K[] {
  return [...results].flatMap(([key, result]) => (result === kind ? [key] : []));
}

function failuresOf<K>(results: ReadonlyMap<K, RestoreResult>): [K, string][] {
  return [...results].flatMap(([key, result]): [K, string][] =>
    typeof result === 'object' ? [[key, result.why]] : [],
  );
}
