/** The log, the summary and the numbers of a run with `restore-from`. Pure. */
import type { Restored } from '../run/restore-repository.js';
import type { RestoreRun } from '../run/restore.js';
import { fit } from './fit.js';
import { SENTENCE } from './problems.js';
import { partOf } from './totals.js';
import { list } from './sections/list.js';
import { code, linkedMessage, prose } from '../text/markdown.js';
import { coded } from '../text/code.js';
import { count, number } from '../text/words.js';

/** A longer list is folded. */
const OPEN_ROWS = 19;
const BY_SERVER = ' by the registry itself';

/** Everything that makes the job red: one line of plain text each, with its code at the end. */
export function restoreProblems(run: RestoreRun): string[] {
  const isLost = run.dryRun ? "can't be restored" : 'could not be restored';
  const found = [
    ...run.failures,
    ...run.repositories.flatMap(({ repository, failed, failedTags }) => [
      ...failed.map(({ digest, why }) => `${repository}@${digest} ${isLost}: ${why}`),
      ...failedTags.map(({ tag, why }) => `${repository}:${tag} ${isLost}: ${why}`),
    ]),
  ];
  return found.map((problem) => coded(problem, 'restore-failed', SENTENCE));
}

/** Numbers of manifests. In a dry-run none is restored, and `planned` says how many would be. */
export function restoreCounts({
  repositories,
  dryRun,
}: RestoreRun): Readonly<Record<'restored' | 'planned' | 'standing' | 'failed', number>> {
  const sum = (key: 'restored' | 'standing' | 'failed') =>
    repositories.reduce((all, one) => all + one[key].length, 0);
  const back = sum('restored');
  return {
    restored: dryRun ? 0 : back,
    planned: dryRun ? back : 0,
    standing: sum('standing'),
    failed: sum('failed'),
  };
}

export function restoreHeadline(run: RestoreRun): string {
  const { restored, planned, standing, failed } = restoreCounts(run);
  const verb = run.dryRun ? 'Would restore' : 'Restored';
  const wrong = restoreProblems(run).length;
  const problems = wrong === 0 ? '' : ` (with ${count(wrong, 'problem')})`;
  const tags = run.repositories.reduce((all, one) => all + one.tags.length, 0);
  if (restored + planned + failed > 0) {
    const were = standing === 1 ? 'was' : 'were';
    const there = standing === 0 ? '' : `, ${number(standing)} ${were} there already`;
    return `${verb} ${partOf(restored + planned, failed, 'manifest')}${there}${problems}`;
  }
  if (tags > 0) {
    const were = standing === 1 ? 'manifest was' : 'manifests were';
    return `${verb} ${count(tags, 'tag')}; the ${were} there already${problems}`;
  }
  const are = standing === 1 ? 'the one manifest is' : `all ${count(standing, 'manifest')} are`;
  return `Nothing to restore${standing === 0 ? '' : `: ${are} there`}${problems}`;
}

/** A repository's name, and how much of its part of the backup comes back: `team/web: 3 of 5 manifests restored`. */
export function restoreTitle(
  { repository, restored, standing, failed }: Restored,
  dryRun: boolean,
): string {
  const all = restored.length + standing.length + failed.length;
  const done = dryRun ? 'would be restored' : 'restored';
  return `${repository}: ${number(restored.length)} of ${count(all, 'manifest')} ${done}`;
}

/** One repository's lines in the job's log. */
export function restoreLines(
  { restored, byServer, standing, failed, tags, failedTags }: Restored,
  dryRun: boolean,
): string[] {
  const [verb, lost] = dryRun
    ? ['would restore', "can't restore"]
    : ['restored', 'could not restore'];
  const ways = new Set(byServer);
  return [
    ...restored.map((digest) => `${verb} ${digest}${ways.has(digest) ? BY_SERVER : ''}`),
    ...standing.map((digest) => `was there already: ${digest}`),
    ...failed.map(({ digest, why }) => `${lost} ${digest}: ${why}`),
    ...tags.map((tag) => `tag ${tag} ${dryRun ? 'would point' : 'points'} at its manifest again`),
    ...failedTags.map(({ tag, why }) => `${lost} tag ${tag}: ${why}`),
  ];
}

/** The parts of the backup that the run did not use, which is no failure: sentences of plain text. */
export function restoreNotes({ cutOffLines, elsewhere, excluded }: RestoreRun): string[] {
  const entries = (how: number) => count(how, 'entry', 'entries');
  return [
    cutOffLines > 0 &&
      `${count(cutOffLines, 'line')} of the backup's index ${cutOffLines === 1 ? 'is' : 'are'} cut off. A run ` +
        'that is killed may leave half a line, and has not deleted what it was about.',
    elsewhere > 0 &&
      `${entries(elsewhere)} of the backup ${elsewhere === 1 ? 'belongs' : 'belong'} to another registry.`,
    excluded > 0 && `\`repositories\` leaves out ${entries(excluded)} of the backup.`,
  ].filter((note) => note !== false);
}

/** How manifests come back, where the registry does it by itself. */
function wayOf({ dryRun, repositories }: RestoreRun, byServer: number): string {
  const pushed = repositories.reduce((all, one) => all + one.restored.length, -byServer);
  const [own, others] = dryRun
    ? ['The registry itself would restore', 'would be pushed']
    : ['The registry itself restored', `${pushed === 1 ? 'was' : 'were'} pushed`];
  const rest = pushed === 0 ? '' : ` ${number(pushed)} ${others}.`;
  return `${own} ${count(byServer, 'manifest')}, with the layers.${rest}`;
}

/** Markdown, below the size at which GitHub drops a summary whole. */
export function renderRestore(run: RestoreRun): string {
  const { restored, planned } = restoreCounts(run);
  const found = restoreProblems(run);
  const byServer = run.repositories.reduce((all, one) => all + one.byServer.length, 0);
  const rows = (names: (one: Restored) => readonly string[]) =>
    run.repositories.flatMap(names).map((name) => `- ${code(name, 400)}\n`);
  const manifests = rows(({ repository, restored: back }) =>
    back.map((digest) => `${repository}@${digest}`),
  );
  const tags = rows(({ repository, tags: back }) => back.map((tag) => `${repository}:${tag}`));
  const notes = [
    `${run.dryRun ? '**Dry run:** nothing was changed.\n' : ''}${code(run.registry)}, from the backup in ${code(run.directory)}.`,
    byServer > 0 && wayOf(run, byServer),
    restored + planned > 0 &&
      'A manifest that comes back without a tag may be an orphan again in the next clean-up: give it a tag, or name it in `protect`.',
    ...restoreNotes(run).map((note) => prose(note)),
  ].filter((note) => note !== false);
  const section = (title: string, rows: readonly string[], noun: string) =>
    list(`### ${title} (${number(rows.length)})\n\n`, rows, noun, {
      source: 'The log',
      // A problem has to be in sight.
      openRows: noun === 'problem' ? Infinity : OPEN_ROWS,
    });
  return fit([
    { before: `## ${restoreHeadline(run)}\n\n${notes.join('\n\n')}\n` },
    section(
      'Problems',
      found.map((problem) => `- ${linkedMessage(problem, run.pages)}\n`),
      'problem',
    ),
    section(`Manifests that ${run.dryRun ? 'would come' : 'came'} back`, manifests, 'manifest'),
    section(`Tags that ${run.dryRun ? 'would be' : 'were'} set again`, tags, 'tag'),
  ]);
}
