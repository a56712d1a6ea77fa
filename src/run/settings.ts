/** What the inputs ask for, checked and typed: all that the rest of the program knows of them. */
import type { Approval } from '../plan/approval.js';
import type { MaxDeletes } from '../plan/brakes.js';
import type { Selection } from '../plan/selection.js';
import type { Protection } from '../plan/protection.js';
import type { Intake } from './candidates/candidate.js';
import type { Run } from './run.js';
import type { RegistrySettings } from '../registry/families/families.js';

/** The input `ledger-repository`. */
export type LedgerChoice =
  | { readonly kind: 'off' }
  /** where the registry can't list its manifests: in a repository of its own */
  | { readonly kind: 'auto' }
  | { readonly kind: 'named'; readonly repository: string };

/** What the report tells of the inputs, or goes by. */
export interface RunSettings {
  /** scheme, host and port */
  readonly registry: URL;
  readonly dryRun: boolean;
  /** milliseconds */
  readonly gracePeriod: number;
  readonly danglingReferrers: 'keep' | 'delete';
  /** so many of the newest orphans of a repository stay */
  readonly keepUntagged: number;
  /** absent: no limit, since a plan is carried out that somebody has seen */
  readonly maxDeletes?: MaxDeletes;
  /** where a dry-run writes its plan */
  readonly planFile?: string;
}

/** Those of a run that cleans. */
export interface CleanSettings extends RunSettings, RegistrySettings {
  readonly selection: Selection;
  /** as given by `protect` */
  readonly protection: Protection;
  /** whether to look, after a sweep, if what was kept is still there */
  readonly verify: boolean;
  /** where what is deleted is saved first */
  readonly backupDirectory: string;
  readonly ledger: LedgerChoice;
  /** requests in flight at the same time */
  readonly concurrency: number;
}

export interface Settings extends CleanSettings {
  /** as given by `username` and `password`; absent: see what docker/login-action left */
  readonly login?: { readonly username: string; readonly password: string };
  readonly insecure: boolean;
  /** the PEM text of `ca-file` */
  readonly ca?: string;
  /** the text of `digests` */
  readonly digests: string;
  /** readable files, as given by `digests-file` */
  readonly digestsFiles: readonly string[];
  /** the globs of `protect-files` */
  readonly protectFiles: readonly string[];
  /** a directory that a run left as its `backupDirectory`: put that back, and do nothing else */
  readonly restoreFrom?: string;
  /** the file of a plan that is to be carried out */
  readonly applyPlan?: string;
  /** where the JSON report goes */
  readonly reportFile?: string;
}

/** What the inputs name, read from their files. */
export interface Named {
  readonly intake: Intake;
  /** the plan that is to be carried out */
  readonly approval?: Approval;
  /** what `protect-files` named; it is in the settings' protection, too */
  readonly pinned: Omit<Run['pinned'], 'unmet'>;
}
