/**
 * Surveys every repository of a run with the memory of it, and tells the memory what was seen.
 * It refuses a repository whose tags are suddenly gone, which the memory must not learn.
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
  /** by repository, restored manifests that earlier runs had deleted; in a dry-run, those that could be restored */
  readonly repairs: ReadonlyMap<string, Repair>;
  /** repositories in which nothing may be deleted, because all tags seem to be gone */
  readonly refusals: ReadonlyMap<string, RepositoryRefusal>;
  /** repositories whose orphans the ledger knows, while nobody relies on its older entries */
  readonly settled: ReadonlyMap<string, Settled>;
  /** repositories that the ledger remembers, and in which nothing at all is there */
  readonly vanished: readonly string[];
  /** number of repositories that the run did not reach before it was stopped */
  readonly unread: number;
}

/** Turns a fault of this program in one repository into `undefined`. */
export type Contain = <T>(repository: string, work: Promise<T>) => Promise<T | undefined>;

interface SurveysOptions {
  readonly survey: SurveyOptions;
  /** digests that may exist in a repository */
  readonly candidates: (repository: string) => ReadonlySet<Digest>;
  readonly memory: Memory;
  /** absent in a dry-run: the ledger is not written, and nothing is restored */
  readonly pusher: Pick<Pusher, 'pushManifest'> | undefined;
  /** whether somebody has approved the plan, also where no tag is left */
  readonly isApproved: boolean;
  readonly contain: Contain;
  readonly stop: AbortSignal;
}

/**
 * Milliseconds. A registry may work so long on a DELETE whose client is gone: Distribution reads every tag of the
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
  const found = {
    repairs: new Map<string, Repair>(),
    refusals: new Map<string, RepositoryRefusal>(),
    settled: new Map<string, Settled>(),
    vanished: new Array<string>(),
    unread: 0,
  };

  /** Whether the stop cut the survey short. The ledger would take what it read for new and young, for nothing. */
  const isBrokenOff = ({ inventory }: Survey) => stop.aborted && inventory.gaps.length > 0;

  async function visit(repository: string): Promise<Survey | undefined> {
    if (stop.aborted) {
      found.unread += 1;
      return undefined;
    }
    const recollection = await memory.recall(repository);
    const known = recollection && { ...recollection, past: pastOf(recollection) };
    const read = () => surveyRepository(repository, candidates(repository), survey, known);
    let one = await read();
    // A gap makes the run red and stops its deletes here. Another look must not hide it.
    const isWhole = one.inventory.gaps.length === 0;
    if (pusher !== undefined && isWhole && isContested(one, recollection, policy.now)) {
      await clock.sleep(LATE_DELETE, stop);
      one = await read();
    }
    const repair = recollection && (await repairRepository(one, recollection.records, repairing));
    if (repair !== undefined) {
      found.repairs.set(repository, repair);
      one = pusher === undefined ? one : await read();
    }
    const refusal = isApproved ? undefined : refuseWithoutTags(one);
    if (refusal !== undefined) {
      found.refusals.set(repository, refusal);
    } else if (hasVanished(one.inventory)) {
      // Rights may be lost for a night, and a registry hides that behind a 404. The memory must outlast that.
      found.vanished.push(repository);
    } else if (pusher !== undefined && recollection !== undefined && !isBrokenOff(one)) {
      // This comes before the first delete, so that a killed run has forgotten nothing.
      const seen = observe(one);
      const inUse = new Set([...seen.inUse, ...inDoubt(one)]);
      const state = await memory.saw(recollection, { ...seen, inUse });
      if (state !== undefined) {
        found.settled.set(repository, state);
      }
    }
    return trimmed(one, recollection);
  }

  const read = await pMap(repositories, (repository) => contain(repository, visit(repository)), {
    concurrency,
  });
  return { ...found, surveys: read.filter((each) => each !== undefined) };
}

/**
 * Whether something in use is what another, unfinished run was about to delete. That run may have been killed while
 * the registry still works on its last DELETE.
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

/** Drops all bodies but those of orphans, which the backup needs. */
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
      // If a deleted manifest is there again, this run takes it for new: its push may not be over.
      const { status, everInUse } = past;
      return [digest, { ...past, everInUse: everInUse && status !== 'deleted' }];
    }),
  );
}
