/**
 * The stages of a run with `restore-from`: reads a backup and puts back what is missing. The same walls as
 * `stages.ts` has: nothing of GitHub, and what it reads, waits for and prints with is passed in.
 */
import { openRegistry } from '../registry/families/families.js';
import type { Settings } from './settings.js';
import type { ReadEntry } from './backup/index-line.js';
import { readBackup, type ReadBackup } from './backup/read.js';
import type { Lost } from './lost.js';
import { restoreRepository, type Restored } from './restore-repository.js';
import { isIndexType } from '../oci/media-types.js';
import { count, number } from '../text/words.js';
import type { StageTools } from './clean.js';
import { coded } from '../text/code.js';
import { whyStopped } from './warnings.js';

/** So many repositories of a backup are named in a message. */
const FEW = 5;
/** Of the manifests that are put back at a time: what is parsed of them needs several times as much. */
const BATCH_BYTES = 64 * 1024 * 1024;

type UndoSettings = Pick<
  Settings,
  'registry' | 'registryType' | 'apiUrl' | 'selection' | 'concurrency' | 'dryRun'
> & {
  readonly restoreFrom: string;
};

export interface RestoreRun {
  /** `scheme://host[:port]` */
  readonly registry: string;
  /** as the input names it */
  readonly directory: string;
  readonly dryRun: boolean;
  /** sorted by name */
  readonly repositories: readonly Restored[];
  /** lines of the backup's index that a run which was killed left */
  readonly cutOffLines: number;
  /** manifests of other registries in the backup */
  readonly elsewhere: number;
  /** manifests in the backup that the input `repositories` leaves out */
  readonly excluded: number;
  /** what went wrong outside any repository; safe to print */
  readonly failures: readonly string[];
}

/**
 * @throws BackupError when there is no backup; RequestFailure when the registry can't be spoken to. What can't
 *   be put back is in the run that is returned
 */
export async function runUndo(
  settings: UndoSettings,
  {
    transport,
    progress,
    quote,
    stop,
  }: Pick<StageTools, 'transport' | 'progress' | 'quote' | 'stop'>,
): Promise<RestoreRun> {
  const { registry, selection, concurrency, dryRun, restoreFrom } = settings;
  const backup = await readBackup(restoreFrom, registry.origin);
  const { reader, pusher } = openRegistry(settings, { ...transport, quote });
  await reader.ping();
  const byRepository = new Map<string, ReadEntry[]>();
  for (const entry of backup.entries) {
    const entries = byRepository.get(entry.repository) ?? [];
    entries.push(entry);
    byRepository.set(entry.repository, entries);
  }
  const repositories = [...byRepository.keys()].sort();
  const chosen = [...byRepository]
    .filter(([repository]) => selection.includes(repository))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const why = whyEmpty(backup);
  const failures = [
    ...(why === undefined
      ? []
      : [
          coded(
            `the backup in ${restoreFrom} has no manifest of ${registry.origin}: ${why}`,
            'backup-unusable',
          ),
        ]),
    ...notUnderstood(backup),
    // A name that is spelled wrong, as a rule: a run that was asked to put something back must not be green.
    ...(chosen.length > 0 || repositories.length === 0
      ? []
      : [
          coded(
            '`repositories` chooses none of the repositories in the backup, and nothing can be put back. ' +
              `It has ${fewOf(repositories)}`,
            'nothing-selected',
          ),
        ]),
  ];
  progress.begin('Putting manifests back');
  const restored: Restored[] = [];
  for (const [repository, entries] of chosen) {
    if (stop.aborted) {
      break;
    }
    progress.expect(entries.length);
    const parts: Restored[] = [];
    for await (const lost of batches(entries, backup)) {
      const options = { reader, concurrency, ...(dryRun ? {} : { pusher }) };
      parts.push(await restoreRepository(repository, lost, options));
      lost.forEach(() => {
        progress.done();
      });
    }
    restored.push(together(repository, parts));
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
    excluded: backup.entries.filter(({ repository }) => !selection.includes(repository)).length,
    failures,
  };
}

/** Images before indexes, since an index comes after what it lists. Most repositories are one batch. */
async function* batches(
  entries: readonly ReadEntry[],
  backup: ReadBackup,
): AsyncGenerator<readonly Lost[]> {
  const isIndex = ({ mediaType }: ReadEntry) => isIndexType(mediaType);
  const ordered = [...entries.filter((each) => !isIndex(each)), ...entries.filter(isIndex)];
  let batch: Lost[] = [];
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

function together(repository: string, parts: readonly Restored[]): Restored {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) {
    return only;
  }
  const by =
    <K extends string>(key: K) =>
    (a: Record<K, string>, b: Record<K, string>) =>
      a[key] < b[key] ? -1 : 1;
  return {
    repository,
    restored: parts.flatMap((part) => part.restored).sort(),
    standing: parts.flatMap((part) => part.standing).sort(),
    failed: parts.flatMap((part) => part.failed).sort(by('digest')),
    tags: parts.flatMap((part) => part.tags).sort(),
    failedTags: parts.flatMap((part) => part.failedTags).sort(by('tag')),
  };
}

/** A backup that was left as it was made has none of these. */
function notRead({ refused }: ReadBackup): string[] {
  return [...refused]
    .slice(0, FEW)
    .map(
      ([digest, why], n) =>
        `the file of ${digest} in the backup was not read: ${why}. Take the backup as the run left it` +
        (n === FEW - 1 && refused.size > FEW
          ? `; so it is with ${number(refused.size - FEW)} more`
          : ''),
    );
}

/** @returns why a backup has nothing of this registry, unless that is said by `notUnderstood` */
function whyEmpty({
  entries,
  elsewhere,
  cutOffLines,
  unknownLines,
}: ReadBackup): string | undefined {
  if (entries.length > 0) {
    return undefined;
  }
  if (elsewhere > 0) {
    return 'is `registry-url` the registry that it was made of?';
  }
  if (unknownLines > 0) {
    return undefined;
  }
  return cutOffLines === 0
    ? 'nothing was deleted when it was made'
    : 'none of its lines is whole. A run that is killed while it writes the first of them has deleted nothing; ' +
        'otherwise take the backup as it was made';
}

/** They are whole, so what they are about may have been deleted, and does not come back. */
function notUnderstood({ unknownLines }: ReadBackup): string[] {
  const [verb, they, them] =
    unknownLines === 1 ? ['is', 'it is', 'it'] : ['are', 'they are', 'them'];
  return unknownLines === 0
    ? []
    : [
        `${count(unknownLines, 'line')} of the backup's index ${verb} not understood, and what ${they} about can't ` +
          `be put back: a later version of this action may have written ${them}. Use that one to restore`,
      ];
}

function fewOf(names: readonly string[]): string {
  const few = names.slice(0, FEW).join(', ');
  return names.length <= FEW ? few : `${few} and ${number(names.length - FEW)} more`;
}
