import { afterEach, describe, expect, it } from '@jest/globals';
import { BackupError } from '../../../src/run/backup/backup.js';
import { image, index, referrer } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { setTag } from '../../support/servers/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { digests, startScene, type Looking, type Scene } from '../../support/scenes/survey.js';
import {
  current,
  old,
  older,
  NOTHING,
  carryOut,
  sweep,
  deletes,
} from '../../support/scenes/sweeping.js';

afterEach(stopClients);

describe('a DELETE that is answered with 404', () => {
  it('is believed with the code: the manifest is gone already, and its children follow', async () => {
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
  ])('is not believed %s', async (_, action) => {
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
  ])('keeps the children, and nothing else: %s', async (_, action, words) => {
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

  it('keeps the referrers of a subject, and theirs', async () => {
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

  it('may have been carried out, so the sweep is verified all the same', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.registry.intercept(when(/^DELETE/, errorAnswer(500, 'UNKNOWN')));
    await sweep(scene, [old]);
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 2, 'GET manifest': 2 });
  });

  it('is retried, and has worked if the first try was carried out after all', async () => {
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

  it('throws faults of this program', async () => {
    const scene = await startScene();
    scene.put(old);
    const deleter = { deleteManifest: () => Promise.reject(new TypeError('ours')) };
    await expect(sweep(scene, [old], undefined, { deleter })).rejects.toThrow(TypeError);
  });
});

describe('a refusal', () => {
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
  ])('calls the sweep off: %s', async (_, action, words) => {
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

  it('calls the sweep off after some deletes, and the sweep is verified', async () => {
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

  it('calls the sweep off if the registry has deletes switched off', async () => {
    for (const options of [{ deleteEnabled: false }, { readOnly: true }]) {
      const scene = await startScene(options);
      scene.put(old);
      const outcome = await sweep(scene, [old]);
      expect(outcome.failed).toHaveLength(1);
      expect(scene.app.manifests.size).toBe(1);
    }
  });

  it('does not call the sweep off if it is for one manifest alone (405)', async () => {
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

describe('a sweep without the right to delete', () => {
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

  it('fails the delete, and not the run, where the token server refuses the scope', async () => {
    const scene = await startScene({ auth }, login);
    scene.put(old);
    scene.registry.intercept(when(/^GET \/token.*delete/, { kind: 'answer', status: 403 }));
    const outcome = await sweep(scene, [old]);
    expect(outcome.failed).toEqual([{ digest: old.digest, why: expect.stringContaining('403') }]);
  });
});

describe('a fault of this program', () => {
  const contain = async <T>(_: string, work: Promise<T>) => work.catch(() => undefined);
  const fault = () => Promise.reject(new TypeError('ours'));

  async function meeting(more: (scene: Scene) => Partial<Looking>) {
    const scene = await startScene();
    scene.put(index([current]), 'v1');
    scene.put(old);
    scene.put(older);
    const survey = await scene.look([old, older]);
    const options = scene.options({ contain, concurrency: 1, ...more(scene) });
    return { scene, outcome: await carryOut(survey, digests([old, older]), options) };
  }

  it('loses no result of the deletes if it occurs after them', async () => {
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

  it('keeps the remaining orphans if it occurs among the deletes, and the sweep is verified', async () => {
    const [one = '', two = ''] = digests([old, older]).sort();
    const { scene, outcome } = await meeting(({ deleter }) => ({
      deleter: {
        deleteManifest: (repository, digest) =>
          digest === two ? fault() : deleter.deleteManifest(repository, digest),
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

  it('keeps all orphans if it occurs before the first delete, and there is nothing to verify', async () => {
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
      'was kept',
      undefined,
      (scene) => {
        setTag(scene.app, 'rollback', old.digest);
      },
    ],
    [
      'could not be read again',
      undefined,
      ({ registry }) => {
        registry.intercept(when(/tags\/list/, { kind: 'html' }));
      },
    ],
    ['was not saved', { save: () => Promise.reject(new BackupError('full')) }, () => undefined],
    ['came after the signal', { stop: AbortSignal.abort('SIGTERM') }, () => undefined],
  ])('counts each orphan and nothing else, also one that %s', async (_, more, meanwhile) => {
    const scene = await startScene();
    scene.put(index([old]));
    const outcome = await sweep(
      scene,
      [index([old])],
      () => {
        Object.assign(scene.progress, { expected: 0, finished: 0 });
        meanwhile(scene);
      },
      more,
    );
    const { broken: __, unverified: ___, ...ends } = outcome;
    expect(Object.values(ends).flat()).toHaveLength(2);
    expect(scene.progress).toEqual({ expected: 2, finished: 2 });
  });
});
