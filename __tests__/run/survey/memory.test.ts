/** A survey that knows what earlier runs saw. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Past } from '../../../src/plan/past.js';
import { digestOf } from '../../../src/oci/digest.js';
import { cosign, digestTag, image, index, opaque, referrer } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { DAY, fate, fates, NOW, YOUNG } from '../../support/builders/inventories.js';
import { digests, remembered, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('a manifest that earlier runs saw', () => {
  it('costs one HEAD for each tag, and no GET', async () => {
    const { registry, put, look, progress } = await startScene();
    const list = index([image('a'), image('b')]);
    put(list, 'v1', 'latest');
    put(current, 'v2');
    const known = remembered([list, current]);
    const { inventory, plan, bodies } = await look([], { known });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 3 });
    expect(bodies.size).toBe(0);
    expect(inventory.past).toEqual(known.past);
    expect(progress.finished).toBe(progress.expected);
    const plain = await look();
    expect(plan).toEqual(plain.plan);
    expect({ ...inventory, past: new Map() }).toEqual(plain.inventory);
  });

  it('is fetched and listed in `bodies` only where they did not see it', async () => {
    const { registry, put, look } = await startScene();
    const list = index([image('new child'), image('a')]);
    put(current, 'v1');
    put(list, 'v2');
    const { inventory, bodies } = await look([], { known: remembered([current, image('a')]) });
    expect(inventory.manifests.size).toBe(4);
    // Of v2, of its manifest, and of the child that nobody saw before.
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 2, 'GET manifest': 2 });
    const fetched = [list, image('new child')];
    expect(bodies).toEqual(
      new Map(fetched.map(({ digest, bytes }) => [digest, bytes.toString('utf8')])),
    );
  });

  it('is believed to exist if something names it, as long as there is no orphan', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const subject = image('subject');
    const sbom = referrer('sbom', subject);
    const sig = cosign('sig', image('named'));
    const list = index([index([old]), current]);
    put(list, 'v1');
    put(sbom, 'sbom');
    put(sig, digestTag(image('named').digest, 'sig'));
    put(subject);
    put(image('named'), 'named');
    const known = remembered([list, sbom, sig, subject, image('named')]);
    const { inventory, plan, bodies } = await look([], { known });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 4 });
    expect(plan.orphans).toEqual([]);
    expect(bodies.size).toBe(0);
    expect([...inventory.manifests.keys()]).toEqual(
      expect.arrayContaining(digests([list, index([old]), old, subject])),
    );
  });

  it('is asked for as soon as there is an orphan', async () => {
    const { registry, put, look } = await startScene();
    const list = index([image('a'), image('b')]);
    put(list, 'v1');
    put(old);
    const { inventory, plan, bodies } = await look([], { known: remembered([list, old]) });
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(inventory.manifests.size).toBe(4);
    expect(bodies.size).toBe(0);
    const heads = registry.requests.filter(({ method }) => method === 'HEAD');
    expect(heads.map(({ path }) => path.split('/').at(-1)).sort()).toEqual(
      ['v1', ...digests([old, image('a'), image('b')])].sort(),
    );
    // That there is no referrers API is the last question.
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 4, 'GET referrers': 1 });
  });

  it('is absent when it no longer exists, which is no gap', async () => {
    const { app, registry, put, look } = await startScene();
    const list = index([image('a'), image('b')]);
    put(list, 'v1');
    put(old);
    app.manifests.delete(image('a').digest);
    const known = remembered([list, old]);
    const { inventory, plan } = await look([], { known });
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent).toEqual(new Set([image('a').digest]));
    expect(inventory.manifests.has(image('a').digest)).toBe(false);
    expect(plan.orphans.map(({ digest }) => digest)).toEqual([old.digest]);
    // HEAD alone never says that something is absent.
    expect(tally(registry)).toMatchObject({ 'HEAD manifest': 4, 'GET manifest': 1 });
  });

  it('keeps the children in its remembered bytes when it no longer exists itself', async () => {
    const { app, put, look } = await startScene();
    const inner = index([image('leaf')]);
    put(index([inner, current]), 'v1');
    put(old);
    app.manifests.delete(inner.digest);
    const everything = [index([inner, current]), old];
    const { inventory, plan } = await look([], { known: remembered(everything) });
    expect(inventory.absent).toEqual(new Set([inner.digest]));
    expect(fates(plan, { leaf: image('leaf'), current, old })).toEqual({
      leaf: 'keep: child',
      current: 'keep: child',
      old: 'delete: unreachable',
    });
    // A look that knows nothing can't tell.
    const plain = await look([inner, image('leaf'), current, old]);
    expect(fates(plain.plan, { leaf: image('leaf') })).toEqual({ leaf: 'delete: unreachable' });
  });

  it('keeps its children when its tag is listed and it no longer exists', async () => {
    const { app, put, look } = await startScene();
    const list = index([image('leaf')]);
    put(list, 'v1');
    put(current, 'v2');
    put(old);
    app.manifests.delete(list.digest);
    const past = { tags: ['v1'] };
    const { inventory, plan } = await look([], { known: remembered([list, current, old], past) });
    expect(inventory.brokenTags).toEqual(['v1']);
    expect([...inventory.ghosts.keys()]).toEqual([list.digest]);
    expect(fates(plan, { leaf: image('leaf'), current, old })).toEqual({
      leaf: 'keep: child',
      current: 'keep: tagged',
      old: 'delete: unreachable',
    });
    // What is not there is no part of the plan.
    expect(plan.keep.map(({ digest }) => digest)).not.toContain(list.digest);
  });

  it('is a gap where it mentions more than any tool writes, and nothing is asked for', async () => {
    const { registry, put, look } = await startScene();
    const mentions = Array.from({ length: 10_001 }, (_, n) => digestOf(Buffer.from(String(n))));
    put(opaque('application/x', { mentions }), 'v1');
    put(old);
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([
      {
        what: 'what manifests mention',
        why: expect.stringMatching(/more than 10000 digests that may be manifests as well/),
      },
    ]);
    expect(plan.orphans).toEqual([]);
    expect(registry.requests.length).toBeLessThan(20);
  });

  it.each([
    ['application/octet-stream', true],
    [current.mediaType, undefined],
  ])('is noted as untyped when it comes as %s: %s', async (type, isUntyped) => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    registry.intercept(
      when(/manifests\/v1$/, {
        kind: 'rewrite',
        rewrite: (own) => ({ ...own, headers: { ...own.headers, 'Content-Type': type } }),
      }),
    );
    expect((await look()).inventory.isUntyped).toBe(isUntyped);
  });

  it('is asked for again by a tag that is listed before it is there', async () => {
    const { registry, put, look } = await startScene();
    put(index([current]), 'v1');
    put(old);
    const late = errorAnswer(404, 'MANIFEST_UNKNOWN');
    registry.intercept(({ path, attempt, method }) =>
      method === 'GET' && path.endsWith('/manifests/v1') && attempt < 4 ? late : undefined,
    );
    const { inventory, plan } = await look([current, old]);
    expect(inventory.brokenTags).toEqual([]);
    expect(fates(plan, { list: index([current]), current, old })).toEqual({
      list: 'keep: tagged',
      current: 'keep: child',
      old: 'delete: unreachable',
    });
    expect(tally(registry)['GET manifest']).toBe(6);
  });

  it('keeps nothing when it no longer exists and nothing names it', async () => {
    const { app, put, look } = await startScene();
    const list = index([image('leaf')]);
    put(list, 'v1');
    put(current, 'v1');
    app.manifests.delete(list.digest);
    const { plan } = await look([], { known: remembered([list, current], { tags: ['v1'] }) });
    expect(fates(plan, { leaf: image('leaf') })).toEqual({ leaf: 'delete: unreachable' });
  });

  it.each<[string, Partial<Past>]>([
    ['leaving', { status: 'leaving' }],
    ['deleted', { status: 'deleted' }],
    ['in use, and was to be deleted not long ago', { status: 'in-use', condemned: NOW - DAY }],
  ])(
    'is asked for although something in use names it, if it is remembered as %s',
    async (_, past) => {
      const { app, put, look } = await startScene();
      const leaf = image('leaf');
      put(index([leaf]), 'v1');
      app.manifests.delete(leaf.digest);
      const { inventory } = await look([], { known: remembered([leaf], past) });
      expect(inventory.absent).toEqual(new Set([leaf.digest]));
      expect([...inventory.ghosts.keys()]).toEqual([leaf.digest]);
    },
  );

  it('is not asked for when it was deleted and nothing names it', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    const known = remembered([old], { status: 'deleted' });
    const { inventory, plan } = await look([], { known });
    expect(tally(registry)).not.toHaveProperty('GET manifest', 2);
    expect(inventory.absent.size).toBe(0);
    expect([...inventory.ghosts.keys()]).toEqual([old.digest]);
    expect(plan.orphans).toEqual([]);
  });

  it('costs one HEAD where nothing names it, and a GET where the answer is no', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    const lost = image('lost');
    const { inventory, plan } = await look([], { known: remembered([current, old, lost]) });
    expect(inventory.absent).toEqual(new Set([lost.digest]));
    expect(plan.orphans.map(({ digest }) => digest)).toEqual([old.digest]);
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      'HEAD manifest': 3,
      'GET manifest': 1,
      'GET referrers': 1,
    });
  });

  it.each(['in-use', 'deleted'] as const)(
    'is asked for where an input names it, as %s too',
    async (status) => {
      const { registry, put, look } = await startScene();
      put(current, 'v1');
      put(old);
      const [now, before] = [remembered([current]), remembered([old], { status })];
      const { inventory } = await look([old, current, image('lost')], {
        known: {
          manifests: new Map([...now.manifests, ...before.manifests]),
          past: new Map([...now.past, ...before.past]),
        },
      });
      expect(inventory.manifests.has(old.digest)).toBe(true);
      expect(inventory.absent).toEqual(new Set([image('lost').digest]));
      // v1 and old; what no run saw is fetched at once.
      expect(tally(registry)).toMatchObject({ 'HEAD manifest': 2, 'GET manifest': 1 });
    },
  );

  it('needs no config: it was in use once, so its push was complete', async () => {
    const { registry, put, look } = await startScene();
    const young = image('young', { created: YOUNG });
    put(young);
    const { plan, inventory } = await look([], { known: remembered([young]) });
    expect(fate(plan, young)).toBe('delete: unreachable');
    expect(inventory.facts.size).toBe(0);
    expect(tally(registry)).not.toHaveProperty('GET blob');
  });

  it('stays where it is new and never was in use', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const known = remembered([old], { everInUse: false, firstSeen: NOW - DAY / 2 });
    expect(fate((await look([], { known })).plan, old)).toBe('keep: new');
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 1 });
  });

  it('brings the referrers that only the API lists, and checks that they exist', async () => {
    const { app, registry, put, look } = await startScene({ referrersApi: true });
    const sbom = referrer('sbom', old);
    const lost = referrer('lost', old);
    [old, sbom, lost].forEach((content) => {
      put(content);
    });
    registry.intercept(
      when(/GET .*referrers/, {
        kind: 'pass',
        after: () => {
          app.manifests.delete(lost.digest);
        },
      }),
    );
    const { manifests } = remembered([old, sbom, lost]);
    // Of the two nothing but the body is known, so that nobody asks before the API names them.
    const { inventory, plan } = await look([], { known: { ...remembered([old]), manifests } });
    expect(inventory.absent).toEqual(new Set([lost.digest]));
    expect(plan.orphans.map(({ digest }) => digest)).toEqual(digests([old, sbom]));
  });

  it('is fetched where it is remembered without its body', async () => {
    const { put, look } = await startScene();
    put(old);
    const { past } = remembered([old]);
    const { plan, bodies } = await look([], { known: { manifests: new Map(), past } });
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(bodies).toEqual(new Map([[old.digest, old.bytes.toString('utf8')]]));
  });

  it('never makes an orphan of a child that a tag keeps, even if the ledger lies', async () => {
    const { registry, put, look } = await startScene();
    const list = index([old, image('unknown')]);
    put(list, 'v1');
    put(image('other'));
    const liar = remembered([old, image('other')], { everInUse: true, firstSeen: 0 });
    for (const known of [
      // Nothing is said of the index, or of one of its children: both are fetched.
      liar,
      { ...liar, manifests: new Map([...remembered([list]).manifests].slice(0, 2)) },
      // All of it is said to be known, and nothing to be in use.
      remembered([list, image('other')], { everInUse: false, firstSeen: 0 }),
    ]) {
      registry.requests.length = 0;
      const { inventory, plan } = await look([], { known });
      expect(fates(plan, { list, old, unknown: image('unknown') })).toEqual({
        list: 'keep: tagged',
        old: 'keep: child',
        unknown: 'keep: child',
      });
      expect(inventory.manifests.has(image('unknown').digest)).toBe(true);
      expect(registry.requests.some(({ path }) => path.endsWith(image('unknown').digest))).toBe(
        true,
      );
    }
  });

  it.each<[string, Action]>([
    ['no digest', { kind: 'answer', status: 200 }],
    [
      'another digest',
      { kind: 'answer', status: 200, headers: { 'Docker-Content-Digest': current.digest } },
    ],
    ['404', { kind: 'answer', status: 404 }],
    ['403', { kind: 'answer', status: 403 }],
  ])('is fetched where HEAD settles nothing: %s', async (_, action) => {
    const { registry, put, look } = await startScene();
    const list = index([image('a')]);
    put(list, 'v1');
    put(old);
    registry.intercept(when(/^HEAD .*sha256:/, action));
    const { inventory, plan, bodies } = await look([], { known: remembered([list, old]) });
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent.size).toBe(0);
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(new Set(bodies.keys())).toEqual(new Set(digests([old, image('a')])));
  });

  it('is read as without a ledger where the registry names no digests', async () => {
    const { registry, put, look } = await startScene({ digestHeader: false });
    const list = index([image('a')]);
    put(list, 'v1', 'latest');
    put(old);
    const known = remembered([list, old, image('lost')]);
    const { inventory, plan } = await look([], { known });
    expect(inventory.absent).toEqual(new Set([image('lost').digest]));
    expect(fates(plan, { list, a: image('a'), old })).toEqual({
      list: 'keep: tagged',
      a: 'keep: child',
      old: 'delete: unreachable',
    });
    expect(tally(registry)).toMatchObject({ 'HEAD manifest': 7, 'GET manifest': 5 });
  });

  it.each([
    ['a tag', 'v1', 'tag v1'],
    ['what nothing names', old.digest, `manifest ${old.digest}`],
    ['what was taken to be there', current.digest, `manifest ${current.digest}`],
  ])('is a gap when it can’t be asked for: %s', async (_, reference, what) => {
    const { registry, put, look } = await startScene();
    put(index([current]), 'v1');
    put(old);
    put(image('other'));
    registry.intercept(when(new RegExp(`manifests/${reference}$`), errorAnswer(403, 'DENIED')));
    const known = remembered([index([current]), old, image('other')]);
    const { inventory, plan } = await look([], { known });
    expect(inventory.gaps).toMatchObject([{ what }]);
    expect(plan.orphans).toEqual([]);
    expect(fate(plan, image('other'))).toBe('keep: gap');
  });

  it('is found as an orphan when its tag has moved', async () => {
    const { registry, put, look } = await startScene();
    put(index([old, current]), 'latest');
    put(index([image('new'), current]), 'latest');
    const known = remembered([index([old, current])]);
    const { plan, bodies } = await look([], { known });
    expect(plan.orphans.map(({ digest }) => digest)).toEqual(digests([index([old, current]), old]));
    expect(fate(plan, current)).toBe('keep: child');
    expect(new Set(bodies.keys())).toEqual(
      new Set(digests([index([image('new'), current]), image('new')])),
    );
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      // latest, the two that nothing names, and what was taken to be there
      'HEAD manifest': 4,
      'GET manifest': 2,
      'GET referrers': 1,
    });
  });

  it('is absent under a tag that still names it', async () => {
    const { app, put, look } = await startScene();
    put(current, 'v1');
    app.manifests.delete(current.digest);
    const { inventory } = await look([], { known: remembered([current]) });
    expect(inventory.brokenTags).toEqual(['v1']);
    expect(inventory.absent).toEqual(new Set([current.digest]));
  });
});
