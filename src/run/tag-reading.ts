/**
 * The tags of one repository as they are read: what each points at, and which are listed without a manifest. A HEAD may
 * be answered with another manifest's digest (distribution-spec#207), so HEAD alone is good enough only where nothing
 * is deleted because of it.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import { collectTags, type FormerTags } from '../plan/former-tags.js';
import { RegistryError } from '../registry/registry-error.js';
import type { SurveyContext } from './survey-options.js';

/** The most reads of a broken tag: a push writes a tag in several steps, and Distribution lists it after the first. */
export const MOST_READS = 4;
/** Milliseconds between them. */
export const PAUSE = 500;
/** Where the registry's list may lag behind pushes, each pause is so many times the one before. */
export const LAG_GROWTH = 4;

/** The most reads of a tag where HEAD and GET disagree: it may move between the two requests, but not each time. */
const MOST_ROUNDS = 3;

interface TagReadingOptions extends SurveyContext {
  /** reads a manifest by tag or digest; `undefined` when the registry says that it has none */
  readonly fetch: (reference: string) => Promise<Manifest | undefined>;
  readonly onFound: (manifest: Manifest) => void;
}

export class TagReading {
  readonly #options: TagReadingOptions;
  /** tags that HEAD alone resolved, and that pointed elsewhere before */
  readonly #unconfirmed = new Set<string>();
  #hasAskedAgain = false;
  /** what the registry's list of manifests says of tags */
  #listed: ReadonlyMap<string, Digest> = new Map();
  readonly #fetched = new Map<Digest, Promise<Manifest | undefined>>();
  readonly found = new Map<string, Digest>();
  readonly broken = new Set<string>();
  readonly former: FormerTags;

  constructor(options: TagReadingOptions) {
    this.#options = options;
    this.former = collectTags(options.known.past, options.known.earlier?.tags);
  }

  /**
   * Lists them, and reads each.
   *
   * @param listed the tags that the registry's list of manifests names, each with its manifest
   */
  async read(listed: ReadonlyMap<string, Digest>): Promise<void> {
    this.#listed = listed;
    const { attempts, reader, repository } = this.#options;
    const tags = await attempts.one('the list of tags', () => reader.tags(repository));
    // Both lists count, since either may be the shorter one.
    const names = new Set([...(tags ?? []), ...listed.keys()]);
    await this.#each([...names].sort(), (tag) => this.#readTag(tag));
  }

  /** Reads the tags that HEAD alone resolved, before a delete relies on them. @returns whether there were any */
  async confirm(): Promise<boolean> {
    const tags = [...this.#unconfirmed];
    this.#unconfirmed.clear();
    await this.#each(tags, (tag) => this.#confirmTag(tag, this.found.get(tag)));
    return tags.length > 0;
  }

  /**
   * Reads broken tags again, because a push may be about to write them. Those that an earlier read of this run found
   * broken have had their time. @returns whether any is there now
   */
  async askAgain(): Promise<boolean> {
    const { known, clock, lister } = this.#options;
    // A manifest may be 404 for seconds after its push, where the list comes from another server (GHCR).
    const growth = lister === undefined ? 1 : LAG_GROWTH;
    const isNews = (tag: string) =>
      parseDigestTag(tag) === undefined && known.earlier?.brokenTags.includes(tag) !== true;
    const before = this.broken.size;
    let missing = this.#hasAskedAgain ? [] : [...this.broken].filter(isNews);
    this.#hasAskedAgain = true;
    for (let read = 2; read <= MOST_READS && missing.length > 0; read += 1) {
      await clock.sleep(PAUSE * growth ** (read - 2));
      await this.#each(missing, (tag) => this.#confirmTag(tag, undefined));
      missing = missing.filter((tag) => this.broken.has(tag));
    }
    return this.broken.size < before;
  }

  async #each(tags: readonly string[], read: (tag: string) => Promise<void>): Promise<void> {
    await this.#options.attempts.each(tags, (tag) => `tag ${tag}`, read);
  }

  async #readTag(tag: string): Promise<void> {
    const { reader, repository, fetch, known } = this.#options;
    const { manifests, earlier } = known;
    const listed = this.#listed.get(tag);
    if (earlier !== undefined) {
      await this.#readAgain(tag, earlier.tags.get(tag));
      return;
    }
    const isKnown = manifests.size > 0;
    const digest = listed ?? (isKnown ? await reader.resolve(repository, tag) : undefined);
    // It is read by its digest, so that the manifest is not lost if the tag moves between the two requests.
    const manifest =
      (digest && (manifests.get(digest) ?? (await this.#fetchOnce(digest)))) ?? (await fetch(tag));
    if (digest !== undefined && this.former.hasMoved(tag, digest)) {
      this.#unconfirmed.add(tag);
    }
    this.#noteTag(tag, manifest);
  }

  /** Where the list of manifests and a HEAD say that the tag stands where it stood, nothing more is asked. */
  async #readAgain(tag: string, before: Digest | undefined): Promise<void> {
    const { reader, repository, known } = this.#options;
    const manifest = before && known.manifests.get(before);
    const isListed = manifest !== undefined && this.#listed.get(tag) === before;
    if (isListed && (await reader.resolve(repository, tag)) === before) {
      this.#noteTag(tag, manifest);
    } else {
      await this.#confirmTag(tag, before);
    }
  }

  /** Several tags may point at one manifest. */
  #fetchOnce(digest: Digest): Promise<Manifest | undefined> {
    const fetched = this.#fetched.get(digest) ?? this.#options.fetch(digest);
    this.#fetched.set(digest, fetched);
    return fetched;
  }

  #noteTag(tag: string, manifest: Manifest | undefined): void {
    if (manifest === undefined) {
      this.found.delete(tag);
      this.broken.add(tag);
    } else {
      this.broken.delete(tag);
      this.found.set(tag, manifest.digest);
      this.#options.onFound(manifest);
    }
  }

  /** @param before the manifest that it pointed at before */
  async #confirmTag(tag: string, before: Digest | undefined): Promise<void> {
    this.#noteTag(tag, await this.#confirmed(tag, before));
  }

  /**
   * One GET, and one HEAD if the tag has moved, which has to say the same.
   *
   * @throws RegistryError when the two disagree each time
   */
  async #confirmed(tag: string, before: Digest | undefined): Promise<Manifest | undefined> {
    const { reader, repository, fetch } = this.#options;
    for (let round = 1; ; round += 1) {
      const manifest = await fetch(tag);
      if (manifest === undefined || before === undefined || manifest.digest === before) {
        return manifest;
      }
      const said = await reader.resolve(repository, tag);
      if (said === undefined || said === manifest.digest) {
        return manifest;
      }
      if (round === MOST_ROUNDS) {
        throw new RegistryError(
          'unexpected',
          `HEAD says that it points at ${said}, and GET brings ${manifest.digest}. A proxy that ignores \`Accept\` ` +
            'answers so: let it pass requests under `/v2/` through unchanged, or give `registry-url` the address of ' +
            'the registry itself',
        );
      }
    }
  }
}
