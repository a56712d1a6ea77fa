/** What a sweep did with a plan, and what `verify` found afterwards. */
import type { Digest } from '../oci/digest.js';
import type { KeepReason } from './reasons.js';

export interface Outcome {
  readonly repository: string;
  /** in the order of the deletes; `gone` are those the registry no longer had (404): not a failure */
  readonly deleted: readonly Digest[];
  readonly gone: readonly Digest[];
  /** in the plan, but in use when the tags were looked at again, before the first delete or later */
  readonly spared: readonly { readonly digest: Digest; readonly reason: KeepReason }[];
  /** the delete was refused or got no answer */
  readonly failed: readonly { readonly digest: Digest; readonly why: string }[];
  /** not tried: not saved, not looked at again, a manifest that has to go first is still there, or the
   *  sweep was called off */
  readonly skipped: readonly { readonly digest: Digest; readonly why: string }[];
  /** deleted while a push began to use them, and put back: not among `deleted`, `gone` or `failed` */
  readonly healed: readonly Digest[];
  /**
   * What `verify` found broken, and could not mend: kept tags or children that no longer resolve, and what was
   * deleted with those, such as their signatures.
   */
  readonly broken: readonly { readonly what: string; readonly why: string }[];
  /** whether something was deleted and the run had to stop before it could look at what was kept */
  readonly unverified: boolean;
}
