/**
 * A real Distribution registry on a free loopback port, with a directory of its own that is the judge of
 * what a run deleted and kept. Its log is in the directory's `registry.log`; `stop` removes all of it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createAuthority } from './certificate.js';
import { basicHeader } from './memory/auth.js';
import type { RegistryProgram } from './programs.js';
import { send, type Destination } from './push.js';
import { startTokenServer, type TokenServer } from './token-server.js';

export const USERNAME = 'tester';
export const PASSWORD = 'correct horse, battery';
/** bcrypt of `PASSWORD`, the only kind that the registry's htpasswd takes */
const PASSWORD_HASH = '$2b$04$4dhbjKP2U/qdNacHkdBYveCnKk7FOVIBZgOaL5d/2f0w.v5p80YWi';

export interface DockerRegistryOptions {
  /** default true */
  readonly deletes?: boolean;
  readonly readOnly?: boolean;
  readonly auth?: 'htpasswd' | 'token';
  /** https with a certificate of a private CA */
  readonly tls?: boolean;
  /** seconds that a token lives; default 300 */
  readonly tokenLifetime?: number;
  /** the in-memory blob descriptor cache of the package's sample configuration */
  readonly descriptorCache?: boolean;
  /** where to send notifications */
  readonly notify?: string;
  /** be a pull-through cache of this registry */
  readonly proxyOf?: string;
  /** a directory to serve and keep, such as that of a registry that ran before in another mode */
  readonly directory?: string;
}

export interface DockerRegistry extends Destination {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** the storage root: what `onDisk` and `storageListing` read */
  readonly directory: string;
  /** path of the CA's PEM; only with `tls` */
  readonly caFile?: string;
  /** what it logged so far, with one line of its access log (combined format) for each request */
  log(): string;
  /** Ends the process; removes the directory unless it was given. */
  stop(): Promise<void>;
}

const ISSUER = 'test-issuer';
const SERVICE = 'test-registry';

export async function startDockerRegistry(
  program: RegistryProgram,
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const home = mkdtempSync(path.join(tmpdir(), 'docker-registry-'));
  const directory = options.directory ?? path.join(home, 'storage');
  const logFile = path.join(home, 'registry.log');
  const ca = createAuthority();
  const tokens =
    options.auth === 'token' ? await tokenServer(ca.issue('signer'), options) : undefined;
  const caFile = path.join(home, 'ca.pem');
  const server = ca.issue('registry');
  writeFileSync(caFile, ca.pem);
  writeFileSync(path.join(home, 'cert.pem'), server.pem);
  writeFileSync(path.join(home, 'key.pem'), server.keyPem);
  writeFileSync(path.join(home, 'htpasswd'), `${USERNAME}:${PASSWORD_HASH}\n`);
  // JSON is YAML, so the configuration needs no writer of its own.
  const configuration = path.join(home, 'config.yml');
  writeFileSync(configuration, JSON.stringify(configure(options, home, directory, tokens)));

  const [command, ...before] = program.command(home);
  const log = openSync(logFile, 'a');
  const child = spawn(command, [...before, 'serve', configuration], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const stop = async (): Promise<void> => {
    await end(child);
    await tokens?.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const host = await listening(child, logFile);
    const authorization = authorize(options, tokens);
    const destination: Destination = {
      url: `${options.tls === true ? 'https' : 'http'}://${host}`,
      ...(options.tls === true ? { ca: ca.pem } : {}),
      ...(authorization === undefined ? {} : { authorization }),
    };
    await answering(destination);
    return {
      ...destination,
      host,
      directory,
      ...(options.tls === true ? { caFile } : {}),
      log: () => readFileSync(logFile, 'utf8'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function tokenServer(
  certificate: Parameters<typeof startTokenServer>[0]['certificate'],
  options: DockerRegistryOptions,
): Promise<TokenServer> {
  return startTokenServer({
    certificate,
    issuer: ISSUER,
    service: SERVICE,
    username: USERNAME,
    password: PASSWORD,
    expiresIn: options.tokenLifetime ?? 300,
  });
}

function configure(
  options: DockerRegistryOptions,
  home: string,
  directory: string,
  tokens: TokenServer | undefined,
): unknown {
  const { deletes = true, readOnly = false, notify, proxyOf } = options;
  const auth =
    options.auth === 'htpasswd'
      ? { htpasswd: { realm: 'basic-realm', path: path.join(home, 'htpasswd') } }
      : {
          token: {
            realm: tokens?.realm,
            service: SERVICE,
            issuer: ISSUER,
            rootcertbundle: path.join(home, 'ca.pem'),
          },
        };
  const certificate = { certificate: path.join(home, 'cert.pem'), key: path.join(home, 'key.pem') };
  const endpoint = { name: 'tests', url: notify, timeout: '1s', threshold: 5, backoff: '1s' };
  return {
    version: '0.1',
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: directory },
      delete: { enabled: deletes },
      maintenance: { readonly: { enabled: readOnly } },
      ...(options.descriptorCache === true ? { cache: { blobdescriptor: 'inmemory' } } : {}),
    },
    http: {
      // Port 0: the kernel picks a free one, and the log tells which.
      addr: '127.0.0.1:0',
      secret: 'not a secret',
      ...(options.tls === true ? { tls: certificate } : {}),
    },
    ...(options.auth === undefined ? {} : { auth }),
    ...(notify === undefined ? {} : { notifications: { endpoints: [endpoint] } }),
    ...(proxyOf === undefined ? {} : { proxy: { remoteurl: proxyOf } }),
  };
}

function authorize(
  options: DockerRegistryOptions,
  tokens: TokenServer | undefined,
): Destination['authorization'] {
  if (options.auth === 'htpasswd') {
    return basicHeader(USERNAME, PASSWORD);
  }
  return tokens === undefined ? undefined : (scope) => `Bearer ${tokens.issue([scope])}`;
}

const PATIENCE = 20_000;

/** The address that the registry listens on, from its log. */
async function listening(child: ChildProcess, logFile: string): Promise<string> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const log = readFileSync(logFile, 'utf8');
    const host = /listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1];
    if (host !== undefined) {
      return host;
    }
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      throw new Error(`docker-registry did not start:\n${log.slice(-2000)}`);
    }
    await sleep(20);
  }
}

async function answering(destination: Destination): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    try {
      await send(destination, { method: 'GET', path: '/v2/' });
      return;
    } catch (error) {
      if (Date.now() > deadline) {
        throw error;
      }
    }
    await sleep(20);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await exit;
    clearTimeout(late);
  }
}

/** Every file of the storage, as `find <directory> -type f` prints them, in no certain order. */
export function storageListing(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

const REVISION = /\/repositories\/(.+)\/_manifests\/revisions\/(sha256|sha512)\/([0-9a-f]+)\/link$/;

/** `repository@digest` of every manifest that the storage holds. */
export function onDisk(directory: string): Set<string> {
  return new Set(
    storageListing(directory).flatMap((file) => {
      const [, repository, algorithm, hex] = REVISION.exec(file) ?? [];
      return hex === undefined ? [] : [`${repository ?? ''}@${algorithm ?? ''}:${hex}`];
    }),
  );
}
