/**
 * Puts deleted manifests back from their saved bytes: children before parents, tags last. Never moves a tag
 * that names something else by now, never an index without what it holds, and says of each that can't come back what
 * is missing.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import { isDigest, type Digest } from '../oci/digest.js';
import {
  ManifestError,
  parseManifest,
  type IndexManifest,
  type Manifest,
} from '../oci/manifest.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer, Reader, Pusher } from '../registry/registry.js';

/** A manifest as it was saved. */
export interface Lost {
  readonly digest: Digest;
  readonly mediaType: string;
  /** `undefined` when nothing with this digest was found where they were saved */
  readonly bytes: Buffer | undefined;
  /** that are to point at it again; of all that is lost, no two name the same */
  readonly tags: readonly string[];
  /** that are to point at it again if they point at nothing */
  readonly formerTags?: readonly string[];
}

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

interface Readable {
  readonly manifest: Manifest;
  readonly bytes: Buffer;
  readonly tags: readonly string[];
  readonly formerTags: readonly string[];
}

type Result =
  { readonly kind: 'restored' | 'standing' } | { readonly kind: 'failed'; readonly why: string };

const STANDING: Result = { kind: 'standing' };

/**
 * @throws nothing of registry and network: what can't be put back is in the answer
 */
export async function restoreRepository(
  repository: string,
  lost: readonly Lost[],
  { reader, pusher, concurrency, absent = new Set() }: RestoreOptions,
): Promise<Restored> {
  const results = new Map<Digest, Result>();
  const tags = new Map<string, Result>();
  const readable = new Map<Digest, Readable>();
  const unreadable = new Map<Lost, string>();
  for (const one of lost) {
    const saved = read(one);
    if (typeof saved === 'string') {
      unreadable.set(one, saved);
    } else {
      readable.set(one.digest, saved);
    }
  }

  /** HEAD; and GET where its answer settles nothing. */
  const isThere = async (digest: Digest) =>
    (await reader.resolve(repository, digest)) === digest ||
    (await reader.manifest(repository, digest)).kind === 'found';

  // Without its bytes nothing can be put back; but what is there need not be.
  await pMap(
    unreadable,
    async ([{ digest, tags: names }, why]) => {
      const lacking = { kind: 'failed', why } as const;
      results.set(
        digest,
        await attempt(async () => ((await isThere(digest)) ? { kind: 'standing' } : lacking)),
      );
      for (const tag of names) {
        const set = async () => (await reader.resolve(repository, tag)) === digest;
        tags.set(
          tag,
          await attempt(async () => ((await set()) ? { kind: 'standing' } : withoutIts(digest))),
        );
      }
    },
    { concurrency },
  );

  const putBack = async ({ manifest, bytes }: Readable): Promise<Result> => {
    const { digest, mediaType } = manifest;
    if (await isThere(digest)) {
      return { kind: 'standing' };
    }
    const missing =
      (manifest.kind === 'index'
        ? (missingEntry(manifest) ?? (await missingChild(manifest)))
        : undefined) ?? (await missingBlobs(manifest));
    if (missing !== undefined) {
      return { kind: 'failed', why: missing };
    }
    if (pusher === undefined) {
      return { kind: 'restored' };
    }
    await pusher.pushManifest(repository, digest, { mediaType, bytes });
    // Asked for by its digest, so that what comes has been checked against it.
    return (await reader.manifest(repository, digest)).kind === 'found'
      ? { kind: 'restored' }
      : { kind: 'failed', why: 'the registry took it, and says that it does not have it' };
  };

  const missingEntry = (index: IndexManifest): string | undefined => {
    const entry = entriesOf(index).find((digest) => results.get(digest)?.kind === 'failed');
    return entry && `${entry}, which it holds, could not be put back`;
  };

  /** Some registries take an index without its children, which nobody could pull. */
  const missingChild = async ({ children }: IndexManifest): Promise<string | undefined> => {
    const others = children.map(({ digest }) => digest).filter((digest) => !absent.has(digest));
    const found = await pMap(
      others.filter((digest) => !results.has(digest)),
      async (digest) => ((await isThere(digest)) ? [] : [digest]),
      { concurrency },
    );
    const [first] = found.flat();
    return (
      first && `${first}, which it holds, is neither there nor in the backup: push that image again`
    );
  };

  /** An index may list layers, and manifests of types that are none of ours. */
  const hasBlob = async (manifest: Manifest, digest: Digest) =>
    (await reader.hasBlob(repository, digest)) ||
    // What has a result by now has been put back before it, or would have been.
    (manifest.kind === 'index' && (results.has(digest) || (await isThere(digest))));

  const missingBlobs = async (manifest: Manifest): Promise<string | undefined> => {
    const found = await pMap(
      blobsOf(manifest),
      async (blob) => ((await hasBlob(manifest, blob)) ? [] : [blob]),
      { concurrency },
    );
    const gone = found.flat();
    return gone.length === 0
      ? undefined
      : `the registry's garbage collector has freed what it consists of (${gone.join(', ')}): build or push it again`;
  };

  for (const wave of childrenFirst([...readable.values()].map(({ manifest }) => manifest))) {
    await pMap(
      wave.map((digest) => readable.get(digest)).filter((each) => each !== undefined),
      async (each) => {
        results.set(each.manifest.digest, await attempt(() => putBack(each)));
      },
      { concurrency },
    );
  }

  const putBackTag = async (tag: string, { manifest, bytes }: Readable): Promise<Result> => {
    const { digest, mediaType } = manifest;
    if (results.get(digest)?.kind === 'failed') {
      return withoutIts(digest);
    }
    // A tag may have been left behind by the delete of its manifest.
    const ours = results.get(digest)?.kind === 'restored' ? 'restored' : 'standing';
    const look = () => reader.manifest(repository, tag);
    const named = (now: ManifestAnswer): Result | undefined =>
      now.kind === 'absent'
        ? undefined
        : now.manifest.digest === digest
          ? { kind: ours }
          : { kind: 'failed', why: `it names ${now.manifest.digest} by now, and was left there` };
    const before = named(await look());
    if (before !== undefined || pusher === undefined) {
      return before ?? { kind: 'restored' };
    }
    for (let push = 1; ; push += 1) {
      // Right before the push, each time: it would move a tag that somebody has set since.
      const meanwhile = named(await look());
      if (meanwhile !== undefined) {
        return meanwhile;
      }
      try {
        await pusher.pushManifest(repository, tag, { mediaType, bytes }, { isLate: onceOnly() });
        break;
      } catch (error) {
        const isFinal = error instanceof RegistryError && error.kind !== 'unexpected';
        if (isFinal || push === MOST_PUSHES || !(error instanceof RequestFailure)) {
          throw error;
        }
      }
    }
    const after = await look();
    if (after.kind === 'found' && after.manifest.digest === digest) {
      return { kind: 'restored' };
    }
    const why =
      after.kind === 'found'
        ? `somebody set it to ${after.manifest.digest} while it was put back, and it was left there`
        : `the registry took it, and does not say that it names ${digest}`;
    return { kind: 'failed', why };
  };
  await pMap(
    [...readable.values()].flatMap((each) => each.tags.map((tag) => ({ tag, each }))),
    async ({ tag, each }) => {
      tags.set(tag, await attempt(() => putBackTag(tag, each)));
    },
    { concurrency },
  );
  await pMap(
    // Of a manifest that was there all the time, people have taken them away.
    [...readable.values()]
      .filter(({ manifest }) => results.get(manifest.digest)?.kind === 'restored')
      .flatMap((each) => each.formerTags.map((tag) => ({ tag, each }))),
    async ({ tag, each }) => {
      // Nobody misses one that has moved on.
      const look = async () => (await reader.manifest(repository, tag)).kind === 'absent';
      const set = async () => ((await look()) ? putBackTag(tag, each) : STANDING);
      tags.set(tag, await attempt(set));
    },
    { concurrency },
  );

  return {
    repository,
    restored: keysOf(results, 'restored'),
    standing: keysOf(results, 'standing'),
    failed: failuresOf(results).map(([digest, why]) => ({ digest, why })),
    tags: keysOf(tags, 'restored'),
    failedTags: failuresOf(tags).map(([tag, why]) => ({ tag, why })),
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

/** @returns why it can't be used, if so */
function read({ digest, mediaType, bytes, tags, formerTags = [] }: Lost): Readable | string {
  if (bytes === undefined) {
    return 'its saved bytes are missing, or have another digest';
  }
  try {
    return { manifest: parseManifest(bytes, mediaType, digest), bytes, tags, formerTags };
  } catch (error) {
    if (error instanceof ManifestError) {
      return `its saved bytes are no manifest: ${error.message}`;
    }
    throw error;
  }
}

/** What becomes of a tag whose manifest can't come back. */
function withoutIts(digest: Digest): Result {
  return { kind: 'failed', why: `${digest} could not be put back` };
}

/** Without those that no registry need have: `urls` say where else they are. */
function blobsOf(manifest: Manifest): Digest[] {
  const blobs = manifest.kind === 'image' ? [manifest.config, ...manifest.layers] : [];
  const all = manifest.kind === 'index' ? manifest.others : blobs;
  const here = all.flatMap(({ digest, urls = [] }) =>
    isDigest(digest) && urls.length === 0 ? [digest] : [],
  );
  return [...new Set(here)];
}

/** Whatever their types: a registry takes an index only when it has all of them. */
function entriesOf({ children, others }: IndexManifest): Digest[] {
  return [...children, ...others].flatMap(({ digest }) => (isDigest(digest) ? [digest] : []));
}

/** Waves in which each index comes after all of its entries that are among them. */
function childrenFirst(manifests: readonly Manifest[]): Digest[][] {
  const waiting = new Map(manifests.map((manifest) => [manifest.digest, manifest]));
  const waves: Digest[][] = [];
  while (waiting.size > 0) {
    // Digests can't form a circle, so there is always one.
    const wave = [...waiting.values()]
      .filter(
        (manifest) =>
          manifest.kind !== 'index' || !entriesOf(manifest).some((digest) => waiting.has(digest)),
      )
      .map(({ digest }) => digest);
    wave.forEach((digest) => waiting.delete(digest));
    waves.push(wave);
  }
  return waves;
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
