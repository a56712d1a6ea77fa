import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { progressLine, startProgress, type ProgressLine } from '../../src/action/progress.js';

describe('progressLine', () => {
  it.each([
    [
      'how far it is, how fast, and how long it will take',
      { what: 'Reading', expected: 4000, done: 1000, seconds: 10, rate: 123.4 },
      'Reading: 1,000 of 4,000, 123 requests/s, about 30s left',
    ],
    [
      'minutes',
      { what: 'Reading', expected: 100, done: 1, seconds: 5, rate: 1 },
      'Reading: 1 of 100, 1 requests/s, about 8m left',
    ],
    [
      'no time left while nothing is done',
      { what: 'Reading', expected: 9, done: 0, seconds: 5, rate: 0.4 },
      'Reading: 0 of 9, 0 requests/s',
    ],
    [
      'no time left when all is done',
      { what: 'Reading', expected: 9, done: 9, seconds: 5, rate: 2 },
      'Reading: 9 of 9, 2 requests/s',
    ],
  ])('shows %s', (_, state, expected) => {
    expect(progressLine(state)).toBe(expected);
  });

  it('is missing as long as nobody knows how much there is to do', () => {
    const state = { what: 'Reading', expected: 0, done: 0, seconds: 5, rate: 2 };
    expect(progressLine(state)).toBeUndefined();
  });
});

describe('startProgress', () => {
  let progress: ProgressLine;
  let requests = 0;
  const printed: string[] = [];
  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    printed.length = 0;
    requests = 0;
    progress = startProgress(
      () => requests,
      (line) => printed.push(line),
    );
  });
  afterEach(() => {
    progress.stop();
    jest.useRealTimers();
  });

  it('prints every few seconds at most, and nothing on a short run', () => {
    progress.begin('Reading');
    progress.expect(2);
    progress.done();
    jest.advanceTimersByTime(4_999);
    expect(printed).toEqual([]);
    jest.advanceTimersByTime(10_001);
    expect(printed).toHaveLength(3);
  });

  it('counts from 0 again at each beginning', () => {
    progress.begin('Reading');
    progress.expect(10);
    progress.done();
    requests = 100;
    jest.advanceTimersByTime(5_000);
    progress.begin('Deleting');
    progress.expect(4);
    progress.expect(4);
    progress.done();
    progress.done();
    requests = 150;
    jest.advanceTimersByTime(5_000);
    expect(printed).toEqual([
      'Reading: 1 of 10, 20 requests/s, about 45s left',
      'Deleting: 2 of 8, 10 requests/s, about 15s left',
    ]);
  });

  it('prints nothing after its stop', () => {
    progress.stop();
    jest.advanceTimersByTime(60_000);
    expect(printed).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('does not keep the process alive', () => {
    progress.stop();
    jest.useRealTimers();
    const unref = jest.fn();
    const real = globalThis.setInterval;
    const spy = jest
      .spyOn(globalThis, 'setInterval')
      .mockImplementation((...args: Parameters<typeof setInterval>) => {
        const timer = real(...args);
        jest.spyOn(timer, 'unref').mockImplementation(() => {
          unref();
          return timer;
        });
        return timer;
      });
    startProgress(
      () => 0,
      () => undefined,
    ).stop();
    spy.mockRestore();
    expect(unref).toHaveBeenCalledTimes(1);
  });
});
