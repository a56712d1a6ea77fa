import { describe, expect, it } from '@jest/globals';

import { Attempts } from '../../src/run/attempts.js';
import { RequestFailure } from '../../src/http/message.js';
import { RegistryError } from '../../src/registry/registry-error.js';

function start(concurrency = 1) {
  const progress = { expected: 0, finished: 0 };
  const attempts = new Attempts({
    concurrency,
    progress: {
      expect: (count) => {
        progress.expected += count;
      },
      done: () => {
        progress.finished += 1;
      },
    },
  });
  return Object.assign(attempts, { steps: progress });
}

const fail = (message: string) => () =>
  Promise.reject(new RequestFailure(message, 'registry-unreachable'));
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

describe('one attempt', () => {
  it('returns the value that was read, and leaves no gap', async () => {
    const attempts = start();
    expect(await attempts.one('tag v1', async () => 7)).toBe(7);
    expect(attempts.gaps()).toEqual([]);
    expect(attempts.isOver()).toBe(false);
  });

  it.each([
    [new RequestFailure('no answer', 'registry-unreachable'), 'no answer [registry-unreachable]'],
    [new RegistryError('forbidden', 'no answer'), 'no answer [right-missing]'],
  ])('makes a gap of a failure of registry or network: %p', async (failure, why) => {
    const attempts = start();
    expect(await attempts.one('tag v1', () => Promise.reject(failure))).toBeUndefined();
    expect(attempts.gaps()).toEqual([{ what: 'tag v1', why }]);
  });

  it('throws faults of this program', async () => {
    const attempts = start();
    const mistake = new TypeError('ours');
    await expect(attempts.one('x', () => Promise.reject(mistake))).rejects.toBe(mistake);
    await expect(
      attempts.each(
        [1],
        () => 'x',
        () => Promise.reject(mistake),
      ),
    ).rejects.toBe(mistake);
    expect(attempts.gaps()).toEqual([]);
  });
});

describe('several attempts', () => {
  it('read everything, as many things at a time as allowed, and report every step', async () => {
    const attempts = start(3);
    const read: number[] = [];
    let [now, most] = [0, 0];
    await attempts.each(upTo(10), String, async (n) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      read.push(n);
      now -= 1;
    });
    expect(read.sort((a, b) => a - b)).toEqual(upTo(10));
    expect(most).toBe(3);
    expect(attempts.gaps()).toEqual([]);
    expect(attempts.steps).toEqual({ expected: 10, finished: 10 });
  });

  it('continue after a gap, and name it', async () => {
    const attempts = start();
    const read: number[] = [];
    await attempts.each(
      upTo(3),
      (n) => `thing ${n}`,
      async (n) => {
        if (n === 1) {
          throw new RequestFailure('broken', 'registry-unreachable');
        }
        read.push(n);
      },
    );
    expect(read).toEqual([0, 2]);
    expect(attempts.gaps()).toEqual([{ what: 'thing 1', why: 'broken [registry-unreachable]' }]);
  });

  it('read nothing more after ten gaps, and say so', async () => {
    const attempts = start();
    for (const n of upTo(9)) {
      await attempts.one(`first ${n}`, fail('broken'));
    }
    expect(attempts.isOver()).toBe(false);
    const asked: number[] = [];
    await attempts.each(
      upTo(20),
      (n) => `second ${n}`,
      (n) => {
        asked.push(n);
        return n < 2 ? Promise.resolve() : fail('broken')();
      },
    );
    expect(asked).toEqual([0, 1, 2]);
    expect(attempts.isOver()).toBe(true);
    expect(attempts.gaps()).toHaveLength(11);
    expect(attempts.gaps().at(-2)).toEqual({
      what: 'second 2',
      why: 'broken [registry-unreachable]',
    });
    expect(attempts.gaps().at(-1)).toEqual({
      what: 'the rest',
      why: 'not read: 10 things before it could not be read either',
    });
    // A progress line that never comes to its end would look as if something hung.
    expect(attempts.steps).toEqual({ expected: 20, finished: 20 });
    await attempts.each(upTo(5), String, fail('broken'));
    expect(attempts.gaps()).toHaveLength(11);
  });

  it('keep the gaps of reads under way when they end, and say once that they ended', async () => {
    const attempts = start(8);
    await attempts.each(
      upTo(30),
      (n) => `thing ${n}`,
      async () => {
        await Promise.resolve();
        throw new RequestFailure('broken', 'registry-unreachable');
      },
    );
    expect(attempts.gaps().filter(({ what }) => what === 'the rest')).toHaveLength(1);
    expect(attempts.gaps().length).toBeGreaterThanOrEqual(11);
    expect(attempts.gaps().length).toBeLessThanOrEqual(10 + 1 + 7);
  });
});

it('the list of gaps does not change once it was given out', async () => {
  const attempts = start();
  const before = attempts.gaps();
  await attempts.one('x', fail('broken'));
  expect(before).toEqual([]);
  expect(attempts.gaps()).toHaveLength(1);
});
