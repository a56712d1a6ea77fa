import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import picomatch from 'picomatch';

import { globMatcher, globMistake } from '../../src/plan/glob.js';
import { isRepository } from '../../src/oci/reference.js';

const tokens = (...all: string[]) =>
  fc.array(fc.constantFrom(...all), { minLength: 1, maxLength: 7 }).map((some) => some.join(''));
const names = tokens('a', 'b', 'ab', '/', '/', '.', '-', '_').filter(isRepository);
const globs = tokens(
  'a',
  'b',
  '/',
  '/',
  '*',
  '?',
  '**',
  '/**',
  '**/',
  '.',
  '-',
  '[ab]',
  '[^a]',
).filter((glob) => !glob.startsWith('/') && !glob.endsWith('/'));

describe('a glob', () => {
  it('means what picomatch means, for names of repositories', () => {
    const options = { dot: true, nobrace: true, noextglob: true, nonegate: true };
    fc.assert(
      fc.property(globs, fc.array(names, { minLength: 5, maxLength: 20 }), (glob, some) => {
        const [ours, theirs] = [globMatcher(glob), picomatch(glob, options)];
        expect(some.filter((name) => ours(name))).toEqual(some.filter((name) => theirs(name)));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['**', ['a', 'a/b'], []],
    ['team/**', ['team', 'team/a/b'], ['teams', 'a/team']],
    ['**/app', ['app', 'a/b/app'], ['a/apps', 'myapp']],
    ['a/**/b', ['a/b', 'a/x/y/b'], ['ab', 'a/xb']],
    ['*/*', ['a/b'], ['a', 'a/b/c']],
    ['a?c', ['abc'], ['ac', 'a/c', 'abbc']],
    ['[ab]*', ['a', 'bc'], ['c']],
  ])('matches as written: %s', (glob, inside, outside) => {
    const matches = globMatcher(glob);
    expect(inside.filter((name) => !matches(name))).toEqual([]);
    expect(outside.filter((name) => matches(name))).toEqual([]);
  });

  // Each of these took more than minutes as a regular expression, and would time the test out.
  it.each([
    ['a*a*a*a*a*a*a*a*a*b', 'a'.repeat(255)],
    [`${'a*'.repeat(499)}b`, 'a'.repeat(255)],
    [`${'*'.repeat(1)}${'?*'.repeat(400)}b`, 'a'.repeat(255)],
    [`${'**/a/'.repeat(150)}b`, `${'a/'.repeat(127)}a`],
    [`${'**/*a*/'.repeat(100)}b`, `${'aa/'.repeat(84)}aa`],
  ])('ends at once, however many wildcards there are: %s', (glob, name) => {
    expect(globMistake(glob)).toBeUndefined();
    expect(globMatcher(glob)(name)).toBe(false);
  });
});

describe('the mistake of a glob', () => {
  it.each(['a', '**/a/**/b/**', 'a*b*c*d*e*f', '[ab]*/*', '[ab]*?x**'])(
    'does not exist in %s',
    (glob) => {
      expect(globMistake(glob)).toBeUndefined();
    },
  );

  it.each(['[ab]*a*a*a*b', 'a**a*a*a*b', './*a*a*a*a', '[!a]?a*b?c*'])(
    'is the effort in %s',
    (glob) => {
      expect(globMistake(glob)).toMatch(/^too hard to match: /);
    },
  );

  it('is a length beyond any name', () => {
    expect(globMistake('a*'.repeat(501))).toBe('longer than 1000 characters');
  });
});
