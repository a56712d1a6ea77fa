/** What `versions.ts` keeps of one package, and what it shows: the versions, those that are gone included. */
import type { RepositoryState, StoredManifest } from '../memory/state.js';
import type { Lag } from './options.js';

export interface Version {
  readonly id: number;
  readonly digest: string;
  /** milliseconds since 1970 */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** of a deleted one: those that it had */
  readonly tags: readonly string[];
  readonly deletedAt?: number;
}

export interface Page {
  /** of all pages */
  readonly total: number;
  readonly versions: readonly Version[];
}

/** GitHub restores for thirty days. */
export const RESTORE_WINDOW = 30 * 24 * 60 * 60_000;

/** When something changed: by the clock, and by the number of lists that were asked for until then. */
export interface Moment {
  readonly time: number;
  readonly lists: number;
}

export const LONG_AGO: Moment = { time: -Infinity, lists: -Infinity };

export interface Entry {
  readonly id: number;
  readonly digest: string;
  born: Moment;
  /** milliseconds since 1970 */
  created: number;
  updated: number;
  downloads: number;
  /** the newest last */
  tags: { readonly since: Moment; readonly tags: readonly string[] }[];
  gone?: {
    readonly since: Moment;
    /** absent: a test took the manifest out of the state, so no restore brings it back */
    readonly stored?: StoredManifest;
    readonly tags: readonly string[];
  };
}

export interface Shelf {
  /** of what is there */
  readonly byDigest: Map<string, Entry>;
  readonly byId: Map<number, Entry>;
  /** how many lists were asked for */
  lists: number;
  /** until the state was looked at for the first time: what is in it then has been there for long */
  isFresh: boolean;
  /** what is there, newest first; undefined since something changed */
  sorted: readonly Entry[] | undefined;
}

export function emptyShelf(): Shelf {
  return { byDigest: new Map(), byId: new Map(), lists: 0, isFresh: true, sorted: undefined };
}

/** A copy that what happens to the other one doesn't change. */
export function copyOf({ byId, byDigest, lists, isFresh }: Shelf): Shelf {
  const entries = new Map(
    [...byId].map(([id, entry]) => [id, { ...entry, tags: [...entry.tags] }]),
  );
  const standing = [...byDigest].flatMap(([digest, { id }]) => {
    const entry = entries.get(id);
    return entry === undefined ? [] : [[digest, entry] as const];
  });
  return { byId: entries, byDigest: new Map(standing), lists, isFresh, sorted: undefined };
}

export const NO_TAGS: readonly string[] = [];

export function currentTags({ tags }: Entry): readonly string[] {
  return tags.at(-1)?.tags ?? NO_TAGS;
}

/** Whether a change shows already. */
export function isPast(shelf: Shelf, since: Moment, lag: Lag | undefined, now: number): boolean {
  if (lag === undefined) {
    return true;
  }
  return 'ms' in lag ? now >= since.time + lag.ms : shelf.lists > since.lists + lag.lists;
}

export function tagsByDigest(repository: RepositoryState | undefined): Map<string, string[]> {
  const tags = new Map<string, string[]>();
  for (const [tag, digest] of repository?.tags ?? []) {
    const known = tags.get(digest);
    if (known === undefined) {
      tags.set(digest, [tag]);
    } else {
      known.push(tag);
    }
  }
  return tags;
}
