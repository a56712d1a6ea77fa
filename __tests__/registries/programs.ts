/**
 * Finds the real programs that tests run against: on the PATH, or from Debian's archive into a cache under
 * node_modules (no root needed), or in a container. With CI=true a missing program is an error. Used by
 * scripts too, so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

/** A command and the arguments that come before a caller's own. */
export type Command = readonly [string, ...string[]];

const CACHE = path.join(process.cwd(), 'node_modules', '.cache', 'registry-manifest-cleanup');

/** Distribution's registry; `directory` is shared with the container if it runs in one. */
export interface RegistryProgram {
  command(directory: string): Command;
}

/** @throws Error with CI=true when there is none */
export function findDockerRegistry(): RegistryProgram | undefined {
  const binary =
    ['docker-registry', 'registry'].find((name) => says(name, /distribution/)) ??
    fromDebian('docker-registry', 'usr/bin/docker-registry', /distribution/);
  if (binary !== undefined) {
    return { command: () => [binary] };
  }
  const engine = ['docker', 'podman'].find((name) =>
    works(name, ['run', '--rm', 'registry:2', '--version']),
  );
  if (engine !== undefined) {
    return { command: (directory) => [engine, ...containerArguments(directory)] };
  }
  failInCi('docker-registry');
  return undefined;
}

/** @throws Error with CI=true when there is none */
export function findSkopeo(): string | undefined {
  const binary = says('skopeo', /skopeo/)
    ? 'skopeo'
    : fromDebian('skopeo', 'usr/bin/skopeo', /skopeo/);
  if (binary === undefined) {
    failInCi('skopeo');
  }
  return binary;
}

/** The host's network and user, so that ports, paths and files are as if it ran outside. */
function containerArguments(directory: string): string[] {
  const { getuid, getgid } = process;
  const user = `${String(getuid?.() ?? 0)}:${String(getgid?.() ?? 0)}`;
  return [
    'run',
    '--rm',
    '--network=host',
    '--user',
    user,
    '-v',
    `${directory}:${directory}`,
    'registry:2',
  ];
}

function failInCi(program: string): void {
  if (process.env['CI'] === 'true') {
    throw new Error(
      `${program} is missing, and with CI=true its tests may not be skipped. ` +
        `Install it: apt-get install ${program}`,
    );
  }
}

/** Unpacks a Debian package into the cache, once; undefined where that can't be done. */
function fromDebian(name: string, file: string, version: RegExp): string | undefined {
  const home = path.join(CACHE, name);
  const binary = path.join(home, file);
  if (!existsSync(binary) && !download(name, home)) {
    return undefined;
  }
  return says(binary, version) ? binary : undefined;
}

function download(name: string, home: string): boolean {
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(path.join(CACHE, `${name}-`));
  try {
    if (!works('apt-get', ['download', name], scratch) && works('apt-get', ['update'])) {
      works('apt-get', ['download', name], scratch);
    }
    const archive = readdirSync(scratch).find((entry) => entry.endsWith('.deb'));
    const unpacked = path.join(scratch, 'root');
    if (archive === undefined || !works('dpkg-deb', ['-x', archive, unpacked], scratch)) {
      return false;
    }
    // Several test files may look at once: the first to finish wins, the others use what it left.
    renameSync(unpacked, home);
    return true;
  } catch {
    return existsSync(home);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A program of that name may be something else: its version tells. */
function says(command: string, version: RegExp): boolean {
  try {
    return version.test(execFileSync(command, ['--version'], { encoding: 'utf8', stdio: 'pipe' }));
  } catch {
    return false;
  }
}

function works(command: string, parameters: readonly string[], cwd?: string): boolean {
  try {
    execFileSync(command, parameters, {
      stdio: 'ignore',
      timeout: 120_000,
      ...(cwd === undefined ? {} : { cwd }),
    });
    return true;
  } catch {
    return false;
  }
}
