import { describe, expect, it } from '@jest/globals';

import { quotaOf, watchQuotas } from '../../src/http/quota.js';
import { play, respond, type Answer } from '../support/builders/answers.js';
import { request } from '../support/servers/servers.js';

const API = 'http://api.test/user';
/** seconds since the epoch */
const RESET = 1_800_000_000;
const HOUR = 3600;

/** Headers that give `fields` in place of good ones. */
const limits = (fields: Record<string, string | undefined> = {}) => ({
  'x-ratelimit-limit': '5000',
  'x-ratelimit-remaining': '4321',
  'x-ratelimit-reset': String(RESET),
  ...fields,
});

const answer = (remaining: number, reset = RESET): Answer => ({
  headers: limits({
    'x-ratelimit-remaining': String(remaining),
    'x-ratelimit-reset': String(reset),
  }),
});

describe('quotaOf', () => {
  it('reads the requests left and the time of the reset', () => {
    expect(quotaOf({ headers: limits() })).toEqual({ remaining: 4321, resetsAt: RESET * 1000 });
    expect(quotaOf({ headers: limits({ 'x-ratelimit-remaining': '0' }) })).toMatchObject({
      remaining: 0,
    });
  });

  it.each<[string, Record<string, string | undefined>]>([
    ['no requests left', { 'x-ratelimit-remaining': undefined }],
    ['no reset', { 'x-ratelimit-reset': undefined }],
    ['a number below zero', { 'x-ratelimit-remaining': '-1' }],
    ['a fraction', { 'x-ratelimit-remaining': '1.5' }],
    ['an exponent', { 'x-ratelimit-remaining': '1e3' }],
    ['no number', { 'x-ratelimit-remaining': 'many' }],
    ['nothing', { 'x-ratelimit-remaining': '' }],
    ['two values', { 'x-ratelimit-remaining': '10, 20' }],
    ['a date', { 'x-ratelimit-reset': 'Mon, 23 Nov 2026 08:00:30 GMT' }],
    ['a time that no clock reaches', { 'x-ratelimit-reset': '9'.repeat(12) }],
  ])('takes headers with %s for none', (_, fields) => {
    expect(quotaOf({ headers: limits(fields) })).toBeUndefined();
  });

  it('takes a header that came several times for none', () => {
    const headers = { ...limits(), 'x-ratelimit-remaining': ['10', '20'] };
    expect(quotaOf({ headers })).toBeUndefined();
  });

  it('gives a time that can be printed, even where a server says nonsense', () => {
    const quota = quotaOf({ headers: limits({ 'x-ratelimit-reset': '9'.repeat(11) }) });
    expect(new Date(quota?.resetsAt ?? NaN).toISOString()).toBe('5138-11-16T09:46:39.000Z');
  });
});

describe('watchQuotas', () => {
  /** The quota of the host after these answers, in this order. */
  async function after(...answers: readonly Answer[]) {
    const { send, quota } = watchQuotas(play(...answers).send);
    for (const sent of answers.map(() => request(API))) {
      await send(sent);
    }
    return quota('api.test');
  }

  it('passes answers and failures on as they are', async () => {
    const played = play({ status: 403, body: 'why', ...answer(0) }, { fails: 'reset' });
    const { send, quota } = watchQuotas(played.send);
    const sent = request(API);
    expect(await send(sent)).toEqual(respond(sent, { status: 403, body: 'why', ...answer(0) }));
    await expect(send(sent)).rejects.toMatchObject({ kind: 'reset' });
    expect(played.requests).toEqual([sent, sent]);
    expect(quota('api.test')).toEqual({ remaining: 0, resetsAt: RESET * 1000 });
  });

  it('knows nothing of a host that has not said', async () => {
    expect(await after({ status: 200 })).toBeUndefined();
  });

  it('remembers what was said, also where the next answer leaves it out', async () => {
    expect(await after(answer(7), { status: 200 })).toMatchObject({ remaining: 7 });
  });

  it('tells hosts and ports apart', async () => {
    const { send, quota } = watchQuotas(async (sent) =>
      Promise.resolve(respond(sent, sent.url.port === '8080' ? answer(8) : answer(4))),
    );
    await send(request(API));
    await send(request('http://api.test:8080/'));
    expect(quota('api.test')).toMatchObject({ remaining: 4 });
    expect(quota('api.test:8080')).toMatchObject({ remaining: 8 });
    expect(quota('ghcr.test')).toBeUndefined();
  });

  it.each<[string, Answer[], number]>([
    ['answers in order', [answer(10), answer(9), answer(8)], 8],
    ['answers in another order', [answer(8), answer(10), answer(9)], 8],
    ['a reset a second later', [answer(8), answer(10, RESET + 1), answer(9)], 8],
    ['a reset a second earlier', [answer(8), answer(10, RESET - 1)], 8],
    ['the start of the next window', [answer(0), answer(4999, RESET + HOUR)], 4999],
    ['an answer of the window before', [answer(4999, RESET + HOUR), answer(3)], 4999],
  ])('believes the lowest number of the latest window: %s', async (_, answers, remaining) => {
    expect(await after(...answers)).toMatchObject({ remaining });
  });
});
