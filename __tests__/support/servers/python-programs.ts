/**
 * Installs Pulp, once, into a virtual environment in the cache: `pulp/requirements.txt` pins all packages and their
 * bytes. It comes from the package index that pip is configured with. With CI=true a missing one is an error. Used by
 * scripts too, so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { alone, LONGEST_BUILD } from './alone.js';
import { CACHE, failInCi } from './programs.js';

/** @returns the directory of `pulpcore-api` and the others. @throws Error with CI=true when it can't be made */
export function findPulpPrograms(): string | undefined {
  const requirements = fileURLToPath(new URL('pulp/requirements.txt', import.meta.url));
  const python = versionOfPython();
  const hash = createHash('sha256')
    .update(readFileSync(requirements))
    .update(python ?? '');
  const home = path.join(CACHE, `pulp-${hash.digest('hex').slice(0, 16)}`);
  // An environment can't be moved: it is made in its place, and this file says that it is whole.
  const whole = path.join(home, 'whole');
  mkdirSync(CACHE, { recursive: true });
  if (python !== undefined && !existsSync(whole)) {
    alone(`${home}.lock`, () => {
      if (!existsSync(whole)) {
        install(requirements, home, whole);
      }
    });
  }
  if (!existsSync(whole)) {
    failInCi('Pulp', 'apt-get install python3-venv (Python 3.11 or later)');
    return undefined;
  }
  return path.join(home, 'bin');
}

function versionOfPython(): string | undefined {
  try {
    return execFileSync('python3', ['--version'], { encoding: 'utf8', stdio: 'pipe' });
  } catch {
    return undefined;
  }
}

function install(requirements: string, home: string, whole: string): void {
  const run = (program: string, ...parameters: string[]) =>
    execFileSync(program, parameters, {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: LONGEST_BUILD,
    });
  try {
    rmSync(home, { recursive: true, force: true });
    run('python3', '-m', 'venv', home);
    const options = ['--quiet', '--require-hashes', '--disable-pip-version-check'];
    run(path.join(home, 'bin', 'pip'), 'install', ...options, '-r', requirements);
    writeFileSync(whole, '');
  } catch {
    // No venv, too old a Python or no network: the caller sees that there is no environment.
  }
}
