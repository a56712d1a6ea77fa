/** The files that a server leaves behind when it could not start. */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * @param fail tries to start it, with a directory of its own for temporary files
 * @returns the names of what is in that directory afterwards
 */
export async function leftovers(fail: () => Promise<unknown>): Promise<readonly string[]> {
  const place = mkdtempSync(path.join(tmpdir(), 'unstarted-'));
  // PostgreSQL runs as another user where this is root.
  chmodSync(place, 0o755);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = place;
  try {
    await fail();
    return readdirSync(place);
  } finally {
    if (before === undefined) {
      delete process.env['TMPDIR'];
    } else {
      process.env['TMPDIR'] = before;
    }
    rmSync(place, { recursive: true, force: true });
  }
}
