/**
 * GHCR, simulated: a registry like ghcr.io and a REST API like api.github.com, over one state. Two servers, which
 * listen on 127.0.0.1 only. `options.ts` says what is assumed, and what a test may choose.
 */
import { OLD } from '../../builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../memory/registry.js';
import { copyOfState, emptyState, loadState, type RegistryState } from '../memory/state.js';
import { startApi, type ApiInterceptor, type ApiRequest, type PageHook } from './api-server.js';
import { ghcrGate } from './gate.js';
import { createLimits, registryLimit, type TokenQuota } from './limits.js';
import { openApiValidator } from './openapi.js';
import { DEFAULT_TOKENS, LIKELY, type GhcrOptions } from './options.js';
import { createOwners } from './packages.js';
import { ghcrDialect } from './registry.js';
import { callerOf, createRights } from './rights.js';
import type { Version } from './shelf.js';
import { Versions, type Remembered } from './versions.js';

export interface Snapshot {
  readonly state: RegistryState;
  readonly versions: Remembered;
}

export interface Ghcr extends MemoryRegistry {
  /** where the REST API is, without a slash at its end */
  readonly api: string;
  /** every request to the REST API, in the order of the answers; empty it with `apiRequests.length = 0` */
  readonly apiRequests: ApiRequest[];
  /** Replaces the script of the REST API; without an argument it behaves again. */
  apiIntercept(interceptor?: ApiInterceptor): void;
  /** Replaces what runs after each page of a list of versions; without an argument nothing does. */
  onPage(hook?: PageHook): void;
  /** All versions that ever were in a repository, in the order of their ids; what was deleted has its time. */
  versions(repository: string): Version[];
  /** What the next list will show, as late as it is. */
  upcoming(repository: string): Version[];
  /** Milliseconds since 1970. `updated` follows `created` unless it is named. */
  setTimes(
    repository: string,
    digest: string,
    times: { readonly created?: number; readonly updated?: number },
  ): void;
  setDownloads(repository: string, digest: string, downloads: number): void;
  /** All that is there, and was. */
  snapshot(): Snapshot;
  /** Puts in what was there at a snapshot, perhaps another server's. */
  load(snapshot: Snapshot): void;
  /** Lists lack these from now on. */
  leaveOut(...digests: readonly string[]): void;
  readonly quota: {
    /** @param token default: the first of the options */
    get(token?: string): TokenQuota;
    set(quota: Partial<TokenQuota>, token?: string): void;
  };
  /**
   * What was wrong with requests and answers by GitHub's API description. `stop` rejects if there is anything, so that
   * the test fails; empty it with `violations.length = 0`.
   */
  readonly violations: string[];
}

export async function startGhcr(
  options: GhcrOptions = {},
  state: RegistryState = emptyState(),
): Promise<Ghcr> {
  const {
    accounts = [],
    tokens = DEFAULT_TOKENS,
    visibility = () => 'private',
    now = Date.now,
    seededAt = () => Date.parse(OLD),
    listLags = {},
    versionLags = {},
    manifestLag = 0,
    registryLimits = { reads: 44_000, writes: 2000 },
    registryLatency = 0,
    validates = true,
    largestPage = 100,
    tls,
  } = options;
  const assume = { ...LIKELY, ...options.assume };
  const rights = createRights(tokens, visibility);
  const versions = new Versions(state, { assume, now, seededAt, listLags, versionLags });
  const limits = createLimits(now, assume);
  const violations: string[] = [];
  const limit = registryLimit(now, registryLimits);
  const registry = await startMemoryRegistry(
    {
      dialect: ghcrDialect({ state, versions, assume, now, manifestLag, limit }),
      auth: { kind: 'own', gate: ghcrGate(rights, assume, now) },
      ...(tls === undefined ? {} : { tls }),
    },
    state,
  );
  const late =
    registryLatency > 0 ? ({ kind: 'pass', delay: registryLatency } as const) : undefined;
  registry.intercept(() => late);
  const api = await startApi({
    face: {
      state,
      versions,
      owners: createOwners(state, accounts),
      rights,
      assume,
      visibility,
      largestPage,
    },
    limits,
    validator: validates ? openApiValidator() : undefined,
    violations,
    now,
    options,
  });
  const callerBy = (value = tokens[0]?.value ?? ''): ReturnType<typeof callerOf> =>
    callerOf(rights.tokenOf(value));
  return {
    ...registry,
    intercept: (interceptor = () => undefined) => {
      registry.intercept(async (request) => (await interceptor(request)) ?? late);
    },
    api: `${api.origin}${options.apiPath ?? ''}`,
    apiRequests: api.requests,
    apiIntercept: (interceptor) => {
      api.intercept(interceptor);
    },
    onPage: (hook) => {
      api.onPage(hook);
    },
    versions: (repository) => {
      versions.sync(repository);
      return versions.all(repository);
    },
    upcoming: (repository) => {
      versions.sync(repository);
      return versions.upcoming(repository);
    },
    setTimes: (repository, digest, times) => {
      versions.sync(repository);
      versions.setTimes(repository, digest, times);
    },
    setDownloads: (repository, digest, downloads) => {
      versions.sync(repository);
      versions.setDownloads(repository, digest, downloads);
    },
    snapshot: () => ({ state: copyOfState(state), versions: versions.copy() }),
    load: (snapshot) => {
      loadState(state, snapshot.state);
      versions.load(snapshot.versions);
    },
    leaveOut: (...digests) => {
      versions.leaveOut(...digests);
    },
    quota: {
      get: (token) => limits.quotaOf(callerBy(token)),
      set: (quota, token) => {
        limits.setQuota(callerBy(token), quota);
      },
    },
    violations,
    stop: async () => {
      await Promise.all([registry.stop(), api.close()]);
      if (violations.length > 0) {
        throw new Error(`against GitHub's API description:\n${violations.join('\n')}`);
      }
    },
  };
}
