/**
 * The digests that manifests and tags name: children, subjects, blobs, and digests of unknown kind. Pure.
 */
import { isDigest, type Digest } from '../oci/digest.js';
import type { Descriptor, IndexManifest, Manifest } from '../oci/manifest.js';
import { isIndexType, isManifestType, isPlainlyBlobType } from '../oci/media-types.js';
import { parseDigestTag } from '../oci/reference.js';
import type { Inventory, Source } from './inventory.js';

export interface Found {
  readonly digest: Digest;
  readonly source: Source;
  /** an index calls it an image manifest, so it has no children */
  readonly isImage?: boolean;
}

/** The manifests that this one's body names. */
export function namedBy(manifest: Manifest): Found[] {
  const children: Found[] =
    manifest.kind === 'index'
      ? manifest.children.map(({ digest, mediaType }) => ({
          digest,
          source: 'child',
          isImage: isManifestType(mediaType) && !isIndexType(mediaType),
        }))
      : [];
  return manifest.subject === undefined
    ? children
    : [...children, { digest: manifest.subject, source: 'subject' }];
}

/** The manifests that digest tags name. */
export function namedByTags(tags: readonly string[]): Found[] {
  return tags.flatMap((tag) => {
    const digest = parseDigestTag(tag)?.names;
    return digest === undefined ? [] : [{ digest, source: 'digest-tag' }];
  });
}

/** The config and layers of an image, and those that an index lists, as old build caches do. */
export function blobsOf(manifest: Manifest): Digest[] {
  return manifest.kind === 'image'
    ? digestsOf([manifest.config, ...manifest.layers])
    : digestsOf(othersOf(manifest).filter(({ mediaType }) => isPlainlyBlobType(mediaType)));
}

/** The entries of an index that aren't plainly manifests. */
function othersOf(manifest: Manifest): readonly Descriptor[] {
  return manifest.kind === 'index' ? manifest.others : [];
}

/** All entries of an index, of any type: a registry takes an index only when it has all of them. */
export function entriesOf({ children, others }: IndexManifest): Digest[] {
  return digestsOf([...children, ...others]);
}

function digestsOf(descriptors: readonly Descriptor[]): Digest[] {
  return descriptors.map(({ digest }) => digest).filter(isDigest);
}

/**
 * Digests that may be of manifests, though nothing says so: the digests in a body that is not understood, and the
 * entries of an index whose media type is neither a manifest's nor plainly a layer's or a config's.
 */
export function perhapsManifests(manifest: Manifest): readonly Digest[] {
  return manifest.kind === 'unknown'
    ? manifest.mentions
    : digestsOf(othersOf(manifest).filter(({ mediaType }) => !isPlainlyBlobType(mediaType)));
}

/** The manifests that the repository was found to have as layers or configs as well. */
export function layersIn({ links, manifests }: Pick<Inventory, 'links' | 'manifests'>): Digest[] {
  return [...(links ?? [])].flatMap(([digest, isLayer]) =>
    isLayer && manifests.has(digest) ? [digest] : [],
  );
}

/** As a gap names it. */
export function mentionOf(digest: Digest): string {
  return `mentioned manifest ${digest}`;
}
