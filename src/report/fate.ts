/**
 * What became of each orphan of a plan. The one place where plan and outcome are joined, so that
 * summary, outputs and JSON can't disagree about a manifest.
 */
import type { KeepReason } from '../plan/reasons.js';
import type { Orphan } from '../plan/plan.js';
import type { Digest } from '../oci/digest.js';
import type { RepositoryRun } from '../run/run.js';

export type Fate =
  /** a dry-run: a real run would delete it */
  | { readonly kind: 'planned' }
  | { readonly kind: 'deleted' }
  /** the registry had lost it already when its turn came */
  | { readonly kind: 'gone' }
  /** a second look, right before the first delete, found it in use */
  | { readonly kind: 'spared'; readonly reason: KeepReason }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'skipped'; readonly why: string }
  /** deleted while a push began to use it, and put back */
  | { readonly kind: 'healed' }
  /** nothing is deleted in its repository, whose `refusal` says why; of a dry-run: a real run would delete nothing there */
  | { readonly kind: 'refused' };

export interface Judged {
  readonly orphan: Orphan;
  readonly fate: Fate;
}

const PLANNED: Fate = { kind: 'planned' };
const DELETED: Fate = { kind: 'deleted' };
const HEALED: Fate = { kind: 'healed' };
const GONE: Fate = { kind: 'gone' };
const REFUSED: Fate = { kind: 'refused' };
/** A real run that ended before it came to this manifest must not look as if it had deleted it. */
const NOT_TRIED: Fate = { kind: 'skipped', why: 'the run ended before its turn came' };

/** The orphans in the order of the plan, each with its fate. */
export function judge(repository: RepositoryRun, dryRun: boolean): readonly Judged[] {
  const { plan, outcome, refusal } = repository;
  if (refusal !== undefined) {
    return plan.orphans.map((orphan) => ({ orphan, fate: REFUSED }));
  }
  if (dryRun) {
    return plan.orphans.map((orphan) => ({ orphan, fate: PLANNED }));
  }
  const fates = new Map<Digest, Fate>();
  outcome?.deleted.forEach((digest) => fates.set(digest, DELETED));
  outcome?.healed.forEach((digest) => fates.set(digest, HEALED));
  outcome?.gone.forEach((digest) => fates.set(digest, GONE));
  outcome?.spared.forEach(({ digest, reason }) => fates.set(digest, { kind: 'spared', reason }));
  outcome?.failed.forEach(({ digest, why }) => fates.set(digest, { kind: 'failed', why }));
  outcome?.skipped.forEach(({ digest, why }) => fates.set(digest, { kind: 'skipped', why }));
  return plan.orphans.map((orphan) => ({ orphan, fate: fates.get(orphan.digest) ?? NOT_TRIED }));
}

/** Deleted by this run, or in a dry-run: what a real run would delete. */
export function isFreed(fate: Fate): boolean {
  return fate.kind === 'deleted' || fate.kind === 'planned';
}

/** Should have gone, and is still there. */
export function isFailed(fate: Fate): boolean {
  return fate.kind === 'failed' || fate.kind === 'skipped';
}
