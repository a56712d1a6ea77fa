/**
 * The memory of manifests seen in earlier runs, shared by everyone who cleans the registry. Several runs may
 * read and write it at once and be killed at any point; why nothing gets lost is in docs/adr/0004. It is a
 * source of candidates and of bodies that prove themselves, never of a reason to delete.
 */
import { RequestFailure } from '../../http/message.js';
import { AuthError } from '../../http/token.js';
import type { Digest } from '../../oci/digest.js';
import type { Manifest } from '../../oci/manifest.js';
import { RegistryError, type Refusal } from '../../registry/distribution/answer.js';
import { EntryError } from './entry.js';
import { remember, type Observation } from './observation.js';
import { isSame, join, type Records } from './record.js';
import { createStore, type LedgerStore, type StoreTools, type StoredEntry } from './store.js';

/** What is remembered of one repository. */
export interface Memory {
  readonly repository: string;
  readonly records: Records;
  /** of the records, read from their bodies */
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly entries: readonly StoredEntry[];
}

/** The state that a run has left: one entry, by its tag. */
export interface Settled {
  readonly repository: string;
  readonly tag: string;
}

/** What the report says of the ledger. All texts are safe to print. */
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

export interface Ledger {
  /**
   * Whether nothing but the ledger lies in this repository, so that there is nothing to clean.
   *
   * @param isNamed whether the user asked for this very repository
   */
  isItself(repository: string, isNamed: boolean): boolean;
  /** `undefined` when the memory of this repository can't be read */
  recall(repository: string): Promise<Memory | undefined>;
  /**
   * Adds what was observed since `memory` was read, if it is anything new, and merges what others wrote.
   *
   * @returns the one entry that is left and knows all; `undefined` when there is no such entry, or others
   *   could not be deleted
   */
  record(memory: Memory, observation: Observation): Promise<Settled | undefined>;
  /** Adds what a sweep did after `record` had settled. */
  recordSweep(settled: Settled, observation: Observation): Promise<void>;
  news(): LedgerNews;
}

/** These credentials or this registry don't allow it, now or at the next try. */
const DENIED: readonly Refusal[] = [
  'unauthorized',
  'forbidden',
  'read-only',
  'no-repository',
  'deletes-off',
];
/** Each further round is needed only because another run got on in the meantime. */
const MOST_ROUNDS = 20;
/** So many are left where deletes fail, and then nothing can come back from having been deleted, either. */
const MANY_ENTRIES = 8;

export interface LedgerTools extends StoreTools {
  /** epoch milliseconds: the time that this run's observations are said to be of */
  readonly now: number;
}

/** Lists the ledger's entries; what goes wrong is in `news`. */
export async function openLedger(tools: LedgerTools): Promise<Ledger> {
  const ledger = new OpenLedger(tools);
  await ledger.open();
  return ledger;
}

class OpenLedger implements Ledger {
  readonly #store: LedgerStore;
  readonly #name: string;
  readonly #now: number;
  readonly #warnings = new Set<string>();
  readonly #failures: string[] = [];
  readonly #written = new Set<string>();
  #existed = false;
  #isReadable = true;
  #isWritable = true;
  #canDelete = true;
  #remembered = 0;

  constructor(tools: LedgerTools) {
    this.#store = createStore(tools);
    this.#name = tools.ledger;
    this.#now = tools.now;
  }

  async open(): Promise<void> {
    try {
      await this.#store.open();
    } catch (error) {
      this.#isReadable = false;
      const text = `${this.#name}: this run goes on without the ledger, which could not be read: ${why(error)}`;
      if (isDenied(error)) {
        this.#warnings.add(text);
      } else {
        this.#failures.push(text);
      }
    }
    this.#existed = !this.#store.isEmpty;
  }

  isItself(repository: string, isNamed: boolean): boolean {
    if (repository !== this.#name) {
      return false;
    }
    const { isEmpty, isShared } = this.#store;
    // What may not be read is no gap in anything that was asked for, unless it was.
    return this.#isReadable ? !isEmpty && !isShared && !this.#store.has(repository) : !isNamed;
  }

  async recall(repository: string): Promise<Memory | undefined> {
    if (!this.#isReadable) {
      return undefined;
    }
    try {
      const memory = await this.#read(repository);
      this.#remembered += [...memory.records.values()].filter(
        ({ status }) => status !== 'deleted',
      ).length;
      return memory;
    } catch (error) {
      this.#failures.push(
        `${this.#name}: what it remembers of ${repository} could not be read: ${why(error)}`,
      );
      return undefined;
    }
  }

  async #read(repository: string, anew = false): Promise<Memory> {
    const { entries, warnings } = await this.#store.read(repository, anew);
    warnings.forEach((warning) => this.#warnings.add(warning));
    return {
      repository,
      records: join(entries.map(({ records }) => records)),
      manifests: new Map(entries.flatMap(({ manifests }) => [...manifests])),
      entries,
    };
  }

  async record(memory: Memory, observation: Observation): Promise<Settled | undefined> {
    return this.#guard(memory.repository, () =>
      this.#settle(memory, observation, leavingIn(memory)),
    );
  }

  async recordSweep({ repository, tag }: Settled, observation: Observation): Promise<void> {
    await this.#guard(repository, async () => {
      // This reading comes after the deletes. Only if nobody wrote meanwhile, it is what stood before them.
      const memory = await this.#read(repository);
      const isOurs = memory.entries.every((entry) => entry.tag === tag);
      return this.#settle(memory, observation, isOurs ? leavingIn(memory) : new Set());
    });
  }

  async #guard(
    repository: string,
    write: () => Promise<Settled | undefined>,
  ): Promise<Settled | undefined> {
    if (!this.#isWritable) {
      return undefined;
    }
    try {
      return await write();
    } catch (error) {
      const text = why(error);
      if (isDenied(error)) {
        this.#closeForWriting(text);
      } else {
        this.#failures.push(
          `${this.#name}: what was seen of ${repository} could not be remembered: ${text}. If the ` +
            'registry takes no such artifacts, switch the ledger off with `ledger-repository: off`',
        );
      }
      return undefined;
    }
  }

  /** @param leaving what may be dropped if it is absent */
  async #settle(
    first: Memory,
    observation: Observation,
    leaving: ReadonlySet<Digest>,
  ): Promise<Settled | undefined> {
    const { repository } = first;
    // What is there was known when we looked, and so not fetched: whoever forgets it meanwhile looked before.
    const standing = new Map(
      [...first.records].filter(([digest]) => observation.standing.has(digest)),
    );
    const fallen = new Set<string>();
    let memory = first;
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const past = join([memory.records, standing]);
      const records = remember(past, observation, {
        // Of a later reading it is not known who looked first, its writer or we.
        droppable: round === 1 ? leaving : new Set(),
        restates: memory.entries.length < MANY_ENTRIES,
        now: this.#now,
      });
      const written = await this.#write(memory, records, fallen);
      if (written !== undefined) {
        const { tag, stale } = written;
        const isAlone = await this.#remove(stale);
        return isAlone && tag !== undefined ? { repository, tag } : undefined;
      }
      // What we relied on is gone: another run has merged it. Its own entry may know less than we saw.
      memory = await this.#read(repository, true);
    }
    this.#failures.push(
      `${this.#name}: what was seen of ${repository} was written ${String(MOST_ROUNDS)} times and was gone ` +
        'each time. Does something delete tags or manifests there?',
    );
    return undefined;
  }

  /**
   * Makes sure that an entry holds these records; of none, there is nothing to hold.
   *
   * @param fallen tags of entries that did not stand any more. One that is listed again is not relied on: a
   *   tool that copies repositories may have written another manifest for it
   * @returns its tag, and the entries that it replaces; `undefined` when it did not last
   */
  async #write(
    { repository, entries }: Memory,
    records: Records,
    fallen: Set<string>,
  ): Promise<{ tag: string | undefined; stale: readonly StoredEntry[] } | undefined> {
    if (records.size === 0) {
      return { tag: undefined, stale: entries };
    }
    const newest = newestOf(entries);
    if (newest !== undefined && !fallen.has(newest.tag) && isSame(newest.records, records)) {
      // Nothing new. Asked for last of all, so that whoever deletes it from now on has merged it after
      // we looked at the repository.
      const { tag } = newest;
      const stale = entries.filter((entry) => entry !== newest);
      if (await this.#store.stands(newest)) {
        return { tag, stale };
      }
      fallen.add(tag);
      return undefined;
    }
    const sequence = Math.min((newest?.sequence ?? 0) + 1, Number.MAX_SAFE_INTEGER);
    const tag = await this.#store.write({ repository, sequence, records });
    if (tag === undefined) {
      return undefined;
    }
    this.#written.add(repository);
    return { tag, stale: entries };
  }

  /** @returns whether all of them are gone */
  async #remove(stale: readonly StoredEntry[]): Promise<boolean> {
    for (const entry of stale) {
      if (!this.#canDelete) {
        return false;
      }
      try {
        await this.#store.remove(entry);
      } catch (error) {
        this.#closeForDeleting(why(error));
      }
    }
    return this.#canDelete;
  }

  /** Said once, though several writes may be under way. */
  #closeForWriting(reason: string): void {
    if (this.#isWritable) {
      this.#isWritable = false;
      this.#warnings.add(
        `${this.#name}: this run can't write to the ledger, and what it saw is not remembered: ${reason}. ` +
          'If the account has no push rights there, give it them, or name a repository that it can push to in ' +
          '`ledger-repository`, or switch the ledger off with `ledger-repository: off`',
      );
    }
  }

  /** Nothing is lost: the next run that may delete merges it again. */
  #closeForDeleting(reason: string): void {
    if (this.#canDelete) {
      this.#canDelete = false;
      this.#warnings.add(
        `${this.#name}: entries of the ledger that were merged into newer ones stay, because one could not ` +
          `be deleted: ${reason}`,
      );
    }
  }

  news(): LedgerNews {
    return {
      repository: this.#name,
      existed: this.#existed,
      isReadable: this.#isReadable,
      written: this.#written.size,
      remembered: this.#remembered,
      warnings: [...this.#warnings],
      failures: this.#failures,
    };
  }
}

/**
 * What may be dropped if a look found it absent: what every entry that was read before said was leaving, or did not
 * know. Another run may rely on one that says otherwise, and have seen it after us.
 */
function leavingIn({ records, entries }: Memory): Set<Digest> {
  const stays = (entry: StoredEntry, digest: Digest) => {
    const status = entry.records.get(digest)?.status;
    return status === 'in-use' || status === 'unused';
  };
  return new Set(
    [...records.keys()].filter((digest) => !entries.some((entry) => stays(entry, digest))),
  );
}

/** @throws whatever is no fault of registry, network or entry, but of this program */
function why(error: unknown): string {
  if (error instanceof RequestFailure || error instanceof EntryError) {
    return error.message;
  }
  throw error;
}

function isDenied(error: unknown): boolean {
  if (error instanceof AuthError) {
    return error.status !== undefined && error.status >= 400 && error.status < 500;
  }
  return error instanceof RegistryError && DENIED.includes(error.kind);
}

/** The one written last, as far as its writer knew; of two that were written at once, always the same one. */
function newestOf(entries: readonly StoredEntry[]): StoredEntry | undefined {
  return entries.reduce<StoredEntry | undefined>(
    (newest, entry) =>
      newest === undefined ||
      entry.sequence > newest.sequence ||
      (entry.sequence === newest.sequence && entry.tag > newest.tag)
        ? entry
        : newest,
    undefined,
  );
}
