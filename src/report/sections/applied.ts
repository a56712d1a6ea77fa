/** What became of a plan that was carried out: what of it was left, because the registry has changed since. */
import type { Section } from '../fit.js';
import { leftOf, whyLeft } from '../left.js';
import { code, row, tableHead } from '../markdown.js';
import { repositoriesByName, type Run } from '../run.js';
import { count, duration } from '../words.js';
import { moreIn } from './more.js';

const OPEN_ROWS = 30;

export function appliedSection(run: Run): Section | undefined {
  if (run.applied === undefined) {
    return undefined;
  }
  const { createdAt, ignored } = run.applied;
  const rows = repositoriesByName(run).flatMap((repository) =>
    leftOf(repository).map((left) =>
      row([code(`${repository.inventory.repository}@${left.digest}`, 400), whyLeft(left, run)]),
    ),
  );
  // A file can claim any time.
  const old = run.startedAt - createdAt;
  const made = old >= 0 ? ` that was made ${duration(old)} before it` : '';
  const did = run.dryRun ? 'A real run would carry out the plan' : 'This run carried out the plan';
  const outside =
    ignored === 0
      ? ''
      : ` ${count(ignored, 'manifest')} of it ${ignored === 1 ? 'is' : 'are'} in repositories that \`repositories\` leaves out.`;
  const intro = `### The plan\n\n${did} of \`apply-plan\`${made}, and nothing else.${outside}`;
  if (rows.length === 0) {
    return {
      before: `${intro} All that it says of the repositories that were looked at was still to be deleted.\n`,
    };
  }
  const folded = rows.length > OPEN_ROWS;
  const fold = folded ? `<details><summary>${count(rows.length, 'manifest')}</summary>\n\n` : '';
  return {
    before: `${intro} ${count(rows.length, 'manifest')} of it ${run.dryRun ? 'would be' : rows.length === 1 ? 'was' : 'were'} left, because something has changed since:\n\n${fold}${tableHead(['Manifest', 'Why'])}`,
    rows,
    total: rows.length,
    cut: (left) => moreIn(left, 'manifest'),
    after: folded ? '\n</details>\n' : '',
  };
}
