/** Every family, in the order of detection: the first that matches is taken. */
import type { Connection, Family, GitHub, Registry } from '../registry.js';
import { ghcr } from './ghcr/ghcr.js';
import { google } from './google.js';
import { distribution } from './distribution.js';

export const FAMILIES: readonly Family[] = [ghcr, google, distribution];

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

/** @throws Error when there is no family of this name: inputs are checked before */
export function openRegistry(
  settings: RegistrySettings,
  connection: Omit<Connection, 'base' | 'api' | 'githubToken' | 'namespaces'>,
): Registry {
  const family = familyOf(settings);
  if (family === undefined) {
    throw new Error(`no registry is of the type ${settings.registryType}`);
  }
  const { registry, github, githubToken, namespaces = [] } = settings;
  const api = settings.apiUrl ?? family.api?.(registry, github);
  return family.open({ ...connection, base: registry, api, githubToken, namespaces });
}
