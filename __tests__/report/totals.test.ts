import { describe, expect, it } from '@jest/globals';

import { totals } from '../../src/report/totals.js';
import { everyEnd, quotaRun, run } from '../support/builders/examples.js';

describe('totals', () => {
  it('counts every end once', () => {
    expect(totals(run([everyEnd]))).toMatchObject({
      repositories: 1,
      repositoriesFreed: 1,
      tags: 1,
      manifests: 8,
      orphansFound: 7,
      deleted: 1,
      planned: 0,
      gone: 1,
      keptAfterRecheck: 1,
      failed: 4,
      broken: 1,
      kept: 2,
      gaps: 0,
      freedBytes: 2_000,
      freedBytesAtMost: false,
    });
  });

  it('counts what no run can delete and what is left for a later run apart from failures', () => {
    expect(totals(quotaRun())).toMatchObject({
      orphansFound: 8,
      deleted: 2,
      undeletable: 1,
      keptAfterRecheck: 3,
      keptWithUndeletable: 3,
      postponed: 2,
      failed: 0,
      kept: 7,
      // The layers of what stays are not freed.
      freedBytes: 150_004_240,
    });
    expect(totals(run([everyEnd]))).toMatchObject({
      undeletable: 0,
      keptWithUndeletable: 0,
      postponed: 0,
    });
  });

  it('deletes nothing in a dry-run', () => {
    expect(totals(run([everyEnd], { dryRun: true }))).toMatchObject({
      deleted: 0,
      planned: 7,
      failed: 0,
      kept: 1,
    });
  });
});
