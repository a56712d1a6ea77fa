/**
 * The pace of deletes: as fast as GitHub's secondary limits allow, 900 points a minute of which a DELETE costs five
 * (docs.github.com, "Rate limits for the REST API").
 */
import pLimit from 'p-limit';

import type { Clock } from '../../../http/clock.js';

const MINUTE = 60_000;
/** Below the 180 that are allowed: what is sent evenly may arrive unevenly. */
const MOST_A_MINUTE = 173;
/** Milliseconds: spread over a minute, so that two seconds of delay are no seven deletes more, with time for the list. */
const SPACING = 310;
/** So many of a run are sent at once: most runs have no more. They count in the minute like all others. */
export const BURST = 16;

export class Pace {
  readonly #clock: Clock;
  /** one waits at a time, so that nobody holds a turn that he is too late to use */
  readonly #queue = pLimit(1);
  /** when the deletes of the last minute were sent */
  #sent: number[] = [];
  /** number of deletes of the run */
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the next delete may be sent, or when it is too late to send it. */
  turn(isLate: () => boolean = () => false): Promise<void> {
    return this.#queue(async () => {
      for (let wait = this.#wait(); wait > 0 && !isLate(); wait = this.#wait()) {
        // In steps: the recheck that follows is not to wait for a delete that is too late.
        await this.#clock.sleep(Math.min(wait, SPACING));
      }
      if (!isLate()) {
        this.#sent.push(this.#clock.now());
        this.#count += 1;
      }
    });
  }

  #wait(): number {
    const now = this.#clock.now();
    this.#sent = this.#sent.filter((time) => time > now - MINUTE);
    const last = this.#count < BURST ? -Infinity : (this.#sent.at(-1) ?? -Infinity);
    const oldest = this.#sent.at(-MOST_A_MINUTE) ?? -Infinity;
    return Math.max(last + SPACING, oldest + MINUTE) - now;
  }
}
