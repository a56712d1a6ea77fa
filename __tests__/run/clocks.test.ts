import { describe, expect, it } from '@jest/globals';

import { serverTime } from '../../src/registry/distribution/server-time.js';
import { compareClocks } from '../../src/run/clocks.js';

const DATE = 'Fri, 27 Nov 2026 08:00:00 GMT';
const THEN = Date.UTC(2026, 10, 27, 8);
const MINUTE = 60_000;

describe('the time of a server', () => {
  it.each<[string, Record<string, string>, number | undefined]>([
    ['a date', { date: DATE }, THEN + 999],
    ['a date of a cache', { date: DATE, age: '3600' }, THEN + 999 + 60 * MINUTE],
    ['a fresh answer of a cache', { date: DATE, age: '0' }, THEN + 999],
    ['an age that is none', { date: DATE, age: '-5' }, THEN + 999],
    ['an age beyond all ages', { date: DATE, age: '9'.repeat(400) }, THEN + 999],
    ['no date', {}, undefined],
    ['an age alone', { age: '5' }, undefined],
    ['an empty date', { date: '' }, undefined],
    ['a number', { date: '1795766400' }, undefined],
    ['another form', { date: '2026-11-27T08:00:00Z' }, undefined],
    ['another zone', { date: 'Fri, 27 Nov 2026 08:00:00 +0100' }, undefined],
    ['a month that is none', { date: 'Fri, 27 Foo 2026 08:00:00 GMT' }, undefined],
    ['an hour that is none', { date: 'Fri, 27 Nov 2026 77:00:00 GMT' }, undefined],
  ])('is read from the headers: %s', (_, headers, expected) => {
    expect(serverTime(headers)).toBe(expected);
  });
});

describe('the comparison of clocks', () => {
  it('takes the clock of the runner if the registry does not tell the time', () => {
    expect(compareClocks(THEN, THEN + 500)).toEqual({ now: THEN, stamp: THEN });
  });

  it.each([
    ['the same', 0, 0],
    ['a registry ahead', 4 * MINUTE, 0],
    ['a registry behind', -4 * MINUTE, -4 * MINUTE],
    ['a registry ahead by five', 5 * MINUTE, 0],
    ['a registry behind by five', -5 * MINUTE, -5 * MINUTE],
  ])('takes the earlier clock without a warning: %s', (_, apart, expected) => {
    const now = THEN + expected;
    // The answer took two seconds, in which both clocks went on.
    expect(compareClocks(THEN, THEN + 2000, THEN + 2000 + apart)).toEqual({ now, stamp: now });
  });

  it.each([
    ['ahead', 2 * 24 * 60 * MINUTE, 0, '2026-11-29T08:00:00Z'],
    ['behind', -2 * 24 * 60 * MINUTE, -2 * 24 * 60 * MINUTE, '2026-11-25T08:00:00Z'],
  ])('warns of a registry that is far %s, and dates nothing by it', (_, apart, expected, said) => {
    const { now, stamp, warning } = compareClocks(THEN, THEN, THEN + apart);
    expect([now, stamp]).toEqual([THEN + expected, THEN]);
    expect(warning).toContain('2880 minutes apart');
    expect(warning).toContain('2026-11-27T08:00:00Z by the runner');
    expect(warning).toContain(`${said} by the registry`);
    expect(warning).toContain('NTP');
  });
});
