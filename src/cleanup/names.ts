/** What manifests and tags name, and so has to be read with them. Pure. */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { Source } from './inventory.js';

export interface Found {
  readonly digest: Digest;
  readonly source: Source;
}

/** The manifests that this one's body names. */
export function namedBy(manifest: Manifest): Found[] {
  if (manifest.kind === 'unknown') {
    return [];
  }
  const children: Found[] =
    manifest.kind === 'index'
      ? manifest.children.map(({ digest }) => ({ digest, source: 'child' }))
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
