/**
 * The indexes that a fallback tag pointed at before its latest referrers were added. Where a registry has no referrers
 * API, a client adds a referrer by pushing a longer index under that tag, and the one before stays without a name
 * (distribution-spec, "Referrers Tag Schema"). It is the longer one without one entry, to the byte, as long as the same
 * client library wrote both. Pure: only the registry can say whether there is such an index.
 */
import { algorithmOf, digestOf, type Digest } from './digest.js';
import { objectsIn } from './json.js';
import type { IndexManifest } from './manifest.js';

/** For one index: each may cost a request. */
export const MOST_GUESSES = 20;

/**
 * Guesses the digests of earlier indexes, the latest first. The value of each `yield` tells whether that one is there.
 *
 * oras-go and regclient put the new entry last. go-containerregistry sorts the entries by digest, so each of them may
 * be the new one: a sorted list is tried without each entry in turn, and then again from the one that is there. A long
 * sorted list is left out, since most guesses would be in vain. If an entry was removed, or two libraries took turns,
 * the guesses are wrong, and nothing is found.
 *
 * @param body the bytes of the index, as text
 * @param isRemembered whether an earlier run saw this manifest: then it asked for those before it, too
 */
export function* guessEarlier(
  index: IndexManifest,
  body: string,
  isRemembered: (digest: Digest) => boolean,
): Generator<Digest, void, boolean> {
  const isSorted = hasSortedEntries(index);
  const algorithm = algorithmOf(index.digest);
  let guesses = 0;
  let bytes: Uint8Array = Buffer.from(body);
  for (let count = index.children.length; count > 1; count -= 1) {
    if (isSorted && count > MOST_GUESSES) {
      return;
    }
    const shorter = withoutOneEntry(bytes, isSorted ? count : 1);
    const digests = shorter.map((each) => digestOf(each, algorithm));
    if (digests.length === 0 || digests.some(isRemembered)) {
      return;
    }
    // Somebody may have deleted the latest, and not those before it: then the guesses go on from the likeliest.
    let found = 0;
    for (const [at, digest] of digests.entries()) {
      guesses += 1;
      if (guesses > MOST_GUESSES) {
        return;
      }
      if (yield digest) {
        found = at;
        break;
      }
    }
    bytes = shorter[found] ?? bytes;
  }
}

function hasSortedEntries({ children }: IndexManifest): boolean {
  return children.every(({ digest }, at) => at === 0 || (children[at - 1]?.digest ?? '') < digest);
}

/**
 * The bytes of an index without its last entry, without the one before that, and so on. All else stays as it was
 * written, white space too.
 *
 * @param most so many of them
 */
function withoutOneEntry(bytes: Uint8Array, most: number): Uint8Array[] {
  const entries = objectsIn(bytes, 'manifests');
  const cuts = entries.map(({ from, to }, at) => {
    const before = entries[at - 1];
    return before === undefined ? { from, to: entries[1]?.from ?? to } : { from: before.to, to };
  });
  return cuts
    .slice(-most)
    .reverse()
    .map(({ from, to }) => Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]));
}
