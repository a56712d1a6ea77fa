/**
 * A real Distribution registry, 2.x or 3.x as the program is, on a free loopback port, with a directory of
 * its own that is the judge of what a run deleted and kept. Its log is in the directory's `registry.log`;
 * `stop` removes all of it.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createAuthority, type Certificate } from './certificate.js';
import { basicHeader } from './memory/auth.js';
import type { RegistryProgram } from './programs.js';
import type { Destination } from '../clients/push.js';
import { answering, startProcess, type RealRegistry } from './real-registry.js';
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
  /** with `tls`: refuse clients that show no certificate of the same CA */
  readonly clientCertificates?: boolean;
  /** seconds that a token lives; default 300 */
  readonly tokenLifetime?: number;
  /** what the token server grants of one scope that the action asks for; default all of it */
  readonly grant?: (scope: string) => string | undefined;
  /** the in-memory blob descriptor cache of the package's sample configuration */
  readonly descriptorCache?: boolean;
  /** where to send notifications */
  readonly notify?: string;
  /** be a pull-through cache of this registry */
  readonly proxyOf?: string;
  /** a directory to serve and keep, such as that of a registry that ran before in another mode */
  readonly directory?: string;
}

/** Its log has one line of an access log (combined format) for each request. */
export interface DockerRegistry extends RealRegistry {
  /** path of the CA's PEM; only with `tls` */
  readonly caFile?: string;
}

const ADDRESS = /listening on (127\.0\.0\.1:\d+)/;
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
  // 3.x sends traces to a collector on this machine unless told not to.
  const child = startProcess([command, ...before, 'serve', configuration], logFile, {
    OTEL_TRACES_EXPORTER: 'none',
  });
  const stop = async (): Promise<void> => {
    await child.end();
    await tokens?.stop();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const host = await child.listening((log) => ADDRESS.exec(log)?.[1]);
    const authorization = authorize(options, tokens);
    const destination: Destination = {
      url: `${options.tls === true ? 'https' : 'http'}://${host}`,
      ...(options.tls === true ? { ca: ca.pem } : {}),
      ...(options.clientCertificates === true ? { client: clientOf(ca.issue('client')) } : {}),
      ...(authorization === undefined ? {} : { authorization }),
    };
    await answering(destination);
    return {
      ...destination,
      host,
      directory,
      ...(options.tls === true ? { caFile } : {}),
      log: () => child.log(),
      manifests: () => onDisk(directory),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function clientOf({ pem: cert, keyPem: key }: Certificate): Destination['client'] {
  return { cert, key };
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
    ...(options.grant === undefined ? {} : { grant: options.grant }),
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
  const certificate = {
    certificate: path.join(home, 'cert.pem'),
    key: path.join(home, 'key.pem'),
    ...(options.clientCertificates === true ? { clientcas: [path.join(home, 'ca.pem')] } : {}),
  };
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
