/**
 * Reads one repository into an inventory. Only reads: GET and HEAD. What can't be read becomes a gap,
 * and never a silent absence.
 */
import type { Digest } from '../oci/digest.js';
import type { ImageManifest, Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import { protectionIn, type Protector } from '../protection/protection.js';
import type { RegistryReader } from '../registry/reader.js';
import { createAttempts, type Attempts, type Progress } from './attempts.js';
import type { ImageFacts, Inventory, Past, Source } from './inventory.js';
import { makePlan, unknownAges, type Plan, type Policy } from './plan.js';
import { createSharing } from './sharing.js';

export type { Progress } from './attempts.js';

export interface SurveyOptions {
  readonly reader: RegistryReader;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
}

export interface Survey {
  readonly inventory: Inventory;
  readonly plan: Plan;
  /** the bytes, as text, of the manifests that were fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
}

/** What is known of a repository before it is looked at. A manifest can't change, but it can be gone. */
export interface Known {
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly past: ReadonlyMap<Digest, Past>;
  /** given when the manifests were seen in this very run: then they are not asked for again */
  readonly earlier?: Pick<Inventory, 'tags' | 'facts'> & {
    /** of the past, what was deleted since: not asked for unless something names it */
    readonly gone?: ReadonlySet<Digest>;
  };
}

const NOTHING: Known = { manifests: new Map(), past: new Map() };

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
  known: Known = NOTHING,
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

interface Found {
  readonly digest: Digest;
  readonly source: Source;
}

class Reading {
  readonly #repository: string;
  readonly #options: SurveyOptions;
  readonly #known: Known;
  readonly #tags = new Map<string, Digest>();
  readonly #manifests = new Map<Digest, Manifest>();
  readonly #absent = new Set<Digest>();
  readonly #brokenTags: string[] = [];
  readonly #sources = new Map<Digest, Source>();
  readonly #facts: Map<Digest, ImageFacts>;
  readonly #attempts: Attempts;
  /** asked for by digest: nothing is asked for twice, whatever came of it */
  readonly #begun = new Set<Digest>();
  readonly #askedForReferrers = new Set<Digest>();
  readonly #referrers = new Map<Digest, readonly Digest[]>();
  #hasFoundProtected = false;
  /** known manifests that something names, taken to be there without asking */
  readonly #presumed = new Set<Digest>();
  readonly bodies = new Map<Digest, string>();
  #isUntyped = false;
  readonly #share = createSharing();
  /** until an answer says otherwise: to this look at this repository alone */
  #hasReferrersApi = true;

  constructor(repository: string, options: SurveyOptions, known: Known) {
    this.#repository = repository;
    this.#options = options;
    this.#known = known;
    this.#facts = new Map(known.earlier?.facts);
    this.#attempts = createAttempts(options);
  }

  inventory(): Inventory {
    return {
      repository: this.#repository,
      tags: new Map(this.#tags),
      manifests: new Map(this.#manifests),
      absent: new Set(this.#absent),
      brokenTags: [...this.#brokenTags].sort(),
      referrers: new Map(this.#referrers),
      sources: new Map(this.#sources),
      facts: new Map(this.#facts),
      past: this.#known.past,
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
    const named = [...this.#tags.keys(), ...this.#brokenTags].map(
      (tag) => parseDigestTag(tag)?.names,
    );
    await this.follow([
      ...[...this.#manifests.values()].flatMap(namedBy),
      ...named
        .filter((digest) => digest !== undefined)
        .map((digest) => ({ digest, source: 'digest-tag' }) as const),
    ]);
  }

  async #readTag(tag: string): Promise<void> {
    const { reader } = this.#options;
    const { manifests, earlier } = this.#known;
    // A tag that an earlier look of this run did not see is new, and so is what it points at.
    const isLikelyKnown = manifests.size > 0 && earlier?.tags.has(tag) !== false;
    const digest = isLikelyKnown ? await reader.resolve(this.#repository, tag) : undefined;
    // By its digest, so that what was seen is not lost when the tag moves on between the two questions.
    const manifest =
      (digest && (manifests.get(digest) ?? (await this.#fetch(digest)))) ??
      (await this.#fetch(tag));
    if (manifest === undefined) {
      this.#brokenTags.push(tag);
    } else {
      this.#tags.set(tag, manifest.digest);
      this.#note(manifest, 'tag');
    }
  }

  async #fetch(reference: string): Promise<Manifest | undefined> {
    const answer = await this.#options.reader.manifest(this.#repository, reference);
    if (answer.kind === 'absent') {
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
      return known ?? this.#fetch(digest);
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
    return found.filter(({ digest }) => {
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
    // What a later run would take for a broken image must have been there before the first delete.
    if (await this.#confirm()) {
      return true;
    }
    if (await this.#findProtected()) {
      return true;
    }
    const young = unknownAges(inventory, plan, this.#options.policy);
    await this.#attempts.each(
      young,
      ({ config }) => `config ${config.digest}`,
      (image) => this.#readFacts(image),
    );
    if (young.length > 0) {
      return true;
    }
    const unasked = this.#hasReferrersApi
      ? [...inventory.manifests.keys()].filter((digest) => !this.#askedForReferrers.has(digest))
      : [];
    const found: Found[] = [];
    // The first question alone: where there is no such API, the others are none, and no progress either. Another
    // repository, and the look before the deletes, ask one of their own: a passing answer misleads one of them.
    for (const some of [unasked.slice(0, 1), unasked.slice(1)]) {
      await this.#attempts.each(
        this.#hasReferrersApi ? some : [],
        (digest) => `referrers of ${digest}`,
        async (digest) => {
          // One by one: there may be more of them than a call can have arguments.
          (await this.#readReferrers(digest)).forEach((each) => found.push(each));
        },
      );
    }
    await this.follow(found);
    return unasked.length > 0;
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
    const unread = [...local.named()].filter(
      (digest) => !this.#begun.has(digest) && !this.#manifests.has(digest),
    );
    const read: Manifest[] = [];
    await this.#attempts.each(
      unread,
      (digest) => `protected manifest ${digest} (named by ${someOf(local.of(digest))})`,
      async (digest) => {
        const manifest = await this.#readManifest(digest, 'protected');
        if (manifest !== undefined) {
          this.#note(manifest, 'protected');
          read.push(manifest);
        }
      },
    );
    await this.follow(read.flatMap(namedBy));
    return unread.length > 0;
  }

  async #readFacts(image: ImageManifest): Promise<void> {
    this.#facts.set(image.digest, await this.#options.reader.imageFacts(this.#repository, image));
  }

  /**
   * Asked of every manifest, also of those that stay (docs/adr/0002): a referrer that only this API
   * knows may be an index, and what looks like an orphan its child.
   */
  async #readReferrers(digest: Digest): Promise<Found[]> {
    this.#askedForReferrers.add(digest);
    const referrers = await this.#options.reader.referrers(this.#repository, digest);
    if (referrers === undefined) {
      this.#hasReferrersApi = false;
      return [];
    }
    if (referrers.length > 0) {
      this.#referrers.set(digest, referrers);
    }
    return referrers.map((each) => ({ digest: each, source: 'referrers' }));
  }
}

/** The manifests that this one's body names. */
function namedBy(manifest: Manifest): Found[] {
  if (manifest.kind === 'unknown') {
    return [];
  }
  const children: Found[] =
    manifest.kind === 'index'
      ? manifest.children.map(({ digest }) => ({ digest, source: 'child' }))
      : [];
  return manifest.subject === undefined
    ? children
    : [...children, { digest: manifest.subject, source: 'subject' }];
}

/** So that whoever reads of a gap finds the file that the digest stands in. */
function someOf(by: readonly Protector[]): string {
  const more = by.length > 1 ? [`${by.length - 1} more`] : [];
  return [...by.slice(0, 1), ...more].join(' and ');
}
