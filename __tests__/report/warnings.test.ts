import { describe, expect, it } from '@jest/globals';

import type { Fate } from '../../src/plan/fate.js';
import type { Run } from '../../src/run/run.js';
import { quotaWarnings, repositoryWarnings } from '../../src/report/warnings.js';
import {
  cleanRun,
  d,
  everyEnd,
  HOUR,
  inventory,
  NOW,
  orphan,
  outcome,
  plan,
  quotaRun,
  run,
} from '../support/builders/examples.js';

function ended(name: string, fates: readonly Fate[]): Run['repositories'][number] {
  const names = fates.map((_, at) => `${name} ${String(at)}`);
  return {
    inventory: inventory(name),
    plan: plan(name, { orphans: names.map((each) => orphan(each)) }),
    ...outcome(),
    fates: new Map(fates.map((fate, at) => [d(names[at] ?? ''), fate])),
    warnings: [],
  };
}

const until = (time: number): Fate => ({ kind: 'postponed', until: time });

describe('the warning of a used-up quota', () => {
  it('is one for the run, and says how many are left, until when, and what to do', () => {
    expect(quotaWarnings(quotaRun())).toEqual([
      "2 orphans are left: GHCR's quota of requests is used up until 03:30 UTC. Run this again after that: it goes on " +
        'where this run stopped [quota-used-up]',
    ]);
  });

  it('tells the latest of several ends, in the minute in which it has passed', () => {
    const repositories = [
      ended('a', [until(NOW + HOUR + 1), until(NOW)]),
      ended('b', [until(NOW + 5), { kind: 'deleted' }]),
    ];
    const [warning] = quotaWarnings(run(repositories));
    expect(warning).toMatch(/^3 orphans are left: Distribution's quota .* until 04:01 UTC\./);
  });

  it('speaks of one orphan as one', () => {
    expect(quotaWarnings(run([ended('a', [until(NOW)])]))).toEqual([
      expect.stringMatching(/^1 orphan is left: /),
    ]);
  });

  it('is none where the quota was enough, and one for any number of orphans', () => {
    expect(quotaWarnings(cleanRun())).toEqual([]);
    const many = Array.from({ length: 3_000 }, () => until(NOW));
    expect(quotaWarnings(run([ended('a', many)]))).toHaveLength(1);
  });
});

describe('the warnings of what no run can delete', () => {
  it('are one for each, with repository, digest, reason and advice, and a single code', () => {
    expect(quotaRun().repositories.flatMap(repositoryWarnings)).toEqual([
      `acme/web@${d('old index')} can't be deleted: GHCR refuses to delete version 101 of acme/web: it is the last ` +
        'tagged version of the package. Delete the package in its settings [undeletable]',
    ]);
    const two = ['one', 'two'].map((why): Fate => ({ kind: 'undeletable', why }));
    expect(repositoryWarnings(ended('a', two))).toEqual([
      `a@${d('a 0')} can't be deleted: one [undeletable]`,
      `a@${d('a 1')} can't be deleted: two [undeletable]`,
    ]);
  });

  it('are none where all could be deleted, or failed', () => {
    expect(repositoryWarnings(everyEnd)).toEqual([]);
  });

  it('are single lines of bounded length', () => {
    const why = `::error::\r\n\u001b[2J${'y'.repeat(5_000)}`;
    const [warning = ''] = repositoryWarnings(ended('a', [{ kind: 'undeletable', why }]));
    expect(warning).toHaveLength(1_000);
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    expect(warning).not.toMatch(/[\u0000-\u001f]|^::|\n::/);
    expect(warning).toMatch(/… \[undeletable\]$/);
  });
});
