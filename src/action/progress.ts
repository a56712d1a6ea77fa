/** A line every few seconds of a long run: how far it is, how fast, and how long it will still take. */
import ms from 'ms';

import type { RunTools } from '../run/clean.js';
import { number } from '../text/words.js';

const EVERY = 5_000;

export type ProgressLine = RunTools['progress'] & { stop(): void };

/**
 * @param requests how many were sent so far
 * @param print takes the finished line
 */
export function startProgress(requests: () => number, print: (line: string) => void): ProgressLine {
  const stageOf = (what: string) => ({
    what,
    expected: 0,
    done: 0,
    startedAt: Date.now(),
    requestsBefore: requests(),
  });
  let stage = stageOf('');
  const timer = setInterval(() => {
    const seconds = (Date.now() - stage.startedAt) / 1000;
    const line = progressLine({
      ...stage,
      seconds,
      rate: (requests() - stage.requestsBefore) / seconds,
    });
    if (line !== undefined) {
      print(line);
    }
  }, EVERY);
  // The clock alone must not keep the process alive, or a stuck run would never end.
  timer.unref();
  return {
    begin(what) {
      stage = stageOf(what);
    },
    expect(count) {
      stage.expected += count;
    },
    done() {
      stage.done += 1;
    },
    stop() {
      clearInterval(timer);
    },
  };
}

/**
 * @param state `seconds` since the beginning, `rate` in requests a second
 * @returns `undefined` as long as nobody knows how much there is to do
 */
export function progressLine(state: {
  readonly what: string;
  readonly expected: number;
  readonly done: number;
  readonly seconds: number;
  readonly rate: number;
}): string | undefined {
  const { what, expected, done, seconds, rate } = state;
  if (expected === 0) {
    return undefined;
  }
  const left = done === 0 ? undefined : ((expected - done) / done) * seconds;
  return (
    `${what}: ${number(done)} of ${number(expected)}, ${number(Math.round(rate))} requests/s` +
    (left === undefined || left < 1 ? '' : `, about ${ms(Math.round(left) * 1000)} left`)
  );
}
