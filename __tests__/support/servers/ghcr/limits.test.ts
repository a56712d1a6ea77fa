/** The limits of the simulated GHCR, on a clock that the tests set. */
import { request } from 'node:http';

import { describe, expect, it } from '@jest/globals';

import { image } from '../../builders/build.js';
import { seed } from '../../clients/push.js';
import { stopAfterTest } from '../stop-after-test.js';
import { errorOf, failureOf, octokitOf, read } from './client.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN, type GhcrOptions } from './options.js';

const START = Date.parse('2026-01-01T00:00:00Z');
const LIST = '/orgs/team/packages/container/app/versions';

interface Scene {
  readonly ghcr: Ghcr;
  /** moves the clock, in milliseconds */
  readonly wait: (time: number) => void;
}

async function start(options: GhcrOptions = {}): Promise<Scene> {
  let now = START;
  const ghcr = stopAfterTest(await startGhcr({ now: () => now, ...options }));
  seed(ghcr.state, 'team/app', image('one'));
  return { ghcr, wait: (time) => (now += time) };
}

function ask(ghcr: Ghcr, path = LIST, method = 'GET', token = JOB_TOKEN): Promise<Response> {
  return fetch(ghcr.api + path, { method, headers: { authorization: `Bearer ${token}` } });
}

function quotaOf({ headers }: Response): unknown[] {
  return ['limit', 'remaining', 'used', 'reset'].map((name) =>
    Number(headers.get(`x-ratelimit-${name}`)),
  );
}

describe('The primary limit', () => {
  it('comes with every answer, and begins again after an hour', async () => {
    const { ghcr, wait } = await start();
    const reset = START / 1000 + 3600;
    expect(quotaOf(await ask(ghcr))).toEqual([1000, 999, 1, reset]);
    expect(quotaOf(await ask(ghcr, LIST, 'GET', PERSONAL_TOKEN))).toEqual([5000, 4999, 1, reset]);
    expect(quotaOf(await ask(ghcr, '/users/nobody'))).toEqual([1000, 998, 2, reset]);
    wait(60 * 60_000);
    expect(quotaOf(await ask(ghcr))).toEqual([1000, 999, 1, reset + 3600]);
  });

  it.each([403, 429] as const)('refuses with %i once it is used up', async (primaryStatus) => {
    const { ghcr, wait } = await start({ assume: { primaryStatus } });
    ghcr.quota.set({ remaining: 1, reset: START + 60_000 });
    expect((await ask(ghcr)).status).toBe(200);
    const refused = await ask(ghcr);
    expect([refused.status, ...quotaOf(refused).slice(1, 2)]).toEqual([primaryStatus, 0]);
    expect(await refused.json()).toMatchObject({
      message: expect.stringContaining('API rate limit exceeded'),
    });
    expect((await ask(ghcr, LIST, 'GET', PERSONAL_TOKEN)).status).toBe(200);
    expect(ghcr.quota.get()).toEqual({ limit: 1000, remaining: 0, reset: START + 60_000 });
    wait(60_000);
    expect((await ask(ghcr)).status).toBe(200);
    expect(ghcr.quota.get(PERSONAL_TOKEN).remaining).toBe(4999);
  });

  it('costs nothing to ask for', async () => {
    const { ghcr } = await start();
    const { data } = await octokitOf(ghcr, JOB_TOKEN).rest.rateLimit.get();
    expect(data.rate).toEqual({
      limit: 1000,
      remaining: 1000,
      used: 0,
      reset: START / 1000 + 3600,
    });
    expect(ghcr.quota.get().remaining).toBe(1000);
  });
});

describe('The secondary limit', () => {
  it('allows an endpoint 900 points in any minute, and a write takes five', async () => {
    const { ghcr, wait } = await start();
    const path = (n: number) => `${LIST}/${String(n)}`;
    for (let n = 0; n < 180; n += 1) {
      wait(100);
      expect((await ask(ghcr, path(n), 'DELETE')).status).toBe(404);
    }
    const refused = await ask(ghcr, path(180), 'DELETE');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([403, '43']);
    expect(await refused.json()).toMatchObject({
      message: expect.stringMatching(/^You have exceeded a secondary rate limit/),
    });
    expect((await ask(ghcr)).status).toBe(200);
    wait(42_100);
    expect((await ask(ghcr, path(180), 'DELETE')).status).toBe(404);
    expect((await ask(ghcr, path(181), 'DELETE')).status).toBe(403);
  });

  it('counts an organization by its name and by its id together', async () => {
    const { ghcr } = await start();
    const byId = LIST.replace('orgs/team', 'organizations/1000');
    const remove = async (path: string) => (await ask(ghcr, `${path}/1`, 'DELETE')).status;
    for (let n = 0; n < 180; n += 1) {
      await remove(n % 2 === 0 ? LIST : byId);
    }
    expect([await remove(LIST), await remove(byId)]).toEqual([403, 403]);
  });

  it.each([403, 429] as const)(
    'answers with %i, and without a time where it is set so',
    async (status) => {
      const { ghcr } = await start({
        assume: { secondaryStatus: status, secondaryRetryAfter: false },
      });
      for (let n = 0; n < 180; n += 1) {
        await ask(ghcr, `${LIST}/1`, 'DELETE');
      }
      const refused = await ask(ghcr, `${LIST}/1`, 'DELETE');
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([status, null]);
    },
  );

  it('takes a hundred requests at the same time', async () => {
    const { ghcr } = await start();
    let arrived = 0;
    let release = (): void => undefined;
    const all = new Promise<void>((resolve) => (release = resolve));
    ghcr.apiIntercept(async () => {
      arrived += 1;
      if (arrived === 101) {
        release();
      }
      await all;
      return undefined;
    });
    const answers = await Promise.all(Array.from({ length: 101 }, () => ask(ghcr)));
    const statuses = answers.map(({ status }) => status).sort();
    expect([statuses[99], statuses[100]]).toEqual([200, 403]);
  });
});

describe("The registry's limit", () => {
  it('tells only in its message how long to wait', async () => {
    const { ghcr, wait } = await start({ registryLimits: { reads: 2, writes: 2000 } });
    expect((await read(ghcr, 'team/app', 'tags/list')).status).toBe(200);
    expect((await read(ghcr, 'team/app', 'tags/list')).status).toBe(200);
    const refused = await read(ghcr, 'team/app', 'tags/list');
    expect(refused.headers.get('retry-after')).toBeNull();
    expect(await errorOf(refused)).toEqual([
      429,
      'TOOMANYREQUESTS',
      'retry-after: 30000.000000ms, allowed: 2/minute',
    ]);
    wait(30_000);
    expect((await read(ghcr, 'team/app', 'tags/list')).status).toBe(200);
  });
});

describe('The API', () => {
  it('refuses a request without a user agent', async () => {
    const { ghcr } = await start();
    const status = await new Promise((resolve) => {
      request(`${ghcr.api}/users/team`, ({ statusCode }) => resolve(statusCode)).end();
    });
    expect(status).toBe(403);
    expect(await failureOf(octokitOf(ghcr).rest.users.getByUsername({ username: 'team' }))).toEqual(
      [],
    );
  });
});
