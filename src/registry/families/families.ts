/** Every family, in the order of detection: the first that matches is taken. */
import type { IncomingHttpHeaders } from 'node:http';

import { openDistribution } from '../distribution/distribution.js';
import type { Connection, Family, GitHub, Registry } from '../registry.js';
import { ghcr } from './ghcr/ghcr.js';
import { gitea } from './gitea/gitea.js';
import { google } from './google.js';
import { pulp } from './pulp/pulp.js';
import { ADVICE, distribution } from './distribution.js';

export const FAMILIES: readonly Family[] = [ghcr, google, gitea, pulp, distribution];

/** The inputs that say which registry it is. */
export interface RegistrySettings {
  /** scheme, host and port */
  readonly registry: URL;
  /** a family's name; `auto`: found by the address */
  readonly registryType: string;
  /** where the family's own API is; absent: where it is by default */
  readonly apiUrl?: URL;
  /** the GitHub that runs the workflow; absent outside of GitHub Actions */
  readonly github?: GitHub;
  /** for the API of GitHub */
  readonly githubToken?: string;
  /** the first components of the names that the user asks for, where patterns name them */
  readonly namespaces?: readonly string[];
}

/** @returns `undefined` when there is no family of this name */
export function familyOf({
  registry,
  registryType,
  github,
}: Pick<RegistrySettings, 'registry' | 'registryType' | 'github'>): Family | undefined {
  return FAMILIES.find((family) =>
    registryType === 'auto' ? family.matches(registry, github) : family.name === registryType,
  );
}

/** The transport's part of a connection. */
export type Wires = Omit<Connection, 'base' | 'api' | 'githubToken' | 'namespaces'> & {
  /** the headers of the registry's first 401; `undefined` before there was one */
  readonly greeting?: () => IncomingHttpHeaders | undefined;
};

/** The result of a run's first requests. */
export interface Found {
  readonly family: Family;
  /** the registry's time in epoch milliseconds, where it says so */
  readonly time: number | undefined;
}

/**
 * Finds out whether this is a registry at all, how it authenticates, and its family. Where neither the address nor the
 * user tells the family, the registry itself is asked.
 *
 * @throws RequestFailure when it doesn't answer as a registry
 */
export async function findRegistry(settings: RegistrySettings, wires: Wires): Promise<Found> {
  const family = named(settings);
  const { reader } = openDistribution(connectionOf(settings, wires, family), family.name, ADVICE);
  const time = await reader.ping();
  const isUnknown = settings.registryType === 'auto' && family === distribution;
  const greeting = isUnknown ? (wires.greeting?.() ?? {}) : undefined;
  for (const each of isUnknown ? FAMILIES : [family]) {
    const found = await each.identify?.(connectionOf(settings, wires, each), greeting);
    if (found !== undefined) {
      return { family: found, time };
    }
  }
  return { family, time };
}

/**
 * @param family as `findRegistry` found it; default: what the settings alone tell
 * @throws Error when there is no family of this name: inputs are checked before
 */
export function openRegistry(
  settings: RegistrySettings,
  wires: Wires,
  family: Family = named(settings),
): Registry {
  return family.open(connectionOf(settings, wires, family));
}

function named(settings: RegistrySettings): Family {
  const family = familyOf(settings);
  if (family === undefined) {
    throw new Error(`no registry is of the type ${settings.registryType}`);
  }
  return family;
}

function connectionOf(settings: RegistrySettings, wires: Wires, family: Family): Connection {
  const { registry, github, githubToken, namespaces = [] } = settings;
  const api = settings.apiUrl ?? family.api?.(registry, github);
  return { ...wires, base: registry, api, githubToken, namespaces };
}
