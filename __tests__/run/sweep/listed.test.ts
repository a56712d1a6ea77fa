/** Sweeps where the registry lists its manifests, and that list tells that one is gone. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { sweepRepository, type SweepOptions } from '../../../src/run/sweep.js';
import type { Digest } from '../../../src/oci/digest.js';
import { RegistryError } from '../../../src/registry/registry-error.js';
import type { Listing } from '../../../src/registry/registry.js';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import { endsOf } from '../../support/builders/fates.js';
import { NOW } from '../../support/builders/inventories.js';
import { stopClients } from '../../support/clients/client.js';
import { fakeClock, type FakeClock } from '../../support/scenes/fake-clock.js';
import { digests, startScene, type Looking, type Scene } from '../../support/scenes/survey.js';
import { deletes, NOTHING } from '../../support/scenes/sweeping.js';

afterEach(stopClients);

const MINUTE = 60_000;

const current = image('current');
const [old, older] = [image('old'), image('older')];
const list = index([old]);
const other = index([older]);

interface Listed {
  readonly scene: Scene;
  readonly clock: FakeClock;
  /** how often the list was read */
  readonly reads: () => number;
  readonly sweep: (more?: Partial<Looking>) => Promise<ReturnType<typeof endsOf>>;
}

/** @param lag milliseconds for which the list still shows what was deleted */
async function listed(lag = 0): Promise<Listed> {
  const scene = await startScene();
  const clock = fakeClock({ auto: true }, NOW);
  const shown = new Map<Digest, number>();
  let reads = 0;
  const manifests = async (): Promise<Listing> => {
    reads += 1;
    scene.app.manifests.forEach((_, digest) => shown.set(digest as Digest, clock.now()));
    const isShown = ([digest, last]: [Digest, number]) =>
      scene.app.manifests.has(digest) || last > clock.now() - lag;
    const tagged = [...scene.app.tags];
    return new Map(
      [...shown].filter(isShown).map(([digest]) => {
        const tags = tagged.filter(([, target]) => target === digest).map(([tag]) => tag);
        return [digest, { tags }] as const;
      }),
    );
  };
  return {
    scene,
    clock,
    reads: () => reads,
    async sweep(more = {}) {
      const looking = { lister: { manifests }, list: manifests, clock, ...more };
      const survey = await scene.look([], looking);
      scene.registry.requests.length = 0;
      reads = 0;
      return endsOf(await sweepRepository(survey, [], scene.options(looking)));
    },
  };
}

describe('a list that tells what is gone', () => {
  it('confirms all deletes at once, with the recheck that follows them', async () => {
    const { scene, reads, sweep } = await listed();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(older);
    expect(await sweep()).toMatchObject({ ...NOTHING, deleted: digests([old, older]).sort() });
    expect(reads()).toBe(2);
  });

  it('lets the parts of an index follow once it is no longer listed', async () => {
    const { scene, reads, sweep } = await listed();
    scene.put(list);
    scene.put(other);
    const outcome = await sweep();
    expect(outcome).toMatchObject({ failed: [], skipped: [] });
    expect(outcome.deleted.slice(0, 2).sort()).toEqual(digests([list, other]).sort());
    expect(outcome.deleted).toHaveLength(4);
    expect(reads()).toBe(3);
  });

  it('is read again for up to a minute where it lags', async () => {
    const { scene, clock, sweep } = await listed(20_000);
    scene.put(list);
    expect(await sweep()).toMatchObject({ ...NOTHING, deleted: digests([list, old]) });
    expect(clock.slept).toContain(8_000);
  });

  it('is read again as long where it lags behind a DELETE that is answered with 404, sent again after a lost answer', async () => {
    const { scene, sweep } = await listed(20_000);
    scene.put(list);
    const deleter = {
      deleteManifest: async (_: string, digest: Digest) => {
        scene.app.manifests.delete(digest);
        return 'gone' as const;
      },
    };
    expect(await sweep({ deleter })).toMatchObject({
      ...NOTHING,
      gone: digests([list, old]),
    });
  });

  it('gives later deletes a minute of their own', async () => {
    const { scene, sweep } = await listed(40_000);
    scene.put(index([list]));
    expect(await sweep()).toMatchObject({ failed: [], skipped: [], broken: [] });
    expect(scene.app.manifests.size).toBe(0);
  });

  it('fails what it still shows after a minute, and leaves its parts', async () => {
    const { scene, sweep } = await listed();
    scene.put(list);
    const deleter = { deleteManifest: async () => 'deleted' as const };
    expect(await sweep({ deleter })).toMatchObject({
      deleted: [],
      failed: [{ digest: list.digest, why: expect.stringContaining('still there') }],
      skipped: [{ digest: old.digest }],
    });
  });

  it('fails every delete where it can not be read again, and says why', async () => {
    const { scene, sweep } = await listed();
    scene.put(old);
    const stop = new AbortController();
    const { deleter } = scene;
    const refused = async () => {
      throw new RegistryError('unexpected', 'no list today');
    };
    const outcome = await sweep({
      list: refused,
      stop: stop.signal,
      deleter: {
        async deleteManifest(...given) {
          const result = await deleter.deleteManifest(...given);
          stop.abort('SIGTERM');
          return result;
        },
      },
    });
    expect(outcome).toMatchObject({
      deleted: [],
      failed: [{ digest: old.digest, why: expect.stringContaining('no list today') }],
    });
  });

  it('confirms what was deleted before the run was stopped', async () => {
    const { scene, sweep } = await listed();
    scene.put(old);
    const stop = new AbortController();
    const deleter: SweepOptions['deleter'] = {
      async deleteManifest(...given) {
        const result = await scene.deleter.deleteManifest(...given);
        stop.abort('SIGTERM');
        return result;
      },
    };
    expect(await sweep({ deleter, stop: stop.signal })).toMatchObject({
      deleted: [old.digest],
      failed: [],
    });
  });
});

describe('an orphan that another run has deleted since', () => {
  it('is gone, without a DELETE, where the list no longer has it', async () => {
    const { scene, sweep } = await listed();
    scene.put(old);
    scene.put(older);
    const save = async () => {
      scene.app.manifests.delete(old.digest);
    };
    expect(await sweep({ save })).toMatchObject({ gone: [old.digest], deleted: [older.digest] });
    expect(deletes(scene)).toEqual([older.digest]);
  });
});

describe('the time between two rechecks', () => {
  it.each<[number | undefined, number]>([
    [undefined, 3],
    [MINUTE, 2],
  ])('is what the deleter asks for: with %s ms, %d lists are read', async (recheckEvery, count) => {
    const { scene, clock, reads, sweep } = await listed();
    scene.put(old);
    scene.put(older);
    const deleter: SweepOptions['deleter'] = {
      ...(recheckEvery === undefined ? {} : { recheckEvery }),
      async deleteManifest(repository, digest) {
        await clock.sleep(11_000);
        return scene.deleter.deleteManifest(repository, digest);
      },
    };
    const { deleted } = await sweep({ deleter, concurrency: 1 });
    expect([deleted.length, reads()]).toEqual([2, count]);
  });
});

describe('a manifest that no run can delete', () => {
  const sbom = referrer('sbom', list);
  const signature = cosign('sig', old);

  it('stays with all that has to go after it, and all others are deleted', async () => {
    const { scene, sweep } = await listed();
    scene.put(list);
    scene.put(sbom);
    scene.put(signature, digestTag(old.digest, 'sig'));
    scene.put(other);
    const deleter: SweepOptions['deleter'] = {
      async deleteManifest(repository, digest) {
        if (digest === list.digest) {
          throw new RegistryError('undeletable', 'the last one');
        }
        return scene.deleter.deleteManifest(repository, digest);
      },
    };
    const outcome = await sweep({ deleter });
    expect(outcome).toMatchObject({
      deleted: digests([other, older]),
      failed: [],
      skipped: [],
      undeletable: [{ digest: list.digest, why: 'the last one [undeletable]' }],
    });
    expect(new Map(outcome.kept.map(({ digest, reason }) => [digest, reason]))).toEqual(
      new Map([
        [old.digest, { kind: 'child', of: list.digest }],
        [sbom.digest, { kind: 'referrer', of: list.digest }],
        [
          signature.digest,
          { kind: 'digest-tag', tag: digestTag(old.digest, 'sig'), of: old.digest },
        ],
      ]),
    );
  });
});

describe('a quota', () => {
  const until = NOW + MINUTE;

  it('ends the deletes when it is used up: the rest is for a later run, and nothing has failed', async () => {
    const { scene, sweep } = await listed();
    scene.put(current, 'v1');
    scene.put(list);
    scene.put(other);
    const budget = { left: () => ({ deletes: Math.max(0, 2 - deletes(scene).length), until }) };
    const outcome = await sweep({ budget, concurrency: 1 });
    expect(outcome).toMatchObject({ failed: [], skipped: [], broken: [], unverified: false });
    expect([...outcome.deleted].sort()).toEqual(digests([list, other]).sort());
    expect([...outcome.postponed].sort()).toEqual(digests([old, older]).sort());
  });

  it('that was used up before lets nothing begin', async () => {
    const { scene, reads, sweep } = await listed();
    scene.put(old);
    expect(await sweep({ budget: { left: () => ({ deletes: 0, until }) } })).toMatchObject({
      deleted: [],
      postponed: [old.digest],
    });
    expect([deletes(scene), reads()]).toEqual([[], 0]);
  });

  it('nobody knows of holds nothing up', async () => {
    const { scene, sweep } = await listed();
    scene.put(old);
    expect(await sweep({ budget: { left: () => undefined } })).toMatchObject({
      deleted: [old.digest],
    });
  });
});
