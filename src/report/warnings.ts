/** The warnings that follow from the fates of orphans. None of them makes the job red. */
import { judge } from '../plan/fate.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { coded, withoutCodes } from '../text/code.js';
import { count, timeOfDay } from '../text/words.js';
import { SENTENCE } from './problems.js';
import { totals } from './totals.js';

/** The registry's reason and advice, behind a name and a whole digest. */
const LENGTH = 2 * SENTENCE;

/** The time of day at which the registry's quota begins again; `undefined` where it was enough. */
export function quotaEnd({ repositories }: Run): string | undefined {
  let end: number | undefined;
  for (const { fates } of repositories) {
    for (const fate of fates.values()) {
      end = fate.kind === 'postponed' ? Math.max(fate.until, end ?? 0) : end;
    }
  }
  return end === undefined ? undefined : timeOfDay(end);
}

/** At most one, of the run: a single line of plain text, safe for a log. */
export function quotaWarnings(run: Run): readonly string[] {
  const until = quotaEnd(run);
  if (until === undefined) {
    return [];
  }
  const { postponed } = totals(run);
  const what =
    `${count(postponed, 'orphan')} ${postponed === 1 ? 'is' : 'are'} left: ${run.family}'s quota of requests is used up ` +
    `until ${until}. Run this again after that: it goes on where this run stopped`;
  return [coded(what, 'quota-used-up')];
}

/** The warnings of one repository, with its name: single lines of plain text, safe for a log. */
export function repositoryWarnings(repository: RepositoryRun): readonly string[] {
  return [...undeletableWarnings(repository), ...finalWarnings(repository)];
}

/** At most one. */
function finalWarnings({ inventory, final }: RepositoryRun): readonly string[] {
  const [why] = final?.values() ?? [];
  if (final === undefined || why === undefined) {
    return [];
  }
  const what =
    `${inventory.repository}: the delete of ${count(final.size, 'manifest')} is final. The registry frees layers with ` +
    `their manifest, and did not keep them: ${withoutCodes(why)}`;
  return [coded(what, 'delete-final', LENGTH)];
}

/** One for each manifest that no run can delete. */
function undeletableWarnings(repository: RepositoryRun): readonly string[] {
  const { repository: name } = repository.inventory;
  return judge(repository).flatMap(({ orphan, fate }) =>
    fate.kind === 'undeletable'
      ? [coded(`${name}@${orphan.digest} can't be deleted: ${fate.why}`, 'undeletable', LENGTH)]
      : [],
  );
}
