/** How much a survey asks the registry for. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { buildCache, image, index } from '../../support/builders/build.js';
import { stopClients, tally } from '../../support/clients/client.js';
import { fate } from '../../support/builders/inventories.js';
import { digests, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('the requests of a survey', () => {
  it('are one for each tag and each unknown manifest, and none twice', async () => {
    const { registry, put, look, progress } = await startScene();
    const list = index([image('a'), image('b')]);
    const lost = image('lost');
    const orphanIndex = index([old, image('a')]);
    put(list, 'v1', 'latest');
    put(current, 'v2');
    put(orphanIndex);
    const { plan } = await look([orphanIndex, old, current, list, lost]);

    expect(digests([orphanIndex, old]).map((digest) => fate(plan, { digest }))).toEqual([
      'delete: unreachable',
      'delete: child',
    ]);
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      // 3 tags, the 2 children of v1, and 3 candidates that no tag brought
      'GET manifest': 8,
      // the orphan's, and that of the kept child that its index holds
      'GET blob': 2,
      // of the orphan that nothing names: whether it is a layer, too
      'HEAD blob': 1,
      // Distribution has no such API, and is asked once by each look
      'GET referrers': 1,
    });
    const lines = registry.requests.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(lines).size).toBe(lines.length);
    expect(progress.finished).toBe(progress.expected);
  });

  it('are tags and their manifests alone when there is no orphan', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(index([old]), 'v2');
    const { inventory, plan } = await look([current, old]);
    expect(plan.orphans).toEqual([]);
    expect(inventory.facts.size).toBe(0);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 3 });
  });

  it('leave configs out if ages do not matter', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const { plan } = await look([old], { policy: { gracePeriod: 0 } });
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(tally(registry)).not.toHaveProperty('GET blob');
  });

  it('never ask the manifests route for a layer that an index lists', async () => {
    const { registry, put, look } = await startScene();
    const cache = buildCache('cache', 'index');
    put(cache, 'buildcache');
    put(old);
    const { inventory } = await look([old]);
    expect(inventory.gaps).toEqual([]);
    expect(
      registry.requests.filter(({ path }) => [...cache.blobs.keys()].some((d) => path.includes(d))),
    ).toEqual([]);
  });

  it('are GET and HEAD only', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(old);
    await look([old]);
    expect(new Set(registry.requests.map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
  });
});
