/** Asks a registry's referrers API in one look at one repository, as long as there seems to be one. Only reads. */
import type { Digest } from '../oci/digest.js';
import type { Reader } from '../registry/registry.js';
import type { Attempts } from './attempts.js';
import type { Found } from '../plan/naming.js';

export interface ReferrerQuestions {
  /** of each manifest that was asked about and has any */
  readonly answers: ReadonlyMap<Digest, readonly Digest[]>;
  /**
   * Asks about each manifest once, also about those that stay (docs/adr/0002): a referrer that only this API knows
   * may be an index, and what looks like an orphan its child.
   *
   * @returns what was found; `undefined` when there was nothing to ask
   */
  ask(manifests: Iterable<Digest>): Promise<Found[] | undefined>;
}

export function createReferrerQuestions(
  reader: Pick<Reader, 'referrers'>,
  repository: string,
  attempts: Attempts,
): ReferrerQuestions {
  const asked = new Set<Digest>();
  const answers = new Map<Digest, readonly Digest[]>();
  /** until an answer says otherwise: to this look at this repository alone */
  let hasApi = true;

  async function read(digest: Digest): Promise<readonly Digest[]> {
    asked.add(digest);
    const referrers = await reader.referrers(repository, digest);
    if (referrers === undefined) {
      hasApi = false;
    } else if (referrers.length > 0) {
      answers.set(digest, referrers);
    }
    return referrers ?? [];
  }

  return {
    answers,
    async ask(manifests) {
      const unasked = hasApi ? [...manifests].filter((digest) => !asked.has(digest)) : [];
      const found: Found[] = [];
      // The first question alone: where there is no such API, the others are none, and no progress either. Another
      // repository, and the look before the deletes, ask one of their own: a passing answer misleads one of them.
      for (const some of [unasked.slice(0, 1), unasked.slice(1)]) {
        await attempts.each(
          hasApi ? some : [],
          (digest) => `referrers of ${digest}`,
          async (digest) => {
            // One by one: there may be more of them than a call can have arguments.
            (await read(digest)).forEach((each) =>
              found.push({ digest: each, source: 'referrers' }),
            );
          },
        );
      }
      return unasked.length > 0 ? found : undefined;
    },
  };
}
