/**
 * Finds the real programs that tests run against: on the PATH, or from Debian's archive into a cache (no root
 * needed), or in a container. With CI=true a missing program is an error. Used by scripts too, so nothing of jest comes
 * in here.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** A command and the arguments that come before a caller's own. */
export type Command = readonly [string, ...string[]];

/**
 * The directory of programs and databases that are made once and used again. It is the user's and not the project's:
 * each `npm ci` would empty that, and a build takes minutes. Every entry is keyed by all that it is made from.
 */
export const CACHE = path.join(
  process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'),
  'registry-manifest-cleanup',
);

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
  failInCi('docker-registry', 'apt-get install docker-registry');
  return undefined;
}

/** @throws Error with CI=true when there is none */
export function findSkopeo(): string | undefined {
  const binary = says('skopeo', /skopeo/)
    ? 'skopeo'
    : fromDebian('skopeo', 'run', /skopeo/, { libraries: SKOPEO_LIBRARIES, prepare: wrapSkopeo });
  if (binary === undefined) {
    failInCi('skopeo', 'apt-get install skopeo');
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

/** @throws Error with CI=true */
export function failInCi(program: string, remedy: string): void {
  if (process.env['CI'] === 'true') {
    throw new Error(
      `${program} is missing, and with CI=true its tests may not be skipped. Install it: ${remedy}`,
    );
  }
}

/** What skopeo needs and a small machine lacks, by the names of Debian 12 and of later releases. */
const SKOPEO_LIBRARIES = [
  'libgpgme11',
  'libgpgme11t64',
  'libassuan0',
  'libassuan9',
  'libdevmapper1.02.1',
];

/** A package unpacked without being installed finds neither its libraries nor its policy by itself. */
function wrapSkopeo(home: string): void {
  writeFileSync(
    path.join(home, 'policy.json'),
    JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }),
  );
  const script = `#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu* | tr ' ' ':')
export LD_LIBRARY_PATH
exec "$here/usr/bin/skopeo" --policy "$here/policy.json" "$@"
`;
  writeFileSync(path.join(home, 'run'), script, { mode: 0o755 });
}

interface Extras {
  /** packages to unpack beside it; those that this release doesn't have are passed over */
  readonly libraries?: readonly string[];
  /** what is left to do in the unpacked directory */
  readonly prepare?: (home: string) => void;
}

/** Unpacks a Debian package into the cache, once; undefined where that can't be done. */
function fromDebian(
  name: string,
  file: string,
  version: RegExp,
  extras: Extras = {},
): string | undefined {
  const home = path.join(CACHE, name);
  const binary = path.join(home, file);
  if (!existsSync(binary) && !download(name, home, extras)) {
    return undefined;
  }
  return says(binary, version) ? binary : undefined;
}

function download(name: string, home: string, { libraries = [], prepare }: Extras): boolean {
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(path.join(CACHE, `${name}-`));
  try {
    if (!works('apt-get', ['download', name], scratch) && works('apt-get', ['update'])) {
      works('apt-get', ['download', name], scratch);
    }
    libraries.forEach((library) => works('apt-get', ['download', library], scratch));
    const archives = readdirSync(scratch).filter((entry) => entry.endsWith('.deb'));
    const unpacked = path.join(scratch, 'root');
    const unpack = (archive: string) => works('dpkg-deb', ['-x', archive, unpacked], scratch);
    if (!archives.some((archive) => archive.startsWith(`${name}_`)) || !archives.every(unpack)) {
      return false;
    }
    prepare?.(unpacked);
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
