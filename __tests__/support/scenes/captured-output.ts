/**
 * Takes what the program prints out of the test's own output, and gives it back to who asks. The real
 * log is used, since what the runner sees is what counts.
 */
import { afterEach, beforeEach } from '@jest/globals';

let lines: string[] = [];

/** Everything printed since the test began, or since the last call. */
export function printed(): string {
  const text = lines.join('');
  lines = [];
  return text;
}

/** For the tests of a file: standard output is caught during each. */
export function silence(): void {
  const write = process.stdout.write.bind(process.stdout);
  beforeEach(() => {
    lines = [];
    process.stdout.write = (chunk: string | Uint8Array) => {
      lines.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
      return true;
    };
  });
  afterEach(() => {
    process.stdout.write = write;
    lines = [];
  });
}
