/** One repository as it was read, and what was decided over it. */
import type { Digest } from '../oci/digest.js';
import type { Inventory } from './inventory.js';
import type { Plan } from './plan.js';

export interface Survey {
  readonly inventory: Inventory;
  readonly plan: Plan;
  /** the bytes, as text, of the manifests that were fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
}
