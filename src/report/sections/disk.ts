/** How the disk space of deleted manifests comes back, in the words of the registry's family. */
import type { Section } from '../fit.js';
import type { Run } from '../../run/run.js';
import { isInDoubt, type Totals } from '../totals.js';

export function diskSection(run: Run, sums: Totals): Section | undefined {
  if (isInDoubt(sums)) {
    return { before: `### To free the disk\n\n${run.advice.keepBlobs}\n` };
  }
  if (
    sums.deleted + sums.planned + (run.settings.planFile === undefined ? 0 : sums.refused) ===
    0
  ) {
    return undefined;
  }
  const when = run.settings.dryRun ? 'After a real run, deleted manifests' : 'Deleted manifests';
  return {
    before: [
      '### To free the disk',
      '',
      `${when} leave their blobs behind until the registry collects its garbage. ${run.advice.freeDisk}`,
      '',
    ].join('\n'),
  };
}
