/** Where the bytes of what was deleted are, and how they come back. */
import { digestsWith } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import type { Run } from '../../run/run.js';
import type { Totals } from '../totals.js';

/** Whether something was saved that was deleted, or may have been. */
export function isRestorable(run: Run, sums: Totals): run is Run & Required<Pick<Run, 'backup'>> {
  // A delete without an answer may have been carried out.
  const tried = run.repositories.some(({ fates }) => digestsWith(fates, 'failed').length > 0);
  return run.backup !== undefined && (sums.deleted + sums.restored > 0 || tried);
}

export function backupSection(run: Run, sums: Totals): Section | undefined {
  if (!isRestorable(run, sums)) {
    return undefined;
  }
  return {
    before:
      `### To take it back\n\nEvery manifest was saved in ${code(run.backup, 400)} before it was deleted. Upload that ` +
      'directory as an artifact to keep it (the output `backup-dir` names it). A run with `restore-from` puts the ' +
      `manifests back, ${run.advice.restore}.\n`,
  };
}
