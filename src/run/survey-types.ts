/** What a survey of one repository takes. */
import type { Clock } from '../http/clock.js';
import type { Lister, Reader } from '../registry/registry.js';
import type { Progress } from './attempts.js';
import type { Policy } from '../plan/plan.js';

export interface SurveyOptions {
  readonly reader: Reader;
  /** absent: untagged manifests can't be listed */
  readonly lister?: Lister;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
  /** for a tag that is listed and not there yet */
  readonly clock: Clock;
}
