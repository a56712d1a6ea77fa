/** What a sweep did with a plan, and what `verify` found afterwards. */
import type { Digest } from '../oci/digest.js';
import type { KeepReason } from './plan.js';

export interface Outcome {
  readonly repository: string;
  /** in the order of the deletes; `gone` are those the registry no longer had (404): not a failure */
  readonly deleted: readonly Digest[];
  readonly gone: readonly Digest[];
  /** in the plan, but in use when the tags were looked at again right before the first delete */
  readonly spared: readonly { readonly digest: Digest; readonly reason: KeepReason }[];
  /** the delete was refused or got no answer */
  readonly failed: readonly { readonly digest: Digest; readonly why: string }[];
  /** not tried: the second look failed, a manifest that has to go first is still there, or the sweep was
   *  called off */
  readonly skipped: readonly { readonly digest: Digest; readonly why: string }[];
  /** what `verify` found broken: kept tags or children that no longer resolve */
  readonly broken: readonly { readonly what: string; readonly why: string }[];
}
