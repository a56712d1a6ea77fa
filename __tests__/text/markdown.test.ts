import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { code, mermaidLabel, prose, row, tableHead } from '../../src/text/markdown.js';

/** What Markdown, GitHub and HTML make something of, and anything else. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '`',
        '``',
        '|',
        '\\',
        '\\|',
        '<script>',
        '</details>',
        '<!--',
        '-->',
        '&#64;',
        '&lt;',
        '@octocat',
        '#123',
        'www.evil.com',
        'https://evil.com',
        'a@b.co',
        '[x](y)',
        '![x](y)',
        '**',
        '_',
        '~~',
        '- ',
        '1. ',
        '1) ',
        '> ',
        '# ',
        '---',
        '===',
        '\n',
        '\r\n',
        '\t',
        ' ',
        '$x$',
        ':smile:',
        '```',
        '\u202e',
        '\u2028',
        '\ud800',
        'plain',
        '404',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

/** One line of prose is code spans without backticks or pipes, and words that mean nothing to Markdown. */
const SPAN = /`[^`|\p{C}\p{Zl}\p{Zp}]+`/gu;
const WORDS = /^(?:[\p{L},;:.?!'’"() —-]|(?<![\d.)])\d{1,6}(?:,\d{3})*(?![.)]))*$/u;

describe('code', () => {
  it.each([
    ['team/app', '`team/app`'],
    ['a`b``c', '`aˋbˋˋc`'],
    ['a|b\\|c', '`a¦b\\¦c`'],
    ['<img src=x onerror=alert(1)>', '`<img src=x onerror=alert(1)>`'],
    ['one\r\ntwo\u2028three', '`one two three`'],
    ['right\u202eleft\u0000\ud800', '`right\ufffdleft\ufffd\ufffd`'],
    ['  spaced  ', '`spaced`'],
    ['', '—'],
    [' \n ', '—'],
  ])('the text %j becomes %s', (text, expected) => {
    expect(code(text)).toBe(expected);
  });

  it('a code span is cut by characters, never within one', () => {
    expect(code('😀'.repeat(9), 4)).toBe('`😀😀😀…`');
  });

  it('a code span is always closed, or a dash', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(code(text)).toMatch(/^(?:—|`[^`|\p{C}\p{Zl}\p{Zp}]+`)$/u);
      }),
    );
  });
});

describe('prose', () => {
  it.each([
    ['The registry answered 500 five times.', 'The registry answered 500 five times.'],
    ['ask @octocat about #12', 'ask `@octocat` about `#12`'],
    ['see https://evil.com/x, then stop', 'see `https://evil.com/x`, then stop'],
    ['[click](https://evil.com)', '`[click](https://evil.com`)'],
    ['<b>bold</b> **bold**', '`<b>bold</b> **bold**`'],
    ['1. one', '`1`. one'],
    ["it isn't well-known (yet)", "it isn't well-known (yet)"],
    ['sha256:abc and GH-12', '`sha256:abc` and `GH-12`'],
    // As our own sentences write the names of inputs.
    [
      'raise `max-deletes` or (`dry-run: true`), then',
      'raise `max-deletes` or (`dry-run: true`), then',
    ],
    ['the same `concurrency:` group', 'the same `concurrency:` group'],
    ['`a` `b`', '`a` `b`'],
    ['X_Y=true (`storage.delete.enabled` in it)', '`X_Y=true` (`storage.delete.enabled` in it)'],
    [
      'set `dry-run: true`, `<b> | @octocat #1` and go',
      'set `dry-run: true`, `<b> ¦ @octocat #1` and go',
    ],
    ['half `open and <b>', 'half `ˋopen` and `<b>`'],
    ['a`b c`d', '`aˋb cˋd`'],
    ['``', '`ˋˋ`'],
    ['` `', '—'],
  ])('the text %j becomes %s', (text, expected) => {
    expect(prose(text)).toBe(expected);
  });

  it('leaves nothing outside code spans that Markdown, GitHub or HTML could interpret', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const outside = prose(text).replace(SPAN, '');
        expect(outside).toMatch(WORDS);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('tables', () => {
  it('sets columns of numbers to the right', () => {
    expect(tableHead(['Name', 'Size>'])).toBe('| Name | Size |\n| --- | ---: |\n');
  });

  it('have as many cells as were given, whatever is in them', () => {
    fc.assert(
      fc.property(hostile, hostile, (a, b) => {
        const text = row([code(a), prose(b)]);
        expect(text.match(/\|/g)).toHaveLength(3);
        expect(text.indexOf('\n')).toBe(text.length - 1);
      }),
    );
  });
});

describe('mermaidLabel', () => {
  it.each([
    ['team/app (1.2 GB)', 'team/app (1.2 GB)'],
    ['a"\n%%{init: {}}%%;#quot;`', 'a? ???init? ???????quot??'],
  ])('the text %j becomes %s', (text, expected) => {
    expect(mermaidLabel(text)).toBe(expected);
  });
});
