/**
 * The versions of the packages: what GitHub keeps of each manifest. They follow the registry's state, which a test
 * may change without a push: `sync` finds what is new, what is gone, and which tags stand elsewhere. It has to be
 * called before anything is asked here of a repository that may have changed.
 */
import type { RegistryState, StoredManifest } from '../memory/state.js';
import type { Assumptions, Lags } from './options.js';
import {
  copyOf,
  currentTags,
  emptyShelf,
  isPast,
  LONG_AGO,
  NO_TAGS,
  RESTORE_WINDOW,
  tagsByDigest,
  type Entry,
  type Moment,
  type Page,
  type Shelf,
  type Version,
} from './shelf.js';

export interface Remembered {
  readonly lastId: number;
  readonly shelves: ReadonlyMap<string, Shelf>;
}

export interface VersionsOptions {
  readonly assume: Assumptions;
  readonly now: () => number;
  readonly seededAt: () => number;
  readonly listLags: Lags;
  readonly versionLags: Lags;
}

export class Versions {
  readonly #state: RegistryState;
  readonly #options: VersionsOptions;
  readonly #shelves = new Map<string, Shelf>();
  readonly #leftOut = new Set<string>();
  #lastId = 100_000_000;

  constructor(state: RegistryState, options: VersionsOptions) {
    this.#state = state;
    this.#options = options;
  }

  /** Takes note of all that changed in the state. @param at when it did; default: when things were seeded */
  sync(name: string, at = this.#options.seededAt()): void {
    const repository = this.#state.repositories.get(name);
    const shelf = this.#shelf(name);
    const since = shelf.isFresh ? LONG_AGO : this.#moment(shelf);
    shelf.isFresh = false;
    for (const digest of repository?.manifests.keys() ?? []) {
      if (!shelf.byDigest.has(digest)) {
        this.#add(shelf, digest, at, since);
      }
    }
    const tagsOf = tagsByDigest(repository);
    for (const entry of shelf.byDigest.values()) {
      if (repository?.manifests.has(entry.digest) !== true) {
        this.#remove(shelf, entry, since);
      } else {
        this.#retag(shelf, entry, tagsOf.get(entry.digest) ?? NO_TAGS, at, since);
      }
    }
  }

  /** A page of what the list shows, newest first, as late as the lags have it. Counts as a request for a list. */
  list(name: string, start: number, end: number): Page {
    const shelf = this.#shelf(name);
    shelf.lists += 1;
    const lags = this.#options.listLags;
    const isLate = Object.keys(lags).length > 0;
    const entries = isLate
      ? this.#sort([...shelf.byId.values()].filter((entry) => this.#isShown(shelf, entry, lags)))
      : (shelf.sorted ??= this.#sort([...shelf.byDigest.values()]));
    const left =
      this.#leftOut.size === 0
        ? entries
        : entries.filter(({ digest }) => !this.#leftOut.has(digest));
    const page = left.slice(start, end);
    return { total: left.length, versions: page.map((entry) => this.#shown(shelf, entry, lags)) };
  }

  /** What the next list will show. It counts as none. */
  upcoming(name: string): Version[] {
    const shelf = this.#shelf(name);
    const next = { ...shelf, lists: shelf.lists + 1 };
    const lags = this.#options.listLags;
    return [...shelf.byId.values()]
      .filter((entry) => this.#isShown(next, entry, lags))
      .map((entry) => this.#shown(next, entry, lags));
  }

  /** A page of what can still be restored. */
  deleted(name: string, start: number, end: number): Page {
    const shelf = this.#shelf(name);
    const entries = [...shelf.byId.values()].filter((entry) => this.#isRestorable(entry));
    const page = this.#sort(entries).slice(start, end);
    return { total: entries.length, versions: page.map((entry) => this.#shown(shelf, entry, {})) };
  }

  /** One that is there, as late as the lags of single versions have it. */
  one(name: string, id: number): Version | undefined {
    const shelf = this.#shelf(name);
    const entry = shelf.byId.get(id);
    const lags = this.#options.versionLags;
    return entry !== undefined && this.#isShown(shelf, entry, lags)
      ? this.#shown(shelf, entry, lags)
      : undefined;
  }

  /** All that ever was there, in the order of their ids. */
  all(name: string): Version[] {
    const shelf = this.#shelf(name);
    return [...shelf.byId.values()].map((entry) => this.#shown(shelf, entry, {}));
  }

  /** `version_count` */
  count(name: string): number {
    const { byDigest, byId } = this.#shelf(name);
    return this.#options.assume.versionCount === 'active' ? byDigest.size : byId.size;
  }

  /**
   * What a delete is judged by. `only`: it is the last one that is left, or the last one of those with a tag.
   *
   * @returns undefined when it isn't there
   */
  judged(
    name: string,
    id: number,
  ): { readonly downloads: number; readonly only: 'left' | 'tagged' | undefined } | undefined {
    const { byId, byDigest } = this.#shelf(name);
    const entry = byId.get(id);
    if (entry === undefined || entry.gone !== undefined) {
      return undefined;
    }
    const isTagged = (each: Entry): boolean => currentTags(each).length > 0;
    const others = [...byDigest.values()].filter((each) => each !== entry);
    const isOnlyTagged = isTagged(entry) && !others.some(isTagged);
    const only = isOnlyTagged ? 'tagged' : others.length === 0 ? 'left' : undefined;
    return { downloads: entry.downloads, only };
  }

  /** Deletes the manifest with all its tags. @returns false when it isn't there */
  delete(name: string, id: number): boolean {
    const shelf = this.#shelf(name);
    const entry = shelf.byId.get(id);
    const repository = this.#state.repositories.get(name);
    const stored = entry === undefined ? undefined : repository?.manifests.get(entry.digest);
    if (entry === undefined || entry.gone !== undefined || stored === undefined) {
      return false;
    }
    repository?.manifests.delete(entry.digest);
    for (const tag of currentTags(entry)) {
      repository?.tags.delete(tag);
    }
    this.#remove(shelf, entry, this.#moment(shelf), stored);
    return true;
  }

  /** Brings a deleted version back. @returns false when it can't be */
  restore(name: string, id: number): boolean {
    const shelf = this.#shelf(name);
    const entry = shelf.byId.get(id);
    const { assume, now } = this.#options;
    if (entry?.gone?.stored === undefined || !this.#isRestorable(entry)) {
      return false;
    }
    if (shelf.byDigest.has(entry.digest)) {
      return assume.restoreOfRepushed === 'taken';
    }
    const { stored, tags } = entry.gone;
    const repository = this.#state.repositories.get(name);
    repository?.manifests.set(entry.digest, stored);
    for (const tag of assume.restoreBringsTags ? tags : []) {
      if (!repository?.tags.has(tag)) {
        repository?.tags.set(tag, entry.digest);
      }
    }
    this.#revive(shelf, entry, this.#moment(shelf));
    this.sync(name, now());
    return true;
  }

  setTimes(name: string, digest: string, times: { created?: number; updated?: number }): void {
    const entry = this.#entry(name, digest);
    entry.created = times.created ?? entry.created;
    entry.updated = times.updated ?? times.created ?? entry.updated;
    this.#shelf(name).sorted = undefined;
  }

  setDownloads(name: string, digest: string, downloads: number): void {
    this.#entry(name, digest).downloads = downloads;
  }

  download(name: string, digest: string): void {
    if (!this.#shelf(name).byDigest.has(digest)) {
      this.sync(name);
    }
    this.#entry(name, digest).downloads += 1;
  }

  /** When it came, by this simulator's clock. */
  bornAt(name: string, digest: string): number {
    return this.#shelf(name).byDigest.get(digest)?.born.time ?? -Infinity;
  }

  /** All that is remembered here. */
  copy(): Remembered {
    const shelves = [...this.#shelves].map(([name, shelf]) => [name, copyOf(shelf)] as const);
    return { lastId: this.#lastId, shelves: new Map(shelves) };
  }

  /** Puts a copy in the place of all that is remembered. No id is given twice. */
  load({ lastId, shelves }: Remembered): void {
    this.#lastId = Math.max(this.#lastId, lastId);
    this.#shelves.clear();
    shelves.forEach((shelf, name) => this.#shelves.set(name, copyOf(shelf)));
  }

  leaveOut(...digests: readonly string[]): void {
    for (const digest of digests) {
      this.#leftOut.add(digest);
    }
  }

  #entry(name: string, digest: string): Entry {
    const entry = this.#shelf(name).byDigest.get(digest);
    if (entry === undefined) {
      throw new Error(`no version ${digest} in ${name}`);
    }
    return entry;
  }

  #shelf(name: string): Shelf {
    let shelf = this.#shelves.get(name);
    if (shelf === undefined) {
      shelf = emptyShelf();
      this.#shelves.set(name, shelf);
    }
    return shelf;
  }

  #moment({ lists }: Shelf): Moment {
    return { time: this.#options.now(), lists };
  }

  #add(shelf: Shelf, digest: string, at: number, born: Moment): void {
    const before =
      this.#options.assume.repush === 'same-id'
        ? [...shelf.byId.values()].find((entry) => entry.digest === digest)
        : undefined;
    shelf.sorted = undefined;
    if (before !== undefined) {
      this.#revive(shelf, before, born);
      return;
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const entry = { id, digest, born, created: at, updated: at, downloads: 0, tags: [] };
    shelf.byDigest.set(digest, entry);
    shelf.byId.set(id, entry);
  }

  #revive(shelf: Shelf, entry: Entry, born: Moment): void {
    delete entry.gone;
    entry.born = born;
    entry.tags = [];
    shelf.byDigest.set(entry.digest, entry);
    shelf.sorted = undefined;
  }

  #remove(shelf: Shelf, entry: Entry, since: Moment, stored?: StoredManifest): void {
    const tags = currentTags(entry);
    shelf.byDigest.delete(entry.digest);
    shelf.sorted = undefined;
    entry.gone = { since, tags, ...(stored === undefined ? {} : { stored }) };
  }

  #retag(shelf: Shelf, entry: Entry, tags: readonly string[], at: number, since: Moment): void {
    const before = currentTags(entry);
    if (before.length === tags.length && before.every((tag, n) => tag === tags[n])) {
      return;
    }
    entry.tags.push({ since, tags });
    if (this.#options.assume.tagsMoveUpdatedAt) {
      entry.updated = Math.max(entry.updated, at);
      shelf.sorted = undefined;
    }
  }

  #isRestorable({ gone }: Entry): boolean {
    return gone?.stored !== undefined && this.#options.now() - gone.since.time <= RESTORE_WINDOW;
  }

  #isShown(shelf: Shelf, { born, gone }: Entry, lags: Lags): boolean {
    const now = this.#options.now();
    return (
      isPast(shelf, born, lags.pushes, now) &&
      !(gone !== undefined && isPast(shelf, gone.since, lags.deletes, now))
    );
  }

  #shown(shelf: Shelf, entry: Entry, lags: Lags): Version {
    const { id, digest, created, updated, gone } = entry;
    const now = this.#options.now();
    const last = entry.tags.findLast(({ since }) => isPast(shelf, since, lags.tags, now));
    const tags = gone?.tags ?? last?.tags ?? NO_TAGS;
    return {
      id,
      digest,
      createdAt: created,
      updatedAt: updated,
      tags: this.#options.assume.tagOrder === 'oldest-first' ? tags : tags.toReversed(),
      ...(gone === undefined ? {} : { deletedAt: gone.since.time }),
    };
  }

  #sort(entries: Entry[]): Entry[] {
    const key = this.#options.assume.listOrder;
    return entries.sort((a, b) => b[key] - a[key] || b.id - a.id);
  }
}
