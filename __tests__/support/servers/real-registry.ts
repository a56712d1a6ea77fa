/**
 * What every real registry of the tests gives, and how its process starts and ends. What exists is judged
 * by `manifests`, which reads the registry's directory and never asks the registry.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
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
  /** whether it was started and has not ended */
  isAlive(): boolean;
  /** The signal (default SIGTERM), and SIGKILL if that does not help. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** Waits for `host` to find the registry's address in the log. @throws Error with the log's end */
  listening(host: (log: string) => string | undefined): Promise<string>;
}

const PATIENCE = 20_000;

/** A user by number, for programs that refuse to run as root. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface ProcessOptions {
  /** default: this process's user */
  readonly user?: User | undefined;
  readonly cwd?: string;
}

/** @param env added to this process's environment */
export function startProcess(
  [command, ...parameters]: Command,
  logFile: string,
  env: Readonly<Record<string, string>> = {},
  { user, cwd }: ProcessOptions = {},
): RunningProcess {
  const log = openSync(logFile, 'a');
  const child = spawn(command, parameters, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
    ...user,
    ...(cwd === undefined ? {} : { cwd }),
  });
  closeSync(log);
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const read = (): string => readFileSync(logFile, 'utf8');
  return {
    log: read,
    isAlive: () => failure === undefined && child.exitCode === null && child.signalCode === null,
    end: (signal) => end(child, signal),
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

/** For programs that log the port that they were given, so that 0 would not tell which one they got. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') {
    throw new Error('a listening TCP server has a port');
  }
  return address.port;
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const exit = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await exit;
    clearTimeout(late);
  }
}
