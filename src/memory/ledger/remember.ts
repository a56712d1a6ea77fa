/** The ledger's memory after an observation. Pure. */
import type { Digest } from '../../oci/digest.js';
import { isLedgerArtifact } from '../../plan/ledger-artifact.js';
import { isCondemned, type Status } from '../../plan/past.js';
import type { Observation } from '../observation.js';
import { tagsOf, unitedTags, type LedgerRecord, type Records } from './record.js';

interface Remembering {
  /**
   * The manifests that were remembered as leaving *before* this survey began. Only those may be dropped when they are
   * absent: another run may rely on an entry that says that one is there.
   */
  readonly droppable: ReadonlySet<Digest>;
  /** whether it is news that something is there that was remembered as leaving, and is leaving again */
  readonly restates: boolean;
  /** epoch milliseconds */
  readonly now: number;
}

/** The memory after an observation. What is not in it, or could not be read, is remembered as before. */
export function remember(
  past: Records,
  observation: Observation,
  { droppable, restates, now }: Remembering,
): Map<Digest, LedgerRecord> {
  const { standing, bodies, inUse, absent, wanted } = observation;
  const tagsNow = new Map<Digest, string[]>();
  for (const [tag, digest] of observation.tags) {
    tagsNow.set(digest, [...(tagsNow.get(digest) ?? []), tag]);
  }
  const records = new Map<Digest, LedgerRecord>();
  const newRecord = (digest: Digest, mediaType: string, body: string): LedgerRecord => {
    const status = statusOf(digest, observation) ?? 'unused';
    return {
      mediaType,
      body,
      firstSeen: now,
      everInUse: inUse.has(digest),
      status,
      since: now,
      ...(status === 'leaving' ? { condemned: now } : {}),
      revision: 0,
    };
  };
  for (const [digest, record] of past) {
    if (record.status === 'deleted') {
      if (standing.has(digest)) {
        // It came back, and is to this run what no run has seen: its push may not be over.
        const back = { ...record, ...newRecord(digest, record.mediaType, record.body) };
        const { revision } = changed(record);
        records.set(digest, withTags({ ...back, revision }, tagsNow.get(digest)));
      } else if (isCondemned(record, now)) {
        records.set(digest, record);
      }
    } else if (standing.has(digest)) {
      const status = statusOf(digest, observation) ?? present(record.status);
      // Whoever found it gone, before it came back, must not drop what we have seen.
      const isNews = restates && status === 'leaving' && record.status === 'leaving';
      const seen = isNews ? changed(record) : withStatus(record, status, now);
      const goes = status === 'leaving' && seen !== record;
      records.set(digest, withTags(goes ? { ...seen, condemned: now } : seen, tagsNow.get(digest)));
    } else if (!absent.has(digest)) {
      records.set(digest, record);
    } else if (!droppable.has(digest) || wanted.has(digest)) {
      records.set(digest, withStatus(record, 'leaving', now));
    } else if (isCondemned(record, now)) {
      records.set(digest, withStatus(record, 'deleted', now));
    }
  }
  for (const [digest, body] of bodies) {
    const manifest = standing.get(digest);
    if (manifest !== undefined && !past.has(digest) && !isLedgerArtifact(manifest)) {
      const record = newRecord(digest, manifest.mediaType, body);
      records.set(digest, withTags(record, tagsNow.get(digest)));
    }
  }
  return records;
}

function statusOf(digest: Digest, { inUse, leaving, isComplete }: Observation): Status | undefined {
  if (inUse.has(digest)) {
    return 'in-use';
  }
  if (leaving.has(digest)) {
    return 'leaving';
  }
  return isComplete ? 'unused' : undefined;
}

/** A manifest that is there is not leaving, as long as nobody is about to delete it. */
function present(status: Status): Status {
  return status === 'leaving' ? 'unused' : status;
}

/** Adds the tags, and never takes one away: a later run compares with them where a tag points now. */
function withTags(record: LedgerRecord, seen: readonly string[] = []): LedgerRecord {
  if (seen.length === 0) {
    return record;
  }
  const { tags: _, lastTags: __, ...rest } = record;
  return { ...rest, ...tagsOf(unitedTags(record.tags, seen), unitedTags(seen)) };
}

function changed(record: LedgerRecord): LedgerRecord {
  return { ...record, revision: Math.min(record.revision + 1, Number.MAX_SAFE_INTEGER) };
}

function withStatus(record: LedgerRecord, status: Status, now: number): LedgerRecord {
  if (record.status === status) {
    return record;
  }
  const isSameUse = (record.status === 'in-use') === (status === 'in-use');
  return {
    ...changed(record),
    status,
    everInUse: record.everInUse || status === 'in-use',
    since: isSameUse ? record.since : now,
  };
}
