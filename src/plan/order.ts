/**
 * The order in which orphans are deleted: parents before children, subjects before referrers, so that a
 * run which stops half-way leaves garbage and never an index without its child. Pure.
 */
import type { Digest } from '../oci/digest.js';
import { compare, type Edge, type Graph } from './graph.js';

interface Placed {
  readonly digest: Digest;
  /** orphans that must be gone before this one; all of them stand earlier in the order */
  readonly after: readonly Digest[];
}

/**
 * The manifests that have to go before one, each with whether that is hard. It is hard for a manifest that holds this
 * one, as an index does, and soft for one that this one describes, so that a signature stays as long as its image.
 * Where the two contradict each other, soft gives way.
 */
type Before = Map<Digest, boolean>;

/** Kahn's algorithm in rounds, each sorted by digest, so that the order depends on the graph alone. */
export function deletionOrder(graph: Graph, orphans: ReadonlySet<Digest>): Placed[] {
  const befores = constraints(graph, orphans);
  const order: Placed[] = [];
  const waiting = new Set(orphans);
  const placed = new Set<Digest>();
  const isFree = (digest: Digest, isSoftToo = true) =>
    [...(befores.get(digest) ?? [])].every(
      ([from, isHard]) => placed.has(from) || !(isHard || isSoftToo),
    );
  let round = [...orphans].filter((digest) => isFree(digest));
  while (waiting.size > 0) {
    // Digest tags can be moved into a circle, and a child may be described by its own parent: then one manifest has to
    // go before what it describes. Digests can't form a circle, so there is always one whose parents are gone.
    const now =
      round.length > 0
        ? round.sort(compare)
        : [...waiting]
            .sort(compare)
            .filter((digest) => isFree(digest, false))
            .slice(0, 1);
    if (now.length === 0) {
      throw new Error('indexes contain each other, which digests do not allow');
    }
    for (const digest of now) {
      const before = [...(befores.get(digest)?.keys() ?? [])];
      order.push({ digest, after: before.filter((from) => placed.has(from)).sort(compare) });
      waiting.delete(digest);
    }
    now.forEach((digest) => placed.add(digest));
    const next = now.flatMap((digest) => (graph.edges.get(digest) ?? []).map(({ to }) => to));
    round = [...new Set(next)].filter((digest) => waiting.has(digest) && isFree(digest));
  }
  return order;
}

/** Edges of digests in the body that has them, so that they form no circle. */
const HOLDING: readonly Edge['kind'][] = ['child', 'mentioned', 'blob'];

function constraints(graph: Graph, orphans: ReadonlySet<Digest>): ReadonlyMap<Digest, Before> {
  const befores = new Map<Digest, Before>();
  for (const from of orphans) {
    for (const { kind, to } of graph.edges.get(from) ?? []) {
      // `subject` is the way back of `referrer`, and asks for nothing.
      if (orphans.has(to) && kind !== 'subject') {
        const before = befores.get(to) ?? new Map<Digest, boolean>();
        befores.set(to, before.set(from, before.get(from) === true || HOLDING.includes(kind)));
      }
    }
  }
  return befores;
}
