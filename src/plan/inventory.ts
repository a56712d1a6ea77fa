/** One repository as it was read. Plain values: nothing here reads or decides. */
import type { Digest } from '../oci/digest.js';
import type { ImageFacts } from '../oci/image-config.js';
import type { Manifest } from '../oci/manifest.js';
import type { Listing } from '../registry/registry.js';
import type { Past } from './past.js';

/** Something that had to be read and couldn't be. One of them, and nothing in the repository is deleted. */
export interface Gap {
  /** what was being read: `tag v1`, `manifest sha256:…`, `the list of tags`, `config sha256:…` */
  readonly what: string;
  /** what happened and what to do about it; safe to print */
  readonly why: string;
}

/** Where a digest is named. */
export type Source =
  | 'tag'
  | 'input'
  | 'ledger'
  /** the registry's own list of manifests */
  | 'listing'
  | 'protected'
  | 'child'
  | 'subject'
  | 'digest-tag'
  | 'referrers'
  /** computed: a fallback tag may have pointed at it before */
  | 'earlier'
  /** by an index as an entry of another type, or by a manifest that is not understood */
  | 'mentioned';

export interface Inventory {
  readonly repository: string;
  /** every listed tag that resolved, digest tags too */
  readonly tags: ReadonlyMap<string, Digest>;
  /** every manifest that was read, its bytes matching its digest */
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  /** asked for, and the registry says that it has no such manifest */
  readonly absent: ReadonlySet<Digest>;
  /** what is remembered and was not found: its bytes still tell what it needs, should something need it */
  readonly ghosts: ReadonlyMap<Digest, Manifest>;
  /** tags that are listed although their manifest is unknown to the registry: broken images */
  readonly brokenTags: readonly string[];
  /**
   * what the registry's referrers API lists, of each manifest that it was asked about and that has any. The registry
   * may know of a referrer by other means than a `subject` that can be read here
   */
  readonly referrers: ReadonlyMap<Digest, readonly Digest[]>;
  /** by image manifest, for those whose config was read (the possible orphans) */
  readonly facts: ReadonlyMap<Digest, ImageFacts>;
  /** of manifests that the ledger remembers, whether or not they are still there */
  readonly past: ReadonlyMap<Digest, Past>;
  /** of possible orphans that nothing in the repository names: whether it has them as layers or configs, too */
  readonly links?: ReadonlyMap<Digest, boolean>;
  /** all tags that earlier runs, and an earlier look of this run, saw point at a manifest */
  readonly formerTags: ReadonlyMap<Digest, ReadonlySet<string>>;
  /** the registry's own list of the manifests here, complete; absent where it has none */
  readonly listing?: Listing;
  /**
   * listed children, which an index calls image manifests and nobody had to read: nothing looks like an orphan that one
   * of them could have as its subject
   */
  readonly unread?: ReadonlySet<Digest>;
  readonly gaps: readonly Gap[];
  /** when the registry did not tell of some manifest what it is: its own bytes did, or it is unknown */
  readonly isUntyped?: true;
}
