/**
 * Restores what an earlier run deleted, or was about to, and a kept manifest needs now. A push has met the DELETE of a
 * run that was killed, or an index that no run saw shares a child with a deleted one.
 */
import { isCondemned } from '../plan/past.js';
import { type LedgerRecord } from '../memory/ledger/record.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import { buildGraph, compare, reach } from '../plan/graph.js';
import type { Inventory } from '../plan/inventory.js';
import { entriesOf } from '../plan/naming.js';
import type { SavedCopy } from './saved-copy.js';
import {
  joinRestored,
  restoreRepository,
  type Restored,
  type RestoreOptions,
} from './restore-repository.js';
import type { Survey } from '../plan/survey.js';

/** The ledger's record of a manifest that a run may have deleted. */
export type OldRecord = Pick<LedgerRecord, 'mediaType' | 'body' | 'tags' | 'status' | 'condemned'>;

export interface RepairOptions extends Omit<RestoreOptions, 'absent'> {
  /** epoch milliseconds */
  readonly now: number;
}

/** All texts are safe to print; each list is sorted. */
export type Repair = Pick<Restored, 'restored' | 'failed' | 'failedTags'>;

/** The most manifests that are tried for a tag without one. */
const MOST_TRIES = 20;

/**
 * @param records all that the ledger remembers of the repository
 * @returns `undefined` when nothing had to be restored
 */
export async function repairRepository(
  survey: Pick<Survey, 'inventory' | 'plan'>,
  records: ReadonlyMap<Digest, OldRecord>,
  { now, ...options }: RepairOptions,
): Promise<Repair | undefined> {
  const { inventory } = survey;
  const deleted = new Map(
    [...records].filter(
      ([digest, record]) => isCondemned(record, now) && !inventory.manifests.has(digest),
    ),
  );
  if (deleted.size === 0) {
    return undefined;
  }
  const needed = neededBy(survey, deleted);
  const parts: Restored[] = [];
  const restore = async (heads: readonly Digest[]) => {
    const lost = lostWith(heads, inventory, deleted);
    parts.push(await restoreRepository(inventory.repository, lost, options));
  };
  if (needed.length > 0) {
    await restore(needed);
  }
  let broken = inventory.brokenTags.filter((tag) => parseDigestTag(tag) === undefined);
  // No answer tells which manifest such a tag names. The tag resolves again only with that manifest.
  for (const digest of options.pusher === undefined ? [] : triesFor(broken, deleted, needed)) {
    if (broken.length === 0) {
      break;
    }
    await restore([digest]);
    const answers = await Promise.all(
      broken.map((tag) => options.reader.manifest(inventory.repository, tag)),
    );
    broken = broken.filter((_, n) => answers[n]?.kind === 'absent');
  }
  const { restored, failed, failedTags } = joinRestored(inventory.repository, parts);
  const isNeeded = restored.length + failed.length + failedTags.length > 0;
  return isNeeded ? { restored, failed, failedTags } : undefined;
}

/** The entries of kept indexes, and the digests that kept manifests of unknown types mention. */
function neededBy(
  { inventory, plan }: Pick<Survey, 'inventory' | 'plan'>,
  deleted: ReadonlyMap<Digest, OldRecord>,
): Digest[] {
  const named = plan.keep.flatMap(({ digest }) => listedBy(inventory.manifests.get(digest)));
  return [...new Set(named)].filter((digest) => deleted.has(digest)).sort(compare);
}

function listedBy(manifest: Manifest | undefined): readonly Digest[] {
  const mentions = manifest?.kind === 'unknown' ? manifest.mentions : [];
  return manifest?.kind === 'index' ? entriesOf(manifest) : mentions;
}

/** The heads, with all that was deleted with them and the ledger holds: children, signatures and other referrers. */
function lostWith(
  heads: readonly Digest[],
  inventory: Inventory,
  deleted: ReadonlyMap<Digest, OldRecord>,
): SavedCopy[] {
  const all = new Set([...heads, ...reach(buildGraph(inventory), heads).keys()]);
  const taken = new Set(inventory.tags.keys());
  return [...all].sort(compare).flatMap((digest) => {
    const record = deleted.get(digest);
    if (record === undefined) {
      return [];
    }
    const { mediaType, body, tags = [] } = record;
    // Digest tags only: people may have moved or removed an ordinary tag since.
    const own = tags.filter((tag) => {
      const named = parseDigestTag(tag)?.names;
      return named !== undefined && all.has(named) && !taken.has(tag);
    });
    own.forEach((tag) => taken.add(tag));
    return [{ digest, mediaType, bytes: Buffer.from(body), tags: own }];
  });
}

/** Manifests that an unfinished run was about to delete. Those that had one of these tags before come first. */
function triesFor(
  broken: readonly string[],
  deleted: ReadonlyMap<Digest, OldRecord>,
  done: readonly Digest[],
): Digest[] {
  const open = [...deleted].filter(
    ([digest, { status }]) => status === 'leaving' && !done.includes(digest),
  );
  const had = ([, { tags = [] }]: [Digest, OldRecord]) => tags.some((tag) => broken.includes(tag));
  return open
    .sort((a, b) => Number(had(b)) - Number(had(a)))
    .map(([digest]) => digest)
    .slice(0, MOST_TRIES);
}
