/** A line every few seconds while a long run is under way: how far, how fast, how long still. */
import ms from 'ms';

import type { Progress } from '../run/attempts.js';

const EVERY = 5_000;

export interface ProgressLine extends Progress {
  /** what is being done from here on; the counts start anew */
  begin(what: string): void;
  stop(): void;
}

/**
 * @param requests how many were sent so far
 * @param print takes the finished line
 */
export function startProgress(requests: () => number, print: (line: string) => void): ProgressLine {
  let what = '';
  let expected = 0;
  let done = 0;
  let startedAt = Date.now();
  let requestsBefore = 0;
  const timer = setInterval(() => {
    const seconds = (Date.now() - startedAt) / 1000;
    const rate = (requests() - requestsBefore) / seconds;
    print(progressLine({ what, expected, done, seconds, rate }));
  }, EVERY);
  // The clock alone must not keep the process alive, or a stuck run would never end.
  timer.unref();
  return {
    begin(next) {
      what = next;
      expected = 0;
      done = 0;
      startedAt = Date.now();
      requestsBefore = requests();
    },
    expect(count) {
      expected += count;
    },
    done() {
      done += 1;
    },
    stop() {
      clearInterval(timer);
    },
  };
}

/** @param state `seconds` since the beginning, `rate` in requests a second */
export function progressLine(state: {
  readonly what: string;
  readonly expected: number;
  readonly done: number;
  readonly seconds: number;
  readonly rate: number;
}): string {
  const { what, expected, done, seconds, rate } = state;
  const count = (value: number) => value.toLocaleString('en');
  const left = done === 0 ? undefined : ((expected - done) / done) * seconds;
  return (
    `${what}: ${count(done)} of ${count(expected)}, ${count(Math.round(rate))} requests/s` +
    (left === undefined || left < 1 ? '' : `, about ${ms(Math.round(left) * 1000)} left`)
  );
}
