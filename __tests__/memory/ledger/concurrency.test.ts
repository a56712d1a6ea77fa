/** The ledger under several runs at once, and under runs that are killed. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { TransportError, type Send } from '../../../src/http/message.js';
import type { Settled } from '../../../src/memory/memory.js';
import { APP, digests } from '../../support/scenes/survey.js';
import { image } from '../../support/builders/build.js';
import { stopClients, tally, when } from '../../support/clients/client.js';
import { recordsOf, THEN } from '../../support/builders/records.js';
import {
  before,
  freeing,
  begin,
  LEDGER,
  observation,
  startScene,
  LATER,
  known,
  recall,
  run,
} from '../../support/scenes/ledger.js';

afterEach(stopClients);

const a = image('a');
const b = image('b');
const c = image('c');

async function settledOf(recording: Promise<Settled | undefined>): Promise<Settled> {
  const settled = await recording;
  expect(settled).toBeDefined();
  return settled ?? { repository: APP, tag: '' };
}

describe('two runs at the same time', () => {
  it('both remember what they saw, and the next run makes one of it', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a] });
    const [one, two] = [await scene.open(LATER), await scene.open(LATER)];
    const [first, second] = [await recall(one), await recall(two)];
    await one.saw(first, observation({ inUse: [a, b], known: [a] }));
    await two.saw(second, observation({ inUse: [a, c], known: [a] }));
    expect(await scene.entries()).toMatchObject([{ sequence: 2 }, { sequence: 2 }]);
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b, c])));

    const seen = { inUse: [a, b, c], known: [a, b, c] };
    expect((await run(scene, seen)).isSettled).toBe(true);
    expect(await scene.entries()).toMatchObject([{ sequence: 3 }]);
  });

  it('read again and write when the entry that one of them relied on is gone', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a] });
    const { ledger, memory } = await begin(scene, LATER);
    scene.registry.intercept(
      before(/^HEAD/, () => {
        [...scene.home.tags.keys()].forEach((tag) => {
          scene.drop(tag);
        });
        return scene
          .put({ sequence: 2, records: recordsOf([a], { status: 'unused', revision: 1 }) })
          .then(() => undefined);
      }),
    );
    expect(await ledger.saw(memory, observation({ inUse: [a], known: [a] }))).toBeDefined();
    expect(await scene.entries()).toMatchObject([{ sequence: 3 }]);
    expect(await known(scene)).toEqual(recordsOf([a], { since: LATER, revision: 2 }));
    expect(ledger.news().failures).toEqual([]);
  });

  it.each(['that frees', 'that keeps'])(
    'rely on the entry that took the place of their own (registry %s blobs)',
    async (kind) => {
      const scene = await startScene();
      await run(scene, { inUse: [a] });
      const { ledger, memory } = await begin(scene);
      scene.registry.intercept(kind === 'that frees' ? freeing(scene) : undefined);
      await run(scene, { inUse: [a, b], known: [a] });

      expect(await ledger.saw(memory, observation({ inUse: [a], known: [a] }))).toBeDefined();
      expect(ledger.news()).toMatchObject({ written: 0, warnings: [], failures: [] });
      expect(await scene.entries()).toMatchObject([{ sequence: 2 }]);
      expect((await known(scene)).size).toBe(2);
    },
  );

  it('write again an entry that the other has merged before it was read back', async () => {
    const scene = await startScene();
    const { ledger, memory } = await begin(scene);
    scene.registry.intercept(
      before(/^HEAD/, async () => {
        await run(scene, { inUse: [a, b], known: [a] });
      }),
    );
    expect(await ledger.saw(memory, observation({ inUse: [a] }))).toBeDefined();
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b])));
    expect(ledger.news().failures).toEqual([]);
  });

  it('give up after 20 rounds, and say what may be wrong', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    const { ledger, memory } = await begin(scene);
    scene.registry.intercept(
      when(/^PUT .*\/manifests\//, {
        kind: 'pass',
        after: () => {
          scene.home.tags.delete([...scene.home.tags.keys()].at(-1) ?? '');
        },
      }),
    );
    expect(await ledger.saw(memory, observation({ inUse: [a, b], known: [a] }))).toBeUndefined();
    expect(tally(scene.registry)).toMatchObject({ 'PUT manifest': 20 });
    expect(tally(scene.registry)).not.toHaveProperty('DELETE manifest');
    expect(ledger.news()).toMatchObject({
      warnings: [],
      failures: [
        `${LEDGER}: what was seen of ${APP} was written 20 times and was gone each time. Does something ` +
          'delete tags or manifests there? [ledger-not-written]',
      ],
    });
    expect([...(await known(scene)).keys()]).toEqual([a.digest]);
  });
});

/** A run that dies: only so many of its requests reach the registry, and of the last the answer is lost. */
function dying(send: Send, most: number, isLastLost: boolean): Send {
  let n = 0;
  const dead = () => new TransportError('other', 'killed');
  return async (request) => {
    n += 1;
    if (n > most) {
      throw dead();
    }
    const answer = await send(request);
    if (isLastLost && n === most) {
      throw dead();
    }
    return answer;
  };
}

describe('a record that a run relies on', () => {
  const everything = new Set(digests([a, b, c]));

  it.each(Array.from({ length: 15 }, (_, n) => n))(
    'survives a run that compacts and is killed after %i requests',
    async (most) => {
      for (const isLastLost of [false, true]) {
        const scene = await startScene();
        scene.registry.intercept(freeing(scene));
        await scene.put({ sequence: 2, records: recordsOf([a]) });
        await scene.put({ sequence: 1, records: recordsOf([b]) });
        const ledger = await scene.open(THEN, dying(scene.send, most, isLastLost));
        const memory = await ledger.recall(APP);
        const seen = observation({ inUse: [a, b, c], known: [a, b] });
        const isSettled = memory !== undefined && (await ledger.saw(memory, seen)) !== undefined;
        const left = new Set((await known(scene)).keys());
        expect(left.has(a.digest) && left.has(b.digest)).toBe(true);
        // Who was told that it is settled can rely on it.
        expect(left.size).toBeGreaterThanOrEqual(isSettled ? 3 : 2);
        expect((await scene.entries()).length).toBeLessThanOrEqual(isSettled ? 1 : 3);

        const quiet = await run(scene, { inUse: [a, b, c] });
        expect(quiet).toMatchObject({ isSettled: true, news: { warnings: [], failures: [] } });
        expect(new Set((await known(scene)).keys())).toEqual(everything);
        expect(await scene.entries()).toHaveLength(1);
      }
    },
  );

  it('stays where another run saw the manifest in use after this one found it absent', async () => {
    const scene = await startScene();
    scene.registry.intercept(freeing(scene));
    await scene.put({ records: recordsOf([a], { status: 'leaving' }) });
    const slow = await scene.open();
    const memory = await recall(slow);
    const seen = observation({ absent: [a], inUse: [b] });
    // Now `a` is pushed again. Another run sees it, and merges what the slow one has just written.
    scene.registry.intercept(
      freeing(
        scene,
        before(/^HEAD/, async () => {
          await run(scene, { inUse: [a, b], known: [a] });
        }),
      ),
    );
    await slow.saw(memory, seen);
    expect([...(await known(scene)).keys()]).toContain(a.digest);
  });

  it.each<[string, Parameters<typeof observation>[0]]>([
    ['about to delete it, and is killed', { inUse: [b], leaving: [a], known: [a, b] }],
    ['unable to see all', { unused: [a], known: [a, b], isComplete: false }],
  ])(
    'stays where another run saw the manifest, %s, after this one found it absent',
    async (_, theirs) => {
      const scene = await startScene();
      await scene.put({
        records: new Map([...recordsOf([a], { status: 'leaving' }), ...recordsOf([b])]),
      });
      const slow = await scene.open();
      const memory = await recall(slow);
      const seen = observation({ absent: [a], inUse: [b], known: [b] });
      // Now `a` is pushed again.
      expect((await run(scene, theirs)).isSettled).toBe(true);
      await slow.saw(memory, seen);
      expect([...(await known(scene)).keys()]).toContain(a.digest);
    },
  );

  it('stays where another run saw the manifest after this one had deleted it', async () => {
    const scene = await startScene();
    scene.registry.intercept(freeing(scene));
    await scene.put({ records: recordsOf([a], { status: 'unused' }) });
    const slow = await scene.open();
    const settled = await settledOf(
      slow.saw(await recall(slow), observation({ leaving: [a], known: [a] })),
    );
    // It is deleted, and pushed again. Another run is about to delete it, and is killed.
    await run(scene, { inUse: [b], leaving: [a], known: [a] });
    await slow.swept(settled, observation({ absent: [a], isComplete: false }));
    expect([...(await known(scene)).keys()]).toContain(a.digest);
  });

  it('stays where the entry was merged and not yet deleted', async () => {
    const scene = await startScene();
    await scene.put({ sequence: 1, records: recordsOf([a]) });
    const relying = await scene.open();
    const relied = await recall(relying);
    // A run that is about to delete `a` has merged that entry, and was killed before it could delete it.
    await scene.put({
      sequence: 2,
      records: recordsOf([a], { status: 'leaving', revision: 1, since: LATER }),
    });
    // Somebody deletes `a`. This run finds it gone. Then it is pushed again, to the same tag.
    const slow = await scene.open();
    const memory = await recall(slow);
    const seen = observation({ absent: [a] });
    expect(await relying.saw(relied, observation({ inUse: [a], known: [a] }))).toBeDefined();
    await slow.saw(memory, seen);
    expect([...(await known(scene)).keys()]).toContain(a.digest);
  });

  it('is written again without a fetch when others have dropped it in the meantime', async () => {
    const scene = await startScene();
    scene.registry.intercept(freeing(scene));
    await scene.put({ records: recordsOf([a]) });
    const slow = await scene.open();
    const memory = await recall(slow);
    // `a` goes, which others find; then it is pushed again, and only now the slow run looks.
    await run(scene, { absent: [a], inUse: [b] });
    await run(scene, { absent: [a], inUse: [b], known: [b] });
    await run(scene, { absent: [a], inUse: [b], known: [b] });
    expect([...(await known(scene)).keys()]).toEqual([b.digest]);
    await slow.saw(memory, observation({ inUse: [a], known: [a] }));
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b])));
    expect(slow.news().failures).toEqual([]);
  });

  it('is written again without a fetch when somebody has emptied the ledger', async () => {
    const scene = await startScene();
    const tag = await scene.put({ records: recordsOf([a, b]) });
    const slow = await scene.open();
    const memory = await recall(slow);
    scene.drop(tag);
    await slow.saw(memory, observation({ inUse: [a, b], known: [a, b] }));
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b])));
  });
});
