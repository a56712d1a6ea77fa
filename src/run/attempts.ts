/** Runs the reads of a survey, many at a time. A failure of the registry or the network becomes a gap. */
import pMap from 'p-map';

import { failureMessage } from '../http/message.js';
import type { Gap } from '../plan/inventory.js';

/** Told about every step of the reading, for a progress line. */
export interface Progress {
  /** adds to the number of things to read */
  expect(count: number): void;
  /** one of them was read */
  done(): void;
}

/** For reads that nobody counts. */
export const NO_PROGRESS: Progress = { expect: () => undefined, done: () => undefined };

const MOST_GAPS = 10;

export class Attempts {
  readonly #options: { readonly progress: Progress; readonly concurrency: number };
  readonly #gaps: Gap[] = [];

  constructor(options: { readonly progress: Progress; readonly concurrency: number }) {
    this.#options = options;
  }

  /** so far */
  gaps(): readonly Gap[] {
    return [...this.#gaps];
  }

  /** After many gaps more reads only cost time, since nothing is deleted anyway. */
  isOver(): boolean {
    return this.#gaps.length >= MOST_GAPS;
  }

  /** @returns what was read; `undefined` for a gap. @throws faults of this program */
  async one<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      this.addGap(what, failureMessage(error));
      return undefined;
    }
  }

  addGap(what: string, why: string): void {
    this.#gaps.push({ what, why });
    if (this.#gaps.length === MOST_GAPS) {
      const rest = `not read: ${MOST_GAPS} things before it could not be read either`;
      this.#gaps.push({ what: 'the rest', why: rest });
    }
  }

  /** Reads all of them, unless it is over. */
  async each<T>(
    items: readonly T[],
    what: (item: T) => string,
    read: (item: T) => Promise<void>,
  ): Promise<void> {
    const { progress, concurrency } = this.#options;
    progress.expect(items.length);
    await pMap(
      items,
      async (item) => {
        if (!this.isOver()) {
          await this.one(what(item), () => read(item));
        }
        progress.done();
      },
      { concurrency },
    );
  }
}
