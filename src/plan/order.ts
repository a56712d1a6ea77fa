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
 * What has to go before a manifest. `hard`: what holds it, as an index does. `soft`: what it describes, so that
 * a signature stays as long as its image. Where the two contradict each other, soft gives way.
 */
interface Before {
  readonly hard: Set<Digest>;
  readonly soft: Set<Digest>;
}

type Waiting = readonly [digest: Digest, before: Before];

/** Kahn's algorithm in rounds, each sorted by digest, so that the order depends on the graph alone. */
export function deletionOrder(graph: Graph, orphans: ReadonlySet<Digest>): Placed[] {
  const { befores: waiting, afters } = constraints(graph, orphans);
  const order: Placed[] = [];
  const placed = new Set<Digest>();
  const isPlaced = (digest: Digest) => placed.has(digest);
  const isFree = ([, { hard, soft }]: Waiting) =>
    [...hard].every(isPlaced) && [...soft].every(isPlaced);
  let round: Waiting[] = [...waiting].filter(isFree);
  while (waiting.size > 0) {
    const now = round.length > 0 ? round.sort(byDigest) : leastBound(waiting, isPlaced);
    for (const [digest, { hard, soft }] of now) {
      const after = [...new Set([...hard, ...soft])].filter(isPlaced).sort(compare);
      order.push({ digest, after });
      waiting.delete(digest);
    }
    now.forEach(([digest]) => placed.add(digest));
    const next = new Map<Digest, Before>();
    for (const to of now.flatMap(([digest]) => afters.get(digest) ?? [])) {
      const before = waiting.get(to);
      if (before !== undefined) {
        next.set(to, before);
      }
    }
    round = [...next].filter(isFree);
  }
  return order;
}

function byDigest([a]: Waiting, [b]: Waiting): number {
  return compare(a, b);
}

/** Edges of digests in the body that has them, so that they form no circle. */
const HOLDING: readonly Edge['kind'][] = ['child', 'mentioned', 'blob'];

function constraints(graph: Graph, orphans: ReadonlySet<Digest>) {
  const befores = new Map<Digest, Before>();
  const afters = new Map<Digest, Digest[]>();
  for (const digest of orphans) {
    befores.set(digest, { hard: new Set(), soft: new Set() });
  }
  for (const from of orphans) {
    for (const { kind, to } of graph.edges.get(from) ?? []) {
      const before = befores.get(to);
      // `subject` is the way back of `referrer`, and asks for nothing.
      if (before === undefined || kind === 'subject') {
        continue;
      }
      before[HOLDING.includes(kind) ? 'hard' : 'soft'].add(from);
      const after = afters.get(from) ?? [];
      after.push(to);
      afters.set(from, after);
    }
  }
  return { befores, afters };
}

/**
 * Digest tags can be moved into a circle, and a child may be described by its own parent: then one
 * manifest has to go before what it describes. Digests can't form a circle, so there is always one
 * whose parents are gone.
 */
function leastBound(
  waiting: ReadonlyMap<Digest, Before>,
  isPlaced: (digest: Digest) => boolean,
): Waiting[] {
  const first = [...waiting]
    .sort(byDigest)
    .find(([, { hard }]) => [...hard].every((digest) => isPlaced(digest)));
  if (first === undefined) {
    throw new Error('indexes contain each other, which digests do not allow');
  }
  return [first];
}
