/** The values of the inputs, checked and typed: all that the rest of the program knows of them. */
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

/** The settings that the report shows or needs. */
export interface RunSettings {
  /** scheme, host and port */
  readonly registry: URL;
  readonly dryRun: boolean;
  /** milliseconds */
  readonly gracePeriod: number;
  /** milliseconds */
  readonly unusedFor: number;
  readonly danglingReferrers: 'keep' | 'delete';
  /** number of the newest orphans that are kept in a repository */
  readonly keepUntagged: number;
  /** absent: no limit, since somebody has approved the plan */
  readonly maxDeletes?: MaxDeletes;
  /** where a dry-run writes its plan */
  readonly planFile?: string;
}

/** The settings of a run that cleans. */
export interface CleanSettings extends RunSettings, RegistrySettings {
  readonly selection: Selection;
  /** as given by `protect` */
  readonly protection: Protection;
  /** whether to verify after a sweep that kept manifests are still there */
  readonly verify: boolean;
  /** where manifests are saved before they are deleted */
  readonly backupDirectory: string;
  readonly ledger: LedgerChoice;
  /** requests in flight at the same time */
  readonly concurrency: number;
}

export interface Settings extends CleanSettings {
  /**
   * as given by `username` and `password`; absent: the login that docker/login-action left is used, else the token of
   * GitHub
   */
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
  /** a directory that a run left as its `backupDirectory`: restore it, and do nothing else */
  readonly restoreFrom?: string;
  /** the file of an approved plan */
  readonly applyPlan?: string;
  /** where the JSON report goes */
  readonly reportFile?: string;
}

/** The digests that the inputs name, read from their files. */
export interface Named {
  readonly intake: Intake;
  /** the approved plan */
  readonly approval?: Approval;
  /** what `protect-files` named; it is in the settings' protection, too */
  readonly pinned: Omit<Run['pinned'], 'unmet'>;
}
