/**
 * Surveys every repository of a run with what the ledger remembers of it, and lets the ledger know what was seen.
 * Refuses a repository whose tags are suddenly gone, which the ledger must not learn.
 */
import pMap from 'p-map';

import type { SurveyOptions } from './survey-options.js';
import type { Survey } from '../plan/survey.js';
import { hasVanished, inDoubt, refuseWithoutTags, type RepositoryRefusal } from '../plan/brakes.js';
import type { Past } from '../plan/past.js';
import { repairRepository, type Repair } from './repair.js';
import { surveyRepository } from './survey.js';
import type { Memory, Recollection, Settled } from '../memory/memory.js';
import { observe } from '../memory/observation.js';
import type { Digest } from '../oci/digest.js';
import type { Pusher } from '../registry/registry.js';

export interface Surveys {
  readonly surveys: readonly Survey[];
  /** by repository, what earlier runs had deleted and was put back; in a dry-run, what could be */
  readonly repairs: ReadonlyMap<string, Repair>;
  /** repositories in which nothing may be deleted, because all tags seem to be gone */
  readonly refusals: ReadonlyMap<string, RepositoryRefusal>;
  /** Repositories of which the ledger knows what is about to be deleted, and nobody relies on older entries. */
  readonly settled: ReadonlyMap<string, Settled>;
  /** repositories of which the ledger remembers manifests, and nothing at all is there */
  readonly vanished: readonly string[];
  /** how many repositories the run did not come to before it was told to stop */
  readonly unread: number;
}

/** Turns a fault of this program in one repository into `undefined`. */
export type Contain = <T>(repository: string, work: Promise<T>) => Promise<T | undefined>;

interface SurveysOptions {
  readonly survey: SurveyOptions;
  /** digests that may exist in a repository */
  readonly candidates: (repository: string) => ReadonlySet<Digest>;
  readonly memory: Memory;
  /** absent in a dry-run: the ledger is not written, and nothing is put back */
  readonly pusher: Pick<Pusher, 'pushManifest'> | undefined;
  /** whether somebody has seen and approved what is deleted, also where nothing is tagged any more */
  readonly isApproved: boolean;
  readonly contain: Contain;
  readonly stop: AbortSignal;
}

/**
 * Milliseconds. So long a registry may still be at a DELETE whose client has gone: Distribution reads every tag of the
 * repository for each.
 */
const LATE_DELETE = 30_000;
const LONGEST_RUN = 24 * 60 * 60 * 1000;

export async function surveyAll(
  repositories: readonly string[],
  { survey, candidates, memory, pusher, isApproved, contain, stop }: SurveysOptions,
): Promise<Surveys> {
  const { reader, concurrency, clock, policy } = survey;
  const repairing = { reader, concurrency, pusher, now: policy.now };
  const refusals = new Map<string, RepositoryRefusal>();
  const settled = new Map<string, Settled>();
  const vanished: string[] = [];
  const repairs = new Map<string, Repair>();
  let unread = 0;

  /** By the stop, and not by the registry: what it read would be new to the ledger, and young, for nothing. */
  const isBrokenOff = ({ inventory }: Survey) => stop.aborted && inventory.gaps.length > 0;

  async function look(repository: string): Promise<Survey | undefined> {
    if (stop.aborted) {
      unread += 1;
      return undefined;
    }
    const recollection = await memory.recall(repository);
    const known = recollection && { ...recollection, past: pastOf(recollection) };
    const read = () => surveyRepository(repository, candidates(repository), survey, known);
    let found = await read();
    if (pusher !== undefined && isContested(found, recollection, policy.now)) {
      await clock.sleep(LATE_DELETE, stop);
      found = await read();
    }
    const repair = recollection && (await repairRepository(found, recollection.records, repairing));
    if (repair !== undefined) {
      repairs.set(repository, repair);
      found = pusher === undefined ? found : await read();
    }
    const refusal = isApproved ? undefined : refuseWithoutTags(found);
    if (refusal !== undefined) {
      refusals.set(repository, refusal);
    } else if (hasVanished(found.inventory)) {
      // Rights may be lost for a night, and a registry hides that behind a 404: the memory must outlast it.
      vanished.push(repository);
    } else if (pusher !== undefined && recollection !== undefined && !isBrokenOff(found)) {
      // Before the first delete, so that a run which is killed has forgotten nothing.
      const seen = observe(found);
      const inUse = new Set([...seen.inUse, ...inDoubt(found)]);
      const state = await memory.saw(recollection, { ...seen, inUse });
      if (state !== undefined) {
        settled.set(repository, state);
      }
    }
    return trimmed(found, recollection);
  }

  const read = await pMap(repositories, (repository) => contain(repository, look(repository)), {
    concurrency,
  });
  return {
    surveys: read.filter((found) => found !== undefined),
    repairs,
    refusals,
    settled,
    vanished,
    unread,
  };
}

/**
 * Whether something in use is what another run was about to delete, and that run has not come to its end: it may have
 * been killed, and the registry still at its last DELETE.
 */
function isContested(found: Survey, remembered: Recollection | undefined, now: number): boolean {
  const leaving = [...(remembered?.records ?? [])].filter(
    ([digest, { status, condemned = 0 }]) =>
      status === 'leaving' &&
      condemned > now - LONGEST_RUN &&
      found.inventory.manifests.has(digest),
  );
  const inUse = leaving.length === 0 ? new Set() : observe(found).inUse;
  return leaving.some(([digest]) => inUse.has(digest));
}

/** Bodies have done their work, but for those of orphans, which are to be saved. */
function trimmed({ plan, inventory, bodies }: Survey, recollection?: Recollection): Survey {
  const orphans = new Set(plan.orphans.map(({ digest }) => digest));
  const saved = new Map<Digest, string>();
  const save = (body: string, digest: Digest) => orphans.has(digest) && saved.set(digest, body);
  recollection?.records.forEach(({ body }, digest) => save(body, digest));
  bodies.forEach(save);
  const past = plan.orphans.length === 0 ? new Map<Digest, Past>() : inventory.past;
  return { plan, inventory: { ...inventory, past }, bodies: saved };
}

function pastOf({ records }: Recollection): ReadonlyMap<Digest, Past> {
  return new Map(
    [...records].map(([digest, { mediaType: _, body: __, ...past }]) => {
      // What was deleted and is there again is to this run what no run has seen: its push may not be over.
      const { status, everInUse } = past;
      return [digest, { ...past, everInUse: everInUse && status !== 'deleted' }];
    }),
  );
}
