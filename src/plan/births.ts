/**
 * How young a manifest must be, as far as the configs that were read tell. Pure. Says nothing of
 * manifests without such a config: no age is no proof of anything.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Inventory } from './inventory.js';

/**
 * Of the manifests whose digests this one's bytes hold, which it was made after, those whose age tells how young it
 * must be. Not a subject that a run has seen in use, unless it is a child as well: it is no part of a push in
 * progress, and neither is what describes it, which waits for no tag.
 */
export function datedBy(manifest: Manifest, past: Inventory['past']): Digest[] {
  const { subject } = manifest;
  const children = manifest.kind === 'index' ? manifest.children.map(({ digest }) => digest) : [];
  const isOld = subject !== undefined && past.get(subject)?.everInUse === true;
  return subject === undefined || isOld ? children : [...children, subject];
}

type Dated = Pick<Inventory, 'manifests' | 'facts' | 'past' | 'listing'>;

/**
 * The earliest time at which a manifest can have been made. An index or a referrer holds its children's
 * and its subject's digests, so it is younger than the youngest of them.
 */
export class Births {
  readonly #inventory: Dated;
  readonly #known = new Map<Digest, number | undefined>();

  constructor(inventory: Dated) {
    this.#inventory = inventory;
  }

  /** Epoch milliseconds, or `undefined` when no config tells. */
  of(digest: Digest): number | undefined {
    // An explicit stack: chains of subjects may be longer than the call stack is deep.
    const stack = [digest];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const inner = this.#inner(top);
      const open = this.#known.has(top) ? [] : inner.filter((each) => !this.#known.has(each));
      // Entered as unknown first. Digests can't form a cycle, so nobody sees that value.
      this.#known.set(top, this.#known.get(top));
      if (open.length > 0) {
        stack.push(...open);
        continue;
      }
      const times = [this.#own(top), ...inner.map((each) => this.#known.get(each))].filter(
        (time) => time !== undefined,
      );
      this.#known.set(top, times.length === 0 ? undefined : Math.max(...times));
      stack.pop();
    }
    return this.#known.get(digest);
  }

  /** The registry's word, where it tells when a manifest was pushed: a config may say anything. */
  #own(digest: Digest): number | undefined {
    const { listing, facts } = this.#inventory;
    return listing?.get(digest)?.pushedAt ?? facts.get(digest)?.created;
  }

  #inner(digest: Digest): Digest[] {
    const manifest = this.#inventory.manifests.get(digest);
    return manifest === undefined ? [] : datedBy(manifest, this.#inventory.past);
  }
}
