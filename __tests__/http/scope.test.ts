import { expect, it } from '@jest/globals';

import { mergeScopes } from '../../src/http/scope.js';

it.each<[string[], string]>([
  [[], ''],
  [['', ''], ''],
  [['repository:a/b:pull'], 'repository:a/b:pull'],
  [['repository:a:pull,delete', 'repository:a:pull'], 'repository:a:pull,delete'],
  [['repository:a:pull', 'repository:a:delete'], 'repository:a:pull,delete'],
  [['repository:a:pull', 'repository:b:pull'], 'repository:a:pull repository:b:pull'],
  [
    ['repository:a:pull registry:catalog:*', 'registry:catalog:*'],
    'repository:a:pull registry:catalog:*',
  ],
  [
    ['repository:host:5000/a:pull', 'repository:host:5000/a:push'],
    'repository:host:5000/a:pull,push',
  ],
  [['repository:a:pull', '*'], 'repository:a:pull *'],
  [[' repository:a:pull  '], 'repository:a:pull'],
])('the scopes %j become %j', (lists, expected) => {
  expect(mergeScopes(...lists)).toBe(expected);
});
