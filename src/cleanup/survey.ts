/**
 * Reads one repository into an inventory. Only reads: GET and HEAD. What can't be read becomes a gap,
 * and never a silent absence.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { ImageManifest, Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';
import type { RegistryReader } from '../registry/reader.js';
import type { Gap, ImageFacts, Inventory, Source } from './inventory.js';
import { makePlan, unknownAges, type Plan, type Policy } from './plan.js';

/** Told about every step of the reading, for a progress line. */
export interface Progress {
  /** so many more things are to be read */
  expect(count: number): void;
  /** one of them was */
  done(): void;
}

export interface SurveyOptions {
  readonly reader: RegistryReader;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
}

export interface Survey {
  readonly inventory: Inventory;
  readonly plan: Plan;
}

/** After so many gaps reading on would only cost time: nothing here will be deleted anyway. */
const MOST_GAPS = 10;

/**
 * Reads a repository until nothing new appears: its tags, the candidates, and every manifest that one
 * of those names. Then, for what looks like an orphan, the ages and referrers that might save it; with
 * them the plan is made again, until it asks for nothing more.
 *
 * @param candidates digests that may exist in the repository
 * @param earlier an inventory of the same repository, when this is the second look before a sweep: its
 *   manifests are not fetched again (their bytes can't change), and its tags are resolved with HEAD
 */
export async function surveyRepository(
  repository: string,
  candidates: Iterable<Digest>,
  options: SurveyOptions,
  earlier?: Inventory,
): Promise<Survey> {
  const reading = new Reading(repository, options, earlier);
  await reading.readTags();
  await reading.follow([...candidates].map((digest) => ({ digest, source: 'input' })));
  for (;;) {
    const inventory = reading.inventory();
    const plan = makePlan(inventory, options.policy);
    if (!(await reading.lookCloser(inventory, plan))) {
      return { inventory, plan };
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
  readonly #earlier: Inventory | undefined;
  readonly #tags = new Map<string, Digest>();
  readonly #manifests = new Map<Digest, Manifest>();
  readonly #absent = new Set<Digest>();
  readonly #brokenTags: string[] = [];
  readonly #sources = new Map<Digest, Source>();
  readonly #facts: Map<Digest, ImageFacts>;
  readonly #gaps: Gap[] = [];
  /** asked for by digest: nothing is asked for twice, whatever came of it */
  readonly #begun = new Set<Digest>();
  readonly #askedForReferrers = new Set<Digest>();
  #hasReferrersApi = true;

  constructor(repository: string, options: SurveyOptions, earlier: Inventory | undefined) {
    this.#repository = repository;
    this.#options = options;
    this.#earlier = earlier;
    this.#facts = new Map(earlier?.facts);
  }

  inventory(): Inventory {
    return {
      repository: this.#repository,
      tags: new Map(this.#tags),
      manifests: new Map(this.#manifests),
      absent: new Set(this.#absent),
      brokenTags: [...this.#brokenTags].sort(),
      sources: new Map(this.#sources),
      facts: new Map(this.#facts),
      gaps: [...this.#gaps],
    };
  }

  async readTags(): Promise<void> {
    const tags = await this.#attempt('the list of tags', () =>
      this.#options.reader.tags(this.#repository),
    );
    await this.#each(
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
    const before = this.#earlier?.tags.get(tag);
    if (before !== undefined) {
      const known = this.#earlier?.manifests.get(before);
      if (known !== undefined && (await reader.resolve(this.#repository, tag)) === before) {
        this.#tags.set(tag, before);
        this.#note(known, 'tag');
        return;
      }
    }
    const answer = await reader.manifest(this.#repository, tag);
    if (answer.kind === 'absent') {
      this.#brokenTags.push(tag);
    } else {
      this.#tags.set(tag, answer.manifest.digest);
      this.#note(answer.manifest, 'tag');
    }
  }

  /** Reads these manifests and, wave by wave, all that they name. */
  async follow(found: readonly Found[]): Promise<void> {
    let wave = this.#unread(found);
    while (wave.length > 0) {
      const read: Manifest[] = [];
      await this.#each(
        wave,
        ({ digest }) => `manifest ${digest}`,
        async ({ digest, source }) => {
          const manifest = await this.#readManifest(digest);
          if (manifest === undefined) {
            this.#absent.add(digest);
            this.#sources.set(digest, source);
          } else {
            this.#note(manifest, source);
            read.push(manifest);
          }
        },
      );
      wave = this.#gaps.length < MOST_GAPS ? this.#unread(read.flatMap(namedBy)) : [];
    }
  }

  async #readManifest(digest: Digest): Promise<Manifest | undefined> {
    const known = this.#earlier?.manifests.get(digest);
    if (known !== undefined) {
      return known;
    }
    const answer = await this.#options.reader.manifest(this.#repository, digest);
    return answer.kind === 'found' ? answer.manifest : undefined;
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
    this.#manifests.set(manifest.digest, manifest);
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
    const young = unknownAges(inventory, plan, this.#options.policy);
    await this.#each(
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
    // The first question alone: where there is no such API, the others are none, and no progress either.
    for (const some of [unasked.slice(0, 1), unasked.slice(1)]) {
      await this.#each(
        this.#hasReferrersApi ? some : [],
        (digest) => `referrers of ${digest}`,
        async (digest) => {
          found.push(...(await this.#readReferrers(digest)));
        },
      );
    }
    await this.follow(found);
    return unasked.length > 0;
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
    return referrers.map((each) => ({ digest: each, source: 'referrers' }));
  }

  async #each<T>(
    items: readonly T[],
    what: (item: T) => string,
    read: (item: T) => Promise<void>,
  ): Promise<void> {
    const { progress, concurrency } = this.#options;
    progress.expect(items.length);
    await pMap(
      items,
      async (item) => {
        if (this.#gaps.length < MOST_GAPS) {
          await this.#attempt(what(item), () => read(item));
        }
        progress.done();
      },
      { concurrency },
    );
  }

  /** Runs a read; what registry and network do wrong becomes a gap, what we do wrong is thrown. */
  async #attempt<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof RequestFailure) {
        this.#gaps.push({ what, why: error.message });
        if (this.#gaps.length === MOST_GAPS) {
          const why = `not read: ${String(MOST_GAPS)} things before it could not be read either`;
          this.#gaps.push({ what: 'the rest', why });
        }
        return undefined;
      }
      throw error;
    }
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
