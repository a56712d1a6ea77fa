/** The values of the action's outputs. Setting them is somebody else's task. */
import { digestsWith } from '../plan/fate.js';
import { repositoriesByName, type Run } from '../run/run.js';
import { totals } from './totals.js';

/** GitHub drops a job's outputs over 1 MiB, and counts them as UTF-16. */
const DIGESTS_LENGTH = 400_000;
/** Room for the note's own characters: `,{"cut":1234567890}]`. */
const NOTE_LENGTH = 40;

/** In a dry-run nothing was deleted, so `deleted-count` is 0 and `deleted-digests` is `[]`. */
export function outputs(run: Run): Readonly<Record<string, string>> {
  const sums = totals(run);
  return {
    'orphans-found': String(sums.orphansFound),
    'deleted-count': String(sums.deleted),
    'deleted-digests': deletedDigests(run).json,
    'kept-count': String(sums.kept),
    'failed-count': String(sums.failed),
    'remaining-count': String(sums.postponed),
    'freed-bytes': String(sums.freedBytes),
    'backup-dir': run.backup ?? '',
  };
}

/**
 * A JSON array of `repository@digest`, by repository and in the order of the deletes. When it would be
 * longer than `length` characters, the rest is left out and the last element is `{"cut": <how many>}`.
 */
export function deletedDigests(
  run: Run,
  length = DIGESTS_LENGTH,
): { readonly json: string; readonly cut: number } {
  const entries: string[] = [];
  let used = '[]'.length;
  let cut = 0;
  for (const { inventory, fates } of repositoriesByName(run)) {
    for (const digest of digestsWith(fates, 'deleted')) {
      const text = JSON.stringify(`${inventory.repository}@${digest}`);
      if (cut > 0 || used + text.length + 1 > length - NOTE_LENGTH) {
        cut += 1;
      } else {
        entries.push(text);
        used += text.length + 1;
      }
    }
  }
  const json = `[${[...entries, ...(cut > 0 ? [JSON.stringify({ cut })] : [])].join(',')}]`;
  return { json, cut };
}
