import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import type { HttpRequest } from '../../src/http/message.js';
import { createRetry } from '../../src/http/retry.js';
import { closing, createStop, NotSent, TooLate } from '../../src/http/stop.js';
import { createThrottle } from '../../src/http/throttle.js';
import { play, respond } from '../support/builders/answers.js';
import { fakeClock, settled } from '../support/scenes/fake-clock.js';
import { request } from '../support/servers/servers.js';

const URL_ = 'http://r.test/v2/';
const isMeant = { other: request(URL_), closing: request(URL_, { closing: true }) };

interface Kinds {
  readonly other: boolean;
  readonly closing: boolean;
}

/** The layer, and what it was told to give up: by what it says of a request of each kind. */
function stopping() {
  const controller = new AbortController();
  const played = play({ status: 200 });
  const given: { sent: Kinds; unsent: Kinds; detail: string }[] = [];
  const send = createStop(played.send, controller.signal, (which, detail) => {
    const kinds = (isOnTheWire: boolean): Kinds => ({
      other: which(isMeant.other, isOnTheWire),
      closing: which(isMeant.closing, isOnTheWire),
    });
    given.push({ sent: kinds(true), unsent: kinds(false), detail });
  });
  return { ...played, send, given, stop: () => controller.abort('SIGINT') };
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
});

afterEach(() => {
  jest.useRealTimers();
});

describe('createStop', () => {
  it('lets everything through until the run is told to stop', async () => {
    const { send, requests, given } = stopping();
    expect((await send(request(URL_, { method: 'DELETE' }))).status).toBe(200);
    jest.advanceTimersByTime(3_600_000);
    expect((await send(request(URL_))).status).toBe(200);
    expect(requests).toHaveLength(2);
    expect(given).toEqual([]);
  });

  it.each(['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const)(
    'sends no %s after that, and says so',
    async (method) => {
      const { send, requests, stop } = stopping();
      stop();
      const sending = send(request(URL_, { method }));
      await expect(sending).rejects.toThrow(NotSent);
      await expect(sending).rejects.toThrow('not sent: the run was told to stop');
      expect(requests).toEqual([]);
    },
  );

  it('still sends what closes the run, for six seconds', async () => {
    const { send, requests, stop } = stopping();
    const last = closing(send);
    stop();
    expect((await last(request(URL_, { method: 'PUT' }))).status).toBe(200);
    jest.advanceTimersByTime(5_999);
    expect((await last(request(URL_, { method: 'PUT' }))).status).toBe(200);
    jest.advanceTimersByTime(1);
    await expect(last(request(URL_, { method: 'PUT' }))).rejects.toThrow(NotSent);
    expect(requests).toHaveLength(2);
    expect(requests.map((sent) => sent.closing)).toEqual([true, true]);
  });

  it('gives up what is not sent yet at once, the rest after three seconds, and what closes the run after six', () => {
    const { given, stop } = stopping();
    stop();
    const detail = 'no answer soon enough after the run was told to stop';
    const [none, other, all] = [
      { other: false, closing: false },
      { other: true, closing: false },
      { other: true, closing: true },
    ];
    expect(given.splice(0)).toEqual([{ sent: none, unsent: other, detail }]);
    jest.advanceTimersByTime(2_999);
    expect(given).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(given.splice(0)).toEqual([{ sent: other, unsent: other, detail }]);
    jest.advanceTimersByTime(2_999);
    expect(given).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(given).toEqual([{ sent: all, unsent: all, detail }]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('sends nothing that is late by its own word, told to stop or not', async () => {
    const { send, requests, stop } = stopping();
    const late = request(URL_, { method: 'DELETE', isLate: () => true });
    await expect(send(late)).rejects.toThrow(TooLate);
    await send(request(URL_, { method: 'DELETE', isLate: () => false }));
    expect(requests).toHaveLength(1);
    stop();
    await expect(send(late)).rejects.toMatchObject({ name: 'NotSent' });
  });

  it('passes on what becomes of a request that was under way', async () => {
    const controller = new AbortController();
    let answer: () => void = () => undefined;
    const send = createStop(
      (sent) =>
        new Promise((resolve) => {
          answer = () => resolve(respond(sent, { status: 202 }));
        }),
      controller.signal,
      () => undefined,
    );
    const sending = send(request(URL_, { method: 'DELETE' }));
    controller.abort();
    answer();
    expect((await sending).status).toBe(202);
  });
});

it('costs no listener and no memory that grows with the requests', async () => {
  jest.useRealTimers();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { signal } = new AbortController();
  const clock = fakeClock({ auto: true });
  const sample: WeakRef<HttpRequest>[] = [];
  let sent = 0;
  const stopped = createStop(
    async (asked) => {
      sent += 1;
      if (sent % 1_000 === 0) {
        sample.push(new WeakRef(asked));
      }
      return respond(asked, { status: sent % 10 === 0 ? 503 : 200 });
    },
    signal,
    () => undefined,
  );
  const throttled = createThrottle(stopped, { concurrency: 16, clock, stop: signal });
  const send = createRetry(throttled, { clock, random: () => 0, stop: signal });
  for (let round = 0; round < 100; round += 1) {
    await Promise.all(Array.from({ length: 1_000 }, () => send(request(URL_))));
    clock.slept.length = 0;
  }
  expect(sent).toBeGreaterThan(100_000);
  await settled();
  collect();
  expect(sample.length).toBeGreaterThan(100);
  expect(sample.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(5);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
});
