import { afterEach, describe, expect, it } from '@jest/globals';

import { Confirmation } from '../../src/run/confirmation.js';
import { Deletion, type DeletionOptions } from '../../src/run/deletion.js';
import type { Orphan } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Fate } from '../../src/plan/fate.js';
import { NotSent } from '../../src/http/stop.js';
import { RegistryError } from '../../src/registry/registry-error.js';
import { image, index, type Content } from '../support/builders/build.js';
import type { Action } from '../support/servers/memory/script.js';
import { errorAnswer, stopClients, when } from '../support/clients/client.js';
import { APP, digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const child = image('child');
const parent = index([child]);
const other = image('other');

function orphan({ digest }: Content, ...after: readonly Content[]): Orphan {
  return { digest, reason: { kind: 'unreachable' }, after: digests(after) };
}

interface More extends Partial<DeletionOptions> {
  readonly tagged?: readonly Content[];
}

/** One round of deletes: what it said, what became of each, and how many it told of. */
async function round(scene: Scene, condemned: readonly Orphan[], more: More = {}) {
  const { tagged = [], fates = new Map<Digest, Fate>(), ...options } = more;
  let done = 0;
  const tagsOf = new Map(digests(tagged).map((digest) => [digest, ['v1']]));
  const deletion = new Deletion({
    repository: APP,
    tagsOf,
    fates,
    deleter: scene.deleter,
    concurrency: 4,
    isOver: () => false,
    mayWait: () => true,
    confirmation: new Confirmation({ ...scene.options(), repository: APP, fates }),
    onDone: () => {
      done += 1;
    },
    ...options,
  });
  const changed = await deletion.run(condemned);
  return { changed, fates, done };
}

function deletes({ registry }: Scene): (string | undefined)[] {
  return registry.requests
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => path.split('/').at(-1));
}

async function filled(): Promise<Scene> {
  const scene = await startScene();
  scene.put(parent);
  scene.put(other);
  return scene;
}

describe('the end of the time', () => {
  it('leaves deletes that were not begun without a fate, and without a step of progress', async () => {
    const scene = await filled();
    let asked = 0;
    const isOver = () => {
      asked += 1;
      return asked > 2;
    };
    const { fates, done, changed } = await round(
      scene,
      [orphan(parent), orphan(other), orphan(child, parent)],
      { concurrency: 1, isOver },
    );
    expect([...fates]).toEqual([[parent.digest, { kind: 'deleted' }]]);
    // Of the first twice: when its turn came, and right before it was sent.
    expect([changed, done, asked]).toEqual([true, 1, 4]);
    expect(deletes(scene)).toEqual([parent.digest]);
  });

  it('may come while a delete waits for the one before it', async () => {
    const scene = await filled();
    let over = false;
    scene.registry.intercept(
      when(/^DELETE/, {
        kind: 'pass',
        after: () => {
          over = true;
        },
      }),
    );
    const { fates } = await round(scene, [orphan(parent), orphan(child, parent)], {
      isOver: () => over,
    });
    // That its parent is gone by now is no reason to call it "still there", nor to take it.
    expect([...fates.keys()]).toEqual([parent.digest]);
    expect(scene.app.manifests.has(child.digest)).toBe(true);
  });

  it('may be there from the beginning: nothing is sent, and nothing changes', async () => {
    const scene = await filled();
    expect(
      await round(scene, [orphan(parent), orphan(child, parent)], { isOver: () => true }),
    ).toEqual({ changed: false, fates: new Map(), done: 0 });
    expect(deletes(scene)).toEqual([]);
  });

  it('also ends the row of tagged manifests', async () => {
    const scene = await filled();
    let asked = 0;
    const { fates } = await round(scene, [orphan(parent), orphan(other)], {
      tagged: [parent, other],
      isOver: () => {
        asked += 1;
        return asked > 2;
      },
    });
    expect([...fates.keys()]).toEqual([parent.digest]);
  });

  it('may come while a delete waits for its turn: it is not sent any more', async () => {
    const scene = await startScene();
    const many = Array.from({ length: 40 }, (_, n) => image(`one of many ${String(n)}`));
    many.forEach((content) => {
      scene.put(content);
    });
    let over = false;
    scene.registry.intercept(
      when(/^DELETE/, {
        kind: 'pass',
        after: () => {
          over = true;
        },
      }),
    );
    const condemned = many.map((content) => orphan(content));
    const { fates, done } = await round(scene, condemned, {
      concurrency: many.length,
      isOver: () => over,
    });
    // All are under way for this module, but the client sends sixteen at a time.
    expect(deletes(scene).length).toBeLessThanOrEqual(16);
    expect(fates.size).toBe(deletes(scene).length);
    expect(done).toBe(fates.size);
    expect(scene.app.manifests.size).toBe(many.length - fates.size);
  });

  describe('the end of the time before a failed delete could be retried', () => {
    async function failing(action: Action, more: More = {}) {
      const scene = await filled();
      let over = false;
      scene.registry.intercept(
        when(/^DELETE/, () => {
          over = true;
          return action;
        }),
      );
      const got = await round(scene, [orphan(parent)], { isOver: () => over, ...more });
      return { ...got, tries: deletes(scene).length };
    }

    it.each<[string, Action]>([
      ['a 503', errorAnswer(503, 'UNAVAILABLE')],
      ['a reset', { kind: 'reset' }],
      ['a refusal of this one', errorAnswer(409, 'CONFLICT')],
    ])(
      'makes it wait for the next recheck, since it may have been carried out: %s',
      async (_, action) => {
        expect(await failing(action)).toEqual({
          changed: true,
          fates: new Map(),
          done: 0,
          tries: 1,
        });
      },
    );

    it('makes it fail when it has waited long enough, with the reason of the last try', async () => {
      const asked: string[] = [];
      const { fates, tries } = await failing(errorAnswer(503, 'UNAVAILABLE'), {
        mayWait(digest) {
          asked.push(digest);
          return false;
        },
      });
      expect(fates.get(parent.digest)).toMatchObject({
        kind: 'failed',
        why: expect.stringContaining('503'),
      });
      expect([asked, tries]).toEqual([[parent.digest], 1]);
    });

    it('makes it fail at once if the refusal holds for the whole repository', async () => {
      const { fates } = await failing(errorAnswer(403, 'DENIED'));
      expect(fates.get(parent.digest)).toMatchObject({ kind: 'failed' });
    });
  });
});

describe('a manifest that has to go first', () => {
  it.each<[string, Action]>([
    ['failed', errorAnswer(500, 'UNKNOWN')],
    ['could not be reached', { kind: 'reset' }],
  ])('keeps the manifests after it: %s', async (_, action) => {
    const scene = await filled();
    scene.registry.intercept(when(`DELETE /v2/${APP}/manifests/${parent.digest}`, action));
    const { fates, done } = await round(scene, [orphan(parent), orphan(child, parent)]);
    expect(fates.get(parent.digest)).toMatchObject({ kind: 'failed' });
    expect(fates.get(child.digest)).toEqual({
      kind: 'skipped',
      why: `${parent.digest}, which has to go before it, is still there`,
    });
    expect(done).toBe(2);
    expect(scene.app.manifests.has(child.digest)).toBe(true);
  });

  it('makes the manifests after it skipped if it was skipped itself', async () => {
    const scene = await filled();
    const outer = index([parent]);
    const { fates } = await round(scene, [orphan(parent, outer), orphan(child, parent)]);
    expect([...fates].map(([digest, { kind }]) => [digest, kind])).toEqual([
      [parent.digest, 'skipped'],
      [child.digest, 'skipped'],
    ]);
    expect(deletes(scene)).toEqual([]);
  });

  it.each(['deleted', 'gone'] as const)(
    'keeps its children if an earlier round found it %s and somebody has pushed it again',
    async (kind) => {
      const scene = await filled();
      const fates = new Map<Digest, Fate>([[parent.digest, { kind }]]);
      await round(scene, [orphan(child, parent)], { fates });
      expect(fates.get(child.digest)).toMatchObject({ kind: 'skipped' });
      expect(deletes(scene)).toEqual([]);
    },
  );

  it('waits with its children if the registry says that something names it', async () => {
    const scene = await filled();
    const refusal = new RegistryError('referenced', 'an index names it');
    const deleter: DeletionOptions['deleter'] = {
      deleteManifest: (repository, digest, options) =>
        digest === parent.digest
          ? Promise.reject(refusal)
          : scene.deleter.deleteManifest(repository, digest, options),
    };
    const all = [orphan(parent), orphan(other), orphan(child, parent)];
    const waiting = await round(scene, all, { deleter });
    expect([...waiting.fates]).toEqual([[other.digest, { kind: 'deleted' }]]);
    const { fates } = await round(scene, [orphan(parent)], { deleter, mayWait: () => false });
    expect([...fates]).toEqual([[parent.digest, { kind: 'failed', why: refusal.message }]]);
  });

  it('lets the manifests after it be deleted if it was gone already', async () => {
    const scene = await filled();
    scene.app.manifests.delete(parent.digest);
    const { fates } = await round(scene, [orphan(parent), orphan(child, parent)]);
    expect([...fates]).toEqual([
      [parent.digest, { kind: 'gone' }],
      [child.digest, { kind: 'deleted' }],
    ]);
  });
});

describe('a change of the registry', () => {
  it.each<[string, Action | undefined, boolean]>([
    ['it says so', undefined, true],
    // The answer to our own first try may have been lost.
    ['it has no such manifest', errorAnswer(404, 'MANIFEST_UNKNOWN'), true],
    ['it failed', errorAnswer(500, 'UNKNOWN'), true],
    ['it did not answer', { kind: 'reset' }, true],
    ['it may not be done', errorAnswer(403, 'DENIED'), false],
    ['deleting is switched off', errorAnswer(405, 'UNSUPPORTED'), false],
  ])('%s', async (_, action, expected) => {
    const scene = await filled();
    if (action !== undefined) {
      scene.registry.intercept(when(/^DELETE/, action));
    }
    expect((await round(scene, [orphan(other)])).changed).toBe(expected);
  });
});

it('a delete that was not sent is skipped with the reason, and is not called a failure', async () => {
  const scene = await filled();
  const deleter = {
    deleteManifest: () =>
      Promise.reject(new NotSent('not sent: the run was told to stop [run-stopped]')),
  };
  expect(await round(scene, [orphan(other)], { deleter })).toEqual({
    changed: false,
    fates: new Map([
      [other.digest, { kind: 'skipped', why: 'not sent: the run was told to stop [run-stopped]' }],
    ]),
    done: 1,
  });
});

it('a refusal is the reason for the rest, also when the time is over', async () => {
  const scene = await filled();
  scene.registry.intercept(when(/^DELETE/, errorAnswer(403, 'DENIED')));
  let asked = 0;
  const { fates } = await round(scene, [orphan(parent), orphan(other)], {
    concurrency: 1,
    isOver: () => {
      asked += 1;
      return asked > 2;
    },
  });
  expect(fates.get(other.digest)).toEqual({
    kind: 'skipped',
    why: 'not tried: the registry refused another delete in this repository',
  });
  expect(deletes(scene)).toEqual([parent.digest]);
});

it('faults of this program are thrown', async () => {
  const scene = await filled();
  const deleter = { deleteManifest: () => Promise.reject(new TypeError('ours')) };
  await expect(round(scene, [orphan(other)], { deleter })).rejects.toThrow(TypeError);
});
