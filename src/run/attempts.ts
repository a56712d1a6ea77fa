/** Runs the reads of a survey, many at a time. What registry and network do wrong becomes a gap. */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Gap } from '../plan/inventory.js';

/** Told about every step of the reading, for a progress line. */
export interface Progress {
  /** so many more things are to be read */
  expect(count: number): void;
  /** one of them was */
  done(): void;
}

export interface Attempts {
  /** so far */
  gaps(): readonly Gap[];
  /** After many gaps reading on would only cost time: nothing will be deleted anyway. */
  isOver(): boolean;
  /** @returns what was read; `undefined` for a gap. What we do wrong is thrown */
  one<T>(what: string, read: () => Promise<T>): Promise<T | undefined>;
  /** Reads all of them, unless it is over. */
  each<T>(
    items: readonly T[],
    what: (item: T) => string,
    read: (item: T) => Promise<void>,
  ): Promise<void>;
}

const MOST_GAPS = 10;

export function createAttempts({
  progress,
  concurrency,
}: {
  readonly progress: Progress;
  readonly concurrency: number;
}): Attempts {
  const gaps: Gap[] = [];
  const isOver = () => gaps.length >= MOST_GAPS;

  async function one<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof RequestFailure) {
        gaps.push({ what, why: error.message });
        if (gaps.length === MOST_GAPS) {
          const why = `not read: ${String(MOST_GAPS)} things before it could not be read either`;
          gaps.push({ what: 'the rest', why });
        }
        return undefined;
      }
      throw error;
    }
  }

  return {
    gaps: () => [...gaps],
    isOver,
    one,
    async each(items, what, read) {
      progress.expect(items.length);
      await pMap(
        items,
        async (item) => {
          if (!isOver()) {
            await one(what(item), () => read(item));
          }
          progress.done();
        },
        { concurrency },
      );
    },
  };
}
