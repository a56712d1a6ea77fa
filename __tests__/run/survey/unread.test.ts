/** The reads of a survey where the registry lists its manifests with their tags: what is in use first, and no more. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import { OCI_MANIFEST } from '../../../src/oci/media-types.js';
import type { Listed, Listing } from '../../../src/registry/registry.js';
import {
  digestTag,
  fallbackIndex,
  image,
  index,
  referrer,
  type Content,
} from '../../support/builders/build.js';
import { fate } from '../../support/builders/inventories.js';
import { stopClients, tally } from '../../support/clients/client.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import {
  digests,
  remembered,
  startScene,
  type Looking,
  type Scene,
} from '../../support/scenes/survey.js';
import { setTag } from '../../support/servers/memory/state.js';

afterEach(stopClients);

const [amd, arm] = [image('amd'), image('arm')];
const multi = index([amd, arm]);
const old = image('old');

interface ListedScene extends Scene {
  /** @param edit changes the list on its way */
  readonly read: (more?: Partial<Looking>) => ReturnType<Scene['look']>;
}

async function listed(edit: (list: Listing) => Listing = (list) => list): Promise<ListedScene> {
  const scene = await startScene();
  const manifests = async () =>
    edit(
      new Map(
        [...scene.app.manifests.keys()].map((digest) => {
          const tags = [...scene.app.tags].filter(([, target]) => target === digest);
          return [digest as Digest, { tags: tags.map(([tag]) => tag) }];
        }),
      ),
    );
  return { ...scene, read: (more) => scene.look([], { lister: { manifests }, ...more }) };
}

/** What was read of these contents, by GET. */
function readsOf({ registry }: Scene, ...contents: readonly Content[]): number[] {
  return contents.map(
    ({ digest }) =>
      registry.requests.filter(({ method, path }) => method === 'GET' && path.endsWith(digest))
        .length,
  );
}

describe('children of a tagged index', () => {
  it('stay unread while nothing looks like an orphan, and count as there', async () => {
    const scene = await listed();
    scene.put(multi, 'v1', 'latest');
    const { inventory, plan } = await scene.read();
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
    expect(inventory.unread).toEqual(new Set(digests([amd, arm])));
    expect(plan.keep.map(({ digest }) => digest)).toEqual([multi.digest]);
  });

  it('are read once something looks like an orphan, each once', async () => {
    const scene = await listed();
    scene.put(multi, 'v1');
    scene.put(index([old]));
    const { inventory, plan } = await scene.read();
    expect(tally(scene.registry)).toMatchObject({ 'GET manifest': 5 });
    expect(inventory.unread).toBeUndefined();
    expect(plan.orphans).toHaveLength(2);
  });

  it('save their subject, which looks like an orphan', async () => {
    const scene = await listed();
    const part = referrer('sbom', old);
    scene.put(old);
    scene.put(index([amd, part]), 'v1');
    const { plan } = await scene.read();
    expect(fate(plan, old)).toBe('keep: subject');
  });

  it('are read at once where the index calls them indexes, and their own children are not', async () => {
    const scene = await listed();
    const outer = index([multi, old]);
    scene.put(outer, 'v1');
    const { inventory } = await scene.read();
    expect(readsOf(scene, outer, multi, amd, arm, old)).toEqual([1, 1, 0, 0, 0]);
    expect(inventory.unread).toEqual(new Set(digests([amd, arm, old])));
  });

  it('keep their own children where the index calls an index an image', async () => {
    const scene = await listed();
    const outer = index([
      { ...multi, descriptor: { ...multi.descriptor, mediaType: OCI_MANIFEST } },
    ]);
    scene.put(outer, 'v1');
    const { plan } = await scene.read();
    expect(plan.orphans).toEqual([]);
    expect(fate(plan, amd)).toBe('keep: child');
  });

  it('are read at once where they are not listed', async () => {
    const scene = await listed(
      (list) => new Map([...list].filter(([each]) => each !== arm.digest)),
    );
    scene.put(multi, 'v1');
    await scene.read();
    expect(readsOf(scene, amd, arm)).toEqual([0, 1]);
  });

  it('cost nothing where the ledger remembers them', async () => {
    const scene = await listed();
    scene.put(multi, 'v1');
    const { inventory } = await scene.read({ known: remembered([multi]) });
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1 });
    expect([...inventory.manifests.keys()].sort()).toEqual(digests([multi, amd, arm]).sort());
  });
});

describe('the entries of a fallback tag', () => {
  it('are read, because they alone tell whether the tag is one', async () => {
    const scene = await listed();
    const sbom = referrer('sbom', old);
    const list = fallbackIndex([sbom]);
    scene.put(multi, 'v1');
    scene.put(old);
    scene.put(list, digestTag(old.digest));
    const { plan } = await scene.read();
    expect(new Set(plan.orphans.map(({ digest }) => digest))).toEqual(
      new Set(digests([old, sbom, list])),
    );
  });

  it('are read also where nothing else looks like an orphan', async () => {
    const scene = await listed();
    const sbom = referrer('sbom', multi);
    scene.put(multi, 'v1');
    scene.put(fallbackIndex([sbom]), digestTag(multi.digest));
    await scene.read();
    expect(readsOf(scene, sbom, amd)).toEqual([1, 0]);
  });
});

describe('the tags', () => {
  it('are read by the digests of the list, one read for two tags on one manifest', async () => {
    const scene = await listed();
    scene.put(old, 'v1', 'v2', 'v3');
    const { inventory } = await scene.read();
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
    expect(readsOf(scene, old)).toEqual([1]);
    expect([...inventory.tags.keys()]).toEqual(['v1', 'v2', 'v3']);
  });

  it('are those of both lists: one that only the tag list has is read by its name', async () => {
    const scene = await listed((list) => new Map([...list].map(([each]) => [each, { tags: [] }])));
    scene.put(old, 'v1');
    const { plan } = await scene.read();
    expect(fate(plan, old)).toBe('keep: tagged');
  });

  it('are asked for by name where the manifest of the list is not there', async () => {
    const ghost = image('ghost');
    const scene = await listed((list) => {
      const rows = [...list].map(([each]) => [each, { tags: [] }] as const);
      return new Map<Digest, Listed>([...rows, [ghost.digest, { tags: ['v1'] }]]);
    });
    scene.put(old, 'v1');
    const { inventory } = await scene.read();
    expect(inventory.tags.get('v1')).toBe(old.digest);
  });

  it('cost one HEAD each at a recheck, and a GET where one has moved', async () => {
    const scene = await listed(
      (list) =>
        // It lags: the tag that moved still stands where it stood.
        new Map(
          [...list].map(([digest, { tags }]) => {
            const stays = tags.filter((tag) => tag !== 'moved');
            return [digest, { tags: digest === amd.digest ? [...stays, 'moved'] : stays }];
          }),
        ),
    );
    scene.put(amd, 'moved');
    scene.put(arm, 'stays');
    scene.put(old);
    const first = await scene.read();
    expect(fate(first.plan, old)).toBe('delete: unreachable');
    setTag(scene.app, 'moved', old.digest);
    scene.registry.requests.length = 0;
    const { plan } = await scene.read({ earlier: first.inventory });
    expect(fate(plan, old)).toBe('keep: tagged');
    expect(tally(scene.registry)).toMatchObject({ 'GET manifest': 1, 'HEAD manifest': 3 });
  });
});

describe('a tag whose manifest is not there yet', () => {
  it('is asked for again with growing pauses, since the list may lag behind pushes', async () => {
    const scene = await listed();
    const clock = fakeClock({ auto: true });
    const pushed = index([old]);
    scene.put(old);
    scene.put(pushed, 'new');
    const late = clock.now() + 10_000;
    scene.registry.intercept(({ path }) =>
      clock.now() < late && /manifests\/(?:new|sha256)/.test(path) && !path.endsWith(old.digest)
        ? { kind: 'answer', status: 404, body: '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}' }
        : undefined,
    );
    const hidden = async () => new Map([[old.digest, { tags: [] }]]);
    const { plan } = await scene.read({ clock, lister: { manifests: hidden } });
    expect(clock.slept.slice(0, 3)).toEqual([500, 2000, 8000]);
    expect(plan.orphans).toEqual([]);
  });
});
