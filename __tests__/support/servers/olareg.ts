/**
 * olareg on a free loopback port, with a directory of OCI layouts that is the judge of what exists. It
 * writes `index.json` before it answers, so there is nothing to wait for.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { once } from 'node:events';

import { layoutManifests } from '../builders/oci-layout.js';
import { answering, startProcess, type RealRegistry } from './real-registry.js';

export interface OlaregOptions {
  /** default true */
  readonly deletes?: boolean;
  readonly readOnly?: boolean;
  /** a directory to serve and keep */
  readonly directory?: string;
}

/** The annotation of the lists that it keeps for its referrers API. */
const REFERRERS_OF = 'org.olareg.referrer.subject';

/** @param binary path of the program */
export async function startOlareg(
  binary: string,
  options: OlaregOptions = {},
): Promise<RealRegistry> {
  const { deletes = true, readOnly = false } = options;
  const home = mkdtempSync(path.join(tmpdir(), 'olareg-'));
  const directory = options.directory ?? path.join(home, 'storage');
  mkdirSync(directory, { recursive: true });
  // It logs the port that it was given, so 0 would not tell which one it got.
  const port = await freePort();
  const host = `127.0.0.1:${String(port)}`;
  const command = [
    binary,
    'serve',
    '--verbosity=info',
    '--addr=127.0.0.1',
    `--port=${String(port)}`,
    `--dir=${directory}`,
    `--api-delete=${String(deletes)}`,
    `--store-ro=${String(readOnly)}`,
  ] as const;
  const child = startProcess(command, path.join(home, 'registry.log'));
  const stop = async (): Promise<void> => {
    await child.end();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    await child.listening((log) => (log.includes('launching server') ? host : undefined));
    const url = `http://${host}`;
    await answering({ url });
    return {
      url,
      host,
      directory,
      manifests: () =>
        layoutManifests(directory, ({ annotations }) => annotations[REFERRERS_OF] !== undefined),
      log: () => child.log(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function freePort(): Promise<number> {
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
