/**
 * Carries out a plan: the only stage that deletes. Saves what is to go, looks again before the first delete and
 * from time to time after it, deletes nothing that the plan did not hold, and proves what was kept.
 */
import { BackupError, type SavedManifest } from '../backup/backup.js';
import type { Clock } from '../http/clock.js';
import type { Digest } from '../oci/digest.js';
import type { RegistryPusher } from '../registry/pusher.js';
import type { RegistryWriter } from '../registry/writer.js';
import { deleteInOrder, type Result, type Results } from './deletion.js';
import { compare } from './graph.js';
import { heal } from './heal.js';
import type { Inventory, Past } from './inventory.js';
import type { Outcome } from './outcome.js';
import type { Lost } from './restore.js';
import { surveyRepository, type Survey, type SurveyOptions } from './survey.js';

/** A manifest that may be deleted, as it is to be saved first. */
export type Condemned = Omit<SavedManifest, 'registry' | 'savedAt'>;

type Saved = Condemned & Lost;

export interface SweepOptions extends SurveyOptions {
  readonly writer: RegistryWriter;
  readonly pusher: Pick<RegistryPusher, 'pushManifest'>;
  /**
   * When it resolves, what is to be deleted could be put back.
   *
   * @throws BackupError
   */
  readonly save: (manifests: readonly Condemned[]) => Promise<void>;
  /** whether to look, after the last delete, if what was kept is still there */
  readonly verify: boolean;
  readonly clock: Clock;
  /** no delete is sent once it is aborted */
  readonly stop: AbortSignal;
}

/**
 * Milliseconds. A tag that comes after the look at the tags may name what is deleted since: so long after a look
 * the next one follows, or after so many times what a look takes, where that is longer (docs/how-it-decides.md).
 */
const LOOK_EVERY = 10_000;
const LOOKS = 2;

const STOPPED = 'the run was told to stop before its turn came';

/**
 * Deletes the orphans of one repository's plan and verifies what was kept.
 *
 * @param survey the repository as it was read when the plan was made, with the bytes of all orphans
 * @param candidates the same digests that the survey was given
 */
export async function sweepRepository(
  survey: Survey,
  candidates: Iterable<Digest>,
  options: SweepOptions,
): Promise<Outcome> {
  const { plan, inventory } = survey;
  const { repository } = plan;
  const { progress, policy, clock, stop } = options;
  const isStopped = () => stop.aborted;
  const results: Results = new Map();
  const open = () => plan.orphans.map(({ digest }) => digest).filter((each) => !results.has(each));
  const settle = (digest: Digest, result: Result) => {
    results.set(digest, result);
    progress.done();
  };
  const giveUp = (why: string) => {
    open().forEach((digest) => {
      settle(digest, { kind: 'skipped', why });
    });
  };
  progress.expect(plan.orphans.length);
  // Before the look, so that nothing slow comes between the look and the deletes.
  let lost = condemnedOf(survey);
  const save = async (condemned: readonly Condemned[]) => {
    try {
      await options.save(condemned);
    } catch (error) {
      if (!(error instanceof BackupError)) {
        throw error;
      }
      giveUp(error.message);
    }
  };
  await save(lost);

  let looked = inventory;
  let seen: Inventory | undefined;
  let changed = false;
  for (let left = open(); left.length > 0; left = open()) {
    if (isStopped()) {
      giveUp(STOPPED);
      break;
    }
    const began = clock.now();
    // Tags may have moved since, and pushes come in: the plan is made again with what is there now. What
    // is to go is looked at whatever named it: of an index out of sight, the child would go before it.
    const fresh = await surveyRepository(repository, new Set([...candidates, ...left]), options, {
      manifests: looked.manifests,
      past: withGone(inventory.past, results, policy.now),
      earlier: looked,
    });
    const [gap] = fresh.inventory.gaps;
    if (gap !== undefined) {
      const what = `looking again before the deletes, ${gap.what}`;
      giveUp(isStopped() ? STOPPED : `${what} could not be read: ${gap.why}`);
      break;
    }
    seen = seen === undefined ? fresh.inventory : joined(seen, fresh.inventory);
    const kept = new Map(fresh.plan.keep.map(({ digest, reason }) => [digest, reason]));
    for (const digest of left) {
      const reason = kept.get(digest);
      if (reason !== undefined) {
        settle(digest, { kind: 'spared', reason });
      }
    }
    // A signature's tag may have come to name one of them since: it goes as well, and is to come back.
    const retagged = retaggedOf(lost, new Set(open()), fresh.inventory);
    if (retagged.size > 0) {
      await save([...retagged.values()]);
      lost = lost.map((each) => retagged.get(each.digest) ?? each);
    }
    const until = clock.now() + Math.max(LOOK_EVERY, LOOKS * (clock.now() - began));
    const isOver = () => isStopped() || clock.now() >= until;
    // In the new plan's order: what has to go first may have changed with the tags.
    const isOpen = new Set(open());
    const condemned = fresh.plan.orphans.filter(({ digest }) => isOpen.has(digest));
    const tagged = new Set(fresh.inventory.tags.values());
    const has = await deleteInOrder(repository, condemned, tagged, results, {
      ...options,
      isOver,
      onDone: () => {
        progress.done();
      },
    });
    changed ||= has;
    looked = without(fresh.inventory, results);
  }

  // A delete that failed may have been carried out all the same.
  const kinds = ['deleted', 'gone', 'failed'] as const;
  const gone = new Set(kinds.flatMap((kind) => keys(results, kind)));
  const isToProve = changed && options.verify;
  const proof =
    seen !== undefined && isToProve && !isStopped()
      ? await heal({ inventory: seen, gone, lost }, options)
      : { healed: [], broken: [], unverified: isToProve };
  const healed = new Set(proof.healed);
  return {
    repository,
    deleted: keys(results, 'deleted').filter((digest) => !healed.has(digest)),
    gone: keys(results, 'gone').filter((digest) => !healed.has(digest)),
    spared: [...results].flatMap(([digest, result]) =>
      result.kind === 'spared' ? [{ digest, reason: result.reason }] : [],
    ),
    failed: explained(results, 'failed').filter(({ digest }) => !healed.has(digest)),
    skipped: explained(results, 'skipped'),
    healed: proof.healed,
    broken: proof.broken,
    unverified: proof.unverified,
  };
}

function tagsIn(inventory: Inventory): ReadonlyMap<Digest, readonly string[]> {
  const tags = new Map<Digest, string[]>();
  for (const [tag, digest] of [...inventory.tags].sort(([a], [b]) => compare(a, b))) {
    tags.set(digest, [...(tags.get(digest) ?? []), tag]);
  }
  return tags;
}

/** Of what is still to go, that which has a tag that it had not when it was saved. */
function retaggedOf(
  saved: readonly Saved[],
  open: ReadonlySet<Digest>,
  inventory: Inventory,
): ReadonlyMap<Digest, Saved> {
  const tagsOf = tagsIn(inventory);
  const retagged = saved.flatMap((each): [Digest, Saved][] => {
    const tags = open.has(each.digest) ? (tagsOf.get(each.digest) ?? []) : [];
    const isSaved = tags.every((tag) => each.tags.includes(tag));
    return isSaved ? [] : [[each.digest, { ...each, tags }]];
  });
  return new Map(retagged);
}

function condemnedOf({ inventory, plan, bodies }: Survey): Saved[] {
  const tags = tagsIn(inventory);
  return plan.orphans.map(({ digest, reason }) => ({
    repository: plan.repository,
    digest,
    mediaType: inventory.manifests.get(digest)?.mediaType ?? '',
    tags: tags.get(digest) ?? [],
    reason,
    bytes: Buffer.from(bodies.get(digest) ?? ''),
  }));
}

/** What is left of an inventory after these deletes. */
function without(inventory: Inventory, results: Results): Inventory {
  return {
    ...inventory,
    manifests: new Map([...inventory.manifests].filter(([digest]) => !isGone(results, digest))),
    tags: new Map([...inventory.tags].filter(([, digest]) => !isGone(results, digest))),
  };
}

/** What was deleted lived here: a signature that is to follow it is none of an image elsewhere. */
function withGone(past: Inventory['past'], results: Results, now: number): Inventory['past'] {
  const gone = [...results.keys()].filter((digest) => isGone(results, digest) && !past.has(digest));
  const before: Past = { firstSeen: now, everInUse: false, status: 'leaving', since: now };
  return new Map([...past, ...gone.map((digest) => [digest, before] as const)]);
}

/**
 * What the looks of a sweep saw, together. What was missing at the first of them was missing before; what a
 * later one misses, the sweep may have deleted.
 */
function joined(first: Inventory, later: Inventory): Inventory {
  const tags = new Map([...first.tags, ...later.tags]);
  const manifests = new Map([...first.manifests, ...later.manifests]);
  return {
    ...first,
    tags,
    manifests,
    absent: new Set([...first.absent].filter((digest) => !manifests.has(digest))),
    brokenTags: first.brokenTags.filter((tag) => !tags.has(tag)),
  };
}

function isGone(results: Results, digest: Digest): boolean {
  const kind = results.get(digest)?.kind;
  return kind === 'deleted' || kind === 'gone';
}

function keys(results: Results, kind: Result['kind']): Digest[] {
  return [...results].flatMap(([digest, result]) => (result.kind === kind ? [digest] : []));
}

function explained(results: Results, kind: 'failed' | 'skipped') {
  return [...results].flatMap(([digest, result]) =>
    result.kind === kind ? [{ digest, why: result.why }] : [],
  );
}
