/** What a run that was cut off leaves of an image that it had deleted: GitHub remembers what lived in a package. */
import { expect, it } from '@jest/globals';

import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  referrer,
} from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  digestsOf,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';

const kept = image('kept');
const [amd, arm] = [image('amd'), image('arm')];
const deleted = index([amd, arm]);
const sbom = referrer('sbom', deleted);
const fallback = fallbackIndex([sbom]);
const signature = cosign('sig', amd);
const bare = referrer('bare', arm);
/** It describes an image of another package. */
const foreign = cosign('sig', image('of another package'));

async function signed() {
  const scene = await startScene();
  seed(scene.state, REPOSITORY, kept, 'latest');
  seed(scene.state, REPOSITORY, deleted);
  seed(scene.state, REPOSITORY, fallback, digestTag(deleted.digest));
  seed(scene.state, REPOSITORY, signature, digestTag(amd.digest, 'sig'));
  seed(scene.state, REPOSITORY, bare);
  seed(scene.state, REPOSITORY, foreign, digestTag(image('of another package').digest, 'sig'));
  return scene;
}

it.each([1, 2, 3, 4, 5, 6])(
  'a run goes on where one stopped after %d deletes for want of quota, signatures too',
  async (deletes) => {
    const scene = await signed();
    // The reserve, two lists for each recheck and the end, the survey and the first recheck.
    scene.quota.set({ remaining: 100 + 4 + 1 + 4 + deletes });
    const { green, run: first } = await cleanScene(scene, { concurrency: 1 });
    expect(green).toBe(true);
    const fates = [...(first?.repositories[0]?.fates.values() ?? [])].map(({ kind }) => kind);
    expect(fates.filter((kind) => kind === 'postponed').length).toBeGreaterThan(0);
    scene.quota.set({ remaining: 1000 });
    expect((await cleanScene(scene)).green).toBe(true);
    expect(standing(scene)).toEqual(digestsOf(kept, foreign));
  },
);

it('a signature stays where the deleted versions can not be listed', async () => {
  const scene = await signed();
  const { manifests } = scene.state.repositories.get(REPOSITORY) ?? {};
  [deleted, amd, arm].forEach(({ digest }) => manifests?.delete(digest));
  scene.apiIntercept(({ path }) =>
    path.includes('state=deleted') ? { kind: 'answer', status: 500 } : undefined,
  );
  const { green } = await cleanScene(scene);
  expect(green).toBe(true);
  expect(standing(scene).has(signature.digest)).toBe(true);
});
