/**
 * Carries out a plan: the only stage that deletes. Saves what is to go, reads the repository again before the
 * first delete and from time to time after it, deletes nothing that the plan did not hold, and proves what was kept.
 */
import type { SurveyOptions } from './survey-options.js';
import type { Plan } from '../plan/plan.js';
import type { Survey } from '../plan/survey.js';
import { BackupError } from './backup/backup.js';
import type { Digest } from '../oci/digest.js';
import type { Deleter, Pusher, Reader } from '../registry/registry.js';
import { Confirmation, confirmTags } from './confirmation.js';
import { Deletion } from './deletion.js';
import { heal, type Healed } from './heal.js';
import { condemnedOf, Recheck, retagged, tagsIn, type Condemned } from './recheck.js';
import { digestsWith, isGone, type Fate, type Outcome } from '../plan/fate.js';
import type { Contain } from './surveys.js';

export interface SweepOptions extends SurveyOptions {
  readonly deleter: Deleter;
  readonly pusher: Pick<Pusher, 'pushManifest'>;
  /** asked of what was deleted: still answers when the run was told to stop */
  readonly isThere: Reader['isThere'];
  /**
   * When it resolves, what is to be deleted could be put back.
   *
   * @throws BackupError
   */
  readonly save: (manifests: readonly Condemned[]) => Promise<void>;
  /** whether to verify, after the last delete, that what was kept is still there */
  readonly verify: boolean;
  /** no delete is sent once it is aborted */
  readonly stop: AbortSignal;
  /** what was done before a fault of this program is still told, and proved */
  readonly contain: Contain;
}

/**
 * Milliseconds. A tag that comes after a recheck may name what is deleted since: so long after a recheck the next one
 * follows, or after so many times what a recheck takes, where that is longer (docs/how-it-decides.md).
 */
const RECHECK_EVERY = 10_000;
const RECHECK_TIMES = 2;
/** After so many rechecks in a row none of which brought a delete to its end, and so many tries of a single one, it is enough. */
const MOST_RECHECKS = 5;

const UNCONFIRMED =
  'the registry took the DELETE, and the run ended before it could see that the manifest is gone. The next run looks';
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
  readonly #options: SweepOptions;
  readonly #recheck: Recheck;
  readonly #confirmation: Confirmation;
  readonly #fates = new Map<Digest, Fate>();
  /** all that may be deleted, with the tags that it had at the last recheck */
  #condemned: readonly Condemned[];
  /** how often each delete was tried that got no answer in time */
  readonly #tries = new Map<Digest, number>();
  /** what was deleted, or may have been, and was in use at a later recheck */
  readonly #usedAgain = new Set<Digest>();
  /** whether the registry may have changed */
  #hasChanged = false;
  /** rechecks in a row that brought no delete to its end */
  #fruitless = 0;

  constructor(survey: Survey, candidates: Iterable<Digest>, options: SweepOptions) {
    this.#plan = survey.plan;
    this.#options = options;
    this.#recheck = new Recheck(survey, candidates, options);
    const { repository } = survey.plan;
    this.#confirmation = new Confirmation({ ...options, repository, fates: this.#fates });
    this.#condemned = condemnedOf(survey);
  }

  async run(): Promise<Outcome> {
    this.#options.progress.expect(this.#plan.orphans.length);
    // Before the recheck, so that nothing slow comes between it and the deletes.
    await this.#save(this.#condemned);
    const isWhole = await this.#contain(this.#deleteAll());
    this.#giveUp('this action failed before its turn came');
    await this.#contain(this.#confirmation.askAll());
    this.#confirmation.giveUp(UNCONFIRMED);
    this.#hasChanged ||= isWhole === undefined && this.#mayBeGone().size > 0;
    const { restored, broken, unverified, tags } = await this.#prove();
    restored.forEach((digest) => this.#fates.set(digest, { kind: 'restored' }));
    await this.#confirmTags(tags);
    return { fates: this.#fates, broken, unverified };
  }

  async #deleteAll(): Promise<true> {
    while (this.#open().length > 0 || this.#confirmation.isOpen()) {
      if (this.#isStopped()) {
        this.#giveUp(STOPPED);
        break;
      }
      await this.#recheckAndDelete();
      await this.#confirmation.askAll();
      // Then another recheck: somebody may have pushed them again.
      if (this.#confirmation.isOpen()) {
        await this.#confirmation.pause();
      }
    }
    return true;
  }

  async #recheckAndDelete(): Promise<void> {
    const { clock } = this.#options;
    const began = clock.now();
    const settled = this.#fates.size;
    const fresh = await this.#recheck.read(this.#fates);
    const [gap] = fresh.inventory.gaps;
    if (gap !== undefined) {
      const what = `looking again before the deletes, ${gap.what}`;
      this.#giveUp(this.#isStopped() ? STOPPED : `${what} could not be read: ${gap.why}`);
      return;
    }
    this.#keep(fresh);
    await this.#saveNewTags(fresh);
    const until = clock.now() + Math.max(RECHECK_EVERY, RECHECK_TIMES * (clock.now() - began));
    await this.#delete(fresh, until);
    this.#recheck.finish(fresh, this.#fates);
    // What waits for one that the registry takes its time to delete is not stuck.
    const isFruitless = this.#fates.size === settled && !this.#confirmation.isOpen();
    this.#fruitless = isFruitless ? this.#fruitless + 1 : 0;
    if (this.#fruitless === MOST_RECHECKS) {
      this.#giveUp(
        `the registry answered no delete soon enough after a look at the tags, ${MOST_RECHECKS} times in a row. Is ` +
          'it overloaded? A smaller `concurrency` may help',
      );
    }
  }

  /** Keeps what the new plan keeps, and leaves out what another run has deleted. */
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
    // Pushed again since: its tags are kept ones now, and a delete that is not over yet may take them along.
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

  /** A signature's tag may have come to name one of them since: it goes as well, and is to come back. */
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

  async #save(condemned: readonly Condemned[]): Promise<void> {
    try {
      await this.#options.save(condemned);
    } catch (error) {
      if (!(error instanceof BackupError)) {
        throw error;
      }
      this.#giveUp(error.message);
    }
  }

  /** @param until epoch milliseconds: no delete is sent from then on */
  async #delete({ plan, inventory }: Survey, until: number): Promise<void> {
    // In the new plan's order: what has to go first may have changed with the tags.
    const isOpen = new Set(this.#open());
    const condemned = plan.orphans.filter(({ digest }) => isOpen.has(digest));
    const deletion = new Deletion({
      ...this.#options,
      repository: plan.repository,
      tagsOf: tagsIn(inventory),
      fates: this.#fates,
      confirmation: this.#confirmation,
      isOver: () => this.#isStopped() || this.#options.clock.now() >= until,
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
  async #prove(): Promise<Healed> {
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

  /** @param known what the tags point at, if that was read after the deletes */
  async #confirmTags(known: Healed['tags']): Promise<void> {
    const tagged = this.#condemned.filter(
      ({ digest, tags }) => tags.length > 0 && isGone(this.#fates.get(digest)),
    );
    const { repository } = this.#plan;
    const served = await this.#contain(confirmTags(repository, tagged, known, this.#options));
    const failed = served ?? tagged.map(({ digest }) => ({ digest, why: UNCONFIRMED }));
    failed.forEach(({ digest, why }) => this.#fates.set(digest, { kind: 'failed', why }));
  }

  /** The orphans without a fate. */
  #open(): Digest[] {
    const orphans = this.#plan.orphans.map(({ digest }) => digest);
    return orphans.filter((digest) => !this.#fates.has(digest));
  }

  /** What is gone, or may be: a delete that failed may have been carried out all the same. */
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
