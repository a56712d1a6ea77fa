/** The survey that a sweep makes right before its deletes. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { image, index } from '../../support/builders/build.js';
import { stopClients, tally } from '../../support/clients/client.js';
import { startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('the recheck', () => {
  it('reads every tag by its bytes, once, and nothing else again', async () => {
    const { registry, put, look } = await startScene();
    put(index([current]), 'v1', 'latest');
    put(old);
    const { inventory: earlier, plan } = await look([old]);
    registry.requests.length = 0;
    const second = await look([old], { earlier });
    // Whether there is a referrers API is asked again: the first look may have been misled.
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 2, 'GET referrers': 1 });
    expect(second.plan).toEqual(plan);
    const formerTags = new Map([[index([current]).digest, new Set(['v1', 'latest'])]]);
    expect(second.inventory).toEqual({ ...earlier, formerTags });
  });

  it('reads tags that moved, that are new, and what they bring', async () => {
    const { app, registry, put, look } = await startScene();
    put(current, 'v1', 'moves', 'goes');
    const { inventory: earlier } = await look();
    put(index([image('new child')]), 'moves');
    put(image('new'), 'new');
    app.tags.delete('goes');
    registry.requests.length = 0;
    const { inventory } = await look([], { earlier });
    expect(new Set(inventory.tags.keys())).toEqual(new Set(['v1', 'moves', 'new']));
    expect(inventory.manifests.size).toBe(4);
    // Of the one that moved, HEAD has to say the same.
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 1, 'GET manifest': 4 });
  });

  it('sees that the manifest of a tag is gone', async () => {
    const { app, put, look } = await startScene();
    put(current, 'v1');
    const { inventory: earlier } = await look();
    app.manifests.delete(current.digest);
    const { inventory } = await look([], { earlier });
    expect(inventory.brokenTags).toEqual(['v1']);
  });

  it('reads tags whole where HEAD names no digest', async () => {
    const { registry, put, look } = await startScene({ digestHeader: false });
    put(current, 'v1');
    const { inventory: earlier } = await look();
    registry.requests.length = 0;
    const { inventory } = await look([], { earlier });
    expect(inventory.tags).toEqual(earlier.tags);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 1, 'GET manifest': 1 });
  });

  it('reads a tag whole whose manifest the survey did not keep', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    const { inventory: earlier } = await look();
    registry.requests.length = 0;
    await look([], { earlier: { ...earlier, manifests: new Map() } });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
  });

  it('asks again for absent manifests', async () => {
    const { put, look } = await startScene();
    const { inventory: earlier } = await look([old]);
    expect(earlier.absent).toEqual(new Set([old.digest]));
    put(old);
    const { inventory } = await look([old], { earlier });
    expect(inventory.manifests.has(old.digest)).toBe(true);
  });
});
