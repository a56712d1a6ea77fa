/**
 * The use of a manifest that is, or was, in its repository, as earlier runs saw it. `in-use`: an ordinary tag reached it. `leaving`: it was about to be deleted, or not there any more. `unused`:
 * there, and neither of the two. `deleted`: a run was about to delete it, and a later read found it absent. Such a record is
 * no candidate: it holds the bytes for a while, in case that something turns out to need them.
 */
export type Status = 'in-use' | 'unused' | 'leaving' | 'deleted';

/** Times in epoch milliseconds. */
export interface Past {
  readonly firstSeen: number;
  /** whether any run ever saw it in use: its push was complete then */
  readonly everInUse: boolean;
  readonly status: Status;
  /** since when it has been in use, or else since when it no longer is */
  readonly since: number;
  /** all tags that were ever seen to point at it, sorted; absent where there were none */
  readonly tags?: readonly string[];
  /** those of them that a run saw last; absent where these are all */
  readonly lastTags?: readonly string[];
  /** when a run last was about to delete it; absent where none was */
  readonly condemned?: number;
}

/** The end of a manifest's use, as far as runs saw it. */
export interface LastUse {
  /** the tags that pointed at it when a run last saw any; sorted, and empty where it was in use by other means */
  readonly tags: readonly string[];
  /** epoch milliseconds at which a run first found it unused; the time of this run, if that is now */
  readonly until: number;
}

/**
 * @param now epoch milliseconds, the time of the run that finds it unused
 * @returns `undefined` where no run saw it in use, or not since it was deleted
 */
export function lastUseOf(past: Past | undefined, now: number): LastUse | undefined {
  if (past?.everInUse !== true || past.status === 'deleted') {
    return undefined;
  }
  return {
    tags: past.lastTags ?? past.tags ?? [],
    until: past.status === 'in-use' ? now : past.since,
  };
}

/** So long the bytes of what runs deleted are kept: a push may have met the delete, or an index that no run saw. */
const KEPT_FOR = 30 * 24 * 60 * 60 * 1000;

/** Whether a run may have deleted it not long ago. */
export function isCondemned({ condemned }: Pick<Past, 'condemned'>, now: number): boolean {
  return condemned !== undefined && condemned > now - KEPT_FOR;
}
