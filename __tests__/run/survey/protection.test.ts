/** Protected digests that no tag and no candidate leads to. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import { withFiles } from '../../../src/plan/protection.js';
import { NO_PROTECTION } from '../../support/builders/protections.js';
import { image, index, type Content } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { errorAnswer, stopClients, tally, when, rewritten } from '../../support/clients/client.js';
import { fate, fates, protecting } from '../../support/builders/inventories.js';
import { APP, digests, remembered, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('a protected digest that nothing names', () => {
  const list = index([old, image('other part')]);
  /** As if these stood in a file. */
  const inFile = (...contents: readonly Content[]) =>
    withFiles(NO_PROTECTION, new Map([['deploy/prod.yaml', digests(contents)]]));

  it('is found, and keeps its part that an input names', async () => {
    const { put, look, progress } = await startScene();
    put(current, 'v1');
    put(list);
    put(image('x'));
    const candidates = [old, image('x')];
    const plain = await look(candidates);
    expect(fate(plain.plan, old)).toBe('delete: unreachable');
    expect(plain.inventory.manifests.has(list.digest)).toBe(false);

    const { plan, bodies } = await look(candidates, {
      policy: { protection: inFile(list) },
    });
    expect(fates(plan, { list, old, other: image('other part'), x: image('x') })).toEqual({
      list: 'keep: protected',
      old: 'keep: child',
      other: 'keep: child',
      x: 'delete: unreachable',
    });
    expect(plan.keep).toContainEqual({
      digest: list.digest,
      reason: { kind: 'protected', by: ['deploy/prod.yaml'] },
    });
    expect(bodies.get(list.digest)).toBe(list.bytes.toString('utf8'));
    expect(progress.finished).toBe(progress.expected);
  });

  it('is followed to any depth, to subjects and to referrers', async () => {
    const { put, look } = await startScene({ referrersApi: true });
    const subject = image('subject');
    const deep = index([index([index([old])])], { subject });
    const holder = index([image('held')], { subject: deep, artifactType: 'a/b' });
    [deep, subject, holder].forEach((content) => {
      put(content);
    });
    const all = [old, subject, image('held')];
    const { plan } = await look(all, { policy: { protection: inFile(deep) } });
    expect(fates(plan, { old, subject, holder, held: image('held') })).toEqual({
      old: 'keep: child',
      subject: 'keep: subject',
      holder: 'keep: referrer',
      held: 'keep: child',
    });
  });

  it('costs nothing if there is no orphan', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(list);
    const { inventory, plan } = await look([], { policy: { protection: inFile(list, old) } });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
    expect(inventory.manifests.size).toBe(1);
    expect(plan.orphans).toEqual([]);
  });

  it('costs one GET for each digest otherwise, of those that are not known yet', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    put(image('x'));
    const elsewhere = Array.from({ length: 20 }, (_, n) => image(`elsewhere ${n}`));
    const lost = image('lost');
    const { plan } = await look([old, image('x'), lost], {
      policy: { protection: inFile(...elsewhere, current, old, lost), gracePeriod: 0 },
    });
    expect(fate(plan, old)).toBe('keep: protected');
    expect(fate(plan, image('x'))).toBe('delete: unreachable');
    const asked = registry.requests.map(({ path }) => path);
    expect(new Set(asked).size).toBe(asked.length);
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      // v1, three candidates, and the twenty; the plan is made three times, and they are asked for once
      'GET manifest': 24,
      // of `x`, which only an input names
      'HEAD blob': 1,
      'GET referrers': 1,
    });
  });

  it('is not reported where it is absent', async () => {
    const { put, look } = await startScene();
    put(old);
    const plain = await look([old]);
    const protection = inFile(list, image('elsewhere'));
    const { inventory, plan } = await look([old], { policy: { protection } });
    expect(inventory).toEqual(plain.inventory);
    expect(inventory.absent.size).toBe(0);
    expect(plan).toEqual(plain.plan);
  });

  it('is reported absent where something else names it', async () => {
    const { app, put, look } = await startScene();
    put(index([image('lost part')]), 'v1');
    put(old);
    app.manifests.delete(image('lost part').digest);
    const protection = inFile(image('lost part'), image('elsewhere'));
    const { inventory } = await look([old], { policy: { protection } });
    expect(inventory.absent).toEqual(new Set([image('lost part').digest]));
  });

  it('is asked for where it is pinned, and in no other repository', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const here = image('here');
    const protection = protecting(`${APP}@${here.digest}`, `team/other@${image('there').digest}`);
    await look([old], { policy: { protection } });
    const asked = registry.requests.map(({ path }) => path.split('/').at(-1));
    expect(asked).toContain(here.digest);
    expect(asked).not.toContain(image('there').digest);
  });

  it('is not asked for in a repository that is kept whole', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const protection = { ...inFile(list), repositories: ['team/*'] };
    const { plan } = await look([old], { policy: { protection } });
    expect(fate(plan, old)).toBe('keep: protected');
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
  });

  it.each([
    ['403', errorAnswer(403, 'DENIED')],
    ['500', errorAnswer(500, 'UNKNOWN')],
    ['a cut-off body', { kind: 'truncate' }],
    ['404 in HTML', { kind: 'html', status: 404 }],
    ['other bytes', rewritten('{"schemaVersion":2}')],
  ] as [string, Action][])('is a gap when it can’t be read: %s', async (_, action) => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(list);
    put(image('x'));
    registry.intercept(when(`GET /v2/team/app/manifests/${list.digest}`, action));
    const { inventory, plan } = await look([old, image('x')], {
      policy: { protection: inFile(list) },
    });
    expect(inventory.gaps).toEqual([
      {
        what: `protected manifest ${list.digest} (named by deploy/prod.yaml)`,
        why: expect.stringContaining(list.digest),
      },
    ]);
    expect(plan.orphans).toEqual([]);
    expect(fates(plan, { old, x: image('x') })).toEqual({ old: 'keep: gap', x: 'keep: gap' });
  });

  it('is a gap when one of its children can’t be read', async () => {
    const { registry, put, look } = await startScene();
    put(list);
    put(image('x'));
    const part = image('other part').digest;
    registry.intercept(when(`GET /v2/team/app/manifests/${part}`, errorAnswer(403, 'DENIED')));
    const { inventory, plan } = await look([old, image('x')], {
      policy: { protection: inFile(list) },
    });
    expect(inventory.gaps).toMatchObject([{ what: `manifest ${part}` }]);
    expect(plan.orphans).toEqual([]);
  });

  it('blocks nothing as a layer, which 2.8 answers with 500', async () => {
    const { put, look } = await startScene();
    put(old);
    put(current, 'v1');
    const layer = [...current.blobs.keys()].at(-1) as Digest;
    const files = new Map([
      ['a.lock', [layer]],
      ['b.lock', [layer]],
      ['c.lock', [layer]],
    ]);
    const { inventory, plan } = await look([old], {
      policy: { protection: withFiles(NO_PROTECTION, files) },
    });
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent.size).toBe(0);
    expect(fate(plan, old)).toBe('delete: unreachable');
  });

  it('is a gap where the answer is 500 and it is no layer, and the gap names its files', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const lost = image('lost');
    registry.intercept(
      when(`GET /v2/team/app/manifests/${lost.digest}`, errorAnswer(500, 'UNKNOWN')),
    );
    const files = new Map(['a', 'b', 'c'].map((name) => [`${name}.lock`, [lost.digest]]));
    const { inventory, plan } = await look([old], {
      policy: { protection: withFiles(NO_PROTECTION, files) },
    });
    expect(inventory.gaps).toEqual([
      {
        what: `protected manifest ${lost.digest} (named by a.lock and 2 more)`,
        why: expect.stringContaining('layer or config'),
      },
    ]);
    expect(plan.orphans).toEqual([]);
  });

  it('is asked for by HEAD where the ledger has it', async () => {
    const { app, registry, put, look } = await startScene();
    const [there, gone] = [index([image('a')]), index([image('b')])];
    [there, gone, image('a'), image('b'), old].forEach((content) => {
      put(content);
    });
    app.manifests.delete(gone.digest);
    // Only their bodies are known, so that nobody asks before they are looked for.
    const { manifests } = remembered([there, gone]);
    const known = { manifests, past: remembered([old, image('a'), image('b')]).past };
    const { inventory, plan } = await look([], {
      known,
      policy: { protection: inFile(there, gone) },
    });
    expect(fates(plan, { there, a: image('a'), b: image('b'), gone })).toEqual({
      there: 'keep: protected',
      a: 'keep: child',
      b: 'delete: unreachable',
      gone: 'unknown',
    });
    expect(inventory.gaps).toEqual([]);
    const heads = registry.requests.filter(({ method }) => method === 'HEAD');
    expect(heads.map(({ path }) => path.split('/').at(-1))).toContain(there.digest);
  });

  it('is asked for in the recheck, too: it may have come since', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(list);
    put(old);
    put(image('x'));
    const late = index([image('x')]);
    const asked = { policy: { protection: inFile(list, late) } };
    const { inventory: earlier, plan } = await look([old, image('x')], asked);
    expect(fates(plan, { old, x: image('x') })).toEqual({
      old: 'keep: child',
      x: 'delete: unreachable',
    });
    put(late);
    registry.requests.length = 0;
    const second = await look([image('x')], { ...asked, earlier });
    expect(fates(second.plan, { list, old, late, x: image('x') })).toEqual({
      // Nothing names it now, and it is not asked for again; it stays known for as long as it is protected.
      list: 'keep: protected',
      old: 'keep: child',
      late: 'keep: protected',
      x: 'keep: child',
    });
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      'GET manifest': 2,
    });
  });
});
