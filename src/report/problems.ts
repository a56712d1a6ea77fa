/** The problems that make a job red, and the reasons why a real run would delete nothing. */
import { coded, type Code } from '../text/code.js';
import { printable } from '../text/printable.js';
import type { RepositoryRefusal } from '../plan/brakes.js';
import { digestsWith, judge } from '../plan/fate.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { count, shortDigest } from '../text/words.js';

export interface Problem {
  /**
   * Worst first: an image that broke, one that broke and was restored, the run itself, a repository in which nothing
   * is deleted, something unread, a manifest that stayed.
   */
  readonly kind: 'broken' | 'restored' | 'run' | 'refused' | 'gap' | 'delete' | 'skipped';
  readonly repository?: string;
  /** in a dry-run: a real run does not refuse this, but tries it and fails */
  readonly isTried?: true | undefined;
  /** what happened, without the repository's name: one line of plain text, safe for a log; it ends with its code */
  readonly what: string;
}

/** Longer than any sentence worth reading in an annotation. */
export const SENTENCE = 500;

/** The codes of problems that quote no cause with a code of its own. */
const CODES: Readonly<Record<Problem['kind'], Code>> = {
  broken: 'image-broken',
  restored: 'restored-after-push',
  run: 'run-failed',
  refused: 'deletes-refused',
  gap: 'gap-found',
  delete: 'delete-failed',
  skipped: 'delete-not-tried',
};

const REFUSED: Readonly<Record<RepositoryRefusal['kind'], Code>> = {
  'no-tags': 'no-tag-left',
  share: 'share-over-limit',
  count: 'count-over-limit',
  'no-deletes': 'deletes-refused',
  'no-rights': 'delete-right-missing',
};

/** Everything that makes the job red, worst first, then by repository. */
export function problems(run: Run): readonly Problem[] {
  const { dryRun } = run.settings;
  const each = (find: (repository: RepositoryRun) => readonly Problem[]) =>
    repositoriesByName(run).flatMap((one) =>
      find(one).map((problem) => ({ ...problem, repository: one.inventory.repository })),
    );
  const found: Problem[] = [
    ...each(brokenImages),
    ...each(unrepaired),
    ...each(restored),
    ...each((repository) => repaired(repository, dryRun)),
    ...run.failures.map((what) => ({ kind: 'run' as const, what })),
    ...each(unverified),
    ...(dryRun ? [] : refusals(run)),
    ...each(unread),
    ...each(failedDeletes),
  ];
  return found.map((problem) => ({
    ...problem,
    what: coded(problem.what, CODES[problem.kind], SENTENCE),
  }));
}

/** The reasons why nothing is deleted in some repositories; warnings in a dry-run. A reason of the whole run is listed once. */
export function refusals(run: Run): readonly Problem[] {
  const found = new Map<string, Problem>();
  for (const each of repositoriesByName(run)) {
    const { inventory, refusal } = each;
    if (refusal !== undefined) {
      const what = coded(whyRefused(refusal, each, run), REFUSED[refusal.kind], SENTENCE);
      // These two are about one repository. The others name it themselves, or are about the whole run.
      const isLocal = refusal.kind === 'no-tags' || refusal.kind === 'share';
      const repository = isLocal ? inventory.repository : undefined;
      const isTried = refusal.kind === 'no-rights' || undefined;
      found.set(repository ?? what, { kind: 'refused', repository, isTried, what });
    }
  }
  return [...found.values()];
}

/** One problem with the repository's name in front, as an annotation says it. */
export function sentence(problem: Problem): string {
  return problem.repository === undefined
    ? problem.what
    : `${printable(problem.repository, 255)}: ${problem.what}`;
}

function brokenImages({ broken }: RepositoryRun): Problem[] {
  return broken.map(({ what, why }) => ({
    kind: 'broken',
    // The advice comes first: the cause may be long, and is cut.
    what:
      `${what} no longer resolves after the clean-up. Before the registry collects its garbage, push that image ` +
      `again, or run with \`restore-from\` the backup. Cause: ${why}`,
  }));
}

function restored({ fates }: RepositoryRun): Problem[] {
  return digestsWith(fates, 'restored').map((digest) => ({
    kind: 'restored',
    what:
      `${shortDigest(digest)} was deleted at the moment when a push began to use it, and was restored. ` +
      'Give pushes and this clean-up the same `concurrency:` group',
  }));
}

const BY_EARLIER = 'an earlier run deleted it, or was about to';

function unrepaired({ repair }: RepositoryRun): Problem[] {
  const all = [
    ...(repair?.failed ?? []).map(({ digest, why }) => [`manifest ${digest}`, why] as const),
    ...(repair?.failedTags ?? []).map(({ tag, why }) => [`tag ${tag}`, why] as const),
  ];
  return all.map(([what, why]) => ({
    kind: 'broken',
    what: coded(
      `${what} is needed and gone: ${BY_EARLIER}. Push that image again, since it can't be restored from the ledger: ${why}`,
      'ledger-restore-failed',
    ),
  }));
}

function repaired({ repair }: RepositoryRun, dryRun: boolean): Problem[] {
  const done = dryRun
    ? 'A real run restores it from the ledger'
    : 'It was restored from the ledger. Give pushes and this clean-up the same `concurrency:` group';
  return (repair?.restored ?? []).map((digest) => ({
    kind: 'restored',
    what: coded(
      `${shortDigest(digest)} was needed and gone: ${BY_EARLIER}. ${done}`,
      'restored-from-ledger',
    ),
  }));
}

function unverified({ unverified: isUnverified }: RepositoryRun): Problem[] {
  const what =
    'the run was told to stop before it could check that the kept manifests are still there. Check that before the ' +
    'registry collects its garbage: the backup has the deleted manifests';
  return isUnverified ? [{ kind: 'run', what: coded(what, 'sweep-not-verified') }] : [];
}

function unread({ inventory: { gaps } }: RepositoryRun): Problem[] {
  return gaps.map(({ what, why }) => ({ kind: 'gap', what: `${what} couldn't be read: ${why}` }));
}

/** Those that were not tried are counted together by cause, as one refusal may stop hundreds. */
function failedDeletes(repository: RepositoryRun): Problem[] {
  const failed: Problem[] = [];
  const skipped = new Map<string, number>();
  for (const { orphan, fate } of judge(repository)) {
    if (fate.kind === 'failed') {
      const what = `${shortDigest(orphan.digest)} couldn't be deleted: ${fate.why}`;
      failed.push({ kind: 'delete', what });
    } else if (fate.kind === 'skipped') {
      skipped.set(fate.why, (skipped.get(fate.why) ?? 0) + 1);
    }
  }
  const causes = [...skipped].map(([why, orphans]): Problem => {
    return { kind: 'skipped', what: `${count(orphans, 'orphan')} not deleted (${why})` };
  });
  return [...failed, ...causes];
}
