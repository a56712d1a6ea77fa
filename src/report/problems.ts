/** What makes a job red, and what would keep a real run from deleting. */
import { printable } from '../text/printable.js';
import { digestsWith, judge } from '../plan/fate.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { count, shortDigest } from '../text/words.js';

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
