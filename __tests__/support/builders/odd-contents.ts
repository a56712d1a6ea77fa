/** Contents with odd descriptors, and blobs that are manifests. */
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';
import { manifest, opaque, type Content } from './build.js';

/** An index that names these as it is told to; `undefined` leaves the media type out. */
export function oddIndex(children: readonly Content[], mediaType: unknown): Content {
  const body = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: children.map(({ digest, bytes }) => ({
      ...(mediaType === undefined ? {} : { mediaType }),
      digest,
      size: bytes.length,
    })),
  };
  return { ...opaque(OCI_INDEX, body), children };
}

/** An artifact with the bytes of these as layers, as `oras push` of the files of an OCI layout makes it. */
export function layoutArtifact(name: string, files: readonly Content[]): Content {
  return manifest({
    config: { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') },
    artifactType: `application/vnd.example.${name}`,
    layers: files.map(({ bytes }) => ({ mediaType: 'application/octet-stream', bytes })),
  });
}

/** The digest of the last layer. @throws Error where it is not that of its bytes */
export function lastBlob({ blobs }: Content): string {
  const [digest, bytes] = [...blobs].at(-1) ?? [];
  if (digest === undefined || bytes === undefined || digestOf(bytes) !== digest) {
    throw new Error('no blob');
  }
  return digest;
}
