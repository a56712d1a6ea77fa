/** Both servers of the simulated GHCR in trouble, late, on TLS, and below a path. */
import { describe, expect, it, jest } from '@jest/globals';

import { image } from '../../builders/build.js';
import { seed, send } from '../../clients/push.js';
import { createAuthority } from '../certificate.js';
import type { Action } from '../memory/script.js';
import { failureOf, NAME, PACKAGE, read, startScene as start } from './client.js';
import { deletesAnswer500, readsAnswer429, wrongBody } from './faults.js';
import { JOB_TOKEN } from './options.js';

const [one, two] = [image('one'), image('two')];
const LIST = '/orgs/team/packages/container/app/versions';
const TIMERS = [
  'Date',
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
] as const;
const headers = { authorization: `Bearer ${JOB_TOKEN}` };

describe('The API', () => {
  it.each<[Action, string]>([
    [{ kind: 'reset' }, 'failed'],
    [{ kind: 'truncate' }, 'failed'],
    [{ kind: 'html' }, '200 <!DOCTYPE'],
    [{ kind: 'answer', status: 503, body: 'Unicorn!' }, '503 Unicorn!'],
  ])('does what a script says: %j', async (action, expected) => {
    const { ghcr } = await start();
    seed(ghcr.state, NAME, one);
    ghcr.apiIntercept(({ route, n }) =>
      route?.kind === 'versions' && n === 1 ? action : undefined,
    );
    const ask = async () => {
      const answer = await fetch(ghcr.api + LIST, { headers });
      return `${String(answer.status)} ${await answer.text()}`;
    };
    expect(await ask().catch(() => 'failed')).toMatch(new RegExp(`^${expected}`));
    expect(await ask()).toContain(one.digest);
    expect(ghcr.apiRequests.map(({ url }) => url)).toEqual([LIST, LIST]);
  });

  it('loses the answer to a delete that it carried out', async () => {
    const { ghcr } = await start();
    seed(ghcr.state, NAME, one);
    seed(ghcr.state, NAME, two);
    ghcr.apiIntercept(() => ({ kind: 'lose' }));
    const [first] = ghcr.versions(NAME);
    const path = `${LIST}/${String(first?.id)}`;
    await expect(fetch(ghcr.api + path, { method: 'DELETE', headers })).rejects.toThrow();
    expect(ghcr.apiRequests).toEqual([{ method: 'DELETE', url: path, status: 0 }]);
    expect([...(ghcr.state.repositories.get(NAME)?.manifests.keys() ?? [])]).toEqual([two.digest]);
  });

  it('answers a delete with 500 after it took effect', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, one);
    seed(ghcr.state, NAME, two);
    ghcr.apiIntercept(deletesAnswer500);
    const [first] = ghcr.versions(NAME);
    const version = { ...PACKAGE, package_version_id: first?.id ?? 0 };
    const remove = () => failureOf(octokit.rest.packages.deletePackageVersionForOrg(version));
    expect([await remove(), await remove()]).toEqual([
      [500, 'Server Error'],
      [404, 'Package not found.'],
    ]);
  });

  it('stands below a path, and names it in its links', async () => {
    const { ghcr } = await start({}, { apiPath: '/api/v3' });
    [one, two].forEach((content) => seed(ghcr.state, NAME, content));
    expect(ghcr.api).toMatch(/:\d+\/api\/v3$/);
    const answer = await fetch(`${ghcr.api}${LIST}?per_page=1`, { headers });
    expect(answer.headers.get('link')).toContain(`<${ghcr.api}/organizations/`);
    expect((await fetch(ghcr.api.replace('/api/v3', LIST), { headers })).status).toBe(404);
    ghcr.violations.length = 0;
  });
});

describe('The registry', () => {
  it('sends a wrong body for a digest', async () => {
    const { ghcr } = await start();
    seed(ghcr.state, NAME, one);
    ghcr.intercept(wrongBody(one.digest, two.bytes));
    const bytes = async () => {
      const answer = await read(ghcr, NAME, `manifests/${one.digest}`);
      expect(answer.headers.get('docker-content-digest')).toBe(one.digest);
      return Buffer.from(await answer.arrayBuffer());
    };
    expect(await bytes()).toEqual(two.bytes);
    ghcr.intercept();
    expect(await bytes()).toEqual(one.bytes);
  });

  it('refuses the first try of each read', async () => {
    const { ghcr } = await start();
    seed(ghcr.state, NAME, one, 'one');
    ghcr.intercept(readsAnswer429);
    const get = () => read(ghcr, NAME, 'manifests/one');
    const refused = await get();
    expect([refused.status, await refused.json()]).toEqual([
      429,
      {
        errors: [
          {
            code: 'TOOMANYREQUESTS',
            message: 'retry-after: 1.170000ms, allowed: 44000/minute',
          },
        ],
      },
    ]);
    expect((await get()).status).toBe(200);
  });
});

describe('Both servers', () => {
  it('speak TLS where a certificate is given', async () => {
    const authority = createAuthority();
    const { pem, keyPem } = authority.issue('ghcr');
    const { ghcr } = await start({}, { tls: { key: keyPem, cert: pem } });
    seed(ghcr.state, NAME, one);
    const asked = { 'user-agent': 'test', ...headers };
    const [registry, api] = await Promise.all([
      send({ url: ghcr.url, ca: authority.pem }, { method: 'GET', path: '/v2/' }),
      send({ url: ghcr.api, ca: authority.pem }, { method: 'GET', path: LIST, headers: asked }),
    ]);
    expect(registry.headers['www-authenticate']).toContain('realm="https://');
    expect(api.body.toString()).toContain(`"url":"${ghcr.api}/orgs/team/`);
  });

  it.each(['registryLatency', 'restLatency'] as const)(
    'are as late as told: %s',
    async (latency) => {
      const { ghcr } = await start({}, { [latency]: 60_000 });
      jest.useFakeTimers({ doNotFake: TIMERS.filter((name) => name !== 'setTimeout') });
      try {
        const url = latency === 'restLatency' ? `${ghcr.api}/users/team` : `${ghcr.url}/v2/`;
        let isAnswered = false;
        const answer = fetch(url).then(() => (isAnswered = true));
        while (jest.getTimerCount() === 0) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        jest.advanceTimersByTime(59_999);
        await new Promise((resolve) => setImmediate(resolve));
        expect(isAnswered).toBe(false);
        jest.advanceTimersByTime(1);
        expect(await answer).toBe(true);
      } finally {
        jest.useRealTimers();
      }
    },
  );
});
