import { afterEach, describe, expect, it } from '@jest/globals';
import { TooLate } from '../../../src/http/stop.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { setTag } from '../../support/servers/memory/state.js';
import { errorAnswer, stopClients } from '../../support/clients/client.js';
import { NOW } from '../../support/builders/inventories.js';
import { digests, remembered, startScene, type Scene } from '../../support/scenes/survey.js';
import { current, old, NOTHING, carryOut, listing } from '../../support/scenes/sweeping.js';
import {
  SECOND,
  orphans,
  slow,
  script,
  steps,
  first,
  second,
  third,
  a,
  b,
  c,
  d,
  e,
  type Times,
} from '../../support/scenes/slow-sweep.js';

afterEach(stopClients);

describe('a sweep that takes long', () => {
  it.each<[string, Times, string[]]>([
    ['once, when all is done in ten seconds', { deleting: 2_499 }, [a, b, c, d, e, 'look']],
    ['ten seconds after a recheck', { deleting: 4_000 }, [a, b, c, 'look', d, e, 'look']],
    ['at ten seconds sharp', { deleting: 2_500 }, [a, b, c, d, 'look', e, 'look']],
    [
      'after twice the time of a recheck, where that is longer',
      { look: 8_000, deleting: 4_000 },
      [a, b, c, d, 'look', e, 'look'],
    ],
    [
      'though each recheck is followed by a delete, however slow',
      { look: 60 * SECOND, deleting: 600 * SECOND },
      [a, 'look', b, 'look', c, 'look', d, 'look', e, 'look'],
    ],
  ])('reads the repository again: %s', async (_, times, expected) => {
    const { scene, run } = await slow(times, ...orphans);
    expect(await run()).toEqual({ ...NOTHING, deleted: digests(orphans) });
    expect(steps(scene)).toEqual(['look', ...expected]);
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });

  it('reads it again as often as the family says, from one beginning to the next', async () => {
    const { scene, run } = await slow({ look: 3 * SECOND, deleting: 3 * SECOND }, ...orphans);
    const deleter = { ...scene.deleter, recheckEvery: 12 * SECOND };
    expect(await run({ deleter })).toEqual({ ...NOTHING, deleted: digests(orphans) });
    expect(steps(scene)).toEqual(['look', a, b, c, 'look', d, e, 'look']);
  });

  it('keeps a manifest that came into use since', async () => {
    const list = index([third, image('new')]);
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { put, app }) => {
          if (n === 1) {
            setTag(app, 'rollback', second.digest);
            put(list, 'late');
          }
        },
      },
      first,
      second,
      third,
    );
    expect(await run()).toEqual({
      ...NOTHING,
      deleted: [first.digest],
      kept: [
        { digest: second.digest, reason: { kind: 'tagged', tags: ['rollback'] } },
        { digest: third.digest, reason: { kind: 'child', of: list.digest } },
      ],
    });
    expect(steps(scene)).toEqual(['look', first.digest, 'look', 'look']);
  });

  it('restores a manifest that came into use before a later recheck, and was gone then', async () => {
    // An index over it, and a tag: a look that finds the child missing must not take it for missing all along.
    const list = index([first]);
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { app }) => {
          if (n === 1) {
            const { digest, mediaType, bytes } = list;
            app.manifests.set(digest, { mediaType, bytes });
            setTag(app, 'late', digest);
          }
        },
      },
      first,
      second,
    );
    expect(await run()).toEqual({ ...NOTHING, deleted: [second.digest], restored: [first.digest] });
    expect(scene.app.manifests.get(first.digest)?.bytes).toEqual(first.bytes);
  });

  it.each(['the first', 'a later'])(
    'restores with it what the registry said at %s recheck to describe it',
    async (which) => {
      const kept = image('about what stays');
      const three = [first, second, third];
      const listed = new Map([[current, [kept]]]);
      const { scene, clock } = await slow({});
      const others = listing(scene, listed);
      [...three, kept].forEach((content) => {
        scene.put(content);
      });
      if (which === 'the first') {
        listed.set(second, [third]);
      }
      scene.registry.intercept(others);
      const survey = await scene.look(three);
      expect(survey.plan.orphans.map(({ digest }) => digest)).toEqual(digests(three));
      // One delete for each look. When the second has gone, an index comes over it.
      script(scene, clock, {
        deleting: 10 * SECOND,
        others,
        onDeleted: (n, { app }) => {
          listed.set(second, [third]);
          if (n === 2) {
            const { digest, mediaType, bytes } = index([second]);
            app.manifests.set(digest, { mediaType, bytes });
            setTag(app, 'late', digest);
          }
        },
      });
      const options = scene.options({ concurrency: 1, clock });
      const outcome = await carryOut(survey, digests(three), options);
      expect(outcome).toEqual({
        ...NOTHING,
        deleted: [first.digest],
        restored: expect.arrayContaining(digests([second, third])),
      });
      expect(outcome.restored).toHaveLength(2);
    },
  );

  it('restores the tag of a signature that was deleted before a later recheck', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const signed = image('signed');
    const sig = cosign('sig', signed);
    const tag = digestTag(signed.digest, 'sig');
    const deep = index([index([image('deep')])]);
    scene.put(signed);
    scene.put(sig, tag);
    scene.put(deep);
    const list = index([signed]);
    const contents = [signed, deep];
    const clock = fakeClock({ auto: true }, NOW);
    const survey = await scene.look(contents);
    expect(survey.plan.orphans).toHaveLength(5);
    scene.registry.requests.length = 0;
    // Four deletes take longer than a look holds, and the signature is among them.
    script(scene, clock, {
      deleting: 3 * SECOND,
      onDeleted: (n, { app }) => {
        if (n === 4) {
          app.manifests.set(list.digest, { mediaType: list.mediaType, bytes: list.bytes });
          setTag(app, 'late', list.digest);
        }
      },
    });
    const outcome = await carryOut(
      survey,
      digests(contents),
      scene.options({ concurrency: 1, clock }),
    );
    const order = steps(scene);
    expect(order.indexOf(sig.digest)).toBeLessThan(order.indexOf('look', 1));
    expect(new Set(outcome.restored)).toEqual(new Set(digests([signed, sig])));
    expect(scene.app.tags.get(tag)).toBe(sig.digest);
  });

  it('reports a new tag on a manifest that it had deleted before a later recheck', async () => {
    const { run } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { app }) => {
          if (n === 1) {
            setTag(app, 'late', first.digest);
          }
        },
      },
      first,
      second,
    );
    expect(await run()).toMatchObject({
      deleted: digests([first, second]),
      broken: [{ what: 'tag late', why: 'its manifest is gone' }],
    });
  });

  it('reports a kept tag that was gone before a later recheck, since a delete may have taken it', async () => {
    const { run } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { app }) => {
          if (n === 1) {
            app.tags.delete('v1');
          }
        },
      },
      first,
      second,
    );
    expect(await run()).toMatchObject({ broken: [{ what: 'tag v1' }] });
  });

  it('does not blame itself for tags and children that were missing, broken or repaired before', async () => {
    const [lost, mended] = [image('lost before'), image('mended')];
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { put }) => {
          if (n === 1) {
            put(mended);
          }
        },
      },
      first,
      second,
    );
    scene.put(index([lost, mended]), 'v2');
    scene.app.manifests.delete(lost.digest);
    scene.app.manifests.delete(mended.digest);
    setTag(scene.app, 'v3', lost.digest);
    setTag(scene.app, 'v4', mended.digest);
    expect(await run()).toEqual({ ...NOTHING, deleted: digests([first, second]) });
  });

  it('verifies a tag that was repaired in the meantime', async () => {
    const mended = image('mended');
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { put, app }) => {
          if (n === 1) {
            put(mended);
          } else {
            app.manifests.delete(mended.digest);
          }
        },
      },
      first,
      second,
    );
    scene.put(index([mended]), 'v2');
    setTag(scene.app, 'v4', mended.digest);
    scene.app.manifests.delete(mended.digest);
    expect(await run()).toMatchObject({
      broken: [{ what: `manifest ${mended.digest}` }, { what: 'tag v4' }],
    });
  });

  it('deletes the signature of an image also if the image was deleted before a later recheck', async () => {
    // No earlier run remembers the image: without it, the signatures would look like those of an image elsewhere.
    const sbom = referrer('sbom', old);
    const { scene, clock } = await slow({});
    scene.put(old);
    scene.put(sbom);
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const survey = await scene.look([old, sbom]);
    scene.registry.requests.length = 0;
    script(scene, clock, { deleting: 10 * SECOND });
    const outcome = await carryOut(
      survey,
      digests([old, sbom]),
      scene.options({ concurrency: 1, clock }),
    );
    expect(outcome).toMatchObject({ ...NOTHING, deleted: expect.any(Array) });
    expect(outcome.deleted).toHaveLength(3);
    expect(steps(scene).filter((step) => step === 'look')).toHaveLength(4);
  });

  it('keeps the child of an index that was pushed again after its delete', async () => {
    const list = index([old]);
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { put }) => {
          if (n === 1) {
            // By its digest: the tag follows in a moment.
            put(list);
          }
        },
      },
      list,
    );
    expect(await run()).toEqual({
      ...NOTHING,
      // Nobody can tell it from one whose delete did nothing.
      failed: [{ digest: list.digest, why: expect.stringContaining('still there') }],
      skipped: [
        { digest: old.digest, why: `${list.digest}, which has to go before it, is still there` },
      ],
    });
    expect(scene.app.manifests.has(old.digest)).toBe(true);
  });

  it.each<[string, Action]>([
    ['failed', errorAnswer(500, 'UNKNOWN')],
    ['got no answer', { kind: 'reset' }],
  ])('keeps the children of an index whose delete %s before a later recheck', async (_, action) => {
    const list = index([old]);
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        answer: (digest) => (digest === list.digest ? action : undefined),
      },
      list,
      first,
    );
    const outcome = await run();
    expect(outcome.failed.map(({ digest }) => digest)).toEqual([list.digest]);
    expect(outcome.skipped).toEqual([
      { digest: old.digest, why: `${list.digest}, which has to go before it, is still there` },
    ]);
    expect(scene.app.manifests.has(old.digest)).toBe(true);
    expect(steps(scene)).not.toContain(old.digest);
  });

  it('keeps the child of an index whose delete failed, also when nothing names that index any more', async () => {
    // Only the outer index named it, and that one is gone.
    const inner = index([old]);
    const outer = index([inner]);
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        answer: (digest) => (digest === inner.digest ? errorAnswer(409, 'CONFLICT') : undefined),
      },
      outer,
    );
    const outcome = await run();
    expect(outcome.deleted).toEqual([outer.digest]);
    expect(outcome.failed.map(({ digest }) => digest)).toEqual([inner.digest]);
    expect(outcome.skipped).toEqual([
      { digest: old.digest, why: `${inner.digest}, which has to go before it, is still there` },
    ]);
    expect(scene.app.manifests.has(old.digest)).toBe(true);
  });

  it.each([
    ['named by the inputs', (scene: Scene) => scene.look(orphans)],
    [
      'remembered from earlier runs',
      (scene: Scene) => scene.look([], { known: remembered(orphans) }),
    ],
  ])('does not ask again for deleted manifests: %s', async (_, look) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    orphans.forEach((content) => {
      scene.put(content);
    });
    const clock = fakeClock({ auto: true }, NOW);
    const survey = await look(scene);
    scene.registry.requests.length = 0;
    script(scene, clock, { deleting: 10 * SECOND });
    const options = scene.options({ concurrency: 1, clock });
    const { deleted } = await carryOut(survey, digests(orphans), options);
    expect(deleted).toHaveLength(orphans.length);
    const asked = scene.registry.requests.filter(
      ({ method, path: where }) =>
        method !== 'DELETE' && orphans.some(({ digest }) => where.endsWith(digest)),
    );
    // But for the one question whether it is gone.
    expect(asked.map(({ method }) => method)).toEqual(orphans.map(() => 'HEAD'));
  });

  it('does not lose a tag that a recheck saw on a deleted manifest, pushed again since', async () => {
    // A proxy gave up on the delete, but the registry is still at it, and comes to the new tag at last.
    let finish = (): void => undefined;
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onLook: (n) => {
          if (n === 3) {
            finish();
          }
          return undefined;
        },
        onDeleted: (n, { put, app }) => {
          if (n === 1) {
            put(first, 'late');
            finish = () => {
              app.tags.delete('late');
              app.manifests.delete(first.digest);
            };
          }
        },
      },
      first,
      second,
    );
    expect(await run()).toEqual({ ...NOTHING, deleted: [second.digest], restored: [first.digest] });
    expect(scene.app.tags.get('late')).toBe(first.digest);
    expect(scene.app.manifests.get(first.digest)?.bytes).toEqual(first.bytes);
  });

  it('keeps a deleted manifest that was pushed again', async () => {
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onDeleted: (n, { put }) => {
          if (n === 1) {
            put(first, 'late');
          }
        },
      },
      first,
      second,
    );
    expect(await run()).toEqual({
      ...NOTHING,
      deleted: [second.digest],
      kept: [{ digest: first.digest, reason: { kind: 'tagged', tags: ['late'] } }],
    });
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });

  it('does not lose such a tag either if the delete seemed to have failed', async () => {
    let finish = (): void => undefined;
    const { run, scene } = await slow(
      {
        deleting: 6 * SECOND,
        answer: (digest) => (digest === first.digest ? errorAnswer(409, 'CONFLICT') : undefined),
        onLook: (n) => {
          if (n === 3) {
            finish();
          }
          return undefined;
        },
        onDeleted: (n, { app }) => {
          if (n === 1) {
            setTag(app, 'late', first.digest);
            finish = () => {
              app.tags.delete('late');
              app.manifests.delete(first.digest);
            };
          }
        },
      },
      first,
      second,
      third,
    );
    expect(await run()).toEqual({
      ...NOTHING,
      deleted: digests([second, third]),
      restored: [first.digest],
    });
    expect(scene.app.tags.get('late')).toBe(first.digest);
  });

  it('gives up when no delete is answered in time, recheck after recheck', async () => {
    const { run, scene } = await slow({}, first, second);
    const deleter = { deleteManifest: () => Promise.reject(new TooLate()) };
    const why = expect.stringMatching(/^the registry answered no delete soon enough .*5 times/);
    expect(await run({ deleter })).toEqual({
      ...NOTHING,
      skipped: digests([first, second]).map((digest) => ({ digest, why })),
    });
    expect(steps(scene)).toEqual(Array.from({ length: 5 }, () => 'look'));
  });

  it('skips the rest if a recheck can not be read, says so, and verifies the sweep', async () => {
    const { run, scene } = await slow(
      {
        deleting: 10 * SECOND,
        onLook: (n) => (n === 2 ? errorAnswer(403, 'DENIED') : undefined),
      },
      first,
      second,
      third,
    );
    const why = expect.stringMatching(
      /^looking again before the deletes, the list of tags could not be read: .*403/,
    );
    expect(await run()).toEqual({
      ...NOTHING,
      deleted: [first.digest],
      skipped: digests([second, third]).map((digest) => ({ digest, why })),
    });
    expect(steps(scene)).toEqual(['look', first.digest, 'look', 'look']);
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });

  it('does not count the child of a deleted index as one of the newest', async () => {
    // Their ages are the same, so that a child without its index must not come before what is kept.
    const child = image('child of the one that goes');
    const kept = index([image('kept 1'), image('kept 2')]);
    const list = index([child]);
    const { scene, clock } = await slow({});
    scene.put(list);
    scene.put(kept);
    const more = { policy: { keepUntagged: 1 }, known: remembered([list, kept]) };
    const survey = await scene.look([], more);
    expect(survey.plan.orphans.map(({ digest }) => digest)).toEqual(digests([list, child]));
    script(scene, clock, { deleting: 10 * SECOND });
    const outcome = await carryOut(survey, [], scene.options({ ...more, concurrency: 1, clock }));
    expect(outcome).toEqual({ ...NOTHING, deleted: digests([list, child]) });
    expect(scene.app.manifests.has(kept.digest)).toBe(true);
  });
});
