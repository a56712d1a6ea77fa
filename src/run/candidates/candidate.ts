/** What `digests` and `digests-file` gave: the manifests that may exist, by repository. */
import type { Digest } from '../../oci/digest.js';

export interface Intake {
  /** valid repository name → digests, each once */
  readonly candidates: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** lines (or JSON values) that named at least one manifest, or that a known format carries along */
  readonly understood: number;
  /** lines that no format explains; blank lines and `#` comments count as neither */
  readonly notUnderstood: number;
  /** the first few of them, for the summary: safe to print, cut to a readable length */
  readonly examples: readonly { readonly where: string; readonly text: string }[];
}
