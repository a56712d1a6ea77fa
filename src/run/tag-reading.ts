/** The tags of one repository as they are read: what each points at, and which are listed without a manifest. */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { Attempts } from './attempts.js';
import { collectTags, type FormerTags } from '../plan/former-tags.js';
import type { Known } from './known.js';
import type { SurveyOptions } from './survey-types.js';
import { MOST_READS, PAUSE, readTag } from './tag.js';

interface TagReadingOptions extends Pick<SurveyOptions, 'reader' | 'clock'> {
  readonly attempts: Attempts;
  /** reads a manifest by tag or digest; `undefined` when the registry says that it is unknown */
  readonly fetch: (reference: string) => Promise<Manifest | undefined>;
  readonly onFound: (manifest: Manifest) => void;
  /** tags that the registry's list of manifests names */
  readonly listed: () => readonly string[];
}

export class TagReading {
  readonly #repository: string;
  readonly #known: Known;
  readonly #options: TagReadingOptions;
  /** resolved by HEAD alone, and remembered elsewhere */
  readonly #unconfirmed = new Set<string>();
  #hasAskedAgain = false;
  readonly found = new Map<string, Digest>();
  readonly broken = new Set<string>();
  readonly former: FormerTags;

  constructor(repository: string, known: Known, options: TagReadingOptions) {
    this.#repository = repository;
    this.#known = known;
    this.#options = options;
    this.former = collectTags(known.past, known.earlier?.tags);
  }

  /** Lists them, and reads each. */
  async read(): Promise<void> {
    const tags = await this.#options.attempts.one('the list of tags', () =>
      this.#options.reader.tags(this.#repository),
    );
    // United: either list may be the shorter one.
    const names = new Set([...(tags ?? []), ...this.#options.listed()]);
    await this.#each([...names].sort(), (tag) => this.#readTag(tag));
  }

  /** What was resolved by HEAD alone is read, before anything is deleted because of it. @returns whether there was any */
  async confirm(): Promise<boolean> {
    const tags = [...this.#unconfirmed];
    this.#unconfirmed.clear();
    await this.#each(tags, (tag) => this.#confirmTag(tag, this.found.get(tag)));
    return tags.length > 0;
  }

  /**
   * A tag that is listed and not there may be about to come. What was broken at an earlier look of this run has been
   * asked for by then. @returns whether any has come
   */
  async askAgain(): Promise<boolean> {
    const isNews = (tag: string) =>
      parseDigestTag(tag) === undefined && this.#known.earlier?.brokenTags.includes(tag) !== true;
    const before = this.broken.size;
    let missing = this.#hasAskedAgain ? [] : [...this.broken].filter(isNews);
    this.#hasAskedAgain = true;
    for (let look = 2; look <= MOST_READS && missing.length > 0; look += 1) {
      await this.#options.clock.sleep(PAUSE);
      await this.#each(missing, (tag) => this.#confirmTag(tag, undefined));
      missing = missing.filter((tag) => this.broken.has(tag));
    }
    return this.broken.size < before;
  }

  async #each(tags: readonly string[], read: (tag: string) => Promise<void>): Promise<void> {
    await this.#options.attempts.each(tags, (tag) => `tag ${tag}`, read);
  }

  async #readTag(tag: string): Promise<void> {
    const { reader, fetch } = this.#options;
    const { manifests, earlier } = this.#known;
    if (earlier !== undefined) {
      await this.#confirmTag(tag, earlier.tags.get(tag));
      return;
    }
    const digest = manifests.size > 0 ? await reader.resolve(this.#repository, tag) : undefined;
    // By its digest, so that what was seen is not lost when the tag moves on between the two questions.
    const manifest =
      (digest && (manifests.get(digest) ?? (await fetch(digest)))) ?? (await fetch(tag));
    if (digest !== undefined && this.former.hasMoved(tag, digest)) {
      this.#unconfirmed.add(tag);
    }
    this.#noteTag(tag, manifest);
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

  /** @param before where it was seen before */
  async #confirmTag(tag: string, before: Digest | undefined): Promise<void> {
    const resolve = () => this.#options.reader.resolve(this.#repository, tag);
    this.#noteTag(tag, await readTag(before, () => this.#options.fetch(tag), resolve));
  }
}
