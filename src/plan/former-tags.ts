/**
 * Tags that once pointed at an index and now point at a part of it. A proxy that ignores `Accept` answers a tag of
 * several platforms with one of them (distribution-spec#207), and then the index only looks as if its tag had moved on.
 * Pure.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { compare } from './graph.js';
import type { Inventory } from './inventory.js';
import { entriesOf } from './naming.js';
import type { KeepReason } from './reasons.js';

type Narrowing = Omit<Extract<KeepReason, { kind: 'narrowed' }>, 'kind'>;

/** @returns by the manifest that the tag left; of several tags the first by name */
export function narrowings({
  tags,
  manifests,
  formerTags,
}: Pick<Inventory, 'tags' | 'manifests' | 'formerTags'>): ReadonlyMap<Digest, Narrowing> {
  const found = new Map<Digest, Narrowing>();
  for (const [digest, names] of formerTags) {
    const parts = partsOf(digest, manifests);
    for (const tag of [...names].sort(compare)) {
      const part = tags.get(tag);
      if (part !== undefined && part !== digest && parts.has(part) && !found.has(digest)) {
        found.set(digest, { tag, part });
      }
    }
  }
  return found;
}

/** An index with everything that it lists, at any depth. */
function partsOf(digest: Digest, manifests: ReadonlyMap<Digest, Manifest>): ReadonlySet<Digest> {
  const parts = new Set([digest]);
  for (const part of parts) {
    const manifest = manifests.get(part);
    (manifest?.kind === 'index' ? entriesOf(manifest) : []).forEach((each) => parts.add(each));
  }
  return parts;
}

/** The manifests that tags pointed at in earlier runs, and in an earlier read of this run. */
export interface FormerTags {
  readonly byManifest: ReadonlyMap<Digest, ReadonlySet<string>>;
  /** Whether the tag was seen before, and never there. */
  hasMoved(tag: string, digest: Digest): boolean;
}

export function collectTags(
  past: Inventory['past'],
  earlier: ReadonlyMap<string, Digest> = new Map(),
): FormerTags {
  const byManifest = new Map<Digest, Set<string>>();
  const seen = new Set<string>();
  const add = (digest: Digest, tag: string): void => {
    byManifest.set(digest, (byManifest.get(digest) ?? new Set()).add(tag));
    seen.add(tag);
  };
  past.forEach(({ tags }, digest) => tags?.forEach((tag) => add(digest, tag)));
  earlier.forEach(add);
  return {
    byManifest,
    hasMoved: (tag, digest) => seen.has(tag) && byManifest.get(digest)?.has(tag) !== true,
  };
}
