/** Who may do what on the REST face of the simulated GHCR, and how a refusal reads. */
import { describe, expect, it } from '@jest/globals';

import { image, OLD } from '../../builders/build.js';
import { seed } from '../../clients/push.js';
import { stopAfterTest } from '../stop-after-test.js';
import { failureOf, octokitOf } from './client.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN, type GhcrOptions, type Right, type Token } from './options.js';

const TEAM = { package_type: 'container', package_name: 'app', org: 'team' } as const;
const NOT_FOUND = [404, 'Package not found.'];
const NOT_ACCESSIBLE = [403, 'Resource not accessible by integration'];
const [one, two] = [image('one'), image('two')];

async function start(options: GhcrOptions = {}): Promise<Ghcr> {
  const ghcr = stopAfterTest(await startGhcr(options));
  seed(ghcr.state, 'team/app', one);
  seed(ghcr.state, 'team/app', two);
  return ghcr;
}

function withRight(kind: Token['kind'], right: Right, scopes?: readonly string[]): GhcrOptions {
  const more = scopes === undefined ? {} : { scopes };
  return { tokens: [{ kind, value: PERSONAL_TOKEN, right: () => right, ...more }] };
}

/** What a list, a delete and a restore of a deleted version answer. */
async function answers(ghcr: Ghcr): Promise<unknown[]> {
  const { packages } = octokitOf(ghcr).rest;
  const [first] = ghcr.versions('team/app');
  const version = { ...TEAM, package_version_id: first?.id ?? 0 };
  return [
    await failureOf(packages.getAllPackageVersionsForPackageOwnedByOrg(TEAM)),
    await failureOf(packages.deletePackageVersionForOrg(version)),
    await failureOf(packages.restorePackageVersionForOrg(version)),
  ];
}

describe('A job', () => {
  it.each<[Right, unknown[]]>([
    ['none', [NOT_FOUND, NOT_FOUND, NOT_FOUND]],
    ['read', [[], NOT_ACCESSIBLE, NOT_ACCESSIBLE]],
    ['write', [[], NOT_ACCESSIBLE, NOT_ACCESSIBLE]],
    ['admin', [[], [], []]],
  ])('lists, deletes and restores as far as its right goes: %s', async (right, expected) => {
    expect(await answers(await start(withRight('job', right)))).toEqual(expected);
  });

  it('lists no packages, and learns nothing about itself', async () => {
    const octokit = octokitOf(await start(), JOB_TOKEN);
    const { packages, users } = octokit.rest;
    expect(
      await failureOf(
        packages.listPackagesForOrganization({ org: 'team', package_type: 'container' }),
      ),
    ).toEqual([400, 'Invalid argument.']);
    expect(await failureOf(users.getAuthenticated())).toEqual(NOT_ACCESSIBLE);
    const own = { package_type: 'container', package_name: 'app' } as const;
    expect(await failureOf(packages.getPackageForAuthenticatedUser(own))).toEqual(NOT_ACCESSIBLE);
  });
});

describe('A personal access token', () => {
  it.each<[Right, unknown[]]>([
    ['none', [NOT_FOUND, NOT_FOUND, NOT_FOUND]],
    ['read', [[], NOT_FOUND, NOT_FOUND]],
    ['write', [[], NOT_FOUND, NOT_FOUND]],
    ['admin', [[], [], []]],
  ])('learns nothing of what it lacks: %s', async (right, expected) => {
    expect(await answers(await start(withRight('classic', right)))).toEqual(expected);
  });

  it('needs a scope for each of it, and is told its scopes', async () => {
    const lacks = (scope: string) => [403, expect.stringContaining(scope)];
    const [none, reads, writes] = await Promise.all(
      [['repo'], ['read:packages'], ['write:packages']].map(async (scopes) =>
        start(withRight('classic', 'admin', scopes)),
      ),
    );
    const refused = lacks('read:packages');
    expect(none && (await answers(none))).toEqual([refused, refused, refused]);
    expect(reads && (await answers(reads))).toEqual([
      [],
      lacks('delete:packages'),
      lacks('write:packages'),
    ]);
    expect(writes && (await answers(writes))).toEqual([[], lacks('delete:packages'), NOT_FOUND]);
    const { headers } = await octokitOf(await start()).rest.users.getAuthenticated();
    expect(headers['x-oauth-scopes']).toBe('read:packages, write:packages, delete:packages');
  });

  it('lists the packages that it may read', async () => {
    const right = (name: string) => (name === 'team/secret' ? 'none' : 'read');
    const ghcr = await start({
      tokens: [{ kind: 'classic', value: PERSONAL_TOKEN, login: 'octocat', right }],
      visibility: (name) => (name === 'team/deep/open' ? 'public' : 'private'),
    });
    seed(ghcr.state, 'team/deep/open', one);
    seed(ghcr.state, 'team/secret', one);
    seed(ghcr.state, 'octocat/mine', one);
    const { packages } = octokitOf(ghcr).rest;
    const list = { org: 'team', package_type: 'container' } as const;
    const { data, headers } = await packages.listPackagesForOrganization({ ...list, per_page: 1 });
    expect(data).toMatchObject([
      { name: 'app', visibility: 'private', version_count: 2, created_at: OLD },
    ]);
    expect(headers.link).toContain('page=2>; rel="next"');
    const open = await packages.listPackagesForOrganization({ ...list, visibility: 'public' });
    expect(open.data).toMatchObject([{ name: 'deep/open', owner: { login: 'team' } }]);
    const none = await packages.listPackagesForOrganization({ ...list, package_type: 'npm' });
    expect(none.data).toEqual([]);
    const far = packages.listPackagesForOrganization({ ...list, page: 101, per_page: 100 });
    expect(await failureOf(far)).toEqual([400, expect.stringContaining('10000')]);
  });

  it('lists the packages of its own user on both routes', async () => {
    const ghcr = await start({ accounts: [{ login: 'Octocat', type: 'User' }] });
    seed(ghcr.state, 'octocat/mine', one);
    const { packages } = octokitOf(ghcr).rest;
    const mine = await packages.listPackagesForAuthenticatedUser({ package_type: 'container' });
    const theirs = await packages.listPackagesForUser({
      username: 'OCTOCAT',
      package_type: 'container',
    });
    expect([mine.data, theirs.data]).toMatchObject([[{ name: 'mine' }], [{ name: 'mine' }]]);
  });
});

describe('Everybody', () => {
  it('reads a public package, and no private one', async () => {
    const ghcr = await start({
      ...withRight('job', 'none'),
      visibility: (name) => (name === 'team/open' ? 'public' : 'private'),
    });
    seed(ghcr.state, 'team/open', one);
    const { packages } = octokitOf(ghcr).rest;
    expect(await failureOf(packages.getPackageForOrganization(TEAM))).toEqual(NOT_FOUND);
    const { data } = await packages.getPackageForOrganization({ ...TEAM, package_name: 'open' });
    expect(data).toMatchObject({ name: 'open', visibility: 'public', package_type: 'container' });
  });

  it('finds a login in any spelling, and gets its own', async () => {
    const ghcr = await start({
      accounts: [
        { login: 'NVIDIA', type: 'Organization' },
        { login: 'OctoCat', type: 'User' },
      ],
    });
    const { users } = octokitOf(ghcr, JOB_TOKEN).rest;
    const found = await Promise.all(
      ['nvidia', 'octocat', 'TEAM'].map((username) => users.getByUsername({ username })),
    );
    expect(found.map(({ data }) => [data.login, data.type])).toEqual([
      ['NVIDIA', 'Organization'],
      ['OctoCat', 'User'],
      ['team', 'Organization'],
    ]);
    expect(await failureOf(users.getByUsername({ username: 'nobody' }))).toEqual([
      404,
      'Not Found',
    ]);
  });

  it('gets a refusal with a bad token, and without one', async () => {
    const ghcr = await start();
    expect(await failureOf(octokitOf(ghcr, 'ghp_bad').rest.users.getAuthenticated())).toEqual([
      401,
      'Bad credentials',
    ]);
    const answer = await fetch(`${ghcr.api}/orgs/team/packages/container/app/versions`);
    expect([answer.status, await answer.json()]).toEqual([
      401,
      expect.objectContaining({ message: 'Requires authentication' }),
    ]);
    expect((await fetch(`${ghcr.api}/users/team`)).status).toBe(200);
  });

  it('gets 404 for a package, a version and a kind of package that does not exist', async () => {
    const ghcr = await start();
    const { packages } = octokitOf(ghcr).rest;
    const version = { ...TEAM, package_version_id: 1 };
    expect(await failureOf(packages.getPackageVersionForOrganization(version))).toEqual(NOT_FOUND);
    expect(
      await failureOf(packages.getPackageForOrganization({ ...TEAM, package_name: 'no' })),
    ).toEqual(NOT_FOUND);
    expect(
      await failureOf(packages.getPackageForOrganization({ ...TEAM, package_type: 'npm' })),
    ).toEqual(NOT_FOUND);
  });
});
