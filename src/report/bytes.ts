/**
 * How many bytes the registry's garbage collection can free after this run. Sizes are what manifests
 * claim, so every doubt is settled for the smaller number; nothing here may overstate.
 */
import type { Manifest } from '../oci/manifest.js';
import { isFreed, isGone, judge, type Fate } from '../plan/fate.js';
import { repositoriesByName, type Run } from '../run/run.js';

interface FreedBytes {
  readonly total: number;
  /** something wasn't read, so a kept manifest that nobody saw may need some of these blobs */
  readonly atMost: boolean;
  /** what several repositories free together counts for the first of them by name: the sum is `total` */
  readonly byRepository: ReadonlyMap<string, number>;
}

/** A sum that stops at the largest exact integer. */
export function addBytes(a: number, b: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, a + b);
}

/**
 * Calls `visit` with the manifest itself and each blob that it needs, and the bytes that the blob takes
 * in the registry: none for a blob with `urls`, which is stored elsewhere (image-spec "urls").
 * Children, subject and referrers are manifests of their own, so they are not visited.
 */
function eachBlob(manifest: Manifest, visit: (digest: string, size: number) => void): void {
  visit(manifest.digest, manifest.size);
  if (manifest.kind === 'unknown') {
    manifest.mentions.forEach((digest) => visit(digest, 0));
    return;
  }
  const blobs = manifest.kind === 'image' ? [manifest.config, ...manifest.layers] : manifest.others;
  for (const { digest, size, urls = [] } of blobs) {
    visit(digest, urls.length > 0 ? 0 : size);
  }
}

/** The manifest and its blobs, each once: what people call the size of an image. Shared blobs count. */
export function contentBytes(manifest: Manifest): number {
  const sizes = new Map<string, number>();
  eachBlob(manifest, (digest, size) => {
    sizes.set(digest, Math.min(size, sizes.get(digest) ?? size));
  });
  return [...sizes.values()].reduce(addBytes, 0);
}

/**
 * Bytes of the freed manifests and of the blobs that only they need, each digest once over the whole
 * run. Kept is what an inventory holds and what wasn't freed; a manifest that was gone already is
 * neither. Linear in the number of descriptors, in memory linear in the freed ones.
 *
 * @param isCounted which orphans would have to go, beside those that did
 */
export function freedBytes(run: Run, isCounted: (fate: Fate) => boolean = isFreed): FreedBytes {
  const repositories = repositoriesByName(run);
  // Parallel arrays behind one map: a third of the memory that an object per blob takes.
  const slots = new Map<string, number>();
  const sizes: number[] = [];
  const owners: number[] = [];
  const notKept = repositories.map((repository, owner) => {
    const judged = judge(repository);
    for (const { orphan, fate } of judged) {
      const manifest = repository.inventory.manifests.get(orphan.digest);
      if (manifest === undefined || !isCounted(fate)) {
        continue;
      }
      eachBlob(manifest, (digest, size) => {
        const slot = slots.get(digest);
        if (slot === undefined) {
          slots.set(digest, sizes.length);
          sizes.push(size);
          owners.push(owner);
        } else {
          sizes[slot] = Math.min(size, sizes[slot] ?? size);
        }
      });
    }
    const gone = judged.filter(({ fate }) => isCounted(fate) || isFreed(fate) || isGone(fate));
    return new Set(gone.map(({ orphan }) => orphan.digest));
  });
  if (slots.size > 0) {
    repositories.forEach(({ inventory }, owner) => {
      for (const [digest, manifest] of inventory.manifests) {
        if (notKept[owner]?.has(digest) !== true) {
          eachBlob(manifest, (needed) => {
            const slot = slots.get(needed);
            if (slot !== undefined) {
              sizes[slot] = 0;
            }
          });
        }
      }
    });
  }
  const sums = repositories.map(() => 0);
  sizes.forEach((size, slot) => {
    const owner = owners[slot] ?? 0;
    sums[owner] = addBytes(sums[owner] ?? 0, size);
  });
  return {
    total: sums.reduce(addBytes, 0),
    atMost:
      !run.everyRepositoryScanned ||
      repositories.some(
        ({ inventory: { gaps, unread } }) => gaps.length > 0 || unread !== undefined,
      ),
    byRepository: new Map(
      repositories.map(({ inventory }, owner) => [inventory.repository, sums[owner] ?? 0]),
    ),
  };
}
