/** Where the bytes of what was deleted are, and how they come back. */
import type { Section } from '../fit.js';
import { code } from '../markdown.js';
import type { Run } from '../run.js';
import type { Totals } from '../totals.js';

export function undoSection(run: Run, sums: Totals): Section | undefined {
  // A delete without an answer may have been carried out.
  const tried = run.repositories.some(({ outcome }) => (outcome?.failed.length ?? 0) > 0);
  if (run.backup === undefined || !(sums.deleted + sums.healed > 0 || tried)) {
    return undefined;
  }
  return {
    before:
      `### To take it back\n\nEvery manifest was saved in ${code(run.backup, 400)} before it was deleted. Upload that ` +
      'directory as an artifact to keep it (the output `backup-dir` names it). A run with `restore-from` puts the ' +
      "manifests back, as long as the registry's garbage collector has not freed their layers.\n",
  };
}
