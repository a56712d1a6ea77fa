import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { split, type PieceLimits, type Piece } from '../../../src/run/candidates/split.js';

async function pieces(chunks: readonly string[], limits?: PieceLimits): Promise<Piece[]> {
  const found: Piece[] = [];
  await split(chunks, (piece) => found.push(piece), limits);
  return found;
}

/** `line: text` or `line: value`, easy to compare. */
async function brief(text: string, limits?: PieceLimits): Promise<unknown[]> {
  const found = await pieces([text], limits);
  return found.map((piece) => [
    piece.line,
    piece.kind === 'line' ? piece.text : piece.kind === 'json' ? piece.value : 'too long',
  ]);
}

describe('split', () => {
  it.each<[string, string, unknown[]]>([
    [
      'lines',
      'a\nb\r\n\nc',
      [
        [1, 'a'],
        [2, 'b'],
        [4, 'c'],
      ],
    ],
    [
      'JSON lines',
      '{"a":1}\n{"a":2}\n',
      [
        [1, { a: 1 }],
        [2, { a: 2 }],
      ],
    ],
    [
      'JSON over several lines',
      'x\n{\n  "a": 1\n}\ny',
      [
        [1, 'x'],
        [2, { a: 1 }],
        [5, 'y'],
      ],
    ],
    [
      'objects on one line',
      '{"a":1} {"a":2}, {"a":3}',
      [
        [1, { a: 1 }],
        [1, { a: 2 }],
        [1, { a: 3 }],
      ],
    ],
    [
      'an array, element by element',
      '[\n{"a":1},\n{"a":[2,{}]}\n]\nx',
      [
        [2, { a: 1 }],
        [3, { a: [2, {}] }],
        [5, 'x'],
      ],
    ],
    [
      'an array on one line',
      '[{"a":1},{"a":2}]',
      [
        [1, { a: 1 }],
        [1, { a: 2 }],
      ],
    ],
    [
      'brackets in strings',
      '{"a":"}]\\"{[\\\\"}\nx',
      [
        [1, { a: '}]"{[\\' }],
        [2, 'x'],
      ],
    ],
    ['a byte order mark', '\uFEFF{"a":1}', [[1, { a: 1 }]]],
    [
      'text after an object',
      '{"a":1} x',
      [
        [1, { a: 1 }],
        [1, ' x'],
      ],
    ],
    [
      'a line in brackets',
      '[INFO] x\n{"a":1}',
      [
        [1, '[INFO] x'],
        [2, { a: 1 }],
      ],
    ],
    [
      'braces without valid JSON',
      '{{ x }}\ny',
      [
        [1, '{{ x }}'],
        [2, 'y'],
      ],
    ],
    [
      'balanced braces without valid JSON',
      '{1}\n{"a":1}',
      [
        [1, '{1}'],
        [2, { a: 1 }],
      ],
    ],
    [
      'text inside an object',
      '{\n"a": 1,\noops!\n{"b":2}\nx',
      [
        [1, '{'],
        [2, '"a": 1,'],
        [3, 'oops!'],
        [4, { b: 2 }],
        [5, 'x'],
      ],
    ],
    [
      'a string that never ends',
      '{"a\nx\n',
      [
        [1, '{"a'],
        [2, 'x'],
      ],
    ],
    [
      'an object that never ends',
      '{\n"a": 1\n',
      [
        [1, '{'],
        [2, '"a": 1'],
      ],
    ],
    ['nothing', '', []],
    ['blank lines', '\n \n\r\n', []],
  ])('reads %s', async (_, text, expected) => {
    expect(await brief(text)).toEqual(expected);
  });

  it.each<[string, string, unknown[]]>([
    [
      'a long line',
      `${'x'.repeat(11)}\ny`,
      [
        [1, 'too long'],
        [2, 'y'],
      ],
    ],
    [
      'a long line at the end',
      `y\n${'x'.repeat(99)}`,
      [
        [1, 'y'],
        [2, 'too long'],
      ],
    ],
    [
      'a line that just fits',
      `${'x'.repeat(10)}\ny`,
      [
        [1, 'x'.repeat(10)],
        [2, 'y'],
      ],
    ],
    [
      'a long object',
      `{"a":\n"${'x'.repeat(30)}"}\ny`,
      [
        [1, 'too long'],
        [3, 'y'],
      ],
    ],
    ['an object longer than a line', `{"a": "${'x'.repeat(10)}"}`, [[1, { a: 'x'.repeat(10) }]]],
    [
      'a long object that is not valid JSON',
      `{"a":\n"${'x'.repeat(30)}" !\ny`,
      [
        [1, 'too long'],
        [3, 'y'],
      ],
    ],
    ['a long object without an end', `{"a":\n"${'x'.repeat(30)}"\n`, [[1, 'too long']]],
  ])('limits %s', async (_, text, expected) => {
    expect(await brief(text, { line: 10, json: 30, values: 100 })).toEqual(expected);
  });

  it('gives the same pieces wherever the chunks end', async () => {
    const token = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        '"',
        ',',
        ':',
        '\\',
        '\n',
        '\r\n',
        ' ',
        'x',
        '1',
        'é',
        '😀',
        '\uFEFF',
      ],
      ...['{"a":1}', '{"a":"\\"}"}', 'text', '"key": ', 'xxxxxxxxxxxx'],
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(token, { maxLength: 40 }).map((tokens) => tokens.join('')),
        fc.array(fc.nat(80), { maxLength: 8 }),
        fc.constantFrom({ line: 10, json: 30, values: 100 }, { line: 1000, json: 1000, values: 4 }),
        async (text, cuts, limits) => {
          const ends = [
            ...new Set([0, ...cuts.map((cut) => Math.min(cut, text.length)), text.length]),
          ];
          ends.sort((one, other) => one - other);
          const chunks = ends.slice(1).map((end, index) => text.slice(ends[index], end));
          const whole = await pieces([text], limits);
          expect(await pieces(chunks, limits)).toEqual(whole);
          expect(await pieces(text.split(''), limits)).toEqual(whole);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
