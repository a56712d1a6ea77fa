/**
 * Reads one repository into an inventory. It sends GET and HEAD only. A failed read becomes a gap,
 * and never a silent absence.
 */
import type { Digest } from '../oci/digest.js';
import type { ImageFacts } from '../oci/image-config.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { Inventory } from '../plan/inventory.js';
import { mentionOf, namedBy, namedByTags, perhapsManifests, type Found } from '../plan/naming.js';
import { makePlan, unknownAges, type Plan } from '../plan/plan.js';
import { protectionIn, someOf } from '../plan/protection.js';
import type { Survey } from '../plan/survey.js';
import { coded } from '../text/code.js';
import { Attempts } from './attempts.js';
import { findEarlierIndexes } from './earlier-indexes.js';
import { FormerManifests } from './former-manifests.js';
import { perhapsLayers, readLinks } from './layer-links.js';
import { ListingReading } from './listing-reading.js';
import { ManifestReading } from './manifest-reading.js';
import { ReferrerQuestions } from './referrer-questions.js';
import type { Knowledge, SurveyContext, SurveyOptions } from './survey-options.js';
import { TagReading } from './tag-reading.js';

/**
 * Reads a repository until nothing new appears: its tags, the candidates, and every manifest that one
 * of those names. For each apparent orphan it then reads the ages and referrers that might save it. The plan is
 * made again with them, until it asks for nothing more.
 *
 * Known manifests are not fetched again. Tags are resolved with HEAD, and known manifests are asked for only
 * if nothing in use names them. If anything looks like an orphan, the rest of them are asked for as well.
 *
 * @param candidates digests that may exist in the repository
 */
export async function surveyRepository(
  repository: string,
  candidates: Iterable<Digest>,
  options: SurveyOptions,
  known: Knowledge = { manifests: new Map(), past: new Map() },
): Promise<Survey> {
  const reading = new Reading({ ...options, repository, known, attempts: new Attempts(options) });
  await reading.readLists();
  await reading.follow([...candidates].map((digest) => ({ digest, source: 'input' })));
  const past = [...known.past]
    .filter(
      ([digest, { status }]) => status !== 'deleted' && known.earlier?.gone?.has(digest) !== true,
    )
    .map(([digest]) => ({ digest, source: 'ledger' as const }));
  await reading.follow(past);
  await reading.followEarlierIndexes();
  for (;;) {
    const survey = reading.survey();
    if (!(await reading.readMore(survey))) {
      return survey;
    }
  }
}

/** Each costs a request. A build cache lists some hundreds, and plainly as layers. */
const MOST_MENTIONED = 10_000;
const TOO_MANY_MENTIONED =
  `indexes list, and manifests of unknown types mention, more than ${MOST_MENTIONED} digests that may be ` +
  'manifests as well. No known tool makes such manifests: delete them with another tool, or leave the repository ' +
  'out with `repositories`';

class Reading {
  readonly #context: SurveyContext;
  readonly #tags: TagReading;
  readonly #list: ListingReading;
  readonly #reads: ManifestReading;
  readonly #referrers: ReferrerQuestions;
  readonly #former: FormerManifests;
  readonly #facts: Map<Digest, ImageFacts>;
  /** digests that were asked for, found or not: none is asked for twice */
  readonly #begun = new Set<Digest>();
  /** digests that may be manifests of this repository, and are not there as manifests */
  readonly #elsewhere = new Set<Digest>();
  /**
   * Listed children that an index calls image manifests. They name nothing but a subject, which matters only once
   * something looks like an orphan, so they are left unread until then.
   */
  readonly #spared = new Set<Digest>();
  #spares: boolean;
  #links: ReadonlyMap<Digest, boolean>;

  constructor(context: SurveyContext) {
    const { earlier } = context.known;
    this.#context = context;
    this.#spares = earlier === undefined;
    this.#facts = new Map(earlier?.facts);
    this.#links = new Map(earlier?.links);
    this.#list = new ListingReading(context);
    this.#reads = new ManifestReading(context, this.#list);
    this.#referrers = new ReferrerQuestions(context);
    this.#former = new FormerManifests(context);
    this.#tags = new TagReading({
      ...context,
      fetch: (reference) => this.#reads.fetch(reference),
      onFound: (manifest) => this.#reads.note(manifest),
    });
  }

  survey(): Survey {
    const inventory = this.#inventory();
    const { bodies } = this.#reads;
    return { inventory, plan: makePlan(inventory, this.#context.policy), bodies };
  }

  #inventory(): Inventory {
    const { repository, attempts } = this.#context;
    const { found, absent, isUntyped } = this.#reads;
    return {
      repository,
      tags: new Map(this.#tags.found),
      manifests: new Map(found),
      absent: new Set(absent),
      ghosts: this.#ghosts(),
      brokenTags: [...this.#tags.broken].sort(),
      referrers: new Map(this.#referrers.answers),
      facts: new Map(this.#facts),
      past: this.#former.past(),
      listing: this.#list.listing,
      ...(this.#spared.size === 0 ? {} : { unread: new Set(this.#spared) }),
      links: this.#links,
      formerTags: this.#tags.former.byManifest,
      gaps: attempts.gaps(),
      ...(isUntyped ? { isUntyped } : {}),
    };
  }

  #ghosts(): ReadonlyMap<Digest, Manifest> {
    const { manifests, earlier, past } = this.#context.known;
    const { found, absent } = this.#reads;
    const isGone = ([digest]: [Digest, Manifest]) =>
      !found.has(digest) && (absent.has(digest) || past.get(digest)?.status === 'deleted');
    return new Map([...(earlier?.ghosts ?? []), ...manifests].filter(isGone));
  }

  /** The registry's list of manifests, its tags, and what the two lead to: what is in use first. */
  async readLists(): Promise<void> {
    await this.#list.read();
    await this.#tags.read(this.#list.tags());
    // Whether such a tag is a digest tag is told by the entries' own bodies.
    const fallbacks = [...this.#tags.found].filter(([tag]) => parseDigestTag(tag) !== undefined);
    const targets = new Set(fallbacks.map(([, digest]) => digest));
    const lists = [...this.#reads.found.values()].filter(({ digest }) => targets.has(digest));
    const entries = lists.flatMap(namedBy);
    await this.follow(entries.map(({ digest, source }) => ({ digest, source })));
    await this.#followAll();
    await this.follow(this.#list.manifests().filter(({ digest }) => !this.#spared.has(digest)));
  }

  /** Reads the lists of referrers that later ones have replaced. */
  async followEarlierIndexes(): Promise<void> {
    const { found, bodies } = this.#reads;
    await findEarlierIndexes(
      { inventory: this.#inventory(), bodies },
      this.#context,
      (digests) => this.#find(digests, 'earlier', (digest) => `manifest ${digest}`),
      (digest) => found.has(digest),
    );
  }

  /** Reads all manifests that other manifests and the tags name. */
  async #followAll(): Promise<void> {
    await this.follow([
      ...[...this.#reads.found.values()].flatMap(namedBy),
      ...namedByTags([...this.#tags.found.keys(), ...this.#tags.broken]),
    ]);
  }

  /** Reads these manifests and, wave by wave, all manifests that they name. */
  async follow(found: readonly Found[]): Promise<void> {
    let wave = this.#unread(found);
    while (wave.length > 0) {
      const read = await this.#readEach(
        wave,
        (digest) => `manifest ${digest}`,
        ({ digest }) => this.#reads.absent.add(digest),
      );
      wave = this.#context.attempts.isOver() ? [] : this.#unread(read.flatMap(namedBy));
    }
  }

  /** @param miss called for each that is not there */
  async #readEach(
    found: readonly Found[],
    what: (digest: Digest) => string,
    miss: (one: Found) => void,
  ): Promise<Manifest[]> {
    const read: Manifest[] = [];
    await this.#context.attempts.each(
      found,
      ({ digest }) => what(digest),
      async (one) => {
        this.#begun.add(one.digest);
        const manifest = await this.#reads.read(one.digest, one.source);
        if (manifest === undefined) {
          miss(one);
        } else {
          this.#reads.note(manifest);
          read.push(manifest);
        }
      },
    );
    return read;
  }

  #unread(found: readonly Found[]): Found[] {
    return found.filter((one) => {
      const { digest } = one;
      if (this.#elsewhere.delete(digest)) {
        this.#reads.absent.add(digest);
      }
      if (this.#begun.has(digest) || this.#reads.found.has(digest)) {
        return false;
      }
      if (this.#isSpared(one)) {
        this.#spared.add(digest);
        return false;
      }
      this.#spared.delete(digest);
      this.#begun.add(digest);
      return true;
    });
  }

  #isSpared({ digest, isImage }: Found): boolean {
    const isListed = this.#list.listing?.has(digest) === true;
    const isKnown = this.#context.known.manifests.has(digest);
    return isImage === true && this.#spares && isListed && !isKnown;
  }

  /**
   * Reads more, as long as the plan needs it to be sure of its orphans.
   *
   * @returns whether anything was read, so that the plan has to be made again
   */
  async readMore({ inventory, plan }: Survey): Promise<boolean> {
    if (inventory.gaps.length > 0) {
      return false;
    }
    if (plan.orphans.length === 0) {
      return this.#former.ask(plan);
    }
    return (
      (await this.#former.ask(plan)) ||
      (await this.#readSpared()) ||
      (await this.#readTagsAgain()) ||
      (await this.#checkListing(inventory)) ||
      // A known child must be there before the first delete, or a later run would call its index broken by this one.
      (await this.#reads.confirm()) ||
      (await this.#findProtected()) ||
      (await this.#findMentioned(inventory)) ||
      (await this.#readFacts(inventory, plan)) ||
      (await this.#askReferrers(inventory)) ||
      // Last, because only few are left: some may be layers, and not manifests at all.
      (await this.#readLinks(inventory, plan))
    );
  }

  async #readSpared(): Promise<boolean> {
    const spared = [...this.#spared];
    this.#spares = false;
    await this.follow(spared.map((digest) => ({ digest, source: 'child' })));
    return spared.length > 0;
  }

  async #readTagsAgain(): Promise<boolean> {
    const isNews = (await this.#tags.askAgain()) || (await this.#tags.confirm());
    if (isNews) {
      await this.#followAll();
    }
    return isNews;
  }

  async #checkListing(inventory: Inventory): Promise<boolean> {
    const before = this.#reads.found.size;
    const listed = await this.#list.check(inventory, this.#reads);
    await this.follow(listed ?? []);
    return listed !== undefined || this.#reads.found.size < before;
  }

  /**
   * A protected manifest may be here although nothing names it, and may list an apparent orphan. It is read
   * only now, because files may protect many digests, most of them elsewhere.
   */
  async #findProtected(): Promise<boolean> {
    const { repository, policy } = this.#context;
    const local = protectionIn(repository, policy.protection);
    return this.#find(
      local.named(),
      'protected',
      (digest) => `protected manifest ${digest} (named by ${someOf(local.of(digest))})`,
    );
  }

  /** An index among the mentioned digests may list an apparent orphan. */
  async #findMentioned({ manifests }: Inventory): Promise<boolean> {
    const mentioned = new Set([...manifests.values()].flatMap(perhapsManifests));
    if (mentioned.size > MOST_MENTIONED) {
      const why = coded(TOO_MANY_MENTIONED, 'unexpected-answer');
      this.#context.attempts.addGap('what manifests mention', why);
      return true;
    }
    return this.#find(mentioned, 'mentioned', mentionOf);
  }

  async #readFacts(inventory: Inventory, plan: Plan): Promise<boolean> {
    const { reader, repository, attempts, policy } = this.#context;
    const young = unknownAges(inventory, plan, policy);
    await attempts.each(
      young,
      ({ config }) => `config ${config.digest}`,
      async (image) => {
        this.#facts.set(image.digest, await reader.imageFacts(repository, image));
      },
    );
    return young.length > 0;
  }

  /** A complete list has led to every referrer, and its body tells its subject. */
  async #askReferrers({ manifests }: Inventory): Promise<boolean> {
    const found = this.#list.isWhole ? undefined : await this.#referrers.ask(manifests.keys());
    await this.follow(found ?? []);
    return found !== undefined;
  }

  async #readLinks(inventory: Inventory, plan: Plan): Promise<boolean> {
    const unlinked = perhapsLayers(inventory, plan);
    if (unlinked.length > 0) {
      this.#links = await readLinks(unlinked, inventory, this.#context);
    }
    return unlinked.length > 0;
  }

  /** Reads those of the digests that are here, with all that they name. It is no gap if others are absent. */
  async #find(
    digests: ReadonlySet<Digest>,
    source: 'protected' | 'mentioned' | 'earlier',
    what: (digest: Digest) => string,
  ): Promise<boolean> {
    const unread = [...digests]
      .filter((digest) => !this.#begun.has(digest) && !this.#reads.found.has(digest))
      .map((digest) => ({ digest, source }));
    const read = await this.#readEach(unread, what, ({ digest }) => this.#elsewhere.add(digest));
    await this.follow(read.flatMap(namedBy));
    return unread.length > 0;
  }
}
