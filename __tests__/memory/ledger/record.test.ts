import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import {
  isSame,
  join,
  type LedgerRecord,
  type Records,
} from '../../../src/memory/ledger/record.js';
import { image } from '../../support/builders/build.js';
import { runs } from '../../support/builders/arbitraries.js';
import { fields, memories, recordOf, recordsOf, sorted } from '../../support/builders/records.js';

const a = image('a');
const b = image('b');

/** The union of two records of one manifest, in both orders. */
function joined(one: Partial<LedgerRecord>, other: Partial<LedgerRecord>): LedgerRecord {
  const records = [one, other].map((more) => recordsOf([a], more));
  const [forth, back] = [join(records), join([...records].reverse())];
  expect(forth).toEqual(back);
  return forth.get(a.digest) ?? recordOf(b);
}

function copyOf(records: Records): Records {
  return new Map([...records].map(([digest, record]) => [digest, { ...record }]));
}

describe('the union of memories', () => {
  it('knows what any of them knows, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(memories, { maxLength: 4 }), (all) => {
        expect(new Set(join(all).keys())).toEqual(
          new Set(all.flatMap((records) => [...records.keys()])),
        );
      }),
      runs(200),
    );
  });

  it('has the last tags of the later one, and those of both where neither is', () => {
    const [both, last] = [{ tags: ['v1', 'v2'] }, { tags: ['v1', 'v2'], lastTags: ['v2'] }];
    expect(joined({ ...both, revision: 1 }, { ...last, revision: 2 })).toMatchObject(last);
    expect(joined({ ...both, revision: 2 }, { ...last, revision: 1 }).lastTags).toBeUndefined();
    expect(joined(both, last).lastTags).toBeUndefined();
    expect(joined({ tags: ['v1'] }, { tags: ['v2'], revision: 1 })).toMatchObject(last);
  });

  it('is commutative', () => {
    fc.assert(
      fc.property(memories, memories, (x, y) => {
        expect(sorted(join([x, y]))).toEqual(sorted(join([y, x])));
      }),
      runs(500),
    );
  });

  it('is associative, however many are joined at once', () => {
    fc.assert(
      fc.property(memories, memories, memories, (x, y, z) => {
        const all = sorted(join([x, y, z]));
        expect(sorted(join([join([x, y]), z]))).toEqual(all);
        expect(sorted(join([x, join([y, z])]))).toEqual(all);
      }),
      runs(500),
    );
  });

  it('is idempotent: an entry may be read twice, or again after it was merged', () => {
    fc.assert(
      fc.property(memories, memories, (x, y) => {
        const both = join([x, y]);
        expect(isSame(join([x, x]), x)).toBe(true);
        for (const again of [x, y, both]) {
          expect(sorted(join([both, again]))).toEqual(sorted(both));
          expect(sorted(join([again, both]))).toEqual(sorted(both));
        }
      }),
      runs(500),
    );
  });

  it('changes none of what it was given', () => {
    fc.assert(
      fc.property(memories, memories, (x, y) => {
        const before = [copyOf(x), copyOf(y)];
        const result = join([x, y]);
        result.clear();
        expect([x, y]).toEqual(before);
      }),
      runs(200),
    );
  });

  it('is empty where there are none', () => {
    expect(join([]).size).toBe(0);
    expect(join([new Map(), new Map()]).size).toBe(0);
  });

  it('takes the earliest sight, and in use once is in use ever', () => {
    expect(
      joined({ firstSeen: 5, everInUse: false }, { firstSeen: 3, everInUse: true }),
    ).toMatchObject({ firstSeen: 3, everInUse: true });
    expect(
      joined({ firstSeen: 3, everInUse: false }, { firstSeen: 3, everInUse: false }),
    ).toMatchObject({ firstSeen: 3, everInUse: false });
  });

  it('takes what is deleted for forgotten, but for its tags and the time of the delete', () => {
    const seen = {
      status: 'unused',
      since: 9,
      firstSeen: 9,
      everInUse: false,
      revision: 0,
    } as const;
    const gone = {
      status: 'deleted',
      since: 5,
      firstSeen: 1,
      everInUse: true,
      revision: 7,
    } as const;
    expect(joined(seen, { ...gone, tags: ['v1'], condemned: 4 })).toMatchObject({
      ...seen,
      tags: ['v1'],
      condemned: 4,
    });
  });

  it.each<[string, Partial<LedgerRecord>, Partial<LedgerRecord>]>([
    [
      'the later revision, in every case',
      { revision: 2, status: 'in-use', since: 9 },
      { revision: 1, status: 'leaving', since: 1 },
    ],
    [
      'of equal revisions leaving rather than unused',
      { revision: 1, status: 'leaving', since: 9 },
      { revision: 1, status: 'unused', since: 1 },
    ],
    [
      'of equal revisions unused rather than in use',
      { revision: 1, status: 'unused', since: 9 },
      { revision: 1, status: 'in-use', since: 1 },
    ],
    [
      'of equal revisions leaving rather than in use',
      { revision: 1, status: 'leaving', since: 9 },
      { revision: 1, status: 'in-use', since: 1 },
    ],
    [
      'a record that is not deleted, of every revision',
      { revision: 0, status: 'in-use', since: 9 },
      { revision: 2, status: 'deleted', since: 1 },
    ],
    [
      'of equal revisions and status the earlier time',
      { revision: 1, status: 'unused', since: 1 },
      { revision: 1, status: 'unused', since: 9 },
    ],
  ])('believes %s', (_, winner, loser) => {
    expect(joined(winner, loser)).toMatchObject(winner);
  });

  it('takes the sight from one and the status from the other', () => {
    const one = { firstSeen: 1, everInUse: true, revision: 0, status: 'in-use', since: 1 } as const;
    const two = {
      firstSeen: 2,
      everInUse: false,
      revision: 1,
      status: 'unused',
      since: 2,
    } as const;
    expect(joined(one, two)).toEqual(recordOf(a, { ...two, firstSeen: 1, everInUse: true }));
  });

  it('settles on one media type where there are two', () => {
    expect(joined({ mediaType: 'application/y' }, { mediaType: 'application/x' }).mediaType).toBe(
      'application/x',
    );
  });
});

describe('the comparison of memories', () => {
  it('holds for equal memories alone', () => {
    // Two random memories are hardly ever alike, so some are a copy with one record changed.
    const pairs = fc
      .tuple(memories, memories, fields, fc.boolean())
      .map(([x, y, change, isCopy]): [Records, Records] => {
        const copy = new Map(x);
        [...x]
          .slice(0, 1)
          .forEach(([digest, record]) => copy.set(digest, { ...record, ...change }));
        return [x, isCopy ? copy : y];
      });
    const written = (records: Records) =>
      JSON.stringify(
        sorted(records).map(([digest, record]) => [digest, Object.entries(record).sort()]),
      );
    fc.assert(
      fc.property(pairs, ([x, y]) => {
        expect(isSame(x, y)).toBe(written(x) === written(y));
        expect(isSame(x, new Map([...x].reverse()))).toBe(true);
      }),
      runs(1000),
    );
  });

  it.each<[string, Partial<LedgerRecord>]>([
    ['mediaType', { mediaType: 'application/x' }],
    ['firstSeen', { firstSeen: 1 }],
    ['everInUse', { everInUse: false }],
    ['status', { status: 'leaving' }],
    ['since', { since: 1 }],
    ['revision', { revision: 1 }],
  ])('notices another %s', (_, more) => {
    const one = recordsOf([a, b]);
    const other = new Map([...recordsOf([a]), ...recordsOf([b], more)]);
    expect(isSame(one, other)).toBe(false);
    expect(isSame(other, one)).toBe(false);
  });

  it('notices another manifest, one more and one less', () => {
    expect(isSame(recordsOf([a]), recordsOf([b]))).toBe(false);
    expect(isSame(recordsOf([a]), recordsOf([a, b]))).toBe(false);
    expect(isSame(recordsOf([a, b]), recordsOf([a]))).toBe(false);
  });
});
