/**
 * Takes pictures of job summaries, as GitHub shows them on a wide page and on a phone. Those of the docs are written
 * to docs/images; with a directory as argument, all are written there.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { CASES } from './screenshots/cases.js';
import { findChromium, look } from './screenshots/page.js';

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
for (const [name, markdown] of Object.entries(CASES)) {
  for (const [at, width] of WIDTHS.entries()) {
    const suffix = at === 0 ? '' : `-${String(width)}`;
    const isShown = elsewhere !== undefined || (at === 0 && IN_DOCS.has(name));
    const picture = {
      file: path.join(directory, `summary-${name}${suffix}.png`),
      mostHeight: elsewhere === undefined ? DOCS_HEIGHT : Infinity,
    };
    const { height, lines } = await look(chromium, markdown, width, isShown ? picture : undefined);
    process.stdout.write(
      `${name} at ${String(width)}: ${String(height)} pixels, rows of at most ${String(lines)} lines\n`,
    );
  }
}
