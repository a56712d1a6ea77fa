/** The inputs that say which registry it is, and where its own API is. Pure, but for the inputs themselves. */
import * as core from '@actions/core';

import { FAMILIES, familyOf } from '../registry/families/families.js';
import { unservedAt } from '../registry/families/unserved.js';
import type { Family, GitHub } from '../registry/registry.js';
import type { Settings } from '../run/settings.js';
import type { Mistake } from './mistake.js';

/** The facts about a registry before the first request; `undefined` for what is mistaken. */
interface NamedRegistry {
  readonly registry: URL | undefined;
  readonly family: Family | undefined;
  readonly github: GitHub | undefined;
}

/** Reads `registry-url`, `registry-type` and `api-url`. */
export function readRegistry(
  env: NodeJS.ProcessEnv,
  mistake: Mistake,
): NamedRegistry & Pick<Settings, 'registryType' | 'apiUrl'> {
  const registry = readRegistryUrl(core.getInput('registry-url'), mistake);
  if (registry !== undefined) {
    checkServed(registry, mistake);
  }
  const registryType = core.getInput('registry-type') || 'auto';
  const github = githubOf(env);
  const family = registry && familyOf({ registry, registryType, github });
  if (registry !== undefined && family === undefined) {
    const names = FAMILIES.map(({ name }) => `\`${name}\``).join(', ');
    mistake('registry-type', `\`auto\` or one of ${names}`, registryType);
  }
  const named = { registry, family, github };
  return { ...named, registryType, apiUrl: readApiUrl(core.getInput('api-url'), named, mistake) };
}

function readRegistryUrl(text: string, mistake: Mistake): URL | undefined {
  const takes =
    'a registry as `host`, `host:port` or `https://host:port`, without a path, user name or query';
  if (text.includes('@')) {
    // Not quoted, even if something else is wrong, too: what stands before the @ may be a password.
    return mistake('registry-url', `${takes}. Credentials go into \`username\` and \`password\``);
  }
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const whole = hasScheme ? text : `https://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (
    url === undefined ||
    !['http:', 'https:'].includes(url.protocol) ||
    !/^\/(?:v2\/?)?$/.test(url.pathname) ||
    url.search + url.hash !== ''
  ) {
    return mistake('registry-url', takes, text);
  }
  // Docker's rule: registries on the same machine use http by default.
  return new URL(!hasScheme && isLoopback(url.hostname) ? `http://${url.host}` : url.origin);
}

/** Whatever `registry-type` says: no API of a family is right there, and none of these deletes as they do. */
function checkServed(registry: URL, mistake: Mistake): void {
  const unserved = unservedAt(registry);
  if (unserved !== undefined) {
    const { name, does, instead } = unserved;
    const why = `this action doesn't serve ${name}. ${does} ${instead.replace(/\.$/, '')} [registry-not-served]`;
    mistake(
      'registry-url',
      'a registry of a kind that docs/registries.md lists',
      registry.host,
      why,
    );
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/** @returns the GitHub that runs the workflow; `undefined` outside of GitHub Actions */
export function githubOf(env: NodeJS.ProcessEnv): GitHub | undefined {
  const server = webAddress(env['GITHUB_SERVER_URL'] ?? '');
  const api = webAddress(env['GITHUB_API_URL'] ?? '');
  return server && api && { server, api };
}

function webAddress(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password === ''
    ? url
    : undefined;
}

/**
 * @param text of the input `api-url`
 * @returns `undefined` when it is empty, too: then the API is where the family says
 */
export function readApiUrl(
  text: string,
  { registry, family, github }: NamedRegistry,
  mistake: Mistake,
): URL | undefined {
  if (text !== '' && family?.hasApi === false) {
    const none = `nothing: a registry of the type \`${family.name}\` has no API beside \`/v2/\``;
    return mistake('api-url', none, text);
  }
  const given = webAddress(text);
  if (text !== '' && given === undefined) {
    const takes = 'an address such as `https://api.example.com`, without a user name';
    // Not quoted where it holds an @: what stands before that may be a password.
    return mistake('api-url', takes, text.includes('@') ? undefined : text);
  }
  const api = given ?? (registry && family?.api?.(registry, github));
  // A registry with http has the user's word that the network between is safe.
  if (api?.protocol === 'http:' && !isLoopback(api.hostname) && registry?.protocol === 'https:') {
    const why =
      given === undefined
        ? 'that is the default here, and a token would be sent there unencrypted'
        : 'a token would be sent there unencrypted';
    return mistake('api-url', 'an address with `https://`', api.href, why);
  }
  return given;
}
