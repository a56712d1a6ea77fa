/**
 * Time as the layers of the transport see it: what o'clock it is, and waiting. Passed in everywhere, so
 * that tests need no real waiting.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** milliseconds since the epoch */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds) => delay(milliseconds),
};
