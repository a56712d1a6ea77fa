/**
 * The versions of a package: GitHub's list of a repository's manifests, tagged or not. It comes in pages by number, so a
 * page shifts when something is pushed or deleted meanwhile, and a row may be missed.
 */
import pMap from 'p-map';
import * as v from 'valibot';

import type { Clock } from '../../../http/clock.js';
import { LinkError, lastPageNumber, nextPage } from '../../../http/link.js';
import { isDigest, type Digest } from '../../../oci/digest.js';
import { inForm } from '../../../oci/json.js';
import { isTag } from '../../../oci/reference.js';
import { RegistryError } from '../../registry-error.js';
import type { Listed, Listing } from '../../registry.js';
import type { ApiAnswer, GitHubApi } from './api.js';
import { rightsOf, type Owners, type Package } from './owners.js';

const PER_PAGE = 100;
/** A million versions. */
const MOST_PAGES = 10_000;
/** GitHub allows a hundred requests at the same time. */
const PAGES_AT_ONCE = 32;
/** Each further reading is needed only because somebody pushed or deleted meanwhile, or the list lags behind deletes. */
const MOST_READINGS = 4;
/** Milliseconds before the second reading. Each later pause is so many times the one before. */
const PAUSE = 1000;
const PAUSE_GROWTH = 5;

const Time = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => Date.parse(text)),
  v.safeInteger(),
);
const Version = v.object({
  id: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  name: v.pipe(v.string(), v.guard(isDigest)),
  created_at: Time,
  updated_at: Time,
  // Without it nobody could tell a tagged version from an untagged one.
  metadata: v.object({
    container: v.object({
      tags: v.pipe(
        v.array(v.pipe(v.string(), v.check(isTag))),
        // Nobody says in which order they come, and two readings are compared.
        v.transform((tags) => tags.toSorted()),
      ),
    }),
  }),
});
const Versions = v.array(Version);

export type PackageVersion = v.InferOutput<typeof Version>;

type State = 'active' | 'deleted';

interface Page {
  readonly versions: readonly PackageVersion[];
  /** the number of the last page; absent where GitHub doesn't say it, as it does on the last one */
  readonly last: number | undefined;
  readonly hasNext: boolean;
}

export class VersionList {
  readonly #api: GitHubApi;
  readonly #owners: Owners;
  readonly #clock: Clock;
  /** by repository, how many requests its last list took */
  readonly #costs = new Map<string, number>();
  /** by repository, its last list */
  readonly #listings = new Map<string, Listing>();

  constructor(api: GitHubApi, owners: Owners, clock: Clock) {
    this.#api = api;
    this.#owners = owners;
    this.#clock = clock;
  }

  /**
   * All of them, complete.
   *
   * @throws RequestFailure also for a package that isn't there: what a token may not see looks the same
   */
  async read(repository: string): Promise<Listing> {
    const found = await this.#owners.packageOf(repository);
    for (let reading = 1; reading <= MOST_READINGS; reading += 1) {
      if (reading > 1) {
        await this.#clock.sleep(PAUSE * PAUSE_GROWTH ** (reading - 2));
      }
      const listing = await this.#readOnce(repository, found, 'active');
      if (listing !== undefined) {
        this.#listings.set(repository, listing);
        return listing;
      }
    }
    throw new RegistryError(
      'unexpected',
      `could not ${whatOf(repository)}: the list changed while it was read, ${String(MOST_READINGS)} times in a row. ` +
        'Run this again when nobody pushes to the package or deletes from it',
    );
  }

  /** The list that was read last, if any was. */
  latest(repository: string): Listing | undefined {
    return this.#listings.get(repository);
  }

  /** How many requests the last list took; 0 where none was read. */
  cost(repository: string): number {
    return this.#costs.get(repository) ?? 0;
  }

  /** Versions that were deleted, and can be restored. Some may be missing where the list moves while it is read. */
  async deleted(repository: string): Promise<readonly PackageVersion[]> {
    const found = await this.#owners.packageOf(repository);
    return (await this.#pages(repository, found, 'deleted')).versions;
  }

  /** Whether GitHub knows no such package, or doesn't show it to this token. */
  async isUnknown(repository: string): Promise<boolean> {
    const found = await this.#owners.packageOf(repository);
    return (await this.#ask(found, 'active', 1)).status === 404;
  }

  /** @returns `undefined` when it moved meanwhile */
  async #readOnce(repository: string, found: Package, state: State): Promise<Listing | undefined> {
    const { versions, pages } = await this.#pages(repository, found, state);
    // A push changes the first page, and a delete the last one. Where the last one was read after others, a delete
    // between the two shows in none of the ends.
    const isOrdered = pages.length < 3 || pages[0]?.last === pages.length;
    const numbers = pages.map((_, n) => n + 1);
    const ends = isOrdered ? [...new Set([1, pages.length])] : numbers;
    const read = (number: number) => this.#page(repository, found, state, number);
    const again = await pMap(ends, read, { concurrency: PAGES_AT_ONCE });
    this.#costs.set(repository, pages.length + ends.length);
    const isSame = ends.every(
      (number, n) => JSON.stringify(pages[number - 1]) === JSON.stringify(again[n]),
    );
    return isSame ? listingOf(versions) : undefined;
  }

  /** The last page comes before those in the middle: any delete after it moves it. */
  async #pages(repository: string, found: Package, state: State) {
    const page = (number: number) => this.#page(repository, found, state, number);
    const first = await page(1);
    const { last = 1 } = first;
    const end = last > 1 ? [await page(last)] : [];
    const numbers = Array.from({ length: Math.max(0, last - 2) }, (_, n) => n + 2);
    const middle = await pMap(numbers, page, { concurrency: PAGES_AT_ONCE });
    const pages = [first, ...middle, ...end];
    while (pages.at(-1)?.hasNext === true) {
      if (pages.length === MOST_PAGES) {
        throw this.#api.misunderstood(whatOf(repository));
      }
      pages.push(await page(pages.length + 1));
    }
    return { pages, versions: pages.flatMap(({ versions }) => versions) };
  }

  async #page(repository: string, found: Package, state: State, number: number): Promise<Page> {
    const answer = await this.#ask(found, state, number);
    if (answer.status !== 200) {
      throw this.#api.refusal(answer, whatOf(repository), rightsOf(found));
    }
    const versions = inForm(Versions, answer.data);
    const { last, hasNext } = linksOf(answer);
    if (versions === undefined || (last ?? 1) > MOST_PAGES) {
      throw this.#api.misunderstood(whatOf(repository));
    }
    return { versions, last, hasNext };
  }

  #ask({ prefix, owner, name }: Package, state: State, page: number): Promise<ApiAnswer> {
    return this.#api.ask({
      route: `GET ${prefix}/packages/container/{name}/versions`,
      parameters: {
        ...(prefix === '/user' ? {} : { owner }),
        name,
        page,
        per_page: PER_PAGE,
        ...(state === 'active' ? {} : { state }),
      },
    });
  }
}

function whatOf(repository: string): string {
  return `list the versions of ${repository}`;
}

/** @throws RegistryError when the header makes no sense: pages could be missed */
function linksOf({ headers: { link }, url }: ApiAnswer): Pick<Page, 'last' | 'hasNext'> {
  try {
    return { last: lastPageNumber(link, url), hasNext: nextPage(link, url) !== undefined };
  } catch (error) {
    throw error instanceof LinkError
      ? new RegistryError('unexpected', error.message, 'paging-broken')
      : error;
  }
}

/** @returns `undefined` when one of them stands there twice: a page has shifted */
function listingOf(versions: readonly PackageVersion[]): Listing | undefined {
  const listing = new Map<Digest, Listed>(
    versions.map(({ id, name, created_at, updated_at, metadata }) => [
      name,
      {
        id: String(id),
        tags: metadata.container.tags,
        pushedAt: created_at,
        changedAt: Math.max(created_at, updated_at),
      },
    ]),
  );
  return listing.size === versions.length ? listing : undefined;
}
