/** The manifests of one repository as they are read, by digest or tag. Known manifests are not fetched again. */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Source } from '../plan/inventory.js';
import { isCondemned } from '../plan/past.js';
import type { ManifestAnswer } from '../registry/registry.js';
import { readAs } from './layer-links.js';
import type { ListingReading } from './listing-reading.js';
import { createSharing } from './sharing.js';
import type { SurveyContext } from './survey-options.js';

export class ManifestReading {
  readonly #context: SurveyContext;
  readonly #list: Pick<ListingReading, 'listing'>;
  /** known manifests that something names, believed to be there without a request */
  readonly #presumed = new Set<Digest>();
  readonly #share = createSharing();
  readonly found = new Map<Digest, Manifest>();
  readonly absent = new Set<Digest>();
  /** the bytes, as text, of what was fetched */
  readonly bodies = new Map<Digest, string>();
  isUntyped = false;

  constructor(context: SurveyContext, list: Pick<ListingReading, 'listing'>) {
    this.#context = context;
    this.#list = list;
  }

  note(manifest: Manifest): void {
    this.found.set(manifest.digest, this.#share(manifest));
  }

  /** One GET. @returns `undefined` when the registry says that it has no such manifest */
  async fetch(reference: string): Promise<Manifest | undefined> {
    const { reader, repository } = this.#context;
    return this.#taken(await reader.manifest(repository, reference));
  }

  /** @returns `undefined` if it is not there */
  async read(digest: Digest, source: Source): Promise<Manifest | undefined> {
    const { known } = this.#context;
    const manifest = known.manifests.get(digest);
    if (manifest === undefined) {
      return this.#taken(await readAs(source, this.#context, digest));
    }
    const isStable = !this.#mayBeGone(digest);
    const isListed = this.#list.listing?.has(digest) === true;
    if (known.earlier !== undefined || (isStable && isListed)) {
      return manifest;
    }
    if (isStable && source !== 'input' && source !== 'ledger') {
      this.#presumed.add(digest);
      return manifest;
    }
    return (await this.#isThere(digest)) ? manifest : undefined;
  }

  /** Asks for those that were believed to be there. @returns whether there were any */
  async confirm(): Promise<boolean> {
    const presumed = [...this.#presumed];
    this.#presumed.clear();
    await this.#context.attempts.each(
      presumed,
      (digest) => `manifest ${digest}`,
      async (digest) => {
        await this.stands(digest);
      },
    );
    return presumed.length > 0;
  }

  /** Asks for a manifest that an earlier read of this run may have seen, and drops it if it is gone. */
  async stands(digest: Digest): Promise<boolean> {
    const isThere = await this.#isThere(digest);
    if (!isThere) {
      this.found.delete(digest);
      this.absent.add(digest);
    }
    return isThere;
  }

  /** Whether this run or another one may have deleted it, while the registry's list still has it. */
  isExpectedGone(digest: Digest): boolean {
    const { earlier } = this.#context.known;
    return earlier?.gone?.has(digest) === true || this.#mayBeGone(digest);
  }

  #taken(answer: ManifestAnswer | { readonly kind: 'blob' }): Manifest | undefined {
    if (answer.kind !== 'found') {
      return undefined;
    }
    this.isUntyped ||= answer.isUntyped === true;
    this.bodies.set(answer.manifest.digest, answer.body);
    return answer.manifest;
  }

  /**
   * Whether a run was about to delete it. That something names it is then no proof that it is there. Neither is that it
   * came into use since: the DELETE may have been carried out after that was seen.
   */
  #mayBeGone(digest: Digest): boolean {
    const { known, policy } = this.#context;
    const past = known.past.get(digest);
    const isRecent = past !== undefined && isCondemned(past, policy.now);
    return isRecent || past?.status === 'leaving' || past?.status === 'deleted';
  }

  /** One HEAD, and one GET if its answer does not settle it. The answer for an absent manifest never does. */
  async #isThere(digest: Digest): Promise<boolean> {
    const { reader, repository } = this.#context;
    return (
      (await reader.resolve(repository, digest)) === digest ||
      (await this.fetch(digest)) !== undefined
    );
  }
}
