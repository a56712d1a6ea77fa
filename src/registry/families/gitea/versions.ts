/**
 * The versions of packages: each digest and each tag that was pushed is one. The API lists those of an owner, newest
 * first, in pages by number: a page shifts when something is pushed or deleted meanwhile, and a row may be missed. So a
 * list counts only if nothing has changed from its beginning to its end.
 */
import pMap from 'p-map';
import * as v from 'valibot';

import type { Clock } from '../../../http/clock.js';
import type { HttpResponse } from '../../../http/message.js';
import { inForm, tryJson } from '../../../oci/json.js';
import { RegistryError } from '../../registry-error.js';
import type { GiteaApi } from './api.js';

/** The server caps it at 50 in silence, or at what its administrator says (`MAX_RESPONSE_ITEMS`). */
const PER_PAGE = 50;
/** A million versions, at fifty a page. */
const MOST_PAGES = 20_000;
const PAGES_AT_ONCE = 8;
/** Each further reading is needed only because somebody pushed or deleted meanwhile. */
const MOST_READINGS = 4;
/** Milliseconds before the second reading. Each later pause is longer by this factor. */
const PAUSE = 1000;
const PAUSE_GROWTH = 5;

const Version = v.object({
  id: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  type: v.literal('container'),
  name: v.pipe(v.string(), v.minLength(1), v.toLowerCase()),
  version: v.pipe(v.string(), v.minLength(1)),
  created_at: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text)),
    v.safeInteger(),
  ),
});
const Versions = v.array(Version);

export type PackageVersion = v.InferOutput<typeof Version>;

interface Page {
  readonly versions: readonly PackageVersion[];
  /** of all pages */
  readonly total: number;
}

/** The versions of containers that are asked for. */
export interface Wanted {
  readonly owner: string;
  /** a part of the packages' names; absent: all */
  readonly name?: string;
  /** as in "could not …" */
  readonly what: string;
}

export class VersionList {
  readonly #api: GiteaApi;
  readonly #clock: Clock;

  constructor(api: GiteaApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /**
   * Reads the whole list and gives back what `make` makes of it.
   *
   * @param make called once for each reading, before it is known whether the list has moved; `undefined`: it has
   * @throws RequestFailure also for a list that keeps moving
   */
  async read<T>(
    wanted: Wanted,
    make: (versions: readonly PackageVersion[]) => Promise<T | undefined>,
  ): Promise<T> {
    for (let reading = 1; reading <= MOST_READINGS; reading += 1) {
      if (reading > 1) {
        await this.#clock.sleep(PAUSE * PAUSE_GROWTH ** (reading - 2));
      }
      const made = await this.#readOnce(wanted, make);
      if (made !== undefined) {
        return made;
      }
    }
    throw new RegistryError(
      'unexpected',
      `could not ${wanted.what}: the list changed while it was read, ${String(MOST_READINGS)} times in a row. Run this ` +
        'again when nobody pushes to the packages of this owner or deletes from them',
    );
  }

  /** @returns `undefined` when it moved meanwhile */
  async #readOnce<T>(
    wanted: Wanted,
    make: (versions: readonly PackageVersion[]) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const first = await this.#page(wanted, 1);
    const size = first.versions.length;
    const count = size === 0 ? 1 : Math.ceil(first.total / size);
    if ((size === 0 && first.total > 0) || count > MOST_PAGES) {
      throw this.#api.misunderstood(wanted.what);
    }
    const numbers = Array.from({ length: count - 1 }, (_, n) => n + 2);
    const rest = await pMap(numbers, (number) => this.#page(wanted, number), {
      concurrency: PAGES_AT_ONCE,
    });
    const versions = [first, ...rest].flatMap((page) => page.versions);
    const isWhole = new Set(versions.map(({ id }) => id)).size === first.total;
    if (!isWhole || versions.length !== first.total) {
      return undefined;
    }
    const made = await make(versions);
    if (made === undefined) {
      return undefined;
    }
    // A push puts a row of a new id on the first page, and a delete changes the total.
    const again = await this.#page(wanted, 1);
    return JSON.stringify(first) === JSON.stringify(again) ? made : undefined;
  }

  async #page({ owner, name, what }: Wanted, page: number): Promise<Page> {
    const query = {
      type: 'container',
      ...(name === undefined ? {} : { q: name }),
      limit: String(PER_PAGE),
      page: String(page),
    };
    const response = await this.#api.ask(encodeURIComponent(owner), what, { query });
    if (response.status !== 200) {
      throw this.#api.refusal(response, owner, what);
    }
    const versions = inForm(Versions, tryJson(response.body.toString('utf8')));
    const total = totalOf(response);
    if (versions === undefined || total === undefined) {
      throw this.#api.misunderstood(what);
    }
    return { versions, total };
  }
}

function totalOf({ headers }: HttpResponse): number | undefined {
  const text = String(headers['x-total-count'] ?? '');
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
