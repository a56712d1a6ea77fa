/**
 * Which orphans `keep-untagged` keeps: the newest. The order is made so that what is deleted leaves nothing behind
 * that would count as newer than what was kept: a run that was cut off must not make the next one keep others. Pure.
 */
import type { Past } from './past.js';
import type { Digest } from '../oci/digest.js';
import type { Births } from './births.js';
import { compare, type Edge, type Graph } from './graph.js';
import type { Inventory } from './inventory.js';

const NEVER = Number.NEGATIVE_INFINITY;

interface Aging {
  readonly inventory: Pick<Inventory, 'manifests' | 'past'>;
  readonly graph: Graph;
  readonly births: Births;
  /** epoch milliseconds */
  readonly now: number;
}

/**
 * @param heads of the orphans, those to choose from; what another orphan holds is passed over
 * @returns the `count` newest of the heads
 */
export function newestOf(
  heads: readonly Digest[],
  orphans: ReadonlySet<Digest>,
  count: number,
  aging: Aging,
): Digest[] {
  const held = new Set([...orphans].flatMap((digest) => heldBy(digest, aging)));
  return heads
    .filter((digest) => !held.has(digest))
    .map((digest) => ({ digest, rank: rankOf(digest, orphans, aging) }))
    .sort((a, b) => compareRanks(b.rank, a.rank) || compare(a.digest, b.digest))
    .slice(0, count)
    .map(({ digest }) => digest);
}

type Rank = readonly [lastUse: number, birth: number, parts: number];

/**
 * How new an orphan is, the weightiest number first; the newer, the larger. Several orphans may go out of use
 * together, as when tags move between two runs: then the one that was built last is the newest. Each number of a
 * manifest is at least that of its parts, so none of them comes before it once it is gone.
 */
function rankOf(digest: Digest, orphans: ReadonlySet<Digest>, aging: Aging): Rank {
  const { inventory, births, now } = aging;
  const parts = partsOf(digest, aging);
  const built = parts.map((part) => births(part) ?? NEVER);
  const used = parts
    .filter((part) => orphans.has(part))
    .map((part) => outOfUse(inventory.past.get(part), now) ?? births(part) ?? NEVER);
  // Reproducible builds have one time for all; the number of parts keeps the rule for them, too.
  return [latest(used), latest(built), parts.length];
}

function latest(times: readonly number[]): number {
  return times.reduce((a, b) => Math.max(a, b), NEVER);
}

function compareRanks(a: Rank, b: Rank): number {
  return compare(a[0], b[0]) || compare(a[1], b[1]) || compare(a[2], b[2]);
}

/** A manifest with all that goes along with it, at any depth. */
function partsOf(head: Digest, aging: Aging): readonly Digest[] {
  const parts = new Set([head]);
  for (const part of parts) {
    for (const { kind, to } of edgesOf(part, aging)) {
      if (kind !== 'subject') {
        parts.add(to);
      }
    }
  }
  return [...parts];
}

/**
 * The entries of an index, of any type. Also what the registry alone says to describe a manifest,
 * since nothing tells that any more once the manifest is gone.
 */
function heldBy(digest: Digest, aging: Aging): readonly Digest[] {
  const saysSo = (referrer: Digest) =>
    edgesOf(referrer, aging).some(({ kind, to }) => kind === 'subject' && to === digest);
  return edgesOf(digest, aging)
    .filter(
      ({ kind, to }) =>
        ['child', 'mentioned', 'blob'].includes(kind) || (kind === 'referrer' && !saysSo(to)),
    )
    .map(({ to }) => to);
}

/** A manifest of unknown type stays anyway, and the digests that it mentions are no parts of it. */
function edgesOf(digest: Digest, { inventory, graph }: Aging): readonly Edge[] {
  const edges = graph.edges.get(digest) ?? [];
  const isUnknown = inventory.manifests.get(digest)?.kind === 'unknown';
  return isUnknown ? edges.filter(({ kind }) => kind !== 'mentioned') : edges;
}

/** Since when nothing uses a manifest any more, as far as the ledger saw it: not of what it never saw in use. */
function outOfUse(before: Past | undefined, now: number): number | undefined {
  const lastSeen = before?.status === 'in-use' ? now : before?.since;
  return before?.everInUse === true ? lastSeen : undefined;
}
