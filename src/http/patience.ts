/**
 * How long a run waits in all for a server that asks it to, answers too late, or sends a body drop by drop. Each wait
 * has a limit, but a server that uses it up for every request would hold a run for days.
 */
import type { Clock } from './clock.js';

export interface Patience {
  /** milliseconds since the epoch */
  now(): number;
  /** Waits at the same time count once. */
  spend(from: number, to: number): void;
  /** From then on nothing is waited for that can be left out. */
  isSpent(): boolean;
}

const MINUTES = 60_000;
/** No rate limit of a registry comes near to it, in a run that gets something done. */
const MOST_OF_RUN = 120 * MINUTES;
/** The waits between the tries of one request. */
export const MOST_OF_REQUEST = 15 * MINUTES;

export const REQUEST_IS_LATE = `the run waited ${String(MOST_OF_REQUEST / MINUTES)} minutes for it`;
export const RUN_IS_LATE =
  `this run has waited for ${String(MOST_OF_RUN / MINUTES)} minutes in all, for pauses that servers asked for and for ` +
  'slow answers. Lower `concurrency`, or check the log of the registry';

export function createPatience(clock: Pick<Clock, 'now'>): Patience {
  let spent = 0;
  let until = 0;
  return {
    now: () => clock.now(),
    spend(from, to) {
      spent += Math.max(0, to - Math.max(from, until));
      until = Math.max(until, to);
    },
    isSpent: () => spent >= MOST_OF_RUN,
  };
}
