/**
 * The registry's own list of one repository's manifests, and whether it agrees with what was read. A list that lacks
 * a manifest which the registry serves is half a list: what it lacks may need anything, so that is a gap.
 */
import type { Clock } from '../http/clock.js';
import type { Digest } from '../oci/digest.js';
import type { Inventory } from '../plan/inventory.js';
import type { Found } from '../plan/naming.js';
import { RegistryError } from '../registry/registry-error.js';
import type { Lister, Listing } from '../registry/registry.js';
import type { Attempts } from './attempts.js';
import { PAUSE } from './tag.js';

interface ListingReadingOptions {
  readonly lister: Lister | undefined;
  readonly attempts: Attempts;
  readonly clock: Clock;
  /** asks the registry for a manifest that an earlier read of this run may have seen, and drops it if it is gone */
  readonly confirm: (digest: Digest) => Promise<boolean>;
  /** whether this run or another one may have deleted it, so that the list may lag */
  readonly isExpectedGone: (digest: Digest) => boolean;
}

const WHAT = 'the list of manifests';
/** A push or a delete between two reads needs one more. Lists of some registries lag for seconds. */
const MOST_READS = 3;

export class ListingReading {
  readonly #repository: string;
  readonly #options: ListingReadingOptions;
  #reads = 0;
  /** absent where the registry can't list, or the list could not be read */
  listing: Listing | undefined;

  constructor(repository: string, options: ListingReadingOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  /** @returns what it lists */
  async read(): Promise<Found[]> {
    const { lister, attempts } = this.#options;
    if (lister === undefined) {
      return [];
    }
    this.#reads += 1;
    this.listing = await attempts.one(WHAT, () => lister.manifests(this.#repository));
    return [...(this.listing?.keys() ?? [])].map((digest) => ({ digest, source: 'listing' }));
  }

  /** the tags that the list names */
  tags(): string[] {
    return [...(this.listing?.values() ?? [])].flatMap(({ tags }) => tags);
  }

  /**
   * Reads the list again where it disagrees with what was read. Where it goes on to, that is a gap.
   *
   * @returns what the new list names; `undefined` when the two agree
   */
  async check({
    manifests,
    absent,
  }: Pick<Inventory, 'manifests' | 'absent'>): Promise<Found[] | undefined> {
    const { listing } = this;
    if (listing === undefined) {
      return undefined;
    }
    const { isExpectedGone } = this.#options;
    const unlisted = await this.#served(
      [...manifests.keys()].filter((digest) => !listing.has(digest)),
    );
    const lost = [...absent].find((digest) => listing.has(digest) && !isExpectedGone(digest));
    if (unlisted === undefined && lost === undefined) {
      return undefined;
    }
    const { attempts, clock } = this.#options;
    if (this.#reads < MOST_READS) {
      await clock.sleep(PAUSE);
      return this.read();
    }
    this.listing = undefined;
    const why =
      unlisted === undefined
        ? `it has ${String(lost)}, and the registry says that there is no such manifest`
        : `it lacks ${unlisted}, which the registry serves`;
    const error = new RegistryError(
      'unexpected',
      `the registry's list of the manifests of ${this.#repository} is not complete: ${why}, in ${String(MOST_READS)} ` +
        'reads. Run this again when nobody pushes; if that stays so, leave the repository out with `repositories`',
    );
    await attempts.one(WHAT, () => Promise.reject(error));
    return [];
  }

  /** The first of these that the registry serves. Others were deleted since an earlier read of this run. */
  async #served(unlisted: readonly Digest[]): Promise<Digest | undefined> {
    const { attempts, confirm } = this.#options;
    for (const digest of unlisted) {
      if ((await attempts.one(`manifest ${digest}`, () => confirm(digest))) !== false) {
        return digest;
      }
    }
    return undefined;
  }
}
