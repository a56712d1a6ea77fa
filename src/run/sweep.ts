/**
 * Carries out a plan: the only stage that deletes. Saves what is to go, looks again before the first delete and
 * from time to time after it, deletes nothing that the plan did not hold, and proves what was kept.
 */
import type { SurveyOptions } from './survey-types.js';
import type { Survey } from '../plan/survey.js';
import { BackupError } from './backup/backup.js';
import type { Digest } from '../oci/digest.js';
import type { RegistryPusher } from '../registry/distribution/pusher.js';
import type { IsThere } from '../registry/distribution/presence.js';
import type { RegistryWriter } from '../registry/distribution/writer.js';
import { confirmTags, createConfirmation } from './confirmation.js';
import { deleteInOrder } from './deletion.js';
import { heal } from './heal.js';
import type { Inventory } from '../plan/inventory.js';
import {
  condemnedOf,
  inSight,
  joined,
  retagged,
  withGone,
  without,
  type Condemned,
} from './looks.js';
import { digestsWith, isGone, type Fate, type Outcome } from '../plan/fate.js';
import { surveyRepository } from './survey.js';

export interface SweepOptions extends SurveyOptions {
  readonly writer: RegistryWriter;
  readonly pusher: Pick<RegistryPusher, 'pushManifest'>;
  /** asked of what was deleted: still answers when the run was told to stop */
  readonly isThere: IsThere;
  /**
   * When it resolves, what is to be deleted could be put back.
   *
   * @throws BackupError
   */
  readonly save: (manifests: readonly Condemned[]) => Promise<void>;
  /** whether to look, after the last delete, if what was kept is still there */
  readonly verify: boolean;
  /** no delete is sent once it is aborted */
  readonly stop: AbortSignal;
  /** turns a fault of our own into `undefined`: what was done by then is still told, and proved */
  readonly contain: <T>(work: Promise<T>) => Promise<T | undefined>;
}

/**
 * Milliseconds. A tag that comes after the look at the tags may name what is deleted since: so long after a look
 * the next one follows, or after so many times what a look takes, where that is longer (docs/how-it-decides.md).
 */
const LOOK_EVERY = 10_000;
const LOOKS = 2;
/** After so many looks in a row none of which brought a delete to its end, and so many tries of a single one, it is enough. */
const MOST_LOOKS = 5;

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
  const { plan, inventory } = survey;
  const { repository } = plan;
  const { progress, policy, clock, stop } = options;
  const isStopped = () => stop.aborted;
  const fates = new Map<Digest, Fate>();
  const confirmation = createConfirmation(repository, fates, options);
  const open = () => plan.orphans.map(({ digest }) => digest).filter((each) => !fates.has(each));
  const settle = (digest: Digest, fate: Fate) => {
    fates.set(digest, fate);
    progress.done();
  };
  const tried = () => digestsWith(fates, 'deleted', 'gone', 'failed');
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
  let fruitless = 0;
  const waits = new Map<Digest, number>();
  /** what was deleted, or may have been, and was in use at a later look */
  const back = new Set<Digest>();

  async function lookAndDelete(left: readonly Digest[]): Promise<void> {
    const began = clock.now();
    const settled = fates.size;
    // Tags may have moved since, and pushes come in: the plan is made again with what is there now.
    const fresh = await surveyRepository(repository, inSight(candidates, plan, fates), options, {
      manifests: looked.manifests,
      past: withGone(inventory.past, fates, policy.now),
      earlier: { ...looked, gone: new Set(digestsWith(fates, 'deleted', 'gone')) },
    });
    const [gap] = fresh.inventory.gaps;
    if (gap !== undefined) {
      const what = `looking again before the deletes, ${gap.what}`;
      giveUp(isStopped() ? STOPPED : `${what} could not be read: ${gap.why}`);
      return;
    }
    seen = seen === undefined ? fresh.inventory : joined(seen, fresh.inventory);
    const kept = new Map(fresh.plan.keep.map(({ digest, reason }) => [digest, reason]));
    for (const digest of left) {
      const reason = kept.get(digest);
      if (reason !== undefined) {
        settle(digest, { kind: 'kept', reason });
      }
    }
    // Pushed again since: its tags are kept ones now, and a delete that is not over yet may take them along.
    for (const digest of tried()) {
      const reason = kept.get(digest);
      if (reason !== undefined) {
        back.add(digest);
        if (isGone(fates.get(digest))) {
          fates.set(digest, { kind: 'kept', reason });
        }
      }
    }
    // A signature's tag may have come to name one of them since: it goes as well, and is to come back.
    const before = new Map(lost.map((each) => [each.digest, each.tags]));
    lost = retagged(lost, fresh.inventory);
    const isOpenNow = new Set(open());
    const unsaved = lost.filter(
      ({ digest, tags }) =>
        isOpenNow.has(digest) && tags.some((tag) => before.get(digest)?.includes(tag) !== true),
    );
    if (unsaved.length > 0) {
      await save(unsaved);
    }
    const until = clock.now() + Math.max(LOOK_EVERY, LOOKS * (clock.now() - began));
    const isOver = () => isStopped() || clock.now() >= until;
    // In the new plan's order: what has to go first may have changed with the tags.
    const isOpen = new Set(open());
    const condemned = fresh.plan.orphans.filter(({ digest }) => isOpen.has(digest));
    const tagged = new Set(fresh.inventory.tags.values());
    const has = await deleteInOrder(repository, condemned, tagged, fates, {
      ...options,
      confirmation,
      isOver,
      mayWait(digest) {
        const times = (waits.get(digest) ?? 0) + 1;
        waits.set(digest, times);
        return times < MOST_LOOKS && !isStopped();
      },
      onDone: () => {
        progress.done();
      },
    });
    changed ||= has;
    looked = without(fresh.inventory, fates);
    // What waits for one that the registry takes its time to delete is not stuck.
    fruitless = fates.size > settled || confirmation.isOpen() ? 0 : fruitless + 1;
    if (fruitless === MOST_LOOKS) {
      giveUp(
        `the registry answered no delete soon enough after a look at the tags, ${fruitless} times in a row. Is ` +
          'it overloaded? A smaller `concurrency` may help',
      );
    }
  }

  async function deleteAll(): Promise<true> {
    while (open().length > 0 || confirmation.isOpen()) {
      if (isStopped()) {
        giveUp(STOPPED);
        break;
      }
      await lookAndDelete(open());
      await confirmation.askAll();
      // Then another look: somebody may have pushed them again.
      if (confirmation.isOpen()) {
        await confirmation.pause();
      }
    }
    return true;
  }

  const isWhole = await options.contain(deleteAll());
  giveUp('this action failed before its turn came');
  await options.contain(confirmation.askAll());
  confirmation.giveUp(UNCONFIRMED);

  const mayBeGone = new Set([...tried(), ...back]);
  changed ||= isWhole === undefined && mayBeGone.size > 0;
  const isToProve = changed && options.verify;
  const unproved = { restored: [], broken: [], unverified: isToProve, tags: undefined };
  const swept = { inventory: seen ?? inventory, tried: mayBeGone, back, lost };
  const { restored, broken, unverified, tags } =
    seen !== undefined && isToProve && !isStopped()
      ? ((await options.contain(heal(swept, options))) ?? unproved)
      : unproved;
  restored.forEach((digest) => fates.set(digest, { kind: 'restored' }));
  const tagged = lost.filter(
    ({ digest, tags: had }) => had.length > 0 && isGone(fates.get(digest)),
  );
  const served = await options.contain(confirmTags(repository, tagged, tags, options));
  (served ?? tagged.map(({ digest }) => ({ digest, why: UNCONFIRMED }))).forEach(
    ({ digest, why }) => fates.set(digest, { kind: 'failed', why }),
  );
  return { fates, broken, unverified };
}
