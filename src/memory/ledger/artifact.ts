/**
 * The form in which an entry of the ledger lies in a registry: an OCI artifact (image-spec, "Guidelines for
 * Artifact Usage") with an empty config and one layer, under a tag that says whose memory it is and what
 * its bytes are. So reading an entry takes one GET of the blob, and deleting it no question at all. Pure.
 */
import { digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { OCI_MANIFEST } from '../../oci/media-types.js';
import { ARTIFACT_TYPE } from '../../plan/ledger-artifact.js';

const LAYER_TYPE = 'application/vnd.registry-manifest-cleanup.ledger.v1.json+gzip';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
/** Tells people who look at the ledger with other tools whose memory an entry is. */
const REPOSITORY_ANNOTATION = 'registry-manifest-cleanup.repository';

/** image-spec, "Guidance for an Empty Descriptor" */
export const EMPTY_CONFIG = Buffer.from('{}');

const TAG = /^ledger-v(\d+)\.([0-9a-f]{32})\.([0-9a-f]{64})$/;
const VERSION = '1';

/** A tag of the ledger's, read. */
export interface EntryTag {
  readonly tag: string;
  /** false for an entry that a later version of this program wrote */
  readonly isOurs: boolean;
  /** of the repository whose memory it is: `keyOf` */
  readonly key: string;
  /** of the compressed entry */
  readonly blob: Digest;
}

/** `undefined` for any other tag. */
export function parseEntryTag(tag: string): EntryTag | undefined {
  const [, version, key, hex] = TAG.exec(tag) ?? [];
  const blob = `sha256:${hex ?? ''}`;
  return key !== undefined && isDigest(blob)
    ? { tag, isOurs: version === VERSION, key, blob }
    : undefined;
}

/** 128 bits of the repository's name: two names that share them do not turn up by chance. */
export function keyOf(repository: string): string {
  return digestOf(Buffer.from(repository)).slice('sha256:'.length, 'sha256:'.length + 32);
}

/** How the tags of all entries of a repository's memory begin. */
export function entryTagPrefix(repository: string): string {
  return `ledger-v${VERSION}.${keyOf(repository)}.`;
}

export interface Artifact {
  readonly tag: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/**
 * The manifest of an entry. The same for the same blob, always: whoever has read an entry knows the digest
 * of its manifest.
 *
 * @param repository whose memory it is
 * @param blob the compressed entry
 */
export function artifactOf(repository: string, blob: Buffer): Artifact {
  const digest = digestOf(blob);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: ARTIFACT_TYPE,
    config: { mediaType: EMPTY_TYPE, digest: digestOf(EMPTY_CONFIG), size: EMPTY_CONFIG.length },
    layers: [{ mediaType: LAYER_TYPE, digest, size: blob.length }],
    annotations: { [REPOSITORY_ANNOTATION]: repository },
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return {
    tag: `${entryTagPrefix(repository)}${digest.slice('sha256:'.length)}`,
    digest: digestOf(bytes),
    mediaType: OCI_MANIFEST,
    bytes,
  };
}
