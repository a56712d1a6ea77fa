/**
 * Tests that need a real program: skipped where there is none, under a title that `reporter.js` recognises
 * to say so at the end of the run.
 */
import { describe } from '@jest/globals';

/** `found` is what the search for the program gave; undefined skips the tests. */
export function describeWith(
  program:
    | 'docker-registry'
    | 'distribution-3'
    | 'olareg'
    | 'skopeo'
    | 'gcrane'
    | 'attach'
    | 'node24'
    | 'chromium',
  found: unknown,
  title: string,
  tests: () => void,
): void {
  (found === undefined ? describe.skip : describe)(`${title} (needs ${program})`, tests);
}
