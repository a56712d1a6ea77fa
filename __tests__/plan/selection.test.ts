import { describe, expect, it } from '@jest/globals';

import { namespacesOf, patternMistake, selectRepositories } from '../../src/plan/selection.js';

describe('a pattern', () => {
  it.each([
    'app',
    'team/app',
    'team/*',
    'team/**',
    '**',
    '*',
    '!team/legacy-*',
    'a?c',
    'team/[ab]pp',
    'team/[!a]pp',
  ])('may be %s', (pattern) => {
    expect(patternMistake(pattern)).toBeUndefined();
  });

  it.each([
    ['Team/app', 'not a repository name or glob'],
    ['', 'not a repository name or glob'],
    ['!', 'not a repository name or glob'],
    ['/team', 'not a repository name or glob'],
    ['team/', 'not a repository name or glob'],
    ['team/app:v1', 'not a repository name or glob'],
    ['team app', 'not a repository name or glob'],
    ['team/{a,b}', 'not a repository name or glob'],
    ['(a|b)', 'not a repository name or glob'],
    ['team//app', 'not a valid repository name'],
    ['!team..app', 'not a valid repository name'],
    ['-app', 'not a valid repository name'],
  ])('may not be %j: %s', (pattern, mistake) => {
    expect(patternMistake(pattern)).toBe(mistake);
  });
});

describe('the selection of repositories', () => {
  const repositories = ['app', 'team/app', 'team/app/cache', 'team/legacy-1', 'other/app'];
  it.each<[string, string[], string[]]>([
    ['nothing: all', [], repositories],
    ['a name', ['team/app'], ['team/app']],
    ['* within a component', ['team/*'], ['team/app', 'team/legacy-1']],
    ['* alone', ['*'], ['app']],
    ['** across components', ['team/**'], ['team/app', 'team/app/cache', 'team/legacy-1']],
    ['**/app', ['**/app'], ['app', 'team/app', 'other/app']],
    ['a class', ['[ot]*/app'], ['team/app', 'other/app']],
    ['an exclusion first: all others', ['!team/**'], ['app', 'other/app']],
    ['an exclusion after', ['team/**', '!team/legacy-*'], ['team/app', 'team/app/cache']],
    [
      'the last one decides: in again',
      ['**', '!team/**', 'team/app'],
      ['app', 'team/app', 'other/app'],
    ],
    ['the last one decides: out again', ['team/app', '!team/app', 'app'], ['app']],
    ['no match', ['nothing-*'], []],
  ])('reads patterns: %s', (_, patterns, expected) => {
    const selection = selectRepositories(patterns);
    expect(repositories.filter((name) => selection.includes(name))).toEqual(expected);
  });

  it.each<[string, string[], string[] | undefined]>([
    ['names: no catalog', ['team/app', 'app', 'app'], ['app', 'team/app']],
    ['names but for one', ['team/app', 'app', '!team/*'], ['app']],
    ['a glob needs the catalog', ['app', 'team/*'], undefined],
    ['so does everything', [], undefined],
    ['and an exclusion alone', ['!app'], undefined],
    ['and an exclusion first', ['!app', 'team/app'], undefined],
  ])('asks for the catalog or not: %s', (_, patterns, expected) => {
    expect(selectRepositories(patterns).names).toEqual(expected);
  });

  it('takes dots for ordinary characters', () => {
    expect(selectRepositories(['a/*']).includes('a/.b')).toBe(true);
    expect(selectRepositories(['a.b']).includes('acb')).toBe(false);
  });
});

describe('the namespaces that patterns name', () => {
  it.each<[string, string[], string[]]>([
    ['a name', ['owner/app'], ['owner']],
    ['a deeper name', ['owner/team/app'], ['owner']],
    ['a glob below a namespace', ['owner/**'], ['owner']],
    ['several, each once and sorted', ['b/x', 'a/*', 'b/y*'], ['a', 'b']],
    ['a glob of everything', ['**'], []],
    ['a glob in the first component', ['own*/x', 'o?ner/x', '[o]wner/x', '**/x'], []],
    ['an exclusion names none', ['!owner/legacy', 'team/**', '!team/x'], ['team']],
    ['a name without a namespace', ['app'], []],
    ['no pattern', [], []],
  ])('are the literal first components: %s', (_, patterns, expected) => {
    expect(namespacesOf(patterns)).toEqual(expected);
  });
});
