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
 * A manifest that has a subject, or that a digest tag attaches to another one, is never chosen by itself: it describes.
 * So does a list of referrers that its fallback tag has left.
 * All others may be left alone one day, even a part of an index that only describes something. So each competes, unless
 * another one that does takes it along as a part.
 *
 * @returns the `count` newest of the orphans, each with its parts as one
 */
export function newestOf(orphans: ReadonlySet<Digest>, count: number, aging: Aging): Digest[] {
  const { inventory, graph } = aging;
  const attached = new Set(graph.digestTags.map(({ target }) => target));
  const standing = [...orphans].filter(
    (digest) =>
      !attached.has(digest) &&
      !inventory.manifests.get(digest)?.subject &&
      !isListOfReferrers(digest, aging),
  );
  const held = new Set(standing.flatMap((digest) => entriesOf(digest, aging)));
  const ranked = standing
    .filter((digest) => !held.has(digest))
    .map((digest) => {
      const parts = partsOf(digest, aging);
      return { digest, parts, rank: rankOf(parts, orphans, aging) };
    })
    .sort((a, b) => compareRanks(b.rank, a.rank) || compare(a.digest, b.digest));
  const newest: Digest[] = [];
  const taken = new Set<Digest>();
  for (const { digest, parts } of ranked) {
    if (newest.length < count && !taken.has(digest)) {
      newest.push(digest);
      parts.forEach((part) => taken.add(part));
    }
  }
  return newest;
}

/** An index of nothing but referrers of one manifest. Entries that are not there say nothing. */
function isListOfReferrers(digest: Digest, { inventory: { manifests } }: Aging): boolean {
  const index = manifests.get(digest);
  const entries = index?.kind === 'index' && index.others.length === 0 ? index.children : [];
  const subjects = entries
    .map((entry) => manifests.get(entry.digest))
    .filter((entry) => entry !== undefined)
    .map(({ subject }) => subject);
  const [first] = subjects;
  return first !== undefined && subjects.every((subject) => subject === first);
}

type Rank = readonly [lastUse: number, birth: number, parts: number];

/**
 * How new an orphan is, the weightiest number first; the newer, the larger. Several orphans may go out of use
 * together, as when tags move between two runs: then the one that was built last is the newest. Each number of a
 * manifest is at least that of its parts, so none of them comes before it once it is gone.
 */
function rankOf(
  parts: readonly Digest[],
  orphans: ReadonlySet<Digest>,
  { inventory, births, now }: Aging,
): Rank {
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

/** Its digest holds theirs, so no circle is closed: each of them is a part of one that none holds. */
function entriesOf(digest: Digest, aging: Aging): readonly Digest[] {
  return edgesOf(digest, aging)
    .filter(({ kind }) => ['child', 'mentioned', 'blob'].includes(kind))
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
