/**
 * Carries out a plan: the only stage that deletes. It saves the orphans, and rechecks the repository before the first
 * delete and from time to time after it. It deletes nothing else, and verifies what was kept.
 */
import type { SurveyOptions } from './survey-options.js';
import type { Inventory } from '../plan/inventory.js';
import type { Plan } from '../plan/plan.js';
import type { Survey } from '../plan/survey.js';
import { BackupError } from './backup/backup.js';
import type { Digest } from '../oci/digest.js';
import type {
  Budget,
  Deleter,
  Lister,
  Parking,
  Pusher,
  Reader,
  Restorer,
} from '../registry/registry.js';
import { NO_PROGRESS } from './attempts.js';
import { Confirmation, confirmTags } from './confirmation.js';
import { Deletion } from './deletion.js';
import { heal, type HealResult } from './heal.js';
import { parkBlobs } from './parked-blobs.js';
import { condemnedOf, Recheck, retagged, tagsIn, type OrphanCopy } from './recheck.js';
import { digestsWith, isGone, type Fate, type Outcome } from '../plan/fate.js';
import type { Contain } from './surveys.js';

export interface SweepOptions extends SurveyOptions {
  readonly deleter: Deleter;
  readonly pusher: Pick<Pusher, 'pushManifest'>;
  /** asked for deleted manifests: still answers when the run was stopped */
  readonly isThere: Reader['isThere'];
  /** the same for a registry whose list, and not a read by digest, tells that a manifest is gone */
  readonly list?: Lister['manifests'];
  readonly budget?: Budget;
  readonly restorer?: Restorer;
  readonly parking?: Parking;
  /**
   * When it resolves, these manifests can be restored.
   *
   * @throws BackupError
   */
  readonly save: (manifests: readonly OrphanCopy[]) => Promise<void>;
  /** whether to verify, after the last delete, that what was kept is still there */
  readonly verify: boolean;
  /** no delete is sent once it is aborted */
  readonly stop: AbortSignal;
  /** so that a sweep is reported and verified also after a fault of this program */
  readonly contain: Contain;
}

/**
 * Milliseconds. A tag that comes after a recheck may name what is deleted since. So the next recheck follows after this
 * time, or after this many times the duration of a recheck if that is longer (docs/how-it-decides.md).
 */
const RECHECK_EVERY = 10_000;
const RECHECK_TIMES = 2;
/** The most rechecks in a row that bring no delete to its end, and the most tries of a single delete. */
const MOST_RECHECKS = 5;

const UNCONFIRMED =
  'the registry took the DELETE, and the run ended before it could see that the manifest is gone. The next run checks it';
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
  return new Sweep(survey, candidates, options).run();
}

class Sweep {
  readonly #plan: Plan;
  readonly #manifests: Inventory['manifests'];
  readonly #options: SweepOptions;
  readonly #recheck: Recheck;
  readonly #confirmation: Confirmation;
  readonly #fates = new Map<Digest, Fate>();
  /** all manifests that may be deleted, with their tags at the last recheck */
  #condemned: readonly OrphanCopy[];
  /** number of tries of each delete that got no answer in time */
  readonly #tries = new Map<Digest, number>();
  /** manifests that were deleted, or may have been, and were in use at a later recheck */
  readonly #usedAgain = new Set<Digest>();
  /** whether the registry may have changed */
  #hasChanged = false;
  /** number of rechecks in a row that brought no delete to its end */
  #fruitless = 0;
  /** why deletes are final, by manifest */
  #final: ReadonlyMap<Digest, string> = new Map();

  constructor(survey: Survey, candidates: Iterable<Digest>, options: SweepOptions) {
    this.#plan = survey.plan;
    this.#manifests = survey.inventory.manifests;
    this.#options = options;
    // The progress of a sweep counts orphans.
    this.#recheck = new Recheck(survey, candidates, { ...options, progress: NO_PROGRESS });
    const { repository } = survey.plan;
    this.#confirmation = new Confirmation({ ...options, repository, fates: this.#fates });
    this.#condemned = condemnedOf(survey);
  }

  async run(): Promise<Outcome> {
    this.#options.progress.expect(this.#plan.orphans.length);
    // These come before the recheck, so that nothing slow comes between it and the deletes.
    await this.#save(this.#condemned);
    await this.#park();
    const isWhole = await this.#contain(this.#deleteAll());
    this.#giveUp('this action failed before its turn came');
    await this.#contain(this.#confirmation.askAll());
    this.#confirmation.giveUp(UNCONFIRMED);
    this.#hasChanged ||= isWhole === undefined && this.#mayBeGone().size > 0;
    const { restored, broken, verified, unverified, tags } = await this.#prove();
    restored.forEach((digest) => this.#fates.set(digest, { kind: 'restored' }));
    await this.#confirmTags(tags);
    this.#countTaken();
    return { fates: this.#fates, broken, verified, unverified, ...this.#finality() };
  }

  async #deleteAll(): Promise<true> {
    const { list } = this.#options;
    for (this.#postpone(); this.#isUnfinished(); this.#postpone()) {
      if (this.#isStopped()) {
        this.#giveUp(STOPPED);
        break;
      }
      const settled = this.#fates.size;
      await this.#recheckAndDelete();
      if (list === undefined) {
        await this.#confirmation.askAll();
      }
      // Another recheck follows: somebody may have pushed them again. It reads the list that tells what is gone.
      const goesOn = list !== undefined && this.#fates.size > settled && this.#open().length > 0;
      if (this.#confirmation.isOpen() && !goesOn) {
        await this.#confirmation.pause();
      }
    }
    return true;
  }

  #isUnfinished(): boolean {
    return this.#open().length > 0 || this.#confirmation.isOpen();
  }

  /** When the quota is used up, a later run goes on. */
  #postpone(): void {
    const left = this.#options.budget?.left(this.#plan.repository);
    if (left?.deletes === 0) {
      const { until } = left;
      this.#open().forEach((digest) => this.#settle(digest, { kind: 'postponed', until }));
    }
  }

  #isSpent(): boolean {
    return this.#options.budget?.left(this.#plan.repository)?.deletes === 0;
  }

  async #recheckAndDelete(): Promise<void> {
    const { clock, deleter } = this.#options;
    const began = clock.now();
    const settled = this.#fates.size;
    const fresh = await this.#recheck.read(this.#fates);
    const [gap] = fresh.inventory.gaps;
    if (gap !== undefined) {
      const what = `looking again before the deletes, ${gap.what}`;
      this.#giveUp(this.#isStopped() ? STOPPED : `${what} could not be read: ${gap.why}`);
      // A list that can't be read confirms nothing: those that wait for it have failed, or would wait for ever.
      await this.#confirmation.askAll();
      return;
    }
    this.#confirmation.learn(fresh.inventory.listing);
    this.#keep(fresh);
    await this.#saveNewTags(fresh);
    const lasted = clock.now() - began;
    const every = deleter.recheckEvery ?? lasted + RECHECK_EVERY;
    const until = began + Math.max(every, lasted + RECHECK_TIMES * lasted);
    await this.#delete(fresh, until);
    this.#recheck.finish(fresh, this.#fates);
    // A delete that waits for a slow one of the registry is not stuck.
    const isFruitless = this.#fates.size === settled && !this.#confirmation.isOpen();
    this.#fruitless = isFruitless ? this.#fruitless + 1 : 0;
    if (this.#fruitless === MOST_RECHECKS) {
      this.#giveUp(
        `the registry answered no delete soon enough after a recheck, ${MOST_RECHECKS} times in a row. Is ` +
          'it overloaded? A smaller `concurrency` may help',
      );
    }
  }

  /** Keeps what the new plan keeps, and notes what another run has deleted. */
  #keep({ plan, inventory }: Survey): void {
    const reasons = new Map(plan.keep.map(({ digest, reason }) => [digest, reason]));
    for (const digest of this.#open()) {
      const reason = reasons.get(digest);
      if (reason !== undefined) {
        this.#settle(digest, { kind: 'kept', reason });
      } else if (inventory.absent.has(digest)) {
        this.#settle(digest, { kind: 'gone' });
      }
    }
    // If one was pushed again, its tags are kept ones now, and an unfinished delete may take them along.
    for (const digest of this.#tried()) {
      const reason = reasons.get(digest);
      if (reason !== undefined) {
        this.#usedAgain.add(digest);
        if (isGone(this.#fates.get(digest))) {
          this.#fates.set(digest, { kind: 'kept', reason });
        }
      }
    }
  }

  /** A digest tag may name one of them since then. It is deleted with it, so a restore has to know it. */
  async #saveNewTags({ inventory }: Survey): Promise<void> {
    const before = new Map(this.#condemned.map((each) => [each.digest, new Set(each.tags)]));
    this.#condemned = retagged(this.#condemned, inventory);
    const unsaved = this.#condemned
      .filter(({ digest }) => !this.#fates.has(digest))
      .filter(({ digest, tags }) => tags.some((tag) => before.get(digest)?.has(tag) !== true));
    if (unsaved.length > 0) {
      await this.#save(unsaved);
    }
  }

  async #save(condemned: readonly OrphanCopy[]): Promise<void> {
    try {
      await this.#options.save(condemned);
    } catch (error) {
      if (!(error instanceof BackupError)) {
        throw error;
      }
      this.#giveUp(error.message);
    }
  }

  async #park(): Promise<void> {
    const { parking, concurrency } = this.#options;
    if (parking === undefined || this.#isStopped()) {
      return;
    }
    const { repository } = this.#plan;
    const open = new Set(this.#open());
    const manifests = [...this.#manifests.values()].filter(({ digest }) => open.has(digest));
    this.#final = await parkBlobs(repository, manifests, { parking, concurrency });
  }

  /** Why deletes are final, for manifests that are gone or may be: a delete that failed may have worked all the same. */
  #finality(): Pick<Outcome, 'final'> {
    const tried = new Set(this.#tried());
    const final = [...this.#final].filter(([digest]) => tried.has(digest));
    return final.length === 0 ? {} : { final: new Map(final) };
  }

  /** @param until epoch milliseconds: no delete is sent from then on */
  async #delete({ plan, inventory }: Survey, until: number): Promise<void> {
    // The new plan's order counts, because it may have changed with the tags.
    const isOpen = new Set(this.#open());
    let isSpent = false;
    const condemned = plan.orphans.filter(({ digest }) => isOpen.has(digest));
    const deletion = new Deletion({
      ...this.#options,
      repository: plan.repository,
      tagsOf: tagsIn(inventory),
      fates: this.#fates,
      confirmation: this.#confirmation,
      isOver: () => {
        // Another repository may owe less meanwhile. A late delete stays late.
        isSpent ||= this.#isSpent();
        return isSpent || this.#isStopped() || this.#options.clock.now() >= until;
      },
      mayWait: (digest) => {
        const tries = (this.#tries.get(digest) ?? 0) + 1;
        this.#tries.set(digest, tries);
        return tries < MOST_RECHECKS && !this.#isStopped();
      },
      onDone: () => this.#options.progress.done(),
    });
    const hasChanged = await deletion.run(condemned);
    this.#hasChanged ||= hasChanged;
  }

  /** Verifies what was kept, and restores what came into use. */
  async #prove(): Promise<HealResult> {
    const inventory = this.#recheck.seen;
    const unverified = this.#hasChanged && this.#options.verify;
    const unproved = { restored: [], broken: [], unverified, tags: undefined };
    if (inventory === undefined || !unverified || this.#isStopped()) {
      return unproved;
    }
    const [tried, usedAgain, lost] = [this.#mayBeGone(), this.#usedAgain, this.#condemned];
    const healed = heal({ inventory, tried, usedAgain, lost }, this.#options);
    return (await this.#contain(healed)) ?? unproved;
  }

  /** @param known the targets of the tags, if they were read after the deletes */
  async #confirmTags(known: HealResult['tags']): Promise<void> {
    const tagged = this.#condemned.filter(
      ({ digest, tags }) => tags.length > 0 && isGone(this.#fates.get(digest)),
    );
    const { repository } = this.#plan;
    const served = await this.#contain(confirmTags(repository, tagged, known, this.#options));
    const failed = served ?? tagged.map(({ digest }) => ({ digest, why: UNCONFIRMED }));
    failed.forEach(({ digest, why }) => this.#fates.set(digest, { kind: 'failed', why }));
  }

  /** The manifests that were gone when their turn came, because the delete of their index took them along. */
  #countTaken(): void {
    const isDeleted = (digest: Digest) => this.#fates.get(digest)?.kind === 'deleted';
    const orphans = this.#options.deleter.takesChildren === true ? this.#plan.orphans : [];
    for (const { digest, after } of orphans) {
      if (this.#fates.get(digest)?.kind === 'gone' && after.some(isDeleted)) {
        this.#fates.set(digest, { kind: 'deleted' });
      }
    }
  }

  /** The orphans without a fate. */
  #open(): Digest[] {
    const orphans = this.#plan.orphans.map(({ digest }) => digest);
    return orphans.filter((digest) => !this.#fates.has(digest));
  }

  /** Manifests that are gone, or may be: a failed delete may have been carried out all the same. */
  #tried(): Digest[] {
    return digestsWith(this.#fates, 'deleted', 'gone', 'failed');
  }

  #mayBeGone(): ReadonlySet<Digest> {
    return new Set([...this.#tried(), ...this.#usedAgain]);
  }

  #settle(digest: Digest, fate: Fate): void {
    this.#fates.set(digest, fate);
    this.#options.progress.done();
  }

  #giveUp(why: string): void {
    this.#open().forEach((digest) => this.#settle(digest, { kind: 'skipped', why }));
  }

  #contain<T>(work: Promise<T>): Promise<T | undefined> {
    return this.#options.contain(this.#plan.repository, work);
  }

  #isStopped(): boolean {
    return this.#options.stop.aborted;
  }
}
