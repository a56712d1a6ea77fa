/** Work in batches, one at a time for each key: items that are asked for meanwhile go together into the next batch. */

/** The result of a batch: what became of one of its items. */
export type Outcome<T, R> = (item: T) => Promise<R>;

interface Asked<T, R> {
  readonly item: T;
  readonly settle: (result: Promise<R>) => void;
}

export class Turns<T, R> {
  readonly #most: number;
  readonly #carryOut: (key: string, batch: readonly T[]) => Promise<Outcome<T, R>>;
  readonly #waiting = new Map<string, Asked<T, R>[]>();

  /** @param most items of one batch */
  constructor(
    most: number,
    carryOut: (key: string, batch: readonly T[]) => Promise<Outcome<T, R>>,
  ) {
    this.#most = most;
    this.#carryOut = carryOut;
  }

  /** Rejects as the batch does. */
  ask(key: string, item: T): Promise<R> {
    return new Promise((resolve) => {
      const asked = { item, settle: resolve };
      const waiting = this.#waiting.get(key);
      if (waiting === undefined) {
        this.#waiting.set(key, [asked]);
        void this.#work(key);
      } else {
        waiting.push(asked);
      }
    });
  }

  async #work(key: string): Promise<void> {
    // Items that are asked for at the same moment go together.
    await Promise.resolve();
    for (;;) {
      const batch = this.#waiting.get(key)?.splice(0, this.#most) ?? [];
      if (batch.length === 0) {
        this.#waiting.delete(key);
        return;
      }
      const outcome = this.#carryOut(
        key,
        batch.map(({ item }) => item),
      );
      batch.forEach(({ item, settle }) => {
        settle(outcome.then((of) => of(item)));
      });
      await outcome.catch(() => undefined);
    }
  }
}
