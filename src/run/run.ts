/** The result of a whole run, for its report: what was read, decided and done. */
import type { Intake } from './candidates/candidate.js';
import type { RepositoryRefusal } from '../plan/brakes.js';
import type { Inventory } from '../plan/inventory.js';
import type { Outcome } from '../plan/fate.js';
import { compare } from '../plan/graph.js';
import type { Plan } from '../plan/plan.js';
import type { Repair } from './repair.js';
import type { LedgerNews } from '../memory/memory.js';
import type { RunSettings } from './settings.js';
import type { Digest } from '../oci/digest.js';
import type { Advice } from '../registry/registry.js';

export interface RepositoryRun extends Outcome {
  readonly inventory: Inventory;
  readonly plan: Plan;
  /** why nothing is deleted in it; in a dry-run, why a real run would not */
  readonly refusal?: RepositoryRefusal;
  /** needed manifests that earlier runs had deleted; in a dry-run, only checked */
  readonly repair?: Repair;
  /** the digests that the approved plan names in it */
  readonly approved?: ReadonlySet<Digest>;
  /** not failures; safe to print */
  readonly warnings: readonly string[];
}

export interface Run {
  readonly settings: RunSettings;
  /** what `protect-files` named; `unmet` digests were found in no repository of the run */
  readonly pinned: { readonly files: number; readonly digests: number; readonly unmet: number };
  /** absolute path of the directory in which this run saved what it deleted; absent when it saved nothing */
  readonly backup?: string;
  /**
   * Epoch milliseconds until which what this run deleted can be restored: the last manifest by the server's own undo, or
   * the first one, where its blobs were parked. Absent when the run saved nothing, or no fixed time ends that.
   */
  readonly restorableUntil?: number;
  /**
   * The registry frees the blobs of a manifest with it, and a run parks them first. In milliseconds: for how long they
   * stay. Absent where blobs stay by themselves.
   */
  readonly parkedFor?: number;
  /** the plan that was carried out */
  readonly applied?: {
    /** epoch milliseconds */
    readonly createdAt: number;
    /** its manifests in repositories that the run did not read */
    readonly ignored: number;
  };
  /** epoch milliseconds, as `finishedAt` */
  readonly startedAt: number;
  readonly finishedAt: number;
  /** sent to the registry, retries and token requests included */
  readonly requests: number;
  /** in any order: the report sorts them by name */
  readonly repositories: readonly RepositoryRun[];
  /** repositories that had to be read and were not: the run was stopped, or failed in them */
  readonly unread: number;
  /**
   * False when `repositories` left some out or the catalog couldn't be asked: a blob may then be in
   * use in a repository that was not read, so freed bytes are "at most".
   */
  readonly everyRepositoryScanned: boolean;
  /** repositories of the catalog whose names the OCI spec does not allow: they can't be read */
  readonly unnameableRepositories: number;
  readonly intake: Intake;
  /** candidates in repositories that the input `repositories` excludes */
  readonly ignoredCandidates: number;
  /** whether the registry can list untagged manifests; the third: but for those that were pushed by digest alone */
  readonly untaggedListing: 'none' | 'complete' | 'without-digest-pushes';
  /** the registry's, as messages name it */
  readonly family: string;
  readonly advice: Advice;
  /** absent: switched off */
  readonly ledger?: LedgerNews;
  /** of the run as a whole, and not failures; safe to print */
  readonly warnings: readonly string[];
  /** what went wrong outside any repository; safe to print */
  readonly failures: readonly string[];
  /** where the pages are of the version that runs; absent: those of the newest version */
  readonly pages?: string;
  /** the workflow run, as GitHub tells it */
  readonly run?: {
    readonly url: string;
    readonly repository: string;
    readonly workflow: string;
    readonly event: string;
  };
}

/** By name, in the order of UTF-16 code units: the same on every machine. */
export function repositoriesByName(run: Run): readonly RepositoryRun[] {
  return [...run.repositories].sort((a, b) =>
    compare(a.inventory.repository, b.inventory.repository),
  );
}
