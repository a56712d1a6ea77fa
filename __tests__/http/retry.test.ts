import { describe, expect, it } from '@jest/globals';

import type { Method, TransportFailure } from '../../src/http/message.js';
import { createRetry } from '../../src/http/retry.js';
import { play, type Answer } from './answers.js';
import { fakeClock } from './fake-clock.js';
import { request } from './servers.js';

const OK: Answer = { status: 200 };
const URL_ = 'http://r.test/v2/';

function retrying(answers: Answer[], random = () => 0) {
  const played = play(...answers);
  const clock = fakeClock({ auto: true });
  return { ...played, clock, retry: createRetry(played.send, { clock, random }) };
}

describe('what is tried again', () => {
  it.each<[string, Answer]>([
    ['429', { status: 429 }],
    ['500', { status: 500 }],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
    ['504', { status: 504 }],
    ['a reset', { fails: 'reset' }],
    ['a truncated body', { fails: 'truncated' }],
    ['a timeout', { fails: 'timeout' }],
    ['a refused connection', { fails: 'refused' }],
    ['a resolver in trouble', { fails: 'dns', code: 'EAI_AGAIN' }],
  ])('%s, for all idempotent methods', async (_name, trouble) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE'] as const) {
      const { retry, requests } = retrying([trouble, trouble, OK]);
      expect((await retry(request(URL_, { method }))).status).toBe(200);
      expect(requests.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    }
  });

  it.each([200, 202, 301, 400, 401, 403, 404, 405, 409, 501])('not status %d', async (status) => {
    const { retry, requests } = retrying([{ status }]);
    expect((await retry(request(URL_))).status).toBe(status);
    expect(requests).toHaveLength(1);
  });

  it.each<[TransportFailure, string]>([
    ['tls', 'CERT_HAS_EXPIRED'],
    ['too-large', ''],
    ['redirect', ''],
    ['other', ''],
    ['dns', 'ENOTFOUND'],
  ])('not a failure of kind %s %s', async (fails, code) => {
    const { retry, requests } = retrying([{ fails, code }]);
    await expect(retry(request(URL_))).rejects.toMatchObject({ kind: fails });
    expect(requests).toHaveLength(1);
  });

  it.each<[string, Answer]>([
    ['429', { status: 429, headers: { 'retry-after': '1' } }],
    ['503', { status: 503 }],
  ])('not a POST that got %s', async (_name, trouble) => {
    const { retry, requests } = retrying([trouble, OK]);
    await retry(request(URL_, { method: 'POST' }));
    expect(requests).toHaveLength(1);
  });

  it('not a POST whose connection broke off', async () => {
    const { retry, requests } = retrying([{ fails: 'reset' }, OK]);
    await expect(retry(request(URL_, { method: 'POST' }))).rejects.toMatchObject({ kind: 'reset' });
    expect(requests).toHaveLength(1);
  });

  it('a POST that says that it may be repeated', async () => {
    const { retry, requests } = retrying([{ fails: 'reset' }, { status: 502 }, OK]);
    const response = await retry(request(URL_, { method: 'POST', repeatable: true }));
    expect(response.status).toBe(200);
    expect(requests).toHaveLength(3);
  });
});

describe('when to stop', () => {
  it.each<[number, number]>([
    [429, 10],
    [500, 3],
    [502, 6],
    [503, 6],
    [504, 6],
  ])('status %d is returned as it is after %d tries', async (status, tries) => {
    const { retry, requests } = retrying([{ status, body: 'why' }]);
    const response = await retry(request(URL_));
    expect(response).toMatchObject({ status, body: Buffer.from('why') });
    expect(requests).toHaveLength(tries);
  });

  it.each<[TransportFailure, number]>([
    ['reset', 6],
    ['truncated', 6],
    ['timeout', 6],
    ['refused', 3],
  ])('a failure of kind %s is thrown on after %d tries', async (fails, tries) => {
    const { retry, requests } = retrying([{ fails }]);
    await expect(retry(request(URL_))).rejects.toMatchObject({ kind: fails });
    expect(requests).toHaveLength(tries);
  });

  it('passes on what is no transport error at once', async () => {
    let calls = 0;
    const retry = createRetry(
      async () => {
        calls += 1;
        throw new Error('a bug');
      },
      { clock: fakeClock({ auto: true }), random: () => 0 },
    );
    await expect(retry(request(URL_))).rejects.toThrow('a bug');
    expect(calls).toBe(1);
  });
});

describe('how long to wait', () => {
  it('doubles up to a ceiling, and takes a random part of it', async () => {
    const { retry, clock } = retrying([{ status: 429 }], () => 0.5);
    await retry(request(URL_));
    expect(clock.slept).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  it.each<[string, string, number]>([
    ['seconds', '7', 7000],
    ['a date', 'Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['no more than two minutes', '86400', 120_000],
  ])('adds that to what Retry-After says in %s', async (_name, value, wait) => {
    const answer = { status: 503, headers: { 'retry-after': value } };
    const { retry, clock } = retrying([answer, OK], () => 0.5);
    await retry(request(URL_));
    expect(clock.slept).toEqual([wait + 250]);
  });

  it('never sends the same request twice at once', async () => {
    let underWay = 0;
    const retry = createRetry(
      async (sent) => {
        underWay += 1;
        expect(underWay).toBe(1);
        await Promise.resolve();
        underWay -= 1;
        return {
          status: sent.attempt === 3 ? 200 : 503,
          headers: {},
          body: Buffer.alloc(0),
          url: sent.url,
        };
      },
      { clock: fakeClock({ auto: true }), random: () => 0 },
    );
    const method: Method = 'DELETE';
    expect((await retry(request(URL_, { method }))).status).toBe(200);
  });
});
