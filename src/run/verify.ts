/**
 * Proves after a sweep that what was kept is still there: every kept tag is listed and resolves, and so does every
 * child of every index behind one. Only reads.
 */
import { coded } from '../text/code.js';
import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { ManifestAnswer, Reader } from '../registry/registry.js';
import type { Inventory } from '../plan/inventory.js';
import type { Outcome } from '../plan/fate.js';
import { MOST_READS, PAUSE } from './tag-reading.js';

export interface VerifyOptions {
  readonly reader: Reader;
  readonly concurrency: number;
  readonly clock: Clock;
  /** what can't be read once it is aborted says nothing of what was kept */
  readonly stop: AbortSignal;
}

interface Verified {
  /** what no longer resolves, or could not be asked for; texts are safe to print */
  readonly broken: Outcome['broken'];
  /** of it, the manifests that the registry says it does not have, and that something kept needs */
  readonly missing: readonly Digest[];
  /** what each listed tag points at; absent when that could not be read of each */
  readonly tags: ReadonlyMap<string, Digest> | undefined;
  /** false when the run was told to stop before all was asked for */
  readonly isComplete: boolean;
}

/**
 * What was broken before the sweep, and tags of deleted manifests, are not found broken.
 *
 * @param inventory the repository as it was right before the sweep, or what is left of it
 * @param deleted what the sweep deleted
 */
export async function verifyRepository(
  inventory: Inventory,
  deleted: ReadonlySet<Digest>,
  options: VerifyOptions,
): Promise<Verified> {
  return new Verification(inventory, deleted, options).run();
}

class Verification {
  readonly #inventory: Inventory;
  readonly #deleted: ReadonlySet<Digest>;
  readonly #options: VerifyOptions;
  readonly #broken: { what: string; why: string }[] = [];
  readonly #missing: Digest[] = [];
  #isComplete = true;
  #listed: ReadonlySet<string> | undefined;
  /** what each tag points at now: a manifest known from before, or one that a push brought meanwhile */
  readonly #standing = new Map<Digest, Manifest>();
  readonly #tagOf = new Map<Digest, string>();
  readonly #tags = new Map<string, Digest>();

  constructor(inventory: Inventory, deleted: ReadonlySet<Digest>, options: VerifyOptions) {
    this.#inventory = inventory;
    this.#deleted = deleted;
    this.#options = options;
  }

  async run(): Promise<Verified> {
    const { brokenTags, tags } = this.#inventory;
    await this.#list();
    const expected = [...tags].flatMap(([tag, digest]) => (this.#deleted.has(digest) ? [] : [tag]));
    const all = new Set([...(this.#listed ?? []), ...expected]);
    await this.#checkEach(
      [...all].filter((tag) => !brokenTags.includes(tag)),
      (tag) => `tag ${tag}`,
      (tag) => this.#tag(tag),
    );
    await this.#checkEach(
      await this.#unlisted(expected),
      (tag) => `tag ${tag}`,
      (tag) => this.#unlistedTag(tag),
    );
    await this.#children();
    return {
      broken: this.#broken.sort((a, b) => (a.what < b.what ? -1 : 1)),
      missing: this.#missing,
      tags: this.#isComplete && this.#listed !== undefined ? this.#tags : undefined,
      isComplete: this.#isComplete,
    };
  }

  /** @param read resolves with why it is broken, if so */
  async #check(what: string, read: () => Promise<string | undefined>): Promise<void> {
    try {
      const why = await read();
      if (why !== undefined) {
        this.#broken.push({ what, why });
      }
    } catch (error) {
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
      if (this.#options.stop.aborted) {
        this.#isComplete = false;
      } else {
        this.#broken.push({ what, why: `could not be read again: ${error.message}` });
      }
    }
  }

  async #checkEach<T>(
    each: readonly T[],
    nameOf: (one: T) => string,
    read: (one: T) => Promise<string | undefined>,
  ): Promise<void> {
    const { concurrency } = this.#options;
    await pMap(each, (one) => this.#check(nameOf(one), () => read(one)), { concurrency });
  }

  #read(reference: string): Promise<ManifestAnswer> {
    return this.#options.reader.manifest(this.#inventory.repository, reference);
  }

  async #list(): Promise<void> {
    await this.#check('the list of tags', async () => {
      this.#listed = new Set(await this.#options.reader.tags(this.#inventory.repository));
      return undefined;
    });
  }

  async #tag(tag: string): Promise<string | undefined> {
    const before = this.#inventory.tags.get(tag);
    for (let read = 1; read <= MOST_READS; read += 1) {
      // HEAD is not enough: registries were seen to answer it with another manifest's digest.
      const answer = await this.#read(tag);
      if (answer.kind === 'found') {
        const { digest } = answer.manifest;
        // What was read before is the same, and is in memory already.
        this.#standing.set(digest, this.#inventory.manifests.get(digest) ?? answer.manifest);
        this.#tagOf.set(digest, tag);
        this.#tags.set(tag, digest);
        return undefined;
      }
      // Some registries leave the tags of a deleted manifest behind.
      const isDeleted = before !== undefined && this.#deleted.has(before);
      if (isDeleted || (await this.#namesNothing(tag))) {
        return undefined;
      }
      if (read < MOST_READS) {
        await this.#options.clock.sleep(PAUSE);
      }
    }
    if (before !== undefined) {
      this.#missing.push(before);
    }
    return 'its manifest is gone';
  }

  /** Another run takes the signatures along with an image; Distribution may even leave their tags behind. */
  async #namesNothing(tag: string): Promise<boolean> {
    const named = parseDigestTag(tag)?.names;
    return named !== undefined && (await this.#read(named)).kind === 'absent';
  }

  /** By its name, a tag that the registry has lost may still be answered, from a cache. */
  async #unlisted(expected: readonly string[]): Promise<string[]> {
    const { clock, stop } = this.#options;
    const unlisted = () =>
      expected.filter((tag) => this.#tags.has(tag) && this.#listed?.has(tag) === false);
    for (let read = 1; read < MOST_READS && unlisted().length > 0 && !stop.aborted; read += 1) {
      await clock.sleep(PAUSE);
      await this.#list();
    }
    return unlisted();
  }

  async #unlistedTag(tag: string): Promise<string | undefined> {
    const before = this.#inventory.tags.get(tag);
    if (before === undefined || (await this.#namesNothing(tag))) {
      return undefined;
    }
    this.#missing.push(before);
    return coded(
      'it is not in the list of tags any more. By its name it still answers: is that an old answer of a cache?',
      'tag-list-shrank',
    );
  }

  /** Every child of every index that a tag leads to. */
  async #children(): Promise<void> {
    const asked = new Set<Digest>();
    const seen: Manifest[] = [...this.#standing.values()];
    const absent: Digest[] = [];
    const nameOf = (digest: Digest) => `manifest ${digest}`;
    let wave = childrenOf(seen, this.#inventory, asked);
    while (wave.length > 0) {
      const found: Manifest[] = [];
      await this.#checkEach(wave, nameOf, async (digest) => {
        const manifest = await this.#manifest(digest);
        if (manifest === undefined) {
          absent.push(digest);
        } else {
          found.push(manifest);
        }
        return undefined;
      });
      // One by one: there may be more of them than a call can have arguments.
      found.forEach((each) => seen.push(each));
      wave = childrenOf(found, this.#inventory, asked);
    }
    // Read last: another run takes the index along, and before its children.
    await this.#checkEach(absent, nameOf, (digest) => this.#absentChild(digest, seen));
  }

  async #manifest(digest: Digest): Promise<Manifest | undefined> {
    const { repository, manifests } = this.#inventory;
    const known = manifests.get(digest);
    if (
      known !== undefined &&
      (await this.#options.reader.resolve(repository, digest)) === digest
    ) {
      return known;
    }
    const answer = await this.#read(digest);
    return answer.kind === 'absent' ? undefined : answer.manifest;
  }

  async #absentChild(digest: Digest, seen: readonly Manifest[]): Promise<string | undefined> {
    for (const parent of seen) {
      const holds =
        parent.kind === 'index' && parent.children.some((child) => child.digest === digest);
      if (holds && (await this.#read(parent.digest)).kind === 'found') {
        this.#missing.push(digest);
        const tag = this.#tagOf.get(parent.digest);
        const name = tag === undefined ? '' : `, tag ${tag},`;
        return `the index ${parent.digest}${name} has it as a child, and it is gone`;
      }
    }
    return undefined;
  }
}

/** The children that have not been asked for yet, without those that were missing before the sweep. */
function childrenOf(
  manifests: readonly Manifest[],
  inventory: Inventory,
  asked: Set<Digest>,
): Digest[] {
  const children = manifests.flatMap((manifest) =>
    manifest.kind === 'index' ? manifest.children.map(({ digest }) => digest) : [],
  );
  return children.filter((digest) => {
    const isNew = !asked.has(digest) && !inventory.absent.has(digest);
    asked.add(digest);
    return isNew;
  });
}
