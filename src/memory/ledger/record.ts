/**
 * The ledger's memory of one manifest, and how several memories become one (docs/adr/0004). Pure.
 * Joining is commutative, associative and idempotent: entries may be read in any order, and twice.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Digest } from '../../oci/digest.js';
import type { Status } from '../../plan/past.js';
import type { Remembered } from '../memory.js';

export interface LedgerRecord extends Remembered {
  /** counts the changes of `status`: of two memories the one with more changes is the later one */
  readonly revision: number;
}

export type Records = ReadonlyMap<Digest, LedgerRecord>;

/** In the order of the harm that forgetting would do: nothing is lost by looking again at what is leaving. */
const RANK: readonly Status[] = ['deleted', 'in-use', 'unused', 'leaving'];

function isLater(a: LedgerRecord, b: LedgerRecord): boolean {
  const by = (of: (record: LedgerRecord) => number) => of(a) - of(b);
  return (
    (by(({ status }) => Number(status !== 'deleted')) ||
      by(({ revision }) => revision) ||
      by(({ status }) => RANK.indexOf(status)) ||
      -by(({ since }) => since)) > 0
  );
}

function joinTwo(a: LedgerRecord, b: LedgerRecord): LedgerRecord {
  const [later, earlier] = isLater(a, b) ? [a, b] : [b, a];
  // A deleted manifest is as good as forgotten: a run that remembers it otherwise has seen it come back.
  const seen = earlier.status === 'deleted' && later.status !== 'deleted' ? later : earlier;
  const tags = unitedTags(a.tags, b.tags);
  // Two that are as late as each other may have seen different tags, and neither is more right.
  const lastTags =
    isLater(b, a) === isLater(a, b) ? unitedTags(lastOf(a), lastOf(b)) : lastOf(later);
  const condemned = Math.max(a.condemned ?? 0, b.condemned ?? 0);
  return {
    // The bodies are equal, as their digests are. The type is the registry's word and may differ.
    mediaType: a.mediaType < b.mediaType ? a.mediaType : b.mediaType,
    body: a.body,
    firstSeen: Math.min(later.firstSeen, seen.firstSeen),
    everInUse: later.everInUse || seen.everInUse,
    status: later.status,
    since: later.since,
    ...tagsOf(tags, lastTags),
    ...(condemned === 0 ? {} : { condemned }),
    revision: later.revision,
  };
}

const lastOf = ({ tags, lastTags }: Pick<LedgerRecord, 'tags' | 'lastTags'>) =>
  lastTags ?? tags ?? [];

/**
 * @param all sorted
 * @param last some of them, sorted: those that were seen last. Mostly it is all, and then it isn't written
 */
export function tagsOf(
  all: readonly string[],
  last: readonly string[],
): Pick<LedgerRecord, 'tags' | 'lastTags'> {
  return {
    ...(all.length === 0 ? {} : { tags: all }),
    ...(last.length === all.length ? {} : { lastTags: last }),
  };
}

/** Sorted, each once. */
export function unitedTags(...lists: readonly (readonly string[] | undefined)[]): string[] {
  return [...new Set(lists.flatMap((list) => list ?? []))].sort();
}

/** All that any of them remembers. */
export function join(all: readonly Records[]): Map<Digest, LedgerRecord> {
  const joined = new Map<Digest, LedgerRecord>(all[0]);
  for (const records of all.slice(1)) {
    for (const [digest, record] of records) {
      const other = joined.get(digest);
      joined.set(digest, other === undefined ? record : joinTwo(other, record));
    }
  }
  return joined;
}

export function isSame(a: Records, b: Records): boolean {
  return isDeepStrictEqual(a, b);
}
