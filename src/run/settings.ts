/** What the inputs ask for, checked and typed: all that the rest of the program knows of them. */
import type { MaxDeletes } from '../plan/brakes.js';
import type { Selection } from '../plan/selection.js';
import type { Protection } from '../plan/protection.js';

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
  /** so many of the newest orphans of a repository stay */
  readonly keepUntagged: number;
  /** as given by `protect` */
  readonly protection: Protection;
  /** the globs of `protect-files` */
  readonly protectFiles: readonly string[];
  /** absent: no limit, since a plan is carried out that somebody has seen */
  readonly maxDeletes?: MaxDeletes;
  /** whether to look, after a sweep, if what was kept is still there */
  readonly verify: boolean;
  /** where what is deleted is saved first */
  readonly backupDirectory: string;
  /** a directory that a run left as its `backupDirectory`: put that back, and do nothing else */
  readonly restoreFrom?: string;
  /** where a dry-run writes its plan */
  readonly planFile?: string;
  /** the file of a plan that is to be carried out */
  readonly applyPlan?: string;
  /** the repository of the ledger; absent: switched off */
  readonly ledgerRepository?: string;
  /** requests in flight at the same time */
  readonly concurrency: number;
  /** where the JSON report goes */
  readonly reportFile?: string;
}
