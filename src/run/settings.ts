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

export interface Settings extends RegistrySettings {
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
  readonly ledger: LedgerChoice;
  /** requests in flight at the same time */
  readonly concurrency: number;
  /** where the JSON report goes */
  readonly reportFile?: string;
}

/** Those of a run that cleans. */
export type StageSettings = Pick<
  Settings,
  | 'registry'
  | 'registryType'
  | 'apiUrl'
  | 'selection'
  | 'concurrency'
  | 'dryRun'
  | 'gracePeriod'
  | 'danglingReferrers'
  | 'keepUntagged'
  | 'protection'
  | 'maxDeletes'
  | 'verify'
  | 'backupDirectory'
  | 'planFile'
  | 'ledger'
>;

/** What the inputs name, read from their files. */
export interface Named {
  readonly intake: Intake;
  /** the plan that is to be carried out */
  readonly approval?: Approval;
  /** what `protect-files` named; it is in the settings' protection, too */
  readonly pinned: Omit<Run['pinned'], 'unmet'>;
}
