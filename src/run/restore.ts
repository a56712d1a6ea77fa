/**
 * The stages of a run with `restore-from`: reads a backup and restores what is missing. Like `clean.ts` it knows
 * nothing of GitHub, and gets its transport and progress from outside.
 */
import {
  findRegistry,
  openRegistry,
  type RegistrySettings,
} from '../registry/families/families.js';
import type { Settings } from './settings.js';
import type { ReadEntry } from './backup/index-line.js';
import { readBackup, type ReadBackup } from './backup/read.js';
import type { SavedCopy } from './saved-copy.js';
import { undoAt } from './server-undo.js';
import { Restoration, type Restored } from './restore-repository.js';
import type { Digest } from '../oci/digest.js';
import { isIndexType } from '../oci/media-types.js';
import { compare } from '../plan/graph.js';
import { count, number } from '../text/words.js';
import { coded } from '../text/code.js';
import { whyStopped, type RunTools } from './clean.js';

/** The most repositories or files that a message names. */
const FEW = 5;
/** The most bytes of manifests that are restored at a time. Once parsed, they need several times as much memory. */
const BATCH_BYTES = 64 * 1024 * 1024;

export interface RestoreSettings
  extends RegistrySettings, Pick<Settings, 'selection' | 'concurrency' | 'dryRun'> {
  readonly restoreFrom: string;
}

export interface RestoreRun {
  /** `scheme://host[:port]` */
  readonly registry: string;
  /** as the input names it */
  readonly directory: string;
  readonly dryRun: boolean;
  /** sorted by name */
  readonly repositories: readonly Restored[];
  /** incomplete lines of the backup's index, which a killed run leaves */
  readonly cutOffLines: number;
  /** manifests of other registries in the backup */
  readonly elsewhere: number;
  /** manifests in the backup that the input `repositories` leaves out */
  readonly excluded: number;
  /** where the pages are of the version that runs; absent: those of the newest version */
  readonly pages?: string;
  /** what went wrong outside any repository; safe to print */
  readonly failures: readonly string[];
}

/**
 * @throws BackupError when there is no backup; RequestFailure when the registry doesn't answer. Manifests that
 *   can't be restored are part of the result
 */
export async function restoreBackup(
  settings: RestoreSettings,
  { transport, progress, quote, stop }: Omit<RunTools, 'clock'>,
): Promise<RestoreRun> {
  const { registry, selection, concurrency, dryRun, restoreFrom } = settings;
  const backup = await readBackup(restoreFrom, registry.origin);
  const wires = { ...transport, quote };
  const { family } = await findRegistry(settings, wires);
  const { reader, pusher, restorer } = openRegistry(settings, wires, family);
  const byRepository = new Map<string, ReadEntry[]>();
  for (const entry of backup.entries) {
    const entries = byRepository.get(entry.repository) ?? [];
    entries.push(entry);
    byRepository.set(entry.repository, entries);
  }
  const chosen = [...byRepository]
    .filter(([repository]) => selection.includes(repository))
    .sort(([a], [b]) => compare(a, b));
  const failures = [...nothingIn(backup, settings), ...notUnderstood(backup)];
  // Mostly a name is spelled wrong, and a run that was asked to restore something must not be green.
  if (chosen.length === 0 && byRepository.size > 0) {
    const names = fewOf([...byRepository.keys()].sort());
    failures.push(
      coded(
        `\`repositories\` chooses none of the repositories in the backup, and nothing can be restored. It has ${names}`,
        'nothing-selected',
      ),
    );
  }
  progress.begin('Restoring manifests');
  const restored: Restored[] = [];
  for (const [repository, entries] of chosen) {
    if (stop.aborted) {
      break;
    }
    progress.expect(entries.length);
    const undo = undoAt(restorer, repository, transport.clock);
    const restoration = new Restoration(
      repository,
      { reader, concurrency, undo, ...(dryRun ? {} : { pusher }) },
      new Set(entries.map(({ digest }) => digest)),
    );
    let left: readonly ReadEntry[] = entries;
    // Mostly once: an index may come in a batch before the index that it lists.
    while (left.length > 0) {
      const waiting = new Set<Digest>();
      for await (const lost of batches(left, backup)) {
        const later = await restoration.restore(lost);
        later.forEach((digest) => waiting.add(digest));
        lost.filter(({ digest }) => !later.has(digest)).forEach(() => progress.done());
      }
      left = left.filter(({ digest }) => waiting.has(digest));
    }
    restored.push(restoration.result());
  }
  if (stop.aborted) {
    failures.push(whyStopped(stop, 'before it was done'));
  }
  failures.push(...notRead(backup));
  return {
    registry: registry.origin,
    directory: restoreFrom,
    dryRun,
    repositories: restored,
    cutOffLines: backup.cutOffLines,
    elsewhere: backup.elsewhere,
    excluded: backup.entries.filter((each) => !selection.includes(each.repository)).length,
    failures,
  };
}

/** Images before indexes, since an index comes after what it lists. Most repositories are one batch. */
async function* batches(
  entries: readonly ReadEntry[],
  backup: ReadBackup,
): AsyncGenerator<readonly SavedCopy[]> {
  const isIndex = ({ mediaType }: ReadEntry) => isIndexType(mediaType);
  const ordered = [...entries.filter((each) => !isIndex(each)), ...entries.filter(isIndex)];
  let batch: SavedCopy[] = [];
  let length = 0;
  for (const entry of ordered) {
    const bytes = await backup.bytesOf(entry.digest);
    batch.push({ ...entry, bytes });
    length += bytes?.length ?? 0;
    if (length > BATCH_BYTES) {
      yield batch;
      batch = [];
      length = 0;
    }
  }
  yield batch;
}

/** An unchanged backup has none of these. */
function notRead({ refused }: ReadBackup): string[] {
  const files = [...refused].map(
    ([digest, why]) =>
      `the file of ${digest} in the backup was not read: ${why}. Take the backup as the run left it`,
  );
  const more = files.length - FEW;
  return more <= 0
    ? files
    : [
        ...files.slice(0, FEW),
        `${count(more, 'more file')} in the backup could not be read either`,
      ];
}

/** Why a backup has nothing of this registry, unless `notUnderstood` says it. */
function nothingIn(
  { entries, elsewhere, cutOffLines, unknownLines }: ReadBackup,
  { restoreFrom, registry }: RestoreSettings,
): string[] {
  if (entries.length > 0 || (elsewhere === 0 && unknownLines > 0)) {
    return [];
  }
  const cutOff =
    'none of its lines is whole. A run that is killed while it writes the first of them has deleted nothing; otherwise ' +
    'take the backup as it was made';
  const here = cutOffLines === 0 ? 'nothing was deleted when it was made' : cutOff;
  const why = elsewhere > 0 ? 'is `registry-url` the registry that it was made of?' : here;
  return [
    coded(
      `the backup in ${restoreFrom} has no manifest of ${registry.origin}: ${why}`,
      'backup-unusable',
    ),
  ];
}

/** The lines are complete, so their manifests may have been deleted, and are not restored. */
function notUnderstood({ unknownLines }: ReadBackup): string[] {
  return unknownLines === 0
    ? []
    : [
        `${count(unknownLines, 'line')} of the backup's index could not be understood, and the manifests there can't ` +
          'be restored: a later version of this action may have written them. Restore with that version',
      ];
}

function fewOf(names: readonly string[]): string {
  const few = names.slice(0, FEW).join(', ');
  return names.length <= FEW ? few : `${few} and ${number(names.length - FEW)} more`;
}
