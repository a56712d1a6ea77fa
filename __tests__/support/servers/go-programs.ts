/**
 * Builds the programs that are written in Go, once, from the modules beside this file: a go.mod pins their
 * versions and its go.sum the bytes. The cache is keyed by all files of a module. With CI=true a missing one is an error.
 * Used by scripts too, so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { CACHE, failInCi, type RegistryProgram } from './programs.js';

interface GoProgram {
  /** how messages call it */
  readonly title: string;
  /** the directory of its module; clients have their own, so that they move no version of the registries */
  readonly module: 'go' | 'gcrane' | 'referrers';
  readonly package: string;
}

const PROGRAMS = {
  registry: {
    title: 'Distribution 3',
    module: 'go',
    package: 'github.com/distribution/distribution/v3/cmd/registry',
  },
  olareg: { title: 'olareg', module: 'go', package: 'github.com/olareg/olareg/cmd/olareg' },
  gcrane: {
    title: 'gcrane',
    module: 'gcrane',
    package: 'github.com/google/go-containerregistry/cmd/gcrane',
  },
  attach: { title: 'attach', module: 'referrers', package: '.' },
} as const satisfies Record<string, GoProgram>;

/** Distribution took four minutes on two busy cores, with nothing downloaded or compiled before. */
const LONGEST_BUILD = 30 * 60 * 1000;

/** Distribution 3.x. @throws Error with CI=true when it can't be built */
export function findDistribution3(): RegistryProgram | undefined {
  const binary = find('registry');
  return binary === undefined ? undefined : { command: () => [binary] };
}

/** @returns the path of the program. @throws Error with CI=true when it can't be built */
export function findOlareg(): string | undefined {
  return find('olareg');
}

/** Google's own client. @returns the path of the program. @throws Error with CI=true when it can't be built */
export function findGcrane(): string | undefined {
  return find('gcrane');
}

/** Attaches referrers as oras, cosign and regctl do. @returns its path. @throws Error with CI=true without it */
export function findAttach(): string | undefined {
  return find('attach');
}

function find(name: keyof typeof PROGRAMS): string | undefined {
  const { title, module } = PROGRAMS[name];
  const directory = fileURLToPath(new URL(`${module}/`, import.meta.url));
  // A go.mod, a go.sum, and the source of what is our own.
  const files = readdirSync(directory).sort();
  const pins = files.map((file) => readFileSync(path.join(directory, file)));
  const key = createHash('sha256').update(Buffer.concat(pins)).digest('hex').slice(0, 16);
  const home = path.join(CACHE, `go-${key}`);
  const binary = path.join(home, name);
  mkdirSync(home, { recursive: true });
  if (!existsSync(binary)) {
    alone(`${binary}.lock`, () => {
      if (!existsSync(binary)) {
        build(name, directory, home, binary);
      }
    });
  }
  if (!existsSync(binary)) {
    failInCi(title, 'Go 1.26 or later builds it');
    return undefined;
  }
  return binary;
}

function build(name: keyof typeof PROGRAMS, directory: string, home: string, binary: string): void {
  const scratch = mkdtempSync(path.join(home, `${name}-`));
  const built = path.join(scratch, name);
  const flags = ['-mod=readonly', '-p', '2', '-trimpath', '-buildvcs=false', '-ldflags=-s -w'];
  try {
    execFileSync('go', ['build', ...flags, '-o', built, PROGRAMS[name].package], {
      cwd: directory,
      env: { ...process.env, GOFLAGS: '', GOWORK: 'off', CGO_ENABLED: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: LONGEST_BUILD,
    });
    renameSync(built, binary);
  } catch {
    // No Go, too old a Go or no network: the caller sees that there is no program.
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Several test files may look at once, and a build is too long to do twice: the others wait for the first. */
function alone(lock: string, task: () => void): void {
  const deadline = Date.now() + LONGEST_BUILD;
  while (!take(lock)) {
    if (!isHeld(lock) || Date.now() > deadline) {
      rmSync(lock, { force: true });
    } else {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
    }
  }
  try {
    task();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** A lock whose process is gone holds nobody up. */
function isHeld(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')), 0);
    return true;
  } catch {
    return false;
  }
}
