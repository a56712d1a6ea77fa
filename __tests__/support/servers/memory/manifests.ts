/**
 * The manifests route as Distribution 2.8.2 answers it, its traps included: other manifests than the tag's
 * own for a poor Accept header, OCI manifests hidden behind a 404, layers that can be reached and unlinked.
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
import { empty, failure, type Answer, type RegistryError } from './answer.js';
import type { MemoryRegistryOptions } from './options.js';
import {
  parseBody,
  referencesOf,
  repositoryOf,
  setTag,
  storedTypeOf,
  type ManifestBody,
  type RegistryState,
  type RepositoryState,
  type StoredManifest,
} from './state.js';

export interface ManifestRequest {
  readonly name: string;
  /** a tag or a digest */
  readonly reference: string;
  readonly origin: string;
  readonly accept: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

export function getManifest(
  state: RegistryState,
  options: MemoryRegistryOptions,
  { name, reference, accept, ifNoneMatch }: ManifestRequest,
): Answer {
  const repository = state.repositories.get(name);
  const byTag = !isDigest(reference);
  const digest = byTag ? repository?.tags.get(reference) : reference;
  if (digest === undefined) {
    return reference.includes(':')
      ? badTag(name, `${reference}/current`)
      : failure({ code: 'MANIFEST_UNKNOWN', detail: { Tag: reference } });
  }
  if (ifNoneMatch === digest || ifNoneMatch === `"${digest}"`) {
    return empty(304);
  }
  const found = find(state, repository, name, digest);
  if (found.kind === 'failure') {
    return found.answer;
  }
  const accepted = new Set((accept ?? '').split(',').map(bareType));
  const { mediaType } = found.stored;
  // 2.8.2 takes an index without a `mediaType` field for no known type, and serves it to everybody.
  const isPlainIndex =
    mediaType === OCI_INDEX && parseBody(found.stored.bytes).mediaType !== OCI_INDEX;
  const isOci = mediaType === OCI_MANIFEST || mediaType === OCI_INDEX;
  if (isOci && !isPlainIndex && !accepted.has(mediaType)) {
    const what = mediaType === OCI_INDEX ? ['index', 'indexes'] : ['manifest', 'manifests'];
    return failure({
      code: 'MANIFEST_UNKNOWN',
      message: `OCI ${what[0] ?? ''} found, but accept header does not support OCI ${what[1] ?? ''}`,
    });
  }
  if (byTag && mediaType === DOCKER_LIST && !accepted.has(DOCKER_LIST)) {
    return amd64Child(state, repository, name, found.stored, accepted, options);
  }
  if (byTag && mediaType === DOCKER_MANIFEST && !accepted.has(DOCKER_MANIFEST)) {
    return asSchema1(state, name, reference, found.stored, options);
  }
  return serve(digest, found.stored, options);
}

export function putManifest(
  state: RegistryState,
  options: MemoryRegistryOptions,
  { name, reference, origin, contentType, body: bytes }: ManifestRequest,
): Answer {
  const mediaType = contentType ?? '';
  const checked = checkBody(bytes, mediaType);
  if (checked.kind === 'failure') {
    return checked.answer;
  }
  const digest = digestOf(bytes, reference.startsWith('sha512:') ? 'sha512' : 'sha256');
  if (isDigest(reference) && reference !== digest) {
    return failure({ code: 'DIGEST_INVALID' });
  }
  const [first, ...others] = missing(state, name, checked.body, mediaType);
  if (first !== undefined) {
    return failure(first, ...others);
  }
  const repository = repositoryOf(state, name);
  repository.manifests.set(digest, { mediaType, bytes });
  // The manifest is stored by then, and only its tag refused.
  if (!isDigest(reference) && reference.includes(':')) {
    return badTag(name, `${reference}/index/${digest.replace(':', '/')}`);
  }
  if (!isDigest(reference)) {
    setTag(repository, reference, digest);
  }
  const subject = checked.body.subject?.digest;
  return empty(201, {
    'Docker-Content-Digest': digest,
    Location: `${origin}/v2/${name}/manifests/${digest}`,
    'Content-Length': '0',
    ...(options.referrersApi === true && subject !== undefined ? { 'OCI-Subject': subject } : {}),
  });
}

export function deleteManifest(
  state: RegistryState,
  options: MemoryRegistryOptions,
  { name, reference }: ManifestRequest,
): Answer {
  if (options.deleteEnabled === false) {
    return failure({ code: 'UNSUPPORTED' });
  }
  if (!isDigest(reference)) {
    return failure({ code: 'DIGEST_INVALID' });
  }
  const repository = state.repositories.get(name);
  // 2.8 looks for the digest among the manifests and among the layers, and unlinks it from both.
  const wasManifest = repository?.manifests.delete(reference) ?? false;
  const wasBlob = repository?.blobs.delete(reference) ?? false;
  if (repository === undefined || !(wasManifest || wasBlob)) {
    return failure({ code: 'MANIFEST_UNKNOWN' });
  }
  for (const [tag, digest] of repository.tags) {
    if (digest === reference) {
      repository.tags.delete(tag);
    }
  }
  return empty(202, { 'Content-Length': '0' });
}

/** A malformed digest is taken for a tag, which the storage driver then refuses as a path. */
function badTag(name: string, rest: string): Answer {
  const path = `/docker/registry/v2/repositories/${name}/_manifests/tags/${rest}/link`;
  return failure({ code: 'UNKNOWN', detail: { Path: path, DriverName: 'filesystem' } });
}

type Found =
  | { readonly kind: 'stored'; readonly stored: StoredManifest }
  | { readonly kind: 'failure'; readonly answer: Answer };

/** A manifest, or a blob of the repository read as if it were one, which 2.8 tries. */
function find(
  state: RegistryState,
  repository: RepositoryState | undefined,
  name: string,
  digest: string,
): Found {
  const stored = repository?.manifests.get(digest);
  if (stored !== undefined) {
    return { kind: 'stored', stored };
  }
  const blob = repository?.blobs.has(digest) === true ? state.blobs.get(digest) : undefined;
  if (blob === undefined) {
    const detail = { Name: name, Revision: digest };
    return { kind: 'failure', answer: failure({ code: 'MANIFEST_UNKNOWN', detail }) };
  }
  try {
    const body = parseBody(blob);
    if (body.schemaVersion === 2 && isManifestType(storedTypeOf(body))) {
      return { kind: 'stored', stored: { mediaType: storedTypeOf(body), bytes: blob } };
    }
    return { kind: 'failure', answer: failure({ code: 'UNKNOWN', detail: {} }) };
  } catch {
    return { kind: 'failure', answer: failure({ code: 'UNKNOWN', detail: { Offset: 1 } }) };
  }
}

function serve(digest: string, stored: StoredManifest, options: MemoryRegistryOptions): Answer {
  return {
    status: 200,
    headers: {
      'Content-Type': stored.mediaType,
      ...(options.digestHeader === false ? {} : { 'Docker-Content-Digest': digest }),
      Etag: `"${digest}"`,
    },
    body: stored.bytes,
  };
}

function amd64Child(
  state: RegistryState,
  repository: RepositoryState | undefined,
  name: string,
  list: StoredManifest,
  accepted: ReadonlySet<string>,
  options: MemoryRegistryOptions,
): Answer {
  const child = (parseBody(list.bytes).manifests ?? []).find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  )?.digest;
  if (child === undefined) {
    return failure({ code: 'MANIFEST_UNKNOWN' });
  }
  const found = find(state, repository, name, child);
  if (found.kind === 'failure') {
    return found.answer;
  }
  return found.stored.mediaType === DOCKER_MANIFEST && !accepted.has(DOCKER_MANIFEST)
    ? asSchema1(state, name, '', found.stored, options)
    : serve(child, found.stored, options);
}

/**
 * What old clients get for a Docker image. The real one is signed with a key made at start, so only its
 * type, and that its digest is another, can be the same.
 */
function asSchema1(
  state: RegistryState,
  name: string,
  tag: string,
  stored: StoredManifest,
  options: MemoryRegistryOptions,
): Answer {
  const config = state.blobs.get(parseBody(stored.bytes).config?.digest ?? '');
  if (config === undefined) {
    return failure({ code: 'MANIFEST_INVALID', detail: {} });
  }
  const layers = parseBody(stored.bytes).layers ?? [];
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 1,
      name,
      tag,
      architecture: 'amd64',
      fsLayers: layers.map(({ digest }) => ({ blobSum: digest })),
      history: [],
      signatures: [],
    }),
  );
  const mediaType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  return serve(digestOf(bytes), { mediaType, bytes }, options);
}

type Checked =
  | { readonly kind: 'body'; readonly body: ManifestBody }
  | { readonly kind: 'failure'; readonly answer: Answer };

/** Distribution's checks of a pushed body against its Content-Type. */
function checkBody(bytes: Buffer, mediaType: string): Checked {
  const invalid = (detail: unknown): Checked => ({
    kind: 'failure',
    answer: failure({ code: 'MANIFEST_INVALID', detail }),
  });
  let body: ManifestBody;
  try {
    body = parseBody(bytes);
  } catch {
    return invalid({ Offset: 1 });
  }
  const isOci = mediaType === OCI_MANIFEST || mediaType === OCI_INDEX;
  const fits = body.mediaType === mediaType || (isOci && (body.mediaType ?? '') === '');
  const foreign = isIndexType(mediaType)
    ? body.config !== undefined || body.layers !== undefined
    : body.manifests !== undefined;
  return isManifestType(mediaType) && fits && !foreign ? { kind: 'body', body } : invalid({});
}

/** The errors for what the manifest names and the repository doesn't have. `subject` may be missing. */
function missing(
  state: RegistryState,
  name: string,
  body: ManifestBody,
  mediaType: string,
): RegistryError[] {
  const repository = state.repositories.get(name);
  const exists = (digest: string, media: string | undefined): boolean =>
    repository?.blobs.has(digest) === true ||
    ((isIndexType(mediaType) || isManifestType(media ?? '')) &&
      repository?.manifests.has(digest) === true);
  if (body.schemaVersion !== 2) {
    return [{ code: 'UNKNOWN', detail: {} }];
  }
  return referencesOf(body, mediaType).flatMap(({ digest, mediaType: media, urls }) => {
    if (digest === undefined || digest === '') {
      return [{ code: 'DIGEST_INVALID' }, { code: 'MANIFEST_BLOB_UNKNOWN', detail: '' }];
    }
    return (urls ?? []).length > 0 || exists(digest, media)
      ? []
      : [{ code: 'MANIFEST_BLOB_UNKNOWN', detail: digest }];
  });
}

function bareType(text: string): string {
  return text.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
