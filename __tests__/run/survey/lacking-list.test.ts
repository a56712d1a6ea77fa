/** A survey of a registry whose list lacks what was pushed by digest alone, as Pulp's does. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Lister } from '../../../src/registry/registry.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';
import { image, index, referrer, type Content } from '../../support/builders/build.js';
import { jsonAnswer, stopClients, when } from '../../support/clients/client.js';
import { startScene, type Scene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const kept = image('kept');
const old = image('old');
const sbom = referrer('sbom', old);

/** A list of all that is there, but for these. */
const listerWithout = (scene: Scene, ...hidden: readonly Content[]): Lister => ({
  lacks: 'digest-pushes',
  manifests: () =>
    Promise.resolve(
      new Map(
        [...scene.app.manifests.keys()]
          .filter((digest) => !hidden.some((content) => content.digest === digest))
          .map((digest) => [digest as Content['digest'], { tags: [] }]),
      ),
    ),
});

async function filled() {
  const scene = await startScene();
  scene.put(kept, 'v1');
  scene.put(old);
  scene.put(sbom);
  return scene;
}

const orphansOf = ({ plan }: Awaited<ReturnType<Scene['look']>>) =>
  new Set(plan.orphans.map(({ digest }) => digest));

describe('a list that lacks manifests which the registry serves', () => {
  it('is no gap, and its orphans are found', async () => {
    const scene = await filled();
    const survey = await scene.look([], { lister: listerWithout(scene, sbom) });
    expect(survey.inventory.gaps).toEqual([]);
    expect(orphansOf(survey)).toEqual(new Set([old.digest]));
  });

  it('is joined by what an input names', async () => {
    const scene = await filled();
    const survey = await scene.look([sbom], { lister: listerWithout(scene, sbom) });
    expect(survey.inventory.gaps).toEqual([]);
    expect(orphansOf(survey)).toEqual(new Set([old.digest, sbom.digest]));
  });

  it('is joined by what the bodies of others name: an index that an input names keeps its child', async () => {
    const scene = await filled();
    const list = index([old]);
    scene.put(list);
    const found = await scene.look([list], {
      lister: listerWithout(scene, list),
      policy: { keepUntagged: 1 },
    });
    expect(found.plan.keep.map(({ digest }) => digest)).toEqual(
      expect.arrayContaining([list.digest, old.digest]),
    );
  });

  it('is joined by what the referrers API names, where there is one', async () => {
    const scene = await filled();
    scene.registry.intercept(
      when(/referrers/, ({ path }) =>
        jsonAnswer(
          { manifests: path.endsWith(old.digest) ? [sbom.descriptor] : [] },
          { 'Content-Type': OCI_INDEX },
        ),
      ),
    );
    const survey = await scene.look([], { lister: listerWithout(scene, sbom) });
    expect(orphansOf(survey)).toEqual(new Set([old.digest, sbom.digest]));
  });

  it('is still a gap where it has a manifest that the registry does not know', async () => {
    const scene = await filled();
    const ghost = image('ghost');
    const lister = listerWithout(scene, sbom);
    const manifests: Lister['manifests'] = async (repository) =>
      new Map([...(await lister.manifests(repository)), [ghost.digest, { tags: [] }]]);
    const { inventory } = await scene.look([], { lister: { ...lister, manifests } });
    expect(inventory.gaps).toMatchObject([{ why: expect.stringContaining(ghost.digest) }]);
  });
});
