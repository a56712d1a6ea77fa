/**
 * Credentials from the Docker config that `docker login` and docker/login-action leave behind. The
 * registry's host is matched whole: `registry.example.evil` must never get what `registry.example` has.
 * No message holds anything of the file's contents or of a helper's output.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import * as v from 'valibot';

import { askHelper } from './credential-helper.js';
import { NO_CREDENTIALS, type Credentials } from './credentials.js';
import { codeOf } from './failure.js';

/** The Docker config or a credential helper is there but can't be used. */
export class DockerConfigError extends Error {
  override name = 'DockerConfigError';
}

/** Valibot takes an array for an object. */
const isRecord = v.check((value: unknown) => !Array.isArray(value));

const ConfigSchema = v.object({
  auths: v.nullish(v.record(v.string(), v.unknown()), {}),
  credHelpers: v.nullish(v.record(v.string(), v.string()), {}),
  credsStore: v.nullish(v.string(), ''),
});

const EntrySchema = v.object({
  auth: v.nullish(v.string(), ''),
  username: v.nullish(v.string(), ''),
  password: v.nullish(v.string(), ''),
  identitytoken: v.nullish(v.string(), ''),
  registrytoken: v.nullish(v.string(), ''),
});

/** Docker Hub is written under any of these; its own key is a URL with a path, from older times. */
const HUB_HOSTS = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
const HUB_KEY = 'https://index.docker.io/v1/';

/**
 * @param registry the registry's URL; only scheme, host and port count
 * @param env where DOCKER_CONFIG, HOME and the helpers' PATH are looked up
 * @returns kind `none` when there is no config, or nothing in it for this registry
 * @throws DockerConfigError naming the file or the helper that can't be used
 */
export async function readDockerCredentials(
  registry: URL,
  env: NodeJS.ProcessEnv,
): Promise<Credentials> {
  const home = set(env['HOME']) ?? homedir();
  const file = join(set(env['DOCKER_CONFIG']) ?? join(home, '.docker'), 'config.json');
  const config = await readConfig(file);
  if (config === undefined) {
    return NO_CREDENTIALS;
  }
  const hosts = hostsOf(registry);
  const named = entryFor(config.credHelpers, hosts);
  const helper = named ?? config.credsStore;
  if (helper !== '') {
    const server = HUB_HOSTS.includes(registry.host) ? HUB_KEY : registry.host;
    const setting = named === undefined ? 'credsStore' : 'credHelpers';
    const found = await askHelper(helper, server, env).catch((error: unknown) => {
      throw new DockerConfigError(
        `the credential helper named by ${setting} in ${file} can not be used: ` +
          `${error instanceof Error ? error.message : String(error)}. ` +
          'Mend it, or set username and password',
      );
    });
    if (found !== undefined) {
      return found;
    }
  }
  const entry = entryFor(config.auths, hosts);
  return entry === undefined ? NO_CREDENTIALS : credentialsOf(entry, registry.host, file);
}

/** As Docker does, an empty variable is taken for one that isn't set. */
function set(variable: string | undefined): string | undefined {
  return variable === '' ? undefined : variable;
}

async function readConfig(file: string) {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return undefined;
    }
    throw new DockerConfigError(`the Docker config ${file} can not be read (${code})`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which holds the passwords.
    throw new DockerConfigError(`the Docker config ${file} is not JSON`);
  }
  const parsed = v.safeParse(v.pipe(v.unknown(), isRecord, ConfigSchema), json, {
    abortEarly: true,
  });
  if (!parsed.success) {
    throw new DockerConfigError(`the Docker config ${file} does not have a Docker config's form`);
  }
  return parsed.output;
}

/** Every way to write the registry's host in a key: with and without the scheme's own port. */
function hostsOf({ protocol, hostname, host, port }: URL): Set<string> {
  const withPort = port === '' ? `${hostname}:${protocol === 'https:' ? '443' : '80'}` : host;
  return new Set(HUB_HOSTS.includes(host) ? HUB_HOSTS : [host, withPort]);
}

function entryFor<T>(
  entries: Readonly<Record<string, T>>,
  hosts: ReadonlySet<string>,
): T | undefined {
  return Object.entries(entries).find(([key]) => hosts.has(hostOfKey(key)))?.[1];
}

/** Keys are hosts, but old ones are URLs: scheme and path go, host and port stay. */
function hostOfKey(key: string): string {
  return key
    .replace(/^https?:\/\//i, '')
    .replace(/\/.*$/s, '')
    .toLowerCase();
}

function credentialsOf(entry: unknown, host: string, file: string): Credentials {
  const broken = (what: string) => new DockerConfigError(`in ${file}, ${what} for ${host}`);
  const parsed = v.safeParse(EntrySchema, entry, { abortEarly: true });
  if (!parsed.success) {
    throw broken('the entry under auths is not of the usual form');
  }
  const { auth, username, password, identitytoken, registrytoken } = parsed.output;
  if (registrytoken !== '') {
    return { kind: 'registry-token', token: registrytoken };
  }
  if (identitytoken !== '') {
    return { kind: 'identity-token', token: identitytoken };
  }
  if (auth === '') {
    // `{}` is Docker's mark for "in the credential store".
    return username === '' ? NO_CREDENTIALS : { kind: 'basic', username, password };
  }
  // Buffer skips what is not base64, so the form is checked first.
  const decoded = /^[A-Za-z0-9+/_-]+=*$/.test(auth)
    ? Buffer.from(auth, 'base64').toString('utf8')
    : '';
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw broken('`auth` is not the base64 form of user:password');
  }
  return {
    kind: 'basic',
    username: decoded.slice(0, colon),
    // Docker pads passwords with NULs in some versions, and cuts them off when it reads.
    password: decoded.slice(colon + 1).replace(/\0+$/, ''),
  };
}
