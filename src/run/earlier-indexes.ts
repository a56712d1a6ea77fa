/**
 * Asks for the indexes that fallback tags pointed at before (src/oci/earlier-indexes.ts). Only reads, and decides
 * nothing: one that is there is judged as any other manifest.
 *
 * No push needs it: the tag has moved on, and the index there lists all that it lists. A client that moves the tag
 * back, as for a removed referrer, pushes its bytes again, and the recheck reads the tag. Two clients that add referrers
 * at the same time lose one of them by their own race, with or without this one; they read the list by its tag.
 */
import { guessEarlier } from '../oci/earlier-indexes.js';
import type { Digest } from '../oci/digest.js';
import { parseDigestTag } from '../oci/reference.js';
import { buildGraph } from '../plan/graph.js';
import type { Survey } from '../plan/survey.js';
import type { SurveyContext } from './survey-options.js';

/** One index, with the guess that was made of it last. */
interface Search {
  readonly guesses: ReturnType<typeof guessEarlier>;
  readonly digest: Digest;
}

/**
 * Asks only about indexes that no earlier run saw, so that nothing is asked while nothing changes. The recheck knows
 * what the first read of its run has found. A registry that lists its manifests lists these, too.
 *
 * @param find reads those of the digests that are there
 * @param isThere whether that manifest was read
 */
export async function findEarlierIndexes(
  { inventory, bodies }: Pick<Survey, 'inventory' | 'bodies'>,
  { known, lister }: Pick<SurveyContext, 'known' | 'lister'>,
  find: (digests: ReadonlySet<Digest>) => Promise<unknown>,
  isThere: (digest: Digest) => boolean,
): Promise<void> {
  const newBody = (digest: Digest) => (known.past.has(digest) ? undefined : bodies.get(digest));
  const isNews = ([tag, digest]: [string, Digest]) =>
    parseDigestTag(tag)?.role === 'fallback' && newBody(digest) !== undefined;
  if (known.earlier !== undefined || lister !== undefined || ![...inventory.tags].some(isNews)) {
    return;
  }
  const isRemembered = (digest: Digest) => {
    const status = known.past.get(digest)?.status;
    return status !== undefined && status !== 'deleted';
  };
  const step = (guesses: Search['guesses'], wasThere: boolean): Search[] => {
    const { done, value } = guesses.next(wasThere);
    return done === true ? [] : [{ guesses, digest: value }];
  };
  const targets = new Set(buildGraph(inventory).digestTags.map(({ target }) => target));
  let searches = [...targets].flatMap((digest) => {
    const index = inventory.manifests.get(digest);
    const body = newBody(digest);
    const isIndex = index?.kind === 'index' && body !== undefined;
    return isIndex ? step(guessEarlier(index, body, isRemembered), false) : [];
  });
  while (searches.length > 0) {
    await find(new Set(searches.map(({ digest }) => digest)));
    searches = searches.flatMap(({ guesses, digest }) => step(guesses, isThere(digest)));
  }
}
