/** What a survey of one repository takes, and what it gives. */
import type { Digest } from '../oci/digest.js';
import type { RegistryReader } from '../registry/reader.js';
import type { Progress } from './attempts.js';
import type { Inventory } from './inventory.js';
import type { Plan, Policy } from './plan.js';

export interface SurveyOptions {
  readonly reader: RegistryReader;
  readonly policy: Policy;
  readonly concurrency: number;
  readonly progress: Progress;
}

export interface Survey {
  readonly inventory: Inventory;
  readonly plan: Plan;
  /** the bytes, as text, of the manifests that were fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
}
