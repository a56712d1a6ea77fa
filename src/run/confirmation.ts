/**
 * Finds out whether deleted manifests are gone. A delete is believed when a read no longer finds the manifest,
 * and not because of the answer to the DELETE.
 */
import pMap from 'p-map';

import { failureMessage } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Lister, Listing, Reader } from '../registry/registry.js';
import type { SavedCopy } from './saved-copy.js';
import { digestsWith, isGone, type Fate } from '../plan/fate.js';
import type { VerifyOptions } from './verify.js';

/**
 * Milliseconds: the time that a registry gets in one repository to delete after its answer, and the first pause
 * before it is asked again.
 */
const PATIENCE = 60_000;
const FIRST_PAUSE = 500;
/**
 * A 404 does not say that a delete is under way, so a second question, after another recheck, is enough. A list may lag,
 * though, behind the try whose answer was lost.
 */
const MOST_ROUNDS_AFTER_404 = 2;

const STILL_THERE =
  'the registry took the DELETE, and the manifest is still there. Does the registry allow deletes, and is ' +
  '`registry-url` its own address, not that of a mirror or cache? Its log may tell';
const HIDDEN =
  'the registry answered the DELETE with 404, and the manifest is still there. Some registries answer so when the ' +
  'account may not delete: give `username` and `password` of an account that may';

function unread(why: string): string {
  return `the registry took the DELETE, but no read can tell whether it worked: ${why}`;
}

interface ConfirmationOptions extends Pick<VerifyOptions, 'concurrency' | 'clock' | 'stop'> {
  readonly repository: string;
  readonly isThere: Reader['isThere'];
  /** reads the registry's list, where that tells that a manifest is gone, and not a read by its digest */
  readonly list?: Lister['manifests'];
  /** gets the results */
  readonly fates: Map<Digest, Fate>;
}

export class Confirmation {
  readonly #options: ConfirmationOptions;
  readonly #absent = new Set<Digest>();
  /** those that were there, or could not be asked for, the last time */
  readonly #doubtful = new Set<Digest>();
  readonly #rounds = new Map<Digest, number>();
  #waited = 0;
  #until: number | undefined;

  constructor(options: ConfirmationOptions) {
    this.#options = options;
  }

  /**
   * Asks for a manifest that the registry says it deleted. Where a list tells, the next recheck reads that.
   *
   * @returns whether it is gone
   */
  async ask(digest: Digest): Promise<boolean> {
    if (this.#options.list !== undefined) {
      this.#doubtful.add(digest);
    } else if ((await this.#read(digest)) !== undefined) {
      // `askAll` asks once more, and reports the reason.
      this.#doubtful.add(digest);
    }
    return this.#absent.has(digest);
  }

  /** Asks for all that no read has found gone yet. Those that can't be asked for, or stay too long, have failed. */
  async askAll(): Promise<void> {
    const { concurrency, list, repository } = this.#options;
    if (list === undefined) {
      await pMap(this.#unseen(), (digest) => this.#settle(digest), { concurrency });
    } else if (this.isOpen()) {
      try {
        this.learn(await list(repository));
      } catch (error) {
        this.giveUp(unread(failureMessage(error)));
      }
    }
  }

  /** Takes the registry's list for the answer, where that is what tells. */
  learn(listing: Listing | undefined): void {
    if (this.#options.list === undefined || listing === undefined) {
      return;
    }
    for (const digest of this.#unseen()) {
      if (listing.has(digest)) {
        this.#doubtful.add(digest);
        this.#endRound(digest);
      } else {
        this.#noteAbsent(digest);
      }
    }
    if (!this.isOpen()) {
      // What is deleted later gets its own time.
      this.#waited = 0;
      this.#until = undefined;
    }
  }

  /** whether any of them may still be deleted */
  isOpen(): boolean {
    return this.#unseen().length > 0;
  }

  /** whether this one was there when it was asked for, and may still be deleted */
  isDoubtful(digest: Digest): boolean {
    return this.#doubtful.has(digest) && isGone(this.#options.fates.get(digest));
  }

  /** Gives the registry time: twice as much as before, each time. */
  async pause(): Promise<void> {
    const { clock, stop } = this.#options;
    this.#until ??= clock.now() + PATIENCE;
    const pause = Math.min(FIRST_PAUSE + this.#waited, PATIENCE - this.#waited);
    this.#waited += pause;
    await clock.sleep(pause, stop);
  }

  /** All that no read has found gone yet have failed, for this reason. */
  giveUp(why: string): void {
    this.#unseen().forEach((digest) => this.#fail(digest, why));
  }

  #unseen(): Digest[] {
    const deleted = digestsWith(this.#options.fates, 'deleted', 'gone');
    return deleted.filter((digest) => !this.#absent.has(digest));
  }

  #fail(digest: Digest, why: string): void {
    this.#doubtful.delete(digest);
    this.#options.fates.set(digest, { kind: 'failed', why });
  }

  #isOver(): boolean {
    const isLate = this.#until !== undefined && this.#options.clock.now() >= this.#until;
    return isLate || this.#waited >= PATIENCE;
  }

  /** @returns why no read could tell; `undefined` when one did */
  async #read(digest: Digest): Promise<string | undefined> {
    const { isThere, repository } = this.#options;
    try {
      if (await isThere(repository, digest)) {
        this.#doubtful.add(digest);
      } else {
        this.#noteAbsent(digest);
      }
      return undefined;
    } catch (error) {
      return failureMessage(error);
    }
  }

  async #settle(digest: Digest): Promise<void> {
    const why = await this.#read(digest);
    if (why !== undefined) {
      // The client has retried often enough.
      this.#fail(digest, unread(why));
    } else if (!this.#absent.has(digest)) {
      this.#endRound(digest);
    }
  }

  #noteAbsent(digest: Digest): void {
    this.#absent.add(digest);
    this.#doubtful.delete(digest);
  }

  /** It was still there. */
  #endRound(digest: Digest): void {
    const round = (this.#rounds.get(digest) ?? 0) + 1;
    this.#rounds.set(digest, round);
    const { fates, list } = this.#options;
    const isHidden = fates.get(digest)?.kind === 'gone';
    const isEnough = isHidden && list === undefined && round === MOST_ROUNDS_AFTER_404;
    if (this.#isOver() || isEnough) {
      this.#fail(digest, isHidden ? HIDDEN : STILL_THERE);
    }
  }
}

/**
 * Some registries delete a manifest by its digest and go on serving it by its tags.
 *
 * @param deleted manifests with the tags that they had; each has some
 * @param known the targets of the tags, if they were read after the deletes
 * @returns those that a tag still serves, or may
 */
export async function confirmTags(
  repository: string,
  deleted: readonly Pick<SavedCopy, 'digest' | 'tags'>[],
  known: ReadonlyMap<string, Digest> | undefined,
  options: Pick<VerifyOptions, 'reader' | 'concurrency'>,
): Promise<readonly { readonly digest: Digest; readonly why: string }[]> {
  if (deleted.length === 0) {
    return [];
  }
  const tagged = new Map(
    deleted.flatMap(({ digest, tags }) => tags.map((tag) => [tag, digest] as const)),
  );
  try {
    const now = known ?? (await readTags(repository, tagged, options));
    const serving = [...tagged].filter(([tag, digest]) => now.get(tag) === digest);
    return serving.map(([tag, digest]) => ({ digest, why: servedBy(tag) }));
  } catch (error) {
    const why = `the registry deleted it, but its tags could not be read again: ${failureMessage(error)}`;
    return [...new Set(tagged.values())].map((digest) => ({ digest, why }));
  }
}

/** The manifests that these tags point at, for tags that are still listed. */
async function readTags(
  repository: string,
  tagged: ReadonlyMap<string, Digest>,
  { reader, concurrency }: Pick<VerifyOptions, 'reader' | 'concurrency'>,
): Promise<ReadonlyMap<string, Digest>> {
  const found = new Map<string, Digest>();
  const read = async (tag: string) => {
    const answer = await reader.manifest(repository, tag);
    if (answer.kind === 'found') {
      found.set(tag, answer.manifest.digest);
    }
  };
  const listed = (await reader.tags(repository)).filter((tag) => tagged.has(tag));
  await pMap(listed, read, { concurrency });
  return found;
}

function servedBy(tag: string): string {
  return (
    `the registry deleted it by its digest, and its tag ${tag} still serves it. This action never deletes a ` +
    'tag alone: delete that tag with the tools of the registry'
  );
}
