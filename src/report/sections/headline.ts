/** The first lines of the summary: the numbers, and what kind of run this was. */
import { firstRunHint } from '../first-run.js';
import { verifiedNote } from '../notes.js';
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import type { Run } from '../../run/run.js';
import { isInDoubt, partOf, remainder, unreadRepositories, type Totals } from '../totals.js';
import { problems } from '../problems.js';
import { quotaEnd } from '../warnings.js';
import { count, duration, number, size } from '../../text/words.js';

/** One sentence; what it counts as problems is listed right below it. An image that broke comes before all else. */
export function headline(run: Run, sums: Totals): string {
  const wrong = problems(run).length;
  const said = broken(sums) + restoredBefore(run) + result(run, sums);
  return wrong === 0 ? said : `${said} (with ${count(wrong, 'problem')})`;
}

/** Several parts of one image may be broken. */
function broken(sums: Totals): string {
  if (sums.broken === 0) {
    return '';
  }
  const what = sums.broken === 1 ? '1 image' : `${number(sums.broken)} images or parts of images`;
  return `${what} broke: see "Problems". `;
}

function restoredBefore({ repositories, settings: { dryRun } }: Run): string {
  const restored = repositories.reduce(
    (sum, { repair }) => sum + (repair?.restored.length ?? 0),
    0,
  );
  const did = dryRun ? 'Would restore' : 'Restored';
  return restored === 0 ? '' : `${did} ${count(restored, 'manifest')} of an earlier run. `;
}

function result(run: Run, sums: Totals): string {
  const { deleted, planned, gone, restored, refused, orphansFound } = sums;
  const where = `in ${count(sums.repositoriesFreed, 'repository', 'repositories')}`;
  const bytes = `${sums.freedBytesAtMost ? 'at most ' : ''}${size(sums.freedBytes)}`;
  if (run.settings.planFile !== undefined && orphansFound > 0) {
    const manifests = `${count(orphansFound, 'orphan manifest')} in ${count(sums.repositoriesWithOrphans, 'repository', 'repositories')}`;
    return refused === 0
      ? `The plan lists ${manifests}: ${bytes} would be freed`
      : `The plan lists ${manifests}; a run without it would delete ${planned === 0 ? 'none' : number(planned)} of them`;
  }
  if (refused > 0 && refused === orphansFound && sums.withoutRights === 0) {
    const verb = run.settings.dryRun ? 'Would refuse' : 'Refused';
    const most = sums.freedBytesAtMost ? 'at most ' : '';
    return `${verb} to delete ${count(refused, 'orphan manifest')} in ${count(sums.repositoriesWithOrphans, 'repository', 'repositories')}: ${most}${size(sums.refusedBytes)} ${run.settings.dryRun ? 'would stay' : 'stay'}`;
  }
  const [verb, some, others, will] = run.settings.dryRun
    ? ['Would delete', planned, refused, 'would']
    : ['Deleted', deleted, remainder(sums), 'will'];
  if (some + others > 0) {
    const freed = some === 0 ? '' : ` ${where}: ${bytes} ${will} be freed`;
    return `${verb} ${partOf(some, others, 'orphan manifest')}${freed}${refusal(run, sums)}${withoutFailure(sums)}`;
  }
  if (restored > 0) {
    return `Deleted nothing for good: ${count(restored, 'manifest')} came into use meanwhile and ${restored === 1 ? 'was' : 'were'} restored`;
  }
  if (orphansFound > 0) {
    return gone === orphansFound
      ? `${count(gone, 'orphan manifest')} found, already gone when ${gone === 1 ? 'its' : 'their'} turn came`
      : `Deleted nothing: the recheck left none of ${count(orphansFound, 'orphan manifest')} to delete`;
  }
  return withoutOrphans(run, sums);
}

/** A brake, or missing rights, held. */
function refusal({ settings: { dryRun } }: Run, { refused, withoutRights }: Totals): string {
  const byBrake = refused - withoutRights;
  const refuses = dryRun ? 'would refuse' : 'refused';
  return [
    byBrake > 0 && `; ${refuses} to delete ${number(byBrake)}`,
    withoutRights > 0 && `; the registry ${refuses} ${number(withoutRights)}`,
  ]
    .filter((part) => part !== false)
    .join('');
}

/** The orphans that a real run did not delete, and that are no failures. */
function withoutFailure({ undeletable, postponed }: Totals): string {
  return [
    undeletable > 0 && `; ${number(undeletable)} can't be deleted`,
    postponed > 0 &&
      `; ${number(postponed)} ${postponed === 1 ? 'is' : 'are'} left for a later run`,
  ]
    .filter((part) => part !== false)
    .join('');
}

/** "0 orphans" must never mean "could not look". */
function withoutOrphans(run: Run, sums: Totals): string {
  const unread = unreadRepositories(sums);
  if (unread !== undefined) {
    const { repositories, repositoriesIncomplete } = sums;
    const others = repositories - repositoriesIncomplete;
    const none =
      run.applied === undefined ? 'no orphans' : 'nothing of the plan is an orphan any more';
    const rest =
      others === 0 ? '' : `; ${none} in the other${others === 1 ? '' : ` ${number(others)}`}`;
    return `${run.settings.dryRun ? 'Would delete nothing' : 'Deleted nothing'}: ${unread}${rest}`;
  }
  if (run.applied !== undefined) {
    return nothingOfThePlan(run, run.applied);
  }
  return sums.repositories === 0
    ? 'No repository was scanned'
    : `No orphans among the ${count(sums.manifests, 'manifest')} that could be seen`;
}

/** The headline where nothing of the plan that was carried out is an orphan any more. */
function nothingOfThePlan(run: Run, { ignored }: NonNullable<Run['applied']>): string {
  const said = run.repositories.reduce((sum, { approved }) => sum + (approved?.size ?? 0), 0);
  if (said > 0) {
    const none = said === 1 ? 'the one manifest' : `none of the ${count(said, 'manifest')}`;
    return `Nothing to delete: ${none} of the plan is ${said === 1 ? 'no' : 'an'} orphan any more`;
  }
  return ignored > 0
    ? 'This run read no repository of the plan'
    : 'Nothing to delete: the plan is empty';
}

function undeletable({ undeletable: refused, keptWithUndeletable: parts }: Totals): string[] {
  const stay = parts === 1 ? 'stays' : 'stay';
  const others =
    parts === 0 ? '' : `, and ${count(parts, 'part')} of ${refused === 1 ? 'it' : 'them'} ${stay}`;
  return refused === 0
    ? []
    : [`No run can delete ${count(refused, 'orphan')}${others}: see "Warnings".`];
}

export function headlineSection(run: Run, sums: Totals): Section {
  const read = `${count(sums.manifests, 'manifest')} and ${count(sums.tags, 'tag')} in ${count(sums.repositories, 'repository', 'repositories')}`;
  const effort = `${count(run.requests, 'request')} in ${duration(run.finishedAt - run.startedAt)}`;
  const span = (time: number) => (time === 0 ? 'off' : duration(time));
  const { gracePeriod, unusedFor } = run.settings;
  const wait = isInDoubt(sums) ? ' Solve the problems before it does that.' : '';
  const until = quotaEnd(run);
  const inUse = sums.keptAfterRecheck - sums.keptWithUndeletable;
  const isNamed = [...run.intake.candidates.values()].some((digests) => digests.size > 0);
  const isBlind = !isNamed && (run.ledger?.remembered ?? 0) === 0;
  const found = sums.orphansFound > 0 || run.applied !== undefined;
  const verified = verifiedNote(run);
  const notes = [
    run.settings.dryRun && '**Dry run:** nothing was deleted.',
    `${code(run.settings.registry.origin)}: read ${read}, with ${effort}. Grace period: ${span(gracePeriod)}; unused for: ${span(unusedFor)}.`,
    sums.planned + sums.deleted > 0 &&
      `The disk space comes back once the registry has collected its garbage.${wait}`,
    sums.deleted + remainder(sums) > 0 &&
      sums.gone > 0 &&
      `${count(sums.gone, 'orphan')} had gone already when the turn came.`,
    verified !== undefined && `${verified}.`,
    inUse > 0 && `${count(inUse, 'orphan')} came into use during the run and stayed.`,
    ...undeletable(sums),
    until !== undefined &&
      `${count(sums.postponed, 'orphan')} ${sums.postponed === 1 ? 'waits' : 'wait'} for a later run: the quota of requests is used up until ${until}.`,
    // With a plan file, the section of the plan says it.
    run.settings.dryRun &&
      run.settings.planFile === undefined &&
      sums.refused > 0 &&
      `A real run would leave ${count(sums.refused, 'orphan')}: see "What would hold a real run back".`,
    !found &&
      isBlind &&
      run.untaggedListing === 'none' &&
      sums.repositories > 0 &&
      '\n> [!NOTE]\n> This does not mean that there are none: see "What could not be seen".',
  ].filter((note) => note !== false);
  const hint = firstRunHint(run);
  notes.push(...(hint === undefined ? [] : [`\n${hint}`]));
  return { before: `## ${headline(run, sums)}\n\n${notes.join('\n')}\n` };
}
