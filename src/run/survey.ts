/**
 * Reads one repository into an inventory. Only reads: GET and HEAD. What can't be read becomes a gap,
 * and never a silent absence.
 */
import type { ImageFacts } from '../oci/image-config.js';
import type { Survey } from '../plan/survey.js';
import { isCondemned } from '../plan/past.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { protectionIn, someOf } from '../plan/protection.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer } from '../registry/registry.js';
import { createAttempts, type Attempts } from './attempts.js';
import type { Inventory, Source } from '../plan/inventory.js';
import { NOTHING_KNOWN, type Known } from './known.js';
import { perhapsLayers, readAs, readLinks } from './layer-links.js';
import { makePlan, unknownAges, type Plan } from '../plan/plan.js';
import { mentionOf, namedBy, namedByTags, perhapsManifests, type Found } from '../plan/naming.js';
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
      return { inventory, plan, bodies: reading.bodies };
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
    this.#attempts = createAttempts(options);
    this.#tags = new TagReading(repository, known, {
      ...options,
      attempts: this.#attempts,
      fetch: (reference) => this.#fetch(reference),
      onFound: (manifest) => {
        this.#note(manifest, 'tag');
      },
    });
    this.#referrers = createReferrerQuestions(options.reader, repository, this.#attempts);
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
      sources: new Map(this.#sources),
      facts: new Map(this.#facts),
      past: this.#known.past,
      links: this.#links,
      formerTags: this.#tags.former.byManifest,
      gaps: this.#attempts.gaps(),
      ...(this.#isUntyped ? { isUntyped: true } : {}),
    };
  }

  #ghosts(): ReadonlyMap<Digest, Manifest> {
    const { manifests, earlier } = this.#known;
    const isGone = ([digest]: [Digest, Manifest]) =>
      !this.#manifests.has(digest) &&
      (this.#absent.has(digest) || this.#known.past.get(digest)?.status === 'deleted');
    return new Map([...(earlier?.ghosts ?? []), ...manifests].filter(isGone));
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
    if (source !== 'input' && source !== 'ledger' && !this.#mayBeGone(digest)) {
      this.#presumed.add(digest);
      return known;
    }
    return (await this.#isThere(digest)) ? known : undefined;
  }

  /**
   * What a run was about to delete is not taken to be there because something names it. Neither is what came into use
   * since: the DELETE may have been carried out after that was seen.
   */
  #mayBeGone(digest: Digest): boolean {
    const past = this.#known.past.get(digest);
    const isRecent = past !== undefined && isCondemned(past, this.#options.policy.now);
    return isRecent || past?.status === 'leaving' || past?.status === 'deleted';
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
    if ((await this.#tags.askAgain()) || (await this.#tags.confirm())) {
      await this.#followAll();
      return true;
    }
    // What a later run would take for a broken image must have been there before the first delete.
    if (await this.#confirm()) {
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
