import { afterAll, afterEach, describe, expect, it } from '@jest/globals';

import { Exchange } from '../../src/http/exchange.js';
import { createPatience } from '../../src/http/patience.js';
import { createRetry } from '../../src/http/retry.js';
import { createThrottle } from '../../src/http/throttle.js';
import { play, respond } from '../support/builders/answers.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { closeServers, request, startServer } from '../support/servers/servers.js';

const URL_ = 'http://r.test/v2/';
const HOUR = 3_600_000;
const MINUTE = 60_000;

describe('createPatience', () => {
  it('counts waits at the same time once', () => {
    const patience = createPatience({ now: () => 0 });
    for (let worker = 0; worker < 16; worker += 1) {
      patience.spend(0, HOUR);
    }
    patience.spend(HOUR / 2, HOUR + 59 * MINUTE);
    expect(patience.isSpent()).toBe(false);
    patience.spend(3 * HOUR, 3 * HOUR + MINUTE);
    expect(patience.isSpent()).toBe(true);
  });
});

const TOO_MANY = { status: 429, headers: { 'retry-after': '120' } };

describe('a server that asks for pauses for ever', () => {
  it('holds one request for a quarter of an hour at most', async () => {
    const clock = fakeClock({ auto: true });
    const { send, requests } = play(TOO_MANY);
    const retry = createRetry(send, { clock, random: () => 0, patience: createPatience(clock) });
    const response = await retry(request(URL_));
    expect(response).toMatchObject({
      status: 429,
      tries: 8,
      gaveUp: expect.stringContaining('15'),
    });
    expect(requests).toHaveLength(8);
  });

  it('holds a run for some two hours at most, and then each request is answered at once', async () => {
    const clock = fakeClock({ auto: true });
    const start = clock.now();
    const { send, requests } = play(TOO_MANY);
    const patience = createPatience(clock);
    const throttled = createThrottle(send, { concurrency: 4, clock, patience });
    const retry = createRetry(throttled, { clock, random: () => 0, patience });
    for (let n = 0; n < 1000; n += 1) {
      await retry(request(URL_));
    }
    expect(clock.now() - start).toBeLessThan(2.5 * HOUR);
    const before = requests.length;
    expect(await retry(request(URL_))).toMatchObject({
      gaveUp: expect.stringContaining('this run has waited for 120 minutes in all'),
    });
    expect(requests.length).toBe(before + 1);
  });

  it('says so of failures, too, and keeps their kind', async () => {
    const clock = fakeClock({ auto: true });
    const patience = createPatience(clock);
    patience.spend(0, 3 * HOUR);
    const { send, requests } = play({ fails: 'reset' });
    const answer = createRetry(send, { clock, random: () => 0, patience })(request(URL_));
    await expect(answer).rejects.toMatchObject({ kind: 'reset' });
    await expect(answer).rejects.toThrow(/as prepared\. It was not tried again: this run/);
    expect(requests).toHaveLength(1);
  });

  it('never gets in the way of a run that gets something done', async () => {
    const clock = fakeClock({ auto: true });
    const patience = createPatience(clock);
    let n = 0;
    const retry = createRetry(
      async (sent) => {
        n += 1;
        return Promise.resolve(respond(sent, n % 10 === 0 ? { status: 429 } : {}));
      },
      { clock, random: () => 0.5, patience },
    );
    for (let each = 0; each < 10_000; each += 1) {
      expect((await retry(request(URL_))).status).toBe(200);
    }
  });
});

describe('a request with few tries', () => {
  it('a request is sent as often as it says after failures, and as often as usual after a 429', async () => {
    const clock = fakeClock({ auto: true });
    const few = { mostTries: 2 };
    const failing = play({ status: 504 });
    await createRetry(failing.send, { clock, random: () => 0 })(request(URL_, few));
    expect(failing.requests).toHaveLength(2);
    const limited = play({ status: 429 });
    await createRetry(limited.send, { clock, random: () => 0 })(request(URL_, few));
    expect(limited.requests).toHaveLength(10);
  });
});

describe('slow answers', () => {
  const closing: (() => void)[] = [];
  afterEach(closeServers);
  afterAll(() => closing.forEach((close) => close()));

  it('count, be they too late or slow, and fast ones do not', async () => {
    let now = 0;
    const patience = createPatience({ now: () => now });
    const spent: number[] = [];
    const exchange = new Exchange({
      concurrency: 4,
      insecure: false,
      userAgent: 'tests',
      timeouts: { idle: 100, idleDelete: 100, body: 5000 },
      patience: { ...patience, spend: (from, to) => void spent.push(to - from) },
    });
    closing.push(() => exchange.close());
    const server = await startServer(({ path }, response) => {
      if (path === '/late') {
        now += 60_000;
      } else {
        response.flushHeaders();
        setTimeout(() => {
          now += path === '/slow' ? 30_000 : 5000;
          response.end('body');
        }, 20);
      }
    });
    const ask = async (path: string) => exchange.send(request(new URL(path, server.url)));
    await ask('/fast');
    expect(spent).toEqual([]);
    await ask('/slow');
    expect(spent).toEqual([30_000]);
    await expect(ask('/late')).rejects.toMatchObject({ kind: 'timeout' });
    expect(spent).toEqual([30_000, 60_000]);
  });
});
