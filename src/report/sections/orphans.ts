/**
 * Every freed digest, whole so that it can be copied, with what it was and why it was an orphan; and the same of
 * the orphans that stay because something about them looks wrong.
 */
import { contentBytes } from '../bytes.js';
import { describer, label } from '../describe.js';
import { isFreed, judge, type Fate } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code, prose, row, tableHead } from '../../text/markdown.js';
import { whyOrphan } from '../reasons.js';
import { repositoriesByName, type Run } from '../../run/run.js';
import type { Totals } from '../totals.js';
import { age, count, size } from '../../text/words.js';
import { list } from './list.js';

const OPEN_ROWS = 50;
const HEAD = ['Digest', 'What it was', 'Size>', 'Age', 'Why an orphan'];
const COLUMNS =
  'A size counts the manifest with its config and layers, shared ones too; an index counts alone. The age is that of the build, where its config tells it.';

export function orphansSection(run: Run, sums: Totals): Section | undefined {
  const total = sums.deleted + sums.planned;
  const title = run.settings.dryRun ? 'What would be deleted' : 'What was deleted';
  return table(`### ${title}\n\n${COLUMNS}`, total, rowsOf(run, isFreed));
}

/** Who has to approve their deletes wants to see them first. */
export function refusedOrphansSection(run: Run, sums: Totals): Section | undefined {
  const { dryRun, planFile } = run.settings;
  const real = dryRun ? 'What a real run would not delete' : 'What was found and not deleted';
  const [title, what] =
    planFile === undefined
      ? [real, 'These are orphans as well, but nothing is deleted in their repositories']
      : [
          'What a run without the plan would not delete',
          'These are in the plan as well, but a run without it deletes nothing in their repositories',
        ];
  const where = dryRun ? 'What would hold a real run back' : 'Problems';
  const columns = sums.deleted + sums.planned === 0 ? ` ${COLUMNS}` : '';
  const rows = rowsOf(run, ({ kind }) => kind === 'refused');
  return table(`### ${title}\n\n${what}: see "${where}".${columns}`, sums.refused, rows);
}

/** So few that their cause, in the warnings, can be looked up one by one. */
export function undeletableOrphansSection(run: Run, sums: Totals): Section | undefined {
  const columns = sums.deleted === 0 ? ` ${COLUMNS}` : '';
  const rows = rowsOf(run, ({ kind }) => kind === 'undeletable');
  return table(
    `### What can't be deleted\n\nThese are orphans as well, and the registry refuses for good to delete them: see "Warnings".${columns}`,
    sums.undeletable,
    rows,
  );
}

function table(intro: string, total: number, rows: Iterable<string>): Section | undefined {
  return list(`${intro}\n\n`, { total, made: rows }, 'manifest', { openRows: OPEN_ROWS });
}

/** The first row of each repository carries the head of its table, so that a cut leaves whole tables. */
function* rowsOf(run: Run, isShown: (fate: Fate) => boolean): Generator<string> {
  let start = '';
  for (const repository of repositoriesByName(run)) {
    const shown = judge(repository).filter(({ fate }) => isShown(fate));
    if (shown.length === 0) {
      continue;
    }
    const { inventory } = repository;
    const describe = describer(inventory);
    let head = `${start}**${code(inventory.repository)}** (${count(shown.length, 'manifest')})\n\n${tableHead(HEAD)}`;
    for (const { orphan } of shown) {
      const manifest = inventory.manifests.get(orphan.digest);
      yield (
        head +
        row([
          code(orphan.digest),
          prose(label(describe(orphan.digest))),
          manifest === undefined ? '' : size(contentBytes(manifest)),
          age(orphan.age?.at, run.finishedAt) ?? '',
          whyOrphan(orphan.reason),
        ])
      );
      head = '';
    }
    start = '\n';
  }
}
