import { getEventListeners, setMaxListeners } from 'node:events';

import { describe, expect, it } from '@jest/globals';

import { stoppable, systemClock, type Clock } from '../../src/http/clock.js';

/** Timers that keep this process alive. */
const timers = () =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;

const HOUR = 3_600_000;

describe('systemClock', () => {
  it('sleeps for so long', async () => {
    const before = performance.now();
    await systemClock.sleep(30);
    // A timer may fire up to a millisecond early.
    expect(performance.now() - before).toBeGreaterThan(28);
  });

  it('wakes all sleepers when it is told to stop, and leaves no timer that keeps the process alive', async () => {
    const controller = new AbortController();
    const before = timers();
    const sleepers = [1, 2, 3].map(() => systemClock.sleep(HOUR, controller.signal));
    expect(timers()).toBeGreaterThan(before);
    controller.abort();
    await Promise.all(sleepers);
    expect(timers()).toBe(before);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('does not sleep at all once that was said, and still lets others get on', async () => {
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 0);
    for (let time = 0; time < 20; time += 1) {
      await systemClock.sleep(HOUR, AbortSignal.abort());
    }
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(0);
  });
});

describe('stoppable', () => {
  it('hands the signal to whoever sleeps, and tells the same time', async () => {
    const { signal } = new AbortController();
    const slept: unknown[] = [];
    const clock: Clock = {
      now: () => 7,
      sleep: async (...sleep) => {
        slept.push(sleep);
      },
    };
    const stopped = stoppable(clock, signal);
    expect(stopped.now()).toBe(7);
    await stopped.sleep(5);
    expect(slept).toEqual([[5, signal]]);
  });

  it('leaves no listener behind, however often somebody sleeps', async () => {
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const clock = stoppable(systemClock, signal);
    await Promise.all(Array.from({ length: 1_000 }, () => clock.sleep(1)));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
