import { describe, expect, it } from '@jest/globals';

import type { Method, TransportFailure } from '../../src/http/message.js';
import { createRetry } from '../../src/http/retry.js';
import { NotSent } from '../../src/http/stop.js';
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
