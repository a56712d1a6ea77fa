/**
 * Builds the programs that are written in Go, once, from the modules beside this file: a go.mod pins their
 * versions and its go.sum the bytes. The cache is keyed by all files of a module. With CI=true a missing one is an error.
 * Used by scripts too, so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { alone, LONGEST_BUILD } from './alone.js';
import { CACHE, failInCi, type RegistryProgram } from './programs.js';

interface GoProgram {
  /** how messages call it */
  readonly title: string;
  /** the directory of its module; clients have their own, so that they move no version of the registries */
  readonly module: 'go' | 'gcrane' | 'gitea' | 'referrers';
  readonly package: string;
  /** for the linker, beside what all get */
  readonly linker?: string;
  /** directories of its module that it reads when it runs; they are copied beside it */
  readonly files?: readonly string[];
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
  gitea: {
    title: 'Gitea',
    module: 'gitea',
    package: 'code.gitea.io/gitea',
    // Its makefile sets the version, and without one it answers `development`.
    linker: '-X main.Version=1.26.0',
    files: ['options', 'public', 'templates'],
  },
} as const satisfies Record<string, GoProgram>;

type Name = keyof typeof PROGRAMS;

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

/** Gitea's server without its web pages. @throws Error with CI=true when it can't be built */
export function findGiteaBinary(): GiteaBinary | undefined {
  const binary = find('gitea');
  return binary === undefined ? undefined : { binary, files: filesOf(binary) };
}

export interface GiteaBinary {
  /** path of the program */
  readonly binary: string;
  /** the directory of its templates and translations */
  readonly files: string;
}

function find(name: Name): string | undefined {
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

function build(name: Name, directory: string, home: string, binary: string): void {
  const scratch = mkdtempSync(path.join(home, `${name}-`));
  const built = path.join(scratch, name);
  const { linker = '', files = [], ...program }: GoProgram = PROGRAMS[name];
  const flags = ['-p', '2', '-trimpath', '-buildvcs=false', `-ldflags=-s -w ${linker}`.trimEnd()];
  const go = (command: string, ...parameters: string[]) =>
    execFileSync('go', [command, '-mod=readonly', ...parameters], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...process.env, GOFLAGS: '', GOWORK: 'off', CGO_ENABLED: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: LONGEST_BUILD,
    });
  try {
    go('build', ...flags, '-o', built, program.package);
    if (files.length > 0) {
      const source = go('list', '-m', '-f', '{{.Dir}}', program.package).trim();
      rmSync(filesOf(binary), { recursive: true, force: true });
      files.forEach((each) => {
        copyWritable(path.join(source, each), path.join(filesOf(binary), each));
      });
    }
    // Last: where the program is, its files are.
    renameSync(built, binary);
  } catch {
    // No Go, too old a Go or no network: the caller sees that there is no program.
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function filesOf(binary: string): string {
  return `${binary}-files`;
}

/** Go keeps modules read-only, and a copy that is so too could not be removed again. */
function copyWritable(from: string, to: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const source = path.join(entry.parentPath, entry.name);
      const target = path.join(to, path.relative(from, source));
      mkdirSync(path.dirname(target), { recursive: true });
      copyFileSync(source, target);
    }
  }
}
