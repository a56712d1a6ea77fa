/** The options of a survey of one repository, and the knowledge from before it. */
import type { Clock } from '../http/clock.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Inventory } from '../plan/inventory.js';
import type { Past } from '../plan/past.js';
import type { Policy } from '../plan/plan.js';
import type { Lister, Reader } from '../registry/registry.js';
import type { Attempts, Progress } from './attempts.js';

export interface SurveyOptions {
  readonly reader: Reader;
  /** absent: untagged manifests can't be listed */
  readonly lister?: Lister;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
  /** for the waits before a listed tag that is not there yet is read again */
  readonly clock: Clock;
}

/** Manifests from the ledger, or from an earlier read of the same run. They can't change, but they can be gone. */
export interface Knowledge {
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly past: ReadonlyMap<Digest, Past>;
  /** given when the manifests were seen in this very run: then they are not asked for again */
  readonly earlier?: Pick<Inventory, 'tags' | 'brokenTags' | 'facts' | 'links' | 'ghosts'> & {
    /** manifests of the past that were deleted since: not read unless something names them */
    readonly gone?: ReadonlySet<Digest>;
  };
}

/** The values that the parts of one survey share. */
export interface SurveyContext extends SurveyOptions {
  readonly repository: string;
  readonly known: Knowledge;
  readonly attempts: Attempts;
}
