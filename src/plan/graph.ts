/**
 * The graph of one repository: manifests, and what keeps what alive. Manifests that are gone and remembered are in it
 * too: what lists them needs them, with all that belongs to them. Nobody misses what only described something. Pure.
 * Knows nothing of ages or settings; `plan.ts` says which manifests are roots.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag, type DigestTag } from '../oci/reference.js';
import type { Inventory } from './inventory.js';
import { blobsOf } from './naming.js';

/** From a manifest that is kept to one that is kept because of it. */
export type Edge =
  | { readonly kind: 'child' | 'subject' | 'referrer' | 'mentioned' | 'blob'; readonly to: Digest }
  | { readonly kind: 'digest-tag'; readonly tag: string; readonly to: Digest };

/** A digest tag, and the manifest that it points at. */
type PointingDigestTag = DigestTag & { readonly target: Digest };

export interface Graph {
  /** tags that are roots, by the manifest they point at, or may have pointed at until it was lost; each list sorted */
  readonly rootTags: ReadonlyMap<Digest, readonly string[]>;
  /** sorted by tag */
  readonly digestTags: readonly PointingDigestTag[];
  /** of every manifest that was read or is remembered; each list in a fixed order, ends that were not read left out */
  readonly edges: ReadonlyMap<Digest, readonly Edge[]>;
}

export function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Whether a tag with a digest tag's name is one (design, "How it decides", the first trap). People tag
 * an image with its own digest to keep it, and one registry resolves such a name to the image itself:
 * a fallback tag has to look like one, an index whose entries all have the named manifest as subject.
 */
function isDigestTag(
  tag: DigestTag,
  target: Digest,
  manifests: ReadonlyMap<Digest, Manifest>,
): boolean {
  if (target === tag.names) {
    return false;
  }
  if (tag.role !== 'fallback') {
    return true;
  }
  const index = manifests.get(target);
  if (index?.kind !== 'index' || index.others.length > 0) {
    return false;
  }
  // An entry that the registry no longer has proves nothing, so one that it has must speak for the tag.
  const entries = index.children
    .map((child) => manifests.get(child.digest))
    .filter((entry) => entry !== undefined);
  return (
    index.children.length === 0 ||
    (entries.length > 0 && entries.every((entry) => entry.subject === tag.names))
  );
}

/** The edges that a manifest's body tells, wherever they lead. */
function ownEdges(manifest: Manifest): Edge[] {
  const edges = (kind: Exclude<Edge['kind'], 'digest-tag'>, ends: readonly string[]): Edge[] =>
    ends.map((to) => ({ kind, to: to as Digest }));
  const subject = edges('subject', manifest.subject === undefined ? [] : [manifest.subject]);
  switch (manifest.kind) {
    case 'unknown':
      return edges('mentioned', manifest.mentions);
    case 'image':
      // A layer may have the bytes of a manifest, as in an OCI layout that was pushed file by file. Distribution up to
      // 2.8 removes the layer along with the manifest.
      return [...edges('blob', blobsOf(manifest)), ...subject];
    case 'index': {
      const children = edges(
        'child',
        manifest.children.map(({ digest }) => digest),
      );
      const others = edges(
        'mentioned',
        manifest.others.map(({ digest }) => digest),
      );
      return [...children, ...others, ...subject];
    }
  }
}

/** The order of edges decides which reason is told when there are several: the plainest first. */
const EDGE_ORDER = ['child', 'subject', 'referrer', 'digest-tag', 'mentioned', 'blob'];

function byOrder(a: Edge, b: Edge): number {
  return EDGE_ORDER.indexOf(a.kind) - EDGE_ORDER.indexOf(b.kind) || compare(a.to, b.to);
}

/** By subject: by the bodies that were read, and by the registry, which may know more than they say. */
function referrersIn(
  manifests: ReadonlyMap<Digest, Manifest>,
  referrers: Inventory['referrers'],
): ReadonlyMap<Digest, ReadonlySet<Digest>> {
  const all = new Map<Digest, Set<Digest>>();
  for (const [subject, listed] of referrers) {
    // Digests make it impossible that a manifest names itself, but nothing keeps a registry from saying so.
    all.set(subject, new Set(listed.filter((digest) => digest !== subject)));
  }
  for (const [digest, manifest] of manifests) {
    if (manifest.subject !== undefined) {
      all.set(manifest.subject, (all.get(manifest.subject) ?? new Set()).add(digest));
    }
  }
  return all;
}

type Linked = Pick<
  Inventory,
  'tags' | 'brokenTags' | 'formerTags' | 'manifests' | 'ghosts' | 'referrers'
>;

export function buildGraph(inventory: Linked): Graph {
  const { ghosts, referrers } = inventory;
  const manifests =
    ghosts.size === 0 ? inventory.manifests : new Map([...ghosts, ...inventory.manifests]);
  const rootTags = new Map<Digest, string[]>();
  const digestTags: PointingDigestTag[] = [];
  const edges = new Map<Digest, Edge[]>();
  /** whether an edge from here, which is not that of a list, may lead there */
  const leadsTo = (from: Digest, to: Digest) =>
    manifests.has(to) && (!ghosts.has(to) || ghosts.has(from));
  for (const [digest, manifest] of manifests) {
    const own = ownEdges(manifest);
    const isList = ({ kind }: Edge) => kind === 'child' || kind === 'mentioned';
    edges.set(
      digest,
      own.filter((edge) => (isList(edge) ? manifests.has(edge.to) : leadsTo(digest, edge.to))),
    );
  }
  for (const [subject, found] of referrersIn(manifests, referrers)) {
    for (const to of [...found].filter((digest) => leadsTo(subject, digest))) {
      edges.get(subject)?.push({ kind: 'referrer', to });
    }
  }
  const tags = [...inventory.tags, ...lostTags(inventory)];
  for (const [tag, target] of tags.sort(([a], [b]) => compare(a, b))) {
    const named = parseDigestTag(tag);
    if (named !== undefined && isDigestTag(named, target, manifests)) {
      digestTags.push({ ...named, target });
      if (leadsTo(named.names, target)) {
        edges.get(named.names)?.push({ kind: 'digest-tag', tag, to: target });
      }
    } else {
      const known = rootTags.get(target) ?? [];
      known.push(tag);
      rootTags.set(target, known);
    }
  }
  for (const list of edges.values()) {
    list.sort(byOrder);
  }
  return { rootTags, digestTags, edges };
}

/**
 * Tags with the lost manifests that they are remembered to have pointed at: ordinary tags that are listed without a
 * manifest, and digest tags, which go with their manifest, where they point at nothing else.
 */
function lostTags({ tags, brokenTags, formerTags, ghosts }: Linked): [string, Digest][] {
  const broken = new Set(brokenTags);
  const isLost = (tag: string) =>
    broken.has(tag) || (parseDigestTag(tag) !== undefined && !tags.has(tag));
  return [...ghosts.keys()].flatMap((digest) =>
    [...(formerTags.get(digest) ?? [])]
      .filter(isLost)
      .map((tag): [string, Digest] => [tag, digest]),
  );
}

/** How a manifest was reached: the edge that led to it, and where that edge starts. */
export interface Step {
  readonly from: Digest;
  readonly edge: Edge;
}

/**
 * Everything that can be reached from `roots`, with the step that reached it first. Roots themselves
 * are not in the answer. The order of `roots` decides between several ways, so sort them.
 */
export function reach(graph: Graph, roots: Iterable<Digest>): Map<Digest, Step> {
  const rootSet = new Set(roots);
  const steps = new Map<Digest, Step>();
  const queue = [...rootSet];
  // The queue grows while it is walked: breadth first, so that the reason told is the nearest one.
  for (const from of queue) {
    for (const edge of graph.edges.get(from) ?? []) {
      if (!rootSet.has(edge.to) && !steps.has(edge.to)) {
        steps.set(edge.to, { from, edge });
        queue.push(edge.to);
      }
    }
  }
  return steps;
}
