/**
 * The simulated GHCR as a stage: one script sees the requests to both of its faces, and a DELETE of a version as one of
 * its manifest.
 */
import fc from 'fast-check';

import type { Clock } from '../../../src/http/clock.js';
import { DAY, HOUR, NOW } from '../builders/inventories.js';
import type { SeenApiRequest } from '../servers/ghcr/api-server.js';
import { startGhcr, type Ghcr } from '../servers/ghcr/ghcr.js';
import {
  JOB_TOKEN,
  LIKELY,
  type Assumptions,
  type Lag,
  type Lags,
} from '../servers/ghcr/options.js';
import type { Interceptor, SeenRequest } from '../servers/memory/script.js';
import type { RunOptions } from './run.js';
import { setUp, type Placed, type Theatre } from './stage.js';

/** One kind of GHCR. */
export interface Weather {
  readonly assume: Partial<Assumptions>;
  readonly listLags: Lags;
  readonly versionLags: Lags;
  readonly largestPage: number;
  /** milliseconds that each request takes */
  readonly pace: number;
}

export const CALM: Weather = {
  assume: {},
  listLags: {},
  versionLags: {},
  largestPage: 100,
  pace: 1,
};

const either = <T>(likely: T, other: T): fc.Arbitrary<T> => fc.constantFrom(likely, other);

/** All that is assumed of the real one and that a cleaner may notice, both ways. */
const assumptions: fc.Arbitrary<Partial<Assumptions>> = fc.record({
  tagsMoveUpdatedAt: fc.boolean(),
  listOrder: either('created', 'updated'),
  tagOrder: either('oldest-first', 'newest-first'),
  repush: either('new-id', 'same-id'),
  restoreOfRepushed: either('refused', 'taken'),
  restoreBringsTags: fc.boolean(),
  deletedVersionsHaveTags: fc.boolean(),
  deletedVersionsHaveTime: fc.boolean(),
  lastTaggedStays: either('always', 'in-public-packages'),
  lastVersionStays: fc.boolean(),
  routesTakeOtherKind: fc.boolean(),
  secondaryStatus: either<403 | 429>(403, 429),
  secondaryRetryAfter: fc.boolean(),
  strictAcceptByDigest: fc.boolean(),
  referrers: fc.constantFrom('page-not-found', 'manifest-unknown', 'redirect', 'empty'),
  // A token that is worn out after a few requests expires in the middle of everything.
  registryTokenLifetime: either(LIKELY.registryTokenLifetime, 5_000),
  registryTokensAreBound: fc.boolean(),
  headIsDownload: fc.boolean(),
  putChecksBlobs: fc.boolean(),
  largestTagPage: either(LIKELY.largestTagPage, 2),
  afterGoneTag: either('from-start', 'empty'),
});

const lag: fc.Arbitrary<Lag | undefined> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 6 }).map((lists) => ({ lists })) },
  { weight: 2, arbitrary: fc.integer({ min: 100, max: 20_000 }).map((ms) => ({ ms })) },
);

const lags: fc.Arbitrary<Lags> = fc
  .record({ pushes: lag, deletes: lag, tags: lag })
  .map(({ pushes, deletes, tags }) => ({
    ...(pushes === undefined ? {} : { pushes }),
    ...(deletes === undefined ? {} : { deletes }),
    ...(tags === undefined ? {} : { tags }),
  }));

export const weathers: fc.Arbitrary<Weather> = fc.record({
  assume: assumptions,
  listLags: fc.oneof(fc.constant({}), lags),
  versionLags: fc.oneof(fc.constant({}), lags),
  largestPage: fc.constantFrom(2, 4, 100),
  pace: fc.constantFrom(1, 20, 200),
});

export interface GhcrStage extends Theatre {
  readonly ghcr: Ghcr;
  /** how a run connects to it; the clock is that of both faces, and moves with each request */
  readonly options: Pick<
    RunOptions,
    'url' | 'registryType' | 'apiUrl' | 'githubToken' | 'namespaces' | 'credentials' | 'clock'
  >;
}

/** With these estates in it, for long: what is young in them was pushed an hour ago. */
export async function startGhcrStage(
  { pace, ...weather }: Weather,
  estates: readonly Placed[],
): Promise<GhcrStage> {
  let time = NOW;
  let isOpen = false;
  const clock: Clock = {
    now: () => time,
    sleep: async (milliseconds, stop) => {
      time += stop?.aborted === true ? 0 : milliseconds;
    },
  };
  const ghcr = await startGhcr({
    ...weather,
    now: () => time,
    seededAt: () => (isOpen ? time : NOW - 90 * DAY),
  });
  const stage: GhcrStage = {
    ghcr,
    state: ghcr.state,
    requests: ghcr.requests,
    intercept: (interceptor) => {
      const script: Interceptor = (request) => {
        time += pace;
        return interceptor?.(request);
      };
      ghcr.intercept(script);
      ghcr.apiIntercept((request) => script(seen(ghcr, estates, request)));
    },
    listed: ({ repository, built }) => {
      const listed = ghcr.upcoming(repository);
      // GitHub tells whole seconds.
      const times = (of: (version: (typeof listed)[number]) => number) =>
        new Map(
          listed.flatMap((version) => {
            const id = built.idOf.get(version.digest);
            return id === undefined ? [] : [[id, Math.floor(of(version) / 1000) * 1000] as const];
          }),
        );
      return {
        candidates: new Set(listed.flatMap(({ digest }) => built.idOf.get(digest) ?? [])),
        pushedAt: times(({ createdAt }) => createdAt),
        changedAt: times(({ createdAt, updatedAt }) => Math.max(createdAt, updatedAt)),
      };
    },
    options: {
      url: ghcr.url,
      registryType: 'ghcr',
      apiUrl: new URL(ghcr.api),
      githubToken: JOB_TOKEN,
      namespaces: [],
      credentials: { kind: 'basic', username: 'actor', password: JOB_TOKEN },
      clock,
    },
  };
  setUp(stage, estates);
  for (const { repository, built } of estates) {
    built.estate.nodes.forEach(({ created, present }, id) => {
      if (created === 'young' && present) {
        ghcr.setTimes(repository, built.contents[id]?.digest ?? '', { created: NOW - HOUR });
      }
    });
    ghcr.versions(repository);
  }
  isOpen = true;
  return stage;
}

/** A request to the API as a script of the registry's sees it. */
function seen(
  ghcr: Ghcr,
  estates: readonly Placed[],
  { method, path, route, headers, n, attempt }: SeenApiRequest,
): SeenRequest {
  const { package_name: name = '', package_version_id: id } = route?.parameters ?? {};
  const repository = estates.find((each) => each.repository.endsWith(`/${name}`))?.repository;
  const request = { method, path, headers, n, attempt };
  if (repository === undefined || route === undefined) {
    return { ...request, route: { kind: 'none' } };
  }
  switch (route.kind) {
    case 'versions':
      return { ...request, route: { kind: 'tags', repository } };
    case 'delete': {
      const version = ghcr.versions(repository).find((each) => String(each.id) === id);
      const reference = version?.digest ?? 'no version';
      return { ...request, route: { kind: 'manifest', repository, reference } };
    }
    default:
      return { ...request, route: { kind: 'none' } };
  }
}
