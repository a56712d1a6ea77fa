import { afterEach, describe, expect, it } from '@jest/globals';
import { image, index } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { setTag } from '../../support/servers/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { childGone, digests, startScene, type Looking } from '../../support/scenes/survey.js';
import { current, old, NOTHING, carryOut, sweep } from '../../support/scenes/sweeping.js';

afterEach(stopClients);

describe('push-heals: a manifest that verify finds missing', () => {
  it('is part of the outcome', async () => {
    const scene = await startScene();
    const child = image('child');
    const kept = index([child, current]);
    scene.put(kept, 'v1');
    scene.put(old);
    // A registry that takes more than it was told to.
    scene.registry.intercept(
      when(/^DELETE/, {
        kind: 'pass',
        after: () => {
          scene.app.manifests.delete(child.digest);
        },
      }),
    );
    expect(await sweep(scene, [old])).toEqual({
      ...NOTHING,
      deleted: [old.digest],
      broken: [{ what: `manifest ${child.digest}`, why: childGone(kept, 'v1') }],
    });
  });

  const list = index([old]);
  /** A push brings an index over what is deleted at this moment. */
  async function cameIntoUse(more: Partial<Looking> = {}, refusesPushes = false) {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.registry.intercept(({ method }) => {
      if (method === 'DELETE') {
        const { digest, mediaType, bytes } = list;
        return {
          kind: 'pass',
          after: () => {
            scene.app.manifests.set(digest, { mediaType, bytes });
            setTag(scene.app, 'late', digest);
          },
        };
      }
      return method === 'PUT' && refusesPushes ? errorAnswer(403, 'DENIED') : undefined;
    });
    const outcome = await carryOut(
      await scene.look([old], more),
      digests([old]),
      scene.options(more),
    );
    return { scene, outcome };
  }

  it('is restored if a new index lists it as a child in the meantime', async () => {
    const { scene, outcome } = await cameIntoUse();
    expect(outcome).toEqual({ ...NOTHING, restored: [old.digest] });
    expect(scene.app.manifests.get(old.digest)?.bytes).toEqual(old.bytes);
  });

  it('is reported if it can not be restored', async () => {
    const { outcome } = await cameIntoUse({}, true);
    expect(outcome.deleted).toEqual([old.digest]);
    expect(outcome.broken).toEqual([
      { what: `manifest ${old.digest}`, why: expect.stringMatching(/gone.*could not.*403/) },
    ]);
  });

  it('is neither looked for nor restored without `verify`', async () => {
    const { scene, outcome } = await cameIntoUse({ verify: false });
    expect(outcome).toEqual({ ...NOTHING, deleted: [old.digest] });
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });

  it.each<[string, Action]>([
    ['no answer', { kind: 'reset' }],
    ['a failure', errorAnswer(500, 'UNKNOWN')],
    ['no answer at first, and then that it is gone', { kind: 'reset' }],
  ])('is restored, too, when the delete had %s', async (what, action) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.registry.intercept(
      when(/^DELETE/, ({ attempt }) => {
        if (attempt === 1) {
          scene.app.manifests.delete(old.digest);
          const { digest, mediaType, bytes } = list;
          scene.app.manifests.set(digest, { mediaType, bytes });
          setTag(scene.app, 'late', digest);
        }
        return attempt > 1 && what.endsWith('gone') ? undefined : action;
      }),
    );
    expect(await sweep(scene, [old])).toEqual({ ...NOTHING, restored: [old.digest] });
  });
});
