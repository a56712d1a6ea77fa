/**
 * Proves after a sweep that what was kept is still there: every kept tag resolves, and so does every
 * child of every index behind one. Only reads.
 */
import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { RegistryReader } from '../registry/reader.js';
import type { Inventory } from './inventory.js';
import type { Outcome } from './outcome.js';

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
  /** false when the run was told to stop before all was asked for */
  readonly isComplete: boolean;
}

/** A push writes a tag in several steps, and Distribution lists it after the first. */
const MOST_LOOKS = 4;
const PAUSE = 500;

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
  let isComplete = true;
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

  let listed: string[] = [];
  await check('the list of tags', async () => {
    listed = await reader.tags(repository);
    return undefined;
  });
  const expected = [...inventory.tags]
    .filter(([, digest]) => !deleted.has(digest))
    .map(([tag]) => tag);
  const tags = [...new Set([...listed, ...expected])].filter(
    (tag) => !inventory.brokenTags.includes(tag),
  );
  // What each tag points at now: a manifest known from before, or one that a push brought meanwhile.
  const standing = new Map<Digest, Manifest | undefined>();
  const tagOf = new Map<Digest, string>();
  await pMap(
    tags,
    (tag) =>
      check(`tag ${tag}`, async () => {
        const before = inventory.tags.get(tag);
        if (before !== undefined && (await reader.resolve(repository, tag)) === before) {
          standing.set(before, inventory.manifests.get(before));
          tagOf.set(before, tag);
          return undefined;
        }
        for (let look = 1; look <= MOST_LOOKS; look += 1) {
          const answer = await reader.manifest(repository, tag);
          if (answer.kind === 'found') {
            standing.set(answer.manifest.digest, answer.manifest);
            tagOf.set(answer.manifest.digest, tag);
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

  const asked = new Set<Digest>();
  const seen = [...standing.values()];
  const missing: Digest[] = [];
  let wave = childrenOf(seen, inventory, asked);
  while (wave.length > 0) {
    const read: (Manifest | undefined)[] = [];
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
            parent?.kind === 'index' && parent.children.some((child) => child.digest === digest);
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
  return { broken: broken.sort((a, b) => (a.what < b.what ? -1 : 1)), missing: gone, isComplete };
}

/** The children that have not been asked for yet, without those that were missing before the sweep. */
function childrenOf(
  manifests: readonly (Manifest | undefined)[],
  inventory: Inventory,
  asked: Set<Digest>,
): Digest[] {
  const children = manifests.flatMap((manifest) =>
    manifest?.kind === 'index' ? manifest.children.map(({ digest }) => digest) : [],
  );
  return children.filter((digest) => {
    const isNew = !asked.has(digest) && !inventory.absent.has(digest);
    asked.add(digest);
    return isNew;
  });
}
