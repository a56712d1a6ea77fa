/**
 * What every real registry of the tests gives, and how its process starts and ends. What exists is judged
 * by `manifests`, which reads the registry's directory and never asks the registry.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from './programs.js';
import { send, type Destination } from '../clients/push.js';

export interface RealRegistry extends Destination {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** the storage root */
  readonly directory: string;
  /** `repository@digest` of every manifest that the storage holds now */
  manifests(): Set<string>;
  /** what it logged so far */
  log(): string;
  /** Ends the process; removes the directory unless it was given. */
  stop(): Promise<void>;
}

export interface RunningProcess {
  log(): string;
  /** SIGTERM, and SIGKILL if that does not help */
  end(): Promise<void>;
  /** Waits for `host` to find the registry's address in the log. @throws Error with the log's end */
  listening(host: (log: string) => string | undefined): Promise<string>;
}

const PATIENCE = 20_000;

/** @param env added to this process's environment */
export function startProcess(
  [command, ...parameters]: Command,
  logFile: string,
  env: Readonly<Record<string, string>> = {},
): RunningProcess {
  const log = openSync(logFile, 'a');
  const child = spawn(command, parameters, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
  });
  closeSync(log);
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const read = (): string => readFileSync(logFile, 'utf8');
  return {
    log: read,
    end: () => end(child),
    async listening(host) {
      const deadline = Date.now() + PATIENCE;
      for (;;) {
        const found = host(read());
        if (found !== undefined) {
          return found;
        }
        if (failure !== undefined || child.exitCode !== null || Date.now() > deadline) {
          throw new Error(`${command} did not start:\n${read().slice(-2000)}`, { cause: failure });
        }
        await sleep(20);
      }
    },
  };
}

/** Waits until it answers at all. */
export async function answering(destination: Destination): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    try {
      await send(destination, { method: 'GET', path: '/v2/' });
      return;
    } catch (error) {
      if (Date.now() > deadline) {
        throw error;
      }
    }
    await sleep(20);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await exit;
    clearTimeout(late);
  }
}
