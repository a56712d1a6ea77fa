import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { BackupError, fileOf, INDEX, openBackup } from '../../src/run/backup/backup.js';
import type { Outcome } from '../../src/plan/outcome.js';
import { sweepRepository } from '../../src/run/sweep.js';
import { TooLate } from '../../src/http/stop.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
import { fakeClock, type FakeClock } from '../support/scenes/fake-clock.js';
import {
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../support/builders/build.js';
import type { Action, Interceptor } from '../support/servers/memory/script.js';
import { setTag } from '../support/servers/memory/state.js';
import { errorAnswer, jsonAnswer, stopClients, tally, when } from '../support/clients/client.js';
import { DAY, NOW, YOUNG } from '../support/builders/inventories.js';
import {
  APP,
  childGone,
  digests,
  remembered,
  startScene,
  type Looking,
  type Scene,
} from '../support/scenes/looking.js';

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
  healed: [],
  broken: [],
  unverified: false,
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

/** A registry that lists these as referrers, of what it still has. */
function listing({ app }: Scene, listed: ReadonlyMap<Content, readonly Content[]>): Interceptor {
  return when(/referrers/, ({ path: where }) => {
    const found = [...listed].find(([{ digest }]) => where.endsWith(digest))?.[1] ?? [];
    const manifests = found.filter(({ digest }) => app.manifests.has(digest));
    return jsonAnswer(
      { manifests: manifests.map(({ descriptor }) => descriptor) },
      { 'Content-Type': OCI_INDEX },
    );
  });
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
      // 2 tags before the deletes, and after them
      'GET manifest': 4,
      // the child and what was deleted
      'HEAD manifest': 2,
      // whether there is such an API: the first look's answer does not count
      'GET referrers': 1,
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

describe('orphans with a tag', () => {
  const signatures = Array.from({ length: 5 }, (_, n) =>
    cosign('sig', image(`signed ${String(n)}`)),
  );

  it('go one after the other, since a delete reads all tags; those without do not wait', async () => {
    const scene = await startScene();
    const images = Array.from({ length: 5 }, (_, n) => image(`signed ${String(n)}`));
    images.forEach((each, n) => {
      scene.put(each);
      scene.put(signatures[n] ?? each, digestTag(each.digest, 'sig'));
    });
    const open = { tagged: 0, all: 0 };
    const most = { tagged: 0, all: 0 };
    const count = (isTagged: boolean, by: 1 | -1) => {
      open.all += by;
      open.tagged += isTagged ? by : 0;
      most.all = Math.max(most.all, open.all);
      most.tagged = Math.max(most.tagged, open.tagged);
    };
    scene.registry.intercept(
      when(/^DELETE/, ({ path }) => {
        const isTagged = signatures.some(({ digest }) => path.endsWith(digest));
        count(isTagged, 1);
        return {
          kind: 'pass',
          delay: 10,
          after: () => {
            count(isTagged, -1);
          },
        };
      }),
    );
    const { deleted } = await sweep(scene, images, undefined, { concurrency: 16 });
    expect(deleted).toHaveLength(10);
    expect(most.tagged).toBe(1);
    expect(most.all).toBeGreaterThan(1);
  });

  it('so do those that got their tag only after the plan was made', async () => {
    const scene = await startScene();
    const images = Array.from({ length: 4 }, (_, n) => image(`signed ${String(n)}`));
    const late = Array.from({ length: 4 }, (_, n) => image(`tagged late ${String(n)}`));
    [...images, ...late].forEach((each) => {
      scene.put(each);
    });
    let open = 0;
    let most = 0;
    const tag = () => {
      images.forEach(({ digest }, n) => {
        setTag(scene.app, digestTag(digest, 'sig'), late[n]?.digest ?? '');
      });
      scene.registry.intercept(
        when(/^DELETE/, ({ path }) => {
          const by = late.some(({ digest }) => path.endsWith(digest)) ? 1 : 0;
          open += by;
          most = Math.max(most, open);
          return {
            kind: 'pass',
            delay: 10,
            after: () => {
              open -= by;
            },
          };
        }),
      );
    };
    const { deleted } = await sweep(scene, [...images, ...late], tag, { concurrency: 16 });
    expect(deleted).toHaveLength(8);
    expect(most).toBe(1);
  });

  it('are not tried any more once a delete was refused', async () => {
    const scene = await startScene({ deleteEnabled: false });
    signatures.forEach((each, n) => {
      scene.put(each, digestTag(image(`signed ${String(n)}`).digest, 'sig'));
    });
    const more = { concurrency: 16, policy: { danglingReferrers: 'delete' } } as const;
    const { failed, skipped } = await sweep(scene, [], undefined, more);
    expect([failed.length, skipped.length]).toEqual([1, 4]);
    expect(deletes(scene)).toHaveLength(1);
  });
});

describe('what earlier runs saw', () => {
  it('needs no grace and no subject at the second look either, and is not read again', async () => {
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

  it('and came back in the meantime keeps what describes it', async () => {
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
    expect(outcome).toEqual({ ...NOTHING, spared: [{ digest: sbom.digest, reason }] });
  });
});

describe('what only the registry says to describe a manifest', () => {
  it('is not deleted while that stays', async () => {
    const scene = await startScene();
    const about = image('about');
    scene.put(current, 'v1');
    scene.put(about);
    scene.put(old);
    scene.registry.intercept(listing(scene, new Map([[current, [about]]])));
    expect(await sweep(scene, [old])).toEqual({ ...NOTHING, deleted: [old.digest] });
    expect(scene.app.manifests.has(about.digest)).toBe(true);
  });

  it('goes after it', async () => {
    const scene = await startScene();
    const about = image('about');
    scene.put(old);
    scene.put(about);
    scene.registry.intercept(listing(scene, new Map([[old, [about]]])));
    expect(await sweep(scene, [old])).toMatchObject({ failed: [], skipped: [] });
    expect(deletes(scene)).toEqual(digests([old, about]));
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

  it.each<[string, Action]>([
    ['a page', { kind: 'html' }],
    ['a page that was not found', { kind: 'html', status: 404 }],
    ['404 in plain text', { kind: 'answer', status: 404, body: '404 page not found\n' }],
    ['404 with a code', errorAnswer(404, 'NOT_FOUND')],
  ])(
    '%s has passed that hid the referrers API: the child that it shows is spared',
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
      const outcome = await sweepRepository(survey, digests([old]), scene.options());
      expect(outcome).toEqual({
        ...NOTHING,
        spared: [{ digest: old.digest, reason: { kind: 'child', of: holder.digest } }],
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

describe('404 on DELETE', () => {
  it('with the code: already gone, and its children follow', async () => {
    const scene = await startScene();
    const list = index([old]);
    scene.put(list);
    scene.registry.intercept(
      when(`DELETE /v2/team/app/manifests/${list.digest}`, () => {
        scene.app.manifests.delete(list.digest);
        return errorAnswer(404, 'MANIFEST_UNKNOWN');
      }),
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
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 2, 'GET manifest': 2 });
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
    const outcome = await sweepRepository(
      await scene.look([old], more),
      digests([old]),
      scene.options(more),
    );
    return { scene, outcome };
  }

  it('is put back: a child that something came to hold in the meantime', async () => {
    const { scene, outcome } = await cameIntoUse();
    expect(outcome).toEqual({ ...NOTHING, healed: [old.digest] });
    expect(scene.app.manifests.get(old.digest)?.bytes).toEqual(old.bytes);
  });

  it('is told where it can not be put back', async () => {
    const { outcome } = await cameIntoUse({}, true);
    expect(outcome.deleted).toEqual([old.digest]);
    expect(outcome.broken).toEqual([
      { what: `manifest ${old.digest}`, why: expect.stringMatching(/gone.*could not.*403/) },
    ]);
  });

  it('is neither looked for nor put back without `verify`', async () => {
    const { scene, outcome } = await cameIntoUse({ verify: false });
    expect(outcome).toEqual({ ...NOTHING, deleted: [old.digest] });
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });

  it.each<[string, Action]>([
    ['no answer', { kind: 'reset' }],
    ['a failure', errorAnswer(500, 'UNKNOWN')],
    ['no answer at first, and then that it is gone', { kind: 'reset' }],
  ])('is put back, too, when the delete had %s', async (what, action) => {
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
    expect(await sweep(scene, [old])).toEqual({ ...NOTHING, healed: [old.digest] });
  });
});

describe('a fault of our own', () => {
  const contain = async <T>(work: Promise<T>) => work.catch(() => undefined);
  const fault = () => Promise.reject(new TypeError('ours'));

  async function meeting(more: (scene: Scene) => Partial<Looking>) {
    const scene = await startScene();
    scene.put(index([current]), 'v1');
    scene.put(old);
    scene.put(older);
    const survey = await scene.look([old, older]);
    const options = scene.options({ contain, concurrency: 1, ...more(scene) });
    return { scene, outcome: await sweepRepository(survey, digests([old, older]), options) };
  }

  it('after the deletes loses nothing of what they did', async () => {
    const { outcome } = await meeting(({ reader, registry }) => ({
      reader: {
        ...reader,
        tags: (repository) =>
          registry.requests.some(({ method }) => method === 'DELETE')
            ? fault()
            : reader.tags(repository),
      },
    }));
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: digests([old, older]).sort(),
      unverified: true,
    });
  });

  it('among the deletes leaves the rest, and what was kept is proved', async () => {
    const [one = '', two = ''] = digests([old, older]).sort();
    const { scene, outcome } = await meeting(({ writer }) => ({
      writer: {
        deleteManifest: (repository, digest) =>
          digest === two ? fault() : writer.deleteManifest(repository, digest),
      },
    }));
    expect(outcome).toEqual({
      ...NOTHING,
      deleted: [one],
      skipped: [{ digest: two, why: 'this action failed before its turn came' }],
    });
    // Before the deletes, and after them.
    expect(tally(scene.registry)['GET tags']).toBe(3);
  });

  it('before the first delete leaves all, and there is nothing to prove', async () => {
    const { outcome } = await meeting(({ reader }) => ({ reader: { ...reader, tags: fault } }));
    expect(outcome).toMatchObject({ deleted: [], unverified: false });
    expect(outcome.skipped).toHaveLength(2);
  });
});

describe('progress', () => {
  it.each<[string, Partial<Looking> | undefined, (scene: Scene) => void]>([
    ['was tried', undefined, () => undefined],
    [
      'failed',
      undefined,
      ({ registry }) => {
        registry.intercept(when(/^DELETE/, errorAnswer(500, 'UNKNOWN')));
      },
    ],
    [
      'was spared',
      undefined,
      (scene) => {
        setTag(scene.app, 'rollback', old.digest);
      },
    ],
    [
      'could not be looked at again',
      undefined,
      ({ registry }) => {
        registry.intercept(when(/tags\/list/, { kind: 'html' }));
      },
    ],
    ['was not saved', { save: () => Promise.reject(new BackupError('full')) }, () => undefined],
    ['came after the signal', { stop: AbortSignal.abort('SIGTERM') }, () => undefined],
  ])('counts each orphan, also what %s', async (_, more, meanwhile) => {
    const scene = await startScene();
    scene.put(index([old]));
    const outcome = await sweep(
      scene,
      [index([old])],
      () => {
        meanwhile(scene);
      },
      more,
    );
    expect(Object.values(outcome).flat()).toHaveLength(4);
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });
});

describe('looking again while it deletes', () => {
  const SECOND = 1_000;
  const orphans = Array.from({ length: 5 }, (_, n) => image(`orphan ${String(n)}`)).sort((a, b) =>
    a.digest < b.digest ? -1 : 1,
  );
  const [first = old, second = old, third = old] = orphans;

  interface Times {
    /** milliseconds that a look takes, and a delete */
    readonly look?: number;
    readonly deleting?: number;
    /** called when the nth look begins, from 1 */
    readonly onLook?: (n: number, scene: Scene) => Action | undefined;
    /** called when the nth delete was carried out, from 1 */
    readonly onDeleted?: (n: number, scene: Scene) => void;
    readonly answer?: (digest: string) => Action | undefined;
    /** sees what is neither the beginning of a look nor a delete */
    readonly others?: Interceptor;
  }

  /** A registry that takes its time, on a fake clock. One request at a time, so that the order is certain. */
  async function slow(times: Times, ...contents: readonly Content[]) {
    const scene = await startScene();
    scene.put(current, 'v1');
    contents.forEach((content) => {
      scene.put(content);
    });
    const clock = fakeClock({ auto: true }, NOW);
    const survey = await scene.look(contents);
    scene.registry.requests.length = 0;
    script(scene, clock, times);
    const run = (more: Partial<Looking> = {}) =>
      sweepRepository(survey, digests(contents), scene.options({ concurrency: 1, clock, ...more }));
    return { scene, clock, run };
  }

  function script(scene: Scene, clock: FakeClock, times: Times): void {
    const { look = 0, deleting = 0, onLook, onDeleted, answer, others } = times;
    let looks = 0;
    let deleted = 0;
    scene.registry.intercept((request) => {
      const { method, path: where } = request;
      if (where.includes('/tags/list')) {
        looks += 1;
        void clock.advance(look);
        return onLook?.(looks, scene);
      }
      if (method !== 'DELETE') {
        return others?.(request);
      }
      void clock.advance(deleting);
      return (
        answer?.(where.split('/').at(-1) ?? '') ?? {
          kind: 'pass',
          after: () => {
            deleted += 1;
            onDeleted?.(deleted, scene);
          },
        }
      );
    });
  }

  /** The looks, the last of which is the proof, and the deletes: `look`, or a digest. */
  function steps({ registry }: Scene): string[] {
    return registry.requests.flatMap(({ method, path: where }) => {
      if (where.includes('/tags/list')) {
        return ['look'];
      }
      return method === 'DELETE' ? [where.split('/').at(-1) ?? ''] : [];
    });
  }

  const [a = '', b = '', c = '', d = '', e = ''] = digests(orphans);

  it.each<[string, Times, string[]]>([
    ['once, when all is done in ten seconds', { deleting: 2_499 }, [a, b, c, d, e, 'look']],
    ['ten seconds after a look', { deleting: 4_000 }, [a, b, c, 'look', d, e, 'look']],
    ['at ten seconds sharp', { deleting: 2_500 }, [a, b, c, d, 'look', e, 'look']],
    [
      'after twice the time of a look, where that is longer',
      { look: 8_000, deleting: 4_000 },
      [a, b, c, d, 'look', e, 'look'],
    ],
    [
      'though each look is followed by a delete, however slow',
      { look: 60 * SECOND, deleting: 600 * SECOND },
      [a, 'look', b, 'look', c, 'look', d, 'look', e, 'look'],
    ],
  ])('%s', async (_, times, expected) => {
    const { scene, run } = await slow(times, ...orphans);
    expect(await run()).toEqual({ ...NOTHING, deleted: digests(orphans) });
    expect(steps(scene)).toEqual(['look', ...expected]);
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });

  it('spares what came into use since', async () => {
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
      spared: [
        { digest: second.digest, reason: { kind: 'tagged', tags: ['rollback'] } },
        { digest: third.digest, reason: { kind: 'child', of: list.digest } },
      ],
    });
    expect(steps(scene)).toEqual(['look', first.digest, 'look', 'look']);
  });

  it('puts back what came into use before that look, and was gone by then', async () => {
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
    expect(await run()).toEqual({ ...NOTHING, deleted: [second.digest], healed: [first.digest] });
    expect(scene.app.manifests.get(first.digest)?.bytes).toEqual(first.bytes);
  });

  it.each(['the first', 'a later'])(
    'puts back with it what the registry said at %s look to describe it',
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
      const outcome = await sweepRepository(survey, digests(three), options);
      expect(outcome).toEqual({
        ...NOTHING,
        deleted: [first.digest],
        healed: expect.arrayContaining(digests([second, third])),
      });
      expect(outcome.healed).toHaveLength(2);
    },
  );

  it('gives back the tag of a signature that went before that look', async () => {
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
    const outcome = await sweepRepository(
      survey,
      digests(contents),
      scene.options({ concurrency: 1, clock }),
    );
    const order = steps(scene);
    expect(order.indexOf(sig.digest)).toBeLessThan(order.indexOf('look', 1));
    expect(new Set(outcome.healed)).toEqual(new Set(digests([signed, sig])));
    expect(scene.app.tags.get(tag)).toBe(sig.digest);
  });

  it('tells of a new tag on what it had deleted before that look', async () => {
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

  it('tells of a kept tag that went before that look: a delete may have taken it along', async () => {
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

  it('does not blame itself for what was missing, broken or mended before', async () => {
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

  it('but proves what was mended in the meantime', async () => {
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

  it('takes what describes an image for its own, also when the image went before that look', async () => {
    // No earlier run remembers the image: without it, the signatures would look like those of an image elsewhere.
    const sbom = referrer('sbom', old);
    const { scene, clock } = await slow({});
    scene.put(old);
    scene.put(sbom);
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const survey = await scene.look([old, sbom]);
    scene.registry.requests.length = 0;
    script(scene, clock, { deleting: 10 * SECOND });
    const outcome = await sweepRepository(
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
  ])('leaves the children of an index whose delete %s before that look', async (_, action) => {
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

  it('leaves the child of an index whose delete failed, also when nothing names that index any more', async () => {
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
  ])('does not ask again for what it deleted: %s', async (_, look) => {
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
    const { deleted } = await sweepRepository(survey, digests(orphans), options);
    expect(deleted).toHaveLength(orphans.length);
    const asked = scene.registry.requests.filter(
      ({ method, path: where }) =>
        method !== 'DELETE' && orphans.some(({ digest }) => where.endsWith(digest)),
    );
    // But for the one question whether it is gone.
    expect(asked.map(({ method }) => method)).toEqual(orphans.map(() => 'HEAD'));
  });

  it('does not lose a tag that a look saw on what it had deleted, pushed again since', async () => {
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
    expect(await run()).toEqual({ ...NOTHING, deleted: [second.digest], healed: [first.digest] });
    expect(scene.app.tags.get('late')).toBe(first.digest);
    expect(scene.app.manifests.get(first.digest)?.bytes).toEqual(first.bytes);
  });

  it('spares what it had deleted and a push has brought back', async () => {
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
      spared: [{ digest: first.digest, reason: { kind: 'tagged', tags: ['late'] } }],
    });
    expect(scene.progress.finished).toBe(scene.progress.expected);
  });

  it('does not lose such a tag either where the delete seemed to have failed', async () => {
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
      healed: [first.digest],
    });
    expect(scene.app.tags.get('late')).toBe(first.digest);
  });

  it('gives up when no delete is answered in time, look after look', async () => {
    const { run, scene } = await slow({}, first, second);
    const writer = { deleteManifest: () => Promise.reject(new TooLate()) };
    const why = expect.stringMatching(/^the registry answered no delete soon enough .*5 times/);
    expect(await run({ writer })).toEqual({
      ...NOTHING,
      skipped: digests([first, second]).map((digest) => ({ digest, why })),
    });
    expect(steps(scene)).toEqual(Array.from({ length: 5 }, () => 'look'));
  });

  it('leaves the rest where that can not be read, says so, and proves what it did', async () => {
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

  it('does not take the child of what it deleted for one of the newest', async () => {
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
    const outcome = await sweepRepository(
      survey,
      [],
      scene.options({ ...more, concurrency: 1, clock }),
    );
    expect(outcome).toEqual({ ...NOTHING, deleted: digests([list, child]) });
    expect(scene.app.manifests.has(kept.digest)).toBe(true);
  });

  describe('when it is told to stop', () => {
    const STOPPED = 'the run was told to stop before its turn came';

    it('before it began, sends nothing', async () => {
      const { run, scene } = await slow({}, first, second);
      expect(await run({ stop: AbortSignal.abort('SIGTERM') })).toEqual({
        ...NOTHING,
        skipped: digests([first, second]).map((digest) => ({ digest, why: STOPPED })),
      });
      expect(scene.registry.requests).toEqual([]);
    });

    it('in the middle of a look, deletes nothing, and gives the signal as the reason', async () => {
      const stop = new AbortController();
      const { run, scene } = await slow(
        {
          onLook: () => {
            stop.abort('SIGTERM');
            return errorAnswer(403, 'DENIED');
          },
        },
        first,
      );
      expect(await run({ stop: stop.signal })).toEqual({
        ...NOTHING,
        skipped: [{ digest: first.digest, why: STOPPED }],
      });
      expect(steps(scene)).toEqual(['look']);
    });

    it('after a look that was whole, deletes nothing either', async () => {
      const stop = new AbortController();
      const { run, scene } = await slow(
        {
          onLook: () => {
            stop.abort('SIGTERM');
            return undefined;
          },
        },
        first,
      );
      expect((await run({ stop: stop.signal })).skipped).toHaveLength(1);
      expect(steps(scene)).toEqual(['look']);
    });

    it('between two deletes, sends no other, looks no more, and says that nothing is proved', async () => {
      const stop = new AbortController();
      const { run, scene } = await slow(
        {
          onDeleted: (n) => {
            if (n === 2) {
              stop.abort('SIGTERM');
            }
          },
        },
        ...orphans,
      );
      expect(await run({ stop: stop.signal })).toEqual({
        ...NOTHING,
        deleted: [a, b],
        skipped: [c, d, e].map((digest) => ({ digest, why: STOPPED })),
        unverified: true,
      });
      expect(steps(scene)).toEqual(['look', a, b]);
      expect(scene.progress.finished).toBe(scene.progress.expected);
    });

    it('says nothing of a proof that nobody asked for', async () => {
      const stop = new AbortController();
      const { run } = await slow(
        {
          onDeleted: () => {
            stop.abort('SIGTERM');
          },
        },
        first,
        second,
      );
      expect(await run({ stop: stop.signal, verify: false })).toMatchObject({
        deleted: [first.digest],
        unverified: false,
      });
    });

    it('awaits what is under way: all of it is told', async () => {
      const stop = new AbortController();
      const { run, scene, clock } = await slow({}, ...orphans);
      let begun = 0;
      scene.registry.intercept(
        when(/^DELETE/, () => {
          begun += 1;
          if (begun === 3) {
            stop.abort('SIGTERM');
          }
          return { kind: 'pass', delay: 30 };
        }),
      );
      const outcome = await run({ stop: stop.signal, concurrency: 3, clock });
      expect(new Set(outcome.deleted)).toEqual(new Set([a, b, c]));
      expect(outcome.skipped.map(({ digest }) => digest)).toEqual([d, e]);
      expect(scene.app.manifests.size).toBe(3);
    });

    it('in the middle of the proof, says that it is not done', async () => {
      const stop = new AbortController();
      const { run } = await slow(
        {
          onLook: (n) => {
            if (n === 2) {
              stop.abort('SIGTERM');
              return errorAnswer(403, 'DENIED');
            }
            return undefined;
          },
        },
        first,
      );
      expect(await run({ stop: stop.signal })).toEqual({
        ...NOTHING,
        deleted: [first.digest],
        unverified: true,
      });
    });
  });
});

describe('the backup', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'sweep-backup-'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const saving =
    (where: string): Looking['save'] =>
    (manifests) =>
      openBackup(where).save(
        manifests.map((each) => ({ ...each, registry: 'http://127.0.0.1', savedAt: NOW })),
      );

  it('has the bytes and the index before the first look, and so before the first delete', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const missing: string[] = [];
    const survey = await scene.look([old]);
    scene.registry.intercept(({ method, path: where }) => {
      const files = [path.join(directory, INDEX), fileOf(directory, old.digest)];
      missing.push(
        ...files.filter((file) => !existsSync(file)).map((file) => `${method} ${where}: ${file}`),
      );
      return undefined;
    });
    const save = saving(directory);
    const outcome = await sweepRepository(survey, digests([old]), scene.options({ save }));
    expect(outcome.deleted).toHaveLength(2);
    expect(missing).toEqual([]);
  });

  it('is told the tags, the reason and the type of each, and nothing that stays', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    const sig = cosign('sig', old);
    setTag(scene.app, digestTag(old.digest, 'att'), sig.digest);
    scene.put(sig, digestTag(old.digest, 'sig'));
    const saved: unknown[] = [];
    const save: Looking['save'] = async (manifests) => {
      saved.push(...manifests);
    };
    await sweep(scene, [old], undefined, { save });
    const { mediaType } = old;
    expect(saved).toEqual([
      {
        repository: APP,
        digest: old.digest,
        mediaType,
        tags: [],
        reason: { kind: 'unreachable' },
        bytes: old.bytes,
      },
      {
        repository: APP,
        digest: sig.digest,
        mediaType,
        tags: [digestTag(old.digest, 'att'), digestTag(old.digest, 'sig')],
        reason: expect.objectContaining({ kind: 'digest-tag', of: old.digest }),
        bytes: sig.bytes,
      },
    ]);
  });

  it('is told the tags that once pointed at each, and since when nothing uses it', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const tag = digestTag(old.digest, 'sig');
    scene.put(old);
    scene.put(cosign('sig', old), tag);
    const known = remembered([old, cosign('sig', old)], { tags: ['v1', tag] });
    const saved: unknown[] = [];
    const save: Looking['save'] = async (manifests) => {
      saved.push(...manifests);
    };
    const survey = await scene.look([], { known });
    await sweepRepository(survey, [], scene.options({ save }));
    expect(saved).toMatchObject([
      { tags: [], formerTags: [tag, 'v1'], unusedSince: NOW - 30 * DAY },
      { tags: [tag], formerTags: ['v1'], unusedSince: NOW - 30 * DAY },
    ]);
  });

  describe('when a signature tag came to name one of them since', () => {
    const tag = digestTag(older.digest, 'sig');
    const ordinary = image('ordinary');

    async function retagged(more: Partial<Looking>) {
      const scene = await startScene();
      const condemned = [old, older, ordinary];
      condemned.forEach((content) => {
        scene.put(content);
      });
      const saved: (readonly (readonly [string, readonly string[]])[])[] = [];
      const save: Looking['save'] = async (manifests) => {
        saved.push(manifests.map(({ digest, tags }) => [digest, tags]));
        await more.save?.(manifests);
      };
      const outcome = await sweep(
        scene,
        condemned,
        () => {
          setTag(scene.app, tag, old.digest);
          setTag(scene.app, 'v1', ordinary.digest);
        },
        { ...more, save },
      );
      return { scene, saved, outcome };
    }

    it('is saved once more with it, and what is spared is not', async () => {
      const { saved, outcome } = await retagged({});
      expect(saved.slice(1)).toEqual([[[old.digest, [tag]]]]);
      expect(outcome.deleted).toEqual(digests([older, old]));
      expect(outcome.spared.map(({ digest }) => digest)).toEqual([ordinary.digest]);
    });

    it('and can not be saved with it, nothing is deleted', async () => {
      const save: Looking['save'] = async ([{ tags } = { tags: [] }]) => {
        if (tags.length > 0) {
          throw new BackupError('full');
        }
      };
      const { scene, outcome } = await retagged({ save });
      expect(outcome.skipped).toEqual(
        digests([old, older])
          .sort()
          .map((digest) => ({ digest, why: 'full' })),
      );
      expect(deletes(scene)).toEqual([]);
    });

    it('comes back with it, if it has to', async () => {
      const scene = await startScene();
      scene.put(old);
      scene.put(older);
      const list = index([older]);
      const outcome = await sweep(scene, [old, older], () => {
        setTag(scene.app, tag, old.digest);
        scene.registry.intercept(
          when(`DELETE /v2/${APP}/manifests/${old.digest}`, {
            kind: 'pass',
            after: () => {
              const { digest, mediaType, bytes } = list;
              scene.app.manifests.set(digest, { mediaType, bytes });
              setTag(scene.app, 'late', digest);
            },
          }),
        );
      });
      expect(new Set(outcome.healed)).toEqual(new Set(digests([old, older])));
      expect(scene.app.tags.get(tag)).toBe(old.digest);
    });
  });

  it('of two signatures between which a tag has moved gives it back to the latter', async () => {
    const [one, two] = [referrer('one', old), referrer('two', old)];
    const tag = digestTag(old.digest, 'sig');
    const list = index([old]);
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(one, tag);
    scene.put(two);
    const survey = await scene.look([old, one, two]);
    scene.put(two, tag);
    // A push brings an index over the image at the moment of its delete: all of it has to come back.
    scene.registry.intercept(
      when(new RegExp(`^DELETE .*${old.digest}`), {
        kind: 'pass',
        after: () => {
          scene.app.manifests.set(list.digest, { mediaType: list.mediaType, bytes: list.bytes });
          setTag(scene.app, 'late', list.digest);
        },
      }),
    );
    scene.registry.requests.length = 0;
    const outcome = await sweepRepository(survey, digests([old, one, two]), scene.options());
    expect(outcome.broken).toEqual([]);
    expect(new Set(outcome.healed)).toEqual(new Set(digests([old, one, two])));
    expect(scene.app.tags.get(tag)).toBe(two.digest);
    const pushed = scene.registry.requests.filter(
      ({ method, path: where }) => method === 'PUT' && where.endsWith(tag),
    );
    expect(pushed).toHaveLength(1);
  });

  it('can not be written: nothing is looked at or deleted, and each says why', async () => {
    const file = path.join(directory, 'file');
    writeFileSync(file, '');
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [old, older], undefined, { save: saving(file) });
    const why = expect.stringMatching(
      /^the manifests to delete could not be saved in .*backup-dir/,
    );
    expect(outcome).toEqual({
      ...NOTHING,
      skipped: digests([old, older])
        .sort()
        .map((digest) => ({ digest, why })),
    });
    expect(scene.registry.requests).toEqual([]);
  });

  it('lacks the bytes of one: nothing is deleted', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const survey = await scene.look([old, older]);
    const bodies = new Map([...survey.bodies].filter(([digest]) => digest !== older.digest));
    const outcome = await sweepRepository(
      { ...survey, bodies },
      digests([old, older]),
      scene.options({ save: saving(directory) }),
    );
    expect(outcome.skipped).toEqual(
      digests([old, older])
        .sort()
        .map((digest) => ({ digest, why: expect.stringContaining(older.digest) })),
    );
    expect(deletes(scene)).toEqual([]);
  });

  it('is told of a manifest whose type is not known: nothing is deleted', async () => {
    const scene = await startScene();
    scene.put(old);
    const survey = await scene.look([old]);
    const inventory = { ...survey.inventory, manifests: new Map() };
    const save = saving(directory);
    const outcome = await sweepRepository(
      { ...survey, inventory },
      digests([old]),
      scene.options({ save }),
    );
    expect(outcome.skipped).toHaveLength(1);
    expect(deletes(scene)).toEqual([]);
  });

  it('mistakes of our own are thrown, and nothing is deleted', async () => {
    const scene = await startScene();
    scene.put(old);
    const save = () => Promise.reject(new TypeError('ours'));
    await expect(sweep(scene, [old], undefined, { save })).rejects.toThrow(TypeError);
    expect(scene.registry.requests).toEqual([]);
  });
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
