/** The ways to restore deleted manifests from the backup, and to free their disk space, in the words of the registry's family. */
import { digestsWith } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import type { Run } from '../../run/run.js';
import { duration, moment } from '../../text/words.js';
import { isInDoubt, type Totals } from '../totals.js';

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
      `### To restore it\n\nEvery manifest was saved in ${code(run.backup, 400)} before it was deleted. Upload that ` +
      'directory as an artifact to keep it (the output `backup-dir` names it). A run with `restore-from` restores the ' +
      `manifests, ${run.advice.restore}.${serverUndo(run)}\n`,
  };
}

/** How long the server's own undo works. */
function serverUndo({ restorableUntil, finishedAt }: Run): string {
  return restorableUntil === undefined
    ? ''
    : ` The registry itself can do so for ${duration(restorableUntil - finishedAt)} after each delete: for the last one ` +
        `until ${moment(restorableUntil)}.`;
}

export function diskSection(run: Run, sums: Totals): Section | undefined {
  const title = '### To free the disk\n\n';
  if (isInDoubt(sums)) {
    return { before: `${title}${run.advice.keepBlobs}\n` };
  }
  const { dryRun, planFile } = run.settings;
  if (sums.deleted + sums.planned + (planFile === undefined ? 0 : sums.refused) === 0) {
    return undefined;
  }
  const when = dryRun ? 'After a real run, deleted manifests' : 'Deleted manifests';
  return {
    before: `${title}${when} leave their blobs behind until the registry collects its garbage. ${run.advice.freeDisk}\n`,
  };
}
