/**
 * Proves after a sweep that what was kept is still there: every kept tag is listed and resolves, and so does every
 * child of every index behind one. Only reads.
 */
import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { RegistryReader } from '../registry/distribution/reader.js';
import type { Inventory } from '../plan/inventory.js';
import type { Outcome } from '../plan/fate.js';
import { MOST_LOOKS, PAUSE } from './tag.js';

export interface VerifyOptions {
  readonly reader: RegistryReader;
  readonly concurrency: number;
  readonly clock: Clock;
  /** what can't be read once it is aborted says nothing of what was kept */
  readonly stop: AbortSignal;
}

export interface Verified {
  /** what no longer resolves, or could not be asked for; texts are safe to print */
  readonly broken: Outcome['broken'];
  /** of it, the manifests that the registry says it does not have, and that something kept needs */
  readonly missing: readonly Digest[];
  /** what each listed tag points at; absent when that could not be read of each */
  readonly tags: ReadonlyMap<string, Digest> | undefined;
  /** false when the run was told to stop before all was asked for */
  readonly isComplete: boolean;
}

/**
 * What was broken before the sweep, and tags of deleted manifests, are not found broken.
 *
 * @param inventory the repository as it was right before the sweep, or what is left of it
 * @param deleted what the sweep deleted
 */
export async function verifyRepository(
  inventory: Inventory,
  deleted: ReadonlySet<Digest>,
  { reader, concurrency, clock, stop }: VerifyOptions,
): Promise<Verified> {
  const { repository } = inventory;
  const broken: { what: string; why: string }[] = [];
  const gone: Digest[] = [];
  let isComplete = true as boolean;
  const check = async (what: string, look: () => Promise<string | undefined>): Promise<void> => {
    try {
      const why = await look();
      if (why !== undefined) {
        broken.push({ what, why });
      }
    } catch (error) {
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
      if (stop.aborted) {
        isComplete = false;
      } else {
        broken.push({ what, why: `could not be read again: ${error.message}` });
      }
    }
  };

  /** Another run takes the signatures along with an image; Distribution may even leave their tags behind. */
  const namesNothing = async (tag: string): Promise<boolean> => {
    const named = parseDigestTag(tag)?.names;
    return named !== undefined && (await reader.manifest(repository, named)).kind === 'absent';
  };

  let listed: ReadonlySet<string> | undefined;
  const list = async () => {
    listed = new Set(await reader.tags(repository));
    return undefined;
  };
  await check('the list of tags', list);
  const expected = [...inventory.tags]
    .filter(([, digest]) => !deleted.has(digest))
    .map(([tag]) => tag);
  const tags = [...new Set([...(listed ?? []), ...expected])].filter(
    (tag) => !inventory.brokenTags.includes(tag),
  );
  // What each tag points at now: a manifest known from before, or one that a push brought meanwhile.
  const standing = new Map<Digest, Manifest>();
  const tagOf = new Map<Digest, string>();
  const tagsNow = new Map<string, Digest>();
  await pMap(
    tags,
    (tag) =>
      check(`tag ${tag}`, async () => {
        const before = inventory.tags.get(tag);
        for (let look = 1; look <= MOST_LOOKS; look += 1) {
          // HEAD is not enough: registries were seen to answer it with another manifest's digest.
          const answer = await reader.manifest(repository, tag);
          if (answer.kind === 'found') {
            const { digest } = answer.manifest;
            // What was read before is the same, and is in memory already.
            standing.set(digest, inventory.manifests.get(digest) ?? answer.manifest);
            tagOf.set(digest, tag);
            tagsNow.set(tag, digest);
            return undefined;
          }
          // Some registries leave the tags of a deleted manifest behind.
          const went = before !== undefined && deleted.has(before);
          if (went || (await namesNothing(tag))) {
            return undefined;
          }
          if (look < MOST_LOOKS) {
            await clock.sleep(PAUSE);
          }
        }
        if (before !== undefined) {
          gone.push(before);
        }
        return 'its manifest is gone';
      }),
    { concurrency },
  );
  // By its name, a tag that the registry has lost may still be answered, from a cache.
  const unlisted = () =>
    expected.filter((tag) => tagsNow.has(tag) && listed !== undefined && !listed.has(tag));
  for (let look = 1; look < MOST_LOOKS && unlisted().length > 0 && !stop.aborted; look += 1) {
    await clock.sleep(PAUSE);
    await check('the list of tags', list);
  }
  await pMap(
    unlisted(),
    (tag) =>
      check(`tag ${tag}`, async () => {
        const before = inventory.tags.get(tag);
        if (before === undefined || (await namesNothing(tag))) {
          return undefined;
        }
        gone.push(before);
        return 'it is not in the list of tags any more. By its name it still answers: is that an old answer of a cache?';
      }),
    { concurrency },
  );

  const asked = new Set<Digest>();
  const seen: Manifest[] = [...standing.values()];
  const missing: Digest[] = [];
  let wave = childrenOf(seen, inventory, asked);
  while (wave.length > 0) {
    const read: Manifest[] = [];
    await pMap(
      wave,
      (digest) =>
        check(`manifest ${digest}`, async () => {
          const known = inventory.manifests.get(digest);
          if (known !== undefined && (await reader.resolve(repository, digest)) === digest) {
            read.push(known);
            return undefined;
          }
          const answer = await reader.manifest(repository, digest);
          if (answer.kind === 'absent') {
            missing.push(digest);
          } else {
            read.push(answer.manifest);
          }
          return undefined;
        }),
      { concurrency },
    );
    // One by one: there may be more of them than a call can have arguments.
    read.forEach((each) => seen.push(each));
    wave = childrenOf(read, inventory, asked);
  }
  // Looked at last: another run takes the index along, and before its children.
  await pMap(
    missing,
    (digest) =>
      check(`manifest ${digest}`, async () => {
        for (const parent of seen) {
          const holds =
            parent.kind === 'index' && parent.children.some((child) => child.digest === digest);
          if (holds && (await reader.manifest(repository, parent.digest)).kind === 'found') {
            gone.push(digest);
            const tag = tagOf.get(parent.digest);
            const name = tag === undefined ? '' : `, tag ${tag},`;
            return `the index ${parent.digest}${name} has it as a child, and it is gone`;
          }
        }
        return undefined;
      }),
    { concurrency },
  );
  return {
    broken: broken.sort((a, b) => (a.what < b.what ? -1 : 1)),
    missing: gone,
    tags: isComplete && listed !== undefined ? tagsNow : undefined,
    isComplete,
  };
}

/** The children that have not been asked for yet, without those that were missing before the sweep. */
function childrenOf(
  manifests: readonly Manifest[],
  inventory: Inventory,
  asked: Set<Digest>,
): Digest[] {
  const children = manifests.flatMap((manifest) =>
    manifest.kind === 'index' ? manifest.children.map(({ digest }) => digest) : [],
  );
  return children.filter((digest) => {
    const isNew = !asked.has(digest) && !inventory.absent.has(digest);
    asked.add(digest);
    return isNew;
  });
}
