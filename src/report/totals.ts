/** A run in numbers. Summary, outputs and JSON report take theirs from here and count nothing themselves. */
import { freedBytes } from './bytes.js';
import { isFailed, judge, staysWithUndeletable, type Fate } from '../plan/fate.js';
import { isPassedByPlan } from './refusals.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { count, number } from '../text/words.js';

/** The counts of nothing, which say what is counted. */
const NOTHING = {
  /** tags that resolved, digest tags too */
  tags: 0,
  /** that were read or are listed: nothing is known of others */
  manifests: 0,
  /** of the plan: also those that the recheck kept */
  orphansFound: 0,
  deleted: 0,
  /** a dry-run's: what a real run would delete */
  planned: 0,
  /** lost by the registry before their turn came: neither deleted nor failed */
  gone: 0,
  /** in use at the recheck, or parts of an undeletable one; counted in `kept` as well */
  keptAfterRecheck: 0,
  /** should have gone and didn't: the delete was refused, unanswered, or not tried */
  failed: 0,
  /** the registry refuses them for good, for a reason that lies in each alone; neither failed nor kept */
  undeletable: 0,
  /** left for a later run, since the registry's quota is used up; neither failed nor kept */
  postponed: 0,
  /** nothing is deleted in their repository, by a decision of this action; in a real run counted in `failed` as well */
  refused: 0,
  /** deleted while a push began to use them, and restored; counted in `kept` as well */
  restored: 0,
  /** kept tags or children that no longer resolved after the sweep */
  broken: 0,
  kept: 0,
  gaps: 0,
};

export type Counts = Readonly<typeof NOTHING>;
export type Totals = Readonly<ReturnType<typeof countRun>>;

export const COUNTS = Object.keys(NOTHING) as (keyof Counts)[];

export function countRepository(repository: RepositoryRun, dryRun: boolean): Counts {
  const { inventory, plan, broken, repair } = repository;
  const judged = judge(repository);
  const unread = inventory.unread?.size ?? 0;
  const of = (kind: Fate['kind']) => judged.filter(({ fate }) => fate.kind === kind).length;
  const [keptAfterRecheck, refused, restored] = [of('kept'), of('refused'), of('restored')];
  return {
    tags: inventory.tags.size,
    manifests: inventory.manifests.size + unread,
    orphansFound: plan.orphans.length,
    deleted: of('deleted'),
    planned: of('planned'),
    gone: of('gone'),
    keptAfterRecheck,
    failed: judged.filter(({ fate }) => isFailed(fate)).length + (dryRun ? 0 : refused),
    undeletable: of('undeletable'),
    postponed: of('postponed'),
    refused,
    restored,
    broken: broken.length + (repair?.failed.length ?? 0) + (repair?.failedTags.length ?? 0),
    kept: plan.keep.length + unread + keptAfterRecheck + restored,
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

function countRun(run: Run) {
  const counts = run.repositories.map((repository) =>
    countRepository(repository, run.settings.dryRun),
  );
  const sums = { ...NOTHING };
  for (const key of COUNTS) {
    sums[key] = counts.reduce((all, one) => all + one[key], 0);
  }
  const bytes = freedBytes(run);
  const refused = freedBytes(run, ({ kind }) => kind === 'refused');
  return {
    ...sums,
    repositories: run.repositories.length,
    /** repositories with at least one freed manifest */
    repositoriesFreed: counts.filter(({ deleted, planned }) => deleted + planned > 0).length,
    /** repositories with at least one orphan of the plan */
    repositoriesWithOrphans: counts.filter(({ orphansFound }) => orphansFound > 0).length,
    /** repositories with a gap */
    repositoriesIncomplete: counts.filter(({ gaps }) => gaps > 0).length,
    /** repositories that were to be read and were not; in none of the other numbers */
    repositoriesUnread: run.unread,
    /** repositories in which nobody checked, after the deletes, whether what was kept is still there */
    repositoriesUnverified: run.repositories.filter(({ unverified }) => unverified).length,
    /** of `refused`: `apply-plan` does not ignore the reason */
    withoutRights: run.repositories
      .filter(({ refusal }) => refusal !== undefined && !isPassedByPlan(refusal))
      .reduce((all, { plan }) => all + plan.orphans.length, 0),
    /** of `keptAfterRecheck`: parts of an undeletable one */
    keptWithUndeletable: run.repositories.flatMap(({ fates }) =>
      [...fates.values()].filter((fate) => staysWithUndeletable(fates, fate)),
    ).length,
    freedBytes: bytes.total,
    freedBytesAtMost: bytes.atMost,
    freedBytesByRepository: bytes.byRepository,
    /** what the refused ones would free as well */
    refusedBytes: refused.total,
    refusedBytesByRepository: refused.byRepository,
  };
}

/** The orphans of a real run that are still there, without those that came into use. */
export function remainder({ failed, undeletable, keptWithUndeletable, postponed }: Totals): number {
  return failed + undeletable + keptWithUndeletable + postponed;
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

/** `3 manifests`, `2 of 3 manifests`, `none of 3 manifests` */
export function partOf(some: number, others: number, noun: string): string {
  const all = count(some + others, noun);
  return others === 0 ? all : `${some === 0 ? 'none' : number(some)} of ${all}`;
}
