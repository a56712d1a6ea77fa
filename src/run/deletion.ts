/**
 * Sends the deletes of one sweep, in their order and never past its end. It chooses nothing: `sweep.ts` does, and
 * this is the only caller of the registry's delete.
 */
import pMap from 'p-map';

import { failureMessage } from '../http/message.js';
import { NotSent, TooLate } from '../http/stop.js';
import type { Digest } from '../oci/digest.js';
import { RegistryError, type RegistryErrorKind } from '../registry/registry-error.js';
import type { Deleter } from '../registry/registry.js';
import type { Confirmation } from './confirmation.js';
import type { Orphan } from '../plan/plan.js';
import type { DeleteReason, KeepReason } from '../plan/reasons.js';
import type { Fate } from '../plan/fate.js';

/** After one of these the registry refuses every other delete in the repository as well. */
const FINAL: RegistryErrorKind[] = ['unauthorized', 'forbidden', 'deletes-off', 'read-only'];

export interface DeletionOptions {
  readonly repository: string;
  /** the tags that point at each manifest, and are deleted with it */
  readonly tagsOf: ReadonlyMap<Digest, readonly string[]>;
  /** Only added to. If a manifest that was deleted before stands in an `after`, somebody has pushed it since. */
  readonly fates: Map<Digest, Fate>;
  readonly deleter: Pick<Deleter, 'deleteManifest'>;
  readonly concurrency: number;
  /**
   * Asked before each delete and each retry: none is sent once it is true. It never turns
   * false again
   */
  readonly isOver: () => boolean;
  /** asked for a delete that failed and could not be retried in time: whether to retry it after another recheck */
  readonly mayWait: (digest: Digest) => boolean;
  readonly confirmation: Pick<Confirmation, 'ask' | 'isDoubtful'>;
  /** one delete was answered, or will not be sent */
  readonly onDone: () => void;
}

export class Deletion {
  readonly #options: DeletionOptions;
  readonly #pending = new Map<Digest, Promise<unknown>>();
  readonly #away = new Set<Digest>();
  /** those that wait for one that may still be deleted, directly or not */
  readonly #waiting = new Set<Digest>();
  /** those in some `after` */
  readonly #awaited = new Set<Digest>();
  // One after the other: Distribution removes a manifest's tags by asking all tags; if
  // one of them goes meanwhile, 2.8.2 answers 500, has deleted the manifest, and leaves its tag for good.
  #untagging: Promise<unknown> = Promise.resolve();
  #calledOff: string | undefined;
  #changed = false;

  constructor(options: DeletionOptions) {
    this.#options = options;
  }

  /**
   * Deletes these manifests. Those that `isOver` cut off get no fate. Neither do those that wait for one that the
   * registry says it deleted, and that is still there: perhaps not for long.
   *
   * @param condemned in an order in which all of `after` stand before
   * @returns whether the registry may have changed
   */
  async run(condemned: readonly Orphan[]): Promise<boolean> {
    condemned.flatMap(({ after }) => after).forEach((before) => this.#awaited.add(before));
    const { concurrency } = this.#options;
    await pMap(condemned, (orphan) => this.#begin(orphan), { concurrency });
    return this.#changed;
  }

  #begin(orphan: Orphan): Promise<void> {
    const { digest } = orphan;
    const { tagsOf, fates, onDone } = this.#options;
    const isTagged = tagsOf.has(digest);
    const removed = isTagged
      ? this.#untagging.then(() => this.#remove(orphan))
      : this.#remove(orphan);
    const task = removed.then((fate) => {
      if (fate !== undefined) {
        fates.set(digest, fate);
        onDone();
      }
    });
    if (isTagged) {
      this.#untagging = Promise.allSettled([task]);
    }
    this.#pending.set(digest, task);
    return task;
  }

  async #remove({ digest, after, reason }: Orphan): Promise<Fate | undefined> {
    const { confirmation, isOver } = this.#options;
    // They stand earlier in the list, so each has begun, or this run does not delete it.
    await Promise.all(after.map((before) => this.#pending.get(before) ?? Promise.resolve()));
    if (this.#calledOff !== undefined) {
      return { kind: 'skipped', why: this.#calledOff };
    }
    // This comes before the predecessors, which have no fate either when the time is over.
    if (isOver()) {
      return undefined;
    }
    const standing = after.find((before) => !this.#away.has(before));
    if (standing === undefined) {
      return this.#delete(digest);
    }
    if (confirmation.isDoubtful(standing) || this.#waiting.has(standing)) {
      this.#waiting.add(digest);
      return undefined;
    }
    if (this.#isKept(standing)) {
      return { kind: 'kept', reason: reasonWith(standing, reason) };
    }
    return { kind: 'skipped', why: `${standing}, which has to go before it, is still there` };
  }

  /** Whether it stays without being a failure. */
  #isKept(digest: Digest): boolean {
    const kind = this.#options.fates.get(digest)?.kind;
    return kind === 'undeletable' || kind === 'kept';
  }

  async #delete(digest: Digest): Promise<Fate | undefined> {
    const { repository, deleter, tagsOf, confirmation, isOver } = this.#options;
    try {
      const kind = await deleter.deleteManifest(repository, digest, {
        tags: tagsOf.get(digest),
        isLate: isOver,
      });
      // Also when it was gone: an earlier try whose answer was lost may have deleted it.
      this.#changed = true;
      // Nothing of an index may be deleted while the index is still there.
      if (!this.#awaited.has(digest) || (await confirmation.ask(digest))) {
        this.#away.add(digest);
      }
      return { kind };
    } catch (error) {
      return this.#failed(digest, error);
    }
  }

  #failed(digest: Digest, error: unknown): Fate | undefined {
    if (error instanceof TooLate) {
      return undefined;
    }
    if (error instanceof NotSent) {
      return { kind: 'skipped', why: error.message };
    }
    const why = failureMessage(error);
    const kind = error instanceof RegistryError ? error.kind : undefined;
    if (kind === 'undeletable') {
      return { kind, why };
    }
    if (kind !== undefined && FINAL.includes(kind)) {
      this.#calledOff = 'not tried: the registry refused another delete in this repository';
      return { kind: 'failed', why };
    }
    // No answer, or a 500: it may have been carried out all the same.
    this.#changed = true;
    const { isOver, mayWait } = this.#options;
    // The next recheck sees what names it.
    const isReferenced = kind === 'referenced';
    if (!(isReferenced || isOver()) || !mayWait(digest)) {
      return { kind: 'failed', why };
    }
    if (isReferenced) {
      // Those that come after it wait as well.
      this.#waiting.add(digest);
    }
    return undefined;
  }
}

/** Why an orphan stays with one that has to go before it and can't. */
function reasonWith(of: Digest, reason: DeleteReason): KeepReason {
  if (reason.kind === 'digest-tag') {
    return { kind: 'digest-tag', tag: reason.tag, of };
  }
  return { kind: reason.kind === 'referrer' ? 'referrer' : 'child', of };
}
