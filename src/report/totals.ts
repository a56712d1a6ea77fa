/** A run in numbers. Summary, outputs and JSON report take theirs from here and count nothing themselves. */
import { freedBytes } from './bytes.js';
import { isFailed, judge, type Fate } from '../plan/fate.js';
import { isPassedByPlan } from './refusals.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { count, number } from '../text/words.js';

export interface Counts {
  /** tags that resolved, digest tags too */
  readonly tags: number;
  /** that were read: nothing is known of others */
  readonly manifests: number;
  /** of the plan: also those that the recheck kept */
  readonly orphansFound: number;
  readonly deleted: number;
  /** a dry-run's: what a real run would delete */
  readonly planned: number;
  /** lost by the registry before their turn came: neither deleted nor failed */
  readonly gone: number;
  /** in use at the recheck; counted in `kept` as well */
  readonly keptAfterRecheck: number;
  /** should have gone and didn't: the delete was refused, unanswered, or not tried */
  readonly failed: number;
  /** nothing is deleted in their repository, by a decision of this action; in a real run counted in `failed` as well */
  readonly refused: number;
  /** deleted while a push began to use them, and put back; counted in `kept` as well */
  readonly restored: number;
  /** kept tags or children that no longer resolved after the sweep */
  readonly broken: number;
  readonly kept: number;
  readonly gaps: number;
}

export interface Totals extends Counts {
  readonly repositories: number;
  /** repositories with at least one freed manifest */
  readonly repositoriesFreed: number;
  /** repositories with at least one orphan of the plan */
  readonly repositoriesWithOrphans: number;
  /** repositories with a gap */
  readonly repositoriesIncomplete: number;
  /** repositories that were to be looked at and were not; in none of the other numbers */
  readonly repositoriesUnread: number;
  /** repositories in which nobody looked, after the deletes, whether what was kept is still there */
  readonly repositoriesUnverified: number;
  /** of `refused`: `apply-plan` does not pass over the reason */
  readonly withoutRights: number;
  readonly freedBytes: number;
  readonly freedBytesAtMost: boolean;
  readonly freedBytesByRepository: ReadonlyMap<string, number>;
}

export function countRepository(repository: RepositoryRun, dryRun: boolean): Counts {
  const { inventory, plan, broken, repair } = repository;
  const judged = judge(repository);
  const of = (kind: Fate['kind']) => judged.filter(({ fate }) => fate.kind === kind).length;
  const [keptAfterRecheck, refused, restored] = [of('kept'), of('refused'), of('restored')];
  return {
    tags: inventory.tags.size,
    manifests: inventory.manifests.size,
    orphansFound: plan.orphans.length,
    deleted: of('deleted'),
    planned: of('planned'),
    gone: of('gone'),
    keptAfterRecheck,
    failed: judged.filter(({ fate }) => isFailed(fate)).length + (dryRun ? 0 : refused),
    refused,
    restored,
    broken:
      broken.length + (repair === undefined ? 0 : repair.failed.length + repair.failedTags.length),
    kept: plan.keep.length + keptAfterRecheck + restored,
    gaps: inventory.gaps.length,
  };
}

/** Summary, outputs and JSON ask for the same numbers; a run of a million manifests takes seconds. */
const counted = new WeakMap<Run, Totals>();

export function totals(run: Run): Totals {
  const sums = counted.get(run) ?? countRun(run);
  counted.set(run, sums);
  return sums;
}

function countRun(run: Run): Totals {
  const counts = run.repositories.map((repository) =>
    countRepository(repository, run.settings.dryRun),
  );
  const sum = (key: keyof Counts) => counts.reduce((all, one) => all + one[key], 0);
  const bytes = freedBytes(run);
  return {
    repositories: run.repositories.length,
    repositoriesFreed: counts.filter(({ deleted, planned }) => deleted + planned > 0).length,
    repositoriesWithOrphans: counts.filter(({ orphansFound }) => orphansFound > 0).length,
    repositoriesIncomplete: counts.filter(({ gaps }) => gaps > 0).length,
    repositoriesUnread: run.unread,
    repositoriesUnverified: run.repositories.filter(({ unverified }) => unverified).length,
    withoutRights: run.repositories
      .filter(({ refusal }) => refusal !== undefined && !isPassedByPlan(refusal))
      .reduce((all, { plan }) => all + plan.orphans.length, 0),
    tags: sum('tags'),
    manifests: sum('manifests'),
    orphansFound: sum('orphansFound'),
    deleted: sum('deleted'),
    planned: sum('planned'),
    gone: sum('gone'),
    keptAfterRecheck: sum('keptAfterRecheck'),
    failed: sum('failed'),
    refused: sum('refused'),
    restored: sum('restored'),
    broken: sum('broken'),
    kept: sum('kept'),
    gaps: sum('gaps'),
    freedBytes: bytes.total,
    freedBytesAtMost: bytes.atMost,
    freedBytesByRepository: bytes.byRepository,
  };
}

/** Something that was to stay broke, or may have: a garbage collection could free what it needs. */
export function isInDoubt({ broken, repositoriesUnverified }: Totals): boolean {
  return broken + repositoriesUnverified > 0;
}

/** In how many repositories nobody knows what is an orphan, in words; `undefined` where all were read whole. */
export function unreadRepositories(sums: Totals): string | undefined {
  const { repositories, repositoriesIncomplete: incomplete, repositoriesUnread: unread } = sums;
  const all = count(repositories + unread, 'repository', 'repositories');
  if (unread > 0) {
    const others = incomplete === 0 ? '' : `, and ${number(incomplete)} could not be read whole`;
    return `${number(unread)} of ${all} ${unread === 1 ? 'was' : 'were'} not read${others}`;
  }
  return incomplete === 0 ? undefined : `${number(incomplete)} of ${all} could not be read whole`;
}
