/** The result of a restore in which nothing happened, but for the lists that a test gives. */
import type { Restored } from '../../../src/run/restore-repository.js';

export function restored(repository: string, more: Partial<Restored> = {}): Restored {
  return {
    repository,
    restored: [],
    byServer: [],
    standing: [],
    failed: [],
    tags: [],
    failedTags: [],
    ...more,
  };
}
