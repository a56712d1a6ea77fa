/**
 * The deleted manifests that the registry itself remembers. A run that was cut off may have deleted an image and not its
 * signature: what describes a manifest that once lived here belongs to no image elsewhere.
 */
import type { Digest } from '../oci/digest.js';
import type { Past } from '../plan/past.js';
import type { Plan } from '../plan/plan.js';
import type { SurveyContext } from './survey-options.js';

export class FormerManifests {
  readonly #context: SurveyContext;
  readonly #past: Map<Digest, Past>;
  #isAsked: boolean;

  constructor(context: SurveyContext) {
    const { past, earlier } = context.known;
    this.#context = context;
    this.#past = new Map(past);
    // What was found before is in the past that a recheck is given.
    this.#isAsked = earlier !== undefined;
  }

  /** all that is remembered, by earlier runs or by the registry */
  past(): ReadonlyMap<Digest, Past> {
    return new Map(this.#past);
  }

  /**
   * Asks once, and only where something stays because its subject may live elsewhere.
   *
   * @returns whether that is news
   */
  async ask({ keep }: Plan): Promise<boolean> {
    const { lister, repository, policy } = this.#context;
    const subjects = keep.flatMap(({ reason }) =>
      reason.kind === 'dangling-referrer'
        ? [reason.subject]
        : reason.kind === 'dangling-digest-tag'
          ? [reason.names]
          : [],
    );
    if (lister?.former === undefined || this.#isAsked || subjects.length === 0) {
      return false;
    }
    this.#isAsked = true;
    const former = await lister.former(repository);
    const found = subjects.filter((digest) => former.has(digest));
    const { now } = policy;
    for (const digest of found) {
      this.#past.set(digest, { firstSeen: now, everInUse: false, status: 'deleted', since: now });
    }
    return found.length > 0;
  }
}
