import { afterEach, describe, expect, it } from '@jest/globals';

import type { LedgerNews, Recollection, Settled } from '../../../src/memory/memory.js';
import type { Ledger } from '../../../src/memory/ledger/ledger.js';
import { surveyRepository } from '../../../src/run/survey.js';
import type { Credentials } from '../../../src/http/credentials.js';
import { TransportError, type Send } from '../../../src/http/message.js';
import { artifactOf, keyOf, parseEntryTag } from '../../../src/memory/ledger/artifact.js';
import type { Observation } from '../../../src/memory/observation.js';
import { join } from '../../../src/memory/ledger/record.js';
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { fate, policy } from '../../support/builders/inventories.js';
import { APP, digests } from '../../support/scenes/looking.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { image, index, opaque, referrer, type Content } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { recordOf, recordsOf, sorted, THEN } from '../../support/builders/records.js';
import {
  before,
  freeing,
  LEDGER,
  observation,
  startScene,
  type Scene,
} from '../../support/scenes/ledger.js';

afterEach(stopClients);

const a = image('a');
const b = image('b');
const c = image('c');
const list = index([a, b]);
const WEB = 'team/web';
const LATER = THEN + 60_000;

const QUIET: LedgerNews = {
  repository: LEDGER,
  existed: true,
  isReadable: true,
  written: 0,
  remembered: 0,
  warnings: [],
  failures: [],
};

async function recall(ledger: Ledger, repository = APP): Promise<Recollection> {
  const memory = await ledger.recall(repository);
  if (memory === undefined) {
    throw new Error(`nothing was recalled: ${ledger.news().failures.join()}`);
  }
  return memory;
}

/** A whole run of which nothing is deleted. */
async function run(
  scene: Scene,
  seen: Parameters<typeof observation>[0],
  { repository = APP, now = THEN } = {},
): Promise<{ isSettled: boolean; news: LedgerNews }> {
  const ledger = await scene.open(now);
  const settled = await ledger.saw(await recall(ledger, repository), observation(seen));
  return { isSettled: settled !== undefined, news: ledger.news() };
}

/** All that the entries there know, together. */
async function known(scene: Scene, repository = APP): Promise<Map<Digest, unknown>> {
  return join((await scene.entries(repository)).map(({ records }) => records));
}

async function settledOf(recording: Promise<Settled | undefined>): Promise<Settled> {
  const settled = await recording;
  expect(settled).toBeDefined();
  return settled ?? { repository: APP, tag: '' };
}

describe('a ledger that is not there yet', () => {
  it('remembers nothing, and an empty repository does not begin it', async () => {
    const scene = await startScene();
    const ledger = await scene.open();
    const memory = await recall(ledger);
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
    const ledger = await scene.open(LATER);
    const memory = await recall(ledger);
    expect(sorted(memory.records)).toEqual(sorted(recordsOf([list, a, b])));
    expect(memory.manifests.get(list.digest)).toMatchObject({
      kind: 'index',
      children: [{ digest: a.digest }, { digest: b.digest }],
    });
    expect(ledger.news()).toEqual({ ...QUIET, remembered: 3 });
  });
});

describe('a run that sees nothing new', () => {
  it.each([true, false])(
    'asks one question and writes nothing (digest headers: %s)',
    async (digestHeader) => {
      const scene = await startScene({ digestHeader });
      await run(scene, { inUse: [list, a, b], unused: [c] });
      const before = await scene.entries();
      const ledger = await scene.open(LATER);
      const memory = await recall(ledger);
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
    const ledger = await scene.open();
    const memory = await recall(ledger);
    const seen = { ...observation({ absent: [a, b] }), wanted: new Set([a.digest]) };
    expect(await ledger.saw(memory, seen)).toBeDefined();
    expect(ledger.news().written).toBe(0);
  });
});

describe('a run that sees something new', () => {
  it('writes one entry and deletes the one that it replaces', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a] });
    const ledger = await scene.open(LATER);
    const memory = await recall(ledger);
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
    const ledger = await scene.open();
    const memory = await recall(ledger);
    scene.registry.requests.length = 0;
    const seen = observation({ inUse: [a, b], known: [a, b] });
    expect(await ledger.saw(memory, seen)).toBeDefined();
    expect(tally(scene.registry)).toEqual({ 'HEAD manifest': 1, 'DELETE manifest': 2 });
    expect([...scene.home.tags.keys()]).toEqual([newest]);
    expect(ledger.news().written).toBe(0);
  });

  it('keeps the same one of two that were written at once, whoever looks', async () => {
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

  it('leaves alone what it does not understand', async () => {
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
        `${LEDGER}:${later} is skipped: a later version of this action wrote it`,
        `${LEDGER}:${lost} is skipped: its content is missing`,
      ].sort(),
    );
    expect(scene.home.tags.size).toBe(3);
    expect([...scene.home.tags.keys()]).toEqual(expect.arrayContaining([later, lost]));
  });
});

describe('other runs at the same time', () => {
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

  it('reads again and writes, when the entry that it relied on is gone', async () => {
    const scene = await startScene();
    await run(scene, { inUse: [a] });
    const ledger = await scene.open(LATER);
    const memory = await recall(ledger);
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
    'relies on the entry that took the place of its own (registry %s blobs)',
    async (kind) => {
      const scene = await startScene();
      await run(scene, { inUse: [a] });
      const ledger = await scene.open();
      const memory = await recall(ledger);
      scene.registry.intercept(kind === 'that frees' ? freeing(scene) : undefined);
      await run(scene, { inUse: [a, b], known: [a] });

      expect(await ledger.saw(memory, observation({ inUse: [a], known: [a] }))).toBeDefined();
      expect(ledger.news()).toMatchObject({ written: 0, warnings: [], failures: [] });
      expect(await scene.entries()).toMatchObject([{ sequence: 2 }]);
      expect((await known(scene)).size).toBe(2);
    },
  );

  it('writes again what another run has merged before it was read back', async () => {
    const scene = await startScene();
    const ledger = await scene.open();
    const memory = await recall(ledger);
    scene.registry.intercept(
      before(/^HEAD/, async () => {
        await run(scene, { inUse: [a, b], known: [a] });
      }),
    );
    expect(await ledger.saw(memory, observation({ inUse: [a] }))).toBeDefined();
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b])));
    expect(ledger.news().failures).toEqual([]);
  });

  it('gives up after 20 rounds, and says what may be wrong', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    const ledger = await scene.open();
    const memory = await recall(ledger);
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
          'delete tags or manifests there?',
      ],
    });
    expect([...(await known(scene)).keys()]).toEqual([a.digest]);
  });
});

describe('a ledger that may not be written', () => {
  const auth = { kind: 'token', username: 'u', password: 'p' } as const;
  const login: Credentials = { kind: 'basic', username: 'u', password: 'p' };

  /** Records three repositories, of which the first is asked alone, and two more at once. */
  async function recordAll(scene: Scene): Promise<{ ledger: Ledger; settled: unknown[] }> {
    const ledger = await scene.open();
    const seen = observation({ inUse: [a] });
    const memories = await Promise.all([APP, WEB, 'x', 'y'].map((name) => recall(ledger, name)));
    const [first, ...others] = memories.map((memory) => () => ledger.saw(memory, seen));
    return {
      ledger,
      settled: [
        ...(first === undefined ? [] : [await first()]),
        ...(await Promise.all(others.map((record) => record()))),
      ],
    };
  }

  it.each<[string, RegExp, Action]>([
    ['401', /^POST/, errorAnswer(401, 'UNAUTHORIZED')],
    ['403', /^POST/, errorAnswer(403, 'DENIED')],
    ['404', /^POST/, errorAnswer(404, 'NAME_UNKNOWN')],
    ['405', /^POST/, { kind: 'answer', status: 405, body: 'no' }],
    ['401 for the blob', /^PUT .*\/uploads\//, errorAnswer(401, 'UNAUTHORIZED')],
    ['403 for the manifest', /^PUT .*\/manifests\//, errorAnswer(403, 'DENIED')],
    ['405 for the manifest', /^PUT .*\/manifests\//, errorAnswer(405, 'UNSUPPORTED')],
  ])('warns once, on %s, and tries no more', async (_, pattern, action) => {
    const scene = await startScene();
    scene.registry.intercept(when(pattern, action));
    const { ledger, settled } = await recordAll(scene);
    expect(settled).toEqual([undefined, undefined, undefined, undefined]);
    const { warnings, failures, written } = ledger.news();
    expect({ failures, written }).toEqual({ failures: [], written: 0 });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /ledger: this run can't write to the ledger.*`ledger-repository: off`/,
    );
    // Of the first repository alone: a blob of its own, and the config, if that was not refused before.
    await ledger.swept({ repository: APP, tag: '' }, observation({ absent: [a] }));
    expect(tally(scene.registry)['POST upload']).toBeLessThanOrEqual(2);
    expect(tally(scene.registry)).not.toHaveProperty('HEAD manifest');
  });

  it.each<[string, RegExp, Action]>([
    ['the upload', /^POST/, errorAnswer(403, 'DENIED')],
    ['the manifest', /^PUT .*\/manifests\//, errorAnswer(403, 'DENIED')],
  ])(
    'warns once, though %s of several repositories is refused at once',
    async (_, pattern, action) => {
      const scene = await startScene();
      scene.registry.intercept(when(pattern, action));
      const ledger = await scene.open();
      const names = [APP, WEB, 'x', 'y'];
      const memories = await Promise.all(names.map((name) => recall(ledger, name)));
      await Promise.all(memories.map((memory) => ledger.saw(memory, observation({ inUse: [a] }))));
      expect(ledger.news()).toMatchObject({ warnings: [expect.any(String)], failures: [] });
    },
  );

  it('warns once when the token server gives no token that pushes', async () => {
    const scene = await startScene({ auth }, login);
    scene.registry.intercept(when(/^GET \/token.*push/, errorAnswer(403, 'DENIED')));
    const { ledger } = await recordAll(scene);
    const { warnings, failures } = ledger.news();
    expect(failures).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('refused the credentials')]);
  });

  it('warns once when the token may not push', async () => {
    const scene = await startScene(
      { auth: { ...auth, grant: (scope) => scope.replace(/,push$/, '') } },
      login,
    );
    const { ledger } = await recordAll(scene);
    const { warnings, failures } = ledger.news();
    expect(failures).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(`repository:${LEDGER}:pull,push`)]);
  });

  it('warns where the registry takes no writes at all', async () => {
    const scene = await startScene({ readOnly: true });
    const { ledger } = await recordAll(scene);
    expect(ledger.news()).toMatchObject({
      warnings: [expect.stringContaining('takes no pushes')],
      failures: [],
    });
  });

  it('still reads what it remembers', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    scene.registry.intercept(when(/^POST/, errorAnswer(403, 'DENIED')));
    const { ledger } = await recordAll(scene);
    expect((await recall(ledger)).records.size).toBe(1);
    expect((await known(scene)).size).toBe(1);
  });

  it.each<[string, RegExp, Action]>([
    ['500', /^POST/, errorAnswer(500, 'UNKNOWN')],
    ['no answer', /^POST/, { kind: 'reset' }],
    ['400', /^PUT .*\/manifests\//, errorAnswer(400, 'MANIFEST_INVALID')],
    [
      'a token server that nobody may ask',
      /^POST/,
      { kind: 'answer', status: 401, headers: { 'Www-Authenticate': 'Bearer realm="ftp://x"' } },
    ],
  ])('fails on %s, for every repository', async (_, pattern, action) => {
    const scene = await startScene();
    scene.registry.intercept(when(pattern, action));
    expectFailures(await recordAll(scene));
  });

  it('fails when the token server does', async () => {
    const scene = await startScene({ auth }, login);
    scene.registry.intercept(when(/^GET \/token.*push/, errorAnswer(503, 'UNAVAILABLE')));
    expectFailures(await recordAll(scene));
  });

  function expectFailures({ ledger, settled }: Awaited<ReturnType<typeof recordAll>>) {
    expect(settled).toEqual([undefined, undefined, undefined, undefined]);
    const { warnings, failures } = ledger.news();
    expect(warnings).toEqual([]);
    expect(failures).toHaveLength(4);
    expect(failures[0]).toContain(`${LEDGER}: what was seen of ${APP} could not be remembered: `);
  }

  it('fails in the second reading as in the first', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    const ledger = await scene.open();
    await recall(ledger);
    scene.registry.intercept(when(/^GET .*\/blobs\//, errorAnswer(500, 'UNKNOWN')));
    await ledger.swept({ repository: APP, tag: '' }, observation({ absent: [a] }));
    expect(ledger.news()).toMatchObject({
      warnings: [],
      failures: [expect.stringContaining('could not be remembered')],
    });
  });

  it('does not hide a fault of our own', async () => {
    const scene = await startScene();
    const ledger = await scene.open();
    const memory = await recall(ledger);
    const wrong = { ...observation({ inUse: [a] }), standing: undefined } as unknown as Observation;
    await expect(ledger.saw(memory, wrong)).rejects.toThrow(TypeError);
  });
});

describe('a ledger that may not be deleted from', () => {
  it.each<[string, Action]>([
    ['405', errorAnswer(405, 'UNSUPPORTED')],
    ['403', errorAnswer(403, 'DENIED')],
    ['500', errorAnswer(500, 'UNKNOWN')],
    ['no answer', { kind: 'reset' }],
  ])('warns once, on %s, and tries no more', async (_, action) => {
    const scene = await startScene();
    await scene.put({ sequence: 1, records: recordsOf([a]) });
    await scene.put({ sequence: 2, records: recordsOf([b]) });
    await scene.put({ repository: WEB, records: recordsOf([a]) });
    scene.registry.intercept(when(/^DELETE/, action));
    const ledger = await scene.open();
    const seen = observation({ inUse: [a, b, c] });
    expect(await ledger.saw(await recall(ledger), seen)).toBeUndefined();
    const tries = tally(scene.registry)['DELETE manifest'];
    expect(await ledger.saw(await recall(ledger, WEB), seen)).toBeUndefined();
    expect(tally(scene.registry)['DELETE manifest']).toBe(tries);
    const { warnings, failures, written } = ledger.news();
    expect({ failures, written }).toEqual({ failures: [], written: 2 });
    expect(warnings).toEqual([
      expect.stringMatching(
        /ledger: entries of the ledger that were merged .* could not be deleted: /,
      ),
    ]);
    // Nothing is lost by it.
    expect((await known(scene)).size).toBe(3);
  });

  it('warns once, though the deletes of several repositories are refused at once', async () => {
    const scene = await startScene({ deleteEnabled: false });
    const names = [APP, WEB, 'x', 'y'];
    for (const repository of names) {
      await scene.put({ repository, records: recordsOf([a]) });
    }
    const ledger = await scene.open();
    const memories = await Promise.all(names.map((name) => recall(ledger, name)));
    const seen = observation({ inUse: [a, b], known: [a] });
    await Promise.all(memories.map((memory) => ledger.saw(memory, seen)));
    expect(ledger.news()).toMatchObject({
      warnings: [expect.any(String)],
      failures: [],
      written: 4,
    });
  });

  it('does not grow while there is nothing new', async () => {
    const scene = await startScene();
    scene.registry.intercept(when(/^DELETE/, errorAnswer(405, 'UNSUPPORTED')));
    await scene.put({ records: recordsOf([a]) });
    const seen = { inUse: [b], unused: [a], known: [a, b] };
    await run(scene, { ...seen, known: [a] });
    for (let n = 0; n < 3; n += 1) {
      const { isSettled, news } = await run(scene, seen, { now: LATER + n });
      expect(isSettled).toBe(false);
      expect(news).toMatchObject({ written: 0, warnings: [expect.any(String)], failures: [] });
      expect(scene.home.tags.size).toBe(2);
    }
    // As soon as it may, it deletes.
    scene.registry.intercept();
    expect(await run(scene, seen)).toMatchObject({ isSettled: true, news: { written: 0 } });
    expect(scene.home.tags.size).toBe(1);
  });

  it('grows no further than a few entries while an orphan can not be deleted either', async () => {
    const scene = await startScene();
    scene.registry.intercept(when(/^DELETE/, errorAnswer(405, 'UNSUPPORTED')));
    await scene.put({ records: recordsOf([a]) });
    const seen = { inUse: [b], leaving: [a], known: [a, b] };
    await run(scene, { ...seen, known: [a] });
    for (let n = 0; n < 20; n += 1) {
      await run(scene, seen, { now: LATER + n });
    }
    expect(scene.home.tags.size).toBe(8);
    expect(await run(scene, seen)).toMatchObject({ news: { written: 0 } });
    scene.registry.intercept();
    await run(scene, seen);
    expect(scene.home.tags.size).toBe(1);
  });

  it('takes an entry that is already gone for deleted', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    const ledger = await scene.open();
    const memory = await recall(ledger);
    scene.registry.intercept(when(/^DELETE/, errorAnswer(404, 'MANIFEST_UNKNOWN')));
    expect(await ledger.saw(memory, observation({ inUse: [a, b] }))).toBeDefined();
    expect(ledger.news().warnings).toEqual([]);
  });
});

describe('a ledger that can not be read', () => {
  it.each<[string, Action, 'warnings' | 'failures']>([
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'warnings'],
    ['403', errorAnswer(403, 'DENIED'), 'warnings'],
    ['500', errorAnswer(500, 'UNKNOWN'), 'failures'],
    ['a page', { kind: 'html' }, 'failures'],
    ['no answer', { kind: 'reset' }, 'failures'],
  ])('as its list: %s', async (_, action, where) => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    scene.registry.intercept(when(/tags/, action));
    const ledger = await scene.open();
    const requests = scene.registry.requests.length;
    expect(await ledger.recall(APP)).toBeUndefined();
    expect(scene.registry.requests).toHaveLength(requests);
    expect(ledger.news()).toEqual({
      ...QUIET,
      existed: false,
      isReadable: false,
      [where]: [
        expect.stringContaining(
          `${LEDGER}: this run goes on without the ledger, which could not be read: `,
        ),
      ],
    });
  });

  it('as the memory of one repository, which the others do not suffer from', async () => {
    const scene = await startScene();
    const tag = await scene.put({ records: recordsOf([a]) });
    await scene.put({ repository: WEB, records: recordsOf([b]) });
    const blob = parseEntryTag(tag)?.blob ?? '';
    scene.registry.intercept(when(new RegExp(blob), errorAnswer(500, 'UNKNOWN')));
    const ledger = await scene.open();
    expect(await ledger.recall(APP)).toBeUndefined();
    expect((await recall(ledger, WEB)).records.size).toBe(1);
    expect(ledger.news()).toEqual({
      ...QUIET,
      remembered: 1,
      failures: [
        expect.stringContaining(`${LEDGER}: what it remembers of ${APP} could not be read: `),
      ],
    });
  });

  it('does not hide a fault of our own', async () => {
    const scene = await startScene();
    const broken: Send = () => Promise.reject(new TypeError('a mistake'));
    await expect(scene.open(THEN, broken)).rejects.toThrow('a mistake');
  });
});

describe('whether a repository is the ledger itself', () => {
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
  ])('%s', async (_, prepare, [whenFound, whenNamed]) => {
    const scene = await startScene();
    await prepare(scene);
    const ledger = await scene.open();
    expect(ledger.isItself(LEDGER, false)).toBe(whenFound);
    expect(ledger.isItself(LEDGER, true)).toBe(whenNamed);
    expect(ledger.isItself(APP, false)).toBe(false);
    expect(ledger.isItself(APP, true)).toBe(false);
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

describe('what must never be forgotten', () => {
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

  it('is what another run saw in use, while this one had found it gone before', async () => {
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
    'is what another run saw there, %s, while this one had found it gone before',
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

  it('is what another run saw there after this one had deleted it', async () => {
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

  it('is what another run relies on in an entry that was merged, and not yet deleted', async () => {
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

  it('is what it knew without fetching it, when others have dropped it in the meantime', async () => {
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

  it('is what it knew without fetching it, when somebody has emptied the ledger', async () => {
    const scene = await startScene();
    const tag = await scene.put({ records: recordsOf([a, b]) });
    const slow = await scene.open();
    const memory = await recall(slow);
    scene.drop(tag);
    await slow.saw(memory, observation({ inUse: [a, b], known: [a, b] }));
    expect(new Set((await known(scene)).keys())).toEqual(new Set(digests([a, b])));
  });
});

describe('an entry that somebody else has written', () => {
  it('is of use though its manifest is another than ours would be', async () => {
    const scene = await startScene();
    const tag = await scene.put({ records: recordsOf([a]) });
    const digest = scene.home.tags.get(tag) ?? '';
    const { bytes } = scene.home.manifests.get(digest) ?? { bytes: Buffer.alloc(0) };
    // A tool that copies repositories may write manifests anew.
    const copy = Buffer.from(JSON.stringify(JSON.parse(bytes.toString('utf8')), null, 2));
    scene.home.manifests.clear();
    scene.home.manifests.set(digestOf(copy), { mediaType: OCI_MANIFEST, bytes: copy });
    scene.home.tags.set(tag, digestOf(copy));

    const { news } = await run(scene, { inUse: [a], known: [a] });
    expect(news.failures).toEqual([]);
    expect((await known(scene)).has(a.digest)).toBe(true);
  });

  it('can not take from an unknown manifest in use what that protects', async () => {
    const scene = await startScene();
    const child = image('child');
    // No field says in the body what it is: only the registry knows its type.
    const unknown = opaque('application/vnd.example+json', { parts: [child.digest] });
    const { state } = scene.registry;
    seed(state, APP, unknown, 'v1');
    seed(state, APP, child);
    await scene.put({
      records: new Map([
        [unknown.digest, recordOf(unknown, { mediaType: OCI_INDEX })],
        [child.digest, recordOf(child, { everInUse: true, status: 'unused' })],
      ]),
    });
    const { manifests, records } = await recall(await scene.open());
    const look = (known?: Parameters<typeof surveyRepository>[3]) =>
      surveyRepository(
        APP,
        [child.digest],
        {
          reader: scene.reader,
          policy: policy(),
          concurrency: 1,
          progress: { expect: () => undefined, done: () => undefined },
          clock: fakeClock({ auto: true }, THEN),
        },
        known,
      );
    expect(fate((await look()).plan, child)).toBe('keep: mentioned');
    expect(fate((await look({ manifests, past: records })).plan, child)).toBe('keep: mentioned');
  });

  it('is no reason to name anything that is not there', async () => {
    const scene = await startScene();
    const absent: Content = referrer('sbom', a);
    await scene.put({ records: recordsOf([absent, a]) });
    const { isSettled } = await run(scene, { absent: [absent, a], inUse: [b] });
    expect(isSettled).toBe(true);
    const { tag } = artifactOf(APP, Buffer.from(''));
    expect([...scene.home.tags.keys()]).not.toContain(tag);
    expect(await run(scene, { absent: [absent, a], inUse: [b], known: [b] })).toMatchObject({
      isSettled: true,
    });
    expect([...(await known(scene)).keys()]).toEqual([b.digest]);
  });
});
