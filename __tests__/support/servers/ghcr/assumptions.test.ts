/** What is assumed about the REST API of the real GHCR: each switch, both ways. */
import { describe, expect, it } from '@jest/globals';

import { image, OLD } from '../../builders/build.js';
import { push, seed } from '../../clients/push.js';
import {
  failureOf,
  idOf,
  list,
  NAME,
  PACKAGE,
  pusher,
  remove,
  startScene as start,
  type Scene,
} from './client.js';

const [one, two, three] = [image('one'), image('two'), image('three')];

function restore({ octokit }: Scene, package_version_id: number): Promise<unknown[]> {
  const { packages } = octokit.rest;
  return failureOf(packages.restorePackageVersionForOrg({ ...PACKAGE, package_version_id }));
}

/** Two tagged versions, the first of which was deleted. @returns its id */
async function deleted(scene: Scene): Promise<number> {
  const to = pusher(scene.ghcr);
  await push(to, NAME, one, 'a');
  await push(to, NAME, two, 'b');
  const id = idOf(scene, one);
  await remove(scene, id);
  return id;
}

describe('updated_at', () => {
  it.each([true, false])('moves with the tags: %s', async (tagsMoveUpdatedAt) => {
    const scene = await start({ tagsMoveUpdatedAt });
    const to = pusher(scene.ghcr);
    await push(to, NAME, one, 'v1');
    scene.wait(1000);
    await push(to, NAME, two, 'v1');
    const [, first] = await list(scene);
    expect(first).toMatchObject({
      name: one.digest,
      created_at: '2026-01-01T00:00:00Z',
      updated_at: `2026-01-01T00:00:0${tagsMoveUpdatedAt ? '1' : '0'}Z`,
    });
  });
});

describe('The order', () => {
  it.each(['created', 'updated'] as const)(
    'puts the version first whose time it was %s is the latest',
    async (listOrder) => {
      const scene = await start({ listOrder });
      const to = pusher(scene.ghcr);
      await push(to, NAME, one);
      scene.wait(1000);
      await push(to, NAME, two);
      scene.wait(1000);
      await push(to, NAME, one, 'v1');
      const names = (await list(scene)).map(({ name }) => name);
      const [first, last] = listOrder === 'created' ? [two, one] : [one, two];
      expect(names).toEqual([first.digest, last.digest]);
    },
  );

  it.each(['oldest-first', 'newest-first'] as const)('puts tags %s', async (tagOrder) => {
    const scene = await start({ tagOrder });
    seed(scene.ghcr.state, NAME, one, 'b', 'a');
    const expected = tagOrder === 'oldest-first' ? ['b', 'a'] : ['a', 'b'];
    expect((await list(scene))[0]?.metadata?.container?.tags).toEqual(expected);
  });
});

describe('A digest that is pushed again', () => {
  it('gets a new id, and its old one is not restored', async () => {
    const scene = await start();
    const id = await deleted(scene);
    await push(pusher(scene.ghcr), NAME, one, 'again');
    const ids = scene.ghcr.versions(NAME).filter(({ digest }) => digest === one.digest);
    expect(ids.map((version) => [version.id === id, version.deletedAt !== undefined])).toEqual([
      [true, true],
      [false, false],
    ]);
    expect(await restore(scene, id)).toEqual([404, 'Package not found.']);
  });

  it('gets its old id', async () => {
    const scene = await start({ repush: 'same-id' });
    const id = await deleted(scene);
    await push(pusher(scene.ghcr), NAME, one, 'again');
    expect(scene.ghcr.versions(NAME)).toMatchObject([
      { id, digest: one.digest, tags: ['again'] },
      { digest: two.digest },
    ]);
  });

  it('takes a restore of its old id without effect', async () => {
    const scene = await start({ restoreOfRepushed: 'taken' });
    const id = await deleted(scene);
    await push(pusher(scene.ghcr), NAME, one, 'again');
    expect(await restore(scene, id)).toEqual([]);
    expect(scene.ghcr.state.repositories.get(NAME)?.tags.has('a')).toBe(false);
  });
});

describe('A restore', () => {
  it.each([true, false])('brings tags back: %s', async (restoreBringsTags) => {
    const scene = await start({ restoreBringsTags });
    const id = await deleted(scene);
    expect(await restore(scene, id)).toEqual([]);
    const { manifests, tags } = scene.ghcr.state.repositories.get(NAME) ?? {};
    expect([manifests?.has(one.digest), tags?.get('a')]).toEqual([
      true,
      restoreBringsTags ? one.digest : undefined,
    ]);
    expect(idOf(scene, one)).toBe(id);
  });
});

describe('A deleted version', () => {
  it.each([true, false])('shows its tags and the time of its end: %s', async (told) => {
    const scene = await start({ deletedVersionsHaveTags: told, deletedVersionsHaveTime: told });
    await deleted(scene);
    const [version] = await list(scene, 'deleted');
    expect(version?.metadata?.container?.tags).toEqual(told ? ['a'] : []);
    expect(version?.deleted_at).toBe(told ? '2026-01-01T00:00:00Z' : undefined);
  });

  it.each(['active', 'all'] as const)('counts in version_count: %s', async (versionCount) => {
    const scene = await start({ versionCount });
    await deleted(scene);
    const { data } = await scene.octokit.rest.packages.getPackageForOrganization(PACKAGE);
    expect(data.version_count).toBe(versionCount === 'active' ? 1 : 2);
  });
});

describe('The last version', () => {
  it.each(['always', 'in-public-packages'] as const)(
    'stays %s when it has a tag',
    async (lastTaggedStays) => {
      for (const visibility of ['public', 'private'] as const) {
        const scene = await start({ lastTaggedStays }, { visibility: () => visibility });
        seed(scene.ghcr.state, NAME, one, 'v1');
        seed(scene.ghcr.state, NAME, two);
        const stays = lastTaggedStays === 'always' || visibility === 'public';
        const refused = [400, expect.stringContaining('last tagged version')];
        expect(await remove(scene, idOf(scene, one))).toEqual(stays ? refused : []);
      }
    },
  );

  it.each([true, false])('stays when it has no tag: %s', async (lastVersionStays) => {
    const scene = await start({ lastVersionStays });
    seed(scene.ghcr.state, NAME, one);
    const refused = [400, expect.stringContaining('last version of a package')];
    expect(await remove(scene, idOf(scene, one))).toEqual(lastVersionStays ? refused : []);
  });
});

describe('The routes', () => {
  it.each([true, false])(
    'for users answer for an organization: %s',
    async (routesTakeOtherKind) => {
      const scene = await start({ routesTakeOtherKind });
      seed(scene.ghcr.state, NAME, one);
      const { packages } = scene.octokit.rest;
      const list = packages.listPackagesForUser({ username: 'team', package_type: 'container' });
      expect(await failureOf(list)).toEqual(routesTakeOtherKind ? [] : [404, 'Not Found']);
    },
  );
});

describe('A lag', () => {
  it('hides pushes, tags and deletes from as many lists', async () => {
    const lag = { lists: 2 };
    const scene = await start({}, { listLags: { pushes: lag, tags: lag, deletes: lag } });
    const { ghcr } = scene;
    seed(ghcr.state, NAME, one, 'v1');
    seed(ghcr.state, NAME, two);
    const shown = async () =>
      (await list(scene)).map(({ name, metadata }) => [name, metadata?.container?.tags]);
    const before = [
      [two.digest, []],
      [one.digest, ['v1']],
    ];
    expect(await shown()).toEqual(before);
    await push(pusher(ghcr), NAME, three, 'v1');
    expect(await remove(scene, idOf(scene, two))).toEqual([]);
    expect([await shown(), await shown()]).toEqual([before, before]);
    expect(await shown()).toEqual([
      [three.digest, ['v1']],
      [one.digest, []],
    ]);
  });

  it('hides deletes from lists and single versions for a time of their own', async () => {
    const scene = await start(
      {},
      { listLags: { deletes: { ms: 2000 } }, versionLags: { deletes: { ms: 1000 } } },
    );
    seed(scene.ghcr.state, NAME, one, 'v1');
    seed(scene.ghcr.state, NAME, two);
    const id = idOf(scene, two);
    await remove(scene, id);
    const single = () =>
      failureOf(
        scene.octokit.rest.packages.getPackageVersionForOrganization({
          ...PACKAGE,
          package_version_id: id,
        }),
      );
    expect([(await list(scene)).length, await single()]).toEqual([2, []]);
    expect(await remove(scene, id)).toEqual([404, 'Package not found.']);
    scene.wait(1000);
    expect([(await list(scene)).length, await single()]).toEqual([2, [404, expect.anything()]]);
    scene.wait(1000);
    expect(await list(scene)).toHaveLength(1);
    expect((await list(scene))[0]?.created_at).toBe(OLD);
  });
});
