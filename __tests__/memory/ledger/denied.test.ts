/** A ledger that can't be read, written or deleted from. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Credentials } from '../../../src/http/credentials.js';
import type { Send } from '../../../src/http/message.js';
import { parseEntryTag } from '../../../src/memory/ledger/artifact.js';
import type { Ledger } from '../../../src/memory/ledger/ledger.js';
import type { Observation } from '../../../src/memory/observation.js';
import { APP } from '../../support/scenes/survey.js';
import { image } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { recordsOf, THEN } from '../../support/builders/records.js';
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

  it('fails where a memory is too large to be read again', async () => {
    const scene = await startScene();
    const ledger = await scene.open();
    const seen = observation({ inUse: Array.from({ length: 51 }, (_, n) => image(String(n))) });
    // One string for all, so that the test itself needs little memory.
    const body = 'é'.repeat(4 * 1024 * 1024);
    const bodies = new Map([...seen.bodies.keys()].map((digest) => [digest, body]));
    expect(await ledger.saw(await recall(ledger), { ...seen, bodies })).toBeUndefined();
    expect(ledger.news()).toMatchObject({
      warnings: [],
      failures: [expect.stringContaining('its memory of 51 manifests is larger than can be read')],
    });
  });

  it('lets a fault of our own through', async () => {
    const scene = await startScene();
    const { ledger, memory } = await begin(scene);
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

  it('grows no further than a few entries while an orphan can’t be deleted either', async () => {
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

  it('takes an entry that no longer exists for deleted', async () => {
    const scene = await startScene();
    await scene.put({ records: recordsOf([a]) });
    const { ledger, memory } = await begin(scene);
    scene.registry.intercept(when(/^DELETE/, errorAnswer(404, 'MANIFEST_UNKNOWN')));
    expect(await ledger.saw(memory, observation({ inUse: [a, b] }))).toBeDefined();
    expect(ledger.news().warnings).toEqual([]);
  });
});

describe('a ledger that can’t be read', () => {
  it.each<[string, Action, 'warnings' | 'failures']>([
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'warnings'],
    ['403', errorAnswer(403, 'DENIED'), 'warnings'],
    ['500', errorAnswer(500, 'UNKNOWN'), 'failures'],
    ['a page', { kind: 'html' }, 'failures'],
    ['no answer', { kind: 'reset' }, 'failures'],
  ])('is reported once where its list fails: %s', async (_, action, where) => {
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

  it('leaves the memory of other repositories as it is', async () => {
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
