import { describe, expect, it } from '@jest/globals';

import { codeIn } from '../../src/text/code.js';
import { problems, sentence } from '../../src/report/problems.js';
import { totals } from '../../src/report/totals.js';
import {
  cleanRun,
  d,
  everyEnd,
  inventory,
  outcome,
  plan,
  quotaRun,
  run,
  troubledRun,
} from '../support/builders/examples.js';

describe('problems', () => {
  it('are none in a clean run', () => {
    expect(problems(cleanRun())).toEqual([]);
  });

  it('are none where the registry refuses a manifest for good, or its quota ends the run', () => {
    expect(problems(quotaRun())).toEqual([]);
  });

  it('come worst first', () => {
    expect(problems(troubledRun()).map(({ kind }) => kind)).toEqual([
      'broken',
      'run',
      'gap',
      'gap',
      'delete',
    ]);
  });

  it('say what to do about an image that broke, however long the reason is', () => {
    const broken = [{ what: 'tag v1', why: 'x'.repeat(1_000) }];
    const [problem] = problems(run([{ ...everyEnd, ...outcome({ broken }) }]));
    expect(problem?.what).toHaveLength(500);
    expect(codeIn(problem?.what ?? '')).toBe('image-broken');
    expect(problem?.what).toMatch(
      /Before the registry collects its garbage, push that image again, or run with `restore-from`/,
    );
  });

  it('tell what earlier runs had deleted: what was restored, and what could not be', () => {
    const repair = {
      restored: [d('restored')],
      failed: [{ digest: d('lost'), why: 'answered 403.' }],
      failedTags: [{ tag: 'sha256-0.sig', why: 'answered 403.' }],
    };
    const damaged = {
      inventory: inventory('a'),
      plan: plan('a'),
      ...outcome(),
      repair,
      warnings: [],
    };
    const after = 'was needed and gone: an earlier run deleted it, or was about to. ';
    const [lost, tag, restored, ...rest] = problems(run([damaged])).map(sentence);
    expect(lost).toBe(
      `a: manifest ${d('lost')} is needed and gone: an earlier run deleted it, or was about to. Push that image again, ` +
        "since it can't be restored from the ledger: answered 403. [ledger-restore-failed]",
    );
    expect(tag).toMatch(
      /^a: tag sha256-0\.sig is needed and gone: .*: answered 403\. \[ledger-restore-failed\]$/,
    );
    expect(restored).toBe(
      `a: ${d('restored').slice(0, 19)} ${after}It was restored from the ledger. Give pushes and this clean-up the ` +
        'same `concurrency:` group [restored-from-ledger]',
    );
    expect(rest).toEqual([]);
    expect(totals(run([damaged])).broken).toBe(2);
    expect(problems(run([damaged], { dryRun: true })).map(({ what }) => what)).toContain(
      `${d('restored').slice(0, 19)} ${after}A real run restores it from the ledger [restored-from-ledger]`,
    );
  });

  it('count what was not tried by its cause', () => {
    expect(problems(run([everyEnd])).map(sentence)).toEqual([
      'a: tag v1 no longer resolves after the clean-up. Before the registry collects its garbage, push that image again, or run with `restore-from` the backup. Cause: answered 404. [image-broken]',
      `a: ${d('failed').slice(0, 19)} couldn't be deleted: answered 500. [delete-failed]`,
      'a: 2 orphans not deleted (called off) [delete-not-tried]',
      'a: 1 orphan not deleted (the run ended before its turn came) [delete-not-tried]',
    ]);
  });

  it('are single lines of bounded length', () => {
    const failures = [`::error::\r\n::add-mask::x\u001b[2J${'y'.repeat(5_000)}`];
    const [problem] = problems(run([], { failures }));
    expect(problem?.what).toHaveLength(500);
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    expect(problem?.what).not.toMatch(/[\u0000-\u001f]/);
  });
});
