/** The ledger from run to run: begun, read, written, merged. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { keyOf, parseEntryTag } from '../../../src/memory/ledger/artifact.js';
import type { Settled } from '../../../src/memory/memory.js';
import { APP } from '../../support/scenes/survey.js';
import { image, index } from '../../support/builders/build.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { recordsOf, sorted } from '../../support/builders/records.js';
import {
  begin,
  LEDGER,
  observation,
  startScene,
  type Scene,
  LATER,
  QUIET,
  WEB,
  known,
  recall,
  run,
} from '../../support/scenes/ledger.js';

afterEach(stopClients);

const a = image('a');
const b = image('b');
const c = image('c');
const list = index([a, b]);

async function settledOf(recording: Promise<Settled | undefined>): Promise<Settled> {
  const settled = await recording;
  expect(settled).toBeDefined();
  return settled ?? { repository: APP, tag: '' };
}

describe('a ledger that is not there yet', () => {
  it('remembers nothing, and an empty repository does not begin it', async () => {
    const scene = await startScene();
    const { ledger, memory } = await begin(scene);
    expect(memory).toEqual({
      repository: APP,
      records: new Map(),
      manifests: new Map(),
      entries: [],
    });
    expect(await ledger.saw(memory, observation({ absent: [a] }))).toBeUndefined();
    expect(ledger.news()).toEqual({ ...QUIET, existed: false });
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1 });
  });

  it('begins with all that a run saw', async () => {
    const scene = await startScene();
    const { isSettled, news } = await run(scene, { inUse: [list, a, b], unused: [c] });
    expect(isSettled).toBe(true);
    expect(news).toEqual({ ...QUIET, existed: false, written: 1 });
    expect(await scene.entries()).toMatchObject([{ repository: APP, sequence: 1 }]);
    expect(await known(scene)).toEqual(
      new Map([
        ...recordsOf([list, a, b]),
        ...recordsOf([c], { status: 'unused', everInUse: false }),
      ]),
    );
    expect(scene.registry.requests.every(({ method }) => method !== 'DELETE')).toBe(true);
  });

  it('is recalled with its manifests by the next run', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [list, a, b] });
    const { ledger, memory } = await begin(scene, LATER);
    expect(sorted(memory.records)).toEqual(sorted(recordsOf([list, a, b])));
    expect(memory.manifests.get(list.digest)).toMatchObject({
      kind: 'index',
      children: [{ digest: a.digest }, { digest: b.digest }],
    });
    expect(ledger.news()).toEqual({ ...QUIET, remembered: 3 });
  });

  it('takes no observation of what another ledger recalled', async () => {
    const scene = await startScene();
    const memory = await recall(await scene.open());
    const other = await scene.open();
    await expect(other.saw(memory, observation({ inUse: [a] }))).rejects.toThrow('another ledger');
  });
});

describe('a run that sees nothing new', () => {
  it.each([true, false])(
    'asks one question and writes nothing (digest headers: %s)',
    async (digestHeader) => {
      const scene = await startScene({ digestHeader });
      await run(scene, { inUse: [list, a, b], unused: [c] });
      const before = await scene.entries();
      const { ledger, memory } = await begin(scene, LATER);
      scene.registry.requests.length = 0;
      const seen = observation({ inUse: [a, list, b], unused: [c], known: [list, a, b, c] });
      expect(await ledger.saw(memory, seen)).toBeDefined();
      expect(tally(scene.registry)).toEqual({
        // Where no answer names a digest, the manifest is read whole, and confirmed by its digest.
        ...(digestHeader ? { 'HEAD manifest': 1 } : { 'HEAD manifest': 2, 'GET manifest': 1 }),
      });
      expect(ledger.news()).toEqual({ ...QUIET, remembered: 4 });
      expect(await scene.entries()).toEqual(before);
    },
  );

  it('reads the entry of its own repository alone', async () => {
    const scene = await startScene();
    const names = ['a', 'b', 'c', APP];
    await Promise.all(names.map((repository) => run(scene, { inUse: [a] }, { repository })));
    scene.registry.requests.length = 0;
    await run(scene, { inUse: [a], known: [a] });
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET blob': 1, 'HEAD manifest': 1 });
  });

  it('writes nothing about what is absent and was leaving, described, or never known', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a], { status: 'leaving' }) });
    const { ledger, memory } = await begin(scene);
    const seen = { ...observation({ absent: [a, b] }), wanted: new Set([a.digest]) };
    expect(await ledger.saw(memory, seen)).toBeDefined();
    expect(ledger.news().written).toBe(0);
  });
});

describe('a run that sees something new', () => {
  it('writes one entry and deletes the one that it replaces', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a] });
    const { ledger, memory } = await begin(scene, LATER);
    scene.registry.requests.length = 0;
    const seen = observation({ inUse: [b], unused: [a], known: [a] });
    expect(await ledger.saw(memory, seen)).toBeDefined();
    expect(tally(scene.registry)).toEqual({
      'POST upload': 1,
      'PUT upload': 1,
      'PUT manifest': 1,
      'HEAD manifest': 1,
      'GET blob': 2,
      'DELETE manifest': 1,
    });
    const sent = scene.registry.requests.map(({ method }) => method);
    expect(sent.indexOf('DELETE')).toBeGreaterThan(sent.lastIndexOf('GET'));
    expect(await scene.entries()).toMatchObject([{ sequence: 2 }]);
    expect(await known(scene)).toEqual(
      new Map([
        ...recordsOf([b], { firstSeen: LATER, since: LATER }),
        ...recordsOf([a], { status: 'unused', since: LATER, revision: 1 }),
      ]),
    );
  });

  it('remembers as deleted, in one go, what it deleted', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a, b] });
    const ledger = await scene.open(LATER);
    const seen = observation({ inUse: [b], leaving: [a], known: [a, b] });
    const settled = await settledOf(ledger.saw(await recall(ledger), seen));
    // What is about to go is known as such before it goes.
    expect((await known(scene)).get(a.digest)).toMatchObject({ status: 'leaving' });
    await ledger.swept(settled, observation({ absent: [a], isComplete: false }));
    expect(await scene.entries()).toHaveLength(1);
    const left = await known(scene);
    expect(left.get(a.digest)).toMatchObject({ status: 'deleted', condemned: LATER });
    expect(left.get(b.digest)).toMatchObject({ status: 'in-use' });
    expect(ledger.news()).toEqual({ ...QUIET, written: 1, remembered: 2 });
    const next = await scene.open(LATER);
    await recall(next);
    expect(next.news().remembered).toBe(1);
  });

  it('counts a repository once, however often it was written', async () => {
    const scene = await startScene();
    const ledger = await scene.open();
    for (const repository of [APP, WEB]) {
      const seen = observation({ leaving: [a] });
      const settled = await settledOf(ledger.saw(await recall(ledger, repository), seen));
      await ledger.swept(settled, observation({ absent: [a], isComplete: false }));
    }
    expect(ledger.news().written).toBe(2);
  });

  it('counts the sequence no further than numbers go', async () => {
    const scene = await startScene();
    await scene.put({ sequence: Number.MAX_SAFE_INTEGER, records: recordsOf([a]) });
    expect((await run(scene, { inUse: [a, b] })).isSettled).toBe(true);
    expect(await scene.entries()).toMatchObject([{ sequence: Number.MAX_SAFE_INTEGER }]);
    expect((await known(scene)).size).toBe(2);
  });
});

describe('compaction', () => {
  it('merges several entries into one, and deletes them after that', async () => {
    const scene = await startScene();
    await scene.put({ sequence: 3, records: recordsOf([a]) });
    await scene.put({ sequence: 1, records: recordsOf([a], { firstSeen: 1, revision: 7 }) });
    await scene.put({ sequence: 2, records: recordsOf([b], { status: 'unused' }) });
    await scene.put({ repository: WEB, records: recordsOf([c]) });
    const { isSettled, news } = await run(scene, { inUse: [a], unused: [b], known: [a, b] });
    expect(isSettled).toBe(true);
    expect(news.written).toBe(1);
    expect(await scene.entries()).toMatchObject([{ sequence: 4 }]);
    expect(await known(scene)).toEqual(
      new Map([
        ...recordsOf([a], { firstSeen: 1, revision: 7 }),
        ...recordsOf([b], { status: 'unused' }),
      ]),
    );
    expect(await scene.entries(WEB)).toHaveLength(1);
  });

  it('keeps the newest entry when that knows all, and deletes the others', async () => {
    const scene = await startScene();
    await scene.put({ sequence: 1, records: recordsOf([a]) });
    const newest = await scene.put({ sequence: 3, records: recordsOf([a, b]) });
    await scene.put({ sequence: 2, records: recordsOf([b]) });
    const { ledger, memory } = await begin(scene);
    scene.registry.requests.length = 0;
    const seen = observation({ inUse: [a, b], known: [a, b] });
    expect(await ledger.saw(memory, seen)).toBeDefined();
    expect(tally(scene.registry)).toEqual({ 'HEAD manifest': 1, 'DELETE manifest': 2 });
    expect([...scene.home.tags.keys()]).toEqual([newest]);
    expect(ledger.news().written).toBe(0);
  });

  it('keeps the same one of two that were written at once, whichever run reads them', async () => {
    for (let round = 0; round < 4; round += 1) {
      const scene = await startScene();
      const tags = [
        await scene.put({ sequence: 2, records: recordsOf([a]) }),
        await scene.put({ sequence: 2, records: recordsOf([a]) }),
      ];
      expect((await run(scene, { inUse: [a], known: [a] })).isSettled).toBe(true);
      expect([...scene.home.tags.keys()]).toEqual(tags.sort().slice(1));
    }
  });

  it('leaves entries alone that it does not understand', async () => {
    const scene = await startScene();
    const later = `ledger-v2.${keyOf(APP)}.${'0'.repeat(64)}`;
    seed(scene.registry.state, LEDGER, c, later);
    const lost = await scene.put({ sequence: 9, records: recordsOf([c]) });
    scene.home.blobs.delete(parseEntryTag(lost)?.blob ?? '');
    await scene.put({ records: recordsOf([a]) });
    const { isSettled, news } = await run(scene, { inUse: [a, b] });
    expect(isSettled).toBe(true);
    expect(news.failures).toEqual([]);
    expect([...news.warnings].sort()).toEqual(
      [
        `${LEDGER}:${later} is skipped: a later version of this action wrote it [ledger-entry-skipped]`,
        `${LEDGER}:${lost} is skipped: its content is missing [ledger-entry-skipped]`,
      ].sort(),
    );
    expect(scene.home.tags.size).toBe(3);
    expect([...scene.home.tags.keys()]).toEqual(expect.arrayContaining([later, lost]));
  });
});

describe('the question whether a repository is the ledger', () => {
  it.each<[string, (scene: Scene) => unknown, [boolean, boolean]]>([
    ['nothing is there yet', () => undefined, [false, false]],
    ['there are entries of others', ({ put }) => put({ repository: APP }), [true, true]],
    [
      'there are entries of others, and an image',
      ({ put, registry }) => {
        seed(registry.state, LEDGER, a, 'v1');
        return put({ repository: APP });
      },
      [false, false],
    ],
    [
      'there are images alone',
      ({ registry }) => {
        seed(registry.state, LEDGER, a, 'v1');
      },
      [false, false],
    ],
    [
      'there is an entry of its own, from when it had images',
      async ({ put }) => {
        await put({ repository: APP });
        await put({ repository: LEDGER });
      },
      [false, false],
    ],
    [
      'it can not be listed',
      ({ registry }) => {
        registry.intercept(when(/tags/, errorAnswer(403, 'DENIED')));
      },
      [true, false],
    ],
  ])('is answered where %s', async (_, prepare, [whenFound, whenNamed]) => {
    const scene = await startScene();
    await prepare(scene);
    const ledger = await scene.open();
    expect(ledger.isItself(LEDGER, false)).toBe(whenFound);
    expect(ledger.isItself(LEDGER, true)).toBe(whenNamed);
    expect(ledger.isItself(APP, false)).toBe(false);
    expect(ledger.isItself(APP, true)).toBe(false);
  });
});
