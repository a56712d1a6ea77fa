/** For each manifest of an inventory: keep or delete, and the reason. */
import type { Digest } from '../oci/digest.js';
import type { ImageManifest } from '../oci/manifest.js';
import { isImageConfigType } from '../oci/media-types.js';
import { Births, contained } from './births.js';
import { buildGraph, compare, reach, type Graph, type Step } from './graph.js';
import type { Inventory } from './inventory.js';
import { deletionOrder } from './order.js';

export type KeepReason =
  | { readonly kind: 'tagged'; readonly tags: readonly string[] }
  /** `created` in epoch milliseconds: of its own config, or of the youngest image that it contains or describes */
  | { readonly kind: 'young'; readonly created: number }
  | { readonly kind: 'unknown-type'; readonly mediaType: string }
  /** its subject isn't in this repository: it may describe an image elsewhere */
  | { readonly kind: 'dangling-referrer'; readonly subject: Digest }
  | { readonly kind: 'dangling-digest-tag'; readonly tag: string; readonly names: Digest }
  | { readonly kind: 'child'; readonly of: Digest }
  | { readonly kind: 'subject'; readonly of: Digest }
  | { readonly kind: 'referrer'; readonly of: Digest }
  | { readonly kind: 'digest-tag'; readonly tag: string; readonly of: Digest }
  | { readonly kind: 'mentioned'; readonly by: Digest }
  /** nothing reaches it, but something in this repository couldn't be read */
  | { readonly kind: 'gap' };

export type DeleteReason =
  /** no tag, and nothing that is kept refers to it */
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'child'; readonly of: Digest }
  | { readonly kind: 'referrer'; readonly of: Digest }
  | { readonly kind: 'digest-tag'; readonly tag: string; readonly of: Digest }
  /** its subject isn't in this repository, and the user asked to delete such manifests */
  | { readonly kind: 'dangling'; readonly subject: Digest };

export interface Kept {
  readonly digest: Digest;
  readonly reason: KeepReason;
}

export interface Orphan {
  readonly digest: Digest;
  readonly reason: DeleteReason;
  /** epoch milliseconds, where a config told it */
  readonly created?: number;
  /** orphans that must be gone before this one: parents before children, subjects before referrers */
  readonly after: readonly Digest[];
}

export interface Plan {
  readonly repository: string;
  /** sorted by digest */
  readonly keep: readonly Kept[];
  /** in an order that respects `after` */
  readonly orphans: readonly Orphan[];
}

export interface Policy {
  /** milliseconds; a manifest known to be younger is kept. 0 switches the question off */
  readonly gracePeriod: number;
  readonly danglingReferrers: 'keep' | 'delete';
  /** epoch milliseconds: the time that ages are measured against, the same for the whole run */
  readonly now: number;
}

/**
 * Decides over one repository, by the rules of docs/how-it-decides.md. Pure: the same inventory, in
 * whatever order it was read, gives the same plan.
 */
export function makePlan(inventory: Inventory, policy: Policy): Plan {
  const graph = buildGraph(inventory);
  const roots = findRoots(inventory, graph, policy);
  const steps = reach(graph, [...roots.keys()].sort(compare));
  const keep: Kept[] = [...roots].map(([digest, reason]) => ({ digest, reason }));
  for (const [digest, step] of steps) {
    keep.push({ digest, reason: reasonOf(step) });
  }
  const unreached = new Set(
    [...inventory.manifests.keys()].filter((digest) => !roots.has(digest) && !steps.has(digest)),
  );
  if (inventory.gaps.length > 0) {
    // What couldn't be read might have named any of them (rule 4).
    keep.push(...[...unreached].map((digest) => ({ digest, reason: { kind: 'gap' } as const })));
    unreached.clear();
  }
  return {
    repository: inventory.repository,
    keep: keep.sort((a, b) => compare(a.digest, b.digest)),
    orphans: describeOrphans(inventory, graph, unreached),
  };
}

function reasonOf({ from, edge }: Step): KeepReason {
  switch (edge.kind) {
    case 'mentioned':
      return { kind: 'mentioned', by: from };
    case 'digest-tag':
      return { kind: 'digest-tag', tag: edge.tag, of: from };
    case 'child':
    case 'subject':
    case 'referrer':
      return { kind: edge.kind, of: from };
  }
}

/** What keeps a manifest by itself; of several reasons the first is told. */
function findRoots(inventory: Inventory, graph: Graph, policy: Policy): Map<Digest, KeepReason> {
  const { manifests } = inventory;
  const roots = new Map<Digest, KeepReason>();
  const keep = (digest: Digest, reason: KeepReason) => {
    if (!roots.has(digest)) {
      roots.set(digest, reason);
    }
  };
  for (const [digest, tags] of graph.rootTags) {
    keep(digest, { kind: 'tagged', tags });
  }
  for (const { digest, mediaType, kind } of manifests.values()) {
    if (kind === 'unknown') {
      keep(digest, { kind: 'unknown-type', mediaType });
    }
  }
  if (policy.danglingReferrers === 'keep') {
    for (const manifest of manifests.values()) {
      if (manifest.kind !== 'unknown' && manifest.subject !== undefined) {
        const { subject } = manifest;
        if (!manifests.has(subject)) {
          keep(manifest.digest, { kind: 'dangling-referrer', subject });
        }
      }
    }
    for (const { tag, names, target } of graph.digestTags) {
      if (!manifests.has(names)) {
        keep(target, { kind: 'dangling-digest-tag', tag, names });
      }
    }
  }
  const births = new Births(inventory);
  for (const digest of policy.gracePeriod === 0 ? [] : manifests.keys()) {
    const created = births.of(digest);
    if (created !== undefined && created > policy.now - policy.gracePeriod) {
      keep(digest, { kind: 'young', created });
    }
  }
  return roots;
}

/**
 * The images whose config has to be read before this plan can be believed: the possible orphans, and
 * what they contain. Empty when ages don't matter or are all known.
 */
export function unknownAges(inventory: Inventory, plan: Plan, policy: Policy): ImageManifest[] {
  if (policy.gracePeriod === 0) {
    return [];
  }
  const queue = new Set(plan.orphans.map(({ digest }) => digest));
  const images: ImageManifest[] = [];
  for (const digest of queue) {
    const manifest = inventory.manifests.get(digest);
    if (manifest === undefined) {
      continue;
    }
    contained(manifest).forEach((inner) => queue.add(inner));
    if (
      manifest.kind === 'image' &&
      isImageConfigType(manifest.config.mediaType) &&
      !inventory.facts.has(digest)
    ) {
      images.push(manifest);
    }
  }
  return images;
}

function describeOrphans(
  inventory: Inventory,
  graph: Graph,
  unreached: ReadonlySet<Digest>,
): Orphan[] {
  const births = new Births(inventory);
  const reasons = orphanReasons(inventory, graph, unreached);
  return deletionOrder(graph, unreached).map(({ digest, after }) => {
    const created = births.of(digest);
    return {
      digest,
      reason: reasons.get(digest) ?? { kind: 'unreachable' },
      ...(created === undefined ? {} : { created }),
      after,
    };
  });
}

function orphanReasons(
  inventory: Inventory,
  graph: Graph,
  orphans: ReadonlySet<Digest>,
): Map<Digest, DeleteReason> {
  const { manifests } = inventory;
  const reasons = new Map<Digest, DeleteReason>();
  const give = (digest: Digest, reason: DeleteReason) => {
    if (orphans.has(digest) && !reasons.has(digest)) {
      reasons.set(digest, reason);
    }
  };
  for (const { tag, names, target } of graph.digestTags) {
    give(
      target,
      manifests.has(names)
        ? { kind: 'digest-tag', tag, of: names }
        : { kind: 'dangling', subject: names },
    );
  }
  for (const digest of orphans) {
    const manifest = manifests.get(digest);
    if (manifest?.kind !== 'unknown' && manifest?.subject !== undefined) {
      const { subject } = manifest;
      give(
        digest,
        manifests.has(subject) ? { kind: 'referrer', of: subject } : { kind: 'dangling', subject },
      );
    }
  }
  for (const [of, edges] of [...graph.edges].sort(([a], [b]) => compare(a, b))) {
    for (const edge of orphans.has(of) ? edges : []) {
      if (edge.kind === 'child') {
        give(edge.to, { kind: 'child', of });
      }
    }
  }
  return reasons;
}
