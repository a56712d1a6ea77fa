import { describe, expect, it } from '@jest/globals';

import { slowDownOf } from '../../src/http/slow-down.js';
import { respond, type Answer } from '../support/builders/answers.js';
import { request } from '../support/servers/servers.js';

const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);
const NONE = { kind: 'none' };
const SECONDARY = JSON.stringify({
  documentation_url: 'https://docs.github.com/rest/overview/rate-limits-for-the-rest-api',
  message:
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
});

const slowDown = (answer: Answer) => slowDownOf(respond(request('http://r.test/'), answer), NOW);
const pause = (milliseconds: number, grows = false) => ({ kind: 'pause', milliseconds, grows });
const usedUp = (seconds: number) => ({ kind: 'used-up', until: NOW + seconds * 1000 });
/** The headers of an answer after which so many requests are left, until so many seconds from now. */
const quota = (remaining: number, seconds: number) => ({
  'x-ratelimit-remaining': String(remaining),
  'x-ratelimit-reset': String(NOW / 1000 + seconds),
});

describe('the header Retry-After', () => {
  it.each<[string | undefined, number]>([
    [undefined, 1000],
    ['0', 0],
    ['7', 7000],
    [' 7 ', 7000],
    ['120', 120_000],
    ['86400', 120_000],
    ['Mon, 23 Nov 2026 08:00:30 GMT', 30_000],
    ['Monday, 23-Nov-26 08:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 07:00:00 GMT', 0],
    ['Tue, 24 Nov 2026 08:00:00 GMT', 120_000],
    ['-5', 1000],
    ['1.5', 1000],
    ['1.17ms', 1000],
    ['soon', 1000],
    ['Mon, whenever', 1000],
    ['', 1000],
  ])('makes a 429 pause with %s for %s milliseconds', (value, expected) => {
    const headers = value === undefined ? {} : { 'retry-after': value };
    expect(slowDown({ status: 429, headers })).toEqual(pause(expected));
  });

  it('makes a 503 pause, which is none without it', () => {
    expect(slowDown({ status: 503, headers: { 'retry-after': '7' } })).toEqual(pause(7000));
    expect(slowDown({ status: 503, headers: { 'retry-after': '7200' } })).toEqual(pause(120_000));
    expect(slowDown({ status: 503 })).toEqual(NONE);
  });

  it.each([200, 401, 404, 500])('says nothing with status %d', (status) => {
    const headers = { 'retry-after': '7', ...quota(0, 600) };
    expect(slowDown({ status, headers, body: SECONDARY })).toEqual(NONE);
  });
});

describe("a 429 of GHCR's registry", () => {
  it('is a pause of a second, though the time in its message is shorter', () => {
    const body = JSON.stringify({
      errors: [{ code: 'TOOMANYREQUESTS', message: 'retry-after: 1.17ms, allowed: 44000/minute' }],
    });
    expect(slowDown({ status: 429, body })).toEqual(pause(1000));
  });
});

describe.each([403, 429])("GitHub's limits, told with %d", (status) => {
  it('are a pause as long as Retry-After says, up to two minutes', () => {
    const headers = { ...quota(4000, 600), 'retry-after': '60' };
    expect(slowDown({ status, headers })).toEqual(pause(60_000));
    expect(slowDown({ status, headers, body: SECONDARY })).toEqual(pause(60_000));
    const longest = { 'retry-after': '120' };
    expect(slowDown({ status, headers: longest, body: SECONDARY })).toEqual(pause(120_000));
  });

  it('are a pause of a minute that grows where only the message tells of them', () => {
    expect(slowDown({ status, body: SECONDARY })).toEqual(pause(60_000, true));
    const headers = quota(4000, 600);
    expect(slowDown({ status, headers, body: SECONDARY })).toEqual(pause(60_000, true));
  });

  it('are no pause of less than GitHub asks for', () => {
    const headers = { 'retry-after': '121' };
    expect(slowDown({ status, headers, body: SECONDARY })).toEqual(usedUp(121));
  });

  it('are a quota used up until its reset', () => {
    expect(slowDown({ status, headers: quota(0, 3600) })).toEqual(usedUp(3600));
    expect(slowDown({ status, headers: quota(0, 121) })).toEqual(usedUp(121));
  });

  it('are a quota used up until the later of both times', () => {
    const earlier = { ...quota(0, 3600), 'retry-after': '60' };
    expect(slowDown({ status, headers: earlier, body: SECONDARY })).toEqual(usedUp(3600));
    const later = { ...quota(0, 60), 'retry-after': '3600' };
    expect(slowDown({ status, headers: later })).toEqual(usedUp(3600));
  });

  it('are a pause until the reset if that is near', () => {
    expect(slowDown({ status, headers: quota(0, 120) })).toEqual(pause(120_000));
    expect(slowDown({ status, headers: quota(0, 5) })).toEqual(pause(5000));
  });

  it('are a pause that grows where the reset is over by our clock', () => {
    expect(slowDown({ status, headers: quota(0, 0) })).toEqual(pause(60_000, true));
    expect(slowDown({ status, headers: quota(0, -30) })).toEqual(pause(60_000, true));
    const headers = { ...quota(0, -30), 'retry-after': '9' };
    expect(slowDown({ status, headers })).toEqual(pause(9000));
  });
});

describe('a 403 that is about rights', () => {
  it.each<[string, string]>([
    ['no body', ''],
    ['a body that is not JSON', '<h1>secondary rate limit</h1>'],
    ["JSON that isn't an object", '"secondary rate limit"'],
    ['no message', '{"documentation_url":"…#about-secondary-rate-limits"}'],
    ['a message that is not text', '{"message":["secondary rate limit"]}'],
    ['another message', '{"message":"Resource not accessible by integration"}'],
    ['a body that no error has', `${SECONDARY}${' '.repeat(64 * 1024)}`],
  ])('asks for no pause with %s', (_, body) => {
    expect(slowDown({ status: 403, body })).toEqual(NONE);
    expect(slowDown({ status: 403, body, headers: quota(1, 600) })).toEqual(NONE);
  });

  it('may ask for one, as any server may', () => {
    expect(slowDown({ status: 403, headers: { 'retry-after': '7' } })).toEqual(pause(7000));
    expect(slowDown({ status: 403, headers: { 'retry-after': '3600' } })).toEqual(usedUp(3600));
  });
});
