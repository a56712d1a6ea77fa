/**
 * PostgreSQL for the servers of the tests that keep their state in it: a cluster in a directory of its own, on a Unix
 * socket and no port. What a server writes into an empty database takes long and is always the same, so it is made once
 * and kept in the cache, and each start has a copy. Used by scripts too, so nothing of jest comes in here.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { alone } from './alone.js';
import { CACHE, failInCi } from './programs.js';
import { startProcess, type User } from './real-registry.js';

export interface PostgresProgram {
  /** the directory of `initdb`, `pg_ctl`, `postgres` and `psql` */
  readonly bin: string;
  /** `postgres (PostgreSQL) 15.14` */
  readonly version: string;
}

/** Where a client finds the one database of a cluster. */
export interface Database {
  /** the directory of the socket */
  readonly socket: string;
  readonly name: string;
  readonly user: string;
}

export interface Postgres extends Database {
  /** @returns the rows, as the server writes them as JSON. @throws Error with what psql says */
  query(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Runs a statement that has no rows to tell. @throws Error with what psql says */
  change(sql: string): Promise<void>;
  /** Ends the server and removes its directory. */
  stop(): Promise<void>;
}

const SUPERUSER = 'postgres';
const NAME = 'registry';
const READY = 'database system is ready to accept connections';

/** @throws Error with CI=true when there is none */
export function findPostgres(): PostgresProgram | undefined {
  const found = directories().flatMap((bin) => {
    const version = ask(path.join(bin, 'postgres'), ['--version']);
    const isWhole = ['initdb', 'pg_ctl', 'psql'].every((each) => existsSync(path.join(bin, each)));
    return version !== undefined && isWhole ? [{ bin, version }] : [];
  });
  if (found[0] === undefined) {
    failInCi('PostgreSQL', 'apt-get install postgresql');
  }
  return found[0];
}

/** Debian keeps all but psql apart from the PATH, by major version: the newest first. */
function directories(): string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  return [
    ...versions.sort((a, b) => Number(b) - Number(a)).map((each) => path.join(debian, each, 'bin')),
    ...(process.env['PATH'] ?? '').split(path.delimiter).filter((each) => each !== ''),
  ];
}

/**
 * The files of a cluster after `fill`, made once.
 *
 * @param key all that the result depends on, apart from the version of PostgreSQL
 * @param fill writes into the empty database; `keep` is a directory for what belongs to it, kept with it
 * @returns the directory: `data` is the cluster's and `keep` that of `fill`. @throws Error if `fill` does
 */
export function prepared(
  { bin, version }: PostgresProgram,
  name: string,
  key: string,
  fill: (database: Database, keep: string) => void,
): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([version, key]))
    .digest('hex');
  const home = path.join(CACHE, `${name}-database-${hash.slice(0, 16)}`);
  mkdirSync(CACHE, { recursive: true });
  if (!existsSync(home)) {
    alone(`${home}.lock`, () => {
      if (!existsSync(home)) {
        prepare(bin, home, fill);
      }
    });
  }
  return home;
}

function prepare(
  bin: string,
  home: string,
  fill: (database: Database, keep: string) => void,
): void {
  const user = unprivileged();
  const scratch = workplace(user);
  const run = (program: string, ...parameters: string[]) =>
    execFileSync(path.join(bin, program), parameters, { cwd: scratch, stdio: 'ignore', ...user });
  const database = { socket: scratch, name: NAME, user: SUPERUSER };
  const data = path.join(scratch, 'data');
  // Next to its place, so that it comes there at once and whole.
  const made = mkdtempSync(`${home}-`);
  try {
    // Small segments, as each start copies them.
    const fixed = ['-A', 'trust', '-E', 'UTF8', '--locale=C', '--wal-segsize=1', '--no-sync'];
    run('initdb', '-D', data, '-U', SUPERUSER, ...fixed);
    const options = settings(scratch).join(' ');
    run('pg_ctl', 'start', '-w', '-D', data, '-l', path.join(scratch, 'log'), '-o', options);
    try {
      const client = ['-h', scratch, '-U', SUPERUSER, '-d', 'postgres'];
      run('psql', ...client, '-c', `CREATE DATABASE ${NAME}`);
      mkdirSync(path.join(made, 'keep'));
      fill(database, path.join(made, 'keep'));
    } finally {
      run('pg_ctl', 'stop', '-w', '-m', 'fast', '-D', data);
    }
    cpSync(data, path.join(made, 'data'), { recursive: true });
    renameSync(made, home);
  } finally {
    rmSync(made, { recursive: true, force: true });
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @param from what `prepared` gave */
export async function startPostgres({ bin }: PostgresProgram, from: string): Promise<Postgres> {
  const user = unprivileged();
  const home = workplace(user);
  const data = path.join(home, 'data');
  const remove = () => {
    rmSync(home, { recursive: true, force: true });
  };
  try {
    cpSync(path.join(from, 'data'), data, { recursive: true });
    chmodSync(data, 0o700);
    if (user !== undefined) {
      execFileSync('chown', ['-R', `${String(user.uid)}:${String(user.gid)}`, data]);
    }
  } catch (error) {
    remove();
    throw error;
  }
  const command = [path.join(bin, 'postgres'), '-D', data, ...settings(home)] as const;
  const child = startProcess(command, path.join(home, 'log'), {}, { user, cwd: home });
  const stop = async (): Promise<void> => {
    // SIGTERM would wait for its clients.
    await child.end('SIGINT');
    remove();
  };
  try {
    await child.listening((log) => (log.includes(READY) ? home : undefined));
    return {
      socket: home,
      name: NAME,
      user: SUPERUSER,
      query: async (sql) => {
        const asJson = `SELECT coalesce(json_agg(found), '[]') FROM (${sql}) AS found`;
        return JSON.parse(await psql(bin, home, asJson)) as Record<string, unknown>[];
      },
      change: async (sql) => {
        await psql(bin, home, sql);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Nothing of a test has to outlive a crash of the machine. */
function settings(socket: string): string[] {
  return [
    'listen_addresses=',
    `unix_socket_directories=${socket}`,
    'unix_socket_permissions=0700',
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'autovacuum=off',
  ].flatMap((each) => ['-c', each]);
}

/** @returns what it writes to stdout */
async function psql(bin: string, socket: string, sql: string): Promise<string> {
  const client = ['-h', socket, '-U', SUPERUSER, '-d', NAME, '-X', '-At', '-c', sql];
  const { stdout } = await promisify(execFile)(path.join(bin, 'psql'), client, {
    maxBuffer: 256 * 1024 * 1024,
  });
  return stdout;
}

/** A directory of its own. The path of a socket has about 100 characters at most, so it is short. */
function workplace(user: User | undefined): string {
  const home = mkdtempSync(path.join(tmpdir(), 'pg-'));
  if (user !== undefined) {
    chownSync(home, user.uid, user.gid);
  }
  return home;
}

/** PostgreSQL refuses to run as root. @returns whom it runs as instead; undefined: as this process's user */
function unprivileged(): User | undefined {
  if (process.getuid?.() !== 0) {
    return undefined;
  }
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((which) => Number(ask('id', [which, name])));
    if (uid !== undefined && gid !== undefined && uid > 0 && gid > 0) {
      return { uid, gid };
    }
  }
  throw new Error('PostgreSQL needs a user other than root: there is neither postgres nor nobody.');
}

/** @returns what it prints, or undefined if it can't be run or fails */
function ask(program: string, parameters: readonly string[]): string | undefined {
  try {
    return execFileSync(program, parameters, { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}
