/**
 * Refuses plans that look wrong, as a whole: what is deleted is gone, and a registry that lists half of its
 * tags looks just like one whose tags were removed. Pure. The defaults are argued in docs/adr/0005.
 */
import type { Digest } from '../oci/digest.js';
import type { Inventory } from './inventory.js';
import type { Past } from './past.js';
import type { Plan } from './plan.js';

/** The input `max-deletes`. */
export type MaxDeletes =
  /** so many manifests in the whole run */
  | { readonly kind: 'count'; readonly count: number }
  /**
   * So many of a hundred manifests that are known in a repository. Repositories where no more than `exempt`
   * manifests would be deleted are not asked.
   */
  | { readonly kind: 'share'; readonly percent: number; readonly exempt: number };

/** Half of a repository, unless that is next to nothing: a tag that moved once leaves as much as it has. */
export const DEFAULT_MAX_DELETES: MaxDeletes = { kind: 'share', percent: 50, exempt: 20 };

const MILLION = 1_000_000;

/** Why nothing is deleted in a repository. */
export type RepositoryRefusal =
  /** no ordinary tag is left; the ledger remembers so many manifests that tags reached, none without a memory */
  | { readonly kind: 'no-tags'; readonly remembered: number }
  | {
      readonly kind: 'share';
      readonly orphans: number;
      readonly manifests: number;
      readonly percent: number;
    }
  /** of the whole run */
  | { readonly kind: 'count'; readonly orphans: number; readonly count: number }
  /** the registry takes no deletes; `why` is safe to print, as below */
  | { readonly kind: 'no-deletes'; readonly why: string }
  /** not of this account, in this repository */
  | { readonly kind: 'no-rights'; readonly why: string };

export interface Looked {
  readonly inventory: Pick<Inventory, 'repository' | 'manifests' | 'past'>;
  readonly plan: Plan;
}

/**
 * Whether something would be deleted from a repository without one ordinary tag: its list may be wrong, and the ledger must
 * not learn it. A memory is not needed for that: a first run with a listing knows of no past.
 */
export function refuseWithoutTags(looked: Looked): RepositoryRefusal | undefined {
  const { plan } = looked;
  // `unused-for` only keeps for a while what would be an orphan by such a list.
  const isLosing =
    plan.orphans.length > 0 || plan.keep.some(({ reason }) => reason.kind === 'recently-used');
  return isLosing && !isTagged(plan)
    ? { kind: 'no-tags', remembered: rememberedWithoutTags(looked).length }
    : undefined;
}

function isTagged({ keep }: Plan): boolean {
  return keep.some(({ reason }) => reason.kind === 'tagged');
}

/** Whether nothing is left of a repository in which an earlier run saw manifests: neither a tag nor one of those. */
export function hasVanished(inventory: Inventory): boolean {
  const { tags, brokenTags, manifests, past, gaps } = inventory;
  return (
    gaps.length === 0 &&
    tags.size + brokenTags.length + manifests.size === 0 &&
    // A manifest that is leaving was about to be deleted: a run that was cut off may have done it.
    [...past.values()].some(({ status }) => status === 'in-use' || status === 'unused')
  );
}

/**
 * Where no tag is left and the run goes on all the same: what stays there of all that tags led to. The ledger must
 * not learn that it is out of use, or the next run would see nothing wrong.
 */
export function inDoubt(looked: Looked): ReadonlySet<Digest> {
  const going = new Set(looked.plan.orphans.map(({ digest }) => digest));
  const stays = (digest: Digest) => looked.inventory.manifests.has(digest) && !going.has(digest);
  return new Set(rememberedWithoutTags(looked).filter(stays));
}

/**
 * The manifests that the ledger remembers as in use; none as long as one ordinary tag is left. A manifest that is
 * leaving and still stands counts too, if it ever was in use: a plan that is carried out has it recorded before it is known whether it may
 * go, and one that was held up then, by `max-deletes` or by a stop, must not disarm the next run.
 */
function rememberedWithoutTags({ inventory, plan }: Looked): Digest[] {
  const { manifests, past } = inventory;
  const isInUse = ([digest, { status, everInUse }]: [Digest, Past]) =>
    status === 'in-use' || (status === 'leaving' && everInUse && manifests.has(digest));
  return isTagged(plan) ? [] : [...past].filter(isInUse).map(([digest]) => digest);
}

/** @returns the refusals of `max-deletes`, by repository */
export function refuseTooMany(
  all: readonly Looked[],
  limit: MaxDeletes,
): ReadonlyMap<string, RepositoryRefusal> {
  const total = all.reduce((sum, { plan }) => sum + plan.orphans.length, 0);
  const refusals = all.flatMap(({ plan, inventory }): [string, RepositoryRefusal][] => {
    const [orphans, manifests] = [plan.orphans.length, inventory.manifests.size];
    if (limit.kind === 'count') {
      const { count } = limit;
      const isRefused = orphans > 0 && total > count;
      return isRefused ? [[plan.repository, { kind: 'count', orphans: total, count }]] : [];
    }
    const { percent, exempt } = limit;
    // In whole numbers, since `max-deletes` has six decimals at most: 9.2 * 750 is less than 6,900.
    const isBeyond = 100 * MILLION * orphans > Math.round(percent * MILLION) * manifests;
    return orphans > exempt && isBeyond
      ? [[plan.repository, { kind: 'share', orphans, manifests, percent }]]
      : [];
  });
  return new Map(refusals);
}
