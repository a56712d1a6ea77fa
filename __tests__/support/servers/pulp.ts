/**
 * Pulp's container registry on free loopback ports, with a database of its own that is the judge of what exists: the
 * API, which also serves `/v2`, the application that serves blobs, and one worker for the tasks. Used by scripts too,
 * so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { send, type Destination } from '../clients/push.js';
import { basicHeader } from './memory/auth.js';
import {
  findPostgres,
  prepared,
  startPostgres,
  type Database,
  type Postgres,
  type PostgresProgram,
} from './postgres.js';
import { findPulpPrograms } from './python-programs.js';
import { freePort, startProcess, type RunningProcess } from './real-registry.js';

export interface PulpProgram {
  /** the directory of `pulpcore-api` and the other programs */
  readonly bin: string;
  readonly postgres: PostgresProgram;
  /** a cluster that has Pulp's tables and the password of `admin` */
  readonly prepared: string;
}

/** As a client of `/v2` and of the API it is the user `admin`. */
export interface Pulp extends Destination {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly admin: { readonly username: string; readonly password: string };
  /** `repository@digest` of every manifest that can be pulled: those of `listed` and of `pending` */
  manifests(): Promise<Set<string>>;
  /** `repository@digest` of the manifests of each repository's latest version */
  listed(): Promise<Set<string>>;
  /** `repository@digest` of what was pushed by digest, and no push of a tag has taken in yet */
  pending(): Promise<Set<string>>;
  /** the digest that each `repository:tag` names */
  tags(): Promise<Map<string, string>>;
  /** Resolves when no task waits or runs. @throws Error if that takes a minute */
  settled(): Promise<void>;
  /** what its processes logged so far, each for itself */
  log(): string;
  /** Ends all processes and removes all files. */
  stop(): Promise<void>;
}

const USERNAME = 'admin';
const PASSWORD = 'admin';
/** milliseconds; three programs in Python load at once, on machines with two busy cores */
const PATIENCE = 120_000;

/** @throws Error with CI=true when there is none */
export function findPulp(): PulpProgram | undefined {
  const postgres = findPostgres();
  const bin = postgres === undefined ? undefined : findPulpPrograms();
  if (postgres === undefined || bin === undefined) {
    return undefined;
  }
  const key = [bin, readFileSync(new URL(import.meta.url), 'utf8')];
  return {
    bin,
    postgres,
    prepared: prepared(postgres, 'pulp', JSON.stringify(key), (database) => {
      fill(bin, database);
    }),
  };
}

function fill(bin: string, database: Database): void {
  const home = mkdtempSync(path.join(tmpdir(), 'pulp-'));
  try {
    configure(home, database, 0);
    const run = (...parameters: string[]) =>
      execFileSync(path.join(bin, 'pulpcore-manager'), parameters, {
        env: { ...process.env, ...environment(home, bin) },
        stdio: 'pipe',
      });
    run('migrate', '--noinput');
    run('reset-admin-password', '--password', PASSWORD);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

export async function startPulp(program: PulpProgram): Promise<Pulp> {
  const [api, content] = [await freePort(), await freePort()];
  const host = `127.0.0.1:${String(api)}`;
  const home = mkdtempSync(path.join(tmpdir(), 'pulp-'));
  let database: Postgres | undefined;
  let children: readonly RunningProcess[] = [];
  const stop = async (): Promise<void> => {
    // SIGTERM would wait for open connections.
    await Promise.all(children.map((child) => child.end('SIGINT')));
    await database?.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    database = await startPostgres(program.postgres, program.prepared);
    configure(home, database, content);
    children = [
      ['pulpcore-api', '-b', host, '-w', '1'],
      ['pulpcore-content', '-b', `127.0.0.1:${String(content)}`, '-w', '1'],
      ['pulpcore-worker'],
    ].map(([name = '', ...parameters]) =>
      startProcess(
        [path.join(program.bin, name), ...parameters],
        path.join(home, `${name}.log`),
        environment(home, program.bin),
        { cwd: home },
      ),
    );
    const destination = {
      url: `http://${host}`,
      authorization: basicHeader(USERNAME, PASSWORD),
      takesWholeBlobs: true,
    };
    await online(destination, children, content);
    return {
      ...destination,
      host,
      admin: { username: USERNAME, password: PASSWORD },
      ...judges(database),
      log: () => children.map((child) => child.log()).join('\n'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function environment(home: string, bin: string): Record<string, string> {
  return {
    PULP_SETTINGS: path.join(home, 'settings.py'),
    DJANGO_SETTINGS_MODULE: 'pulpcore.app.settings',
    // The worker starts programs of its own environment.
    PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}`,
    HOME: home,
  };
}

/** Writes its settings (a Python file) and makes its directories. */
function configure(home: string, { socket, name, user }: Database, content: number): void {
  const state = (directory: string) => path.join(home, directory);
  // It checks that they exist.
  ['media', 'tmp', 'assets'].forEach((each) => mkdirSync(state(each)));
  // 32 bytes in base64: of the form that it wants, and the same for the prepared database and each copy.
  writeFileSync(state('key'), Buffer.alloc(32, 'no secret').toString('base64url') + '=');
  const settings = {
    SECRET_KEY: 'x'.repeat(50),
    DATABASES: {
      default: {
        ENGINE: 'django.db.backends.postgresql',
        NAME: name,
        USER: user,
        HOST: socket,
        // A connection for each request takes twice as long as the request.
        CONN_MAX_AGE: 600,
      },
    },
    DB_ENCRYPTION_KEY: state('key'),
    CONTENT_ORIGIN: `http://127.0.0.1:${String(content)}`,
    DEPLOY_ROOT: home,
    MEDIA_ROOT: state('media'),
    WORKING_DIRECTORY: state('tmp'),
    FILE_UPLOAD_TEMP_DIR: state('tmp'),
    STATIC_ROOT: state('assets'),
    STORAGES: {
      default: {
        BACKEND: 'pulpcore.app.models.storage.FileSystem',
        OPTIONS: { location: state('media') },
      },
      staticfiles: { BACKEND: 'django.contrib.staticfiles.storage.StaticFilesStorage' },
    },
    TOKEN_AUTH_DISABLED: true,
    // Its default takes half a second for each look at a password, and each request brings one.
    PASSWORD_HASHERS: ['django.contrib.auth.hashers.MD5PasswordHasher'],
    FLATPAK_INDEX: false,
    CACHE_ENABLED: false,
    ANALYTICS: false,
  };
  // Strings, numbers and objects are written in Python as in JSON.
  const lines = Object.entries(settings).map(([key, value]) =>
    typeof value === 'boolean'
      ? `${key} = ${value ? 'True' : 'False'}`
      : `${key} = ${JSON.stringify(value)}`,
  );
  // They end before what a collection would free matters, and each walks through all that Django has loaded.
  const collectsNothing = ['import gc', 'gc.disable()'];
  writeFileSync(state('settings.py'), [...collectsNothing, ...lines].join('\n') + '\n');
}

/** Waits until the API answers and says that a worker is there, and the application for blobs answers too. */
async function online(
  api: Destination,
  children: readonly RunningProcess[],
  content: number,
): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const dead = children.find((child) => !child.isAlive());
    if (dead !== undefined || Date.now() > deadline) {
      throw new Error(
        `Pulp did not start:\n${children.map((child) => child.log().slice(-2000)).join('\n')}`,
      );
    }
    try {
      const { status, body } = await send(api, { method: 'GET', path: '/pulp/api/v3/status/' });
      const { online_workers: workers } = JSON.parse(body.toString('utf8')) as {
        readonly online_workers: readonly unknown[];
      };
      if (status === 200 && workers.length > 0) {
        await send({ url: `http://127.0.0.1:${String(content)}` }, { method: 'GET', path: '/' });
        return;
      }
    } catch {
      // It does not listen yet.
    }
    await sleep(100);
  }
}

/** The latest whole version of each repository that a distribution names. */
const LATEST = `
  FROM core_distribution AS distribution
  JOIN core_repositoryversion AS version ON version.pulp_id = (
    SELECT latest.pulp_id FROM core_repositoryversion AS latest
    WHERE latest.repository_id = distribution.repository_id AND latest.complete
    ORDER BY latest.number DESC LIMIT 1)`;

const IN_VERSION = `
  SELECT DISTINCT distribution.base_path AS repository, manifest.digest
  ${LATEST} JOIN container_manifest AS manifest ON manifest.content_ptr_id = ANY (version.content_ids)`;

const PENDING = `
  SELECT DISTINCT distribution.base_path AS repository, manifest.digest
  FROM core_distribution AS distribution
  JOIN container_containerrepository_pending_manifests AS pending
    ON pending.containerrepository_id = distribution.repository_id
  JOIN container_manifest AS manifest ON manifest.content_ptr_id = pending.manifest_id`;

const TAGS = `
  SELECT distribution.base_path AS repository, tag.name, manifest.digest
  ${LATEST} JOIN container_tag AS tag ON tag.content_ptr_id = ANY (version.content_ids)
  JOIN container_manifest AS manifest ON manifest.content_ptr_id = tag.tagged_manifest_id`;

function judges(
  database: Postgres,
): Pick<Pulp, 'manifests' | 'listed' | 'pending' | 'tags' | 'settled'> {
  const named = async (sql: string) => {
    const found = (await database.query(sql)) as readonly Record<'repository' | 'digest', string>[];
    return new Set(found.map(({ repository, digest }) => `${repository}@${digest}`));
  };
  return {
    manifests: () => named(`${IN_VERSION} UNION ${PENDING}`),
    listed: () => named(IN_VERSION),
    pending: () => named(PENDING),
    async tags() {
      const found = (await database.query(TAGS)) as readonly Record<
        'repository' | 'name' | 'digest',
        string
      >[];
      return new Map(
        found.map(({ repository, name, digest }) => [`${repository}:${name}`, digest]),
      );
    },
    async settled() {
      const deadline = Date.now() + 60_000;
      const open = `SELECT name FROM core_task WHERE state IN ('waiting', 'running', 'canceling')`;
      for (;;) {
        const tasks = await database.query(open);
        if (tasks.length === 0) {
          return;
        }
        if (Date.now() > deadline) {
          throw new Error(`Pulp still has tasks to do: ${JSON.stringify(tasks)}`);
        }
        // A task takes a tenth of a second or more, and each look starts a program.
        await sleep(100);
      }
    },
  };
}
