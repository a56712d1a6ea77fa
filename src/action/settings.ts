/** What the inputs ask for, checked and typed: all that the rest of the program knows of them. */
import type { Selection } from '../cleanup/selection.js';

export interface Settings {
  /** scheme, host and port of the registry; no path */
  readonly registry: URL;
  /** as given by `username` and `password`; absent: see what docker/login-action left */
  readonly login?: { readonly username: string; readonly password: string };
  readonly insecure: boolean;
  /** the PEM text of `ca-file` */
  readonly ca?: string;
  readonly selection: Selection;
  /** the text of `digests` */
  readonly digests: string;
  /** readable files, as given by `digests-file` */
  readonly digestsFiles: readonly string[];
  readonly dryRun: boolean;
  /** milliseconds */
  readonly gracePeriod: number;
  readonly danglingReferrers: 'keep' | 'delete';
  /** requests in flight at the same time */
  readonly concurrency: number;
  /** where the JSON report goes */
  readonly reportFile?: string;
}
