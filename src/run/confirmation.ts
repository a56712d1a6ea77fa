/**
 * Finds out whether what was deleted is gone. A delete is believed when a read does not find the manifest any more,
 * and not because of what the registry answered to the DELETE.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Reader } from '../registry/registry.js';
import type { Lost } from './lost.js';
import { digestsWith, isGone, type Fate } from '../plan/fate.js';
import type { VerifyOptions } from './verify.js';

interface ConfirmationOptions extends Pick<VerifyOptions, 'concurrency' | 'clock' | 'stop'> {
  readonly isThere: Reader['isThere'];
}

export interface Confirmation {
  /** Asks for one that the registry says it deleted. @returns whether it is gone */
  ask(digest: Digest): Promise<boolean>;
  /** Asks for all that nobody has found gone yet. What can't be asked for, or is there for too long, has failed. */
  askAll(): Promise<void>;
  /** whether any of them may go yet */
  isOpen(): boolean;
  /** whether this one was there when it was asked for, and may go yet */
  isDoubtful(digest: Digest): boolean;
  /** Gives the registry time, more each time. */
  pause(): Promise<void>;
  /** What nobody has found gone yet has failed, for this reason. */
  giveUp(why: string): void;
}

/**
 * Milliseconds: how long a registry that deletes after its answer is given in one repository, and how soon it is
 * asked again.
 */
const PATIENCE = 60_000;
const FIRST_PAUSE = 500;
/** A 404 does not say that a delete is under way, so a second question, after another look, is enough. */
const MOST_ROUNDS_AFTER_404 = 2;

const STILL_THERE =
  'the registry took the DELETE, and the manifest is still there. Does the registry allow deletes, and is ' +
  '`registry-url` its own address, no mirror or cache? Its log may tell';
const HIDDEN =
  'the registry answered the DELETE with 404, and the manifest is still there. Some registries answer so where the ' +
  'account may not delete: give `username` and `password` of an account that may';

/** @param fates what it finds is written there */
export function createConfirmation(
  repository: string,
  fates: Map<Digest, Fate>,
  { isThere, concurrency, clock, stop }: ConfirmationOptions,
): Confirmation {
  const absent = new Set<Digest>();
  /** what was there, or could not be asked for, the last time */
  const doubtful = new Set<Digest>();
  const rounds = new Map<Digest, number>();
  let pauses = 0;
  let waited = 0;
  let until: number | undefined;

  const unseen = () =>
    digestsWith(fates, 'deleted', 'gone').filter((digest) => !absent.has(digest));
  const fail = (digest: Digest, why: string) => {
    doubtful.delete(digest);
    fates.set(digest, { kind: 'failed', why });
  };
  const isOver = () => waited >= PATIENCE || (until !== undefined && clock.now() >= until);

  /** @returns why it could not be found out, if so */
  async function look(digest: Digest): Promise<string | undefined> {
    try {
      if (await isThere(repository, digest)) {
        doubtful.add(digest);
      } else {
        absent.add(digest);
        doubtful.delete(digest);
      }
      return undefined;
    } catch (error) {
      if (error instanceof RequestFailure) {
        return error.message;
      }
      throw error;
    }
  }

  async function settle(digest: Digest): Promise<void> {
    const why = await look(digest);
    if (why !== undefined) {
      // The client has tried often enough.
      fail(
        digest,
        `the registry took the DELETE, but it can't be told whether that worked: ${why}`,
      );
    } else if (!absent.has(digest)) {
      const round = (rounds.get(digest) ?? 0) + 1;
      rounds.set(digest, round);
      const isHidden = fates.get(digest)?.kind === 'gone';
      if (isOver() || (isHidden && round === MOST_ROUNDS_AFTER_404)) {
        fail(digest, isHidden ? HIDDEN : STILL_THERE);
      }
    }
  }

  return {
    async ask(digest) {
      const why = await look(digest);
      if (why !== undefined) {
        // `askAll` asks once more, and tells.
        doubtful.add(digest);
      }
      return absent.has(digest);
    },
    askAll: async () => {
      await pMap(unseen(), settle, { concurrency });
    },
    isOpen: () => unseen().length > 0,
    isDoubtful: (digest) => doubtful.has(digest) && isGone(fates.get(digest)),
    async pause() {
      until ??= clock.now() + PATIENCE;
      const pause = Math.min(FIRST_PAUSE * 2 ** pauses, PATIENCE - waited);
      pauses += 1;
      waited += pause;
      await clock.sleep(pause, stop);
    },
    giveUp(why) {
      unseen().forEach((digest) => {
        fail(digest, why);
      });
    },
  };
}

/**
 * Some registries delete a manifest by its digest and go on serving it by its tags.
 *
 * @param deleted by their digests, with the tags that they had; each has some
 * @param known what the tags point at, if that was read after the deletes
 * @returns those that a tag still serves, or may
 */
export async function confirmTags(
  repository: string,
  deleted: readonly Pick<Lost, 'digest' | 'tags'>[],
  known: ReadonlyMap<string, Digest> | undefined,
  options: Pick<VerifyOptions, 'reader' | 'concurrency'>,
): Promise<readonly { readonly digest: Digest; readonly why: string }[]> {
  const tagged = new Map(
    deleted.flatMap(({ digest, tags }) => tags.map((tag) => [tag, digest] as const)),
  );
  if (deleted.length === 0) {
    return [];
  }
  try {
    const now = known ?? (await readTags(repository, tagged, options));
    const serving = [...tagged].filter(([tag, digest]) => now.get(tag) === digest);
    return serving.map(([tag, digest]) => ({ digest, why: servedBy(tag) }));
  } catch (error) {
    if (error instanceof RequestFailure) {
      const why = `the registry deleted it, but its tags could not be read again: ${error.message}`;
      return [...new Set(tagged.values())].map((digest) => ({ digest, why }));
    }
    throw error;
  }
}

/** What these tags point at, as far as they are still listed. */
async function readTags(
  repository: string,
  tagged: ReadonlyMap<string, Digest>,
  { reader, concurrency }: Pick<VerifyOptions, 'reader' | 'concurrency'>,
): Promise<ReadonlyMap<string, Digest>> {
  const listed = (await reader.tags(repository)).filter((tag) => tagged.has(tag));
  const read = await pMap(
    listed,
    async (tag) => {
      const answer = await reader.manifest(repository, tag);
      return answer.kind === 'found' ? [[tag, answer.manifest.digest] as const] : [];
    },
    { concurrency },
  );
  return new Map(read.flat());
}

function servedBy(tag: string): string {
  return (
    `the registry deleted it by its digest, and its tag ${tag} still serves it. Such a registry wants the tag ` +
    'deleted, too, which this action never does: delete that tag by the means of the registry'
  );
}
