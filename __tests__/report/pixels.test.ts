/** How long a summary is on GitHub's page, measured by the program that takes its pictures. */
import { describe, expect, it } from '@jest/globals';

import { CASES, HUGE, LONG } from '../../scripts/screenshots/cases.js';
import { findChromium, look } from '../../scripts/screenshots/page.js';

/** Of a run's page on GitHub. */
const WIDTH = 1_012;
const MOST_LINES = 2;
const TIME = 120_000;

const chromium = await findChromium();
// Where everything is checked, a missing program must not pass for a good result.
const isNeeded = process.env['CI'] === 'true';
const measuring = chromium !== undefined || isNeeded ? it : it.skip;

function measured(markdown: string) {
  return look(chromium ?? 'chromium', markdown, WIDTH);
}

describe('a summary on a page of 1,012 pixels', () => {
  measuring.each(Object.entries(LONG))(
    '%s is less than 3,500 pixels long',
    async (_, markdown) => {
      const { height, lines, tallest } = await measured(markdown);
      expect(height).toBeLessThan(3_500);
      expect({ lines: Math.max(lines, MOST_LINES), tallest }).toEqual({
        lines: MOST_LINES,
        tallest,
      });
    },
    TIME,
  );

  measuring.each(Object.entries(HUGE))(
    '%s is less than 2,500 pixels long',
    async (_, markdown) => {
      expect((await measured(markdown)).height).toBeLessThan(2_500);
    },
    TIME,
  );

  measuring.each(Object.entries(CASES))(
    'of the case %s has no row of more than two lines',
    async (_, markdown) => {
      const { lines, tallest } = await measured(markdown);
      expect({ lines: Math.max(lines, MOST_LINES), tallest }).toEqual({
        lines: MOST_LINES,
        tallest,
      });
    },
    TIME,
  );
});
