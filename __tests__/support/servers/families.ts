/**
 * One server for each family of registries, as the contract suite drives them. Adding a family adds its server
 * here, and nothing to the suite.
 */
import type { Credentials } from '../../../src/http/credentials.js';
import { FAMILIES } from '../../../src/registry/families/families.js';
import { startGoogleRegistry } from './google/registry.js';
import { withoutManifests } from './google/tag-list.js';
import { startMemoryRegistry, type MemoryRegistry } from './memory/registry.js';

export interface FamilyServer {
  readonly registry: MemoryRegistry;
  /** of an account that may do everything that `start` was not told otherwise */
  readonly credentials: Credentials;
  /** where the family lists its manifests: what only its server can do */
  readonly list?: {
    setPushTime(repository: string, digest: string, time: number): void;
    /** leaves these out of every list from now on */
    leaveOut(...digests: readonly string[]): void;
  };
}

export interface FamilySubject {
  /** the input `registry-type` */
  readonly type: string;
  readonly canUntag: boolean;
  readonly canList: boolean;
  /** a repository whose name this kind of registry takes, and another one */
  readonly repositories: readonly [string, string];
  start(options?: { readonly mayDelete?: boolean }): Promise<FamilyServer>;
}

const LOGIN = { username: 'cleaner', password: 'pass-word-1' } as const;

const distribution: FamilySubject = {
  type: 'distribution',
  canUntag: false,
  canList: false,
  repositories: ['team/app', 'team/web'],
  async start({ mayDelete = true } = {}) {
    const grant = (scope: string) => (mayDelete ? scope : scope.replace(',delete', ''));
    const registry = await startMemoryRegistry({ auth: { kind: 'token', ...LOGIN, grant } });
    return { registry, credentials: { kind: 'basic', ...LOGIN } };
  },
};

const google: FamilySubject = {
  type: 'google',
  canUntag: true,
  canList: true,
  repositories: ['project/team/app', 'project/team/web'],
  async start({ mayDelete = true } = {}) {
    const keyJson = '{"type":"service_account","private_key":"pass-word-2"}';
    const registry = await startGoogleRegistry({
      auth: { keyJson, may: (action) => mayDelete || action !== 'delete' },
    });
    return {
      registry,
      credentials: { kind: 'basic', username: '_json_key', password: keyJson },
      list: {
        setPushTime: (repository, digest, time) => {
          registry.setUploadTime(repository, digest, time);
        },
        leaveOut: (...digests) => {
          registry.editList(withoutManifests(...digests));
        },
      },
    };
  },
};

export const SUBJECTS: readonly FamilySubject[] = [google, distribution];

const missing = FAMILIES.filter(({ name }) => !SUBJECTS.some(({ type }) => type === name));
if (missing.length > 0) {
  throw new Error(`no server for ${missing.map(({ name }) => name).join(', ')}`);
}
