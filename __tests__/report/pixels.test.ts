/** How long a summary is on GitHub's page, measured by the program that takes its pictures. */
import { beforeAll, expect, it } from '@jest/globals';

import { CASES, HUGE, LONG } from '../../scripts/screenshots/cases.js';
import { findChromium, measure, type Measured } from '../../scripts/screenshots/page.js';
import { describeWith } from '../support/servers/describe-with.js';

/** Of a run's page on GitHub. */
const WIDTH = 1_012;
const MOST_LINES = 2;
const TIME = 120_000;

// Where everything is checked, a missing program must not pass for a good result.
const chromium = (await findChromium()) ?? (process.env['CI'] === 'true' ? 'chromium' : undefined);

describeWith('chromium', chromium, 'a summary on a page of 1,012 pixels', () => {
  let measured: ReadonlyMap<string, Measured>;

  beforeAll(async () => {
    const summaries = Object.values({ ...LONG, ...HUGE, ...CASES });
    const found = await measure(chromium ?? '', summaries, WIDTH);
    measured = new Map(found.map((one, at) => [summaries[at] ?? '', one]));
  }, TIME);

  const lookAt = (markdown: string): Measured => {
    const found = measured.get(markdown);
    if (found === undefined) {
      throw new Error('this summary was not measured');
    }
    return found;
  };

  /** The text of a row that is too tall. */
  const tallRow = (markdown: string) => {
    const { lines, tallest } = lookAt(markdown);
    return lines > MOST_LINES ? tallest : undefined;
  };

  it.each(Object.entries(LONG))('%s is less than 3,500 pixels long', (_, markdown) => {
    expect(lookAt(markdown).height).toBeLessThan(3_500);
    expect(tallRow(markdown)).toBeUndefined();
  });

  it.each(Object.entries(HUGE))('%s is less than 2,500 pixels long', (_, markdown) => {
    expect(lookAt(markdown).height).toBeLessThan(2_500);
  });

  it.each(Object.entries(CASES))(
    'of the case %s has no row of more than two lines',
    (_, markdown) => {
      expect(tallRow(markdown)).toBeUndefined();
    },
  );
});
