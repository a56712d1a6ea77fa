/**
 * One server for each family of registries, as the contract suite drives them. Adding a family adds its server
 * here, and nothing to the suite.
 */
import type { Credentials } from '../../../src/http/credentials.js';
import { FAMILIES, type RegistrySettings } from '../../../src/registry/families/families.js';
import { errorAnswer, when } from '../clients/client.js';
import { startGhcr } from './ghcr/ghcr.js';
import { JOB_TOKEN } from './ghcr/options.js';
import { startGoogleRegistry } from './google/registry.js';
import { withoutManifests } from './google/tag-list.js';
import { startMemoryRegistry, type MemoryRegistry } from './memory/registry.js';

export interface FamilyServer {
  readonly registry: MemoryRegistry;
  /** of an account that may do everything that `start` was not told otherwise */
  readonly credentials: Credentials;
  /** for a family with an API of its own */
  readonly settings?: Pick<RegistrySettings, 'apiUrl' | 'githubToken' | 'namespaces'>;
  /** answers every DELETE so from now on, and carries none out */
  answerDeletes(status: number): void;
  /** where the family lists its manifests: what only its server can do */
  readonly list?: {
    /** answers every list so from now on */
    answer(status: number): void;
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
  /** whether a repository that isn't there looks like one that the account may not see */
  readonly hidesUnknown?: true;
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
    return {
      registry,
      credentials: { kind: 'basic', ...LOGIN },
      answerDeletes: (status) => registry.intercept(when(/^DELETE/, { kind: 'answer', status })),
    };
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
      answerDeletes: (status) => registry.intercept(when(/^DELETE/, { kind: 'answer', status })),
      list: {
        answer: (status) => {
          const code = status === 404 ? 'DENIED' : 'UNKNOWN';
          registry.intercept(when(/tags\/list/, errorAnswer(status, code)));
        },
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

const ghcr: FamilySubject = {
  type: 'ghcr',
  canUntag: false,
  canList: true,
  hidesUnknown: true,
  repositories: ['acme/app', 'acme/web'],
  async start({ mayDelete = true } = {}) {
    const right = () => (mayDelete ? 'admin' : 'write');
    const registry = await startGhcr({ tokens: [{ kind: 'job', value: JOB_TOKEN, right }] });
    return {
      registry,
      credentials: { kind: 'basic', username: 'actor', password: JOB_TOKEN },
      settings: { apiUrl: new URL(registry.api), githubToken: JOB_TOKEN, namespaces: ['acme'] },
      answerDeletes: (status) =>
        registry.apiIntercept(({ method }) =>
          method === 'DELETE' ? { kind: 'answer', status } : undefined,
        ),
      list: {
        answer: (status) =>
          registry.apiIntercept(({ path }) =>
            path.includes('/versions') ? { kind: 'answer', status } : undefined,
          ),
        setPushTime: (repository, digest, time) => {
          registry.setTimes(repository, digest, { created: time });
        },
        leaveOut: (...digests) => {
          registry.leaveOut(...digests);
        },
      },
    };
  },
};

export const SUBJECTS: readonly FamilySubject[] = [ghcr, google, distribution];

const missing = FAMILIES.filter(({ name }) => !SUBJECTS.some(({ type }) => type === name));
if (missing.length > 0) {
  throw new Error(`no server for ${missing.map(({ name }) => name).join(', ')}`);
}
