import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { printable } from '../../src/text/printable.js';

/** What the runner takes for a command: `::name` at the start of a line, `##[name]` anywhere. */
function isCommand(line: string): boolean {
  return line.trimStart().startsWith('::') || line.includes('##[');
}

describe('printable', () => {
  it.each([
    ['plain text', 'tag v1.2', 'tag v1.2'],
    ['one colon', 'a:b https://x:1', 'a:b https://x:1'],
    ['one colon at the start', ':x', ':x'],
    ['an address', 'https://[fe80::1]:5000/v2/', 'https://[fe80::1]:5000/v2/'],
    ['a command', '::error::x', ': :error: :x'],
    ['a command behind spaces', '  ::error::x', ': :error: :x'],
    ['a command behind a bracket', '://[::error::', '://[: :error: :'],
    ['a command of the old form', 'x ##[error]y', 'x ## [error]y'],
    ['a command of the old form with more hashes', '####[error]', '#### [error]'],
    ['a second line', 'a\r\n::error::b', 'a : :error: :b'],
    ['escapes', 'a\u001b[31mb\u0000c', 'a\ufffd[31mb\ufffdc'],
    ['other line ends', 'a\u2028b\u2029c\u0085d', 'a b c\ufffdd'],
    ['characters that turn text around', 'a\u202egpj.exe', 'a\ufffdgpj.exe'],
    ['characters that are not seen', '\ufeff::error\u200b', ': :error\ufffd'],
    ['half a character', 'a\ud800b', 'a\ufffdb'],
    ['the user and password of a URL', 'at https://me:pw@host/x', 'at https://***@host/x'],
    ['an @ behind the host of a URL', 'at https://host/x@y', 'at https://host/x@y'],
  ])('makes %s safe', (_, text, expected) => {
    expect(printable(text)).toBe(expected);
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
    expect(isCommand(printable(text))).toBe(false);
    expect(printable(printable(text))).toBe(printable(text));
  });

  it('leaves nothing that can be obeyed or not be seen, at any length', () => {
    const part = fc.constantFrom(':', '::', '#', '[', 'error', '\n', '\u200b', '\u001b', ' ', '😀');
    const hostile = fc.array(fc.oneof(part, fc.string({ unit: 'binary', maxLength: 4 })));
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 20 }), (parts, length) => {
        const line = printable(parts.join(''), length);
        expect(isCommand(line)).toBe(false);
        expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        expect(Array.from(line).length).toBeLessThanOrEqual(length);
        expect(printable(line, length)).toBe(line);
      }),
    );
  });

  it('cuts long text without reading all of it', () => {
    expect(printable('x'.repeat(10_000_000), 5)).toBe('xxxx…');
    expect(printable('12345', 5)).toBe('12345');
  });

  it('cuts no character in two', () => {
    expect(printable('😀'.repeat(9), 4)).toBe('😀😀😀…');
  });

  it('shows no password whose @ is behind the cut', () => {
    expect(printable(`https://me:hunter2${'x'.repeat(100)}@host`, 20)).toBe('https://***…');
  });
});
