/** Everything known of a repository before it is read: from the ledger, or from an earlier read of the same run. */
import type { Past } from '../plan/past.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Inventory } from '../plan/inventory.js';

/** A manifest can't change, but it can be gone. */
export interface Known {
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly past: ReadonlyMap<Digest, Past>;
  /** given when the manifests were seen in this very run: then they are not asked for again */
  readonly earlier?: Pick<Inventory, 'tags' | 'brokenTags' | 'facts' | 'links' | 'ghosts'> & {
    /** of the past, what was deleted since: not asked for unless something names it */
    readonly gone?: ReadonlySet<Digest>;
  };
}

export const NOTHING_KNOWN: Known = { manifests: new Map(), past: new Map() };
