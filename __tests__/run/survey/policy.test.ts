/** Settings that a survey reads more or less for. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { withFiles } from '../../../src/plan/protection.js';
import { NO_PROTECTION } from '../../support/builders/protections.js';
import { image, referrer } from '../../support/builders/build.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { DAY, fate, fates } from '../../support/builders/inventories.js';
import { APP, digests, remembered, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('a survey with keep-untagged', () => {
  const built = (hour: number) =>
    image(`built ${hour}`, { created: new Date(Date.UTC(2025, 5, 1, hour)).toISOString() });
  const three = [built(1), built(2), built(3)];

  it.each([0, DAY])('reads the configs that tell which is the newest (%i)', async (gracePeriod) => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    three.forEach((content) => {
      put(content);
    });
    const { plan, inventory } = await look(three, { policy: { gracePeriod, keepUntagged: 1 } });
    expect(three.map((content) => fate(plan, content))).toEqual([
      'delete: unreachable',
      'delete: unreachable',
      'keep: recent',
    ]);
    expect(inventory.facts.size).toBe(3);
    expect(tally(registry)['GET blob']).toBe(3);
  });

  it('reads no config where all orphans stay', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const { plan } = await look(three, { policy: { keepUntagged: 3 } });
    expect(plan.keep.map(({ reason }) => reason.kind)).toEqual(['recent', 'recent', 'recent']);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 3 });
  });

  it('reads the configs of those that went out of use together', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const { plan } = await look([], { known: remembered(three), policy: { keepUntagged: 2 } });
    expect(plan.orphans.map(({ digest }) => digest)).toEqual(digests([built(1)]));
    expect(tally(registry)['GET blob']).toBe(3);
  });

  it('deletes nothing where one of the configs can’t be read', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const [config = ''] = built(2).blobs.keys();
    registry.intercept(when(new RegExp(`blobs/${config}`), errorAnswer(403, 'DENIED')));
    const { plan, inventory } = await look(three, { policy: { gracePeriod: 0, keepUntagged: 1 } });
    expect(inventory.gaps).toMatchObject([{ what: `config ${config}` }]);
    expect(plan.orphans).toEqual([]);
  });

  it('reads none of the configs again in the recheck', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const asked = { policy: { keepUntagged: 1 } };
    const { inventory: earlier, plan } = await look(three, asked);
    registry.requests.length = 0;
    const second = await look(three, { ...asked, earlier });
    expect(second.plan).toEqual(plan);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET referrers': 1 });
  });
});

describe('a survey for an approved plan', () => {
  it('asks for nothing more where no remaining orphan is in the plan', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    put(image('x'));
    const protection = withFiles(NO_PROTECTION, new Map([['a', digests([current])]]));
    const { plan } = await look([old, image('x')], {
      policy: { protection, approved: new Map([[APP, new Set(digests([image('lost')]))]]) },
    });
    expect(plan.keep.map(({ reason }) => reason.kind)).toEqual(['not-in-plan', 'not-in-plan']);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 2 });
  });

  it('keeps an entry that has got a referrer since, which only the API shows', async () => {
    const { put, look } = await startScene({ referrersApi: true });
    put(old);
    put(image('x'));
    put(referrer('new', old));
    const approved = new Map([[APP, new Set(digests([old, image('x')]))]]);
    const { plan } = await look([old, image('x')], { policy: { approved } });
    expect(fates(plan, { old, x: image('x'), sbom: referrer('new', old) })).toEqual({
      old: 'keep: subject',
      x: 'delete: unreachable',
      sbom: 'keep: not-in-plan',
    });
  });
});
