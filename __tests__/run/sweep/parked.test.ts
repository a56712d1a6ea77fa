/** Sweeps at a registry that frees the blobs of a manifest with it: they are parked before the first delete. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import { RegistryError } from '../../../src/registry/registry-error.js';
import type { Parking } from '../../../src/registry/registry.js';
import { image, index, type Content } from '../../support/builders/build.js';
import { stopClients } from '../../support/clients/client.js';
import { APP, digests, startScene } from '../../support/scenes/survey.js';
import { current, deletes, old, older, sweep } from '../../support/scenes/sweeping.js';

afterEach(stopClients);

const DAY = 24 * 60 * 60 * 1000;

interface Asked {
  readonly parking: Parking;
  readonly blobs: Digest[];
}

/** @param refuses whether the registry refuses to keep this blob */
function parkingOf(
  refuses: (blob: Digest) => boolean = () => false,
  onPark: () => void = () => undefined,
): Asked {
  const blobs: Digest[] = [];
  return {
    blobs,
    parking: {
      window: DAY,
      park: (repository, blob) => {
        expect(repository).toBe(APP);
        onPark();
        blobs.push(blob);
        return refuses(blob)
          ? Promise.reject(new RegistryError('forbidden', 'no place for it'))
          : Promise.resolve();
      },
    },
  };
}

const blobsOf = (...contents: readonly Content[]): Digest[] =>
  contents.flatMap((content) => [...content.blobs.keys()] as Digest[]);

async function filled(...orphans: readonly Content[]) {
  const scene = await startScene();
  scene.put(current, 'v1');
  orphans.forEach((orphan) => {
    scene.put(orphan);
  });
  return scene;
}

const WHY = 'no place for it [right-missing]';

describe('the blobs of orphans', () => {
  it('are parked, each once, before the first read of the recheck and so before the first delete', async () => {
    const scene = await filled(old, older);
    const before: number[] = [];
    const { parking, blobs } = parkingOf(undefined, () => {
      before.push(scene.registry.requests.length);
    });
    const { deleted, final } = await sweep(scene, [old, older], undefined, { parking });
    expect(deleted).toHaveLength(2);
    expect(blobs.sort()).toEqual([...new Set(blobsOf(old, older))].sort());
    expect(new Set(before)).toEqual(new Set([0]));
    expect(final).toBeUndefined();
  });

  it('are not parked where the manifests could not be saved', async () => {
    const scene = await filled(old);
    const { parking, blobs } = parkingOf();
    const { BackupError } = await import('../../../src/run/backup/backup.js');
    const save = () => Promise.reject(new BackupError('full'));
    const { skipped } = await sweep(scene, [old], undefined, { parking, save });
    expect(skipped).toHaveLength(1);
    expect(blobs).toEqual([]);
  });

  it('are not parked where the run was told to stop', async () => {
    const scene = await filled(old);
    const { parking, blobs } = parkingOf();
    const stop = AbortSignal.abort('SIGTERM');
    await sweep(scene, [old], undefined, { parking, stop });
    expect(blobs).toEqual([]);
    expect(deletes(scene)).toEqual([]);
  });
});

describe('a delete', () => {
  it('is final where one of the blobs could not be parked, and the others are not', async () => {
    const scene = await filled(old, older);
    const [refused] = blobsOf(old).filter((blob) => !blobsOf(older).includes(blob));
    const { parking } = parkingOf((blob) => blob === refused);
    const { deleted, final } = await sweep(scene, [old, older], undefined, { parking });
    expect(deleted).toHaveLength(2);
    expect(final).toEqual(new Map([[old.digest, WHY]]));
  });

  it('is final for an index where that of something in it is', async () => {
    const [child, sibling] = [image('child'), image('sibling')];
    const list = index([child, sibling]);
    const nested = index([list]);
    const scene = await filled(nested);
    const [refused] = blobsOf(child).filter((blob) => !blobsOf(sibling).includes(blob));
    const { parking } = parkingOf((blob) => blob === refused);
    const { final } = await sweep(scene, [nested], undefined, { parking });
    expect(new Set(final?.keys())).toEqual(new Set(digests([child, list, nested])));
  });

  it('is not called final where nothing was deleted after all', async () => {
    const scene = await filled(old);
    const { parking } = parkingOf(() => true);
    const { kept, final } = await sweep(
      scene,
      [old],
      () => {
        scene.put(old, 'again');
      },
      { parking },
    );
    expect(kept).toHaveLength(1);
    expect(final).toBeUndefined();
  });

  it('is final for all of them after three refusals and no success, without more requests', async () => {
    const many = Array.from({ length: 10 }, (_, n) => image(`many ${String(n)}`));
    const scene = await filled(...many);
    const { parking, blobs } = parkingOf(() => true);
    const { deleted, final } = await sweep(scene, many, undefined, { parking, concurrency: 1 });
    expect(deleted).toHaveLength(10);
    expect(blobs).toHaveLength(3);
    expect(new Set(final?.keys())).toEqual(new Set(digests(many)));
    expect(new Set(final?.values())).toEqual(new Set([WHY]));
  });

  it('rejects with a fault of this program, and nothing is deleted', async () => {
    const scene = await filled(old);
    const parking: Parking = { window: DAY, park: () => Promise.reject(new TypeError('ours')) };
    await expect(sweep(scene, [old], undefined, { parking })).rejects.toThrow(TypeError);
    expect(deletes(scene)).toEqual([]);
  });
});
