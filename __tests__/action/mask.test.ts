import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { maskInLog } from '../../src/action/mask.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
});
afterEach(() => {
  runner.restore();
});

it('a secret is named to the runner, which masks it', () => {
  maskInLog('hunter2');
  expect(runner.printed()).toBe('::add-mask::hunter2\n');
});

it.each([undefined, '', 'false'])(
  'a secret is printed nowhere else: GITHUB_ACTIONS is %p',
  (value) => {
    runner.env('GITHUB_ACTIONS', value);
    maskInLog('hunter2');
    expect(runner.printed()).toBe('');
  },
);
