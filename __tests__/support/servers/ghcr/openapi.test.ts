/** The check of requests and answers by GitHub's API description: proved by some that are wrong. */
import { describe, expect, it } from '@jest/globals';

import { image } from '../../builders/build.js';
import { seed } from '../../clients/push.js';
import { empty, json } from '../memory/answer.js';
import { octokitOf } from './client.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { openApiValidator } from './openapi.js';
import { JOB_TOKEN, type GhcrOptions } from './options.js';
import { versionJson } from './packages.js';
import { restRouteOf, type RestRoute } from './routes.js';

const LIST = '/orgs/team/packages/container/app/versions';

/** What asking the server does to its violations; it is stopped. */
async function violations(
  ask: (ghcr: Ghcr) => Promise<unknown>,
  options: GhcrOptions = {},
): Promise<string[]> {
  const ghcr = await startGhcr(options);
  seed(ghcr.state, 'team/app', image('one'));
  await ask(ghcr);
  const found = [...ghcr.violations];
  ghcr.violations.length = 0;
  await ghcr.stop();
  return found;
}

function asking(method: string, path: string, body?: string) {
  return async ({ api }: Ghcr) => {
    const headers = { authorization: `Bearer ${JOB_TOKEN}` };
    await fetch(api + path, { method, headers, ...(body === undefined ? {} : { body }) });
  };
}

function route(method: string, path: string): RestRoute {
  const found = restRouteOf(method, path);
  if (found === undefined) {
    throw new Error(path);
  }
  return found;
}

describe('A request', () => {
  it.each<[string, string, string]>([
    ['GET', '/orgs/team', "no route of GitHub's that is played here"],
    ['DELETE', '/orgs/team/packages/container/app', "no route of GitHub's that is played here"],
    ['DELETE', `${LIST}/`, "no route of GitHub's that is played here"],
    ['POST', LIST, "no route of GitHub's that is played here"],
    ['GET', `${LIST}?pages=2`, "query pages isn't described"],
    ['GET', `${LIST}?page=two`, 'query page must be integer'],
    ['GET', `${LIST}?state=gone`, 'query state must be equal to one of the allowed values'],
    ['GET', `${LIST}/x1`, 'path package_version_id must be integer'],
    [
      'GET',
      '/orgs/team/packages/oci/app',
      'path package_type must be equal to one of the allowed values',
    ],
    ['GET', '/orgs/team/packages', 'query package_type is missing'],
  ])('makes a violation: %s %s', async (method, path, problem) => {
    expect(await violations(asking(method, path))).toEqual([`${method} ${path}: ${problem}`]);
  });

  it('makes a violation by a body', async () => {
    expect(await violations(asking('POST', `${LIST}/1/restore`, '{}'))).toEqual([
      `POST ${LIST}/1/restore: a body is sent, and none is described`,
    ]);
  });

  it('for a user takes a page and a state, which the description lacks', async () => {
    const path = '/users/octocat/packages/container/app/versions?page=1&per_page=9&state=deleted';
    expect(await violations(asking('GET', path))).toEqual([]);
    expect(await violations(asking('GET', path.replace('state', 'stat')))).toHaveLength(1);
  });

  it('for an organization by its id has to fit the route by its name', async () => {
    const path = LIST.replace('orgs/team', 'organizations/1000');
    expect(await violations(asking('GET', `${path}?page=1`))).toEqual([]);
    expect(await violations(asking('GET', `${path}?pages=1`))).toEqual([
      `GET ${path}?pages=1: query pages isn't described`,
    ]);
  });

  it('makes a violation where a script answers it, too', async () => {
    const ask = async (ghcr: Ghcr) => {
      ghcr.apiIntercept(() => ({ kind: 'answer', status: 503 }));
      await asking('GET', '/zen')(ghcr);
    };
    expect(await violations(ask)).toHaveLength(1);
  });

  it('makes stop reject, so that the test fails', async () => {
    const ghcr = await startGhcr();
    await asking('GET', '/zen')(ghcr);
    await expect(ghcr.stop()).rejects.toThrow("GET /zen: no route of GitHub's");
  });

  it('makes no violation where a benchmark switches the check off', async () => {
    expect(await violations(asking('GET', '/zen'), { validates: false })).toEqual([]);
  });
});

describe('An answer', () => {
  const place = {
    api: 'https://api.github.com',
    path: '/orgs/team',
    owner: { login: 'team', type: 'Organization', id: 1 },
  } as const;
  const version = { id: 1, digest: 'sha256:1', createdAt: 0, updatedAt: 0, tags: [] };
  const right = versionJson(place, 'app', version);

  it('makes no violation when it is right', () => {
    expect(openApiValidator().answer(route('GET', LIST), json(200, [right]))).toEqual([]);
    expect(openApiValidator().answer(route('DELETE', `${LIST}/1`), empty(204))).toEqual([]);
    expect(
      openApiValidator().answer(route('DELETE', `${LIST}/1`), json(400, { message: 'no' })),
    ).toEqual([]);
  });

  it.each<[string, object]>([
    ['id', { id: '1' }],
    ['created_at', { created_at: 'yesterday' }],
    ['created_at', { created_at: null }],
    [
      'metadata/container/tags',
      { metadata: { package_type: 'container', container: { tags: '' } } },
    ],
    ['metadata/package_type', { metadata: { package_type: 'oci' } }],
  ])('makes a violation by a wrong %s', (field, change) => {
    expect(
      openApiValidator().answer(route('GET', LIST), json(200, [{ ...right, ...change }])),
    ).toEqual([expect.stringMatching(new RegExp(`^answer/0/${field} must `))]);
    expect(
      openApiValidator().answer(route('GET', `${LIST}/1`), json(200, { ...right, ...change })),
    ).toHaveLength(1);
  });

  it('makes a violation by a wrong status, body or error', () => {
    expect(openApiValidator().answer(route('GET', LIST), json(202, []))).toEqual([
      "status 202 isn't described",
    ]);
    expect(openApiValidator().answer(route('DELETE', `${LIST}/1`), json(204, {}))).toEqual([
      'a body is sent, and none is described',
    ]);
    expect(
      openApiValidator().answer(route('GET', LIST), { ...json(200, []), body: Buffer.from('[') }),
    ).toEqual(["the body isn't valid JSON"]);
    expect(openApiValidator().answer(route('GET', LIST), json(404, { message: 1 }))).toEqual([
      'answer/message must be string',
    ]);
    expect(openApiValidator().answer(route('GET', LIST), json(429, { message: 1 }))).toHaveLength(
      1,
    );
  });

  it('makes a violation where the server itself sends a wrong one', async () => {
    // A time that doesn't exist: GitHub's format of dates can't say it.
    const ask = async (ghcr: Ghcr) => {
      const [version] = ghcr.versions('team/app');
      ghcr.setTimes('team/app', version?.digest ?? '', { created: 8.64e15 });
      await octokitOf(ghcr).request('GET /orgs/team/packages/container/app/versions');
    };
    expect(await violations(ask)).toEqual([
      `GET ${LIST}: answer/0/created_at must match format "date-time"`,
      `GET ${LIST}: answer/0/updated_at must match format "date-time"`,
    ]);
  });

  it('shows null for the owner of a package, which the description allows', async () => {
    const path = '/orgs/team/packages/container/app';
    const owners = [null, {}];
    const ask = async ({ api }: Ghcr) => {
      const headers = { authorization: `Bearer ${JOB_TOKEN}` };
      const shown = (await (await fetch(api + path, { headers })).json()) as object;
      const found = owners.map((owner) =>
        openApiValidator().answer(route('GET', path), json(200, { ...shown, owner })),
      );
      expect(found.map((problems) => problems.length > 0)).toEqual([false, true]);
    };
    expect(await violations(ask)).toEqual([]);
  });
});
