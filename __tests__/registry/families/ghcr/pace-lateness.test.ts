/** What the pace of deletes does with a delete whose time is over before its turn comes. */
import { expect, it } from '@jest/globals';

import { fakeClock } from '../../../support/scenes/fake-clock.js';
import { Pace } from '../../../../src/registry/families/ghcr/pace.js';

it('ends a wait soon after it is in vain, so that the recheck begins on time', async () => {
  const clock = fakeClock({ auto: true }, 0);
  const pace = new Pace(clock);
  let sent = 0;
  const send = async (until: number): Promise<void> => {
    const isLate = () => clock.now() >= until;
    await pace.turn(isLate);
    sent += isLate() ? 0 : 1;
  };
  // As many as a minute takes, and more that wait for the next minute.
  await Promise.all(Array.from({ length: 200 }, () => send(55_000)));
  expect(sent).toBeLessThan(200);
  expect(clock.now()).toBeGreaterThanOrEqual(55_000);
  expect(clock.now()).toBeLessThan(55_500);
});
