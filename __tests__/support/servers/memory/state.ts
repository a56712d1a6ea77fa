/**
 * What the in-memory registry holds, as plain maps that a test may read and change at any time, so that
 * a large estate is seeded without HTTP. It mirrors Distribution's storage: blobs are global, a
 * repository only links to them, and its manifests and tags are its own.
 */
import { isIndexType, OCI_INDEX, OCI_MANIFEST } from '../../../../src/oci/media-types.js';

export interface StoredManifest {
  /** the Content-Type that GET answers with */
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface RepositoryState {
  /** tag → digest; the digest's manifest may be missing, as after a race on a real registry */
  readonly tags: Map<string, string>;
  /** digest → manifest */
  readonly manifests: Map<string, StoredManifest>;
  /** digests of the blobs that this repository links to */
  readonly blobs: Set<string>;
  /** Distribution's `_manifests/tags` directory: it outlives the last tag (`tags: null`) */
  everTagged: boolean;
  /** Distribution 2.8 lists a repository by its `_layers` directory, which outlives the last blob */
  everLayered: boolean;
}

export interface RegistryState {
  readonly repositories: Map<string, RepositoryState>;
  /** digest → content, shared by all repositories */
  readonly blobs: Map<string, Buffer>;
}

export function emptyState(): RegistryState {
  return { repositories: new Map(), blobs: new Map() };
}

/** A copy that what happens to the other one doesn't change. */
export function copyOfState({ repositories, blobs }: RegistryState): RegistryState {
  return {
    repositories: new Map(
      [...repositories].map(([name, each]) => [
        name,
        {
          ...each,
          tags: new Map(each.tags),
          manifests: new Map(each.manifests),
          blobs: new Set(each.blobs),
        },
      ]),
    ),
    blobs: new Map(blobs),
  };
}

/** Puts a copy in the place of all that is there. */
export function loadState(into: RegistryState, from: RegistryState): void {
  const { repositories, blobs } = copyOfState(from);
  into.repositories.clear();
  into.blobs.clear();
  repositories.forEach((each, name) => into.repositories.set(name, each));
  blobs.forEach((each, digest) => into.blobs.set(digest, each));
}

/** The repository of that name, made if there is none. */
export function repositoryOf(state: RegistryState, name: string): RepositoryState {
  let repository = state.repositories.get(name);
  if (repository === undefined) {
    repository = {
      tags: new Map(),
      manifests: new Map(),
      blobs: new Set(),
      everTagged: false,
      everLayered: false,
    };
    state.repositories.set(name, repository);
  }
  return repository;
}

export function linkBlob(
  state: RegistryState,
  name: string,
  digest: string,
  content: Buffer,
): void {
  const repository = repositoryOf(state, name);
  state.blobs.set(digest, content);
  repository.blobs.add(digest);
  repository.everLayered = true;
}

export function setTag(repository: RepositoryState, tag: string, digest: string): void {
  repository.tags.set(tag, digest);
  repository.everTagged = true;
}

/** A manifest's JSON as this registry reads it: fields of the wrong shape count as absent. */
export interface ManifestBody {
  readonly schemaVersion?: unknown;
  readonly mediaType?: string;
  readonly config?: BodyDescriptor;
  readonly layers?: readonly BodyDescriptor[];
  readonly manifests?: readonly BodyDescriptor[];
  readonly subject?: BodyDescriptor;
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
}

export interface BodyDescriptor {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly urls?: readonly string[];
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

/** @throws SyntaxError when the bytes are not JSON */
export function parseBody(bytes: Buffer): ManifestBody {
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  return typeof parsed === 'object' && parsed !== null ? parsed : {};
}

/** The type under which Distribution serves stored bytes: the body's own, or by the look of it. */
export function storedTypeOf(body: ManifestBody): string {
  return body.mediaType ?? (body.manifests === undefined ? OCI_MANIFEST : OCI_INDEX);
}

/** The descriptors that must exist before the manifest is accepted, in Distribution's order. */
export function referencesOf(body: ManifestBody, mediaType: string): readonly BodyDescriptor[] {
  if (isIndexType(mediaType)) {
    return body.manifests ?? [];
  }
  return [body.config ?? {}, ...(body.layers ?? [])];
}
