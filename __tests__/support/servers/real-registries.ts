/**
 * Every real registry that the tests know, with what it can do: a test that walks the list runs on each of
 * them. Where the program is missing, `found` is undefined and `describeWith` leaves the tests out.
 */
import type { Content } from '../builders/build.js';
import { startDistribution3 } from './distribution.js';
import { startDockerRegistry } from './docker-registry.js';
import { findDistribution3, findOlareg } from './go-programs.js';
import { startOlareg } from './olareg.js';
import { findDockerRegistry } from './programs.js';
import type { RealRegistry } from './real-registry.js';

export interface StartOptions {
  /** default true */
  readonly deletes?: boolean;
  /** a directory to serve and keep */
  readonly directory?: string;
}

export interface RealRegistryKind {
  readonly name: 'docker-registry' | 'distribution-3' | 'olareg';
  readonly found: unknown;
  readonly start: (options?: StartOptions) => Promise<RealRegistry>;
  /** whether it refuses to store this manifest */
  readonly refuses: (content: Content) => boolean;
  /** whether it lists its repositories */
  readonly hasCatalog: boolean;
  /** whether it knows by itself what refers to a manifest; where not, clients keep fallback tags */
  readonly hasReferrersApi: boolean;
  /** what allows deletes */
  readonly theSwitch: string;
  /** what a run needs so that the disk tells at once what it did */
  readonly inputs: Readonly<Record<string, string>>;
}

export const dockerRegistry = findDockerRegistry();
export const distribution3 = findDistribution3();
export const olareg = findOlareg();

const DISTRIBUTION = {
  hasCatalog: true,
  hasReferrersApi: false,
  theSwitch: 'REGISTRY_STORAGE_DELETE_ENABLED=true',
  inputs: {},
} as const;

export const realRegistries: readonly RealRegistryKind[] = [
  {
    name: 'docker-registry',
    found: dockerRegistry,
    start: (options) => startDockerRegistry(present(dockerRegistry), options),
    refuses: () => false,
    ...DISTRIBUTION,
  },
  {
    name: 'distribution-3',
    found: distribution3,
    start: (options) => startDistribution3(present(distribution3), options),
    refuses: listsLayers,
    ...DISTRIBUTION,
  },
  {
    name: 'olareg',
    found: olareg,
    start: (options) => startOlareg(present(olareg), options),
    refuses: () => false,
    hasCatalog: false,
    hasReferrersApi: true,
    theSwitch: '--api-delete',
    // Of referrers that are deleted at the same time it leaves some in its own list of them, which the disk
    // would show: a test of its own has that.
    inputs: { concurrency: '1' },
  },
];

export function present<T>(program: T | undefined): T {
  if (program === undefined) {
    throw new Error('unreachable: the block is skipped without the program');
  }
  return program;
}

/** A build cache in the older form: an index whose entries are layers, not manifests. */
export function listsLayers({ children, blobs, mediaType }: Content): boolean {
  return mediaType.includes('index') && children.length === 0 && blobs.size > 0;
}
