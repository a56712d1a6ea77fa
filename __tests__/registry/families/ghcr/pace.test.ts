/** The pace of deletes: as fast as GitHub's secondary limits allow, and slower when it says so. */
import { describe, expect, it } from '@jest/globals';

import { image } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import { fakeClock } from '../../../support/scenes/fake-clock.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  REPOSITORY,
  standing,
  startScene,
  unhurried,
} from '../../../support/scenes/ghcr.js';
import { BURST, Pace } from '../../../../src/registry/families/ghcr/pace.js';
import { PERSONAL_TOKEN, type GhcrOptions } from '../../../support/servers/ghcr/options.js';

const MINUTE = 60_000;
const kept = image('kept');
const orphans = Array.from({ length: 600 }, (_, n) => image(`orphan ${String(n)}`));

async function filled(count: number, options: GhcrOptions = {}) {
  const ghcr = await startScene(options);
  seed(ghcr.state, REPOSITORY, kept, 'v1');
  orphans.slice(0, count).forEach((orphan) => seed(ghcr.state, REPOSITORY, orphan));
  /** when each DELETE arrived */
  const times: number[] = [];
  ghcr.apiIntercept(({ route }) => {
    if (route?.kind === 'delete') {
      times.push(ghcr.clock.now());
    }
    return undefined;
  });
  return { ghcr, times };
}

/** The most of these times in any minute. */
function mostInAMinute(times: readonly number[]): number {
  return Math.max(
    0,
    ...times.map((start) => times.filter((time) => time >= start && time < start + MINUTE).length),
  );
}

describe('The deletes of a long run', () => {
  it.each([1, 64])(
    'are at least 170 a minute, and never more than GitHub allows, at a concurrency of %d',
    async (concurrency) => {
      const { ghcr, times } = await filled(600);
      const { complaints } = await cleanScene(ghcr, {
        githubToken: PERSONAL_TOKEN,
        concurrency,
        clock: unhurried(ghcr),
      });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(digestsOf(kept));
      expect(times).toHaveLength(600);
      const minutes = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / MINUTE;
      expect(599 / minutes).toBeGreaterThanOrEqual(170);
      expect(mostInAMinute(times)).toBeLessThanOrEqual(180);
      expect(ghcr.apiRequests.filter(({ status }) => status >= 400)).toEqual([]);
    },
  );

  it('share one pace between repositories', async () => {
    const { ghcr, times } = await filled(200);
    seed(ghcr.state, 'acme/web', kept, 'v1');
    orphans.slice(200, 400).forEach((orphan) => seed(ghcr.state, 'acme/web', orphan));
    const { complaints } = await cleanScene(ghcr, {
      githubToken: PERSONAL_TOKEN,
      repositories: [REPOSITORY, 'acme/web'],
      concurrency: 8,
      clock: unhurried(ghcr),
    });
    expect(complaints).toEqual([]);
    expect(times).toHaveLength(400);
    expect(mostInAMinute(times)).toBeLessThanOrEqual(180);
    expect(ghcr.apiRequests.filter(({ status }) => status >= 400)).toEqual([]);
  });
});

describe('A secondary limit', () => {
  it.each([
    [403, true],
    [403, false],
    [429, true],
    [429, false],
  ] as const)(
    'of the status %d (with `retry-after`: %p) slows the run down, which ends green',
    async (secondaryStatus, secondaryRetryAfter) => {
      const { ghcr } = await filled(120, { assume: { secondaryStatus, secondaryRetryAfter } });
      // Somebody else spends most of what is allowed: the deletes of this run meet the limit.
      let deletes = 0;
      ghcr.apiIntercept(async ({ route, headers }) => {
        deletes += route?.kind === 'delete' ? 1 : 0;
        if (route?.kind === 'delete' && deletes === 10) {
          const id = ghcr.versions(REPOSITORY).at(-1)?.id ?? 0;
          const url = `${ghcr.api}/orgs/acme/packages/container/elsewhere/versions/${String(id)}`;
          const authorization = headers.authorization ?? '';
          for (let n = 0; n < 172; n += 1) {
            await fetch(url, { method: 'DELETE', headers: { authorization } });
          }
        }
        return undefined;
      });
      const { complaints } = await cleanScene(ghcr, { githubToken: PERSONAL_TOKEN });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(digestsOf(kept));
      const refused = ghcr.apiRequests.filter(({ status }) => status === secondaryStatus);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThan(15);
    },
  );
});

describe('The pace', () => {
  it('lets nobody wait who is too late, and counts nothing for him', async () => {
    const clock = fakeClock({ auto: true });
    const pace = new Pace(clock);
    for (let n = 0; n < BURST; n += 1) {
      await pace.turn();
    }
    await pace.turn(() => true);
    expect(clock.slept).toEqual([]);
    let isLate = false;
    await Promise.all([pace.turn(() => isLate), pace.turn().then(() => (isLate = true))]);
    expect(clock.slept).toEqual([310, 310]);
  });

  it('keeps 173 in a minute', async () => {
    const clock = fakeClock({ auto: true }, 0);
    const pace = new Pace(clock);
    const times: number[] = [];
    for (let n = 0; n < 347; n += 1) {
      await pace.turn();
      times.push(clock.now());
    }
    expect(times.filter((time) => time === 0)).toHaveLength(BURST);
    expect(times[172]).toBe((173 - BURST) * 310);
    expect(times[173]).toBe(MINUTE);
    expect(mostInAMinute(times)).toBe(173);
  });
});

describe('The first deletes of a run', () => {
  it('are sent without a pause, and the limit holds if they arrive two seconds late', async () => {
    const clock = fakeClock({ auto: true }, 0);
    const pace = new Pace(clock);
    const arrivals: number[] = [];
    for (let n = 0; n < 400; n += 1) {
      await pace.turn();
      arrivals.push(Math.max(clock.now(), 2000));
    }
    expect(arrivals[BURST - 1]).toBe(2000);
    expect(mostInAMinute(arrivals)).toBeLessThanOrEqual(180);
  });
});

describe('A run that is told nothing', () => {
  it('sends a DELETE for each orphan once', async () => {
    const { ghcr } = await filled(100);
    await cleanScene(ghcr);
    expect(new Set(deletesAt(ghcr)).size).toBe(100);
    expect(deletesAt(ghcr)).toHaveLength(100);
  });
});
