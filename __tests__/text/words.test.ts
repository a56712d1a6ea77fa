import { describe, expect, it } from '@jest/globals';

import {
  age,
  count,
  duration,
  moment,
  shortDigest,
  size,
  timeOfDay,
} from '../../src/text/words.js';
import { d, DAY, HOUR, NOW } from '../support/builders/examples.js';

describe('age', () => {
  it.each([
    ['under an hour', HOUR / 2],
    ['1 hour', HOUR],
    ['47 hours', 47.9 * HOUR],
    ['2 days', 2 * DAY],
    ['59 days', 59.5 * DAY],
    ['1 month', 60 * DAY],
    ['3 months', 100 * DAY],
    ['23 months', 730 * DAY],
    ['2 years', 731 * DAY],
  ])('an age is written as %s', (expected, milliseconds) => {
    expect(age(NOW - milliseconds, NOW)).toBe(expected);
  });

  it.each([
    ['nothing known', undefined],
    ['the zero of reproducible builds', 0],
    ['the ZIP epoch', Date.UTC(1980, 0, 1)],
    ['the future', NOW + 1],
    ['not a number', NaN],
  ])('says nothing of %s', (_, created) => {
    expect(age(created, NOW)).toBeUndefined();
  });
});

it('writes numbers, sizes, durations and digests as people do', () => {
  expect([count(1, 'tag'), count(12_345, 'tag'), count(2, 'repository', 'repositories')]).toEqual([
    '1 tag',
    '12,345 tags',
    '2 repositories',
  ]);
  expect([size(0), size(1_200_000_000), size(Number.MAX_SAFE_INTEGER)]).toEqual([
    '0 B',
    '1.2 GB',
    '9.01 PB',
  ]);
  expect([duration(850), duration(12_000), duration(DAY), duration(-5)]).toEqual([
    '850 ms',
    '12 seconds',
    '1 day',
    '0 ms',
  ]);
  expect(shortDigest(d('x'))).toMatch(/^sha256:[0-9a-f]{12}$/);
});

it('writes times in UTC: a moment as its minute, and a time of day to wait for as the minute after it', () => {
  expect(moment(NOW + 59_999)).toBe('2026-11-23 03:00 UTC');
  expect([NOW, NOW + 1, NOW - 1, NOW + 21 * HOUR - 1].map(timeOfDay)).toEqual([
    '03:00 UTC',
    '03:01 UTC',
    '03:00 UTC',
    '00:00 UTC',
  ]);
});
