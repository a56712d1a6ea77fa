/** What describes something that is gone, where the registry tells what was deleted there. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { RequestFailure } from '../../../src/http/message.js';
import type { Digest } from '../../../src/oci/digest.js';
import type { Lister } from '../../../src/registry/registry.js';
import { cosign, digestTag, image, referrer } from '../../support/builders/build.js';
import { fates } from '../../support/builders/inventories.js';
import { stopClients } from '../../support/clients/client.js';
import { digests, startScene, type Looking, type Scene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const kept = image('kept');
const gone = image('gone');
const elsewhere = image('elsewhere');
const [sbom, other] = [referrer('sbom', gone), referrer('sbom', elsewhere)];
const [signature, others] = [cosign('sig', gone), cosign('sig', elsewhere)];
const contents = { sbom, signature, other, others };
const KEPT = {
  sbom: 'keep: dangling-referrer',
  signature: 'keep: dangling-digest-tag',
  other: 'keep: dangling-referrer',
  others: 'keep: dangling-digest-tag',
};

/** @param deleted as the registry tells it; absent: it doesn't */
async function start(deleted?: () => Promise<ReadonlySet<Digest>>) {
  const scene = await startScene();
  scene.put(kept, 'v1');
  scene.put(sbom);
  scene.put(signature, digestTag(gone.digest, 'sig'));
  scene.put(other);
  scene.put(others, digestTag(elsewhere.digest, 'sig'));
  let asked = 0;
  const lister: Lister = {
    manifests: async () => listing(scene),
    ...(deleted === undefined
      ? {}
      : {
          deleted: () => {
            asked += 1;
            return deleted();
          },
        }),
  };
  const look = (more: Partial<Looking> = {}) => scene.look([], { lister, ...more });
  return { scene, look, asked: () => asked };
}

function listing({ app }: Scene) {
  return new Map([...app.manifests.keys()].map((digest) => [digest as Digest, { tags: [] }]));
}

describe('what describes something that is gone', () => {
  it('is an orphan if the registry tells that its subject was deleted there', async () => {
    const { look, asked } = await start(async () => new Set([...digests([gone]), kept.digest]));
    const { plan } = await look();
    expect(fates(plan, contents)).toEqual({
      ...KEPT,
      sbom: 'delete: dangling',
      signature: 'delete: dangling',
    });
    expect(asked()).toBe(1);
  });

  it('is an orphan at the recheck too, which does not ask again', async () => {
    const { look, asked } = await start(async () => new Set([gone.digest]));
    const { inventory } = await look();
    const { plan } = await look({ earlier: inventory });
    expect(fates(plan, contents)).toMatchObject({ sbom: 'delete: dangling', other: KEPT.other });
    expect(asked()).toBe(1);
  });

  it.each<[string, (() => Promise<ReadonlySet<Digest>>) | undefined]>([
    ['the registry does not tell what was deleted', undefined],
    ['its subject was not deleted there', async () => new Set()],
    [
      'what was deleted can not be read',
      () => Promise.reject(new RequestFailure('not for this token', 'unexpected-answer')),
    ],
  ])('is kept if %s', async (_, deleted) => {
    const { look } = await start(deleted);
    const { plan, inventory } = await look();
    expect(fates(plan, contents)).toEqual(KEPT);
    expect(inventory.gaps).toEqual([]);
  });

  it('is no reason to ask where it would go in any case, or where there is none', async () => {
    const { scene, look, asked } = await start(async () => new Set());
    await look({ policy: { danglingReferrers: 'delete' } });
    [sbom, signature, other, others].forEach(({ digest }) => scene.app.manifests.delete(digest));
    scene.app.tags.clear();
    scene.put(kept, 'v1');
    await look();
    expect(asked()).toBe(0);
  });

  it('does not hide a fault of this program', async () => {
    const { look } = await start(() => Promise.reject(new TypeError('a mistake')));
    await expect(look()).rejects.toThrow('a mistake');
  });
});
