import { describe, expect, it } from '@jest/globals';

import { totals } from '../../src/report/totals.js';
import { everyEnd, run } from '../support/builders/examples.js';

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

  it('deletes nothing in a dry-run', () => {
    expect(totals(run([everyEnd], { dryRun: true }))).toMatchObject({
      deleted: 0,
      planned: 7,
      failed: 0,
      kept: 1,
    });
  });
});
