/**
 * Takes pictures of job summaries, as GitHub shows them on a wide page and on a phone. Those of the docs are written
 * to docs/images; with a directory as argument, all are written there.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { CASES } from './screenshots/cases.js';
import { findChromium, measure, takePicture } from './screenshots/page.js';

/** The width of a run's page on GitHub, and that of a phone. */
const WIDTHS = [1_012, 390];
const IN_DOCS = new Set(['dry-run', 'refused', 'first-run', '2000-orphans']);
/** The docs show how a summary begins. */
const DOCS_HEIGHT = 1_000;

const [, , elsewhere] = process.argv;
const directory = elsewhere ?? path.join(import.meta.dirname, '..', 'docs', 'images');
const chromium = await findChromium();
if (chromium === undefined) {
  throw new Error('Chromium is missing: install it, on Debian with `apt-get install chromium`');
}
await mkdir(directory, { recursive: true });
for (const [at, width] of WIDTHS.entries()) {
  const measured = await measure(chromium, Object.values(CASES), width);
  for (const [index, [name, markdown]] of Object.entries(CASES).entries()) {
    const { height = 0, lines = 0 } = measured[index] ?? {};
    process.stdout.write(
      `${name} at ${String(width)}: ${String(height)} pixels, rows of at most ${String(lines)} lines\n`,
    );
    if (elsewhere !== undefined || (at === 0 && IN_DOCS.has(name))) {
      const suffix = at === 0 ? '' : `-${String(width)}`;
      const file = path.join(directory, `summary-${name}${suffix}.png`);
      const shown = elsewhere === undefined ? Math.min(height, DOCS_HEIGHT) : height;
      await takePicture(chromium, markdown, width, shown, file);
    }
  }
}
