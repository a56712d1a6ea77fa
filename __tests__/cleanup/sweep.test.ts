import { afterEach, describe, expect, it } from '@jest/globals';

import type { Outcome } from '../../src/cleanup/outcome.js';
import { sweepRepository } from '../../src/cleanup/sweep.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
import { cosign, digestTag, image, index, referrer, type Content } from '../registries/build.js';
import type { Action } from '../registries/memory/script.js';
import { setTag } from '../registries/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../registry/client.js';
import { YOUNG } from './inventories.js';
import { APP, digests, startScene, type Looking, type Scene } from './looking.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');
const older = image('older');

const NOTHING: Outcome = {
  repository: APP,
  deleted: [],
  gone: [],
  spared: [],
  failed: [],
  skipped: [],
  broken: [],
};

/** Looks, lets the world move on, and sweeps. */
async function sweep(
  scene: Scene,
  candidates: readonly Content[],
  meanwhile: () => void = () => undefined,
  more: Partial<Looking> = {},
): Promise<Outcome> {
  const survey = await scene.look(candidates, more);
  scene.registry.requests.length = 0;
  meanwhile();
  return sweepRepository(survey, digests(candidates), scene.options(more));
}

/** The digests of the DELETE requests, in order, each try counted. */
function deletes({ registry }: Scene): (string | undefined)[] {
  return registry.requests
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => path.split('/').at(-1));
}

describe('a sweep', () => {
  it('deletes the orphans and nothing else', async () => {
    const scene = await startScene();
    const list = index([current, image('a')]);
    scene.put(list, 'v1');
    scene.put(old);
    scene.put(older);
    expect(await sweep(scene, [old, older, current])).toEqual({
      ...NOTHING,
      deleted: digests([old, older]).sort(),
    });
    expect(new Set(scene.app.manifests.keys())).toEqual(
      new Set(digests([list, current, image('a')])),
    );
  });

  it('costs a second look, a DELETE each, and the proof of what was kept', async () => {
    const scene = await startScene();
    scene.put(index([current]), 'v1', 'latest');
    scene.put(old);
    await sweep(scene, [old]);
    expect(tally(scene.registry)).toEqual({
      // once before and once after
      'GET tags': 2,
      // 2 tags before and after, and the child
      'HEAD manifest': 5,
      'DELETE manifest': 1,
    });
  });

  it('leaves nothing for a second one', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(index([old]));
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    await sweep(scene, [index([old])]);
    expect((await scene.look([index([old]), old])).plan.orphans).toEqual([]);
  });

  it('deletes by digest only, parents before children, subjects before referrers', async () => {
    const scene = await startScene();
    const sbom = referrer('sbom', old);
    const sig = cosign('sig', old);
    const inner = index([old]);
    const outer = index([inner]);
    [outer, sbom].forEach((content) => {
      scene.put(content);
    });
    scene.put(sig, digestTag(old.digest, 'sig'));
    const outcome = await sweep(scene, [sbom, old, outer]);
    expect(deletes(scene)).toEqual([
      ...digests([outer, inner, old]),
      ...digests([sbom, sig]).sort(),
    ]);
    expect(outcome.deleted).toEqual(deletes(scene));
  });

  it('waits for the answer about a parent before it asks for the child', async () => {
    const scene = await startScene();
    scene.put(index([old]));
    let answered = false;
    let early = false;
    scene.registry.intercept((request) => {
      if (request.method !== 'DELETE') {
        return undefined;
      }
      if (request.path.endsWith(old.digest)) {
        early = !answered;
        return undefined;
      }
      return {
        kind: 'pass',
        delay: 20,
        after: () => {
          answered = true;
        },
      };
    });
    await sweep(scene, [index([old])], undefined, { concurrency: 16 });
    expect(early).toBe(false);
    expect(scene.app.manifests.size).toBe(0);
  });
});

describe('what happened between the looks', () => {
  it('a tag was put on an orphan: it is spared', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [old, older], () => {
      setTag(scene.app, 'rollback', old.digest);
    });
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: [older.digest],
      spared: [{ digest: old.digest, reason: { kind: 'tagged', tags: ['rollback'] } }],
    });
  });

  it('a tag moved to a new index that holds an orphan: all that it needs is spared', async () => {
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
      spared: [
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

  it('what a moved tag left behind is not deleted in this run: no plan held it', async () => {
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

  it('a new young index came over it: it is spared', async () => {
    const scene = await startScene();
    const list = index([old, image('new', { created: YOUNG })]);
    scene.put(old);
    const outcome = await sweep(scene, [list, old], () => {
      scene.put(list);
    });
    expect(outcome.spared).toEqual([
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
      `^looking again before the first delete, ${what} could not be read: .`,
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

describe('404 on DELETE', () => {
  it('with the code: already gone, and its children follow', async () => {
    const scene = await startScene();
    const list = index([old]);
    scene.put(list);
    scene.registry.intercept(
      when(`DELETE /v2/team/app/manifests/${list.digest}`, errorAnswer(404, 'MANIFEST_UNKNOWN')),
    );
    expect(await sweep(scene, [list])).toEqual({
      ...NOTHING,
      gone: [list.digest],
      deleted: [old.digest],
    });
  });

  it.each<[string, Action]>([
    ['without a code', { kind: 'answer', status: 404, body: 'not found' }],
    ['in HTML', { kind: 'html', status: 404 }],
    ['with another code', errorAnswer(404, 'DENIED')],
  ])('%s: not believed', async (_, action) => {
    const scene = await startScene();
    scene.put(old);
    scene.registry.intercept(when(/^DELETE/, action));
    expect(await sweep(scene, [old])).toEqual({
      ...NOTHING,
      failed: [{ digest: old.digest, why: expect.stringContaining('404') }],
    });
  });
});

describe('a delete that fails', () => {
  it.each<[string, Action, string]>([
    ['500', errorAnswer(500, 'UNKNOWN', 'no space left'), 'no space left'],
    ['a reset', { kind: 'reset' }, 'broke off'],
  ])('leaves the children, and nothing else: %s', async (_, action, words) => {
    const scene = await startScene();
    const list = index([old]);
    scene.put(current, 'v1');
    scene.put(list);
    scene.put(older);
    scene.registry.intercept(when(`DELETE /v2/team/app/manifests/${list.digest}`, action));
    const outcome = await sweep(scene, [list, older]);
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: [older.digest],
      failed: [
        {
          digest: list.digest,
          why: expect.stringContaining(words),
        },
      ],
      skipped: [
        { digest: old.digest, why: `${list.digest}, which has to go before it, is still there` },
      ],
    });
    expect(scene.app.manifests.has(old.digest)).toBe(true);
  });

  it('leaves the referrers of a subject, and theirs', async () => {
    const scene = await startScene();
    const sbom = referrer('sbom', old);
    const signature = referrer('signature', sbom);
    [old, sbom, signature].forEach((content) => {
      scene.put(content);
    });
    scene.registry.intercept(when(/^DELETE/, errorAnswer(500, 'UNKNOWN')));
    const outcome = await sweep(scene, [signature]);
    expect(outcome.failed.map(({ digest }) => digest)).toEqual([old.digest]);
    expect(outcome.skipped.map(({ digest }) => digest)).toEqual(digests([sbom, signature]));
    expect(new Set(deletes(scene))).toEqual(new Set([old.digest]));
  });

  it('may have been carried out: what was kept is proved all the same', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.registry.intercept(when(/^DELETE/, errorAnswer(500, 'UNKNOWN')));
    await sweep(scene, [old]);
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 2, 'HEAD manifest': 2 });
  });

  it('is tried again, and is gone when the first try did it after all', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.registry.intercept(
      when(/^DELETE/, ({ attempt }) => {
        if (attempt > 1) {
          return undefined;
        }
        scene.app.manifests.delete(old.digest);
        return { kind: 'reset' };
      }),
    );
    expect(await sweep(scene, [old])).toEqual({ ...NOTHING, gone: [old.digest] });
  });

  it('mistakes of our own are thrown', async () => {
    const scene = await startScene();
    scene.put(old);
    const writer = { deleteManifest: () => Promise.reject(new TypeError('ours')) };
    await expect(sweep(scene, [old], undefined, { writer })).rejects.toThrow(TypeError);
  });
});

describe('a refusal calls the sweep off', () => {
  const READ_ONLY: Action = {
    kind: 'answer',
    status: 405,
    headers: { 'Content-Type': 'text/plain', Allow: 'GET, HEAD' },
    body: 'Method not allowed\n',
  };

  it.each<[string, Action, string[]]>([
    [
      'deleting is switched off',
      errorAnswer(405, 'UNSUPPORTED', 'The operation is unsupported.'),
      ['REGISTRY_STORAGE_DELETE_ENABLED=true', 'storage.delete.enabled', 'pull-through cache'],
    ],
    ['read-only', READ_ONLY, ['read-only']],
    ['401', errorAnswer(401, 'UNAUTHORIZED'), ['repository:team/app:pull,delete', 'team/app@']],
    ['403', errorAnswer(403, 'DENIED'), ['repository:team/app:pull,delete', 'team/app@']],
  ])('%s', async (_, action, words) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const orphans = [old, older, image('oldest'), index([image('a')])];
    orphans.forEach((content) => {
      scene.put(content);
    });
    scene.registry.intercept(when(/^DELETE/, action));
    const outcome = await sweep(scene, orphans, undefined, { concurrency: 1 });
    expect(deletes(scene)).toHaveLength(1);
    expect(outcome.failed).toHaveLength(1);
    words.forEach((word) => {
      expect(outcome.failed[0]?.why).toContain(word);
    });
    expect(outcome.skipped).toHaveLength(4);
    expect(new Set(outcome.skipped.map(({ why }) => why))).toEqual(
      new Set(['not tried: the registry refused another delete in this repository']),
    );
    // Nothing was deleted: nothing to prove.
    expect(tally(scene.registry)['GET tags']).toBe(1);
    expect(scene.app.manifests.size).toBe(6);
  });

  it('after some were deleted: what was kept is proved', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const orphans = [old, older, image('oldest')];
    orphans.forEach((content) => {
      scene.put(content);
    });
    let seen = 0;
    scene.registry.intercept(
      when(/^DELETE/, () => {
        seen += 1;
        return seen === 1 ? undefined : READ_ONLY;
      }),
    );
    const outcome = await sweep(scene, orphans, undefined, { concurrency: 1 });
    expect([outcome.deleted, outcome.failed, outcome.skipped].map((list) => list.length)).toEqual([
      1, 1, 1,
    ]);
    expect(tally(scene.registry)['GET tags']).toBe(2);
  });

  it('by real switches of the registry', async () => {
    for (const options of [{ deleteEnabled: false }, { readOnly: true }]) {
      const scene = await startScene(options);
      scene.put(old);
      const outcome = await sweep(scene, [old]);
      expect(outcome.failed).toHaveLength(1);
      expect(scene.app.manifests.size).toBe(1);
    }
  });

  it('a 405 about one manifest alone does not: others may go', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    scene.registry.intercept(
      when(
        `DELETE /v2/team/app/manifests/${old.digest}`,
        errorAnswer(405, 'DENIED', 'referenced by an index'),
      ),
    );
    const outcome = await sweep(scene, [old, older], undefined, { concurrency: 1 });
    expect(outcome.deleted).toEqual([older.digest]);
    expect(outcome.failed).toEqual([
      { digest: old.digest, why: expect.stringContaining('referenced by an index') },
    ]);
  });
});

describe('tokens', () => {
  const auth = {
    kind: 'token',
    username: 'u',
    password: 'p',
    expiresIn: 300,
  } as const;
  const login = { kind: 'basic', username: 'u', password: 'p' } as const;

  it('names the scope that the token server did not grant', async () => {
    const scene = await startScene(
      { auth: { ...auth, grant: (scope) => scope.replace(/,?delete/, '') } },
      login,
    );
    scene.put(current, 'v1');
    scene.put(old);
    const outcome = await sweep(scene, [old]);
    expect(outcome.failed).toHaveLength(1);
    expect(outcome.failed[0]?.why).toMatch(/`repository:team\/app:[a-z,]*delete[a-z,]*`/);
    expect(scene.app.manifests.size).toBe(2);
  });

  it('a token server that refuses the scope fails the delete, and not the run', async () => {
    const scene = await startScene({ auth }, login);
    scene.put(old);
    scene.registry.intercept(when(/^GET \/token.*delete/, { kind: 'answer', status: 403 }));
    const outcome = await sweep(scene, [old]);
    expect(outcome.failed).toEqual([{ digest: old.digest, why: expect.stringContaining('403') }]);
  });
});

describe('what verify finds', () => {
  it('is in the outcome', async () => {
    const scene = await startScene();
    const child = image('child');
    scene.put(index([child, current]), 'v1');
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
      broken: [
        {
          what: `manifest ${child.digest}`,
          why: 'an index that is kept has it as a child, and it is gone',
        },
      ],
    });
  });

  it('does not miss a child that a referrer came to hold in the meantime', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    const list = index([old]);
    scene.registry.intercept(
      when(/^DELETE/, {
        kind: 'pass',
        after: () => {
          scene.app.manifests.set(list.digest, { mediaType: OCI_INDEX, bytes: list.bytes });
          setTag(scene.app, 'late', list.digest);
        },
      }),
    );
    const outcome = await sweep(scene, [old]);
    expect(outcome.deleted).toEqual([old.digest]);
    expect(outcome.broken).toEqual([
      { what: `manifest ${old.digest}`, why: expect.stringContaining('gone') },
    ]);
  });
});

it('progress counts each orphan', async () => {
  const scene = await startScene();
  scene.put(index([old]));
  scene.registry.intercept(when(/^DELETE/, errorAnswer(500, 'UNKNOWN')));
  await sweep(scene, [index([old])]);
  expect(scene.progress.finished).toBe(scene.progress.expected);
});

it('never asks to delete what the registry gave under another digest', async () => {
  const scene = await startScene();
  scene.put(old);
  const lie = image('lie').digest;
  scene.registry.intercept(
    when(new RegExp(`GET .*${lie}`), {
      kind: 'answer',
      status: 200,
      headers: { 'Content-Type': old.mediaType },
      body: old.bytes,
    }),
  );
  const survey = await scene.look([image('lie'), old]);
  expect(survey.plan.orphans).toEqual([]);
  expect(survey.inventory.gaps).toHaveLength(1);
});
