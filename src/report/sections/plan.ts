/**
 * The plan that a dry-run wrote to its file, and what its approval allows; and the plan that was carried out: how
 * much of it the run did, and which of its entries are no orphans any more.
 */
import type { Section } from '../fit.js';
import { outdatedEntries, whyOutdated } from '../outdated.js';
import { code, row, tableHead } from '../../text/markdown.js';
import { repositoriesByName, type Run } from '../../run/run.js';
import { remainder, unreadRepositories, type Totals } from '../totals.js';
import { count, digits, duration, number } from '../../text/words.js';
import { list } from './list.js';

const OPEN_ROWS = 19;

export function planFileSection(run: Run, sums: Totals): Section | undefined {
  if (run.settings.planFile === undefined) {
    return undefined;
  }
  const where = `It was written to ${code(run.settings.planFile, 400)} and lists`;
  const sentences = [
    ...(sums.orphansFound === 0
      ? [`${where} nothing, so there is nothing to approve.`]
      : approved(where, sums)),
    ...(sums.repositoriesIncomplete + sums.repositoriesUnread === 0
      ? []
      : ['It has nothing of repositories that could not be read whole: see "Problems".']),
  ];
  return { before: `### The plan\n\n${sentences.join(' ')}\n` };
}

function approved(where: string, sums: Totals): readonly string[] {
  const { orphansFound, repositoriesWithOrphans, refused, withoutRights } = sums;
  const some = (part: number) =>
    orphansFound === 1 ? 'it' : `${part === orphansFound ? 'any' : number(part)} of them`;
  const onlyByPlan = refused - withoutRights;
  return [
    `${where} ${count(orphansFound, 'manifest')} in ${count(repositoriesWithOrphans, 'repository', 'repositories')}.`,
    `A run with \`apply-plan\` deletes ${orphansFound === 1 ? 'it if it is still an orphan' : 'all of them that are still orphans'} then.`,
    onlyByPlan > 0 &&
      `A run without the plan would refuse to delete ${some(onlyByPlan)}: see "What would hold a real run back".`,
    'Whoever approves the plan approves that.',
    withoutRights > 0 &&
      `These credentials can't delete ${some(withoutRights)}: that run needs others.`,
    '`max-deletes` limits that run only if it is given there.',
  ].filter((one) => one !== false);
}

export function appliedPlanSection(run: Run, sums: Totals): Section | undefined {
  if (run.applied === undefined) {
    return undefined;
  }
  const { createdAt, ignored } = run.applied;
  const rows = repositoriesByName(run).flatMap((repository) =>
    outdatedEntries(repository).map((left) =>
      row([
        code(`${repository.inventory.repository}@${digits(left.digest)}`),
        whyOutdated(left, run),
      ]),
    ),
  );
  // A file can claim any time.
  const old = run.startedAt - createdAt;
  const made = old >= 0 ? ` that was made ${duration(old)} earlier` : '';
  const outside =
    ignored === 0
      ? ''
      : ` ${count(ignored, 'manifest')} of it ${ignored === 1 ? 'is' : 'are'} in repositories that \`repositories\` leaves out.`;
  const intro = `### The plan\n\n${carriedOut(`the plan of \`apply-plan\`${made}`, run, sums)}.${outside}`;
  if (rows.length === 0) {
    const isNamed = run.repositories.some(({ approved }) => (approved?.size ?? 0) > 0);
    const all = ' All its entries in the repositories that this run read were still to be deleted.';
    return { before: `${intro}${isNamed ? all : ''}\n` };
  }
  return list(
    `${intro} ${count(rows.length, 'manifest')} of it ${run.settings.dryRun ? 'would be' : rows.length === 1 ? 'was' : 'were'} left, for the reason that stands beside it:\n\n`,
    rows,
    'manifest',
    { head: tableHead(['Manifest', 'Why']), openRows: OPEN_ROWS },
  );
}

/** How much of the plan the run did. A sentence without its full stop. */
function carriedOut(plan: string, run: Run, sums: Totals): string {
  const { deleted, restored, planned, failed, refused, undeletable, postponed } = sums;
  const { dryRun } = run.settings;
  const who = dryRun ? 'A real run would' : 'This run';
  const unread = unreadRepositories(sums);
  const left = dryRun ? refused : remainder(sums);
  const places = [
    ...(dryRun && refused > 0 ? ['"What would hold a real run back"'] : []),
    ...(failed > 0 || unread !== undefined ? ['"Problems"'] : []),
    ...(undeletable + postponed > 0 ? ['"Warnings"'] : []),
  ].join(' and ');
  if (deleted + restored + planned > 0) {
    const did = dryRun ? 'carry out' : 'carried out';
    return left === 0 && unread === undefined
      ? `${who} ${did} ${plan}, and nothing else`
      : `${who} ${did} a part of ${plan}, and nothing else: see ${places}`;
  }
  if (left > 0) {
    return `${who} ${dryRun ? 'delete' : 'deleted'} nothing of ${plan}: see ${places}`;
  }
  if (unread !== undefined) {
    return `Nothing of ${plan} ${dryRun ? 'would be' : 'was'} carried out: ${unread}, see "Problems"`;
  }
  return run.repositories.length === 0
    ? `Nothing of ${plan} was carried out: this run read none of its repositories`
    : `Nothing of ${plan} was still to be deleted`;
}
