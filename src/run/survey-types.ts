/** What a survey of one repository takes, and what it gives. */
import type { Clock } from '../http/clock.js';
import type { Digest } from '../oci/digest.js';
import type { RegistryReader } from '../registry/distribution/reader.js';
import type { Progress } from './attempts.js';
import type { Inventory } from '../plan/inventory.js';
import type { Plan, Policy } from '../plan/plan.js';

export interface SurveyOptions {
  readonly reader: RegistryReader;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
  /** for a tag that is listed and not there yet */
  readonly clock: Clock;
}

export interface Survey {
  readonly inventory: Inventory;
  readonly plan: Plan;
  /** the bytes, as text, of the manifests that were fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
}
