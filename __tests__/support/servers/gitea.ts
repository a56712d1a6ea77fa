/**
 * Gitea on a free loopback port, with a database of its own that is the judge of what exists. Its own clean-ups
 * (`[cron]`) are off. Used by scripts too, so nothing of jest comes in here.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';

import { send, type Destination, type Exchange } from '../clients/push.js';
import { findGiteaBinary, type GiteaBinary } from './go-programs.js';
import { basicHeader } from './memory/auth.js';
import {
  findPostgres,
  prepared,
  startPostgres,
  type Database,
  type Postgres,
  type PostgresProgram,
} from './postgres.js';
import { answering, freePort, startProcess, type RunningProcess } from './real-registry.js';

export interface GiteaProgram extends GiteaBinary {
  readonly postgres: PostgresProgram;
  /** a cluster that has Gitea's tables, the user and a token of it; `keep/token` is that */
  readonly prepared: string;
}

/** The scopes of a token, by Gitea's own names. */
export type Scope = 'read:package' | 'write:package' | 'read:user' | 'read:repository' | 'all';

/** For a client it is the user `bot` with the token. */
export interface Gitea extends Destination {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** an administrator of the server; `token` has `write:package` and nothing else */
  readonly bot: { readonly username: string; readonly password: string; readonly token: string };
  /** Makes a token of a user whose password is that of `bot`, which all users here have. */
  token(scopes: readonly Scope[], username?: string): Promise<string>;
  /** Makes a user. */
  user(name: string): Promise<void>;
  /** Makes an organisation that `bot` owns. */
  organisation(name: string): Promise<void>;
  /** `owner/image@digest` of every manifest that the database names and whose bytes are on disk */
  manifests(): Promise<Set<string>>;
  /** `owner/image@digest` of every blob that can be had from that image, those of uploads and mounts included */
  blobs(): Promise<Set<string>>;
  /** the digest that each `owner/image:tag` names */
  tags(): Promise<Map<string, string>>;
  /** all of one image that the database has and whose bytes are on disk */
  contents(repository: string): Promise<ImageContents>;
  /**
   * Keeps a copy of all that the database has of one image. The bytes stay on disk after every delete, as the
   * clean-ups are off.
   *
   * @returns puts all of it back, into the same image
   */
  remember(repository: string): Promise<() => Promise<void>>;
  /**
   * Makes the versions of these manifests as old as if they had been pushed then.
   *
   * @param manifests as `manifests` names them
   * @param time epoch milliseconds
   */
  setPushTime(manifests: readonly string[], time: number): Promise<void>;
  /**
   * Lets the database look at what its tables hold, for a test that pushes hundreds of manifests: it chooses its
   * indexes by that, and in the tests it never looks by itself.
   */
  analyze(): Promise<void>;
  /** what it logged so far: warnings, and one line of an access log for each request */
  log(): string;
  /** Ends all processes and removes all files. */
  stop(): Promise<void>;
}

export interface ImageContents {
  /** the manifest of each version, by its name: a digest or a tag */
  readonly versions: ReadonlyMap<string, string>;
  /** the blobs that can be had */
  readonly blobs: ReadonlySet<string>;
  /** those of them that were uploaded or mounted, and that no push of a manifest has used up */
  readonly waiting: ReadonlySet<string>;
}

const USERNAME = 'bot';
const PASSWORD = 'botbotbot';

/** @throws Error with CI=true when there is none */
export function findGitea(): GiteaProgram | undefined {
  const postgres = findPostgres();
  const program = postgres === undefined ? undefined : findGiteaBinary();
  if (postgres === undefined || program === undefined) {
    return undefined;
  }
  const key = [program.binary, readFileSync(new URL(import.meta.url), 'utf8')];
  return {
    ...program,
    postgres,
    prepared: prepared(postgres, 'gitea', JSON.stringify(key), (database, keep) => {
      fill(program, database, keep);
    }),
  };
}

function fill(program: GiteaBinary, database: Database, keep: string): void {
  const home = mkdtempSync(path.join(tmpdir(), 'gitea-'));
  try {
    configure(program, home, database, 0);
    const run = (...parameters: string[]) =>
      execFileSync(program.binary, parameters, {
        env: { ...process.env, ...environment(home) },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    run('migrate');
    const user = ['--username', USERNAME];
    const mail = ['--email', 'bot@example.test', '--must-change-password=false', '--admin'];
    run('admin', 'user', 'create', ...user, '--password', PASSWORD, ...mail);
    const token = ['--token-name', 'tests', '--scopes', 'write:package', '--raw'];
    const said = run('admin', 'user', 'generate-access-token', ...user, ...token);
    // As root every command says a warning first.
    writeFileSync(path.join(keep, 'token'), said.trim().split('\n').at(-1) ?? '');
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

export async function startGitea(program: GiteaProgram): Promise<Gitea> {
  const port = await freePort();
  const host = `127.0.0.1:${String(port)}`;
  const home = mkdtempSync(path.join(tmpdir(), 'gitea-'));
  let database: Postgres | undefined;
  let child: RunningProcess | undefined;
  const stop = async (): Promise<void> => {
    await child?.end();
    await database?.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const started = await startPostgres(program.postgres, program.prepared);
    database = started;
    configure(program, home, started, port);
    const server = startProcess([program.binary, 'web'], path.join(home, 'log'), environment(home));
    child = server;
    await server.listening((log) => (log.includes('Listen: http:') ? host : undefined));
    const token = readFileSync(path.join(program.prepared, 'keep', 'token'), 'utf8');
    const url = `http://${host}`;
    await answering({ url });
    return {
      url,
      host,
      authorization: await authorizationOf(url, token),
      takesWholeBlobs: true,
      bot: { username: USERNAME, password: PASSWORD, token },
      ...accounts(url),
      ...judges(started, path.join(home, 'data', 'packages')),
      analyze: () => started.change('ANALYZE'),
      log: () => server.log(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Gitea hashes an access token 10,000 times for each request that shows it. So requests to `/v2`, which name a scope,
 * show what the token was exchanged for, as those of Docker do.
 */
async function authorizationOf(url: string, token: string): Promise<(scope: string) => string> {
  const basic = basicHeader(USERNAME, token);
  const answer = await send({ url, authorization: basic }, { method: 'GET', path: '/v2/token' });
  const said = answer.body.toString('utf8');
  if (answer.status !== 200) {
    throw new Error(`GET /v2/token: ${String(answer.status)}: ${said}`);
  }
  const bearer = `Bearer ${(JSON.parse(said) as { token: string }).token}`;
  return (scope) => (scope === '' ? basic : bearer);
}

function environment(home: string): Record<string, string> {
  // With more threads than one it spends as much time again on waking them up for each answer of its database.
  return { GITEA_WORK_DIR: home, HOME: home, GOMAXPROCS: '1' };
}

/** Writes its configuration (an INI file) into `home`. */
function configure({ files }: GiteaBinary, home: string, database: Database, port: number): void {
  const sections: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    server: {
      HTTP_ADDR: '127.0.0.1',
      HTTP_PORT: String(port),
      // What it builds realms, locations and links of.
      ROOT_URL: `http://127.0.0.1:${String(port)}/`,
      STATIC_ROOT_PATH: files,
      DISABLE_SSH: 'true',
      OFFLINE_MODE: 'true',
    },
    database: {
      DB_TYPE: 'postgres',
      HOST: database.socket,
      // One round trip for each query, and not two. It asks hundreds of them for one page of a list.
      NAME: `${database.name}?binary_parameters=yes`,
      USER: database.user,
      SSL_MODE: 'disable',
      // By default it ends all connections but two as soon as they are idle, and each is a process of the database.
      MAX_IDLE_CONNS: '50',
    },
    security: {
      INSTALL_LOCK: 'true',
      SECRET_KEY: 'not a secret',
      INTERNAL_TOKEN: 'not-a-secret',
      // One round: its default takes a quarter of a second for each look at a password.
      PASSWORD_HASH_ALGO: 'pbkdf2$1$50',
    },
    // Its default makes an RSA key of 4096 bits at the first start.
    oauth2: {
      JWT_SIGNING_ALGORITHM: 'HS256',
      JWT_SECRET: 'bm90LWEtc2VjcmV0LW5vdC1hLXNlY3JldC1ub3QtYS0',
    },
    log: { MODE: 'console', LEVEL: 'Info', 'logger.access.MODE': 'console' },
    indexer: { ISSUE_INDEXER_TYPE: 'db' },
    cron: { ENABLED: 'false' },
  };
  const common = {
    RUN_MODE: 'prod',
    RUN_USER: userInfo().username,
    I_AM_BEING_UNSAFE_RUNNING_AS_ROOT: 'true',
    WORK_PATH: home,
  };
  const lines = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([name, value]) => `${name} = ${value}`);
  const text = Object.entries(sections).flatMap(([name, values]) => [
    `[${name}]`,
    ...lines(values),
  ]);
  const directory = path.join(home, 'custom', 'conf');
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'app.ini'), [...lines(common), ...text, ''].join('\n'));
}

function accounts(url: string): Pick<Gitea, 'token' | 'user' | 'organisation'> {
  const create = async (asWhom: string, at: string, fields: object): Promise<Exchange> => {
    const answer = await send(
      { url, authorization: basicHeader(asWhom, PASSWORD) },
      {
        method: 'POST',
        path: `/api/v1/${at}`,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(fields)),
      },
    );
    if (answer.status !== 201) {
      throw new Error(`POST ${at}: ${String(answer.status)}: ${answer.body.toString('utf8')}`);
    }
    return answer;
  };
  let tokens = 0;
  return {
    async token(scopes, username = USERNAME) {
      tokens += 1;
      const fields = { name: `tests ${String(tokens)}`, scopes };
      const { body } = await create(username, `users/${username}/tokens`, fields);
      return (JSON.parse(body.toString('utf8')) as { sha1: string }).sha1;
    },
    async user(name) {
      await create(USERNAME, 'admin/users', {
        username: name,
        email: `${name}@example.test`,
        password: PASSWORD,
        must_change_password: false,
      });
    },
    async organisation(name) {
      await create(USERNAME, 'orgs', { username: name });
    },
  };
}

/**
 * A version of a package is a tag, a digest, or `_upload` for what was uploaded and mounted. Its files are the manifest
 * and the blobs. Versions, files and packages have properties, of kind 0, 1 and 2.
 */
const FILES = `
  FROM package
  JOIN package_property AS repository ON repository.ref_type = 2
    AND repository.ref_id = package.id AND repository.name = 'container.repository'
  JOIN package_version AS version ON version.package_id = package.id
  JOIN package_file AS file ON file.version_id = version.id
  JOIN package_property AS digest ON digest.ref_type = 1
    AND digest.ref_id = file.id AND digest.name = 'container.digest'
  JOIN package_blob AS blob ON blob.id = file.blob_id
  WHERE package.type = 'container'`;

/** The tables with the rows of an image, and which rows those are; each table comes before those that find its rows. */
function rowsOf(repository: string): (readonly [table: string, condition: string])[] {
  const packages = `SELECT ref_id FROM package_property
    WHERE ref_type = 2 AND name = 'container.repository' AND value = ${repository}`;
  const versions = `SELECT id FROM package_version WHERE package_id IN (${packages})`;
  const files = `SELECT id FROM package_file WHERE version_id IN (${versions})`;
  return [
    [
      'package_property',
      `ref_type = 0 AND ref_id IN (${versions}) OR ref_type = 1 AND ref_id IN (${files})`,
    ],
    ['package_file', `version_id IN (${versions})`],
    ['package_version', `package_id IN (${packages})`],
  ];
}

function judges(
  database: Postgres,
  storage: string,
): Pick<Gitea, 'manifests' | 'blobs' | 'tags' | 'contents' | 'remember' | 'setPushTime'> {
  const rows = async (condition: string) => {
    const columns = 'repository.value AS repository, version.lower_version AS version';
    const found = await database.query(
      `SELECT DISTINCT ${columns}, file.lower_name AS file, digest.value AS digest, blob.hash_sha256 AS hash
       ${FILES} AND ${condition} ORDER BY repository, version, digest`,
    );
    return (
      found as readonly Record<'repository' | 'version' | 'file' | 'digest' | 'hash', string>[]
    ).filter(({ hash }) =>
      existsSync(path.join(storage, hash.slice(0, 2), hash.slice(2, 4), hash)),
    );
  };
  const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
  let copies = 0;
  const named = async (condition: string) =>
    new Set((await rows(condition)).map(({ repository, digest }) => `${repository}@${digest}`));
  return {
    manifests: () => named(`file.lower_name = 'manifest.json'`),
    blobs: () => named(`file.lower_name <> 'manifest.json'`),
    async setPushTime(manifests, time) {
      await database.change(
        `UPDATE package_version SET created_unix = ${String(Math.floor(time / 1000))} WHERE id IN (
           SELECT version.id ${FILES} AND file.lower_name = 'manifest.json'
             AND repository.value || '@' || digest.value IN (${manifests.map(literal).join(', ')}))`,
      );
    },
    async contents(repository) {
      const all = await rows(`repository.value = ${literal(repository)}`);
      const manifests = all.filter(({ file }) => file === 'manifest.json');
      const blobs = all.filter(({ file }) => file !== 'manifest.json');
      const waiting = blobs.filter(({ version }) => version === '_upload');
      return {
        versions: new Map(manifests.map(({ version, digest }) => [version, digest])),
        blobs: new Set(blobs.map(({ digest }) => digest)),
        waiting: new Set(waiting.map(({ digest }) => digest)),
      };
    },
    async remember(repository) {
      copies += 1;
      const copy = `copy_${String(copies)}`;
      const tables = rowsOf(literal(repository));
      const copied = tables.map(
        ([table, condition]) =>
          `CREATE TABLE ${copy}.${table} AS SELECT * FROM ${table} WHERE ${condition}`,
      );
      await database.change([`CREATE SCHEMA ${copy}`, ...copied].join(';'));
      const deletes = tables.map(([table, condition]) => `DELETE FROM ${table} WHERE ${condition}`);
      const inserts = tables.map(
        ([table]) => `INSERT INTO ${table} SELECT * FROM ${copy}.${table}`,
      );
      return () => database.change([...deletes, ...inserts].join(';'));
    },
    async tags() {
      const tagged = await rows(`file.lower_name = 'manifest.json' AND EXISTS (
        SELECT FROM package_property AS tagged WHERE tagged.ref_type = 0
          AND tagged.ref_id = version.id AND tagged.name = 'container.manifest.tagged')`);
      return new Map(
        tagged.map(({ repository, version, digest }) => [`${repository}:${version}`, digest]),
      );
    },
  };
}
