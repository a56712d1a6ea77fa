/**
 * Reads one repository into an inventory. Only reads: GET and HEAD. What can't be read becomes a gap,
 * and never a silent absence.
 */
import type { ImageFacts } from '../oci/image-config.js';
import type { Survey } from '../plan/survey.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { protectionIn, someOf } from '../plan/protection.js';
import { RegistryError } from '../registry/registry-error.js';
import { createAttempts, type Attempts } from './attempts.js';
import type { Inventory } from '../plan/inventory.js';
import { NOTHING_KNOWN, type Known } from './known.js';
import { perhapsLayers, readLinks } from './layer-links.js';
import { makePlan, unknownAges, type Plan } from '../plan/plan.js';
import { mentionOf, namedBy, namedByTags, perhapsManifests, type Found } from '../plan/naming.js';
import { ManifestReading } from './manifest-reading.js';
import { ListingReading } from './listing-reading.js';
import { createReferrerQuestions, type ReferrerQuestions } from './referrer-questions.js';
import { createSharing } from './sharing.js';
import type { SurveyOptions } from './survey-types.js';
import { TagReading } from './tag-reading.js';

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
  await reading.readListing();
  await reading.readTags();
  await reading.follow([...candidates].map((digest) => ({ digest, source: 'input' })));
  const past = [...known.past]
    .filter(
      ([digest, { status }]) => status !== 'deleted' && known.earlier?.gone?.has(digest) !== true,
    )
    .map(([digest]) => ({ digest, source: 'ledger' as const }));
  await reading.follow(past);
  for (;;) {
    const inventory = reading.inventory();
    const plan = makePlan(inventory, options.policy);
    if (!(await reading.lookCloser(inventory, plan))) {
      return { inventory, plan, bodies: reading.bodies() };
    }
  }
}

/** Each costs a request. A build cache lists some hundreds, and plainly as layers. */
const MOST_MENTIONED = 10_000;

function tooManyMentions(): RegistryError {
  return new RegistryError(
    'unexpected',
    `indexes list, and manifests of unknown types mention, more than ${String(MOST_MENTIONED)} digests that may be ` +
      'manifests as well. No tool is known to make such: delete them with another tool, or leave the repository out ' +
      'with `repositories`',
  );
}

class Reading {
  readonly #repository: string;
  readonly #options: SurveyOptions;
  readonly #known: Known;
  readonly #manifests = new Map<Digest, Manifest>();
  readonly #absent = new Set<Digest>();
  readonly #tags: TagReading;
  readonly #list: ListingReading;
  readonly #reads: ManifestReading;
  readonly #facts: Map<Digest, ImageFacts>;
  readonly #attempts: Attempts;
  /** asked for by digest, found or not: nothing is asked for twice */
  readonly #begun = new Set<Digest>();
  readonly #referrers: ReferrerQuestions;
  #hasFoundProtected = false;
  /** what only may be a manifest of this repository, and is not there as one */
  readonly #elsewhere = new Set<Digest>();
  #links: ReadonlyMap<Digest, boolean>;
  readonly #share = createSharing();

  constructor(repository: string, options: SurveyOptions, known: Known) {
    this.#repository = repository;
    this.#options = options;
    this.#known = known;
    this.#facts = new Map(known.earlier?.facts);
    this.#links = new Map(known.earlier?.links);
    this.#attempts = createAttempts(options);
    const { lister, clock } = options;
    this.#list = new ListingReading(repository, {
      lister,
      clock,
      attempts: this.#attempts,
      confirm: (digest) => this.#confirm(digest),
      isExpectedGone: (digest) => this.#reads.isExpectedGone(digest),
    });
    this.#reads = new ManifestReading(repository, known, {
      ...options,
      attempts: this.#attempts,
      isListed: (digest) => this.#list.listing?.has(digest) === true,
    });
    this.#tags = new TagReading(repository, known, {
      ...options,
      attempts: this.#attempts,
      listed: () => this.#list.tags(),
      fetch: (reference) => this.#reads.fetch(reference),
      onFound: (manifest) => {
        this.#note(manifest);
      },
    });
    this.#referrers = createReferrerQuestions(options.reader, repository, this.#attempts);
  }

  #drop(digest: Digest): void {
    this.#manifests.delete(digest);
    this.#absent.add(digest);
  }

  async #confirm(digest: Digest): Promise<boolean> {
    const isThere = await this.#reads.isThere(digest);
    if (!isThere) {
      this.#drop(digest);
    }
    return isThere;
  }

  bodies(): ReadonlyMap<Digest, string> {
    return this.#reads.bodies;
  }

  inventory(): Inventory {
    return {
      repository: this.#repository,
      tags: new Map(this.#tags.found),
      manifests: new Map(this.#manifests),
      absent: new Set(this.#absent),
      ghosts: this.#ghosts(),
      brokenTags: [...this.#tags.broken].sort(),
      referrers: new Map(this.#referrers.answers),
      facts: new Map(this.#facts),
      past: this.#known.past,
      listing: this.#list.listing,
      links: this.#links,
      formerTags: this.#tags.former.byManifest,
      gaps: this.#attempts.gaps(),
      ...(this.#reads.isUntyped ? { isUntyped: true } : {}),
    };
  }

  #ghosts(): ReadonlyMap<Digest, Manifest> {
    const { manifests, earlier } = this.#known;
    const isGone = ([digest]: [Digest, Manifest]) =>
      !this.#manifests.has(digest) &&
      (this.#absent.has(digest) || this.#known.past.get(digest)?.status === 'deleted');
    return new Map([...(earlier?.ghosts ?? []), ...manifests].filter(isGone));
  }

  async readListing(): Promise<void> {
    await this.follow(await this.#list.read());
  }

  async readTags(): Promise<void> {
    await this.#tags.read();
    await this.#followAll();
  }

  /** Whatever is named by what was read, and by the tags. */
  async #followAll(): Promise<void> {
    await this.follow([
      ...[...this.#manifests.values()].flatMap(namedBy),
      ...namedByTags([...this.#tags.found.keys(), ...this.#tags.broken]),
    ]);
  }

  /** Reads these manifests and, wave by wave, all that they name. */
  async follow(found: readonly Found[]): Promise<void> {
    let wave = this.#unread(found);
    while (wave.length > 0) {
      const read = await this.#readEach(
        wave,
        (digest) => `manifest ${digest}`,
        ({ digest }) => this.#absent.add(digest),
      );
      wave = !this.#attempts.isOver() ? this.#unread(read.flatMap(namedBy)) : [];
    }
  }

  /** @param miss told of each that is not there */
  async #readEach(
    found: readonly Found[],
    what: (digest: Digest) => string,
    miss: (one: Found) => void,
  ): Promise<Manifest[]> {
    const read: Manifest[] = [];
    await this.#attempts.each(
      found,
      ({ digest }) => what(digest),
      async (one) => {
        this.#begun.add(one.digest);
        const manifest = await this.#reads.read(one.digest, one.source);
        if (manifest === undefined) {
          miss(one);
        } else {
          this.#note(manifest);
          read.push(manifest);
        }
      },
    );
    return read;
  }

  #unread(found: readonly Found[]): Found[] {
    return found.filter(({ digest }) => {
      if (this.#elsewhere.delete(digest)) {
        this.#absent.add(digest);
      }
      if (this.#begun.has(digest) || this.#manifests.has(digest)) {
        return false;
      }
      this.#begun.add(digest);
      return true;
    });
  }

  #note(manifest: Manifest): void {
    this.#manifests.set(manifest.digest, this.#share(manifest));
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
    if ((await this.#tags.askAgain()) || (await this.#tags.confirm())) {
      await this.#followAll();
      return true;
    }
    const before = this.#manifests.size;
    const listed = await this.#list.check(inventory);
    if (listed !== undefined) {
      await this.follow(listed);
      return true;
    }
    if (this.#manifests.size < before) {
      return true;
    }
    // What a later run would take for a broken image must have been there before the first delete.
    if (
      await this.#reads.confirm((digest) => {
        this.#drop(digest);
      })
    ) {
      return true;
    }
    // An index among them may hold what looks like an orphan.
    const mentioned = new Set([...inventory.manifests.values()].flatMap(perhapsManifests));
    if (mentioned.size > MOST_MENTIONED) {
      await this.#attempts.one('what manifests mention', () => Promise.reject(tooManyMentions()));
      return true;
    }
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
    // A complete list has led to every referrer, and its body tells its subject.
    const referrers =
      inventory.listing === undefined
        ? await this.#referrers.ask(inventory.manifests.keys())
        : undefined;
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
    const unread = [...digests]
      .filter((digest) => !this.#begun.has(digest) && !this.#manifests.has(digest))
      .map((digest) => ({ digest, source }));
    const read = await this.#readEach(unread, what, ({ digest }) => this.#elsewhere.add(digest));
    await this.follow(read.flatMap(namedBy));
    return unread.length > 0;
  }
}
