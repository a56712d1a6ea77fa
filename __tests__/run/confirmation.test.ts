/** That a delete is believed when the manifest is gone, and not when the registry says so. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { endsOf } from '../support/builders/fates.js';
import { sweepRepository } from '../../src/run/sweep.js';
import { TransportError } from '../../src/http/message.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import {
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../support/builders/build.js';
import type { Action } from '../support/servers/memory/script.js';
import { setTag } from '../support/servers/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../support/clients/client.js';
import { NOW } from '../support/builders/inventories.js';
import { APP, digests, startScene, type Looking, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');
const older = image('older');
const list = index([old]);
const LIES: readonly [string, Action][] = [
  ['200', { kind: 'answer', status: 200 }],
  ['202', { kind: 'answer', status: 202 }],
  ['204', { kind: 'answer', status: 204 }],
  ['404 MANIFEST_UNKNOWN', errorAnswer(404, 'MANIFEST_UNKNOWN')],
  ['404 NAME_UNKNOWN', errorAnswer(404, 'NAME_UNKNOWN')],
  ['200 with errors', errorAnswer(200, 'DENIED', 'no')],
];
const TOOK_IT = /^the registry took the DELETE, and the manifest is still there/;
const HIDDEN =
  /^the registry answered the DELETE with 404, and the manifest is still there.*account/;

async function sweep(
  scene: Scene,
  candidates: readonly Content[],
  more: Partial<Looking> = {},
): Promise<ReturnType<typeof endsOf>> {
  const survey = await scene.look(candidates, more);
  scene.registry.requests.length = 0;
  return endsOf(await sweepRepository(survey, digests(candidates), scene.options(more)));
}

function deleteOf({ digest }: Content): string {
  return `DELETE /v2/${APP}/manifests/${digest}`;
}

function sent({ registry }: Scene, method: string, { digest }: Content): number {
  return registry.requests.filter((each) => each.method === method && each.path.endsWith(digest))
    .length;
}

describe('evidence: a DELETE that does nothing', () => {
  it.each(LIES)('has failed, whatever the answer: %s', async (_, action) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(older);
    scene.registry.intercept(when(deleteOf(old), action));
    for (const verify of [true, false]) {
      const { deleted, gone, failed } = await sweep(scene, [old, older], { verify });
      expect([deleted, gone]).toEqual([verify ? [older.digest] : [], []]);
      expect(failed.map(({ digest }) => digest)).toEqual([old.digest]);
    }
  });

  it.each<[string, number, RegExp]>([
    ['was taken', 202, TOOK_IT],
    ['hides behind a 404', 404, HIDDEN],
  ])('is reported with what to do when it %s', async (_, status, why) => {
    const scene = await startScene();
    scene.put(old);
    scene.registry.intercept(
      when(
        /^DELETE/,
        status === 404 ? errorAnswer(404, 'NAME_UNKNOWN') : { kind: 'answer', status },
      ),
    );
    expect((await sweep(scene, [old])).failed).toMatchObject([{ why: expect.stringMatching(why) }]);
  });

  it.each(LIES)(
    'keeps the manifests that have to wait for it, at any depth: %s',
    async (_, action) => {
      const scene = await startScene();
      const outer = index([list]);
      const sbom = referrer('sbom', outer);
      const sig = cosign('sig', old);
      scene.put(outer);
      scene.put(sbom);
      scene.put(sig, digestTag(old.digest, 'sig'));
      scene.registry.intercept(when(deleteOf(outer), action));
      const outcome = await sweep(scene, [outer, sbom], { concurrency: 16 });
      expect([outcome.deleted, outcome.gone]).toEqual([[], []]);
      expect(outcome.failed.map(({ digest }) => digest)).toEqual([outer.digest]);
      expect(outcome.skipped.map(({ digest }) => digest).sort()).toEqual(
        digests([list, old, sbom, sig]).sort(),
      );
      expect(scene.app.manifests.size).toBe(5);
    },
  );

  it('is not asked for a minute after a 404, which says that nothing is under way', async () => {
    const scene = await startScene();
    const clock = fakeClock({ auto: true }, NOW);
    scene.put(old);
    scene.registry.intercept(when(/^DELETE/, errorAnswer(404, 'MANIFEST_UNKNOWN')));
    await sweep(scene, [old], { clock });
    expect(clock.slept).toEqual([500]);
  });
});

describe('evidence: a registry that deletes after its answer', () => {
  /** Carries out each delete so long after it took it. */
  async function late(delay: number, ...contents: readonly (readonly [Content, ...string[]])[]) {
    const scene = await startScene();
    const clock = fakeClock({ auto: true }, NOW);
    contents.forEach(([content, ...tags]) => {
      scene.put(content, ...tags);
    });
    const due = new Map<string, number>();
    scene.registry.intercept(({ method, route }) => {
      for (const [digest, time] of due) {
        if (clock.now() >= time) {
          scene.app.manifests.delete(digest);
        }
      }
      if (method !== 'DELETE' || route.kind !== 'manifest') {
        return undefined;
      }
      due.set(route.reference, clock.now() + delay);
      return { kind: 'answer', status: 202 };
    });
    return { scene, clock };
  }

  it('is asked again, with growing pauses, and believed in the end', async () => {
    const { scene, clock } = await late(10_000, [current, 'v1'], [old], [older]);
    const outcome = await sweep(scene, [old, older], { clock });
    expect(outcome).toMatchObject({
      deleted: digests([old, older]).sort(),
      failed: [],
      broken: [],
    });
    expect(clock.slept).toEqual([500, 1_000, 2_000, 4_000, 8_000]);
  });

  it('lets the deletes that wait follow in their order', async () => {
    const outer = index([list]);
    const { scene, clock } = await late(3_000, [outer]);
    const outcome = await sweep(scene, [outer], { clock });
    expect(outcome).toMatchObject({
      deleted: digests([outer, list, old]),
      failed: [],
      skipped: [],
    });
    expect(scene.app.manifests.size).toBe(0);
  });

  it('gets one minute in all in one repository', async () => {
    const { scene, clock } = await late(120_000, [list]);
    const outcome = await sweep(scene, [list], { clock });
    expect(outcome).toMatchObject({
      deleted: [],
      failed: [{ digest: list.digest, why: expect.stringMatching(TOOK_IT) }],
      skipped: [{ digest: old.digest }],
    });
    expect(clock.slept.reduce((sum, each) => sum + each, 0)).toBe(60_000);
  });

  it('is not waited for by a run that is stopped: the run is red, and says why', async () => {
    const stop = new AbortController();
    const { scene, clock } = await late(10_000, [old]);
    const sleep = async () => {
      stop.abort('SIGTERM');
    };
    const more = { clock: { now: () => clock.now(), sleep }, stop: stop.signal };
    expect((await sweep(scene, [old], more)).failed).toMatchObject([
      { digest: old.digest, why: expect.stringContaining('the run ended before') },
    ]);
  });
});

describe('a manifest that can not be asked for', () => {
  it.each<[string, Action]>([
    ['401', errorAnswer(401, 'UNAUTHORIZED')],
    ['403', errorAnswer(403, 'DENIED')],
    ['503', { kind: 'answer', status: 503 }],
    ['a reset', { kind: 'reset' }],
  ])('is not believed to be deleted: %s', async (_, action) => {
    const scene = await startScene();
    scene.put(list);
    scene.registry.intercept(when(`HEAD /v2/${APP}/manifests/${list.digest}`, action));
    // The look that follows finds by GET that the index is gone, so its child may go.
    expect(await sweep(scene, [list])).toMatchObject({
      deleted: [old.digest],
      failed: [{ digest: list.digest, why: expect.stringContaining('no read can tell whether') }],
    });
  });

  it('keeps all manifests that wait for it', async () => {
    const scene = await startScene();
    scene.put(list);
    let isDeleted = false;
    scene.registry.intercept(({ method, path }) => {
      isDeleted ||= method === 'DELETE';
      return isDeleted && method !== 'DELETE' && path.endsWith(list.digest)
        ? errorAnswer(403, 'DENIED')
        : undefined;
    });
    expect(await sweep(scene, [list])).toMatchObject({
      deleted: [],
      failed: [{ digest: list.digest }],
      skipped: [{ digest: old.digest, why: expect.stringContaining('looking again') }],
    });
  });

  it('is asked for again, if it is an index, before its children are given up', async () => {
    const scene = await startScene();
    scene.put(list);
    let asked = 0;
    const isThere: Looking['isThere'] = (repository, digest) => {
      asked += 1;
      return asked === 1
        ? Promise.reject(new TransportError('timeout', 'no answer'))
        : scene.isThere(repository, digest);
    };
    expect(await sweep(scene, [list], { isThere })).toMatchObject({
      deleted: digests([list, old]),
      failed: [],
    });
  });

  it('is not called deleted if this program has a fault', async () => {
    const scene = await startScene();
    scene.put(old);
    const isThere = () => Promise.reject(new TypeError('ours'));
    const contain: Looking['contain'] = (_, work) => work.catch(() => undefined);
    expect(await sweep(scene, [old], { isThere, contain })).toMatchObject({
      deleted: [],
      failed: [{ digest: old.digest }],
    });
    scene.put(older);
    await expect(sweep(scene, [older], { isThere })).rejects.toThrow(TypeError);
  });
});

describe('a manifest that is there again because somebody pushed it', () => {
  it('is kept if it has a tag', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.registry.intercept(
      when(deleteOf(old), {
        kind: 'pass',
        after: () => {
          scene.put(old, 'again');
        },
      }),
    );
    expect(await sweep(scene, [old])).toMatchObject({
      deleted: [],
      failed: [],
      kept: [{ digest: old.digest, reason: { kind: 'tagged', tags: ['again'] } }],
    });
  });
});

describe('the question for a deleted manifest', () => {
  it('costs one HEAD each, also if others wait for it', async () => {
    const scene = await startScene();
    const outer = index([list, older]);
    scene.put(outer);
    await sweep(scene, [outer], { verify: false });
    expect([outer, list, old, older].map((each) => sent(scene, 'HEAD', each))).toEqual([
      1, 1, 1, 1,
    ]);
    expect(tally(scene.registry)).toEqual({
      'GET tags': 1,
      'GET referrers': 1,
      'DELETE manifest': 4,
      'HEAD manifest': 4,
    });
  });
});

describe('evidence: a signature that is deleted by its digest, while its tag still serves it', () => {
  const sig = cosign('sig', old);
  const tag = digestTag(old.digest, 'sig');

  /** As crane's registry, which keeps a manifest under its digest and under each of its tags. */
  async function crane() {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(sig, tag);
    const { bytes, mediaType } = sig;
    let isDeleted = false;
    scene.registry.intercept(({ method, route }) => {
      if (route.kind !== 'manifest') {
        return undefined;
      }
      const isSig = route.reference === sig.digest;
      if (isSig && method === 'DELETE') {
        isDeleted = true;
        return { kind: 'answer', status: 202 };
      }
      if (isSig && isDeleted) {
        return errorAnswer(404, 'MANIFEST_UNKNOWN');
      }
      return route.reference === tag && method !== 'PUT'
        ? {
            kind: 'answer',
            status: 200,
            headers: { 'Content-Type': mediaType, 'Docker-Content-Digest': sig.digest },
            body: bytes,
          }
        : undefined;
    });
    return scene;
  }

  it.each([true, false])('has failed, and the tag is named; verify: %p', async (verify) => {
    const scene = await crane();
    const outcome = await sweep(scene, [old], { verify });
    expect(outcome).toMatchObject({
      deleted: [old.digest],
      failed: [
        { digest: sig.digest, why: expect.stringContaining(`its tag ${tag} still serves it`) },
      ],
      broken: [],
    });
  });

  it.each([true, false])('is gone if its tag was deleted with it; verify: %p', async (verify) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(sig, tag);
    expect(await sweep(scene, [old], { verify })).toMatchObject({
      deleted: digests([old, sig]),
      failed: [],
    });
    // The list of tags tells, and verify reads that anyway.
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 2 });
  });

  it('is gone if its tag names no manifest, or another one now', async () => {
    for (const target of [sig.digest, current.digest]) {
      const scene = await startScene();
      scene.put(current, 'v1');
      scene.put(old);
      scene.put(sig, tag);
      scene.registry.intercept(
        when(deleteOf(sig), {
          kind: 'pass',
          after: () => {
            setTag(scene.app, tag, target);
          },
        }),
      );
      expect(await sweep(scene, [old], { verify: false })).toMatchObject({
        deleted: digests([old, sig]),
        failed: [],
      });
    }
  });

  it('has failed where the tags can not be read any more', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(sig, tag);
    let isDeleted = false;
    scene.registry.intercept(({ method, route }) => {
      isDeleted ||= method === 'DELETE';
      return isDeleted && route.kind === 'tags' ? errorAnswer(403, 'DENIED') : undefined;
    });
    expect(await sweep(scene, [old], { verify: false })).toMatchObject({
      deleted: [old.digest],
      failed: [
        { digest: sig.digest, why: expect.stringContaining('its tags could not be read again') },
      ],
    });
  });

  it('is not called deleted if this program has a fault there', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(sig, tag);
    let asked = 0;
    const reader = {
      ...scene.reader,
      tags: (repository: string) => {
        asked += 1;
        return asked > 2 ? Promise.reject(new TypeError('ours')) : scene.reader.tags(repository);
      },
    };
    const contain: Looking['contain'] = (_, work) => work.catch(() => undefined);
    expect(await sweep(scene, [old], { reader, contain, verify: false })).toMatchObject({
      deleted: [old.digest],
      failed: [{ digest: sig.digest }],
    });
  });
});
