/**
 * Orphan indexes that must stay, where the delete of an index takes its child images along (Pulp: pulp_container,
 * tasks/recursive_remove.py). Such a delete spares an image that a tag or another listed index names. Pure.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { compare } from './graph.js';
import type { Inventory } from './inventory.js';

/** @returns by index, the kept child that its delete would take along; the first by digest, where there are several */
export function indexesThatHold(
  { manifests, tags, listing }: Inventory,
  orphans: ReadonlySet<Digest>,
): ReadonlyMap<Digest, Digest> {
  const shielded = new Set<string>(tags.values());
  for (const [digest, manifest] of manifests) {
    // An index that the registry doesn't list shields nothing there.
    if (!orphans.has(digest) && listing?.has(digest) === true) {
      entriesOf(manifest).forEach((entry) => shielded.add(entry));
    }
  }
  const isTaken = (entry: string): entry is Digest => {
    const child = manifests.get(entry as Digest);
    return (
      child !== undefined &&
      child.kind !== 'index' &&
      !orphans.has(child.digest) &&
      !shielded.has(entry)
    );
  };
  const holding = new Map<Digest, Digest>();
  for (const digest of orphans) {
    const [child] = entriesOf(manifests.get(digest)).filter(isTaken).sort(compare);
    if (child !== undefined) {
      holding.set(digest, child);
    }
  }
  return holding;
}

function entriesOf(manifest: Manifest | undefined): string[] {
  return manifest?.kind === 'index'
    ? [...manifest.children, ...manifest.others].map(({ digest }) => digest)
    : [];
}
