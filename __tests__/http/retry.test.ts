import { describe, expect, it } from '@jest/globals';

import type { Method, TransportFailure } from '../../src/http/message.js';
import { createRetry } from '../../src/http/retry.js';
import { NotSent, TooLate } from '../../src/http/stop.js';
import { play, respond, type Answer } from '../support/builders/answers.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { request } from '../support/servers/servers.js';

const OK: Answer = { status: 200 };
const URL_ = 'http://r.test/v2/';

function retrying(answers: Answer[], random = () => 0) {
  const played = play(...answers);
  const clock = fakeClock({ auto: true });
  return { ...played, clock, retry: createRetry(played.send, { clock, random }) };
}

describe('the failures that are tried again', () => {
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
  ])('the layer tries again after %s, for all idempotent methods', async (_name, trouble) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE'] as const) {
      const { retry, requests } = retrying([trouble, trouble, OK]);
      expect((await retry(request(URL_, { method }))).status).toBe(200);
      expect(requests.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    }
  });

  it.each([200, 202, 301, 400, 401, 403, 404, 405, 409, 501])(
    'the layer does not try again after status %d',
    async (status) => {
      const { retry, requests } = retrying([{ status }]);
      expect((await retry(request(URL_))).status).toBe(status);
      expect(requests).toHaveLength(1);
    },
  );

  it.each<[TransportFailure, string]>([
    ['tls', 'CERT_HAS_EXPIRED'],
    ['too-large', ''],
    ['redirect', ''],
    ['other', ''],
    ['dns', 'ENOTFOUND'],
  ])('the layer does not try again after a failure of kind %s %s', async (fails, code) => {
    const { retry, requests } = retrying([{ fails, code }]);
    await expect(retry(request(URL_))).rejects.toMatchObject({ kind: fails });
    expect(requests).toHaveLength(1);
  });

  it.each<[string, Answer]>([
    ['429', { status: 429, headers: { 'retry-after': '1' } }],
    ['503', { status: 503 }],
  ])('the layer does not repeat a POST that got %s', async (_name, trouble) => {
    const { retry, requests } = retrying([trouble, OK]);
    await retry(request(URL_, { method: 'POST' }));
    expect(requests).toHaveLength(1);
  });

  it('the layer does not repeat a POST whose connection broke off', async () => {
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

/** Of GitHub's secondary limit. */
const LIMITED: Answer = {
  status: 403,
  body: '{"message":"You have exceeded a secondary rate limit."}',
};
/** Of its primary limit: the hour has just begun. */
const USED_UP: Answer = {
  status: 403,
  headers: {
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': String(Date.UTC(2026, 0, 1, 1) / 1000),
  },
};

describe("GitHub's limits", () => {
  it.each(['GET', 'HEAD', 'PUT', 'DELETE'] as const)(
    'are waited for as long as they say, and a %s is tried again',
    async (method) => {
      const told = { status: 403, headers: { 'retry-after': '30' } };
      const { retry, requests, clock } = retrying([LIMITED, told, OK]);
      expect(await retry(request(URL_, { method }))).toMatchObject({ status: 200, tries: 3 });
      expect(requests).toHaveLength(3);
      expect(clock.slept).toEqual([60_000, 30_000]);
    },
  );

  it('let a POST be tried again only if it may be repeated', async () => {
    const once = retrying([LIMITED, OK]);
    expect((await once.retry(request(URL_, { method: 'POST' }))).status).toBe(403);
    expect(once.clock.slept).toEqual([]);
    const twice = retrying([LIMITED, OK]);
    const repeatable = request(URL_, { method: 'POST', repeatable: true });
    expect((await twice.retry(repeatable)).status).toBe(200);
  });

  it.each<[string, Answer, number]>([
    ['say no time', LIMITED, 5],
    ['say a time', { ...LIMITED, headers: { 'retry-after': '1' } }, 10],
    ['say no time with a 429', { ...LIMITED, status: 429 }, 5],
  ])('end the tries in the end where they %s', async (_, answer, tries) => {
    const { retry, requests } = retrying([answer]);
    const few = request(URL_, { method: 'DELETE', mostTries: 1 });
    expect(await retry(few)).toMatchObject({ status: answer.status, tries });
    expect(requests).toHaveLength(tries);
  });

  it.each([403, 429])('are passed on at once with %d when the quota is used up', async (status) => {
    const headers = { ...USED_UP.headers, 'retry-after': '60' };
    const { retry, requests, clock } = retrying([{ ...USED_UP, status, headers }, OK]);
    const response = await retry(request(URL_));
    expect(response.status).toBe(status);
    expect(response).not.toHaveProperty('tries');
    expect(requests).toHaveLength(1);
    expect(clock.slept).toEqual([]);
  });
});

describe('a request that is late after a pause', () => {
  /** Its tries get these answers, and the next is not sent. */
  async function late(...answers: readonly Answer[]) {
    const played = play(...answers);
    const clock = fakeClock({ auto: true });
    const retry = createRetry(
      async (sent) => {
        if (played.requests.length === answers.length) {
          throw new TooLate();
        }
        return played.send(sent);
      },
      { clock, random: () => 0 },
    );
    const outcome = await retry(request(URL_, { method: 'DELETE' })).catch(
      (error: unknown) => error,
    );
    return { outcome, slept: clock.slept };
  }

  it.each<[string, Answer]>([
    ["GitHub's secondary limit", LIMITED],
    ['a 429', { status: 429 }],
  ])('was not sent, as far as the server goes, where that was for %s', async (_, limit) => {
    const { outcome, slept } = await late(limit, limit);
    expect(outcome).toBeInstanceOf(TooLate);
    expect(String(outcome)).toContain(`not sent again after status ${String(limit.status)}`);
    expect(slept).toHaveLength(2);
  });

  it.each<[string, Answer[], object]>([
    ['the last try was lost', [{ fails: 'reset' }], { kind: 'reset' }],
    ['the last try failed', [{ status: 500 }], { status: 500 }],
    ['the server was busy', [{ status: 503, headers: { 'retry-after': '1' } }], { status: 503 }],
    ['a try before was lost', [{ fails: 'reset' }, LIMITED], { status: 403, tries: 2 }],
    ['a limit came before', [LIMITED, { status: 500 }], { status: 500, tries: 2 }],
  ])('may have been carried out where %s', async (_, answers, expected) => {
    const { outcome, slept } = await late(...answers);
    expect(outcome).toMatchObject(expected);
    expect(slept).toHaveLength(answers.length);
  });
});

describe('the end of the tries', () => {
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

describe('the time between two tries', () => {
  it('doubles up to a ceiling, and takes a random part of it, beside the second for a 429', async () => {
    const { retry, clock } = retrying([{ status: 429 }], () => 0.5);
    await retry(request(URL_));
    expect(clock.slept).toEqual([1250, 1500, 2000, 3000, 5000, 9000, 16_000, 16_000, 16_000]);
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

describe('a run that was told to stop', () => {
  /** A server that plays these answers, and is no longer asked once the run was told to stop after so many. */
  function stoppedAfter(tries: number, ...answers: readonly Answer[]) {
    const controller = new AbortController();
    const played = play(...answers);
    const clock = fakeClock({ auto: true });
    const retry = createRetry(
      async (sent) => {
        if (controller.signal.aborted && sent.closing !== true) {
          throw new NotSent('not sent');
        }
        const answer = played.send(sent);
        if (played.requests.length === tries) {
          controller.abort();
        }
        return answer;
      },
      { clock, random: () => 0.5, stop: controller.signal },
    );
    return { ...played, clock, retry, stop: () => controller.abort() };
  }

  it.each<[string, Answer]>([
    ['500', { status: 500, body: 'why' }],
    ['503', { status: 503, body: 'why', headers: { 'retry-after': '60' } }],
    ['429', { status: 429, body: 'why', headers: { 'retry-after': '60' } }],
  ])('tries a DELETE that got %s no second time, and waits for nothing', async (_, answer) => {
    const { retry, requests, clock } = stoppedAfter(1, answer, OK);
    const response = await retry(request(URL_, { method: 'DELETE' }));
    expect(response).toMatchObject({ status: answer.status, body: Buffer.from('why') });
    expect(requests).toHaveLength(1);
    expect(clock.slept).toEqual([]);
  });

  it('tries what closes the run no second time either', async () => {
    const { retry, requests, clock } = stoppedAfter(1, { status: 503 }, OK);
    expect((await retry(request(URL_, { method: 'PUT', closing: true }))).status).toBe(503);
    expect(requests).toHaveLength(1);
    expect(clock.slept).toEqual([]);
  });

  /** What is told to stop while it sleeps after the last of these answers. */
  function stoppedBetween(...answers: readonly Answer[]) {
    const played = play(...answers, OK);
    const controller = new AbortController();
    const clock = fakeClock({ auto: true });
    const retry = createRetry(
      async (sent) => {
        if (controller.signal.aborted) {
          throw new NotSent('not sent');
        }
        return played.send(sent);
      },
      {
        clock: {
          now: () => clock.now(),
          sleep: async (milliseconds) => {
            if (played.requests.length === answers.length) {
              controller.abort();
            }
            return clock.sleep(milliseconds);
          },
        },
        random: () => 0,
        stop: controller.signal,
      },
    );
    return { ...played, retry };
  }

  it.each([500, 502, 429])('knows of a DELETE what its first try got: %d', async (status) => {
    const { retry, requests } = stoppedBetween({ status, body: 'why' });
    const response = await retry(request(URL_, { method: 'DELETE' }));
    expect(response).toMatchObject({ status, body: Buffer.from('why') });
    expect(requests).toHaveLength(1);
  });

  it.each<TransportFailure>(['reset', 'timeout', 'truncated'])(
    'knows that nothing is known of a DELETE whose first try ended by %s',
    async (fails) => {
      const { retry, requests } = stoppedBetween({ fails });
      const sending = retry(request(URL_, { method: 'DELETE' }));
      await expect(sending).rejects.toMatchObject({ name: 'TransportError', kind: fails });
      expect(requests).toHaveLength(1);
    },
  );

  it('says of a DELETE that it was not sent only if it never was', async () => {
    const { retry, requests, stop, clock } = stoppedAfter(9, OK);
    stop();
    await expect(retry(request(URL_, { method: 'DELETE' }))).rejects.toThrow(NotSent);
    expect(requests).toEqual([]);
    expect(clock.slept).toEqual([]);
  });

  it('knows of a DELETE what its latest try got', async () => {
    const { retry, requests } = stoppedBetween({ fails: 'reset' }, { status: 502 });
    expect((await retry(request(URL_, { method: 'DELETE' }))).status).toBe(502);
    expect(requests).toHaveLength(2);
  });

  it('knows the latest of several tries', async () => {
    const { retry, requests } = stoppedAfter(
      3,
      { status: 502 },
      { fails: 'reset' },
      { status: 503 },
    );
    expect((await retry(request(URL_, { method: 'DELETE' }))).status).toBe(503);
    expect(requests).toHaveLength(3);
  });

  it('takes a success for one', async () => {
    const { retry } = stoppedAfter(2, { status: 502 }, { status: 202 });
    expect((await retry(request(URL_, { method: 'DELETE' }))).status).toBe(202);
  });

  it('sends no request twice because of an error of our own', async () => {
    let calls = 0;
    const retry = createRetry(
      async (sent) => {
        calls += 1;
        return calls === 1 ? respond(sent, { status: 502 }) : Promise.reject(new Error('a bug'));
      },
      { clock: fakeClock({ auto: true }), random: () => 0, stop: new AbortController().signal },
    );
    await expect(retry(request(URL_))).rejects.toThrow('a bug');
    expect(calls).toBe(2);
  });
});
