/** What a dry-run wrote to its plan file, and what whoever approves that lets happen. */
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import type { Run } from '../../run/run.js';
import type { Totals } from '../totals.js';
import { count, number } from '../../text/words.js';

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
  const sentences = [
    `${where} ${count(orphansFound, 'manifest')} in ${count(repositoriesWithOrphans, 'repository', 'repositories')}.`,
    orphansFound === 1
      ? 'A run with `apply-plan` deletes it if it is still an orphan then.'
      : 'A run with `apply-plan` deletes all of them that are still orphans then.',
  ];
  const onlyByPlan = refused - withoutRights;
  if (onlyByPlan > 0) {
    const which = orphansFound === 1 ? 'it' : `${of(onlyByPlan, orphansFound)} of them`;
    sentences.push(
      `A run without the plan would refuse to delete ${which}: see "What would hold a real run back".`,
    );
  }
  sentences.push('Whoever approves the plan approves that.');
  if (withoutRights > 0) {
    const which = orphansFound === 1 ? 'it' : `${of(withoutRights, orphansFound)} of them`;
    sentences.push(`These credentials can't delete ${which}: that run needs others.`);
  }
  return [...sentences, '`max-deletes` limits that run only if it is given there.'];
}

function of(some: number, all: number): string {
  return some === all ? 'any' : number(some);
}
