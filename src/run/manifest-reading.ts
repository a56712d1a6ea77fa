/** Reads the manifests of one repository by digest or tag. What is known is not fetched again. */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Source } from '../plan/inventory.js';
import { isCondemned } from '../plan/past.js';
import type { ManifestAnswer } from '../registry/registry.js';
import type { Attempts } from './attempts.js';
import type { Known } from './known.js';
import { readAs } from './layer-links.js';
import type { SurveyOptions } from './survey-types.js';

interface ManifestReadingOptions extends Pick<SurveyOptions, 'reader' | 'policy'> {
  readonly attempts: Attempts;
  /** whether the registry's list of manifests has it */
  readonly isListed: (digest: Digest) => boolean;
}

export class ManifestReading {
  readonly #repository: string;
  readonly #known: Known;
  readonly #options: ManifestReadingOptions;
  /** known manifests that something names, taken to be there without asking */
  readonly #presumed = new Set<Digest>();
  /** the bytes, as text, of what was fetched */
  readonly bodies = new Map<Digest, string>();
  isUntyped = false;

  constructor(repository: string, known: Known, options: ManifestReadingOptions) {
    this.#repository = repository;
    this.#known = known;
    this.#options = options;
  }

  /** One GET. @returns `undefined` when the registry says that it is unknown */
  async fetch(reference: string): Promise<Manifest | undefined> {
    return this.#taken(await this.#options.reader.manifest(this.#repository, reference));
  }

  /** @returns `undefined` for what is not there */
  async read(digest: Digest, source: Source): Promise<Manifest | undefined> {
    const known = this.#known.manifests.get(digest);
    if (known === undefined || this.#known.earlier !== undefined) {
      return (
        known ?? this.#taken(await readAs(source, this.#options.reader, this.#repository, digest))
      );
    }
    if (!this.#mayBeGone(digest)) {
      if (this.#options.isListed(digest)) {
        return known;
      }
      if (source !== 'input' && source !== 'ledger') {
        this.#presumed.add(digest);
        return known;
      }
    }
    return (await this.isThere(digest)) ? known : undefined;
  }

  /** Asks for what was presumed. @returns whether there was any */
  async confirm(onAbsent: (digest: Digest) => void): Promise<boolean> {
    const presumed = [...this.#presumed];
    this.#presumed.clear();
    await this.#options.attempts.each(
      presumed,
      (digest) => `manifest ${digest}`,
      async (digest) => {
        if (!(await this.isThere(digest))) {
          onAbsent(digest);
        }
      },
    );
    return presumed.length > 0;
  }

  /** Whether this run or another one may have deleted it, while the registry's list still has it. */
  isExpectedGone(digest: Digest): boolean {
    const { earlier } = this.#known;
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
   * What a run was about to delete is not taken to be there because something names it. Neither is what came into use
   * since: the DELETE may have been carried out after that was seen.
   */
  #mayBeGone(digest: Digest): boolean {
    const past = this.#known.past.get(digest);
    const isRecent = past !== undefined && isCondemned(past, this.#options.policy.now);
    return isRecent || past?.status === 'leaving' || past?.status === 'deleted';
  }

  /** HEAD; and GET where its answer settles nothing, as that of an absent manifest never does. */
  async isThere(digest: Digest): Promise<boolean> {
    const { reader } = this.#options;
    return (
      (await reader.resolve(this.#repository, digest)) === digest ||
      (await this.fetch(digest)) !== undefined
    );
  }
}
