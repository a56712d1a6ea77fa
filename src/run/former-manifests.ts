/**
 * Manifests that lived in the repository and were deleted, as the registry itself tells. What describes one of them is
 * no description of something elsewhere. A run that ended half-way, by a kill or for its quota, leaves such things.
 */
import type { Digest } from '../oci/digest.js';
import { RequestFailure } from '../http/message.js';
import type { Past } from '../plan/past.js';
import type { Plan } from '../plan/plan.js';
import type { KeepReason } from '../plan/reasons.js';
import type { SurveyContext } from './survey-options.js';

export class FormerManifests {
  readonly #context: SurveyContext;
  #hasAsked: boolean;
  readonly found = new Map<Digest, Past>();

  constructor(context: SurveyContext) {
    this.#context = context;
    // What the first read of a run found is in the past of all later ones.
    this.#hasAsked = context.known.earlier !== undefined;
  }

  /** Asks once, and only if something is kept because its subject may be elsewhere. @returns whether any was here */
  async ask({ keep }: Plan): Promise<boolean> {
    const { lister, repository, policy } = this.#context;
    const subjects = keep.flatMap(({ reason }) => subjectOf(reason) ?? []);
    if (this.#hasAsked || subjects.length === 0 || lister?.deleted === undefined) {
      return false;
    }
    this.#hasAsked = true;
    try {
      const deleted = await lister.deleted(repository);
      const past: Past = {
        firstSeen: policy.now,
        everInUse: false,
        status: 'leaving',
        since: policy.now,
      };
      subjects.filter((each) => deleted.has(each)).forEach((each) => this.found.set(each, past));
    } catch (error) {
      // Not every account may see what was deleted. Nothing is deleted because of that.
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
    }
    return this.found.size > 0;
  }
}

function subjectOf(reason: KeepReason): Digest | undefined {
  switch (reason.kind) {
    case 'dangling-referrer':
      return reason.subject;
    case 'dangling-digest-tag':
      return reason.names;
    default:
      return undefined;
  }
}
