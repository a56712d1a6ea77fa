/** The simulated GitHub Packages API as octokit sees it: lists, deletes and restores of versions. */
import { describe, expect, it } from '@jest/globals';

import { image, index, OLD } from '../../builders/build.js';
import { push, seed } from '../../clients/push.js';
import { stopAfterTest } from '../stop-after-test.js';
import { failureOf, octokitOf, pusher, type Octokit } from './client.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN, type GhcrOptions } from './options.js';

const NAME = 'team/deep/app';
const PACKAGE = { package_type: 'container', package_name: 'deep/app', org: 'team' } as const;
const [one, two, three] = [image('one'), image('two'), image('three')];
const pair = index([image('amd'), image('arm')]);
const NEVER = { digest: `sha256:${'0'.repeat(64)}` };

async function start(options: GhcrOptions = {}): Promise<{ ghcr: Ghcr; octokit: Octokit }> {
  const ghcr = stopAfterTest(await startGhcr(options));
  return { ghcr, octokit: octokitOf(ghcr, JOB_TOKEN) };
}

async function list(octokit: Octokit, state: 'active' | 'deleted' = 'active') {
  const { data } = await octokit.rest.packages.getAllPackageVersionsForPackageOwnedByOrg({
    ...PACKAGE,
    state,
  });
  return data;
}

async function digests(octokit: Octokit): Promise<string[]> {
  return (await list(octokit)).map(({ name }) => name);
}

function idOf(ghcr: Ghcr, { digest }: { readonly digest: string }): number {
  return ghcr.versions(NAME).findLast((version) => version.digest === digest)?.id ?? 0;
}

function remove(octokit: Octokit, id: number) {
  return octokit.rest.packages.deletePackageVersionForOrg({ ...PACKAGE, package_version_id: id });
}

function restore(octokit: Octokit, id: number) {
  return octokit.rest.packages.restorePackageVersionForOrg({ ...PACKAGE, package_version_id: id });
}

describe('A list of versions', () => {
  it('holds one version for each digest, newest first, with its tags and times', async () => {
    let now = Date.parse('2026-01-01T00:00:00.900Z');
    const { ghcr, octokit } = await start({ now: () => now });
    await push(pusher(ghcr), NAME, one, 'v1');
    now += 5000;
    await push(pusher(ghcr), NAME, two);
    now += 5000;
    await push(pusher(ghcr), NAME, one, 'latest');
    expect(await list(octokit)).toMatchObject([
      {
        name: two.digest,
        created_at: '2026-01-01T00:00:05Z',
        updated_at: '2026-01-01T00:00:05Z',
        metadata: { package_type: 'container', container: { tags: [] } },
      },
      {
        name: one.digest,
        created_at: '2026-01-01T00:00:00Z',
        updated_at: '2026-01-01T00:00:10Z',
        metadata: { container: { tags: ['v1', 'latest'] } },
      },
    ]);
  });

  it('leaves the old version of a moved tag untagged', async () => {
    const { ghcr, octokit } = await start();
    await push(pusher(ghcr), NAME, one, 'v1');
    await push(pusher(ghcr), NAME, two, 'v1');
    expect((await list(octokit)).map(({ metadata }) => metadata?.container?.tags)).toEqual([
      ['v1'],
      [],
    ]);
  });

  it('follows what a test puts into the state and takes out of it', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, pair, 'v1');
    expect(await list(octokit)).toMatchObject([
      { name: pair.digest, created_at: OLD, updated_at: OLD },
      { name: pair.children[1]?.digest },
      { name: pair.children[0]?.digest },
    ]);
    ghcr.state.repositories.get(NAME)?.manifests.delete(pair.children[0]?.digest ?? '');
    expect(await digests(octokit)).toEqual([pair.digest, pair.children[1]?.digest]);
  });

  it('shows the times that a test sets, and lacks what it leaves out', async () => {
    const { ghcr, octokit } = await start();
    [one, two, three].forEach((content) => seed(ghcr.state, NAME, content));
    ghcr.setTimes(NAME, one.digest, { created: Date.parse('2025-01-01T00:00:00Z') });
    ghcr.setTimes(NAME, two.digest, { updated: Date.parse('2025-02-01T00:00:00Z') });
    ghcr.leaveOut(three.digest);
    expect(await list(octokit)).toMatchObject([
      {
        name: one.digest,
        created_at: '2025-01-01T00:00:00Z',
        updated_at: '2025-01-01T00:00:00Z',
      },
      { name: two.digest, created_at: OLD, updated_at: '2025-02-01T00:00:00Z' },
    ]);
  });

  it('comes in pages of 30, or of at most 100, whose links name an organization by its id', async () => {
    const { ghcr, octokit } = await start();
    for (let n = 0; n < 250; n += 1) {
      seed(ghcr.state, NAME, image(String(n)));
    }
    expect(await list(octokit)).toHaveLength(30);
    const get = octokit.rest.packages.getAllPackageVersionsForPackageOwnedByOrg;
    const { data, headers } = await get({ ...PACKAGE, per_page: 1000, page: 2 });
    expect(data).toHaveLength(100);
    const page = (n: number, rel: string) =>
      `<${ghcr.api}/organizations/1000/packages/container/deep%2Fapp/versions?per_page=1000&page=${String(n)}>; rel="${rel}"`;
    expect(headers.link).toBe(
      [page(1, 'prev'), page(3, 'next'), page(3, 'last'), page(1, 'first')].join(', '),
    );
    const all = await octokit.paginate(get, { ...PACKAGE, per_page: 100 });
    expect(new Set(all.map(({ name }) => name)).size).toBe(250);
    expect(ghcr.apiRequests.at(-1)?.url).toMatch(/^\/organizations\/1000\/.*page=3$/);
  });

  it('shifts where a test pushes and deletes between two pages', async () => {
    const { ghcr, octokit } = await start();
    [one, two, three].forEach((content) => seed(ghcr.state, NAME, content));
    ghcr.onPage(({ n, page, packageName }) => {
      expect([n, page, packageName]).toEqual([n, n, 'deep/app']);
      if (n === 1) {
        ghcr.state.repositories.get(NAME)?.manifests.delete(three.digest);
      }
    });
    const get = octokit.rest.packages.getAllPackageVersionsForPackageOwnedByOrg;
    const all = await octokit.paginate(get, { ...PACKAGE, per_page: 1 });
    expect(all.map(({ name }) => name)).toEqual([three.digest, one.digest]);
  });
});

describe('A delete of a version', () => {
  it('deletes the manifest with all its tags, and a child of an index as well', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, one, 'a', 'b');
    seed(ghcr.state, NAME, pair, 'pair');
    const child = pair.children[0] ?? pair;
    expect((await remove(octokit, (await list(octokit)).length && idOf(ghcr, one))).status).toBe(
      204,
    );
    expect((await remove(octokit, idOf(ghcr, child))).status).toBe(204);
    const { manifests, tags } = ghcr.state.repositories.get(NAME) ?? {};
    expect([...(manifests?.keys() ?? [])]).toEqual([pair.children[1]?.digest, pair.digest]);
    expect([...(tags ?? [])]).toEqual([['pair', pair.digest]]);
    expect(ghcr.versions(NAME).filter(({ deletedAt }) => deletedAt !== undefined)).toHaveLength(2);
  });

  it('refuses the last tagged version', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, one, 'a', 'b');
    seed(ghcr.state, NAME, two);
    expect(await failureOf(remove(octokit, idOf(ghcr, one)))).toEqual([
      400,
      'You cannot delete the last tagged version of a package. You must delete the package instead.',
    ]);
    expect((await remove(octokit, idOf(ghcr, two))).status).toBe(204);
  });

  it('refuses a version with more than 5,000 downloads in a public package only', async () => {
    for (const visibility of ['public', 'private'] as const) {
      const { ghcr, octokit } = await start({ visibility: () => visibility });
      seed(ghcr.state, NAME, one, 'v1');
      seed(ghcr.state, NAME, two);
      seed(ghcr.state, NAME, three);
      ghcr.setDownloads(NAME, two.digest, 5001);
      ghcr.setDownloads(NAME, three.digest, 5000);
      const refused = [
        400,
        expect.stringContaining('Publicly visible package versions with more than 5000 downloads'),
      ];
      const expected = visibility === 'public' ? refused : [];
      expect(await failureOf(remove(octokit, idOf(ghcr, two)))).toEqual(expected);
      expect(await failureOf(remove(octokit, idOf(ghcr, three)))).toEqual([]);
    }
  });

  it('fails with 404 for a version that is gone', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, one);
    seed(ghcr.state, NAME, two);
    const id = idOf(ghcr, one);
    await remove(octokit, id);
    expect(await failureOf(remove(octokit, id))).toEqual([404, 'Package not found.']);
    expect(idOf(ghcr, NEVER)).toBe(0);
  });
});

describe('A restore', () => {
  it('brings back the manifest with the tags that are free', async () => {
    const { ghcr, octokit } = await start();
    seed(ghcr.state, NAME, one, 'a', 'b');
    seed(ghcr.state, NAME, two, 'c');
    const id = idOf(ghcr, one);
    await remove(octokit, id);
    expect(await list(octokit, 'deleted')).toMatchObject([{ id, name: one.digest }]);
    seed(ghcr.state, NAME, two, 'b');
    expect((await restore(octokit, id)).status).toBe(204);
    expect(ghcr.state.repositories.get(NAME)?.manifests.get(one.digest)?.bytes).toEqual(one.bytes);
    expect(Object.fromEntries(ghcr.state.repositories.get(NAME)?.tags ?? [])).toEqual({
      a: one.digest,
      b: two.digest,
      c: two.digest,
    });
    expect((await list(octokit)).map(({ id }) => id)).toContain(id);
    expect(await list(octokit, 'deleted')).toEqual([]);
  });

  it('fails with 404 after thirty days', async () => {
    let now = Date.parse(OLD);
    const { ghcr, octokit } = await start({ now: () => now });
    seed(ghcr.state, NAME, one);
    seed(ghcr.state, NAME, two);
    const id = idOf(ghcr, one);
    await remove(octokit, id);
    now += 30 * 24 * 60 * 60_000 + 1;
    expect(await list(octokit, 'deleted')).toEqual([]);
    expect(await failureOf(restore(octokit, id))).toEqual([404, 'Package not found.']);
  });
});

describe('The routes of owners', () => {
  it('link to themselves for a user, and back from a page past the end', async () => {
    const { ghcr } = await start({ accounts: [{ login: 'Octocat', type: 'User' }] });
    [one, two, three].forEach((content) => seed(ghcr.state, 'octocat/app', content));
    const page = async (n: number) => {
      const url = `${ghcr.api}/users/octocat/packages/container/app/versions`;
      const headers = { authorization: `Bearer ${JOB_TOKEN}` };
      const answer = await fetch(`${url}?per_page=2&page=${String(n)}`, { headers });
      return [((await answer.json()) as unknown[]).length, answer.headers.get('link')];
    };
    const link = (n: number, rel: string) =>
      `<${ghcr.api}/users/Octocat/packages/container/app/versions?per_page=2&page=${String(n)}>; rel="${rel}"`;
    expect(await page(1)).toEqual([2, [link(2, 'next'), link(2, 'last')].join(', ')]);
    expect(await page(2)).toEqual([1, [link(1, 'prev'), link(1, 'first')].join(', ')]);
    expect(await page(9)).toEqual([0, [link(2, 'prev'), link(1, 'first')].join(', ')]);
  });

  it('answer for an organization, for a user, and for oneself', async () => {
    const { ghcr, octokit } = await start({ accounts: [{ login: 'Octocat', type: 'User' }] });
    seed(ghcr.state, 'octocat/app', one);
    seed(ghcr.state, 'octocat/app', two);
    const named = { package_type: 'container', package_name: 'app' } as const;
    const mine = octokitOf(ghcr, PERSONAL_TOKEN).rest.packages;
    const users = octokit.rest.packages;
    const user = { ...named, username: 'octocat' };
    const { data } = await users.getAllPackageVersionsForPackageOwnedByUser(user);
    const { data: own } = await mine.getAllPackageVersionsForPackageOwnedByAuthenticatedUser(named);
    expect(own.map(({ id }) => id)).toEqual(data.map(({ id }) => id));
    const package_version_id = data[0]?.id ?? 0;
    await users.getPackageVersionForUser({ ...user, package_version_id });
    await mine.getPackageVersionForAuthenticatedUser({ ...named, package_version_id });
    await users.deletePackageVersionForUser({ ...user, package_version_id });
    await mine.restorePackageVersionForAuthenticatedUser({ ...named, package_version_id });
    await mine.deletePackageVersionForAuthenticatedUser({ ...named, package_version_id });
    await users.restorePackageVersionForUser({ ...user, package_version_id });
    expect(ghcr.state.repositories.get('octocat/app')?.manifests.size).toBe(2);
  });
});
