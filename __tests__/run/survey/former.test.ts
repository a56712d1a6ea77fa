/** A survey where the registry remembers what was deleted. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import type { Lister } from '../../../src/registry/registry.js';
import { cosign, digestTag, image, referrer } from '../../support/builders/build.js';
import { fate } from '../../support/builders/inventories.js';
import { stopClients } from '../../support/clients/client.js';
import { startScene, type Looking } from '../../support/scenes/survey.js';

afterEach(stopClients);

const kept = image('kept');
const deleted = image('deleted');
const elsewhere = image('elsewhere');
const sbom = referrer('sbom', deleted);
const signature = cosign('sig', deleted);
const other = referrer('sbom of another', elsewhere);

async function listed(former: readonly Digest[]) {
  const scene = await startScene();
  let asked = 0;
  const lister: Lister = {
    manifests: async () =>
      new Map([...scene.app.manifests.keys()].map((digest) => [digest as Digest, { tags: [] }])),
    former: async () => {
      asked += 1;
      return new Set(former);
    },
  };
  return {
    ...scene,
    asked: () => asked,
    read: (more: Partial<Looking> = {}) => scene.look([], { lister, ...more }),
  };
}

describe('what describes a manifest that the registry remembers to have deleted', () => {
  it('is an orphan, and a referrer of another one stays', async () => {
    const scene = await listed([deleted.digest]);
    scene.put(kept, 'v1');
    scene.put(sbom);
    scene.put(signature, digestTag(deleted.digest, 'sig'));
    scene.put(other);
    const { plan } = await scene.read();
    expect([sbom, signature, other].map((each) => fate(plan, each))).toEqual([
      'delete: dangling',
      'delete: dangling',
      'keep: dangling-referrer',
    ]);
  });

  it('is still one at the recheck, which does not ask again', async () => {
    const scene = await listed([deleted.digest]);
    scene.put(sbom);
    const first = await scene.read();
    const { plan } = await scene.read({ earlier: first.inventory });
    expect(fate(plan, sbom)).toBe('delete: dangling');
    expect(scene.asked()).toBe(1);
  });
});

describe('the registry', () => {
  it('is asked only where something stays because its subject may live elsewhere', async () => {
    const scene = await listed([]);
    scene.put(kept, 'v1');
    scene.put(image('orphan'));
    await scene.read();
    expect(scene.asked()).toBe(0);
    scene.put(other);
    const { plan } = await scene.read();
    expect(scene.asked()).toBe(1);
    expect(fate(plan, other)).toBe('keep: dangling-referrer');
  });

  it('is not asked where such manifests are deleted anyway', async () => {
    const scene = await listed([]);
    scene.put(other);
    const { plan } = await scene.read({ policy: { danglingReferrers: 'delete' } });
    expect([fate(plan, other), scene.asked()]).toEqual(['delete: dangling', 0]);
  });
});
