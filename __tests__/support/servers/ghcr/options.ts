/**
 * What a test may choose about the simulated GHCR, and all that is assumed about the real one.
 *
 * The simulator's answers are those of GitHub's own API description, of its documentation, and of public reports.
 * `Assumptions` names the rest: what nobody tried beside the real one. Each has the likelier behaviour as its default,
 * and can be set to the other one, so that a client is tested with both.
 */
import type { MemoryRegistryOptions } from '../memory/options.js';

export interface Account {
  /** in its own spelling; it is found in any */
  readonly login: string;
  readonly type: 'User' | 'Organization';
}

/** What a token may do with a package. GitHub deletes for `admin` only. */
export type Right = 'none' | 'read' | 'write' | 'admin';

/** A token that isn't listed is bad. */
export interface Token {
  /** `job`: a workflow's own (`ghs_…`). `classic`: a personal access token */
  readonly kind: 'job' | 'classic';
  readonly value: string;
  /** whose personal access token it is */
  readonly login?: string;
  /** of a personal access token; default all that packages need */
  readonly scopes?: readonly string[];
  /** by the repository's name in lower case; default `admin` in all */
  readonly right?: (repository: string) => Right;
}

export const JOB_TOKEN = 'ghs_simulatedJobToken0123456789';
export const PERSONAL_TOKEN = 'ghp_simulatedPersonalToken0123456789';

export const DEFAULT_TOKENS: readonly Token[] = [
  { kind: 'job', value: JOB_TOKEN },
  { kind: 'classic', value: PERSONAL_TOKEN, login: 'octocat' },
];

export const PACKAGE_SCOPES = ['read:packages', 'write:packages', 'delete:packages'] as const;

/** How long a change stays out of sight: milliseconds of the clock, or requests for lists of versions (one a page). */
export type Lag = { readonly ms: number } | { readonly lists: number };

/** Each lags by itself; absent: it shows at once. */
export interface Lags {
  readonly pushes?: Lag;
  readonly deletes?: Lag;
  readonly tags?: Lag;
}

export interface Assumptions {
  /** whether `updated_at` moves when a tag comes or goes; false: it stays what `created_at` was */
  readonly tagsMoveUpdatedAt: boolean;
  /** the time by which lists are sorted, newest first */
  readonly listOrder: 'created' | 'updated';
  /** the tags of one version */
  readonly tagOrder: 'oldest-first' | 'newest-first';
  /** a digest that is pushed again after its version was deleted */
  readonly repush: 'new-id' | 'same-id';
  /** a restore whose digest was pushed again since: refused with 404, or done without effect */
  readonly restoreOfRepushed: 'refused' | 'taken';
  /** whether a restore brings back the tags that point nowhere else by then */
  readonly restoreBringsTags: boolean;
  /** what lists of deleted versions say */
  readonly deletedVersionsHaveTags: boolean;
  readonly deletedVersionsHaveTime: boolean;
  /** what `version_count` counts */
  readonly versionCount: 'active' | 'all';
  /** of which packages the last tagged version can't be deleted */
  readonly lastTaggedStays: 'always' | 'in-public-packages';
  /** whether the only version that is left can't be deleted either when it is untagged (an older wording) */
  readonly lastVersionStays: boolean;
  /** whether `/users/{organization}/…` and `/orgs/{user}/…` answer */
  readonly routesTakeOtherKind: boolean;
  /** of an answer to a request past the primary limit, and past a secondary one */
  readonly primaryStatus: 403 | 429;
  readonly secondaryStatus: 403 | 429;
  /** whether the answer of a secondary limit has a `retry-after` */
  readonly secondaryRetryAfter: boolean;
  /** whether a manifest's media type has to be in `Accept` when it is asked for by its digest, too */
  readonly strictAcceptByDigest: boolean;
  /** the ways in which the missing referrers API was seen to answer (registries.md, section 3) */
  readonly referrers: 'page-not-found' | 'manifest-unknown' | 'redirect' | 'empty';
  /** milliseconds in which the registry's tokens live */
  readonly registryTokenLifetime: number;
  /** whether a registry's token is good for the repositories only that it was asked for */
  readonly registryTokensAreBound: boolean;
  /** a bearer that isn't a token of the registry, or is too old */
  readonly staleRegistryToken: 'challenged' | 'denied';
  /** whether HEAD of a manifest is a download */
  readonly headIsDownload: boolean;
  /** whether an image is refused whose blobs are missing; children of an index may always be */
  readonly putChecksBlobs: boolean;
  /** `_catalog` with a good token */
  readonly catalog: 'denied' | 'page-not-found' | 'empty';
  /** the largest page of tags/list; more is cut down to it, or refused */
  readonly largestTagPage: number;
  readonly largerTagPage: 'cut' | 'refused';
  /** tags/list after a tag that is gone */
  readonly afterGoneTag: 'from-start' | 'empty';
}

export const LIKELY: Assumptions = {
  tagsMoveUpdatedAt: true,
  listOrder: 'created',
  tagOrder: 'oldest-first',
  repush: 'new-id',
  restoreOfRepushed: 'refused',
  restoreBringsTags: true,
  deletedVersionsHaveTags: false,
  deletedVersionsHaveTime: true,
  versionCount: 'active',
  lastTaggedStays: 'always',
  lastVersionStays: false,
  routesTakeOtherKind: false,
  primaryStatus: 403,
  secondaryStatus: 403,
  secondaryRetryAfter: true,
  strictAcceptByDigest: true,
  referrers: 'page-not-found',
  registryTokenLifetime: 5 * 60_000,
  registryTokensAreBound: true,
  staleRegistryToken: 'challenged',
  headIsDownload: false,
  putChecksBlobs: true,
  catalog: 'denied',
  largestTagPage: 10_000,
  largerTagPage: 'cut',
  afterGoneTag: 'from-start',
};

export interface GhcrOptions extends Pick<MemoryRegistryOptions, 'tls'> {
  /** an owner of a repository that isn't listed is an organization of that name */
  readonly accounts?: readonly Account[];
  /** default `DEFAULT_TOKENS` */
  readonly tokens?: readonly Token[];
  /** of a package; default private */
  readonly visibility?: (repository: string) => 'public' | 'private';
  readonly assume?: Partial<Assumptions>;
  /** how late lists of versions are */
  readonly listLags?: Lags;
  /** how late the answers about one version are; a change is past a lag of lists when those lists were asked for */
  readonly versionLags?: Lags;
  /** how long a pushed manifest is 404 by its registry's face, in milliseconds; default 0 */
  readonly manifestLag?: number;
  /** both servers' clock, in milliseconds since 1970 */
  readonly now?: () => number;
  /** when that was pushed which a test puts into the state; default `OLD` */
  readonly seededAt?: () => number;
  /** requests that the registry takes in a minute; default 44,000 reads and 2,000 writes */
  readonly registryLimits?: { readonly reads: number; readonly writes: number };
  /** milliseconds that each answer takes; default 0 */
  readonly registryLatency?: number;
  readonly restLatency?: number;
  /** the most versions in a page; default 100, as GitHub's. Fewer let a small package have many pages */
  readonly largestPage?: number;
  /** the path under which GitHub's API is, such as `/api/v3`; default none */
  readonly apiPath?: string;
  /** false: nothing is held against GitHub's API description; default true */
  readonly validates?: boolean;
}
