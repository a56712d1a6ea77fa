import { runInNewContext } from 'node:vm';

import { expect, it } from '@jest/globals';

import { codeOf, messageOf } from '../../src/text/error.js';

it.each<[string, unknown, string, string]>([
  ['an error', new Error('no'), '', 'no'],
  ['an error of the system', Object.assign(new Error('no'), { code: 'EPERM' }), 'EPERM', 'no'],
  ['an error of another realm', runInNewContext('new Error("no")'), '', 'no'],
  ['an error without a message', new TypeError(), '', 'TypeError'],
  ['a code that is a number', { code: 5, message: 'no' }, '', 'no'],
  ['a text', 'no', '', 'no'],
  ['nothing', null, '', 'null'],
])('the thrown value %s has a code and a message', (_, error, code, message) => {
  expect([codeOf(error), messageOf(error)]).toEqual([code, message]);
});
