/**
 * Verifies after a sweep that every kept tag is still listed and resolves, and that every child of every index behind
 * one resolves, too. It only reads.
 */
import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { failureMessage } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { Outcome, Verified } from '../plan/fate.js';
import { compare } from '../plan/graph.js';
import type { Inventory } from '../plan/inventory.js';
import type { ManifestAnswer, Reader } from '../registry/registry.js';
import { coded } from '../text/code.js';
import { MOST_READS, PAUSE } from './tag-reading.js';

export interface VerifyOptions {
  readonly reader: Reader;
  readonly concurrency: number;
  readonly clock: Clock;
  /** a failed read proves nothing once it is aborted */
  readonly stop: AbortSignal;
}

interface VerifyResult {
  /** things that no longer resolve, or could not be read; texts are safe to print */
  readonly broken: Outcome['broken'];
  /** the manifests among them that the registry says it does not have, and that something kept needs */
  readonly missing: readonly Digest[];
  /** the target of each listed tag; absent when not all could be read */
  readonly tags: ReadonlyMap<string, Digest> | undefined;
  /** how many kept tags, and children of what they lead to, were asked for */
  readonly asked: Verified;
  /** false when the run was stopped before everything was read */
  readonly isComplete: boolean;
}

/**
 * Tags and children that were broken before the sweep, and tags of deleted manifests, are not reported.
 *
 * @param inventory the repository right before the sweep, or without some deleted manifests
 * @param deleted the manifests that the sweep deleted
 */
export async function verifyRepository(
  inventory: Inventory,
  deleted: ReadonlySet<Digest>,
  options: VerifyOptions,
): Promise<VerifyResult> {
  return new Verification({ ...options, inventory, deleted }).run();
}

interface Swept extends VerifyOptions {
  readonly inventory: Inventory;
  readonly deleted: ReadonlySet<Digest>;
}

class Verification {
  readonly #swept: Swept;
  readonly #broken: { what: string; why: string }[] = [];
  readonly #missing: Digest[] = [];
  #isComplete = true;
  #listed: ReadonlySet<string> | undefined;
  /** the targets of tags now: manifests known from before, and those that a push brought meanwhile */
  readonly #standing = new Map<Digest, Manifest>();
  readonly #tags = new Map<string, Digest>();

  constructor(swept: Swept) {
    this.#swept = swept;
  }

  async run(): Promise<VerifyResult> {
    const { inventory, deleted } = this.#swept;
    await this.#list();
    const expected = [...inventory.tags].filter(([, digest]) => !deleted.has(digest));
    const all = [...new Set([...(this.#listed ?? []), ...expected.map(([tag]) => tag)])];
    const unbroken = all.filter((tag) => !inventory.brokenTags.includes(tag));
    await this.#checkEach(unbroken, nameOfTag, (tag) => this.#tag(tag));
    await this.#checkEach(
      await this.#unlisted(expected),
      ([tag]) => nameOfTag(tag),
      ([tag, digest]) => this.#unlistedTag(tag, digest),
    );
    const children = await this.#children();
    return {
      broken: this.#broken.sort((a, b) => compare(a.what, b.what)),
      missing: this.#missing,
      asked: { tags: unbroken.length, children },
      tags: this.#isComplete && this.#listed !== undefined ? this.#tags : undefined,
      isComplete: this.#isComplete,
    };
  }

  /** @param read resolves with the reason if it is broken */
  async #check(what: string, read: () => Promise<string | undefined>): Promise<void> {
    try {
      const why = await read();
      if (why !== undefined) {
        this.#broken.push({ what, why });
      }
    } catch (error) {
      const why = `could not be read again: ${failureMessage(error)}`;
      if (this.#swept.stop.aborted) {
        this.#isComplete = false;
      } else {
        this.#broken.push({ what, why });
      }
    }
  }

  async #checkEach<T>(
    each: readonly T[],
    nameOf: (one: T) => string,
    read: (one: T) => Promise<string | undefined>,
  ): Promise<void> {
    const { concurrency } = this.#swept;
    await pMap(each, (one) => this.#check(nameOf(one), () => read(one)), { concurrency });
  }

  #read(reference: string): Promise<ManifestAnswer> {
    return this.#swept.reader.manifest(this.#swept.inventory.repository, reference);
  }

  async #list(): Promise<void> {
    const { reader, inventory } = this.#swept;
    await this.#check('the list of tags', async () => {
      this.#listed = new Set(await reader.tags(inventory.repository));
      return undefined;
    });
  }

  async #tag(tag: string): Promise<string | undefined> {
    const { inventory, deleted, clock } = this.#swept;
    const before = inventory.tags.get(tag);
    for (let read = 1; read <= MOST_READS; read += 1) {
      // HEAD is not enough, because some registries answer it with another manifest's digest.
      const answer = await this.#read(tag);
      if (answer.kind === 'found') {
        const { digest } = answer.manifest;
        // The known manifest is the same, and in memory already.
        this.#standing.set(digest, inventory.manifests.get(digest) ?? answer.manifest);
        this.#tags.set(tag, digest);
        return undefined;
      }
      // Some registries leave the tags of a deleted manifest behind.
      const isDeleted = before !== undefined && deleted.has(before);
      if (isDeleted || (await this.#namesNothing(tag))) {
        return undefined;
      }
      if (read < MOST_READS) {
        await clock.sleep(PAUSE);
      }
    }
    if (before !== undefined) {
      this.#missing.push(before);
    }
    return 'its manifest is gone';
  }

  /** Another run may delete signatures with their image, and Distribution may leave their tags behind. */
  async #namesNothing(tag: string): Promise<boolean> {
    const named = parseDigestTag(tag)?.names;
    return named !== undefined && (await this.#read(named)).kind === 'absent';
  }

  /** The kept tags that are no longer listed. A cache may still answer for them by name. */
  async #unlisted(expected: readonly [string, Digest][]): Promise<[string, Digest][]> {
    const { clock, stop } = this.#swept;
    const unlisted = () =>
      expected.filter(([tag]) => this.#tags.has(tag) && this.#listed?.has(tag) === false);
    for (let read = 1; read < MOST_READS && unlisted().length > 0 && !stop.aborted; read += 1) {
      await clock.sleep(PAUSE);
      await this.#list();
    }
    return unlisted();
  }

  async #unlistedTag(tag: string, before: Digest): Promise<string | undefined> {
    if (await this.#namesNothing(tag)) {
      return undefined;
    }
    this.#missing.push(before);
    return coded(
      'it is not in the list of tags any more. By its name it still answers: is that an old answer of a cache?',
      'tag-list-shrank',
    );
  }

  /** @returns how many children there are, of all indexes that a tag leads to */
  async #children(): Promise<number> {
    const seen = [...this.#standing.values()];
    const absent: Digest[] = [];
    // Children that were missing before the sweep are not asked for.
    const asked = new Set(this.#swept.inventory.absent);
    for (let begun = 0; begun < seen.length;) {
      const children = new Set(seen.slice(begun).flatMap(childrenOf));
      const wave = [...children].filter((digest) => !asked.has(digest));
      wave.forEach((digest) => asked.add(digest));
      begun = seen.length;
      await this.#checkEach(wave, nameOfManifest, async (digest) => {
        const manifest = await this.#manifest(digest);
        if (manifest === undefined) {
          absent.push(digest);
        } else {
          seen.push(manifest);
        }
        return undefined;
      });
    }
    // The parents are read last: another run deletes an index before its children.
    await this.#checkEach(absent, nameOfManifest, (digest) => this.#absentChild(digest, seen));
    return asked.size - this.#swept.inventory.absent.size;
  }

  async #manifest(digest: Digest): Promise<Manifest | undefined> {
    const { reader, inventory } = this.#swept;
    const known = inventory.manifests.get(digest);
    if (known !== undefined && (await reader.resolve(inventory.repository, digest)) === digest) {
      return known;
    }
    const answer = await this.#read(digest);
    return answer.kind === 'absent' ? undefined : answer.manifest;
  }

  async #absentChild(digest: Digest, seen: readonly Manifest[]): Promise<string | undefined> {
    for (const parent of seen) {
      const isChild = childrenOf(parent).includes(digest);
      if (isChild && (await this.#read(parent.digest)).kind === 'found') {
        this.#missing.push(digest);
        const tag = [...this.#tags].find(([, named]) => named === parent.digest)?.[0];
        const name = tag === undefined ? '' : `, tag ${tag},`;
        return `the index ${parent.digest}${name} has it as a child, and it is gone`;
      }
    }
    return undefined;
  }
}

const nameOfTag = (tag: string) => `tag ${tag}`;
const nameOfManifest = (digest: Digest) => `manifest ${digest}`;

function childrenOf(manifest: Manifest): Digest[] {
  return manifest.kind === 'index' ? manifest.children.map(({ digest }) => digest) : [];
}
