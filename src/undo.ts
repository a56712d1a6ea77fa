/**
 * The stages of a run with `restore-from`: reads a backup and puts back what is missing. The same walls as
 * `stages.ts` has: nothing of GitHub, and what it reads, waits for and prints with is passed in.
 */
import pMap from 'p-map';

import type { Settings } from './action/settings.js';
import { readBackup } from './backup/read.js';
import { restoreRepository, type Restored } from './cleanup/restore.js';
import { createPusher } from './registry/pusher.js';
import { createReader } from './registry/reader.js';
import type { RestoreRun } from './report/restore.js';
import type { StageTools } from './stages.js';

export type UndoSettings = Pick<Settings, 'registry' | 'selection' | 'concurrency' | 'dryRun'> & {
  readonly restoreFrom: string;
};

/**
 * @throws BackupError when there is no backup; RequestFailure when the registry can't be spoken to. What can't
 *   be put back is in the run that is returned
 */
export async function runUndo(
  { registry, selection, concurrency, dryRun, restoreFrom }: UndoSettings,
  {
    transport,
    progress,
    quote,
    stop,
  }: Pick<StageTools, 'transport' | 'progress' | 'quote' | 'stop'>,
): Promise<RestoreRun> {
  const backup = await readBackup(restoreFrom, registry.origin);
  const reader = createReader(transport.send, registry, quote);
  const pusher = createPusher(transport.send, registry, quote);
  await reader.ping();
  const repositories = [...new Set(backup.entries.map(({ repository }) => repository))].sort();
  const failures: string[] = [];
  if (backup.entries.length === 0) {
    failures.push(
      `the backup in ${restoreFrom} has no manifest of ${registry.origin}: ` +
        (backup.elsewhere === 0
          ? 'nothing was deleted when it was made'
          : 'is `registry-url` the registry that it was made of?'),
    );
  }
  progress.begin('Putting manifests back');
  const restored: Restored[] = [];
  for (const repository of repositories.filter((each) => selection.includes(each))) {
    if (stop.aborted) {
      failures.push(
        `the run was told to stop (${String(stop.reason)}) before it was done. Run it again to finish its work`,
      );
      break;
    }
    const entries = backup.entries.filter((entry) => entry.repository === repository);
    progress.expect(entries.length);
    const lost = await pMap(
      entries,
      async (entry) => ({ ...entry, bytes: await backup.bytesOf(entry.digest) }),
      { concurrency },
    );
    restored.push(
      await restoreRepository(repository, lost, {
        reader,
        concurrency,
        ...(dryRun ? {} : { pusher }),
      }),
    );
    entries.forEach(() => {
      progress.done();
    });
  }
  return {
    registry: registry.origin,
    directory: restoreFrom,
    dryRun,
    repositories: restored,
    unreadableLines: backup.unreadableLines,
    elsewhere: backup.elsewhere,
    failures,
  };
}
