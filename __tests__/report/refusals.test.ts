import { describe, expect, it } from '@jest/globals';

import { DEFAULT_MAX_DELETES, type RepositoryRefusal } from '../../src/plan/brakes.js';
import type { Digest } from '../../src/oci/digest.js';
import { prose } from '../../src/text/markdown.js';
import { whyRefused, type Circumstances } from '../../src/report/refusals.js';
import { totals } from '../../src/report/totals.js';
import { problems, refusals, sentence } from '../../src/report/problems.js';
import {
  d,
  guardedDryRun,
  guardedRun,
  inventory,
  refusing,
  run,
} from '../support/builders/examples.js';

const NO_TAGS: RepositoryRefusal = { kind: 'no-tags', remembered: 1 };
const SHARE: RepositoryRefusal = { kind: 'share', orphans: 1_234, manifests: 2_000, percent: 33.5 };
const COUNT: RepositoryRefusal = { kind: 'count', orphans: 1_234, count: 1_000 };
const NO_DELETES: RepositoryRefusal = {
  kind: 'no-deletes',
  why: 'DELETE answered 405. Switch it on',
};
const NO_RIGHTS: RepositoryRefusal = {
  kind: 'no-rights',
  why: "these credentials can't delete in a",
};

/** As `refusing` makes it: no tag at all is left. */
const why = (
  refusal: RepositoryRefusal,
  of: Circumstances = run([]),
  tags = new Map<string, Digest>(),
) => whyRefused(refusal, { inventory: inventory('a', { tags }) }, of);

describe('a refusal', () => {
  it.each([
    [NO_TAGS, 'no tag is left, and the ledger remembers 1 manifest that tags led to', 'apply-plan'],
    [
      { kind: 'no-tags', remembered: 0 } as const,
      'no tag is left, and the list of tags may be wrong',
      "`max-deletes` doesn't lift this",
    ],
    [SHARE, '1,234 of the 2,000 manifests that are known would be deleted', 'raise `max-deletes`'],
    [SHARE, '`max-deletes` allows 33.5%', 'plan-file'],
    [COUNT, 'in this run: it found 1,234 orphans, and `max-deletes` allows 1,000.', 'apply-plan'],
    [NO_DELETES, 'this registry refuses deletes', 'Switch it on'],
    [NO_RIGHTS, "these credentials can't delete in a", ''],
  ])('says what was found, and what to do: %j', (refusal, found, advice) => {
    expect(why(refusal)).toContain(found);
    expect(why(refusal)).toContain(advice);
  });

  it('says of a brake that nobody asked for that it is the default', () => {
    const maxDeletes = DEFAULT_MAX_DELETES;
    const refusal: RepositoryRefusal = { kind: 'share', orphans: 21, manifests: 41, percent: 50 };
    const made = run([refusing('a', 21, refusal)], { maxDeletes });
    expect(problems(made).map(({ what }) => what)).toEqual([
      'nothing is deleted here: 21 of the 41 manifests that are known would be deleted, more than half, which is the limit ' +
        'unless `max-deletes` says otherwise (repositories where no more than 20 would be deleted are exempt). Check what ' +
        'was found, in the summary or the `report-file`. If it is right, raise `max-deletes` for one run, or let a ' +
        'dry-run write its plan to a `plan-file` and carry that out with `apply-plan` [share-over-limit]',
    ]);
    const given = run([], { maxDeletes: { kind: 'share', percent: 50, exempt: 0 } });
    expect(why(refusal, given)).toContain('would be deleted, and `max-deletes` allows 50%. Check');
    const other = run([], { maxDeletes: { kind: 'share', percent: 12.5, exempt: 3 } });
    expect(why({ ...refusal, percent: 12.5 }, other)).toContain('more than 12.5%, which is');
  });

  it('tells nobody who carries a plan out to carry one out', () => {
    const applied = run([], { applied: { createdAt: 0, ignored: 0 } });
    for (const refusal of [SHARE, COUNT]) {
      expect(why(refusal, applied)).toMatch(
        /If the plan is right, raise `max-deletes`, or leave it out: a plan has no limit unless one is given$/,
      );
      expect(why(refusal, applied)).not.toContain('apply-plan');
    }
  });

  it('tells no dry-run that has just written its plan to write it', () => {
    const planning = run([], { dryRun: true, planFile: 'plan.json' });
    for (const refusal of [NO_TAGS, SHARE, COUNT]) {
      expect(why(refusal, planning)).toContain('`apply-plan`');
      expect(why(refusal, planning)).not.toContain('plan-file');
      expect(why(refusal)).toContain('`plan-file`');
    }
  });

  it('says that tags are left, where those of signatures are', () => {
    const tags = new Map([[`sha256-${'0'.repeat(64)}.sig`, d('signature')]]);
    expect(why(NO_TAGS, run([]), tags)).toContain(
      'nothing is deleted here: no tag is left but those of signatures and the like, and the ledger',
    );
    expect(why(NO_TAGS)).toContain('nothing is deleted here: no tag is left, and the ledger');
  });

  it.each([
    [NO_TAGS, 'no-tag-left'],
    [SHARE, 'share-over-limit'],
    [COUNT, 'count-over-limit'],
  ] as const)('fits an annotation whole: %j, with the code %s', (refusal, code) => {
    const [problem] = problems(run([refusing('a', 1, refusal)]));
    expect(problem?.what).toBe(`${why(refusal)} [${code}]`);
  });

  it.each([NO_TAGS, SHARE, COUNT])(
    'shows the names of inputs as such in Markdown: %j',
    (refusal) => {
      expect(prose(why(refusal))).toContain('`apply-plan`');
      expect(prose(why(refusal))).not.toContain('ˋ');
    },
  );
});

describe('the refusals of a run', () => {
  const all = (refusal: RepositoryRefusal, more = {}) =>
    run(
      ['b', 'a'].map((name) => refusing(name, 2, refusal)),
      more,
    );

  it.each([
    [COUNT, 'count-over-limit'],
    [NO_DELETES, 'deletes-refused'],
  ] as const)('are said once where they are of the whole run: %j, %s', (refusal, code) => {
    expect(problems(all(refusal))).toEqual([
      { kind: 'refused', what: `${why(refusal)} [${code}]` },
    ]);
    expect(refusals(all(refusal, { dryRun: true }))).toHaveLength(1);
  });

  it.each([
    [NO_TAGS, 'no-tag-left'],
    [SHARE, 'share-over-limit'],
  ] as const)('are said of each repository otherwise, by name: %j, %s', (refusal, code) => {
    expect(problems(all(refusal)).map(sentence)).toEqual(
      ['a', 'b'].map((name) => `${name}: ${why(refusal)} [${code}]`),
    );
  });

  it('name a repository once, where the reason does so', () => {
    const rights = ['a', 'b'].map((name) =>
      refusing(name, 1, { kind: 'no-rights', why: `these credentials can't delete in ${name}` }),
    );
    expect(refusals(run(rights, { dryRun: true })).map(sentence)).toEqual([
      "these credentials can't delete in a [delete-right-missing]",
      "these credentials can't delete in b [delete-right-missing]",
    ]);
  });

  it('are all said when they are of different kinds', () => {
    const made = run([refusing('a', 1, NO_TAGS), refusing('b', 1, COUNT), refusing('c', 1, COUNT)]);
    expect(problems(made).map(({ repository }) => repository)).toEqual(['a', undefined]);
  });

  it('make a real run red, and count as failed', () => {
    expect(problems(guardedRun()).map(({ kind }) => kind)).toEqual([
      'restored',
      'run',
      'run',
      'refused',
      'refused',
    ]);
    expect(totals(guardedRun())).toMatchObject({
      orphansFound: 11,
      deleted: 5,
      restored: 1,
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
    const said = 'a\r\n::error::x\u2028\u001b[2J';
    for (const kind of ['no-deletes', 'no-rights'] as const) {
      const made = run([refusing('a', 1, { kind, why: said })]);
      const [one] = [...problems(made), ...refusals(made)].map(({ what }) => what);
      expect(one).toContain(': :error: :x');
      expect(one).not.toMatch(/[\p{Cc}\p{Zl}]/u);
    }
  });
});
