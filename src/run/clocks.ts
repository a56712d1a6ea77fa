/** The time by the runner and by the registry. Ages are measured by the earlier of the two. Pure. */
import { coded } from '../text/code.js';

export interface Clocks {
  /** ages are measured by it; milliseconds since the epoch */
  readonly now: number;
  /** what is remembered is dated by it */
  readonly stamp: number;
  /** set when the difference matters; safe to print */
  readonly warning?: string;
}

const MINUTE = 60_000;
const MOST_APART = 5 * MINUTE;
/**
 * @param startedAt when the run began, by the runner
 * @param runner the runner's time when the answer came
 * @param registry the registry's time in that answer, if it said so
 */
export function compareClocks(startedAt: number, runner: number, registry?: number): Clocks {
  if (registry === undefined) {
    return { now: startedAt, stamp: startedAt };
  }
  const apart = registry - runner;
  const now = startedAt + Math.min(apart, 0);
  if (Math.abs(apart) <= MOST_APART) {
    return { now, stamp: now };
  }
  const minutes = String(Math.round(Math.abs(apart) / MINUTE));
  return {
    now,
    // By a clock that may be wrong by days, what is new today would look old to the next run.
    stamp: startedAt,
    warning: coded(
      `the clocks of runner and registry are ${minutes} minutes apart: it is ${iso(runner)} by the runner and ` +
        `${iso(registry)} by the registry. Ages are measured by the earlier one, so manifests may be kept longer. ` +
        'Set the wrong clock right, for instance with NTP',
      'clocks-differ',
    ),
  };
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}
