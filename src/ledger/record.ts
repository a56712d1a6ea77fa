/**
 * What the ledger remembers of one manifest, and how several memories become one (docs/adr/0004). Pure.
 * Joining is commutative, associative and idempotent: entries may be read in any order, and twice.
 */
import type { Digest } from '../oci/digest.js';

/**
 * `in-use`: an ordinary tag reached it. `leaving`: it was about to be deleted, or not there any more; the
 * record is dropped when a later look finds it absent. `unused`: there, and neither of the two.
 */
export type Status = 'in-use' | 'unused' | 'leaving';

export interface LedgerRecord {
  readonly mediaType: string;
  /** the manifest's bytes as text: what the ledger says of its children and subject is proved by its digest */
  readonly body: string;
  /** epoch milliseconds, as `since` */
  readonly firstSeen: number;
  /** whether any run ever saw it in use: its push was complete then */
  readonly everInUse: boolean;
  readonly status: Status;
  /** since when it has been in use, or else since when it no longer is */
  readonly since: number;
  /** all tags that were ever seen to point at it, sorted; absent where there were none */
  readonly tags?: readonly string[];
  /** counts the changes of `status`: of two memories the one with more changes is the later one */
  readonly revision: number;
}

export type Records = ReadonlyMap<Digest, LedgerRecord>;

/** In the order of the harm that forgetting would do: nothing is lost by looking again at what is leaving. */
const RANK: readonly Status[] = ['in-use', 'unused', 'leaving'];

function isLater(a: LedgerRecord, b: LedgerRecord): boolean {
  const by = (of: (record: LedgerRecord) => number) => of(a) - of(b);
  return (
    (by(({ revision }) => revision) ||
      by(({ status }) => RANK.indexOf(status)) ||
      -by(({ since }) => since)) > 0
  );
}

function joinTwo(a: LedgerRecord, b: LedgerRecord): LedgerRecord {
  const { status, since, revision } = isLater(a, b) ? a : b;
  const tags = unitedTags(a.tags, b.tags);
  return {
    // The bodies are equal, as their digests are. The type is the registry's word and may differ.
    mediaType: a.mediaType < b.mediaType ? a.mediaType : b.mediaType,
    body: a.body,
    firstSeen: Math.min(a.firstSeen, b.firstSeen),
    everInUse: a.everInUse || b.everInUse,
    status,
    since,
    ...(tags.length === 0 ? {} : { tags }),
    revision,
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
  return (
    a.size === b.size &&
    [...a].every(([digest, record]) => {
      const other = b.get(digest);
      return (
        record.mediaType === other?.mediaType &&
        record.firstSeen === other.firstSeen &&
        record.everInUse === other.everInUse &&
        record.status === other.status &&
        record.since === other.since &&
        // No tag has a space in it.
        (record.tags ?? []).join(' ') === (other.tags ?? []).join(' ') &&
        record.revision === other.revision
      );
    })
  );
}
