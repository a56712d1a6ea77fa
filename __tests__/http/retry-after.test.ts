import { expect, it } from '@jest/globals';

import { retryAfter } from '../../src/http/retry-after.js';
import { respond } from '../support/builders/answers.js';
import { request } from '../support/servers/servers.js';

const NOW = Date.UTC(2026, 10, 23, 8, 0, 0);

it.each<[string | undefined, number | undefined]>([
  [undefined, undefined],
  ['0', 0],
  ['7', 7000],
  [' 7 ', 7000],
  ['120', 120_000],
  ['86400', 120_000],
  ['Mon, 23 Nov 2026 08:00:30 GMT', 30_000],
  ['Monday, 23-Nov-26 08:00:30 GMT', 30_000],
  ['Mon, 23 Nov 2026 07:00:00 GMT', 0],
  ['Tue, 24 Nov 2026 08:00:00 GMT', 120_000],
  ['-5', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['Mon, whenever', undefined],
  ['', undefined],
])('Retry-After: %s is %s milliseconds', (value, expected) => {
  const headers = value === undefined ? {} : { 'retry-after': value };
  expect(retryAfter(respond(request('http://r.test/'), { headers }), NOW)).toBe(expected);
});
