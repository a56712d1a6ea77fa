/** The problems, first in the summary, and the warnings, near its end. */
import type { Section } from '../fit.js';
import { code, linkedMessage } from '../../text/markdown.js';
import { repositoriesByName, type Run } from '../../run/run.js';
import { type Totals } from '../totals.js';
import { problems, refusals, type Problem } from '../problems.js';
import { quotaWarnings, repositoryWarnings } from '../warnings.js';
import { number } from '../../text/words.js';
import { list } from './list.js';

/** Of a longer list, the rest is folded. */
const OPEN_ROWS = 19;

export function problemsSection(run: Run): Section | undefined {
  const found = problems(run);
  const unread = run.repositories.filter(({ inventory }) => inventory.gaps.length > 0).length;
  const nothing =
    unread === 0
      ? ''
      : `Nothing is deleted in a repository of which something couldn't be read, because the missing part may need any of its manifests. That is so in ${unread === 1 ? 'one repository' : `${number(unread)} repositories`} here.\n\n`;
  return list(
    `### Problems (${number(found.length)})\n\n${nothing}`,
    found.map((problem) => `- ${named(problem, run.pages)}\n`),
    'problem',
    { openFirst: OPEN_ROWS },
  );
}

function named({ kind, repository, what }: Problem, pages?: string): string {
  const message = linkedMessage(what, pages);
  const text = kind === 'broken' ? `**An image broke:** ${message}` : message;
  return repository === undefined ? text : `${code(repository)}: ${text}`;
}

/** In a dry-run: the reasons why a real run would delete nothing. A real run has them among its problems. */
export function refusalsSection(run: Run, sums: Totals): Section | undefined {
  const found = run.settings.dryRun ? refusals(run) : [];
  const but =
    sums.withoutRights === 0 ? '' : ', except for the rights, which its account must have';
  const passed =
    run.settings.planFile === undefined || sums.refused === sums.withoutRights
      ? ''
      : `This holds for a run without the plan. A run with \`apply-plan\` ignores it${but}.\n\n`;
  return list(
    `### What would hold a real run back\n\n${passed}`,
    found.map((refusal) => `- ${named(refusal, run.pages)}\n`),
    'reason',
  );
}

export function warningsSection(run: Run): Section | undefined {
  const said = (warning: string) => linkedMessage(warning, run.pages);
  const found = [
    ...[...quotaWarnings(run), ...run.warnings, ...(run.ledger?.warnings ?? [])].map(
      (warning) => `- ${said(warning)}\n`,
    ),
    ...repositoriesByName(run).flatMap(({ inventory, warnings }) =>
      warnings.map((warning) => `- ${code(inventory.repository)}: ${said(warning)}\n`),
    ),
    ...repositoriesByName(run)
      .flatMap(repositoryWarnings)
      .map((warning) => `- ${said(warning)}\n`),
  ];
  return list(`### Warnings (${number(found.length)})\n\n`, found, 'warning', {
    openFirst: OPEN_ROWS,
  });
}
