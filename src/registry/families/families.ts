/** Every family, in the order of detection: the first that matches is taken. */
import type { Connection, Family, Registry } from '../registry.js';
import { google } from './google.js';
import { distribution } from './distribution.js';

export const FAMILIES: readonly Family[] = [google, distribution];

/** The inputs that say which registry it is. */
export interface RegistrySettings {
  /** scheme, host and port */
  readonly registry: URL;
  /** a family's name; `auto`: found by the address */
  readonly registryType: string;
  /** where the family's own API is; absent: where it is by default */
  readonly apiUrl?: URL;
}

/** @returns `undefined` when there is no family of this name */
export function familyOf({ registry, registryType }: RegistrySettings): Family | undefined {
  return FAMILIES.find((family) =>
    registryType === 'auto' ? family.matches(registry) : family.name === registryType,
  );
}

/** @throws Error when there is no family of this name: inputs are checked before */
export function openRegistry(
  settings: RegistrySettings,
  connection: Omit<Connection, 'base' | 'api'>,
): Registry {
  const family = familyOf(settings);
  if (family === undefined) {
    throw new Error(`no registry is of the type ${settings.registryType}`);
  }
  return family.open({ ...connection, base: settings.registry, api: settings.apiUrl });
}
