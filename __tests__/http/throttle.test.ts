import { setMaxListeners } from 'node:events';

import { describe, expect, it } from '@jest/globals';

import { stoppable } from '../../src/http/clock.js';
import type { HttpRequest, HttpResponse } from '../../src/http/message.js';
import { createRetry } from '../../src/http/retry.js';
import { createStop, NotSent } from '../../src/http/stop.js';
import { createThrottle } from '../../src/http/throttle.js';
import { respond, type Answer } from '../support/builders/answers.js';
import { fakeClock, settled } from '../support/scenes/fake-clock.js';
import { request } from '../support/servers/servers.js';

/** A server whose answers the test gives by hand, to one waiting request after the other. */
function heldServer() {
  const waiting: { request: HttpRequest; resolve: (response: HttpResponse) => void }[] = [];
  return {
    waiting,
    send: async (sent: HttpRequest) =>
      new Promise<HttpResponse>((resolve) => waiting.push({ request: sent, resolve })),
    async answer(...answers: Answer[]) {
      for (const answer of answers) {
        const next = waiting.shift();
        next?.resolve(respond(next.request, answer));
      }
      await settled();
    },
  };
}

function throttled(concurrency: number, count: number, url = 'http://r.test/') {
  const server = heldServer();
  const clock = fakeClock({ auto: false });
  const send = createThrottle(server.send, { concurrency, clock });
  const answers = Array.from({ length: count }, async () => send(request(url)));
  return { server, clock, send, answers };
}

const OK: Answer = { status: 200 };
const SLOW = (seconds: number): Answer => ({
  status: 429,
  headers: { 'retry-after': String(seconds) },
});

const SECONDARY: Answer = {
  status: 403,
  body: '{"message":"You have exceeded a secondary rate limit."}',
};
const USED_UP: Answer = {
  status: 403,
  headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2000000000' },
};

describe('createThrottle', () => {
  it('keeps no more than the limit under way, at each host', async () => {
    const { server, send } = throttled(4, 10);
    await settled();
    expect(server.waiting).toHaveLength(4);
    void send(request('http://other.test/'));
    await settled();
    expect(server.waiting).toHaveLength(5);
    await server.answer(OK, OK);
    expect(server.waiting).toHaveLength(5);
  });

  it('pauses all workers of a host, and only of that host, for one 429', async () => {
    const { server, clock, send } = throttled(4, 8);
    await settled();
    await server.answer(SLOW(5), OK, OK, OK);
    expect(server.waiting).toHaveLength(0);
    void send(request('http://other.test/'));
    await settled();
    expect(server.waiting).toHaveLength(1);
    await server.answer(OK);
    await clock.advance(4999);
    expect(server.waiting).toHaveLength(0);
    await clock.advance(1);
    expect(server.waiting.length).toBeGreaterThan(0);
  });

  it('halves the window once for all the answers of one pause, and grows it back', async () => {
    const { server, clock, answers } = throttled(8, 60);
    await settled();
    await server.answer(...Array.from({ length: 8 }, () => SLOW(1)));
    await clock.advance(1000);
    expect(server.waiting).toHaveLength(4);
    const widths: number[] = [];
    while (server.waiting.length > 0) {
      widths.push(server.waiting.length);
      await server.answer(...server.waiting.map(() => OK));
    }
    expect(widths.slice(0, 6)).toEqual([4, 4, 5, 6, 7, 8]);
    expect(Math.max(...widths)).toBe(8);
    expect((await Promise.all(answers)).filter(({ status }) => status === 429)).toHaveLength(8);
  });

  it('halves again for the next pause, down to one', async () => {
    const { server, clock } = throttled(4, 40);
    await settled();
    const widths = [server.waiting.length];
    for (let pause = 0; pause < 4; pause += 1) {
      await server.answer(...server.waiting.map(() => SLOW(1)));
      await clock.advance(1000);
      widths.push(server.waiting.length);
    }
    expect(widths).toEqual([4, 2, 1, 1, 1]);
  });

  it('takes the longest of the pauses asked for', async () => {
    const { server, clock } = throttled(2, 6);
    await settled();
    await server.answer(SLOW(5), SLOW(1));
    await clock.advance(4999);
    expect(server.waiting).toHaveLength(0);
    await clock.advance(1);
    expect(server.waiting).toHaveLength(1);
  });

  it.each<[string, Answer, boolean]>([
    ['429 without Retry-After', { status: 429 }, true],
    ['503 with Retry-After', { status: 503, headers: { 'retry-after': '1' } }, true],
    ['503 without', { status: 503 }, false],
    ['500 with Retry-After', { status: 500, headers: { 'retry-after': '1' } }, false],
  ])('an answer with %s pauses its host: %s', async (_name, answer, pauses) => {
    const { server, clock } = throttled(1, 2);
    await settled();
    await server.answer(answer);
    expect(server.waiting).toHaveLength(pauses ? 0 : 1);
    await clock.advance(1000);
    expect(server.waiting).toHaveLength(1);
  });

  it.each<[string, Answer, number]>([
    ['a 403 with Retry-After', { status: 403, headers: { 'retry-after': '7' } }, 7000],
    ["GitHub's secondary limit without a time", SECONDARY, 60_000],
    ["GHCR's time in a message", { status: 429, body: 'retry-after: 1.17ms' }, 1000],
    ['a quota used up for long', USED_UP, 0],
    ['a 403 about rights', { status: 403, body: '{"message":"Forbidden"}' }, 0],
  ])('pauses a host for %s', async (_, answer, milliseconds) => {
    const { server, clock } = throttled(1, 2);
    await settled();
    await server.answer(answer);
    await clock.advance(Math.max(milliseconds - 1, 0));
    expect(server.waiting).toHaveLength(milliseconds === 0 ? 1 : 0);
    await clock.advance(1);
    expect(server.waiting).toHaveLength(1);
  });

  it('doubles a pause without a time while it repeats, up to eight minutes', async () => {
    const { server, clock } = throttled(1, 12);
    await settled();
    /** @returns minutes */
    async function pauseAfter(answer: Answer): Promise<number> {
      await server.answer(answer);
      for (let minutes = 0; ; minutes += 1) {
        if (server.waiting.length > 0) {
          return minutes;
        }
        await clock.advance(60_000);
      }
    }
    const minutes: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      minutes.push(await pauseAfter(SECONDARY));
    }
    expect(minutes).toEqual([1, 2, 4, 8, 8]);
    expect(await pauseAfter({ status: 404 })).toBe(0);
    expect(await pauseAfter(SECONDARY)).toBe(8);
    expect(await pauseAfter(OK)).toBe(0);
    expect(await pauseAfter(SECONDARY)).toBe(1);
  });

  it('takes the answers of one pause for one, and a success of before it for none of after', async () => {
    const { server, clock } = throttled(4, 12);
    await settled();
    await server.answer(SECONDARY, SECONDARY, OK);
    await clock.advance(59_999);
    expect(server.waiting).toHaveLength(1);
    await clock.advance(1);
    expect(server.waiting).toHaveLength(2);
    // The first of them was sent before the pause.
    await server.answer(OK, SECONDARY);
    const underWay = server.waiting.length;
    await clock.advance(119_999);
    expect(server.waiting).toHaveLength(underWay);
    await clock.advance(1);
    expect(server.waiting.length).toBeGreaterThan(underWay);
  });

  it('keeps the length that one answer of a pause says, where the next says none', async () => {
    const { server, clock } = throttled(2, 4);
    await settled();
    await server.answer(SLOW(5), SECONDARY);
    await clock.advance(59_999);
    expect(server.waiting).toHaveLength(0);
    await clock.advance(1);
    expect(server.waiting).toHaveLength(1);
  });

  it('gives the slot back when a request fails', async () => {
    const send = createThrottle(
      async (sent) => {
        if (sent.url.pathname === '/bad') {
          throw new Error('broken');
        }
        return respond(sent);
      },
      { concurrency: 1, clock: fakeClock({ auto: true }) },
    );
    await expect(send(request('http://r.test/bad'))).rejects.toThrow('broken');
    expect((await send(request('http://r.test/good'))).status).toBe(200);
  });

  it('under retry: 32 workers do not each run into the limit', async () => {
    const clock = fakeClock({ auto: true });
    let sent = 0;
    let refused = 0;
    const throttle = createThrottle(
      async (asked) => {
        sent += 1;
        await settled();
        if (sent > 40 && refused < 32 && clock.slept.length === 0) {
          refused += 1;
          return respond(asked, SLOW(10));
        }
        return respond(asked);
      },
      { concurrency: 32, clock },
    );
    const send = createRetry(throttle, { clock, random: () => 0 });
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => (await send(request('http://r.test/'))).status),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(refused).toBeGreaterThan(0);
    expect(sent).toBe(200 + refused);
  });
});

describe('a run that was told to stop', () => {
  /** A server behind throttle and stop; `count` requests wait for it. */
  function stopping(concurrency: number, count: number) {
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const server = heldServer();
    const fake = fakeClock({ auto: false });
    const clock = stoppable(fake, controller.signal);
    const stopped = createStop(server.send, controller.signal, () => undefined);
    const send = createThrottle(stopped, { concurrency, clock, stop: controller.signal });
    const outcomes: string[] = [];
    const ask = (fields: Partial<HttpRequest> = {}) => {
      void send(request('http://r.test/', fields)).then(
        ({ status }) => outcomes.push(String(status)),
        (error: unknown) => outcomes.push(error instanceof NotSent ? 'not sent' : String(error)),
      );
    };
    for (let n = 0; n < count; n += 1) {
      ask();
    }
    return { server, fake, outcomes, ask, stop: () => controller.abort() };
  }

  it('ends a pause, sends nothing of what waited for its end, and sleeps no more', async () => {
    const { server, fake, outcomes, stop } = stopping(2, 50);
    await settled();
    await server.answer(SLOW(120), SLOW(120));
    expect(server.waiting).toHaveLength(0);
    const slept = fake.slept.length;
    stop();
    await settled();
    expect(server.waiting).toHaveLength(0);
    expect(outcomes.filter((outcome) => outcome === '429')).toHaveLength(2);
    expect(outcomes.filter((outcome) => outcome === 'not sent')).toHaveLength(48);
    expect(fake.slept.length).toBe(slept);
  });

  it('lets what closes the run through, in the middle of a pause', async () => {
    const { server, outcomes, ask, stop } = stopping(2, 1);
    await settled();
    await server.answer(SLOW(120));
    stop();
    ask({ closing: true });
    await settled();
    expect(server.waiting.map(({ request: sent }) => sent.closing)).toEqual([true]);
    await server.answer(SLOW(120));
    ask({ closing: true });
    await settled();
    expect(server.waiting).toHaveLength(1);
    await server.answer(OK);
    expect(outcomes).toEqual(['429', '429', '200']);
  });

  it('awaits what is under way, and rejects what was in line behind it', async () => {
    const { server, outcomes, stop } = stopping(4, 100_000);
    await settled();
    expect(server.waiting).toHaveLength(4);
    stop();
    await server.answer(OK);
    await settled();
    expect(server.waiting).toHaveLength(3);
    await server.answer(OK, OK, OK);
    await settled();
    expect(outcomes.filter((outcome) => outcome === '200')).toHaveLength(4);
    expect(outcomes.filter((outcome) => outcome === 'not sent')).toHaveLength(99_996);
  });
});
