/**
 * Credentials from the Docker config that `docker login` and docker/login-action leave behind. The
 * registry's host is matched whole: `registry.example.evil` must never get what `registry.example` has.
 * No message holds anything of the file's contents or of a helper's output.
 */
import { constants, open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import * as v from 'valibot';

import { inForm } from '../oci/json.js';
import { askHelper } from './credential-helper.js';
import type { Credentials } from './credentials.js';
import { codeOf, messageOf } from '../text/error.js';
import { CodedError } from '../text/code.js';

const UNUSABLE = 'docker-config-unusable';

/** Valibot takes an array for an object. */
const isRecord = v.check((value: unknown) => !Array.isArray(value));

const ConfigSchema = v.object({
  auths: v.nullish(v.record(v.string(), v.unknown()), {}),
  credHelpers: v.nullish(v.record(v.string(), v.string()), {}),
  credsStore: v.nullish(v.string(), ''),
});

const text = v.nullish(v.string(), '');
const EntrySchema = v.object({
  auth: text,
  username: text,
  password: text,
  identitytoken: text,
  registrytoken: text,
});

/** Docker Hub is written under any of these; its own key is a URL with a path, from older times. */
const HUB_HOSTS = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
const HUB_KEY = 'https://index.docker.io/v1/';

/** Megabytes are no config, and a device has no end. */
const MAX_BYTES = 8 * 1024 * 1024;
/** A message names so many of the hosts in a config. */
const FEW = 5;

type Config = v.InferOutput<typeof ConfigSchema>;

/**
 * @param registry the registry's URL; only scheme, host and port count
 * @param env where DOCKER_CONFIG, HOME and the helpers' PATH are looked up
 * @returns kind `none`, and why, when there is no config, or nothing in it for this registry
 * @throws CodedError naming the file or the helper that can't be used
 */
export async function readDockerCredentials(
  registry: URL,
  env: NodeJS.ProcessEnv,
): Promise<Credentials> {
  // As Docker does, an empty variable is taken for one that isn't set.
  const home = env['HOME'] || homedir();
  const file = join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
  const config = await readConfig(file);
  if (config === undefined) {
    return { kind: 'none', why: `there is no Docker config (${file})` };
  }
  const names = keysOf(registry);
  const named = entryFor(config.credHelpers, names);
  const helper = named ?? config.credsStore;
  if (helper !== '') {
    const server = HUB_HOSTS.includes(registry.host) ? HUB_KEY : registry.host;
    const setting = named === undefined ? 'credsStore' : 'credHelpers';
    const found = await askHelper(helper, server, env).catch((error: unknown) => {
      throw new CodedError(
        `the credential helper named by ${setting} in ${file} can't be used: ${messageOf(error)}. ` +
          'Correct it, or give `username` and `password`',
        UNUSABLE,
      );
    });
    if (found !== undefined) {
      return found;
    }
  }
  const entry = entryFor(config.auths, names);
  const found = entry === undefined ? undefined : credentialsOf(entry, registry.host, file);
  return found ?? { kind: 'none', why: whyNone(config, registry.host, helper, entry) };
}

/** @returns `undefined` when there is no such file */
async function readConfig(file: string): Promise<Config | undefined> {
  const broken = (why: string) => new CodedError(`the Docker config ${file} ${why}`, UNUSABLE);
  let bytes: Buffer;
  try {
    // A pipe that nobody writes to would be waited for.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    bytes = await buffer(handle.createReadStream({ end: MAX_BYTES }));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return undefined;
    }
    throw broken(`can't be read (${code})`);
  }
  if (bytes.length > MAX_BYTES) {
    throw broken('is larger than 8 MiB');
  }
  let json: unknown;
  try {
    // It leaves out the mark that some editors put before the text.
    const text = new TextDecoder().decode(bytes);
    // To Docker, an empty file and `null` are a config with nothing in it.
    json = text.trim() === '' ? {} : (JSON.parse(text) ?? {});
  } catch {
    // The parser's own message quotes the text, which holds the passwords.
    throw broken("isn't valid JSON");
  }
  const config = inForm(v.pipe(v.unknown(), isRecord, ConfigSchema), json);
  if (config === undefined) {
    throw broken("isn't in the form of a Docker config");
  }
  return config;
}

/** How a key can name a registry. */
interface Keys {
  /** the key that Docker itself would look for, and others that say no more and no less; the best first */
  readonly exact: readonly string[];
  /** every way to write the registry's host, with and without the scheme's own port */
  readonly hosts: ReadonlySet<string>;
}

function keysOf({ protocol, hostname, host, port }: URL): Keys {
  if (HUB_HOSTS.includes(host)) {
    // Docker asks for its hub under the old key, and for the hub's API by name as for any other registry.
    const own = host === 'registry-1.docker.io' ? [host, HUB_KEY] : [HUB_KEY, host];
    return { exact: [...own, ...HUB_HOSTS], hosts: new Set(HUB_HOSTS) };
  }
  const withPort = port === '' ? `${hostname}:${protocol === 'https:' ? '443' : '80'}` : host;
  return { exact: [host, withPort], hosts: new Set([host, withPort]) };
}

/**
 * As in Docker, the exact key first, and one that becomes it when scheme and path are cut off only where there
 * is no exact one (docker/cli, cli/config/credentials/file_store.go). Which of several such keys Docker takes is chance;
 * here it is the one with the least to cut off.
 */
function entryFor<T>(entries: Readonly<Record<string, T>>, keys: Keys): T | undefined {
  const exact = keys.exact.find((key) => Object.hasOwn(entries, key));
  if (exact !== undefined) {
    return entries[exact];
  }
  const [shortened] = Object.keys(entries)
    .filter((key) => keys.hosts.has(hostOfKey(key)))
    .sort((a, b) => excess(a) - excess(b) || (a < b ? -1 : 1));
  return shortened === undefined ? undefined : entries[shortened];
}

/** Keys are hosts, but old ones are URLs: scheme and path go, host and port stay. */
function hostOfKey(key: string): string {
  return key
    .replace(/^https?:\/\//i, '')
    .replace(/\/.*$/s, '')
    .toLowerCase();
}

/**
 * How much of a key is not the host. The paths of registries' own APIs count as nothing: they are no
 * part of the registry, as `host/team` is.
 */
function excess(key: string): number {
  const path = /^(?:https?:\/\/)?[^/]*(.*)$/is.exec(key)?.[1] ?? '';
  const isPart = !/^(?:\/(?:v[12]\/?)?)?$/.test(path);
  return (isPart ? 1_000_000 : 0) + key.length;
}

function whyNone(config: Config, host: string, helper: string, entry: unknown): string {
  const { auths, credHelpers, credsStore } = config;
  const keys = [...Object.keys(auths), ...Object.keys(credHelpers)];
  // Only keys that Docker takes for a host: anything may have got in there by mistake.
  const hosts = [...new Set(keys.map(hostOfKey))]
    .filter((name) => /^[a-z0-9._:[\]-]{1,255}$/.test(name) && /[.:]|^localhost$/.test(name))
    .filter((name) => name !== host)
    .sort();
  const few = hosts.slice(0, FEW).join(', ');
  const more = hosts.length > FEW ? ` and ${String(hosts.length - FEW)} more` : '';
  const others = hosts.length > 0 ? `; it has ${few}${more}` : '';
  if (helper !== '') {
    const whose = helper === credsStore ? 'credsStore' : 'credHelpers';
    return `docker-credential-${helper}, which ${whose} of the Docker config names, has none for ${host}${others}`;
  }
  if (entry !== undefined) {
    return `the entry of the Docker config for ${host} is empty${others}`;
  }
  return `the Docker config has none for ${host}${others === '' ? '; it has none at all' : others}`;
}

/** @returns undefined when the entry holds nothing */
function credentialsOf(entry: unknown, host: string, file: string): Credentials | undefined {
  const broken = (what: string) => new CodedError(`in ${file}, ${what} for ${host}`, UNUSABLE);
  const fields = inForm(EntrySchema, entry);
  if (fields === undefined) {
    throw broken("the entry under `auths` isn't in the usual form");
  }
  const { auth, username, password, identitytoken, registrytoken } = fields;
  if (registrytoken !== '') {
    return { kind: 'registry-token', token: registrytoken };
  }
  if (identitytoken !== '') {
    return { kind: 'identity-token', token: identitytoken };
  }
  if (auth === '') {
    // `{}` is Docker's mark for "in the credential store".
    return username === '' ? undefined : { kind: 'basic', username, password };
  }
  // Line feeds are no part of it: `base64` puts one after every 76 characters, and Docker leaves them out, too.
  const bare = auth.trim().replace(/[\r\n]+/g, '');
  // Buffer skips what is not base64, so the form is checked first.
  const isBase64 = /^[A-Za-z0-9+/_-]+=*$/.test(bare);
  const decoded = isBase64 ? Buffer.from(bare, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw broken("`auth` isn't the base64 form of user:password");
  }
  return {
    kind: 'basic',
    username: decoded.slice(0, colon),
    // Docker pads passwords with NULs in some versions, and cuts them off when it reads.
    password: decoded.slice(colon + 1).replace(/^\0+|\0+$/g, ''),
  };
}
