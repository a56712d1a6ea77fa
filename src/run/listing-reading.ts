/**
 * The registry's own list of one repository's manifests, and whether it agrees with what was read. A list that lacks
 * a manifest which the registry serves is half a list: what it lacks may need anything, so that is a gap. Where the list
 * is known to lack some, those that something else led to are read beside it.
 */
import type { Digest } from '../oci/digest.js';
import type { Inventory } from '../plan/inventory.js';
import type { Found } from '../plan/naming.js';
import type { Listing } from '../registry/registry.js';
import { coded } from '../text/code.js';
import type { ManifestReading } from './manifest-reading.js';
import type { SurveyContext } from './survey-options.js';
import { LAG_GROWTH, PAUSE } from './tag-reading.js';

const WHAT = 'the list of manifests';
/** A push or a delete between two reads needs one more. Lists of some registries lag for seconds. */
const MOST_READS = 4;

export class ListingReading {
  readonly #context: SurveyContext;
  #reads = 0;
  /** absent where the registry can't list, or the list could not be read */
  listing: Listing | undefined;

  constructor(context: SurveyContext) {
    this.#context = context;
  }

  async read(): Promise<void> {
    const { lister, attempts, repository } = this.#context;
    this.#reads += 1;
    this.listing = lister && (await attempts.one(WHAT, () => lister.manifests(repository)));
  }

  /** Whether there is a list, and it lacks nothing. */
  get isWhole(): boolean {
    return this.listing !== undefined && this.#context.lister?.lacks === undefined;
  }

  /** the listed manifests */
  manifests(): Found[] {
    return [...(this.listing?.keys() ?? [])].map((digest) => ({ digest, source: 'listing' }));
  }

  /** the tags that the list names, and the manifest of each */
  tags(): ReadonlyMap<string, Digest> {
    return new Map(
      [...(this.listing ?? [])].flatMap(([digest, { tags }]) =>
        tags.map((tag) => [tag, digest] as const),
      ),
    );
  }

  /**
   * Reads the list again where it disagrees with what was read. If they still disagree in the end, that is a gap.
   *
   * @returns the manifests of the new list; `undefined` when the two agree
   */
  async check(
    { manifests, absent }: Pick<Inventory, 'manifests' | 'absent'>,
    reads: Pick<ManifestReading, 'stands' | 'isExpectedGone'>,
  ): Promise<Found[] | undefined> {
    const { listing } = this;
    if (listing === undefined) {
      return undefined;
    }
    const { attempts, clock, repository } = this.#context;
    const beside = [...manifests.keys()].filter((digest) => !listing.has(digest));
    const unlisted = this.isWhole ? await this.#served(beside, reads) : undefined;
    const lost = [...absent].find((digest) => listing.has(digest) && !reads.isExpectedGone(digest));
    if (unlisted === undefined && lost === undefined) {
      return undefined;
    }
    if (this.#reads < MOST_READS) {
      await clock.sleep(PAUSE * LAG_GROWTH ** (this.#reads - 1));
      await this.read();
      return this.manifests();
    }
    this.listing = undefined;
    const why =
      unlisted === undefined
        ? `it has ${String(lost)}, and the registry says that there is no such manifest`
        : `it lacks ${unlisted}, which the registry serves`;
    const message =
      `the registry's list of the manifests of ${repository} is not complete: ${why}, in ${MOST_READS} ` +
      'reads. Run this again when nobody pushes; if it happens again, leave the repository out with `repositories`';
    attempts.addGap(WHAT, coded(message, 'unexpected-answer'));
    return [];
  }

  /** The first of these that the registry serves. The others were deleted since an earlier read of this run. */
  async #served(
    unlisted: readonly Digest[],
    reads: Pick<ManifestReading, 'stands'>,
  ): Promise<Digest | undefined> {
    for (const digest of unlisted) {
      const stands = await this.#context.attempts.one(`manifest ${digest}`, () =>
        reads.stands(digest),
      );
      if (stands !== false) {
        return digest;
      }
    }
    return undefined;
  }
}
