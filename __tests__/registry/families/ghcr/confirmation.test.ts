/** What the list says after deletes, which may lag, and what comes into use between two looks. */
import { describe, expect, it } from '@jest/globals';

import { image, index } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  idOf,
  listsAt,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import type { GhcrOptions } from '../../../support/servers/ghcr/options.js';

const kept = image('kept');
const orphans = Array.from({ length: 5 }, (_, n) => image(`orphan ${String(n)}`));
const [saved] = orphans as [(typeof orphans)[number]];

async function filled(options: GhcrOptions = {}) {
  const ghcr = await startScene(options);
  seed(ghcr.state, REPOSITORY, kept, 'v1');
  orphans.forEach((orphan) => seed(ghcr.state, REPOSITORY, orphan));
  return ghcr;
}

describe('A list that lags behind deletes', () => {
  it.each([2_000, 20_000, 45_000])('confirms them after %d milliseconds', async (ms) => {
    const ghcr = await filled({ listLags: { deletes: { ms } } });
    const { complaints, run: done } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    const kinds = [...(done?.repositories[0]?.fates.values() ?? [])].map(({ kind }) => kind);
    expect(kinds).toEqual(orphans.map(() => 'deleted'));
  });

  it('makes the run red where it takes longer than a minute', async () => {
    const ghcr = await filled({ listLags: { deletes: { ms: 150_000 } } });
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain('still there');
  });

  it('confirms an index before its parts are deleted', async () => {
    const parts = [image('amd'), image('arm')];
    const ghcr = await filled({ listLags: { deletes: { ms: 15_000 } } });
    seed(ghcr.state, REPOSITORY, index(parts));
    const { complaints } = await cleanScene(ghcr, { concurrency: 4 });
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
  });

  it('confirms them while its pages shift', async () => {
    const ghcr = await filled({ listLags: { deletes: { ms: 10_000 } } });
    const more = Array.from({ length: 230 }, (_, n) => image(`more ${String(n)}`));
    more.forEach((content) => seed(ghcr.state, REPOSITORY, content));
    ghcr.apiIntercept(async ({ route }) => {
      if (route?.kind === 'versions') {
        await ghcr.clock.sleep(300);
      }
      return undefined;
    });
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
  });
});

describe('A list that can no longer be read after the deletes', () => {
  it.each([403, 404, 500])('makes the run red, which ends (%d)', async (status) => {
    const ghcr = await filled();
    let isBroken = false;
    ghcr.apiIntercept(({ route }) => {
      isBroken ||= route?.kind === 'delete';
      return isBroken && route?.kind === 'versions' ? { kind: 'answer', status } : undefined;
    });
    const { complaints, run: done } = await cleanScene(ghcr);
    const fates = [...(done?.repositories[0]?.fates.values() ?? [])];
    expect(fates).toEqual(
      orphans.map(() => ({
        kind: 'failed',
        why: expect.stringMatching(/took the DELETE, but no read can tell whether it worked/),
      })),
    );
    expect(complaints).toHaveLength(orphans.length);
    // Before the deletes: those of the survey and of the recheck.
    expect(listsAt(ghcr).length).toBeLessThan(4 + 8);
  });
});

describe('A version that gets a tag', () => {
  it('stays where that happens between the survey and the recheck', async () => {
    const ghcr = await filled();
    const { complaints, run: done } = await cleanScene(ghcr, {
      onSweep: () => seed(ghcr.state, REPOSITORY, saved, 'v2'),
    });
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept, saved));
    expect(done?.repositories[0]?.fates.get(saved.digest)).toEqual({
      kind: 'kept',
      reason: { kind: 'tagged', tags: ['v2'] },
    });
  });

  it('stays where that happens between two rechecks', async () => {
    const many = Array.from({ length: 300 }, (_, n) => image(`many ${String(n)}`));
    const ghcr = await filled();
    many.forEach((content) => seed(ghcr.state, REPOSITORY, content));
    let deletes = 0;
    let late: (typeof many)[number] | undefined;
    ghcr.apiIntercept(({ route }) => {
      deletes += route?.kind === 'delete' ? 1 : 0;
      if (deletes === 10 && late === undefined) {
        // The last one of all orphans, so that its turn comes after the next recheck.
        late = [...many].sort((a, b) => (a.digest < b.digest ? 1 : -1))[0];
        seed(ghcr.state, REPOSITORY, late ?? kept, 'v2');
      }
      return undefined;
    });
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept, late ?? kept));
    expect(deletesAt(ghcr)).toHaveLength(304);
  });

  it.each(['tags', 'pushes'] as const)('stays where the list lags behind %s', async (lag) => {
    const ghcr = await filled({ listLags: { [lag]: { ms: 3_600_000 } } });
    const { green } = await cleanScene(ghcr, {
      onSweep: () => {
        ghcr.versions(REPOSITORY);
        seed(ghcr.state, REPOSITORY, saved, 'v2');
        seed(ghcr.state, REPOSITORY, saved, 'v1');
      },
    });
    expect(standing(ghcr).has(saved.digest)).toBe(true);
    const id = idOf(ghcr, saved);
    expect(deletesAt(ghcr).filter((url) => url.endsWith(`/${id}`))).toEqual([]);
    expect(green).toBe(true);
    expect(
      ghcr.requests.some(({ method, path }) => method === 'HEAD' && path.endsWith('/v1')),
    ).toBe(true);
  });
});

describe('A recheck', () => {
  it('reads the list right before the first DELETE, and again a minute of deletes later', async () => {
    const ghcr = await filled();
    const many = Array.from({ length: 395 }, (_, n) => image(`many ${String(n)}`));
    many.forEach((content) => seed(ghcr.state, REPOSITORY, content));
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
    const kinds = ghcr.apiRequests.map(({ method }) => method);
    const lists: number[] = [];
    kinds.forEach((method, n) => {
      if (method === 'GET' && kinds[n + 1] === 'DELETE') {
        lists.push(kinds.slice(0, n).filter((each) => each === 'DELETE').length);
      }
    });
    expect(lists[0]).toBe(0);
    expect(lists.length).toBeGreaterThanOrEqual(3);
    lists.slice(1).forEach((deleted, n) => expect(deleted - (lists[n] ?? 0)).toBeLessThan(180));
    expect(listsAt(ghcr).length).toBeLessThan(40);
  });
});
