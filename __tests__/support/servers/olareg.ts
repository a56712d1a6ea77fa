/**
 * olareg on a free loopback port, with a directory of OCI layouts that is the judge of what exists. It
 * writes `index.json` before it answers, so there is nothing to wait for.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { layoutManifests } from '../builders/oci-layout.js';
import { answering, freePort, startProcess, type RealRegistry } from './real-registry.js';

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
