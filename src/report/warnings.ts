/** The warnings that follow from the fates of orphans. None of them makes the job red. */
import { judge } from '../plan/fate.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { coded } from '../text/code.js';
import { count, timeOfDay } from '../text/words.js';
import { SENTENCE } from './problems.js';

/** The registry's reason and advice, behind a name and a whole digest. */
const LENGTH = 2 * SENTENCE;

/** At most one, of the run: single lines of plain text, safe for a log. */
export function quotaWarnings(run: Run): readonly string[] {
  const ends = run.repositories
    .flatMap(({ fates }) => [...fates.values()])
    .flatMap((fate) => (fate.kind === 'postponed' ? [fate.until] : []));
  if (ends.length === 0) {
    return [];
  }
  const until = timeOfDay(ends.reduce((a, b) => Math.max(a, b)));
  const are = ends.length === 1 ? 'is' : 'are';
  const what =
    `${count(ends.length, 'orphan')} ${are} left: ${run.family}'s quota of requests is used up until ${until}. ` +
    'Run this again after that: it goes on where this run stopped';
  return [coded(what, 'quota-used-up')];
}

/** One for each manifest that no run can delete, with its repository's name: single lines of plain text, safe for a log. */
export function undeletableWarnings(repository: RepositoryRun): readonly string[] {
  const { repository: name } = repository.inventory;
  return judge(repository).flatMap(({ orphan, fate }) =>
    fate.kind === 'undeletable'
      ? [coded(`${name}@${orphan.digest} can't be deleted: ${fate.why}`, 'undeletable', LENGTH)]
      : [],
  );
}
