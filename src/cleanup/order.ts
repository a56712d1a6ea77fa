/**
 * The order in which orphans are deleted: parents before children, subjects before referrers, so that a
 * run which stops half-way leaves garbage and never an index without its child. Pure.
 */
import type { Digest } from '../oci/digest.js';
import { compare, type Graph } from './graph.js';

export interface Placed {
  readonly digest: Digest;
  /** orphans that must be gone before this one; all of them stand earlier in the order */
  readonly after: readonly Digest[];
}

/**
 * What has to go before a manifest. `hard`: the indexes that hold it. `soft`: what it describes, so that
 * a signature stays as long as its image. Where the two contradict each other, soft gives way.
 */
interface Before {
  readonly hard: Set<Digest>;
  readonly soft: Set<Digest>;
}

/** Kahn's algorithm in rounds, each sorted by digest, so that the order depends on the graph alone. */
export function deletionOrder(graph: Graph, orphans: ReadonlySet<Digest>): Placed[] {
  const { befores, afters } = constraints(graph, orphans);
  const waiting = new Map(befores);
  const order: Placed[] = [];
  const placed = new Set<Digest>();
  const place = (digest: Digest): Digest[] => {
    const { hard, soft } = befores.get(digest) ?? { hard: [], soft: [] };
    const after = [...new Set([...hard, ...soft])].filter((each) => placed.has(each));
    waiting.delete(digest);
    order.push({ digest, after: after.sort(compare) });
    return afters.get(digest) ?? [];
  };
  const isFree = (digest: Digest) => {
    const before = waiting.get(digest);
    return (
      before !== undefined && [...before.hard, ...before.soft].every((each) => placed.has(each))
    );
  };
  let round = [...waiting.keys()].filter(isFree);
  while (waiting.size > 0) {
    const now = round.length > 0 ? round.sort(compare) : [leastBound(waiting, placed)];
    const next = new Set(now.flatMap(place));
    now.forEach((digest) => placed.add(digest));
    round = [...next].filter(isFree);
  }
  return order;
}

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
      before[kind === 'child' || kind === 'mentioned' ? 'hard' : 'soft'].add(from);
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
function leastBound(waiting: ReadonlyMap<Digest, Before>, placed: ReadonlySet<Digest>): Digest {
  const sorted = [...waiting].sort(([a], [b]) => compare(a, b));
  const [digest] = sorted.find(([, { hard }]) => [...hard].every((each) => placed.has(each))) ?? [];
  if (digest === undefined) {
    throw new Error('indexes contain each other, which digests do not allow');
  }
  return digest;
}
