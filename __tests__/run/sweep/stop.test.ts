import { afterEach, describe, expect, it } from '@jest/globals';
import { errorAnswer, stopClients, when } from '../../support/clients/client.js';
import { digests } from '../../support/scenes/survey.js';
import { NOTHING } from '../../support/scenes/sweeping.js';
import {
  orphans,
  slow,
  steps,
  first,
  second,
  a,
  b,
  c,
  d,
  e,
} from '../../support/scenes/slow-sweep.js';

afterEach(stopClients);

describe('a sweep that is stopped', () => {
  const STOPPED = 'the run was told to stop before its turn came';

  it('sends nothing when it had not begun', async () => {
    const { run, scene } = await slow({}, first, second);
    expect(await run({ stop: AbortSignal.abort('SIGTERM') })).toEqual({
      ...NOTHING,
      skipped: digests([first, second]).map((digest) => ({ digest, why: STOPPED })),
    });
    expect(scene.registry.requests).toEqual([]);
  });

  it('deletes nothing in the middle of a recheck, and gives the signal as the reason', async () => {
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

  it('deletes nothing after a whole recheck either', async () => {
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

  it('sends nothing more between two deletes, and says that nothing is verified', async () => {
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

  it('says nothing about a verify that nobody asked for', async () => {
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

  it('waits for the deletes under way, and reports all of them', async () => {
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

  it('says in the middle of the verify that it is not done', async () => {
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
