/** One run of the program with `restore-from`: all that main does of it between inputs and outputs. */
import { BackupError } from '../../../src/run/backup/backup.js';
import { selectRepositories } from '../../../src/plan/selection.js';
import { RequestFailure } from '../../../src/http/message.js';
import { restoreProblems } from '../../../src/report/restore.js';
import { restoreBackup, type RestoreRun } from '../../../src/run/restore.js';
import { connect, type RunOptions } from './run.js';

export type RestoreRunOptions = Pick<
  RunOptions,
  'url' | 'concurrency' | 'credentials' | 'clock'
> & {
  readonly restoreFrom: string;
  /** as the input has them; default: all */
  readonly repositories?: readonly string[];
  readonly dryRun?: boolean;
  readonly stop?: AbortSignal;
};

export interface RestoreRan {
  /** absent when the run ended with an error */
  readonly run?: RestoreRun;
  /** what makes it red */
  readonly complaints: readonly string[];
}

export async function runRestore({
  restoreFrom,
  repositories = [],
  dryRun = false,
  stop = new AbortController().signal,
  ...options
}: RestoreRunOptions): Promise<RestoreRan> {
  const { transport, quote } = connect(options);
  const settings = {
    registry: new URL(options.url),
    registryType: 'auto',
    selection: selectRepositories(repositories),
    concurrency: options.concurrency ?? 1,
    dryRun,
    restoreFrom,
  };
  const nothing = () => undefined;
  try {
    const run = await restoreBackup(settings, {
      transport,
      progress: { begin: nothing, expect: nothing, done: nothing },
      quote,
      stop,
    });
    return { run, complaints: restoreProblems(run) };
  } catch (error) {
    if (error instanceof RequestFailure || error instanceof BackupError) {
      return { complaints: [error.message] };
    }
    throw error;
  } finally {
    transport.close();
  }
}
