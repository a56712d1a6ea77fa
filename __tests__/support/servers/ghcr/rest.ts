/** What the REST face answers: who may do what, and the pages of lists. */
import { empty, json, type Answer } from '../memory/answer.js';
import type { RegistryState } from '../memory/state.js';
import { restError, WORDS } from './errors.js';
import type { TokenQuota } from './limits.js';
import type { Assumptions, Right, Token } from './options.js';
import {
  accountJson,
  packageJson,
  packagesOf,
  repositoryOfPackage,
  versionJson,
  type Owner,
  type Owners,
  type Place,
} from './packages.js';
import { hasScope, type Rights } from './rights.js';
import type { RestRoute } from './routes.js';
import type { Versions } from './versions.js';

export interface RestFace {
  readonly state: RegistryState;
  readonly versions: Versions;
  readonly owners: Owners;
  readonly rights: Rights;
  readonly assume: Assumptions;
  readonly visibility: (repository: string) => 'public' | 'private';
  readonly largestPage: number;
}

export interface RestRequest {
  readonly route: RestRoute;
  /** `http://127.0.0.1:<port>`, with the path of the API */
  readonly api: string;
  readonly query: URLSearchParams;
  /** absent: nobody in particular */
  readonly token: Token | undefined;
  readonly quota: TokenQuota;
}

/** More of these, and a version of a public package stays. */
const MOST_DOWNLOADS = 5000;

const notFound = (): Answer => restError(404, WORDS.notFound);
const packageNotFound = (): Answer => restError(404, WORDS.packageNotFound);
const notAccessible = (): Answer => restError(403, WORDS.notAccessible);

export function restAnswer(face: RestFace, request: RestRequest): Answer {
  const { route, api, token, quota } = request;
  switch (route.kind) {
    case 'rate-limit': {
      const { limit, remaining, reset } = quota;
      const core = { limit, remaining, reset: reset / 1000, used: limit - remaining };
      return json(200, { resources: { core, search: { ...core } }, rate: { ...core } });
    }
    case 'account': {
      const owner = face.owners.byLogin(route.parameters['username'] ?? '');
      return owner === undefined ? notFound() : json(200, accountJson(api, owner));
    }
    case 'self': {
      const owner = selfOf(face, token);
      return 'status' in owner ? owner : json(200, accountJson(api, owner));
    }
    default:
      return ofOwner(face, request);
  }
}

function selfOf({ owners }: RestFace, token: Token | undefined): Owner | Answer {
  if (token === undefined) {
    return restError(401, WORDS.requiresAuthentication);
  }
  if (token.kind === 'job') {
    return notAccessible();
  }
  return (
    owners.byLogin(token.login ?? 'octocat') ?? {
      login: token.login ?? 'octocat',
      type: 'User',
      id: 1,
    }
  );
}

function ownerOf(face: RestFace, { route, token }: RestRequest): Owner | Answer {
  const { org, organization_id: id, username } = route.parameters;
  if (token === undefined) {
    return restError(401, WORDS.requiresAuthentication);
  }
  if (route.family === 'user') {
    return selfOf(face, token);
  }
  const owner =
    id === undefined ? face.owners.byLogin(org ?? username ?? '') : face.owners.byId(id);
  const type = route.family === 'orgs' ? 'Organization' : 'User';
  const fits = owner?.type === type || face.assume.routesTakeOtherKind;
  return owner === undefined || !fits ? notFound() : owner;
}

function ofOwner(face: RestFace, request: RestRequest): Answer {
  const owner = ownerOf(face, request);
  if ('status' in owner) {
    return owner;
  }
  const { route, api, token } = request;
  const path = {
    orgs: `/orgs/${owner.login}`,
    users: `/users/${owner.login}`,
    user: '/user',
  }[route.family ?? 'orgs'];
  const place: Place = { api, path, owner };
  if (token !== undefined && !hasScope(token, 'read:packages')) {
    return restError(403, 'You need at least read:packages scope to list packages.');
  }
  if (route.kind === 'packages') {
    return packageList(face, request, place);
  }
  const packageName = (route.parameters['package_name'] ?? '').toLowerCase();
  const repository = repositoryOfPackage(owner, packageName);
  face.versions.sync(repository);
  const isThere = (face.state.repositories.get(repository)?.manifests.size ?? 0) > 0;
  const wasThere = isThere || face.versions.deleted(repository, 0, 0).total > 0;
  const isContainer = route.parameters['package_type'] === 'container';
  if (!isContainer || !wasThere || !face.rights.may(token, 'read', repository)) {
    return packageNotFound();
  }
  return isThere || route.kind === 'restore' || route.kind === 'versions'
    ? ofPackage(face, request, place, { packageName, repository })
    : packageNotFound();
}

interface Package {
  readonly packageName: string;
  readonly repository: string;
}

function ofPackage(
  face: RestFace,
  request: RestRequest,
  place: Place,
  { packageName, repository }: Package,
): Answer {
  const { versions, visibility } = face;
  const { route, token } = request;
  const id = Number(route.parameters['package_version_id'] ?? NaN);
  switch (route.kind) {
    case 'package':
      return json(200, packageJson(place, packageName, versions, visibility));
    case 'versions':
      return versionList(face, request, place, { packageName, repository });
    case 'version': {
      const version = versions.one(repository, id);
      return version === undefined
        ? packageNotFound()
        : json(200, versionJson(place, packageName, version));
    }
    case 'delete':
      return (
        refusalOf(face, token, 'delete:packages', repository) ??
        refusalOfDelete(face, repository, id) ??
        (versions.delete(repository, id) ? empty(204) : packageNotFound())
      );
    case 'restore':
      return (
        refusalOf(face, token, 'write:packages', repository) ??
        (versions.restore(repository, id) ? empty(204) : packageNotFound())
      );
    default:
      return notFound();
  }
}

/** Only an administrator of the package deletes and restores: a job is told so, a person isn't. */
function refusalOf(
  { rights }: RestFace,
  token: Token | undefined,
  scope: 'delete:packages' | 'write:packages',
  repository: string,
): Answer | undefined {
  const needed: Right = 'admin';
  if (token !== undefined && !hasScope(token, scope)) {
    return restError(403, `You need at least ${scope} scope to change a package.`);
  }
  if (rights.may(token, needed, repository)) {
    return undefined;
  }
  return token?.kind === 'job' ? notAccessible() : packageNotFound();
}

function refusalOfDelete(
  { versions, assume, visibility }: RestFace,
  repository: string,
  id: number,
): Answer | undefined {
  const judged = versions.judged(repository, id);
  if (judged === undefined) {
    return packageNotFound();
  }
  const isPublic = visibility(repository) === 'public';
  if (isPublic && judged.downloads > MOST_DOWNLOADS) {
    return restError(400, WORDS.tooManyDownloads);
  }
  if (judged.only === 'tagged' && (assume.lastTaggedStays === 'always' || isPublic)) {
    return restError(400, WORDS.lastTagged);
  }
  return judged.only === 'left' && assume.lastVersionStays
    ? restError(400, WORDS.lastVersion)
    : undefined;
}

/** A job's token may not ask at all, and GitHub says so in its own way. */
function packageList(face: RestFace, request: RestRequest, place: Place): Answer {
  const { rights, state, versions, visibility } = face;
  const { token, query } = request;
  if (token?.kind === 'job') {
    return restError(400, WORDS.invalidArgument);
  }
  const paging = pageOf(query);
  const { page, size } = paging;
  if (page * size > 10_000) {
    return restError(
      400,
      'The value of `per_page` multiplied by `page` cannot be greater than 10000.',
    );
  }
  const wanted = query.get('visibility');
  const type = query.get('package_type');
  const names = packagesOf(state, place.owner)
    .map((name) => ({ name, repository: repositoryOfPackage(place.owner, name) }))
    .filter(({ repository }) => rights.may(token, 'read', repository))
    .filter(({ repository }) => wanted === null || visibility(repository) === wanted)
    .filter(() => type === 'container');
  const shown = names.slice((page - 1) * size, page * size);
  return json(
    200,
    shown.map(({ name }) => packageJson(place, name, versions, visibility)),
    linkOf(request, place, '', names.length, paging),
  );
}

function versionList(
  { versions, assume, largestPage }: RestFace,
  request: RestRequest,
  place: Place,
  { packageName, repository }: Package,
): Answer {
  const { query } = request;
  const paging = pageOf(query, largestPage);
  const { page, size } = paging;
  const isDeleted = query.get('state') === 'deleted';
  const [start, end] = [(page - 1) * size, page * size];
  const list = isDeleted
    ? versions.deleted(repository, start, end)
    : versions.list(repository, start, end);
  const deleted = isDeleted
    ? { hasTags: assume.deletedVersionsHaveTags, hasTime: assume.deletedVersionsHaveTime }
    : undefined;
  const path = `/container/${encodeURIComponent(packageName)}/versions`;
  return json(
    200,
    list.versions.map((version) => versionJson(place, packageName, version, deleted)),
    linkOf(request, place, path, list.total, paging),
  );
}

interface Paging {
  readonly page: number;
  readonly size: number;
}

function pageOf(query: URLSearchParams, largest = 100): Paging {
  const positive = (name: string, otherwise: number): number => {
    const text = query.get(name) ?? '';
    return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : otherwise;
  };
  return { page: positive('page', 1), size: Math.min(positive('per_page', 30), largest) };
}

/** The owner is named as in the request, but an organization always by its id. */
function linkOf(
  { api, query }: RestRequest,
  { path, owner }: Place,
  below: string,
  total: number,
  { page, size }: Paging,
): Record<string, string> {
  const last = Math.max(1, Math.ceil(total / size));
  const base = path.startsWith('/orgs/') ? `/organizations/${String(owner.id)}` : path;
  const to = (n: number, rel: string): string => {
    const parameters = new URLSearchParams(query);
    parameters.set('page', String(n));
    return `<${api}${base}/packages${below}?${parameters.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [to(Math.min(page - 1, last), 'prev')] : []),
    ...(page < last ? [to(page + 1, 'next'), to(last, 'last')] : []),
    ...(page > 1 ? [to(1, 'first')] : []),
  ];
  return links.length === 0 ? {} : { Link: links.join(', ') };
}
