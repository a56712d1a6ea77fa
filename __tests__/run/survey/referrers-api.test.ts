/** The referrers API of a registry: present, absent, and broken. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { OCI_INDEX } from '../../../src/oci/media-types.js';
import { image, index, referrer, type Content } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, stopClients, tally, when, rewritten } from '../../support/clients/client.js';
import { fates } from '../../support/builders/inventories.js';
import { digests, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('the referrers API', () => {
  it('brings the referrers of an orphan that nothing names', async () => {
    const { put, look } = await startScene({ referrersApi: true });
    const sbom = referrer('sbom', old);
    const signature = referrer('signature', sbom);
    [old, sbom, signature].forEach((content) => {
      put(content);
    });
    const { plan } = await look([old]);
    expect(plan.orphans.map(({ digest }) => digest)).toEqual(digests([old, sbom, signature]));
  });

  it('finds a referrer of a kept image that is an index, and saves its child', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const holder = index([old], { subject: current, artifactType: 'x/y' });
    put(current, 'v1');
    put(holder);
    const { plan } = await look([old]);
    expect(fates(plan, { holder, old })).toEqual({ holder: 'keep: referrer', old: 'keep: child' });
    expect(tally(registry)['GET referrers']).toBe(2);
  });

  it('is missed: without it that child counts as an orphan', async () => {
    const { put, look } = await startScene();
    put(current, 'v1');
    put(index([old], { subject: current }));
    expect((await look([old])).plan.orphans).toHaveLength(1);
  });

  it('is asked about each manifest once, those that it brought too', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const sbom = referrer('sbom', old);
    put(current, 'v1');
    put(old);
    put(sbom);
    await look([old]);
    const asked = registry.requests
      .map(({ path }) => /referrers\/(.*)$/.exec(path)?.[1])
      .filter((digest) => digest !== undefined);
    expect(asked.sort()).toEqual(digests([current, old, sbom]).sort());
  });

  it('is asked once for each survey of each repository where there is none', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    put(current, 'v1');
    const other = 'team/other';
    seed(registry.state, other, old);
    await Promise.all([look([old]), look([old], { repository: other })]);
    expect(tally(registry)['GET referrers']).toBe(2);
    await look([old]);
    expect(tally(registry)['GET referrers']).toBe(3);
  });

  it.each([
    ['404 in plain text', { kind: 'answer', status: 404, body: '404 page not found\n' }],
    ['404 with a code', errorAnswer(404, 'NOT_FOUND')],
    ['405', { kind: 'answer', status: 405 }],
    ['501', { kind: 'answer', status: 501 }],
    ['HTML', { kind: 'html' }],
    ['JSON that is no index', rewritten('{}', 'application/json')],
  ] as [string, Action][])('counts as absent: %s', async (_, action) => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    registry.intercept(when(/referrers/, action));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([]);
    expect(plan.orphans).toHaveLength(1);
  });

  it.each([
    ['500', errorAnswer(500, 'UNKNOWN')],
    ['403', errorAnswer(403, 'DENIED')],
    ['404 that speaks of something else', errorAnswer(404, 'UNAVAILABLE')],
    ['a cut-off body', { kind: 'truncate' }],
    ['an index that is none', rewritten('{"manifests":{}}', OCI_INDEX)],
    ['no JSON', rewritten('<index>', OCI_INDEX)],
    ['an unverifiable referrer', rewritten('{"manifests":[{"digest":"md5:0"}]}', OCI_INDEX)],
  ] as [string, Action][])('is a gap where it can’t be asked: %s', async (_, action) => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    registry.intercept(when(/referrers/, action));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([{ what: `referrers of ${old.digest}` }]);
    expect(plan.orphans).toEqual([]);
  });

  it('is asked for the next repository though it seemed absent to one', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const holder = index([old], { subject: current, artifactType: 'x/y' });
    const other = 'team/other';
    seed(registry.state, other, old);
    put(current, 'v1');
    put(holder);
    registry.intercept(when(/team\/other\/referrers/, { kind: 'html', status: 404 }));
    const { inventory } = await look([old], { repository: other });
    expect(inventory.gaps).toEqual([]);
    expect(fates((await look([old])).plan, { holder, old })).toEqual({
      holder: 'keep: referrer',
      old: 'keep: child',
    });
    // The first repository's next look is not misled any more.
    expect((await look([old], { repository: other })).inventory.gaps).toHaveLength(1);
  });

  it('is not believed where it is absent only in a later answer', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(old);
    let seen = 0;
    registry.intercept(
      when(/referrers/, () => {
        seen += 1;
        return seen === 1 ? undefined : { kind: 'answer', status: 404 };
      }),
    );
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toHaveLength(1);
    expect(plan.orphans).toEqual([]);
  });

  const page = (referrers: readonly Content[], next?: string): Action => ({
    kind: 'answer',
    status: 200,
    headers: { 'Content-Type': OCI_INDEX, ...(next === undefined ? {} : { Link: next }) },
    body: JSON.stringify({ manifests: referrers.map(({ descriptor }) => descriptor) }),
  });

  it('is read to its last page', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const [first, second] = [referrer('first', old), referrer('second', old)];
    [old, first, second].forEach((content) => {
      put(content);
    });
    registry.intercept(
      when(new RegExp(`referrers/${old.digest}`), ({ path }) =>
        path.endsWith('?p=2') ? page([second]) : page([first], `<${path}?p=2>; rel="next"`),
      ),
    );
    const { plan } = await look([old]);
    expect(plan.orphans.map(({ digest }) => digest).sort()).toEqual(
      digests([old, first, second]).sort(),
    );
  });

  it('leaves a gap where its second page is missing, the first time too', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const first = referrer('first', old);
    put(old);
    put(first);
    registry.intercept(
      when(/referrers/, ({ path }) =>
        path.endsWith('?p=2')
          ? { kind: 'answer', status: 404 }
          : page([first], `<${path}?p=2>; rel="next"`),
      ),
    );
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([{ what: `referrers of ${old.digest}` }]);
    expect(plan.orphans).toEqual([]);
  });

  it('is believed of a manifest whose body names no subject', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    const [about, aboutOld] = [image('about'), image('about old')];
    put(current, 'v1');
    [old, about, aboutOld].forEach((content) => {
      put(content);
    });
    const listed = new Map([
      [current.digest, about],
      [old.digest, aboutOld],
    ]);
    registry.intercept(
      when(/referrers/, ({ path }) => {
        const found = [...listed].find(([digest]) => path.endsWith(digest))?.[1];
        return found === undefined ? undefined : page([found]);
      }),
    );
    const { inventory, plan } = await look([old]);
    expect(fates(plan, { about, old, aboutOld })).toEqual({
      about: 'keep: referrer',
      old: 'delete: unreachable',
      aboutOld: 'delete: referrer',
    });
    // Of those that have none there is nothing to keep.
    expect(inventory.referrers).toEqual(
      new Map([...listed].map(([digest, each]) => [digest, [each.digest]])),
    );
  });

  it('names absent manifests without harm', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    registry.intercept(when(new RegExp(`referrers/${old.digest}`), page([referrer('lost', old)])));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent).toEqual(new Set([referrer('lost', old).digest]));
    expect(plan.orphans).toHaveLength(1);
  });
});
