import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { fit, type Section } from '../../src/report/fit.js';

function list(title: string, rows: readonly string[]): Section {
  return {
    before: `${title}\n`,
    rows,
    total: rows.length,
    cut: (left) => `${String(left)} more\n`,
  };
}

describe('fit', () => {
  it('changes nothing that fits', () => {
    const sections = [{ before: 'head\n' }, list('list', ['a\n', 'b\n'])];
    expect(fit(sections, 1_000)).toBe('head\n\nlist\na\nb\n');
  });

  it('gives every list its part, and what a short one leaves to the long ones', () => {
    const long = Array.from({ length: 100 }, (_, index) => `long ${String(index)}\n`);
    const text = fit([list('one', long), list('two', ['short\n']), list('three', long)], 400);
    expect(text).toContain('two\nshort\n');
    const shown = text.split('three').map((part) => (part.match(/long/g) ?? []).length);
    expect(shown[0]).toBeGreaterThan(15);
    expect(Math.abs((shown[0] ?? 0) - (shown[1] ?? 0))).toBeLessThanOrEqual(2);
    expect(text).toContain(`${String(100 - (shown[0] ?? 0))} more`);
  });

  it('makes no more rows than could fit', () => {
    let made = 0;
    function* endless(): Generator<string> {
      for (;;) {
        made += 1;
        yield 'row\n';
      }
    }
    const section = { before: '', rows: endless(), total: 1_000_000, cut: () => 'more\n' };
    expect(fit([section], 1_000).length).toBeLessThanOrEqual(1_000);
    expect(made).toBeLessThan(300);
  });

  it('stays below the limit in bytes and accounts for every row', () => {
    const rows = fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 5 }), fc.nat(2_000), (lists, limit) => {
        const sections = lists.map((entries, index) =>
          list(
            `§${String(index)}`,
            entries.map((entry) => `¶${entry.replaceAll(/[§¶\n]/g, '')}\n`),
          ),
        );
        const text = fit(sections, limit);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limit);
        for (const part of text.split('§').slice(1)) {
          const total = lists[Number(part.charAt(0))]?.length ?? 0;
          const shown = part.split('¶').length - 1;
          expect(part.includes(`\n${String(total - shown)} more\n`)).toBe(shown < total);
        }
      }),
    );
  });
});
