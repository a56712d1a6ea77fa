/**
 * Tests that need a real program: skipped where there is none, under a title that `reporter.js` recognises
 * to say so at the end of the run.
 */
import { describe } from '@jest/globals';

export type Program =
  | 'docker-registry'
  | 'distribution-3'
  | 'olareg'
  | 'gitea'
  | 'pulp'
  | 'skopeo'
  | 'gcrane'
  | 'attach'
  | 'node24'
  | 'chromium';

/** `found` is what the search for the program gave; undefined skips the tests. */
export function describeWith(
  program: Program,
  found: unknown,
  title: string,
  tests: () => void,
): void {
  (found === undefined ? describe.skip : describe)(`${title} (needs ${program})`, tests);
}
