/**
 * What a run knows of a repository before it reads it. Two kinds stand behind this interface: the ledger, which this
 * action keeps where the registry can't list its manifests, and a listing, where it can.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import type { Past } from '../plan/past.js';
import type { Observation } from './observation.js';

export interface Memory {
  /**
   * Whether nothing but this memory lies in this repository, so that there is nothing to clean.
   *
   * @param isNamed whether the user asked for this very repository
   */
  isItself(repository: string, isNamed: boolean): boolean;
  /** `undefined` when it can't be read, or nothing is ever remembered */
  recall(repository: string): Promise<Recollection | undefined>;
  /**
   * Adds what was observed since `recollection` was read. To be called before the first delete.
   *
   * @returns the state that knows all, and that nobody relies on older ones; `undefined` when there is none
   */
  saw(recollection: Recollection, observation: Observation): Promise<Settled | undefined>;
  /** Adds what a sweep did after `saw` had settled. */
  swept(settled: Settled, observation: Observation): Promise<void>;
  /** for the report; `undefined` where nothing is ever remembered */
  news(): LedgerNews | undefined;
}

/** One manifest, as it is remembered. */
export interface Remembered extends Past {
  readonly mediaType: string;
  /** the manifest's bytes as text: what is said of its children and subject is proved by its digest */
  readonly body: string;
}

/** One repository, as it is remembered. */
export interface Recollection {
  readonly repository: string;
  readonly records: ReadonlyMap<Digest, Remembered>;
  /** of the records, read from their bodies */
  readonly manifests: ReadonlyMap<Digest, Manifest>;
}

/** The state that a run has left: one entry, by its tag. */
export interface Settled {
  readonly repository: string;
  readonly tag: string;
}

/** The ledger, for the report. All texts are safe to print. */
export interface LedgerNews {
  readonly repository: string;
  /** whether it had an entry of any repository when the run began */
  readonly existed: boolean;
  /** false when it could not be read at all: the run went on without it */
  readonly isReadable: boolean;
  /** repositories whose memory this run changed */
  readonly written: number;
  /** manifests that were remembered of the repositories of this run, when it came */
  readonly remembered: number;
  readonly warnings: readonly string[];
  /** make the job red */
  readonly failures: readonly string[];
}
