/**
 * The registry's face: what differs from Distribution. Names are taken in any spelling, and mean the one in lower case.
 */
import { digestOf, isDigest } from '../../../../src/oci/digest.js';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexType,
  isManifestType,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../../../src/oci/media-types.js';
import { empty, failure, json, pageNotFound, type Answer } from '../memory/answer.js';
import type { Dialect } from '../memory/options.js';
import { answer, routeOf, type Registry, type RouteRequest } from '../memory/routes.js';
import {
  parseBody,
  referencesOf,
  repositoryOf,
  setTag,
  type ManifestBody,
  type RegistryState,
} from '../memory/state.js';
import { registryError } from './errors.js';
import { repositoryIn } from './gate.js';
import type { Assumptions } from './options.js';
import type { Versions } from './versions.js';

export interface RegistryFace {
  readonly state: RegistryState;
  readonly versions: Versions;
  readonly assume: Assumptions;
  readonly now: () => number;
  readonly manifestLag: number;
  /** the refusal of a request past the registry's limit */
  readonly limit: (method: string) => Answer | undefined;
}

interface Wanted {
  readonly name: string;
  /** a tag or a digest */
  readonly reference: string;
}

const NOUNS: Readonly<Record<string, readonly [string, string]>> = {
  [OCI_INDEX]: ['OCI index', 'OCI indexes'],
  [OCI_MANIFEST]: ['OCI manifest', 'OCI manifests'],
  [DOCKER_LIST]: ['Docker manifest list', 'Docker manifest lists'],
  [DOCKER_MANIFEST]: ['Docker manifest', 'Docker manifests'],
};

export function ghcrDialect(face: RegistryFace): Dialect {
  const plain: Registry = { state: face.state, uploads: new Map(), options: {} };
  return (_route, request) => {
    const refusal = face.limit(request.method);
    if (refusal !== undefined) {
      return refusal;
    }
    const { method, url } = request;
    const name = repositoryIn(url.pathname);
    const path = name === undefined ? url.pathname : lowerCased(url.pathname, name);
    const route = routeOf(path);
    switch (route.kind) {
      case 'catalog':
        return catalog(face.assume);
      case 'tags':
        return method === 'GET' ? tagList(face, route.repository, url.searchParams) : unsupported();
      case 'referrers':
        return referrers(face.assume, route.repository, route.digest);
      case 'manifest': {
        const wanted = { name: route.repository, reference: route.reference };
        switch (method) {
          case 'GET':
          case 'HEAD':
            return getManifest(face, wanted, request);
          case 'PUT':
            return putManifest(face, wanted, request);
          default:
            return unsupported();
        }
      }
      case 'blob':
        return method === 'DELETE' ? unsupported() : answer(plain, route, request);
      default:
        return answer(plain, route, request);
    }
  };
}

function lowerCased(pathname: string, name: string): string {
  return `/v2/${name.toLowerCase()}${pathname.slice('/v2/'.length + name.length)}`;
}

function unsupported(): Answer {
  return failure({ code: 'UNSUPPORTED' });
}

function catalog({ catalog }: Assumptions): Answer {
  switch (catalog) {
    case 'denied':
      return registryError(403, 'DENIED', 'requested access to the resource is denied');
    case 'page-not-found':
      return pageNotFound();
    case 'empty':
      return json(200, { repositories: [] });
  }
}

/** There is no referrers API, and it was seen to be missing in four ways. */
function referrers({ referrers }: Assumptions, name: string, digest: string): Answer {
  switch (referrers) {
    case 'page-not-found':
      return pageNotFound();
    case 'manifest-unknown':
      return failure({ code: 'MANIFEST_UNKNOWN' });
    case 'redirect': {
      const algorithm = digest.split(':')[0] ?? '';
      const location = `https://github.com/-/v2/packages/${name}/referrers/${algorithm}`;
      return empty(303, { Location: location });
    }
    case 'empty':
      return json(
        200,
        { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
        { 'Content-Type': OCI_INDEX },
      );
  }
}

/** Oldest first, not sorted; 100 in a page. */
function tagList({ state, assume }: RegistryFace, name: string, query: URLSearchParams): Answer {
  const repository = state.repositories.get(name);
  if (repository === undefined) {
    return failure({ code: 'NAME_UNKNOWN', detail: { name } });
  }
  const asked = Number(query.get('n') ?? '100');
  if (asked > assume.largestTagPage && assume.largerTagPage === 'refused') {
    return failure({ code: 'PAGINATION_NUMBER_INVALID', detail: { n: asked } });
  }
  const size = Math.min(asked > 0 ? asked : 100, assume.largestTagPage);
  const tags = [...repository.tags.keys()];
  const last = query.get('last');
  const after = last === null ? 0 : tags.indexOf(last) + 1;
  const isGone = last !== null && after === 0;
  const start = isGone && assume.afterGoneTag === 'empty' ? tags.length : after;
  const page = tags.slice(start, start + size);
  const next = new URLSearchParams({ last: page.at(-1) ?? '', n: String(size) });
  return json(
    200,
    { name, tags: page },
    start + size < tags.length
      ? { Link: `</v2/${name}/tags/list?${next.toString()}>; rel="next"` }
      : {},
  );
}

function getManifest(
  { state, versions, assume, now, manifestLag }: RegistryFace,
  { name, reference }: Wanted,
  { method, headers }: RouteRequest,
): Answer {
  const repository = state.repositories.get(name);
  const byDigest = isDigest(reference);
  const digest = byDigest ? reference : repository?.tags.get(reference);
  const stored = digest === undefined ? undefined : repository?.manifests.get(digest);
  if (digest === undefined || stored === undefined) {
    return failure({ code: 'MANIFEST_UNKNOWN' });
  }
  if (manifestLag > 0 && now() < versions.bornAt(name, digest) + manifestLag) {
    return failure({ code: 'MANIFEST_UNKNOWN' });
  }
  const { mediaType, bytes } = stored;
  const [noun, plural] = NOUNS[mediaType] ?? [];
  const isStrict = noun !== undefined && (!byDigest || assume.strictAcceptByDigest);
  // Wildcards don't count.
  if (isStrict && !(headers.accept ?? '').includes(mediaType)) {
    const message = `${noun} found, but Accept header does not support ${plural ?? ''}`;
    return failure({ code: 'MANIFEST_UNKNOWN', message });
  }
  if (method === 'GET' || assume.headIsDownload) {
    versions.download(name, digest);
  }
  return {
    status: 200,
    headers: {
      'Content-Type': mediaType,
      'Docker-Content-Digest': digest,
      Etag: `"${digest}"`,
    },
    body: bytes,
  };
}

/** No subject is acknowledged, and an index may list what isn't there, or nothing. */
function putManifest(
  { state, versions, assume, now }: RegistryFace,
  { name, reference }: Wanted,
  { headers, origin, body: bytes }: RouteRequest,
): Answer {
  const mediaType = headers['content-type'] ?? '';
  const body = bodyOf(bytes);
  if (body === undefined || !isManifestType(mediaType)) {
    return failure({ code: 'MANIFEST_INVALID' });
  }
  const digest = digestOf(bytes);
  if (isDigest(reference) && reference !== digest) {
    return failure({ code: 'DIGEST_INVALID' });
  }
  const blobs = state.repositories.get(name)?.blobs;
  const missing =
    isIndexType(mediaType) || !assume.putChecksBlobs
      ? undefined
      : referencesOf(body, mediaType).find((blob) => blobs?.has(blob.digest ?? '') !== true);
  if (missing !== undefined) {
    return failure({ code: 'MANIFEST_BLOB_UNKNOWN', detail: missing.digest });
  }
  versions.sync(name);
  const repository = repositoryOf(state, name);
  repository.manifests.set(digest, { mediaType, bytes });
  if (!isDigest(reference)) {
    setTag(repository, reference, digest);
  }
  versions.sync(name, now());
  return empty(201, {
    'Docker-Content-Digest': digest,
    Location: `${origin}/v2/${name}/manifests/${digest}`,
    'Content-Length': '0',
  });
}

function bodyOf(bytes: Buffer): ManifestBody | undefined {
  try {
    return parseBody(bytes);
  } catch {
    return undefined;
  }
}
