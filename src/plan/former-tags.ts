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

/** A tag that left an index for a part of it. */
interface Narrowing {
  readonly tag: string;
  /** what the tag points at now */
  readonly part: Digest;
}

/** @returns by the manifest that the tag left; of several tags the first by name */
export function narrowings({
  tags,
  manifests,
  formerTags,
}: Pick<Inventory, 'tags' | 'manifests' | 'formerTags'>): ReadonlyMap<Digest, Narrowing> {
  const found = new Map<Digest, Narrowing>();
  for (const [digest, names] of formerTags) {
    const moved = [...names].sort(compare).flatMap((tag) => {
      const part = tags.get(tag);
      return part === undefined || part === digest ? [] : [{ tag, part }];
    });
    const parts = moved.length === 0 ? new Set<Digest>() : partsOf(digest, manifests);
    const narrowing = moved.find(({ part }) => parts.has(part));
    if (narrowing !== undefined) {
      found.set(digest, narrowing);
    }
  }
  return found;
}

/** Everything that an index lists, at any depth. */
function partsOf(digest: Digest, manifests: ReadonlyMap<Digest, Manifest>): ReadonlySet<Digest> {
  const parts = new Set<Digest>();
  const queue = [digest];
  for (const each of queue) {
    const manifest = manifests.get(each);
    for (const part of manifest?.kind === 'index' ? entriesOf(manifest) : []) {
      if (!parts.has(part)) {
        parts.add(part);
        queue.push(part);
      }
    }
  }
  return parts;
}

/** What earlier runs, and an earlier look of this run, saw tags point at. */
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
  const add = (digest: Digest, tag: string) => {
    byManifest.set(digest, (byManifest.get(digest) ?? new Set()).add(tag));
    seen.add(tag);
  };
  for (const [digest, { tags = [] }] of past) {
    tags.forEach((tag) => {
      add(digest, tag);
    });
  }
  earlier.forEach((digest, tag) => {
    add(digest, tag);
  });
  return {
    byManifest,
    hasMoved: (tag, digest) => seen.has(tag) && byManifest.get(digest)?.has(tag) !== true,
  };
}
