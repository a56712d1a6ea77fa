/**
 * A run in numbers, and the list of what makes its job red. Summary, outputs and JSON report take
 * their numbers from here and count nothing themselves.
 */
import { freedBytes } from './bytes.js';
import { digestsWith, isFailed, judge, type Fate } from '../plan/fate.js';
import { isPassedByPlan, whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { count, printable, shortDigest } from '../text/words.js';

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
  const sum = (of: (counts: Counts) => number) => counts.reduce((all, one) => all + of(one), 0);
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
    tags: sum(({ tags }) => tags),
    manifests: sum(({ manifests }) => manifests),
    orphansFound: sum(({ orphansFound }) => orphansFound),
    deleted: sum(({ deleted }) => deleted),
    planned: sum(({ planned }) => planned),
    gone: sum(({ gone }) => gone),
    keptAfterRecheck: sum(({ keptAfterRecheck }) => keptAfterRecheck),
    failed: sum(({ failed }) => failed),
    refused: sum(({ refused }) => refused),
    restored: sum(({ restored }) => restored),
    broken: sum(({ broken }) => broken),
    kept: sum(({ kept }) => kept),
    gaps: sum(({ gaps }) => gaps),
    freedBytes: bytes.total,
    freedBytesAtMost: bytes.atMost,
    freedBytesByRepository: bytes.byRepository,
  };
}

/** Something that was to stay broke, or may have: a garbage collection could free what it needs. */
export function isInDoubt({ broken, repositoriesUnverified }: Totals): boolean {
  return broken + repositoriesUnverified > 0;
}

export interface Problem {
  /**
   * Worst first: an image that broke, one that broke and was mended, the run itself, a repository in which nothing
   * is deleted, something unread, a manifest that stayed.
   */
  readonly kind: 'broken' | 'restored' | 'run' | 'refused' | 'gap' | 'delete' | 'skipped';
  readonly repository?: string;
  /** Of a dry-run: a real run does not refuse this, but tries it and fails. */
  readonly isTried?: true;
  /** what happened, without the repository's name: one line of plain text, safe for a log */
  readonly what: string;
}

/** Longer than any sentence worth reading in an annotation. */
const SENTENCE = 500;

/** Everything that makes the job red, worst first, then by repository. */
export function problems(run: Run): readonly Problem[] {
  const repositories = repositoriesByName(run);
  const each = (of: (repository: RepositoryRun) => readonly Problem[]) => repositories.flatMap(of);
  const found: Problem[] = [
    ...each(({ inventory: { repository }, broken }) =>
      broken.map(({ what, why }) => ({
        kind: 'broken' as const,
        repository,
        // What to do comes first: the reason may be long, and is cut.
        what:
          `${what} no longer resolves after the clean-up. Do not collect the registry's garbage: push that image ` +
          `again, or run with \`restore-from\` the backup. What was found: ${why}`,
      })),
    ),
    ...each(unrepaired),
    ...each(restored),
    ...each((repository) => repaired(repository, run.settings.dryRun)),
    ...run.failures.map((what) => ({ kind: 'run' as const, what })),
    ...each(unverified),
    ...(run.settings.dryRun ? [] : refusals(run)),
    ...each(({ inventory: { repository, gaps } }) =>
      gaps.map(({ what, why }) => ({
        kind: 'gap' as const,
        repository,
        what: `${what} couldn't be read: ${why}`,
      })),
    ),
    ...each(failedDeletes),
  ];
  return found.map((problem) => ({ ...problem, what: printable(problem.what, SENTENCE) }));
}

/** Why nothing is deleted in some repositories: of a dry-run, warnings. What holds for the whole run is said once. */
export function refusals(run: Run): readonly Problem[] {
  const found = new Map<string, Problem>();
  for (const repository of repositoriesByName(run)) {
    const { inventory, refusal } = repository;
    if (refusal !== undefined) {
      const what = printable(whyRefused(refusal, repository, run), SENTENCE);
      // These two are about one repository. The others name it themselves, or are about the whole run.
      const isLocal = refusal.kind === 'no-tags' || refusal.kind === 'share';
      const of = isLocal ? { repository: inventory.repository } : {};
      const tried = refusal.kind === 'no-rights' ? { isTried: true as const } : {};
      found.set(isLocal ? inventory.repository : what, { kind: 'refused', ...of, ...tried, what });
    }
  }
  return [...found.values()];
}

function restored({ inventory: { repository }, fates }: RepositoryRun): Problem[] {
  return digestsWith(fates, 'restored').map((digest) => ({
    kind: 'restored',
    repository,
    what:
      `${shortDigest(digest)} was deleted at the moment when a push began to use it, and was put back from its ` +
      'saved bytes. Give pushes and this clean-up the same `concurrency:` group',
  }));
}

const BY_EARLIER = 'an earlier run deleted it, or was about to';

function unrepaired({ inventory: { repository }, repair }: RepositoryRun): Problem[] {
  const { failed = [], failedTags = [] } = repair ?? {};
  const all = [
    ...failed.map(({ digest, why }) => ({ what: `manifest ${digest}`, why })),
    ...failedTags.map(({ tag, why }) => ({ what: `tag ${tag}`, why })),
  ];
  return all.map(({ what, why }) => ({
    kind: 'broken',
    repository,
    what: `${what} is needed and gone: ${BY_EARLIER}. Push that image again, since it can't be put back from the ledger: ${why}`,
  }));
}

function repaired(
  { inventory: { repository }, repair }: RepositoryRun,
  dryRun: boolean,
): Problem[] {
  return (repair?.restored ?? []).map((digest) => ({
    kind: 'restored',
    repository,
    what:
      `${shortDigest(digest)} was needed and gone: ${BY_EARLIER}. ` +
      (dryRun
        ? 'A real run puts it back from the ledger'
        : 'It was put back from the ledger. Give pushes and this clean-up the same `concurrency:` group'),
  }));
}

function unverified({
  inventory: { repository },
  unverified: isUnverified,
}: RepositoryRun): Problem[] {
  const what =
    'the run was told to stop before it could look whether what was kept is still there. The backup has what was ' +
    "deleted: do not collect the registry's garbage before you have looked";
  return isUnverified ? [{ kind: 'run', repository, what }] : [];
}

/** One problem with the repository's name in front, as an annotation says it. */
export function sentence(problem: Problem): string {
  return problem.repository === undefined
    ? problem.what
    : `${printable(problem.repository, 255)}: ${problem.what}`;
}

/** Each refused delete; those not tried are counted together by cause, as one refusal may stop hundreds. */
function failedDeletes(repository: RepositoryRun): readonly Problem[] {
  const name = repository.inventory.repository;
  const refused: Problem[] = [];
  const skipped = new Map<string, number>();
  for (const { orphan, fate } of judge(repository)) {
    if (fate.kind === 'failed') {
      const what = `${shortDigest(orphan.digest)} couldn't be deleted: ${fate.why}`;
      refused.push({ kind: 'delete', repository: name, what });
    } else if (fate.kind === 'skipped') {
      skipped.set(fate.why, (skipped.get(fate.why) ?? 0) + 1);
    }
  }
  const left = [...skipped].map(([why, number]) => ({
    kind: 'skipped' as const,
    repository: name,
    what: `${count(number, 'orphan')} not deleted (${why})`,
  }));
  return [...refused, ...left];
}
