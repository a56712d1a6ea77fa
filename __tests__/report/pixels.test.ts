/** How long a summary is on GitHub's page, measured by the program that takes its pictures. */
import { beforeAll, describe, expect, it } from '@jest/globals';

import { CASES, HUGE, LONG } from '../../scripts/screenshots/cases.js';
import { findChromium, measure, type Measured } from '../../scripts/screenshots/page.js';

/** Of a run's page on GitHub. */
const WIDTH = 1_012;
const MOST_LINES = 2;
const TIME = 120_000;

const chromium = await findChromium();
// Where everything is checked, a missing program must not pass for a good result.
const isNeeded = process.env['CI'] === 'true';
const describeMeasured = chromium !== undefined || isNeeded ? describe : describe.skip;

describeMeasured('a summary on a page of 1,012 pixels', () => {
  let measured: ReadonlyMap<string, Measured>;

  beforeAll(async () => {
    const summaries = Object.values({ ...LONG, ...HUGE, ...CASES });
    const found = await measure(chromium ?? 'chromium', summaries, WIDTH);
    measured = new Map(found.map((one, at) => [summaries[at] ?? '', one]));
  }, TIME);

  const expectShortRows = (markdown: string) => {
    const { lines, tallest } = measured.get(markdown) ?? {};
    // The text of the row is there to be read where the test fails.
    expect({ lines: Math.max(lines ?? Infinity, MOST_LINES), tallest }).toEqual({
      lines: MOST_LINES,
      tallest,
    });
  };

  it.each(Object.entries(LONG))('%s is less than 3,500 pixels long', (_, markdown) => {
    expect(measured.get(markdown)?.height).toBeLessThan(3_500);
    expectShortRows(markdown);
  });

  it.each(Object.entries(HUGE))('%s is less than 2,500 pixels long', (_, markdown) => {
    expect(measured.get(markdown)?.height).toBeLessThan(2_500);
  });

  it.each(Object.entries(CASES))(
    'of the case %s has no row of more than two lines',
    (_, markdown) => {
      expectShortRows(markdown);
    },
  );
});
