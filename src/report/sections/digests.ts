/** The digests of the tables, whole, one `repository@digest` a line: to be copied, or looked for with the browser. */
import { CLOSING, type Section } from '../fit.js';
import { isFreed, judge, type Fate } from '../../plan/fate.js';
import { inCodeSpan } from '../../text/markdown.js';
import { outdatedEntries } from '../outdated.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import { count } from '../../text/words.js';

export function digestsSection(run: Run): Section | undefined {
  const all = repositoriesByName(run).map((repository) => ({
    name: inCodeSpan(repository.inventory.repository, 400),
    digests: digestsOf(repository),
  }));
  const total = all.reduce((sum, { digests }) => sum + digests.length, 0);
  function* rows(): Generator<string> {
    for (const { name, digests } of all) {
      for (const digest of digests) {
        yield `${name}@${digest}\n`;
      }
    }
  }
  return total === 0
    ? undefined
    : {
        before: `<details><summary>${count(total, 'complete digest')}, to copy</summary>\n\n\`\`\`text\n`,
        rows: rows(),
        total,
        cut: (left) => `… and ${count(left, 'more digest')}: the JSON report has them\n`,
        after: `\`\`\`\n${CLOSING}`,
      };
}

/** Those of the orphans come first, then those that a protection or the plan names. */
function digestsOf(repository: RepositoryRun): readonly string[] {
  const orphans = judge(repository).filter(({ fate }) => isListed(fate));
  const saved = repository.plan.keep.filter(({ reason }) => reason.kind === 'protected');
  const entries = [
    ...orphans.map(({ orphan }) => orphan),
    ...saved,
    ...outdatedEntries(repository),
  ];
  return [...new Set(entries.map(({ digest }) => digest))];
}

function isListed(fate: Fate): boolean {
  return isFreed(fate) || fate.kind === 'refused' || fate.kind === 'undeletable';
}
