/**
 * The memory of manifests seen in earlier runs, shared by everyone who cleans the registry. Several runs may
 * read and write it at once and be killed at any point; why nothing gets lost is in docs/adr/0004. It is a
 * source of candidates and of bodies that prove themselves, never of a reason to delete.
 */
import { failureMessage } from '../../http/message.js';
import { AuthError } from '../../http/token.js';
import type { Digest } from '../../oci/digest.js';
import { compare } from '../../plan/graph.js';
import { RegistryError, type RegistryErrorKind } from '../../registry/registry-error.js';
import type { LedgerNews, Memory, Recollection, Settled } from '../memory.js';
import type { Observation } from '../observation.js';
import { remember } from './remember.js';
import { isSame, join, type Records } from './record.js';
import { EntryError } from './unpack.js';
import { coded, type Code } from '../../text/code.js';
import { LedgerStore, type StoreTools, type StoredEntry } from './store.js';

/** A recollection, and the entries that it was read from. */
interface Reading extends Recollection {
  readonly records: Records;
  readonly entries: readonly StoredEntry[];
}

/** These credentials or this registry don't allow it, now or at the next try. */
const DENIED: readonly RegistryErrorKind[] = [
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

interface LedgerTools extends StoreTools {
  /** epoch milliseconds: the time that this run's observations are said to be of */
  readonly now: number;
}

/** Lists the ledger's entries; what goes wrong is in `news`. */
export async function openLedger(tools: LedgerTools): Promise<Ledger> {
  const ledger = new Ledger(tools);
  await ledger.open();
  return ledger;
}

export class Ledger implements Memory {
  readonly #tools: LedgerTools;
  readonly #store: LedgerStore;
  /** by code, or by themselves where one code has several */
  readonly #warnings = new Map<string, string>();
  readonly #failures: string[] = [];
  readonly #written = new Set<string>();
  /** what `recall` gave out, by itself: with the entries that it was read from */
  readonly #readings = new WeakMap<Recollection, Reading>();
  #existed = false;
  #isReadable = true;
  #isWritable = true;
  #canDelete = true;
  #remembered = 0;

  constructor(tools: LedgerTools) {
    this.#tools = tools;
    this.#store = new LedgerStore(tools);
  }

  async open(): Promise<void> {
    try {
      await this.#store.open();
    } catch (error) {
      this.#isReadable = false;
      const text = `this run goes on without the ledger, which could not be read: ${failureMessage(error)}`;
      (isDenied(error) ? this.#warn : this.#fail)('ledger-not-read', text);
    }
    this.#existed = !this.#store.isEmpty;
  }

  isItself(repository: string, isNamed: boolean): boolean {
    if (repository !== this.#tools.ledger) {
      return false;
    }
    const { isEmpty, isShared } = this.#store;
    // A ledger that can't be read is no gap in the user's repositories, unless the user named it.
    return this.#isReadable ? !isEmpty && !isShared && !this.#store.has(repository) : !isNamed;
  }

  async recall(repository: string): Promise<Recollection | undefined> {
    if (!this.#isReadable) {
      return undefined;
    }
    try {
      const reading = await this.#read(repository);
      this.#readings.set(reading, reading);
      const records = [...reading.records.values()];
      this.#remembered += records.filter(({ status }) => status !== 'deleted').length;
      return reading;
    } catch (error) {
      const why = failureMessage(error);
      this.#fail('ledger-not-read', `what it remembers of ${repository} could not be read: ${why}`);
      return undefined;
    }
  }

  async #read(repository: string, isOutdated = false): Promise<Reading> {
    const { entries, warnings } = await this.#store.read(repository, isOutdated);
    warnings.forEach((warning) => this.#warnings.set(warning, warning));
    return {
      repository,
      records: join(entries.map(({ records }) => records)),
      manifests: new Map(entries.flatMap(({ manifests }) => [...manifests])),
      entries,
    };
  }

  async saw(recollection: Recollection, observation: Observation): Promise<Settled | undefined> {
    const reading = this.#readings.get(recollection);
    if (reading === undefined) {
      throw new Error(
        `what is remembered of ${recollection.repository} was read by another ledger`,
      );
    }
    return this.#guard(reading.repository, () =>
      this.#settle(reading, observation, leavingIn(reading)),
    );
  }

  async swept({ repository, tag }: Settled, observation: Observation): Promise<void> {
    await this.#guard(repository, async () => {
      // This reading comes after the deletes. Only if nobody wrote meanwhile, it is what stood before them.
      const reading = await this.#read(repository);
      const isOurs = reading.entries.every((entry) => entry.tag === tag);
      return this.#settle(reading, observation, isOurs ? leavingIn(reading) : new Set());
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
      const why = error instanceof EntryError ? error.message : failureMessage(error);
      if (!isDenied(error)) {
        this.#fail(
          'ledger-not-written',
          `what was seen of ${repository} could not be remembered: ${why}. If the registry takes no such ` +
            'artifacts, switch the ledger off with `ledger-repository: off`',
        );
      } else {
        this.#isWritable = false;
        this.#warn(
          'ledger-not-written',
          `this run can't write to the ledger, and what it saw is not remembered: ${why}. If the account has no ` +
            'push rights there, give it them, or name a repository that it can push to in `ledger-repository`, or ' +
            'switch the ledger off with `ledger-repository: off`',
        );
      }
      return undefined;
    }
  }

  /** @param leaving what may be dropped if it is absent */
  async #settle(
    first: Reading,
    observation: Observation,
    leaving: ReadonlySet<Digest>,
  ): Promise<Settled | undefined> {
    const { repository } = first;
    // A manifest that is there was known in the survey, and so not fetched. A run that forgets it read before us.
    const standing = new Map(
      [...first.records].filter(([digest]) => observation.standing.has(digest)),
    );
    const fallen = new Set<string>();
    let reading = first;
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const past = join([reading.records, standing]);
      const records = remember(past, observation, {
        // Nobody knows who read the repository first, the writer of a later entry or we.
        droppable: round === 1 ? leaving : new Set(),
        restates: reading.entries.length < MANY_ENTRIES,
        now: this.#tools.now,
      });
      const written = await this.#write(reading, records, fallen);
      if (written !== undefined) {
        const { tag, stale } = written;
        const isAlone = await this.#remove(stale);
        return isAlone && tag !== undefined ? { repository, tag } : undefined;
      }
      // The entry that we relied on is gone: another run has merged it. Its own entry may know less than we saw.
      reading = await this.#read(repository, true);
    }
    this.#fail(
      'ledger-not-written',
      `what was seen of ${repository} was written ${String(MOST_ROUNDS)} times and was gone each time. ` +
        'Does something delete tags or manifests there?',
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
    { repository, entries }: Reading,
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
      if (await this.#store.stands(newest)) {
        return { tag: newest.tag, stale: entries.filter((entry) => entry !== newest) };
      }
      fallen.add(newest.tag);
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
        const why = failureMessage(error);
        // Nothing is lost: the next run that may delete merges it again.
        this.#canDelete = false;
        this.#warn(
          'ledger-entries-stay',
          `entries of the ledger that were merged into newer ones stay, because one could not be deleted: ${why}`,
        );
      }
    }
    return this.#canDelete;
  }

  /** One warning of a kind is enough: several requests may be under way, and fail. */
  readonly #warn = (code: Code, text: string): void => {
    if (!this.#warnings.has(code)) {
      this.#warnings.set(code, coded(`${this.#tools.ledger}: ${text}`, code));
    }
  };

  readonly #fail = (code: Code, text: string): void => {
    this.#failures.push(coded(`${this.#tools.ledger}: ${text}`, code));
  };

  news(): LedgerNews {
    return {
      repository: this.#tools.ledger,
      existed: this.#existed,
      isReadable: this.#isReadable,
      written: this.#written.size,
      remembered: this.#remembered,
      warnings: [...this.#warnings.values()],
      failures: this.#failures,
    };
  }
}

/**
 * The manifests that may be dropped if a survey found them absent: every entry that was read before said that they were
 * leaving, or did not know them. Another run may rely on one that says otherwise, and have seen it after us.
 */
function leavingIn({ records, entries }: Reading): Set<Digest> {
  const seen = entries.flatMap((entry) => [...entry.records]);
  const present = seen.filter(([, { status }]) => status === 'in-use' || status === 'unused');
  const stays = new Set(present.map(([digest]) => digest));
  return new Set([...records.keys()].filter((digest) => !stays.has(digest)));
}

function isDenied(error: unknown): boolean {
  if (error instanceof AuthError) {
    return error.status !== undefined && error.status >= 400 && error.status < 500;
  }
  return error instanceof RegistryError && DENIED.includes(error.kind);
}

/** The one written last, as far as its writer knew; of two that were written at once, always the same one. */
function newestOf(entries: readonly StoredEntry[]): StoredEntry | undefined {
  return entries.toSorted((a, b) => b.sequence - a.sequence || compare(b.tag, a.tag))[0];
}
