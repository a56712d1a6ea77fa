/**
 * Reads one repository into an inventory. Only reads: GET and HEAD. What can't be read becomes a gap,
 * and never a silent absence.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { protectionIn, someOf } from '../protection/protection.js';
import type { ManifestAnswer } from '../registry/reader.js';
import { createAttempts, type Attempts } from './attempts.js';
import { collectTags, type FormerTags } from './former-tags.js';
import type { ImageFacts, Inventory, Source } from './inventory.js';
import { NOTHING_KNOWN, type Known } from './known.js';
import { perhapsLayers, readAs, readLinks } from './layer-links.js';
import { makePlan, unknownAges, type Plan } from './plan.js';
import { mentionOf, namedBy, namedByTags, perhapsManifests, type Found } from './naming.js';
import { createReferrerQuestions, type ReferrerQuestions } from './referrer-questions.js';
import { createSharing } from './sharing.js';
import type { Survey, SurveyOptions } from './survey-types.js';
import { readTag } from './tag.js';

export type { Progress } from './attempts.js';
export type { Known } from './known.js';

export type { Survey, SurveyOptions } from './survey-types.js';

/**
 * Reads a repository until nothing new appears: its tags, the candidates, and every manifest that one
 * of those names. Then, for what looks like an orphan, the ages and referrers that might save it; with
 * them the plan is made again, until it asks for nothing more.
 *
 * What is known is not fetched again: tags are resolved with HEAD, and known manifests are asked for only
 * if nothing in use names them. Should anything look like an orphan, the rest of them are asked for as well.
 *
 * @param candidates digests that may exist in the repository
 */
export async function surveyRepository(
  repository: string,
  candidates: Iterable<Digest>,
  options: SurveyOptions,
  known: Known = NOTHING_KNOWN,
): Promise<Survey> {
  const reading = new Reading(repository, options, known);
  await reading.readTags();
  await reading.follow([...candidates].map((digest) => ({ digest, source: 'input' })));
  const past = [...known.past.keys()].filter((digest) => known.earlier?.gone?.has(digest) !== true);
  await reading.follow(past.map((digest) => ({ digest, source: 'ledger' })));
  for (;;) {
    const inventory = reading.inventory();
    const plan = makePlan(inventory, options.policy);
    if (!(await reading.lookCloser(inventory, plan))) {
      return { inventory, plan, bodies: reading.bodies };
    }
  }
}

class Reading {
  readonly #repository: string;
  readonly #options: SurveyOptions;
  readonly #known: Known;
  readonly #tags = new Map<string, Digest>();
  readonly #manifests = new Map<Digest, Manifest>();
  readonly #absent = new Set<Digest>();
  readonly #brokenTags: string[] = [];
  /** resolved by HEAD alone, and remembered elsewhere */
  readonly #unconfirmedTags = new Set<string>();
  readonly #formerTags: FormerTags;
  readonly #sources = new Map<Digest, Source>();
  readonly #facts: Map<Digest, ImageFacts>;
  readonly #attempts: Attempts;
  /** asked for by digest: nothing is asked for twice, whatever came of it */
  readonly #begun = new Set<Digest>();
  readonly #referrers: ReferrerQuestions;
  #hasFoundProtected = false;
  /** what only may be a manifest of this repository, and is not there as one */
  readonly #elsewhere = new Set<Digest>();
  #links: ReadonlyMap<Digest, boolean>;
  /** known manifests that something names, taken to be there without asking */
  readonly #presumed = new Set<Digest>();
  readonly bodies = new Map<Digest, string>();
  #isUntyped = false;
  readonly #share = createSharing();

  constructor(repository: string, options: SurveyOptions, known: Known) {
    this.#repository = repository;
    this.#options = options;
    this.#known = known;
    this.#facts = new Map(known.earlier?.facts);
    this.#links = new Map(known.earlier?.links);
    this.#formerTags = collectTags(known.past, known.earlier?.tags);
    this.#attempts = createAttempts(options);
    this.#referrers = createReferrerQuestions(options.reader, repository, this.#attempts);
  }

  inventory(): Inventory {
    return {
      repository: this.#repository,
      tags: new Map(this.#tags),
      manifests: new Map(this.#manifests),
      absent: new Set(this.#absent),
      brokenTags: [...this.#brokenTags].sort(),
      referrers: new Map(this.#referrers.answers),
      sources: new Map(this.#sources),
      facts: new Map(this.#facts),
      past: this.#known.past,
      links: this.#links,
      formerTags: this.#formerTags.byManifest,
      gaps: this.#attempts.gaps(),
      ...(this.#isUntyped ? { isUntyped: true } : {}),
    };
  }

  async readTags(): Promise<void> {
    const tags = await this.#attempts.one('the list of tags', () =>
      this.#options.reader.tags(this.#repository),
    );
    await this.#attempts.each(
      tags ?? [],
      (tag) => `tag ${tag}`,
      (tag) => this.#readTag(tag),
    );
    await this.follow([
      ...[...this.#manifests.values()].flatMap(namedBy),
      ...namedByTags([...this.#tags.keys(), ...this.#brokenTags]),
    ]);
  }

  async #readTag(tag: string): Promise<void> {
    const { reader } = this.#options;
    const { manifests, earlier } = this.#known;
    if (earlier !== undefined) {
      await this.#confirmTag(tag, earlier.tags.get(tag));
      return;
    }
    const digest = manifests.size > 0 ? await reader.resolve(this.#repository, tag) : undefined;
    // By its digest, so that what was seen is not lost when the tag moves on between the two questions.
    const manifest =
      (digest && (manifests.get(digest) ?? (await this.#fetch(digest)))) ??
      (await this.#fetch(tag));
    if (digest !== undefined && this.#formerTags.hasMoved(tag, digest)) {
      this.#unconfirmedTags.add(tag);
    }
    this.#noteTag(tag, manifest);
  }

  #noteTag(tag: string, manifest: Manifest | undefined): void {
    if (manifest === undefined) {
      this.#tags.delete(tag);
      this.#brokenTags.push(tag);
    } else {
      this.#tags.set(tag, manifest.digest);
      this.#note(manifest, 'tag');
    }
  }

  /** @param before where it was seen before */
  async #confirmTag(tag: string, before: Digest | undefined): Promise<void> {
    const resolve = () => this.#options.reader.resolve(this.#repository, tag);
    this.#noteTag(tag, await readTag(before, () => this.#fetch(tag), resolve));
  }

  /** What was resolved by HEAD alone is read, before anything is deleted because of it. @returns whether there was any */
  async #confirmTags(): Promise<boolean> {
    const tags = [...this.#unconfirmedTags];
    this.#unconfirmedTags.clear();
    await this.#attempts.each(
      tags,
      (tag) => `tag ${tag}`,
      (tag) => this.#confirmTag(tag, this.#tags.get(tag)),
    );
    await this.follow([...this.#manifests.values()].flatMap(namedBy));
    return tags.length > 0;
  }

  async #fetch(reference: string): Promise<Manifest | undefined> {
    return this.#taken(await this.#options.reader.manifest(this.#repository, reference));
  }

  #taken(answer: ManifestAnswer | { readonly kind: 'blob' }): Manifest | undefined {
    if (answer.kind !== 'found') {
      return undefined;
    }
    this.#isUntyped ||= answer.isUntyped === true;
    this.bodies.set(answer.manifest.digest, answer.body);
    return answer.manifest;
  }

  /** Reads these manifests and, wave by wave, all that they name. */
  async follow(found: readonly Found[]): Promise<void> {
    let wave = this.#unread(found);
    while (wave.length > 0) {
      const read: Manifest[] = [];
      await this.#attempts.each(
        wave,
        ({ digest }) => `manifest ${digest}`,
        async ({ digest, source }) => {
          const manifest = await this.#readManifest(digest, source);
          if (manifest === undefined) {
            this.#absent.add(digest);
            this.#sources.set(digest, source);
          } else {
            this.#note(manifest, source);
            read.push(manifest);
          }
        },
      );
      wave = !this.#attempts.isOver() ? this.#unread(read.flatMap(namedBy)) : [];
    }
  }

  async #readManifest(digest: Digest, source: Source): Promise<Manifest | undefined> {
    const known = this.#known.manifests.get(digest);
    if (known === undefined || this.#known.earlier !== undefined) {
      return (
        known ?? this.#taken(await readAs(source, this.#options.reader, this.#repository, digest))
      );
    }
    if (source !== 'input' && source !== 'ledger') {
      this.#presumed.add(digest);
      return known;
    }
    return (await this.#isThere(digest)) ? known : undefined;
  }

  /** HEAD; and GET where its answer settles nothing, as that of an absent manifest never does. */
  async #isThere(digest: Digest): Promise<boolean> {
    const { reader } = this.#options;
    return (
      (await reader.resolve(this.#repository, digest)) === digest ||
      (await this.#fetch(digest)) !== undefined
    );
  }

  /** What was presumed is asked for. @returns whether there was any */
  async #confirm(): Promise<boolean> {
    const presumed = [...this.#presumed];
    this.#presumed.clear();
    await this.#attempts.each(
      presumed,
      (digest) => `manifest ${digest}`,
      async (digest) => {
        if (!(await this.#isThere(digest))) {
          this.#manifests.delete(digest);
          this.#absent.add(digest);
        }
      },
    );
    return presumed.length > 0;
  }

  #unread(found: readonly Found[]): Found[] {
    return found.filter(({ digest, source }) => {
      if (this.#elsewhere.delete(digest)) {
        this.#absent.add(digest);
        this.#sources.set(digest, source);
      }
      if (this.#begun.has(digest) || this.#manifests.has(digest)) {
        return false;
      }
      this.#begun.add(digest);
      return true;
    });
  }

  #note(manifest: Manifest, source: Source): void {
    this.#manifests.set(manifest.digest, this.#share(manifest));
    if (!this.#sources.has(manifest.digest)) {
      this.#sources.set(manifest.digest, source);
    }
  }

  /**
   * Reads what the plan still has to know before its orphans can be believed.
   *
   * @returns whether anything was read, so that the plan has to be made again
   */
  async lookCloser(inventory: Inventory, plan: Plan): Promise<boolean> {
    if (plan.orphans.length === 0 || inventory.gaps.length > 0) {
      return false;
    }
    if (await this.#confirmTags()) {
      return true;
    }
    // What a later run would take for a broken image must have been there before the first delete.
    if (await this.#confirm()) {
      return true;
    }
    // An index among them may hold what looks like an orphan.
    const mentioned = new Set([...inventory.manifests.values()].flatMap(perhapsManifests));
    if ((await this.#findProtected()) || (await this.#find(mentioned, 'mentioned', mentionOf))) {
      return true;
    }
    const young = unknownAges(inventory, plan, this.#options.policy);
    await this.#attempts.each(
      young,
      ({ config }) => `config ${config.digest}`,
      async (image) => {
        this.#facts.set(
          image.digest,
          await this.#options.reader.imageFacts(this.#repository, image),
        );
      },
    );
    if (young.length > 0) {
      return true;
    }
    const referrers = await this.#referrers.ask(inventory.manifests.keys());
    if (referrers !== undefined) {
      await this.follow(referrers);
      return true;
    }
    // Last, of those that are left: some may be layers, and no manifests at all.
    const unlinked = perhapsLayers(inventory, plan);
    const { reader } = this.#options;
    this.#links = await readLinks(unlinked, inventory, { reader, attempts: this.#attempts });
    return unlinked.length > 0;
  }

  /**
   * What is protected may be here without anything that names it, and hold what looks like an orphan. Asked
   * for only now, because files may protect many digests, most of them elsewhere.
   */
  async #findProtected(): Promise<boolean> {
    if (this.#hasFoundProtected) {
      return false;
    }
    this.#hasFoundProtected = true;
    const { protection } = this.#options.policy;
    const local = protectionIn(this.#repository, protection);
    return this.#find(
      local.named(),
      'protected',
      (digest) => `protected manifest ${digest} (named by ${someOf(local.of(digest))})`,
    );
  }

  /** Of these, those that are here are read, with all that they name; nobody misses the others. */
  async #find(
    digests: ReadonlySet<Digest>,
    source: 'protected' | 'mentioned',
    what: (digest: Digest) => string,
  ): Promise<boolean> {
    const unread = [...digests].filter(
      (digest) => !this.#begun.has(digest) && !this.#manifests.has(digest),
    );
    const read: Manifest[] = [];
    await this.#attempts.each(unread, what, async (digest) => {
      this.#begun.add(digest);
      const manifest = await this.#readManifest(digest, source);
      if (manifest === undefined) {
        this.#elsewhere.add(digest);
      } else {
        this.#note(manifest, source);
        read.push(manifest);
      }
    });
    await this.follow(read.flatMap(namedBy));
    return unread.length > 0;
  }
}
