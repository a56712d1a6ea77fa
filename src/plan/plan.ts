/** For each manifest of an inventory: keep or delete, and the reason. */
import { lastUseOf, type LastUse, type Past } from './past.js';
import { ageOf, recentUseOf, tellsAge, youthOf, type Age, type Waits } from './waits.js';
import type { Digest } from '../oci/digest.js';
import type { ImageManifest } from '../oci/manifest.js';
import { isImageConfigType } from '../oci/media-types.js';
import { protectionIn, type Protection } from './protection.js';
import { birthsIn, datedBy } from './births.js';
import { narrowings } from './former-tags.js';
import { buildGraph, compare, reach, type Graph, type Step } from './graph.js';
import type { Inventory } from './inventory.js';
import { indexesThatHold } from './holding-indexes.js';
import { isLedgerArtifact } from './ledger-artifact.js';
import { blobsOf, layersIn } from './naming.js';
import { newestOf } from './newest.js';
import { deletionOrder } from './order.js';
import type { DeleteReason, KeepReason } from './reasons.js';

export interface Kept {
  readonly digest: Digest;
  readonly reason: KeepReason;
}

export interface Orphan {
  readonly digest: Digest;
  readonly reason: DeleteReason;
  readonly age?: Age;
  /** its last tags, where a run saw it in use */
  readonly lastUse?: LastUse;
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

export interface Policy extends Waits {
  readonly danglingReferrers: 'keep' | 'delete';
  /** so many of the newest orphans are kept, with what they reach */
  readonly keepUntagged: number;
  readonly protection: Protection;
  /** by repository, all that may be deleted there; absent: all orphans may be */
  readonly approved?: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** whether a delete of an index also deletes each child image that no tag and no other listed index names */
  readonly takesChildren?: boolean;
}

/**
 * Decides over one repository, by the rules of docs/how-it-decides.md. Pure: the same inventory, in
 * any order of reading, gives the same plan.
 */
export function makePlan(inventory: Inventory, policy: Policy): Plan {
  const graph = buildGraph(inventory);
  const roots = findRoots(inventory, graph, policy);
  let { steps, unreached } = reachFrom(roots, graph, inventory.manifests);
  if (inventory.gaps.length > 0) {
    // A manifest that couldn't be read might have named any of them (`gap-blocks`).
    unreached.forEach((digest) => roots.set(digest, { kind: 'gap' }));
    unreached.clear();
  }
  // Some manifests stay though nothing reaches them, and with them all that they reach.
  for (const findMore of [newestOrphans, unapprovedOrphans]) {
    const more = findMore(inventory, graph, unreached, policy);
    if (more.size > 0) {
      more.forEach((reason, digest) => roots.set(digest, reason));
      ({ steps, unreached } = reachFrom(roots, graph, inventory.manifests));
    }
  }
  if (policy.takesChildren === true) {
    for (;;) {
      const holding = indexesThatHold(inventory, unreached);
      if (holding.size === 0) {
        break;
      }
      holding.forEach((of, digest) => roots.set(digest, { kind: 'holds-kept', of }));
      ({ steps, unreached } = reachFrom(roots, graph, inventory.manifests));
    }
  }
  const reached = [...steps].map(([digest, step]) => [digest, reasonOf(step)] as const);
  return {
    repository: inventory.repository,
    keep: [...roots, ...reached]
      .map(([digest, reason]) => ({ digest, reason }))
      .filter(({ digest }) => inventory.manifests.has(digest))
      .sort((a, b) => compare(a.digest, b.digest)),
    orphans: describeOrphans(inventory, graph, unreached, policy.now),
  };
}

const NOTHING_SEEN: Inventory['past'] = new Map();

type Roots = Map<Digest, KeepReason>;

function reachFrom(roots: Roots, graph: Graph, manifests: Inventory['manifests']) {
  const steps = reach(graph, [...roots.keys()].sort(compare));
  const unreached = new Set(
    [...manifests.keys()].filter((digest) => !roots.has(digest) && !steps.has(digest)),
  );
  return { steps, unreached };
}

/** The orphans that `keep-untagged` keeps. */
function newestOrphans(
  inventory: Inventory,
  graph: Graph,
  orphans: ReadonlySet<Digest>,
  policy: Policy,
): Roots {
  if (policy.keepUntagged === 0) {
    return new Map();
  }
  // A run that saw others in use since must not change which is the newest.
  const births = birthsIn({ ...inventory, past: NOTHING_SEEN });
  const aging = { inventory, graph, births, now: policy.now };
  const newest = newestOf(orphans, policy.keepUntagged, aging);
  return new Map(newest.map((digest) => [digest, { kind: 'recent' }]));
}

function unapprovedOrphans(
  { repository }: Inventory,
  _graph: Graph,
  orphans: ReadonlySet<Digest>,
  { approved }: Policy,
): Roots {
  const listed = approved && (approved.get(repository) ?? new Set());
  const others = listed === undefined ? [] : [...orphans].filter((digest) => !listed.has(digest));
  return new Map(others.map((digest) => [digest, { kind: 'not-in-plan' }]));
}

function reasonOf({ from, edge }: Step): KeepReason {
  if (edge.kind === 'digest-tag') {
    return { kind: edge.kind, tag: edge.tag, of: from };
  }
  const { kind } = edge;
  return kind === 'mentioned' ? { kind, by: from } : { kind, of: from };
}

/** The manifests that stay by themselves, each with its reason: the first, where there are several. */
function findRoots(inventory: Inventory, graph: Graph, policy: Policy): Roots {
  const { manifests } = inventory;
  const roots: Roots = new Map();
  const keep = (digest: Digest, reason: KeepReason) => {
    if (!roots.has(digest)) {
      roots.set(digest, reason);
    }
  };
  for (const [digest, tags] of graph.rootTags) {
    keep(digest, { kind: 'tagged', tags });
  }
  for (const [digest, narrowing] of narrowings(inventory)) {
    keep(digest, { kind: 'narrowed', ...narrowing });
  }
  const protection = protectionIn(inventory.repository, policy.protection);
  const named = protection.named();
  for (const manifest of manifests.values()) {
    const { digest, mediaType, kind } = manifest;
    const isNamed = protection.of(digest).length > 0;
    const blob = isNamed ? undefined : blobsOf(manifest).find((each) => named.has(each));
    if (isNamed || blob !== undefined) {
      keep(digest, { kind: 'protected', by: protection.of(blob ?? digest), blob });
    }
    if (kind === 'unknown') {
      keep(digest, { kind: 'unknown-type', mediaType });
    } else if (isLedgerArtifact(manifest)) {
      keep(digest, { kind: 'ledger' });
    }
  }
  if (policy.danglingReferrers === 'keep') {
    // A manifest that the ledger remembers lived here, so its referrers describe nothing any more.
    const isElsewhere = (digest: Digest) => !manifests.has(digest) && !inventory.past.has(digest);
    for (const { digest, subject } of manifests.values()) {
      if (subject !== undefined && isElsewhere(subject)) {
        keep(digest, { kind: 'dangling-referrer', subject });
      }
    }
    for (const { tag, names, target } of graph.digestTags) {
      if (isElsewhere(names)) {
        keep(target, { kind: 'dangling-digest-tag', tag, names });
      }
    }
  }
  for (const digest of policy.unusedFor === 0 ? [] : manifests.keys()) {
    const use = recentUseOf(digest, inventory, policy);
    if (use !== undefined) {
      keep(digest, use);
    }
  }
  const births = birthsIn(inventory);
  for (const digest of policy.gracePeriod === 0 ? [] : manifests.keys()) {
    const youth = youthOf(digest, inventory, births, policy);
    if (youth !== undefined) {
      keep(digest, youth);
    }
  }
  layersIn(inventory).forEach((digest) => {
    keep(digest, { kind: 'layer' });
  });
  return roots;
}

/**
 * The images whose config has to be read before this plan can be believed: the possible orphans, also those
 * that stay as the newest of them, and what they contain. Empty when ages don't matter or are all known. What
 * tells enough for the grace period does not tell which of several is the newest.
 */
export function unknownAges(inventory: Inventory, plan: Plan, policy: Policy): ImageManifest[] {
  if (policy.gracePeriod === 0 && policy.keepUntagged === 0) {
    return [];
  }
  // The same ages that tell which is the newest.
  const past = policy.keepUntagged > 0 ? NOTHING_SEEN : inventory.past;
  const recent = plan.keep.filter(({ reason }) => reason.kind === 'recent');
  const candidates = [...plan.orphans, ...recent].map(({ digest }) => digest);
  const isDated = (before?: Past) => before !== undefined && tellsAge(before);
  const queue = new Set(candidates.filter((digest) => !isDated(past.get(digest))));
  const images: ImageManifest[] = [];
  for (const digest of queue) {
    const manifest = inventory.manifests.get(digest);
    datedBy(manifest, past).forEach((inner) => queue.add(inner));
    if (
      manifest?.kind === 'image' &&
      isImageConfigType(manifest.config.mediaType) &&
      !inventory.facts.has(digest) &&
      inventory.listing?.get(digest)?.pushedAt === undefined
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
  now: number,
): Orphan[] {
  const births = birthsIn(inventory);
  const reasons = orphanReasons(inventory, graph, unreached);
  return deletionOrder(graph, unreached).map(({ digest, after }) => ({
    digest,
    reason: reasons.get(digest) ?? { kind: 'unreachable' },
    age: ageOf(digest, inventory, births(digest), now),
    lastUse: lastUseOf(inventory.past.get(digest), now),
    after,
  }));
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
  const about = (subject: Digest, reason: DeleteReason): DeleteReason =>
    manifests.has(subject) ? reason : { kind: 'dangling', subject };
  for (const { tag, names, target } of graph.digestTags) {
    give(target, about(names, { kind: 'digest-tag', tag, of: names }));
  }
  for (const digest of orphans) {
    const subject = manifests.get(digest)?.subject;
    if (subject !== undefined) {
      give(digest, about(subject, { kind: 'referrer', of: subject }));
    }
  }
  const sorted = [...graph.edges].sort(([a], [b]) => compare(a, b));
  // Referrers once more: of some only the registry says so, and not their bodies.
  for (const kind of ['referrer', 'child'] as const) {
    for (const [of, edges] of sorted) {
      const ends = orphans.has(of) ? edges.filter((edge) => edge.kind === kind) : [];
      ends.forEach(({ to }) => give(to, { kind, of }));
    }
  }
  return reasons;
}
