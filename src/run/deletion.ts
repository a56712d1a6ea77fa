/**
 * Sends the deletes of one sweep, in their order and never past its end. Nothing here chooses what goes: it is
 * the hand of `sweep.ts`, and the only caller of the registry's delete.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import { NotSent, TooLate } from '../http/stop.js';
import type { Digest } from '../oci/digest.js';
import { RegistryError, type RegistryErrorKind } from '../registry/registry-error.js';
import type { Deleter } from '../registry/registry.js';
import type { Confirmation } from './confirmation.js';
import type { Orphan } from '../plan/plan.js';
import type { Fate } from '../plan/fate.js';

/** After one of these the registry refuses every other delete in the repository as well. */
const FINAL: readonly RegistryErrorKind[] = [
  'unauthorized',
  'forbidden',
  'deletes-off',
  'read-only',
];

export interface DeletionOptions {
  readonly writer: Pick<Deleter, 'deleteManifest'>;
  readonly concurrency: number;
  /**
   * Asked before each delete and each new try of one: no more of them are sent once it is true. Never turns
   * false again
   */
  readonly isOver: () => boolean;
  /** asked of a delete that failed and could not be tried again in time: whether it is to be, after another look */
  readonly mayWait: (digest: Digest) => boolean;
  readonly confirmation: Pick<Confirmation, 'ask' | 'isDoubtful'>;
  /** one delete was answered, or is not to be sent */
  readonly onDone: () => void;
}

/**
 * Deletes these manifests. What `isOver` cut off is without a fate, and so is what has to wait for one that the
 * registry says it deleted, and that is still there: perhaps not for long.
 *
 * @param condemned in an order in which all of `after` stand before
 * @param tagsOf the tags that point at each of them, which go along
 * @param fates only added to. Of what was deleted before and stands in an `after` again, somebody has pushed it
 *   since
 * @returns whether the registry may have changed
 */
export async function deleteInOrder(
  repository: string,
  condemned: readonly Orphan[],
  tagsOf: ReadonlyMap<Digest, readonly string[]>,
  fates: Map<Digest, Fate>,
  { writer, concurrency, isOver, mayWait, confirmation, onDone }: DeletionOptions,
): Promise<boolean> {
  const pending = new Map<Digest, Promise<unknown>>();
  // One after the other: Distribution removes a manifest's tags by asking all tags; if
  // one of them goes meanwhile, 2.8.2 answers 500, has deleted the manifest, and leaves its tag for good.
  let untagging: Promise<unknown> = Promise.resolve();
  const away = new Set<Digest>();
  /** what waits for one that may go yet, itself or by what it waits for */
  const waiting = new Set<Digest>();
  const awaited = new Set(condemned.flatMap(({ after }) => after));
  let calledOff: string | undefined;
  let changed = false;

  async function remove({ digest, after }: Orphan): Promise<Fate | undefined> {
    // They stand earlier in the list, so each has begun, or is not to be deleted in this run.
    await Promise.all(after.map((before) => pending.get(before) ?? Promise.resolve()));
    if (calledOff !== undefined) {
      return { kind: 'skipped', why: calledOff };
    }
    // Before the question after predecessors, which have no fate either when it is over.
    if (isOver()) {
      return undefined;
    }
    const standing = after.find((before) => !away.has(before));
    if (standing !== undefined) {
      if (confirmation.isDoubtful(standing) || waiting.has(standing)) {
        waiting.add(digest);
        return undefined;
      }
      return { kind: 'skipped', why: `${standing}, which has to go before it, is still there` };
    }
    try {
      const kind = await writer.deleteManifest(repository, digest, {
        tags: tagsOf.get(digest),
        isLate: isOver,
      });
      // Also when it was gone: a try of ours whose answer was lost may have done it.
      changed = true;
      // Of an index that stands after all, nothing may go.
      if (!awaited.has(digest) || (await confirmation.ask(digest))) {
        away.add(digest);
      }
      return { kind };
    } catch (error) {
      if (error instanceof TooLate) {
        return undefined;
      }
      if (error instanceof NotSent) {
        return { kind: 'skipped', why: error.message };
      }
      if (error instanceof RequestFailure) {
        if (error instanceof RegistryError && FINAL.includes(error.kind)) {
          calledOff = 'not tried: the registry refused another delete in this repository';
        } else {
          // No answer, or a 500: it may have been carried out all the same.
          changed = true;
          const isReferenced = error instanceof RegistryError && error.kind === 'referenced';
          // The next recheck sees what names it.
          if ((isReferenced || isOver()) && mayWait(digest)) {
            return undefined;
          }
        }
        return { kind: 'failed', why: error.message };
      }
      throw error;
    }
  }

  await pMap(
    condemned,
    (orphan) => {
      const isTagged = tagsOf.has(orphan.digest);
      const removed = isTagged ? untagging.then(() => remove(orphan)) : remove(orphan);
      const task = removed.then((fate) => {
        if (fate !== undefined) {
          fates.set(orphan.digest, fate);
          onDone();
        }
      });
      if (isTagged) {
        untagging = Promise.allSettled([task]);
      }
      pending.set(orphan.digest, task);
      return task;
    },
    { concurrency },
  );
  return changed;
}
