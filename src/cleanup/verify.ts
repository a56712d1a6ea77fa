/**
 * Proves after a sweep that what was kept is still there: every kept tag resolves, and so does every
 * child of every index behind one. Only reads.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { RegistryReader } from '../registry/reader.js';
import type { Inventory } from './inventory.js';
import type { Outcome } from './outcome.js';

type Broken = Outcome['broken'][number];

/**
 * @param inventory the repository as it was right before the sweep
 * @param deleted what the sweep deleted
 * @returns what no longer resolves, or could not be asked for. What was broken before the sweep, and
 *   tags of deleted manifests, are not among it
 */
export async function verifyRepository(
  inventory: Inventory,
  deleted: ReadonlySet<Digest>,
  { reader, concurrency }: { readonly reader: RegistryReader; readonly concurrency: number },
): Promise<Broken[]> {
  const { repository } = inventory;
  const broken: Broken[] = [];
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
      broken.push({ what, why: `could not be read again: ${error.message}` });
    }
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
  await pMap(
    tags,
    (tag) =>
      check(`tag ${tag}`, async () => {
        const before = inventory.tags.get(tag);
        if (before !== undefined && (await reader.resolve(repository, tag)) === before) {
          standing.set(before, inventory.manifests.get(before));
          return undefined;
        }
        const answer = await reader.manifest(repository, tag);
        if (answer.kind === 'absent') {
          // Some registries leave the tags of a deleted manifest behind.
          const went = before !== undefined && deleted.has(before);
          return went ? undefined : 'its manifest is gone';
        }
        standing.set(answer.manifest.digest, answer.manifest);
        return undefined;
      }),
    { concurrency },
  );

  const asked = new Set<Digest>();
  let wave = childrenOf([...standing.values()], inventory, asked);
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
            return 'an index that is kept has it as a child, and it is gone';
          }
          read.push(answer.manifest);
          return undefined;
        }),
      { concurrency },
    );
    wave = childrenOf(read, inventory, asked);
  }
  return broken.sort((a, b) => (a.what < b.what ? -1 : 1));
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
