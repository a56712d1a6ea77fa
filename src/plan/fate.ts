/** The fate of each orphan of a plan: one map, from the sweep to the summary. Pure. */
import type { Orphan, Plan } from './plan.js';
import type { Digest } from '../oci/digest.js';
import type { KeepReason } from './reasons.js';

export type Fate =
  /** a dry-run: a real run would delete it */
  | { readonly kind: 'planned' }
  | { readonly kind: 'deleted' }
  /** the registry had lost it already when its turn came (404): not a failure */
  | { readonly kind: 'gone' }
  /** in use when the tags were read again, before the first delete or later */
  | { readonly kind: 'kept'; readonly reason: KeepReason }
  /** the delete was refused or got no answer */
  | { readonly kind: 'failed'; readonly why: string }
  /** not tried: not saved, not read again, a manifest that has to go first is still there, or the sweep was called off */
  | { readonly kind: 'skipped'; readonly why: string }
  /** no run can delete it, for a reason that lies in this manifest alone: not a failure */
  | { readonly kind: 'undeletable'; readonly why: string }
  /** the server's quota is used up until then (epoch milliseconds), and a later run goes on: not a failure */
  | { readonly kind: 'postponed'; readonly until: number }
  /** deleted while a push began to use it, and restored */
  | { readonly kind: 'restored' }
  /** nothing is deleted in its repository, whose `refusal` says why; in a dry-run: a real run would delete nothing there */
  | { readonly kind: 'refused' };

/** By digest, in the order in which they were known: that of the deletes, after a sweep. */
export type Fates = ReadonlyMap<Digest, Fate>;

/** Numbers of what was asked for after a sweep: kept tags, and children of the indexes behind them. */
export interface Verified {
  readonly tags: number;
  readonly children: number;
}

/** The result of a sweep, with that of `verify` afterwards. */
export interface Outcome {
  /** one of each orphan of the plan */
  readonly fates: Fates;
  /**
   * All that `verify` found broken and could not restore: kept tags or children that no longer resolve, and manifests
   * that were deleted with them, such as their signatures.
   */
  readonly broken: readonly { readonly what: string; readonly why: string }[];
  /** absent when nothing was deleted, `verify` is off, or it was cut short */
  readonly verified?: Verified;
  /** whether something was deleted and the run had to stop before it could verify what was kept */
  readonly unverified: boolean;
  /**
   * Why nothing can restore a manifest that was deleted, or may have been: the registry has freed its blobs with it, or
   * those of a manifest that it lists. By manifest; safe to print. Absent without a sweep.
   */
  readonly final?: ReadonlyMap<Digest, string>;
}

/** A real run that ended before it came to this manifest must not look as if it had deleted it. */
const NOT_TRIED: Fate = { kind: 'skipped', why: 'the run ended before its turn came' };

/** The fates of a plan that no sweep carried out. */
export function fatesWithoutSweep(
  { orphans }: Pick<Plan, 'orphans'>,
  { dryRun, isRefused }: { readonly dryRun: boolean; readonly isRefused: boolean },
): Fates {
  const fate: Fate = isRefused ? { kind: 'refused' } : dryRun ? { kind: 'planned' } : NOT_TRIED;
  return new Map(orphans.map(({ digest }) => [digest, fate]));
}

export interface Judged {
  readonly orphan: Orphan;
  readonly fate: Fate;
}

/** The orphans in the order of the plan, each with its fate. */
export function judge({
  plan,
  fates,
}: {
  readonly plan: Pick<Plan, 'orphans'>;
  readonly fates: Fates;
}): readonly Judged[] {
  return plan.orphans.map((orphan) => ({ orphan, fate: fates.get(orphan.digest) ?? NOT_TRIED }));
}

/** Those with a fate of these kinds, in the order of the map. */
export function digestsWith(fates: Fates, ...kinds: readonly Fate['kind'][]): Digest[] {
  return [...fates].flatMap(([digest, { kind }]) => (kinds.includes(kind) ? [digest] : []));
}

/** Whether it is in the registry no longer: deleted, or gone already. */
export function isGone(fate: Fate | undefined): boolean {
  return fate?.kind === 'deleted' || fate?.kind === 'gone';
}

/** Deleted by this run, or in a dry-run: what a real run would delete. */
export function isFreed({ kind }: Fate): boolean {
  return kind === 'deleted' || kind === 'planned';
}

/** Should have been deleted, and is still there. */
export function isFailed({ kind }: Fate): boolean {
  return kind === 'failed' || kind === 'skipped';
}

/** Whether it is kept as a part of what no run can delete, directly or with others that are. */
export function staysWithUndeletable(fates: Fates, fate: Fate): boolean {
  if (fate.kind !== 'kept') {
    return false;
  }
  const seen = new Set<Fate>();
  let each: Fate | undefined = fate;
  // Reasons of several rechecks could point at each other.
  while (each?.kind === 'kept' && 'of' in each.reason && !seen.has(each)) {
    seen.add(each);
    each = fates.get(each.reason.of);
  }
  return each?.kind === 'undeletable';
}
