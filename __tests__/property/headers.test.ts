/** The parsers of headers, on everything that a server may send: no crash, no doubt taken for an answer, no time lost. */
import fc from 'fast-check';

import { describe, expect, it } from '@jest/globals';

import { parseChallenges } from '../../src/http/challenge.js';
import { LinkError, nextPage } from '../../src/http/link.js';
import { slowDownOf } from '../../src/http/slow-down.js';

const PAGE = new URL('https://registry.test/v2/a/tags/list');
/** Far more than Node lets a server send (16 KiB), so that what isn't linear shows. */
const LONG = 256 * 1024;
/** Milliseconds of processor time: a hundred times what is needed, a hundredth of what a square takes. */
const BUDGET = 1000;
const MEMORY = 128 * 1024 * 1024;

const piece = fc.oneof(
  fc.constantFrom(
    ...[
      '<',
      '>',
      '"',
      '\\',
      ';',
      ',',
      '=',
      ' ',
      '\t',
      'rel',
      'next',
      'rel="next"',
      '</v2/x>',
      'Bearer',
      'realm=',
    ],
    ...[
      'Basic ',
      '=====',
      'a',
      'Wed, 21 Oct 2015 07:28:00 GMT',
      '120',
      '-1',
      '1e9',
      '\u0000',
      '<?a>; rel=',
      "'",
    ],
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const header = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
/** One short piece over and over, between two others. */
const long = fc
  .tuple(header, fc.array(piece, { minLength: 1, maxLength: 3 }), header)
  .map(([before, middle, after]) => {
    const unit = middle.join('') || ' ';
    return before + unit.repeat(Math.ceil(LONG / unit.length)) + after;
  });

const readers = {
  link: (value: string) => {
    try {
      return nextPage(value, PAGE);
    } catch (error) {
      expect(error).toBeInstanceOf(LinkError);
      return undefined;
    }
  },
  challenge: (value: string) => parseChallenges(value),
  'retry-after': (value: string) =>
    slowDownOf({ status: 429, headers: { 'retry-after': value }, body: Buffer.alloc(0) }, 0),
};

describe.each(Object.entries(readers))('the parser of %s', (_, read) => {
  it('makes an answer or an error of every input', () => {
    fc.assert(
      fc.property(header, (value) => void read(value)),
      { numRuns: 2000 },
    );
  });

  it('takes no more time and memory than its length deserves', () => {
    const blank = ' '.repeat(LONG);
    const fixed = [
      blank,
      `<x>${blank}`,
      `<x>;${blank}x`,
      `Bearer${blank}x"`,
      '"'.repeat(LONG),
      '\\'.repeat(LONG),
    ];
    const taken = (value: string) => {
      const before = process.cpuUsage();
      const memory = process.memoryUsage().rss;
      read(value);
      const { user, system } = process.cpuUsage(before);
      return { time: (user + system) / 1000, memory: process.memoryUsage().rss - memory };
    };
    for (const value of [...fixed, ...fc.sample(long, 60)]) {
      const { time, memory } = taken(value);
      expect({ value: value.slice(0, 100), time: Math.max(time, BUDGET) }).toMatchObject({
        time: BUDGET,
      });
      expect(Math.max(memory, MEMORY)).toBe(MEMORY);
    }
  });
});

describe('the parser of link', () => {
  const relation = fc.constantFrom('prev', 'first', 'last', 'self', 'nextish', 'NEXT', 'next');
  const blanks = fc.constantFrom('', ' ', '\t', '  ');
  const parameter = fc.constantFrom('foo', 'title="a, <b>; rel=prev"', 'type=a/b', '');

  it('finds the next page in any spelling that RFC 8288 allows', () => {
    const spelled = fc
      .record({ blank: blanks, before: fc.array(parameter), after: fc.array(parameter) })
      .chain(({ blank, before, after }) =>
        fc
          .constantFrom('rel=next', 'REL="next"', 'rel = "last next"', 'rel="NEXT"')
          .map((rel) => ['<?last=b>', ...before, rel, ...after].join(`${blank};${blank}`)),
      );
    const others = fc.array(fc.constantFrom('<?a>; rel=prev', '<?>; title="x"; rel="first"', ''));
    fc.assert(
      fc.property(others, spelled, others, (before, next, after) => {
        const value = [...before, next, ...after].join(', ');
        expect(nextPage(value, PAGE)?.search).toBe('?last=b');
      }),
    );
  });

  it('is never the last page where something else than prev, first and last is said', () => {
    fc.assert(
      fc.property(fc.array(relation, { minLength: 1 }), (relations) => {
        const value = relations.map((rel) => `<?a>; rel="${rel}"`).join(',');
        const isLast = relations.every((rel) => ['prev', 'first', 'last'].includes(rel));
        const isNext = relations.some((rel) => rel.toLowerCase() === 'next');
        const reading = () => nextPage(value, PAGE);
        const said = (() => {
          try {
            return reading() === undefined ? 'last' : 'next';
          } catch {
            return 'error';
          }
        })();
        expect(said).toBe(isNext ? 'next' : isLast ? 'last' : 'error');
      }),
    );
  });
});
