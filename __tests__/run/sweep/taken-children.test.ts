/** Sweeps at a registry whose delete of an index also deletes what it lists. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Deleter } from '../../../src/registry/registry.js';
import { image, index } from '../../support/builders/build.js';
import { NOW } from '../../support/builders/inventories.js';
import { stopClients } from '../../support/clients/client.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { digests, startScene, type Scene } from '../../support/scenes/survey.js';
import { current, NOTHING, older, sweep } from '../../support/scenes/sweeping.js';

afterEach(stopClients);

const MINUTE = 60_000;
const [child, sibling] = [image('child'), image('sibling')];
const list = index([child, sibling]);

/** Each delete takes so long that a recheck follows it. @param lost manifests that go with the index */
function takingAlong(scene: Scene, lost = [child, sibling]): Pick<Deleter, 'deleteManifest'> {
  return {
    deleteManifest: async (repository, digest, options) => {
      const result = await scene.deleter.deleteManifest(repository, digest, options);
      if (digest === list.digest) {
        lost.forEach((content) => scene.app.manifests.delete(content.digest));
      }
      return result;
    },
  };
}

async function filled() {
  const scene = await startScene();
  scene.put(current, 'v1');
  scene.put(list);
  scene.put(older);
  const clock = fakeClock({ auto: true }, NOW);
  const slow =
    (deleter: Pick<Deleter, 'deleteManifest'>): Deleter['deleteManifest'] =>
    async (...asked) => {
      const result = await deleter.deleteManifest(...asked);
      await clock.sleep(MINUTE);
      return result;
    };
  return { scene, clock, slow };
}

describe('a child that the delete of its index took along', () => {
  it('counts as deleted by this run where a recheck no longer finds it', async () => {
    const { scene, clock, slow } = await filled();
    const deleter = { takesChildren: true as const, deleteManifest: slow(takingAlong(scene)) };
    const ends = await sweep(scene, [list, older], undefined, { deleter, clock, concurrency: 1 });
    expect(new Set(ends.deleted)).toEqual(new Set(digests([list, child, sibling, older])));
    expect(ends.gone).toEqual([]);
  });

  it('counts as gone already at a registry that takes none along', async () => {
    const { scene, clock, slow } = await filled();
    const deleter = { deleteManifest: slow(takingAlong(scene)) };
    const ends = await sweep(scene, [list, older], undefined, { deleter, clock, concurrency: 1 });
    expect(new Set(ends.gone)).toEqual(new Set(digests([child, sibling])));
  });

  it('is not mistaken for a manifest that another run deleted', async () => {
    const { scene } = await filled();
    const deleter = { takesChildren: true as const, ...takingAlong(scene, []) };
    const ends = await sweep(
      scene,
      [older],
      () => {
        scene.app.manifests.delete(older.digest);
      },
      { deleter },
    );
    expect(ends).toEqual({ ...NOTHING, gone: [older.digest] });
  });
});
