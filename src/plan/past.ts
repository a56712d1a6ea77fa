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
  /** when a run last was about to delete it; absent where none was */
  readonly condemned?: number;
}

/** So long the bytes of what runs deleted are kept: a push may have met the delete, or an index that no run saw. */
const KEPT_FOR = 30 * 24 * 60 * 60 * 1000;

/** Whether a run may have deleted it not long ago. */
export function isCondemned({ condemned }: Pick<Past, 'condemned'>, now: number): boolean {
  return condemned !== undefined && condemned > now - KEPT_FOR;
}
