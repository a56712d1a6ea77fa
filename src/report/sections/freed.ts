/** Every freed digest, whole so that it can be copied, with what it was and why it was an orphan. */
import { contentBytes } from '../bytes.js';
import { describer, label } from '../describe.js';
import { isFreed, judge } from '../fate.js';
import type { Section } from '../fit.js';
import { code, prose, row, tableHead } from '../markdown.js';
import { whyOrphan } from '../reasons.js';
import { repositoriesByName, type Run } from '../run.js';
import type { Totals } from '../totals.js';
import { age, count, size } from '../words.js';
import { moreIn } from './more.js';

const OPEN_ROWS = 50;
const HEAD = ['Digest', 'What it was', 'Size>', 'Age', 'Why an orphan'];

export function freedSection(run: Run, sums: Totals): Section | undefined {
  const total = sums.deleted + sums.planned;
  if (total === 0) {
    return undefined;
  }
  const title = run.dryRun ? 'What would be deleted' : 'What was deleted';
  const folded = total > OPEN_ROWS;
  return {
    before: `### ${title}\n\nA size counts the manifest with its config and layers, shared ones too; an index counts alone. The age is that of the build, where its config tells it.\n${folded ? `\n<details><summary>${count(total, 'manifest')}</summary>\n` : ''}`,
    rows: freedRows(run),
    total,
    cut: (left) => moreIn(left, 'manifest'),
    after: folded ? '\n</details>\n' : '',
  };
}

/** The first row of each repository carries the head of its table, so that a cut leaves whole tables. */
function* freedRows(run: Run): Generator<string> {
  for (const repository of repositoriesByName(run)) {
    const freed = judge(repository, run.dryRun).filter(({ fate }) => isFreed(fate));
    if (freed.length === 0) {
      continue;
    }
    const { inventory } = repository;
    const describe = describer(inventory);
    let head = `\n**${code(inventory.repository)}** (${count(freed.length, 'manifest')})\n\n${tableHead(HEAD)}`;
    for (const { orphan } of freed) {
      const manifest = inventory.manifests.get(orphan.digest);
      yield (
        head +
        row([
          code(orphan.digest),
          prose(label(describe(orphan.digest))),
          manifest === undefined ? '' : size(contentBytes(manifest)),
          age(orphan.created, run.finishedAt) ?? '',
          whyOrphan(orphan.reason),
        ])
      );
      head = '';
    }
  }
}
