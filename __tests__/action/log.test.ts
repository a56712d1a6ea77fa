import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { createLog, harmless } from '../../src/action/log.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

/** What the runner takes for a command: `::name` at the start of a line, `##[name]` anywhere. */
function isCommand(line: string): boolean {
  return line.trimStart().startsWith('::') || line.includes('##[');
}

describe('harmless', () => {
  it.each([
    ['plain text', 'tag v1.2', 'tag v1.2'],
    ['colons that are none', 'a::b https://x', 'a::b https://x'],
    ['one colon at the start', ':x', ':x'],
    ['a command', '::error::x', ': :error::x'],
    ['a command behind spaces', '  ::error::x', '  : :error::x'],
    ['a command of the old form', 'x ##[error]y', 'x # #[error]y'],
    ['an old one with more hashes', '####[error]', '### #[error]'],
    ['a second line', 'a\r\n::error::b', 'a ::error::b'],
    ['escapes', 'a\u001b[31mb\u0000c', 'a [31mb c'],
    ['other line ends', 'a\u2028b\u2029c\u0085d', 'a b c d'],
    ['what turns text around', 'a\u202egpj.exe', 'a gpj.exe'],
    ['what is not seen', '\ufeff::error::x\u200b', ' : :error::x '],
  ])('%s', (_, text, expected) => {
    expect(harmless(text)).toBe(expected);
  });

  it.each([
    '::a',
    '\t::a',
    '\u00a0::a',
    '\u3000::a',
    '\n::a',
    ':\u0000:a',
    ':\n:a',
    '::::a',
    '##[a',
    '#\u0000#[a',
    '##\u200b[a',
    '###[a##[',
  ])('leaves no command in %j', (text) => {
    expect(isCommand(harmless(text))).toBe(false);
    expect(harmless(harmless(text))).toBe(harmless(text));
  });
});

describe('createLog', () => {
  let runner: Runner;
  beforeEach(() => {
    runner = startRunner();
  });
  afterEach(() => {
    runner.restore();
  });
  const log = createLog((text) => text.replaceAll('hunter2', '***'));

  it('info is one line', () => {
    log.info('a\nb ::c hunter2');
    expect(runner.lines()).toEqual(['a b ::c ***']);
  });

  it('a group is printed at once, and closed', () => {
    log.group('team/app\n::error::x', ['::error::y', 'hunter2']);
    expect(runner.lines()).toEqual([
      '::group::team/app ::error::x',
      ': :error::y',
      '***',
      '::endgroup::',
    ]);
  });

  it('annotations keep their lines, inside one command', () => {
    log.warning('first hunter2\n::error::second');
    log.error('one\ntwo');
    expect(runner.lines()).toEqual([
      '::warning::first ***%0A: :error::second',
      '::error::one%0Atwo',
    ]);
  });

  it('debug, for those who asked for it', () => {
    runner.env('RUNNER_DEBUG', '1');
    log.debug('GET hunter2\n::x');
    runner.env('RUNNER_DEBUG', undefined);
    log.debug('more');
    expect(runner.lines()).toEqual(['::debug::GET *** ::x']);
  });

  it('takes a secret out before a line end could part it', () => {
    const parted = createLog((text) => text.replaceAll('hun\nter2', '***'));
    parted.info('a hun\nter2 b');
    parted.error('a hun\nter2 b');
    expect(runner.lines()).toEqual(['a *** b', '::error::a *** b']);
  });
});
