/** What a look at a repository, and a sweep of it, add to the ledger's memory. Pure. */
import { isCondemned, type Status } from '../../plan/past.js';
import { isLedgerArtifact } from '../../plan/ledger-artifact.js';
import { buildGraph, reach, type Edge } from '../../plan/graph.js';
import type { Inventory } from '../../plan/inventory.js';
import { digestsWith, type Fates } from '../../plan/fate.js';
import type { Survey } from '../../plan/survey.js';
import type { Digest } from '../../oci/digest.js';
import type { Manifest } from '../../oci/manifest.js';
import { parseDigestTag } from '../../oci/reference.js';
import { unitedTags, type LedgerRecord, type Records } from './record.js';

export interface Observation {
  /** what is there */
  readonly standing: ReadonlyMap<Digest, Manifest>;
  /** what each tag points at */
  readonly tags: ReadonlyMap<string, Digest>;
  /** the bytes, as text, of what was fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
  /** reached from an ordinary tag */
  readonly inUse: ReadonlySet<Digest>;
  /** about to be deleted */
  readonly leaving: ReadonlySet<Digest>;
  /** what the registry says it does not have */
  readonly absent: ReadonlySet<Digest>;
  /**
   * Must not be forgotten although it is gone: what is described by something that stands without being in use,
   * since such a signature can go only because its subject is remembered to have lived here; and what something in use
   * needs, since its bytes tell what else is needed.
   */
  readonly wanted: ReadonlySet<Digest>;
  /** false when something could not be read: then not being reached says nothing */
  readonly isComplete: boolean;
}

/** Of a look that ended in a plan. */
export function observe({ inventory, plan, bodies }: Survey): Observation {
  const inUse = usedIn(inventory);
  return {
    standing: inventory.manifests,
    tags: inventory.tags,
    bodies,
    inUse,
    leaving: new Set(plan.orphans.map(({ digest }) => digest)),
    absent: inventory.absent,
    wanted: new Set([
      ...describedIn(inventory, inUse),
      ...[...inUse].filter((digest) => inventory.ghosts.has(digest)),
    ]),
    isComplete: inventory.gaps.length === 0,
  };
}

/**
 * Of a sweep that has come to its end: what it deleted, or found deleted, is absent now; what came into use
 * meanwhile is not leaving any more. What it could not delete still is: it was old enough. Nothing else was looked at.
 */
export function observeSweep({ inventory }: Pick<Survey, 'inventory'>, fates: Fates): Observation {
  const absent = new Set(digestsWith(fates, 'deleted', 'gone'));
  const left: Inventory = {
    ...inventory,
    manifests: new Map([...inventory.manifests].filter(([digest]) => !absent.has(digest))),
    tags: new Map([...inventory.tags].filter(([, digest]) => !absent.has(digest))),
  };
  const stays = new Set(digestsWith(fates, 'restored', 'kept'));
  return {
    standing: new Map([...inventory.manifests].filter(([digest]) => stays.has(digest))),
    tags: new Map(),
    bodies: new Map(),
    inUse: new Set(),
    leaving: new Set(),
    absent,
    wanted: describedIn(left, usedIn(left)),
    isComplete: false,
  };
}

/** Everything that an ordinary tag leads to. */
function usedIn(inventory: Inventory): Set<Digest> {
  const graph = buildGraph(inventory);
  const roots = [...graph.rootTags.keys()];
  // A layer of something in use may have the bytes of a manifest that nobody ever used as one.
  const asManifest = ([digest, list]: [Digest, readonly Edge[]]) =>
    [digest, list.filter(({ kind }) => kind !== 'blob')] as const;
  const edges = new Map([...graph.edges].map(asManifest));
  return new Set([...roots, ...reach({ ...graph, edges }, roots).keys()]);
}

function describedIn(
  { manifests, tags }: Pick<Inventory, 'manifests' | 'tags'>,
  inUse: ReadonlySet<Digest>,
): Set<Digest> {
  const described = new Set<Digest>();
  for (const [digest, manifest] of manifests) {
    if (manifest.kind !== 'unknown' && manifest.subject !== undefined && !inUse.has(digest)) {
      described.add(manifest.subject);
    }
  }
  for (const [tag, digest] of tags) {
    const named = parseDigestTag(tag)?.names;
    if (named !== undefined && !inUse.has(digest)) {
      described.add(named);
    }
  }
  return described;
}

export interface Remembering {
  /**
   * What was remembered as leaving *before* this look began. Only that may be dropped when it is absent:
   * another run may rely on an entry that says that it is there, and has been told by now.
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
  const tagsOf = new Map<Digest, string[]>();
  for (const [tag, digest] of observation.tags) {
    tagsOf.set(digest, [...(tagsOf.get(digest) ?? []), tag]);
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
        records.set(digest, withTags({ ...back, revision }, tagsOf.get(digest)));
      } else if (isCondemned(record, now)) {
        records.set(digest, record);
      }
    } else if (standing.has(digest)) {
      const status = statusOf(digest, observation) ?? present(record.status);
      // Whoever found it gone, before it came back, must not drop what we have seen.
      const isNews = restates && status === 'leaving' && record.status === 'leaving';
      const seen = isNews ? changed(record) : withStatus(record, status, now);
      const goes = status === 'leaving' && seen !== record;
      records.set(digest, withTags(goes ? { ...seen, condemned: now } : seen, tagsOf.get(digest)));
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
      records.set(digest, withTags(record, tagsOf.get(digest)));
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

/** What is there is not leaving, as long as nobody is about to delete it. */
function present(status: Status): Status {
  return status === 'leaving' ? 'unused' : status;
}

/** Adds the tags, and never takes one away: a later run compares with them where a tag points now. */
function withTags(record: LedgerRecord, seen: readonly string[] = []): LedgerRecord {
  const tags = unitedTags(record.tags, seen);
  return tags.length === (record.tags ?? []).length ? record : { ...record, tags };
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
