/** Why a manifest is kept, and why another is deleted. */
import type { Digest } from '../oci/digest.js';
import type { Protector } from './protection.js';

export type KeepReason =
  | { readonly kind: 'tagged'; readonly tags: readonly string[] }
  /** by the input `protect` or by files, whose paths these are */
  | {
      readonly kind: 'protected';
      readonly by: readonly Protector[];
      /** its config or a layer, where they name that: an image ID is the digest of a config */
      readonly blob?: Digest;
    }
  /** `created` in epoch milliseconds: of its own config, or of the youngest image that it contains or describes */
  | { readonly kind: 'young'; readonly created: number }
  /** never seen in use, and first seen by an earlier run at this time (epoch milliseconds), which is recent */
  | { readonly kind: 'new'; readonly firstSeen: number }
  /** out of use since (epoch milliseconds), which is not longer than `unused-for`; with the tags that it had last */
  | { readonly kind: 'recently-used'; readonly since: number; readonly tags: readonly string[] }
  | { readonly kind: 'unknown-type'; readonly mediaType: string }
  /** its subject isn't in this repository, nor remembered to have been: it may describe an image elsewhere */
  | { readonly kind: 'dangling-referrer'; readonly subject: Digest }
  | { readonly kind: 'dangling-digest-tag'; readonly tag: string; readonly names: Digest }
  /** `blob`: a kept manifest has it as its config or as a layer */
  | { readonly kind: 'child' | 'subject' | 'referrer' | 'blob'; readonly of: Digest }
  | { readonly kind: 'digest-tag'; readonly tag: string; readonly of: Digest }
  | { readonly kind: 'mentioned'; readonly by: Digest }
  /** an orphan index whose delete would take a kept child along */
  | { readonly kind: 'holds-kept'; readonly of: Digest }
  /** the repository has it as a layer or config too, and that may be all that it is: no run saw it in use */
  | { readonly kind: 'layer' }
  /** `tag` once pointed at it and now points at a part of it, as a proxy that ignores `Accept` answers */
  | { readonly kind: 'narrowed'; readonly tag: string; readonly part: Digest }
  /** one of the newest orphans, which `keep-untagged` keeps for roll-backs */
  | { readonly kind: 'recent' }
  /** an orphan as well, but not one that the plan which is carried out says */
  | { readonly kind: 'not-in-plan' }
  /** this action's own memory, in a repository that is cleaned beside it */
  | { readonly kind: 'ledger' }
  /** nothing reaches it, but something in this repository couldn't be read */
  | { readonly kind: 'gap' };

export type DeleteReason =
  /** no tag, and nothing that is kept refers to it */
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'child' | 'referrer'; readonly of: Digest }
  | { readonly kind: 'digest-tag'; readonly tag: string; readonly of: Digest }
  /** its subject isn't in this repository: it was once, or the user asked to delete such manifests */
  | { readonly kind: 'dangling'; readonly subject: Digest };
