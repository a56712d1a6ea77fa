/** The ways to restore deleted manifests from the backup, and to free their disk space, in the words of the registry's family. */
import { digestsWith } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import type { Run } from '../../run/run.js';
import { duration, moment, number } from '../../text/words.js';
import { isInDoubt, type Totals } from '../totals.js';

/** Whether something was saved that was deleted, or may have been, and can be restored. */
export function isRestorable(run: Run): run is Run & Required<Pick<Run, 'backup'>> {
  // A delete without an answer may have been carried out.
  const isTried = run.repositories.some(({ fates, final }) =>
    digestsWith(fates, 'deleted', 'restored', 'failed').some(
      (digest) => final?.has(digest) !== true,
    ),
  );
  return run.backup !== undefined && isTried;
}

/** How many deletes nothing can undo. */
export function finalDeletes({ repositories }: Run): number {
  return repositories.reduce((sum, { final }) => sum + (final?.size ?? 0), 0);
}

/**
 * A dry-run's warning at a registry where a delete may be final: plain text that is safe in Markdown, too. `undefined` at
 * others.
 */
export function finalityNote({ settings, family, parkedFor }: Run): string | undefined {
  return settings.dryRun && parkedFor !== undefined
    ? `${family} frees the layers of a manifest with it, so deletes there are final unless their layers are kept. A real ` +
        `run has them kept before it deletes, for ${duration(parkedFor)}. A dry-run can't find out whether ` +
        `${family} allows that; the report of a real run says it`
    : undefined;
}

export function backupSection(run: Run, sums: Totals): Section | undefined {
  const title = '### To restore it\n\n';
  const warned = sums.planned === 0 ? undefined : finalityNote(run);
  if (warned !== undefined) {
    return { before: `${title}${warned}.\n` };
  }
  const final = finalDeletes(run);
  const count = final === 1 ? 'One of the deletes is' : `${number(final)} of the deletes are`;
  if (!isRestorable(run)) {
    return final === 0
      ? undefined
      : {
          before: `${title}Nothing can be restored: the deletes of this run are final. See "Warnings".\n`,
        };
  }
  const but = final === 0 ? '' : ` ${count} final: see "Warnings".`;
  return {
    before:
      `${title}Every manifest was saved in ${code(run.backup, 400)} before it was deleted. Upload that ` +
      'directory as an artifact to keep it (the output `backup-dir` names it). A run with `restore-from` restores the ' +
      `manifests, ${run.advice.restore}.${timeLimit(run)}${but}\n`,
  };
}

/** How long a restore works. */
function timeLimit({ restorableUntil, finishedAt, parkedFor, family }: Run): string {
  if (restorableUntil === undefined) {
    return '';
  }
  return parkedFor === undefined
    ? ` The registry itself can do so for ${duration(restorableUntil - finishedAt)} after each delete: for the last one ` +
        `until ${moment(restorableUntil)}.`
    : ` ${family} keeps the layers for ${duration(parkedFor)}, and may free them from ${moment(restorableUntil)} on. A ` +
        'layer that an earlier run kept there, too, may go sooner.';
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
