import { afterEach, describe, expect, it } from '@jest/globals';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { setTag } from '../../support/servers/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { YOUNG } from '../../support/builders/inventories.js';
import { digests, remembered, startScene } from '../../support/scenes/survey.js';
import {
  current,
  old,
  older,
  NOTHING,
  carryOut,
  sweep,
  deletes,
  listing,
} from '../../support/scenes/sweeping.js';

afterEach(stopClients);

describe('a manifest that earlier runs saw', () => {
  it('needs no grace period and no subject at the recheck either, and is not read again', async () => {
    const scene = await startScene();
    const list = index([current]);
    const young = image('young', { created: YOUNG });
    const sbom = referrer('sbom', image('lost'));
    scene.put(list, 'v1');
    scene.put(young);
    scene.put(sbom);
    const known = remembered([list, young, sbom, image('lost')]);
    const outcome = await sweep(scene, [], undefined, { known });
    expect(outcome).toEqual({ ...NOTHING, deleted: digests([young, sbom]).sort() });
    expect(tally(scene.registry)).toEqual({
      // once before and once after
      'GET tags': 2,
      // the child and the two that were deleted
      'HEAD manifest': 3,
      // whether the lost image is still lost, and the tag before and after the deletes
      'GET manifest': 3,
      'GET referrers': 1,
      'DELETE manifest': 2,
    });
  });

  it('keeps its referrers if it was pushed again in the meantime', async () => {
    const scene = await startScene();
    const sbom = referrer('sbom', image('lost'));
    scene.put(sbom);
    const known = remembered([sbom, image('lost')]);
    const outcome = await sweep(
      scene,
      [],
      () => {
        scene.put(image('lost'), 'v1');
      },
      { known },
    );
    const reason = { kind: 'referrer', of: image('lost').digest };
    expect(outcome).toEqual({ ...NOTHING, kept: [{ digest: sbom.digest, reason }] });
  });
});

describe('a referrer that only the registry knows', () => {
  it('is not deleted while the other stays', async () => {
    const scene = await startScene();
    const about = image('about');
    scene.put(current, 'v1');
    scene.put(about);
    scene.put(old);
    scene.registry.intercept(listing(scene, new Map([[current, [about]]])));
    expect(await sweep(scene, [old])).toEqual({ ...NOTHING, deleted: [old.digest] });
    expect(scene.app.manifests.has(about.digest)).toBe(true);
  });

  it('is deleted after the other', async () => {
    const scene = await startScene();
    const about = image('about');
    scene.put(old);
    scene.put(about);
    scene.registry.intercept(listing(scene, new Map([[old, [about]]])));
    expect(await sweep(scene, [old])).toMatchObject({ failed: [], skipped: [] });
    expect(deletes(scene)).toEqual(digests([old, about]));
  });
});

describe('a change between the plan and the recheck', () => {
  it('a tag was put on an orphan: it is kept', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [old, older], () => {
      setTag(scene.app, 'rollback', old.digest);
    });
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: [older.digest],
      kept: [{ digest: old.digest, reason: { kind: 'tagged', tags: ['rollback'] } }],
    });
  });

  it('a tag moved to a new index that holds an orphan: all that it needs is kept', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(referrer('sbom', old));
    const list = index([old, image('new')]);
    const outcome = await sweep(scene, [old, referrer('sbom', old)], () => {
      scene.put(list, 'v1');
    });
    expect(outcome).toEqual({
      ...NOTHING,
      kept: [
        { digest: old.digest, reason: { kind: 'child', of: list.digest } },
        {
          digest: referrer('sbom', old).digest,
          reason: { kind: 'referrer', of: old.digest },
        },
      ],
    });
    expect(deletes(scene)).toEqual([]);
    // Nothing was deleted, so there is nothing to prove.
    expect(tally(scene.registry)['GET tags']).toBe(1);
  });

  it('a tag moved and left a manifest behind: no plan held that, so it is not deleted in this run', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    const outcome = await sweep(scene, [old, current], () => {
      scene.put(image('new'), 'v1');
    });
    expect(outcome.deleted).toEqual([old.digest]);
    expect(scene.app.manifests.has(current.digest)).toBe(true);
  });

  it('a new untagged index came over an orphan child: the child stays', async () => {
    const scene = await startScene();
    const list = index([old]);
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [list, old, older], () => {
      scene.put(list);
    });
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: [older.digest],
      skipped: [
        {
          digest: old.digest,
          why: `${list.digest}, which has to go before it, is still there`,
        },
      ],
    });
  });

  it('a new young index came over an orphan: it is kept', async () => {
    const scene = await startScene();
    const list = index([old, image('new', { created: YOUNG })]);
    scene.put(old);
    const outcome = await sweep(scene, [list, old], () => {
      scene.put(list);
    });
    expect(outcome.kept).toEqual([
      { digest: old.digest, reason: { kind: 'child', of: list.digest } },
    ]);
  });

  it('an orphan got a referrer: no plan held it, so it is not deleted in this run', async () => {
    const scene = await startScene({ referrersApi: true });
    scene.put(old);
    const outcome = await sweep(scene, [old], () => {
      scene.put(referrer('new', old));
    });
    expect(outcome.deleted).toEqual([old.digest]);
    expect(scene.app.manifests.has(referrer('new', old).digest)).toBe(true);
  });

  it.each<[string, Action]>([
    ['a page', { kind: 'html' }],
    ['a page that was not found', { kind: 'html', status: 404 }],
    ['404 in plain text', { kind: 'answer', status: 404, body: '404 page not found\n' }],
    ['404 with a code', errorAnswer(404, 'NOT_FOUND')],
  ])(
    '%s has passed that hid the referrers API: the child that it shows is kept',
    async (_, action) => {
      const scene = await startScene({ referrersApi: true });
      const holder = index([old], { subject: current, artifactType: 'x/y' });
      scene.put(current, 'v1');
      scene.put(holder);
      let questions = 0;
      scene.registry.intercept(
        when(/referrers/, () => {
          questions += 1;
          return questions === 1 ? action : undefined;
        }),
      );
      const survey = await scene.look([old]);
      expect(survey.plan.orphans.map(({ digest }) => digest)).toEqual([old.digest]);
      const outcome = await carryOut(survey, digests([old]), scene.options());
      expect(outcome).toEqual({
        ...NOTHING,
        kept: [{ digest: old.digest, reason: { kind: 'child', of: holder.digest } }],
      });
      expect(deletes(scene)).toEqual([]);
    },
  );

  it('the referrers API seems to be gone: nothing is deleted', async () => {
    const scene = await startScene({ referrersApi: true });
    scene.put(old);
    const outcome = await sweep(scene, [old], () => {
      scene.registry.intercept(when(/referrers/, { kind: 'html', status: 404 }));
    });
    expect(outcome).toMatchObject({
      deleted: [],
      skipped: [{ digest: old.digest, why: expect.stringContaining('looking again') }],
    });
  });

  it('an orphan went by itself', async () => {
    const scene = await startScene();
    scene.put(old);
    const outcome = await sweep(scene, [old], () => {
      scene.app.manifests.delete(old.digest);
    });
    expect(outcome).toEqual({ ...NOTHING, gone: [old.digest] });
  });

  it('a digest tag went: its target is an orphan all the same', async () => {
    const scene = await startScene();
    const sig = cosign('sig', old);
    scene.put(old);
    scene.put(sig, digestTag(old.digest, 'sig'));
    const outcome = await sweep(scene, [old], () => {
      scene.app.tags.clear();
    });
    expect(new Set(outcome.deleted)).toEqual(new Set(digests([old, sig])));
    expect(scene.app.manifests.size).toBe(0);
  });

  it('a digest tag went, and only it told of an index: the index still goes before its child', async () => {
    const scene = await startScene();
    const sbom = referrer('sbom', old);
    const list = index([sbom]);
    scene.put(old);
    scene.put(list, digestTag(old.digest));
    const outcome = await sweep(scene, [old, sbom], () => {
      scene.app.tags.clear();
    });
    expect(outcome.deleted).toHaveLength(3);
    expect(deletes(scene).indexOf(list.digest)).toBeLessThan(deletes(scene).indexOf(sbom.digest));
  });

  it.each(['sig', 'att'] as const)('a .%s tag tied two orphans together: both go', async (role) => {
    // Whichever of the two comes first by digest, one of the two ties turns the order around.
    for (const [one, two] of [
      [old, older],
      [older, old],
    ] as const) {
      const scene = await startScene();
      scene.put(one);
      scene.put(two);
      const outcome = await sweep(scene, [one, two], () => {
        setTag(scene.app, digestTag(one.digest, role), two.digest);
      });
      expect(outcome).toEqual({ ...NOTHING, deleted: digests([one, two]) });
    }
  });

  it.each<[string, RegExp, Action, string]>([
    ['the list of tags', /tags\/list/, { kind: 'html' }, 'the list of tags'],
    ['a new tag', /GET .*manifests\/new$/, errorAnswer(403, 'DENIED'), 'tag new'],
  ])('%s could not be read: nothing is deleted', async (_, pattern, action, what) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [old, older], () => {
      scene.put(image('new'), 'new');
      scene.registry.intercept(when(pattern, action));
    });
    const why = expect.stringMatching(
      `^looking again before the deletes, ${what} could not be read: .`,
    );
    expect(outcome).toEqual({
      ...NOTHING,
      skipped: digests([old, older])
        .sort()
        .map((digest) => ({ digest, why })),
    });
    expect(deletes(scene)).toEqual([]);
  });
});
