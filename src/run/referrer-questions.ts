/** Asks the referrers API during one survey of one repository, as long as there seems to be one. Only reads. */
import type { Digest } from '../oci/digest.js';
import type { Found } from '../plan/naming.js';
import type { SurveyContext } from './survey-options.js';

export class ReferrerQuestions {
  readonly #context: SurveyContext;
  readonly #asked = new Set<Digest>();
  /** true until an answer says otherwise, for this survey of this repository alone */
  #hasApi = true;
  /** the referrers of each manifest that was asked about and has any */
  readonly answers = new Map<Digest, readonly Digest[]>();

  constructor(context: SurveyContext) {
    this.#context = context;
  }

  /**
   * Asks about each manifest once, also about those that stay (docs/adr/0002): a referrer that only this API knows
   * may be an index, and an apparent orphan its child.
   *
   * @returns the referrers; `undefined` when there was nothing to ask
   */
  async ask(manifests: Iterable<Digest>): Promise<Found[] | undefined> {
    const { attempts, reader, repository } = this.#context;
    const unasked = this.#hasApi ? [...manifests].filter((digest) => !this.#asked.has(digest)) : [];
    const found: Found[] = [];
    // The first question is sent alone: without such an API the others are not sent, nor counted as progress. Each
    // survey asks a first question of its own, so that a passing wrong answer misleads only one.
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
