/**
 * A clock that tests turn by hand. With `auto` it jumps to the end of each sleep by itself, so that
 * waiting costs nothing and is written down.
 */
import type { Clock } from '../../../src/http/clock.js';

export interface FakeClock extends Clock {
  /** every wait asked for, in milliseconds */
  readonly slept: number[];
  /** Moves the time on and wakes whoever has slept enough. */
  advance(milliseconds: number): Promise<void>;
}

export function fakeClock(options: { auto: boolean }, start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  const slept: number[] = [];
  const sleepers = new Set<{ until: number; wake: () => void }>();
  return {
    slept,
    now: () => now,
    async sleep(milliseconds, stop) {
      slept.push(milliseconds);
      if (stop?.aborted === true) {
        return;
      }
      if (options.auto) {
        now += milliseconds;
        return;
      }
      await new Promise<void>((wake) => {
        sleepers.add({ until: now + milliseconds, wake });
        stop?.addEventListener('abort', () => wake(), { once: true });
      });
    },
    async advance(milliseconds) {
      now += milliseconds;
      for (const sleeper of sleepers) {
        if (sleeper.until <= now) {
          sleepers.delete(sleeper);
          sleeper.wake();
        }
      }
      await settled();
    },
  };
}

/** Lets everything run that waits for nothing but promises. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
