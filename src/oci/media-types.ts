/**
 * The manifest media types this program understands, and the config types that say what an image is.
 * A manifest of any other type is kept.
 */
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';

const MANIFEST_TYPES = new Set([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST]);

/**
 * Sent with every request for a manifest. Distribution knows no wildcards, and without all four it
 * answers a tag with a *different* manifest (schema 1, or a list's amd64 child) and hides OCI ones.
 */
export const MANIFEST_ACCEPT = [...MANIFEST_TYPES].join(', ');

const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/**
 * A media type as it is compared: in small letters and without parameters (RFC 9110 section 8.3.1, RFC 6838
 * section 4.2). `''` when the text isn't a media type.
 */
export function mediaTypeOf(text: string | undefined): string {
  const bare = (text ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return MEDIA_TYPE.test(bare) ? bare : '';
}

const INDEX_TYPES = new Set([OCI_INDEX, DOCKER_LIST]);
const CONFIG_TYPES = new Set([OCI_CONFIG, DOCKER_CONFIG]);

export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.has(mediaTypeOf(mediaType));
}

export function isManifestType(mediaType: string): boolean {
  return MANIFEST_TYPES.has(mediaTypeOf(mediaType));
}

/** Docker schema 1: its digest is not that of its bytes, so it can't be verified. */
export function isSchema1Type(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(
    mediaTypeOf(mediaType),
  );
}

export function isImageConfigType(mediaType: string): boolean {
  return CONFIG_TYPES.has(mediaTypeOf(mediaType));
}

/** Layers and configs of what people keep in registries, without the types of manifests. */
const BLOB_TYPES = [
  // Layers of OCI and Docker, of every compression, encrypted ones too.
  /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+[a-z0-9]+)*$/,
  /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.[a-z0-9]+)?$/,
  /^application\/vnd\.oci\.image\.config\.v1\+json$/,
  /^application\/vnd\.docker\.container\.image\.v1\+json$/,
  /^application\/vnd\.docker\.plugin\.v[01]\+json$/,
  /^application\/vnd\.oci\.empty\.v1\+json$/,
  /^application\/vnd\.unknown\.(?:config|layer)\.v1(?:\+[a-z0-9]+)?$/,
  /^application\/vnd\.buildkit\.cacheconfig\.v\d+$/,
  /^application\/vnd\.cncf\.helm\.(?:config|chart)\.[a-z0-9.]+(?:\+[a-z0-9]+)*$/,
  /^application\/vnd\.cncf\.flux\.(?:config|content)\.v\d+(?:\.tar)?(?:\+[a-z0-9]+)*$/,
  /^application\/vnd\.in-toto(?:\.[a-z0-9.-]+)?\+(?:json|dsse)$/,
  /^application\/vnd\.dsse\.envelope\.v\d+\+json$/,
  /^application\/vnd\.dev\.cosign\.simplesigning\.v1\+json$/,
  /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[0-9.]+)?\+json$/,
  /^application\/(?:spdx|vnd\.syft|vnd\.cyclonedx)\+(?:json|xml)$/,
  /^application\/vnd\.cyclonedx$/,
  /^text\/spdx(?:\+[a-z]+)?$/,
  /^application\/(?:jose\+json|cose|wasm|vnd\.wasm\.config\.v\d+\+json)$/,
  /^application\/(?:tar|x-tar|gzip|x-gzip|zstd|zip|tar\+gzip|tar\+zstd)$/,
];

/**
 * Whether a type is plainly a layer's or a config's, so that nothing is asked for on the manifests route, where
 * Distribution up to 2.8 answers 500 for a blob's digest. False for what says too little, such as
 * `application/octet-stream` and `application/json`: a registry may send manifests as these, and a client
 * writes into an index what a registry sent.
 */
export function isPlainlyBlobType(mediaType: string): boolean {
  const type = mediaTypeOf(mediaType);
  return BLOB_TYPES.some((pattern) => pattern.test(type));
}
