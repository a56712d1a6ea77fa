/**
 * How young a manifest must be, as far as the configs that were read tell. Pure. Says nothing of
 * manifests without such a config: no age is no proof of anything.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Inventory } from './inventory.js';
import { namedBy } from './naming.js';

/**
 * The manifests whose age tells how young this one must be: its bytes hold their digests, so it was made after them.
 * Not a subject that a run has seen in use, unless it is a child as well: it is no part of a push in
 * progress, and neither is what describes it, which waits for no tag.
 */
export function datedBy(manifest: Manifest | undefined, past: Inventory['past']): Digest[] {
  return (manifest === undefined ? [] : namedBy(manifest))
    .filter(({ digest, source }) => source === 'child' || past.get(digest)?.everInUse !== true)
    .map(({ digest }) => digest);
}

/**
 * The earliest time at which a manifest can have been made, in epoch milliseconds; `undefined` when no config tells.
 * An index or a referrer holds its children's and its subject's digests, so it is younger than the youngest of them.
 */
export type Births = (digest: Digest) => number | undefined;

type Dated = Pick<Inventory, 'manifests' | 'facts' | 'past' | 'listing'>;

export function birthsIn({ manifests, facts, past, listing }: Dated): Births {
  const known = new Map<Digest, number | undefined>();
  return (digest) => {
    // An explicit stack: chains of subjects may be longer than the call stack is deep.
    const stack = [digest];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const inner = datedBy(manifests.get(top), past);
      const open = known.has(top) ? [] : inner.filter((each) => !known.has(each));
      // Entered as unknown first. Digests can't form a cycle, so nobody sees that value.
      known.set(top, known.get(top));
      if (open.length > 0) {
        stack.push(...open);
        continue;
      }
      // The registry's word first, where it tells when a manifest was pushed: a config may say anything.
      const own = listing?.get(top)?.pushedAt ?? facts.get(top)?.created;
      const times = [own, ...inner.map((each) => known.get(each))].filter(
        (time) => time !== undefined,
      );
      known.set(top, times.length === 0 ? undefined : Math.max(...times));
      stack.pop();
    }
    return known.get(digest);
  };
}
