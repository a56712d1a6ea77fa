/** Asks a registry's referrers API in one look at one repository, as long as there seems to be one. Only reads. */
import type { Digest } from '../oci/digest.js';
import type { Found } from '../plan/naming.js';
import type { Looking } from './survey-options.js';

export class ReferrerQuestions {
  readonly #looking: Looking;
  readonly #asked = new Set<Digest>();
  /** until an answer says otherwise: to this look at this repository alone */
  #hasApi = true;
  /** of each manifest that was asked about and has any */
  readonly answers = new Map<Digest, readonly Digest[]>();

  constructor(looking: Looking) {
    this.#looking = looking;
  }

  /**
   * Asks about each manifest once, also about those that stay (docs/adr/0002): a referrer that only this API knows
   * may be an index, and what looks like an orphan its child.
   *
   * @returns what was found; `undefined` when there was nothing to ask
   */
  async ask(manifests: Iterable<Digest>): Promise<Found[] | undefined> {
    const { attempts, reader, repository } = this.#looking;
    const unasked = this.#hasApi ? [...manifests].filter((digest) => !this.#asked.has(digest)) : [];
    const found: Found[] = [];
    // The first question alone: where there is no such API, the others are none, and no progress either. Another
    // repository, and the look before the deletes, ask one of their own: a passing answer misleads one of them.
    for (const some of [unasked.slice(0, 1), unasked.slice(1)]) {
      await attempts.each(
        this.#hasApi ? some : [],
        (digest) => `referrers of ${digest}`,
        async (digest) => {
          this.#asked.add(digest);
          const referrers = await reader.referrers(repository, digest);
          this.#hasApi &&= referrers !== undefined;
          if (referrers !== undefined && referrers.length > 0) {
            this.answers.set(digest, referrers);
            // One by one: there may be more of them than a call can have arguments.
            referrers.forEach((each) => found.push({ digest: each, source: 'referrers' }));
          }
        },
      );
    }
    return unasked.length > 0 ? found : undefined;
  }
}
