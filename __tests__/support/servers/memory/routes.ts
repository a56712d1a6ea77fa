/** Which route a request is for, and what it answers. The state is changed here and nowhere else. */
import type { IncomingHttpHeaders } from 'node:http';

import { isRepository } from '../../../../src/oci/reference.js';
import { empty, json, methodNotAllowed, pageNotFound, type Answer } from './answer.js';
import { continueUpload, deleteBlob, getBlob, startUpload, type Uploads } from './blobs.js';
import { catalog, referrers, tagList } from './listings.js';
import { deleteManifest, getManifest, putManifest } from './manifests.js';
import type { MemoryRegistryOptions } from './options.js';
import type { RegistryState } from './state.js';

export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly uuid: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'token' }
  | { readonly kind: 'none' };

/** The grammars of Distribution's routes; what they refuse is 404 in plain text. */
const TAG = /^[\w][\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]+$/;

const ROUTES: readonly [RegExp, (repository: string, rest: string) => Route | undefined][] = [
  [/^\/v2\/(.+)\/tags\/list$/, (repository) => ({ kind: 'tags', repository })],
  [
    /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/,
    (repository, uuid) => ({ kind: 'upload', repository, uuid }),
  ],
  [/^\/v2\/(.+)\/blobs\/([^/]+)$/, (repository, digest) => digestRoute('blob', repository, digest)],
  [
    /^\/v2\/(.+)\/referrers\/([^/]+)$/,
    (repository, digest) => digestRoute('referrers', repository, digest),
  ],
  [
    /^\/v2\/(.+)\/manifests\/([^/]+)$/,
    (repository, reference) =>
      TAG.test(reference) || DIGEST.test(reference)
        ? { kind: 'manifest', repository, reference }
        : undefined,
  ],
];

function digestRoute(
  kind: 'blob' | 'referrers',
  repository: string,
  digest: string,
): Route | undefined {
  return DIGEST.test(digest) ? { kind, repository, digest } : undefined;
}

export function routeOf(pathname: string): Route {
  if (pathname === '/v2/') {
    return { kind: 'base' };
  }
  if (pathname === '/v2/_catalog') {
    return { kind: 'catalog' };
  }
  if (pathname === '/token') {
    return { kind: 'token' };
  }
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(pathname);
    if (match !== null && isRepository(match[1] ?? '')) {
      return make(match[1] ?? '', match[2] ?? '') ?? { kind: 'none' };
    }
  }
  return { kind: 'none' };
}

/** The token scope that Distribution asks for; none for `/v2/`. */
export function scopeOf(route: Route, method: string): string | undefined {
  switch (route.kind) {
    case 'base':
    case 'token':
    case 'none':
      return undefined;
    case 'catalog':
      return 'registry:catalog:*';
    default:
      return `repository:${route.repository}:${actionsOf(method)}`;
  }
}

function actionsOf(method: string): string {
  if (method === 'DELETE') {
    return 'delete';
  }
  return method === 'GET' || method === 'HEAD' ? 'pull' : 'pull,push';
}

export interface RouteRequest {
  readonly method: string;
  readonly origin: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Registry {
  readonly state: RegistryState;
  readonly uploads: Uploads;
  readonly options: MemoryRegistryOptions;
}

export function answer(registry: Registry, route: Route, request: RouteRequest): Answer {
  const allowed = methodsOf(route, registry.options);
  if (allowed === undefined) {
    return pageNotFound();
  }
  if (request.method === 'OPTIONS') {
    return empty(200, { Allow: allowed.join(', '), 'Content-Length': '0' });
  }
  return allowed.includes(request.method)
    ? dispatch(registry, route, request)
    : methodNotAllowed(allowed);
}

/** The methods that Distribution registers, in the alphabetical order of its Allow header. */
function methodsOf(route: Route, options: MemoryRegistryOptions): readonly string[] | undefined {
  const writes = options.readOnly !== true;
  switch (route.kind) {
    case 'base':
      return ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'];
    case 'catalog':
    case 'tags':
      return ['GET'];
    case 'referrers':
      return options.referrersApi === true ? ['GET', 'HEAD'] : undefined;
    case 'manifest':
      return writes ? ['DELETE', 'GET', 'HEAD', 'PUT'] : ['GET', 'HEAD'];
    case 'blob':
      return writes ? ['DELETE', 'GET', 'HEAD'] : ['GET', 'HEAD'];
    case 'upload':
      return writes ? ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'] : ['GET', 'HEAD'];
    case 'token':
    case 'none':
      return undefined;
  }
}

function dispatch(registry: Registry, route: Route, request: RouteRequest): Answer {
  const { state, options, uploads } = registry;
  const { method, url, origin, body, headers } = request;
  switch (route.kind) {
    case 'base':
      return { ...json(200, {}), body: Buffer.from('{}') };
    case 'catalog':
      return catalog(state, options, url.searchParams);
    case 'tags':
      return tagList(state, options, route.repository, url.searchParams);
    case 'referrers':
      return referrers(state, options, route.repository, route.digest, url.searchParams);
    case 'manifest': {
      const handle =
        method === 'PUT' ? putManifest : method === 'DELETE' ? deleteManifest : getManifest;
      return handle(state, options, {
        name: route.repository,
        reference: route.reference,
        origin,
        accept: headers.accept,
        ifNoneMatch: headers['if-none-match'],
        contentType: headers['content-type'],
        body,
      });
    }
    case 'blob':
      return method === 'DELETE'
        ? deleteBlob(state, route.repository, route.digest)
        : getBlob(state, route.repository, route.digest);
    case 'upload': {
      const upload = { name: route.repository, origin, query: url.searchParams, body };
      return method === 'POST' && route.uuid === ''
        ? startUpload(state, uploads, upload)
        : continueUpload(state, uploads, route.uuid, method, upload);
    }
    case 'token':
    case 'none':
      return pageNotFound();
  }
}
