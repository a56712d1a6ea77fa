/** Lines of the job's log about the run as a whole. Plain text on one line each. */
import type { Approval } from '../plan/approval.js';
import type { Run } from '../run/run.js';
import { finalDeletes, isRestorable } from './sections/aftermath.js';
import { totals } from './totals.js';
import { refusals, sentence } from './problems.js';
import { count, duration, moment, number } from '../text/words.js';

/** Said before anything is read. */
export function approvalNote(plan: Approval, file: string, now: number): string {
  // A file can claim any time.
  const old = now - plan.createdAt;
  const made = old >= 0 ? `, made ${duration(old)} ago,` : '';
  const manifests = [...plan.repositories.values()].reduce((sum, { size }) => sum + size, 0);
  return (
    `apply-plan: the plan in ${file}${made} lists ${count(manifests, 'manifest')} in ` +
    `${count(plan.repositories.size, 'repository', 'repositories')}. Only those that are still orphans are to be deleted`
  );
}

/** The note of a run that wrote its plan. */
export function planFileNote(run: Run): string | undefined {
  const { orphansFound } = totals(run);
  return run.settings.planFile === undefined
    ? undefined
    : `the plan of ${count(orphansFound, 'manifest')} was written to ${run.settings.planFile}`;
}

/** What was asked for again after the deletes; `undefined` where nothing was. Plain text that is safe in Markdown, too. */
export function verifiedNote({ repositories }: Run): string | undefined {
  const all = repositories.flatMap(({ verified }) => verified ?? []);
  const tags = all.reduce((sum, one) => sum + one.tags, 0);
  const children = all.reduce((sum, one) => sum + one.children, 0);
  const broken = repositories.reduce((sum, one) => sum + one.broken.length, 0);
  const what = [
    count(tags, 'kept tag'),
    ...(children === 0 ? [] : [count(children, 'child', 'children')]),
  ].join(' and ');
  const result = broken === 0 ? 'all there' : `${number(broken)} broken, see the problems`;
  return tags + children === 0
    ? undefined
    : `After the deletes, ${what} ${tags + children === 1 ? 'was' : 'were'} asked for again: ${result}`;
}

export function backupNote(run: Run): string | undefined {
  if (!isRestorable(run)) {
    return undefined;
  }
  const { restorableUntil, parkedFor } = run;
  const isLimited = restorableUntil !== undefined && parkedFor !== undefined;
  const until = isLimited ? `, if it comes before ${moment(restorableUntil)}` : '';
  const final = finalDeletes(run);
  const but =
    final === 0 ? '' : `. ${number(final)} of the deletes can't be undone: see the warnings`;
  return `the deleted manifests were saved in ${run.backup}: a run with restore-from restores them${until}${but}`;
}

/** The reasons why a real run would delete less than this dry-run lists. */
export function refusalNotes(run: Run): readonly string[] {
  const refuses = run.settings.planFile === undefined ? 'a real run' : 'a run without the plan';
  return refusals(run).map((refusal) =>
    refusal.isTried === true
      ? `a real run would delete nothing there: ${sentence(refusal)}`
      : `${refuses} would refuse this: ${sentence(refusal)}`,
  );
}
