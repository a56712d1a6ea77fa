/**
 * One server for each family of registries, as the contract suite drives them. Adding a family adds its server
 * here, and nothing to the suite.
 */
import type { Clock } from '../../../src/http/clock.js';
import type { Credentials } from '../../../src/http/credentials.js';
import { FAMILIES, type RegistrySettings } from '../../../src/registry/families/families.js';
import type { Content } from '../builders/build.js';
import { errorAnswer, when } from '../clients/client.js';
import { seed, type Destination } from '../clients/push.js';
import type { Program } from './describe-with.js';
import { startGhcr } from './ghcr/ghcr.js';
import { JOB_TOKEN } from './ghcr/options.js';
import { gitea } from './gitea-subject.js';
import { pulp } from './pulp-subject.js';
import { startGoogleRegistry } from './google/registry.js';
import { withoutManifests } from './google/tag-list.js';
import { startMemoryRegistry, type MemoryRegistry } from './memory/registry.js';
import type { Interceptor } from './memory/script.js';

export interface FamilyServer {
  readonly url: string;
  /** a repository whose name this kind of registry takes, and another one; nothing is in them yet */
  readonly repositories: readonly [string, string];
  /** of an account that may do everything that `start` was not told otherwise */
  readonly credentials: Credentials;
  /** for a family with an API of its own */
  readonly settings?: Pick<RegistrySettings, 'apiUrl' | 'githubToken' | 'namespaces'>;
  /** where a client reaches a real server without the relay in front of it; absent: `url` is as good */
  readonly direct?: Destination;
  /** Pushes a content with all that it names, under these tags, or by digest when there is none. */
  put(repository: string, content: Content, ...tags: readonly string[]): Promise<void>;
  /** the digests that are there, as the server's own storage has them */
  manifests(repository: string): Promise<ReadonlySet<string>>;
  /** those among them that its list has to show; absent: all */
  listed?(repository: string): Promise<ReadonlySet<string>>;
  /** Puts into the list what was pushed by digest alone; absent: it is there anyway. */
  adopt?(repository: string): Promise<void>;
  /** Removes a tag, as a user does; absent: nobody can without its manifest. */
  untag?(repository: string, tag: string): Promise<void>;
  /** tag → digest, in the same way */
  tags(repository: string): Promise<ReadonlyMap<string, string>>;
  /** sent by the program under test, to any address of the server */
  readonly requests: readonly { readonly method: string; readonly path: string }[];
  /** Replaces the script of the registry's own API. */
  intercept(interceptor: Interceptor): void;
  /** says of each delete from now on that it worked, and carries none out */
  feignDeletes(): void;
  /** where the family lists its manifests: what only its server can do */
  readonly list?: {
    /** answers every list so from now on */
    answer(status: number): void;
    /** absent where the list tells no time of a push */
    setPushTime?(repository: string, digest: string, time: number): Promise<void>;
    /** leaves these out of every list from now on */
    leaveOut(...digests: readonly string[]): void;
  };
  /** for a server that works on after its answer; absent: the time of a test passes without waiting */
  readonly clock?: Clock;
  stop(): Promise<void>;
}

export interface FamilySubject {
  /** the input `registry-type` */
  readonly type: string;
  readonly canUntag: boolean;
  readonly canList: boolean;
  /** whether a repository that isn't there looks like one that the account may not see */
  readonly hidesUnknown?: true;
  /** whether the list may lack what was pushed by digest alone */
  readonly lacksDigestPushes?: true;
  /** a real server: the program that has to be there, and what the search for it gave */
  readonly real?: {
    readonly program: Program;
    readonly found: unknown;
    /** how often a property is played on it */
    readonly plays: number;
  };
  /** whether a delete of an index takes children along */
  readonly takesChildren?: true;
  start(options?: { readonly mayDelete?: boolean }): Promise<FamilyServer>;
}

/** The part of a server that every registry in memory has. */
function inMemory(registry: MemoryRegistry) {
  const { state } = registry;
  return {
    url: registry.url,
    requests: registry.requests,
    put: (repository: string, content: Content, ...tags: readonly string[]) => {
      seed(state, repository, content, ...tags);
      return Promise.resolve();
    },
    manifests: (repository: string) =>
      Promise.resolve(new Set(state.repositories.get(repository)?.manifests.keys())),
    tags: (repository: string) =>
      Promise.resolve(new Map(state.repositories.get(repository)?.tags)),
    intercept: (interceptor: Interceptor) => {
      registry.intercept(interceptor);
    },
    feignDeletes: () => {
      registry.intercept(when(/^DELETE/, { kind: 'answer', status: 204 }));
    },
    stop: () => registry.stop(),
  };
}

const LOGIN = { username: 'cleaner', password: 'pass-word-1' } as const;

const distribution: FamilySubject = {
  type: 'distribution',
  canUntag: false,
  canList: false,
  async start({ mayDelete = true } = {}) {
    const grant = (scope: string) => (mayDelete ? scope : scope.replace(',delete', ''));
    const registry = await startMemoryRegistry({ auth: { kind: 'token', ...LOGIN, grant } });
    return {
      ...inMemory(registry),
      repositories: ['team/app', 'team/web'],
      credentials: { kind: 'basic', ...LOGIN },
    };
  },
};

const google: FamilySubject = {
  type: 'google',
  canUntag: true,
  canList: true,
  async start({ mayDelete = true } = {}) {
    const keyJson = '{"type":"service_account","private_key":"pass-word-2"}';
    const registry = await startGoogleRegistry({
      auth: { keyJson, may: (action) => mayDelete || action !== 'delete' },
    });
    return {
      ...inMemory(registry),
      repositories: ['project/team/app', 'project/team/web'],
      credentials: { kind: 'basic', username: '_json_key', password: keyJson },
      list: {
        answer: (status) => {
          const code = status === 404 ? 'DENIED' : 'UNKNOWN';
          registry.intercept(when(/tags\/list/, errorAnswer(status, code)));
        },
        setPushTime: (repository, digest, time) => {
          registry.setUploadTime(repository, digest, time);
          return Promise.resolve();
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
  async start({ mayDelete = true } = {}) {
    const right = () => (mayDelete ? 'admin' : 'write');
    const registry = await startGhcr({ tokens: [{ kind: 'job', value: JOB_TOKEN, right }] });
    return {
      ...inMemory(registry),
      repositories: ['acme/app', 'acme/web'],
      credentials: { kind: 'basic', username: 'actor', password: JOB_TOKEN },
      settings: { apiUrl: new URL(registry.api), githubToken: JOB_TOKEN, namespaces: ['acme'] },
      get requests() {
        const asked = registry.apiRequests.map(({ method, url }) => ({ method, path: url }));
        return [...registry.requests, ...asked];
      },
      feignDeletes: () =>
        registry.apiIntercept(({ method }) =>
          method === 'DELETE' ? { kind: 'answer', status: 204 } : undefined,
        ),
      list: {
        answer: (status) =>
          registry.apiIntercept(({ path }) =>
            path.includes('/versions') ? { kind: 'answer', status } : undefined,
          ),
        setPushTime: (repository, digest, time) => {
          registry.setTimes(repository, digest, { created: time });
          return Promise.resolve();
        },
        leaveOut: (...digests) => {
          registry.leaveOut(...digests);
        },
      },
    };
  },
};

export const SUBJECTS: readonly FamilySubject[] = [ghcr, google, gitea, pulp, distribution];

const missing = FAMILIES.filter(({ name }) => !SUBJECTS.some(({ type }) => type === name));
if (missing.length > 0) {
  throw new Error(`no server for ${missing.map(({ name }) => name).join(', ')}`);
}
