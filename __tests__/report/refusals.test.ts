import { describe, expect, it } from '@jest/globals';

import type { Refusal } from '../../src/cleanup/brakes.js';
import { prose } from '../../src/report/markdown.js';
import { whyRefused } from '../../src/report/refusals.js';
import { problems, refusals, sentence, totals } from '../../src/report/totals.js';
import { guardedDryRun, guardedRun, refusing, run } from './examples.js';

const NO_TAGS: Refusal = { kind: 'no-tags', remembered: 1 };
const SHARE: Refusal = { kind: 'share', orphans: 1_234, manifests: 2_000, percent: 33.5 };
const COUNT: Refusal = { kind: 'count', orphans: 1_234, count: 1_000 };
const NO_DELETES: Refusal = { kind: 'no-deletes', why: 'DELETE answered 405. Switch it on' };
const NO_RIGHTS: Refusal = { kind: 'no-rights', why: "these credentials can't delete in a" };

describe('why nothing is deleted', () => {
  it.each([
    [NO_TAGS, 'no tag is left, and the ledger remembers 1 manifest that tags led to', 'apply-plan'],
    [SHARE, '1,234 of the 2,000 manifests that are known would go', 'raise `max-deletes`'],
    [SHARE, '`max-deletes` allows 33.5%', 'plan-file'],
    [COUNT, 'in this run: it found 1,234 orphans, and `max-deletes` allows 1,000.', 'apply-plan'],
    [NO_DELETES, 'this registry refuses deletes', 'Switch it on'],
    [NO_RIGHTS, "these credentials can't delete in a", ''],
  ])('of %j says what was found, and what to do', (refusal, found, advice) => {
    expect(whyRefused(refusal)).toContain(found);
    expect(whyRefused(refusal)).toContain(advice);
  });

  it.each([NO_TAGS, SHARE, COUNT])('of %j fits an annotation whole', (refusal) => {
    const [problem] = problems(run([refusing('a', 1, refusal)]));
    expect(problem?.what).toBe(whyRefused(refusal));
  });

  it.each([NO_TAGS, SHARE, COUNT])(
    'of %j shows the names of inputs as such in Markdown',
    (refusal) => {
      expect(prose(whyRefused(refusal))).toContain('`apply-plan`');
      expect(prose(whyRefused(refusal))).not.toContain('ˋ');
    },
  );
});

describe('the refusals of a run', () => {
  const all = (refusal: Refusal, more = {}) =>
    run(
      ['b', 'a'].map((name) => refusing(name, 2, refusal)),
      more,
    );

  it.each([COUNT, NO_DELETES])('are said once where they are of the whole run: %j', (refusal) => {
    expect(problems(all(refusal))).toEqual([{ kind: 'refused', what: whyRefused(refusal) }]);
    expect(refusals(all(refusal, { dryRun: true }))).toHaveLength(1);
  });

  it.each([NO_TAGS, SHARE])('are said of each repository otherwise, by name: %j', (refusal) => {
    expect(problems(all(refusal)).map(sentence)).toEqual(
      ['a', 'b'].map((name) => `${name}: ${whyRefused(refusal)}`),
    );
  });

  it('name a repository once, where the reason does so', () => {
    const rights = ['a', 'b'].map((name) =>
      refusing(name, 1, { kind: 'no-rights', why: `these credentials can't delete in ${name}` }),
    );
    expect(refusals(run(rights, { dryRun: true })).map(sentence)).toEqual([
      "these credentials can't delete in a",
      "these credentials can't delete in b",
    ]);
  });

  it('of different kinds are all said', () => {
    const made = run([refusing('a', 1, NO_TAGS), refusing('b', 1, COUNT), refusing('c', 1, COUNT)]);
    expect(problems(made).map(({ repository }) => repository)).toEqual(['a', undefined]);
  });

  it('make a real run red, and count as failed', () => {
    expect(problems(guardedRun()).map(({ kind }) => kind)).toEqual([
      'healed',
      'run',
      'run',
      'refused',
      'refused',
    ]);
    expect(totals(guardedRun())).toMatchObject({
      orphansFound: 11,
      deleted: 5,
      healed: 1,
      refused: 5,
      failed: 5,
      planned: 0,
    });
  });

  it('are no problem of a dry-run, and nothing has failed', () => {
    expect(problems(guardedDryRun())).toEqual([]);
    expect(refusals(guardedDryRun())).toHaveLength(3);
    expect(totals(guardedDryRun())).toMatchObject({
      orphansFound: 12,
      planned: 6,
      refused: 6,
      failed: 0,
      deleted: 0,
    });
  });

  it('free no bytes', () => {
    expect(totals(all(SHARE)).freedBytes).toBe(0);
    expect(totals(all(SHARE, { dryRun: true })).freedBytes).toBe(0);
  });

  it('are single lines, whatever a registry says', () => {
    const why = 'a\r\n::error::x\u2028\u001b[2J';
    for (const kind of ['no-deletes', 'no-rights'] as const) {
      const made = run([refusing('a', 1, { kind, why })]);
      const [one] = [...problems(made), ...refusals(made)].map(({ what }) => what);
      expect(one).toContain('::error::x');
      expect(one).not.toMatch(/[\p{Cc}\p{Zl}]/u);
    }
  });
});
