/** A deleted manifest as it was saved, and what a restore of it needs. Pure. */
import { isDigest, type Digest } from '../oci/digest.js';
import { ManifestError, parseManifest, type Manifest } from '../oci/manifest.js';
import { entriesOf } from '../plan/naming.js';

/** A manifest as it was saved. */
export interface SavedCopy {
  readonly digest: Digest;
  readonly mediaType: string;
  /** `undefined` when nothing with this digest was found where they were saved */
  readonly bytes: Buffer | undefined;
  /** the server's own name for it, with which the server may restore it */
  readonly id?: string;
  /** tags that should point at it again; no two lost manifests name the same one */
  readonly tags: readonly string[];
  /** tags that should point at it again if they point at nothing */
  readonly formerTags?: readonly string[];
}

/** A lost manifest whose saved bytes could be read. */
export interface ParsedCopy extends SavedCopy {
  readonly manifest: Manifest;
  readonly bytes: Buffer;
}

/** @returns why it can't be used, if so */
export function parseCopy(lost: SavedCopy): ParsedCopy | string {
  const { digest, mediaType, bytes } = lost;
  if (bytes === undefined) {
    return 'its saved bytes are missing, or have another digest';
  }
  try {
    return { ...lost, bytes, manifest: parseManifest(bytes, mediaType, digest) };
  } catch (error) {
    if (error instanceof ManifestError) {
      return `its saved bytes aren't a manifest: ${error.message}`;
    }
    throw error;
  }
}

/** The blobs that a registry must have: those with `urls` may be elsewhere. */
export function requiredBlobsOf(manifest: Manifest): Digest[] {
  const blobs = manifest.kind === 'image' ? [manifest.config, ...manifest.layers] : [];
  const all = manifest.kind === 'index' ? manifest.others : blobs;
  const here = all.flatMap(({ digest, urls = [] }) =>
    isDigest(digest) && urls.length === 0 ? [digest] : [],
  );
  return [...new Set(here)];
}

/** Waves in which each index comes after all of its entries that are among them. */
export function childrenFirst(all: readonly ParsedCopy[]): ParsedCopy[][] {
  const waiting = new Map(all.map((each) => [each.digest, each]));
  const waves: ParsedCopy[][] = [];
  while (waiting.size > 0) {
    // Digests can't form a cycle, so there is always one.
    const wave = [...waiting.values()].filter(
      ({ manifest }) =>
        manifest.kind !== 'index' || !entriesOf(manifest).some((digest) => waiting.has(digest)),
    );
    wave.forEach(({ digest }) => waiting.delete(digest));
    waves.push(wave);
  }
  return waves;
}
