/** Tags whose HEAD names another manifest than their GET. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Past } from '../../../src/plan/past.js';
import { image, index } from '../../support/builders/build.js';
import { errorAnswer, stopClients, when } from '../../support/clients/client.js';
import { fates } from '../../support/builders/inventories.js';
import { remembered, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');

function tagged(seen: Past | undefined, tag: string): Past {
  return { ...unreachable(seen), tags: [tag] };
}

function unreachable<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('unreachable: it is remembered');
  }
  return value;
}

describe('a tag whose HEAD is wrong', () => {
  const child = image('told child');
  const list = index([child]);
  const lying = ({ method, path }: { readonly method: string; readonly path: string }) =>
    method === 'HEAD' && path.endsWith('/manifests/v1')
      ? ({
          kind: 'answer',
          status: 200,
          headers: { 'Docker-Content-Digest': child.digest, 'Content-Type': child.mediaType },
        } as const)
      : undefined;

  it('costs nothing if the ledger knows better', async () => {
    const { registry, put, look } = await startScene();
    put(list, 'v1');
    registry.intercept(lying);
    const { manifests, past: seen } = remembered([list]);
    const past = new Map(seen).set(list.digest, tagged(seen.get(list.digest), 'v1'));
    const { plan } = await look([], { known: { manifests, past } });
    expect(fates(plan, { list, child })).toEqual({ list: 'keep: narrowed', child: 'keep: tagged' });
  });

  it('is a gap if another manifest would be deleted because of it', async () => {
    const { registry, put, look } = await startScene();
    put(list, 'v0');
    put(current, 'v1');
    registry.intercept(lying);
    const { manifests, past: seen } = remembered([list, current]);
    const past = new Map(seen).set(current.digest, tagged(seen.get(current.digest), 'v1'));
    const { inventory, plan } = await look([], { known: { manifests, past } });
    expect(plan.orphans).toEqual([]);
    expect(inventory.gaps).toEqual([
      { what: 'tag v1', why: expect.stringContaining('A proxy that ignores `Accept` answers so') },
    ]);
  });

  it('is a gap at the recheck, even if the survey believed it', async () => {
    const { registry, put, look } = await startScene();
    put(list, 'v1');
    put(current, 'v2');
    const known = remembered([list]);
    registry.intercept(lying);
    const { inventory: earlier, plan } = await look([], { known });
    expect(fates(plan, { list })).toEqual({ list: 'delete: unreachable' });
    const { inventory } = await look([], { earlier });
    expect(inventory.gaps.map(({ what }) => what)).toEqual(['tag v1']);
  });

  it('is believed where it really moved: GET and HEAD agree', async () => {
    const { put, look } = await startScene();
    put(list, 'v0');
    put(current, 'v1');
    const known = remembered([list, current], { tags: ['v1'] });
    const moved = { ...known, past: new Map(known.past) };
    moved.past.delete(current.digest);
    const { inventory } = await look([], { known: moved });
    expect(inventory.gaps).toEqual([]);
    expect(inventory.tags.get('v1')).toBe(current.digest);
  });

  it('is read with GET before something is deleted because it moved', async () => {
    const { registry, put, look } = await startScene();
    put(list);
    put(current, 'v1');
    const known = remembered([list, current]);
    const past = new Map(known.past);
    const [seen] = past.values();
    past.set(list.digest, tagged(seen, 'v1'));
    const { inventory, plan } = await look([], { known: { ...known, past } });
    expect(inventory.gaps).toEqual([]);
    expect(fates(plan, { list, child })).toEqual({
      list: 'delete: unreachable',
      child: 'delete: child',
    });
    expect(
      registry.requests.filter(({ method, path }) => method === 'GET' && path.endsWith('/v1')),
    ).toHaveLength(1);
  });

  it('is broken where its manifest was deleted before the GET', async () => {
    const { registry, put, look } = await startScene();
    put(list);
    put(current, 'v1');
    const known = remembered([list, current]);
    const past = new Map(known.past);
    const [seen] = past.values();
    past.set(list.digest, tagged(seen, 'v1'));
    registry.intercept(when(/^GET .*manifests\/v1$/, errorAnswer(404, 'MANIFEST_UNKNOWN')));
    const { inventory } = await look([], { known: { ...known, past } });
    expect(inventory.brokenTags).toEqual(['v1']);
    expect(inventory.tags.has('v1')).toBe(false);
  });
});
