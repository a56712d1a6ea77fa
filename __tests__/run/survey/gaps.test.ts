/** Every answer that leaves a gap, for every kind of request. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { image, index, opaque } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { errorAnswer, stopClients, tally, when, rewritten } from '../../support/clients/client.js';
import { fates } from '../../support/builders/inventories.js';
import { startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** Each with a word that its message has to hold. */
const FAULTS: [string, Action, string | RegExp][] = [
  ['500', errorAnswer(500, 'UNKNOWN', 'disk on fire'), 'disk on fire'],
  ['503', { kind: 'answer', status: 503 }, '503'],
  ['429 for ever', { kind: 'answer', status: 429 }, '429'],
  ['401', errorAnswer(401, 'UNAUTHORIZED'), 'repository:team/app:pull'],
  ['403', errorAnswer(403, 'DENIED'), 'repository:team/app:pull'],
  ['HTML', { kind: 'html' }, 'registry-url'],
  ['404 in HTML', { kind: 'html', status: 404 }, 'registry-url'],
  ['404 without a body', { kind: 'answer', status: 404 }, 'registry-url'],
  [
    '404 of Accept',
    errorAnswer(
      404,
      'MANIFEST_UNKNOWN',
      'OCI manifest found, but accept header does not support OCI manifests',
    ),
    'accept header',
  ],
  ['404 with another code', errorAnswer(404, 'DENIED'), 'DENIED'],
  ['a cut-off body', { kind: 'truncate' }, 'cut off'],
  ['a reset', { kind: 'reset' }, 'broke off'],
  ['a redirect that leads nowhere', { kind: 'answer', status: 302 }, /302|redirect/],
];

const MANIFEST_FAULTS: typeof FAULTS = [
  ...FAULTS,
  ['another body', rewritten('{"schemaVersion":2}'), 'digest'],
  ['schema 1', rewritten('{"schemaVersion":1}', SCHEMA1), /schema 1|digest/],
  ['too much', rewritten(' '.repeat(4 * 1024 * 1024 + 1)), '4194304 bytes'],
];

describe('a gap that blocks all deletes', () => {
  it.each(MANIFEST_FAULTS)('is made by a tag: %s', async (_, action, words) => {
    const { registry, put, look, progress } = await startScene();
    put(current, 'v1');
    put(image('x'), 'v2');
    put(old);
    // By digest it is there, so that a digest must be announced for a tag to be checked at all.
    const announced = { 'Docker-Content-Digest': image('x').digest };
    registry.intercept(
      when(
        'GET /v2/team/app/manifests/v2',
        action.kind === 'answer' && action.status === 200
          ? { ...action, headers: { ...action.headers, ...announced } }
          : action,
      ),
    );
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([{ what: 'tag v2', why: expect.stringMatching(words) }]);
    expect(plan.orphans).toEqual([]);
    expect(fates(plan, { current, old })).toEqual({ current: 'keep: tagged', old: 'keep: gap' });
    expect(progress.finished).toBe(progress.expected);
  });

  it.each(MANIFEST_FAULTS)('is made by a child: %s', async (_, action, words) => {
    const { registry, put, look } = await startScene();
    put(index([current]), 'v1');
    put(old);
    registry.intercept(when(`GET /v2/team/app/manifests/${current.digest}`, action));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([
      { what: `manifest ${current.digest}`, why: expect.stringMatching(words) },
    ]);
    expect(inventory.absent.size).toBe(0);
    expect(plan.orphans).toEqual([]);
  });

  it.each([
    ...FAULTS,
    ['no list', rewritten('[]', 'application/json'), /could not list the tags/],
    ['tags that are no names', rewritten('{"tags":["../../x"]}', 'application/json'), 'OCI spec'],
    ['tags that are no texts', rewritten('{"tags":[1]}', 'application/json'), 'list the tags'],
  ] as typeof FAULTS)('is made by the list of tags: %s', async (_, action, words) => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    registry.intercept(when('GET /v2/team/app/tags/list', action));
    const { inventory, plan } = await look([old, current]);
    expect(inventory.gaps).toEqual([
      { what: 'the list of tags', why: expect.stringMatching(words) },
    ]);
    expect(plan.orphans).toEqual([]);
    expect(plan.keep).toHaveLength(2);
  });

  it.each(FAULTS)('is made by a later page of tags: %s', async (_, action, words) => {
    const { registry, put, look } = await startScene({ tagPageSize: 1 });
    put(current, 'v1');
    put(old, 'v2');
    registry.intercept(when(/tags\/list\?/, action));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([
      { what: 'the list of tags', why: expect.stringMatching(words) },
    ]);
    expect(plan.orphans).toEqual([]);
  });

  it.each(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN'])(
    'is made by a later page of tags that answers %s: tags after it would be missing',
    async (code) => {
      const { registry, put, look } = await startScene({ tagPageSize: 1 });
      put(current, 'v1');
      put(old, 'v2');
      registry.intercept(when(/tags\/list\?/, errorAnswer(404, code)));
      const { inventory, plan } = await look([old]);
      expect(inventory.gaps).toMatchObject([{ what: 'the list of tags' }]);
      expect(plan.orphans).toEqual([]);
    },
  );

  it.each([
    // Accept means nothing to a blob, so this code says that there is none; a page is other bytes.
    ...FAULTS.filter(([what]) => !/^404 of Accept$|^HTML$/.test(what)),
    ['a page in HTML', { kind: 'html' }, 'another digest'],
    ['other bytes', rewritten('{}', 'application/octet-stream'), 'another digest'],
  ] as typeof FAULTS)('is made by the config of an orphan: %s', async (_, action, words) => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    registry.intercept(when(/blobs/, action));
    const { inventory, plan } = await look([old]);
    const [config] = old.blobs.keys();
    expect(inventory.gaps).toEqual([
      { what: `config ${String(config)}`, why: expect.stringMatching(words) },
    ]);
    expect(plan.orphans).toEqual([]);
  });

  it('is not made by an absent config', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    registry.intercept(when(/blobs/, errorAnswer(404, 'BLOB_UNKNOWN')));
    expect((await look([old])).plan.orphans).toHaveLength(1);
  });

  it('is made by a child whose digest can’t be verified', async () => {
    const { put, look } = await startScene();
    const child = { mediaType: OCI_MANIFEST, digest: 'sha384:00', size: 1 };
    put(opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] }), 'v1');
    put(old);
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([{ what: 'tag v1' }]);
    expect(plan.orphans).toEqual([]);
  });

  it('is not made by a candidate that is a layer, which 2.8 answers with 500 and no run deletes', async () => {
    const { app, put, look } = await startScene();
    put(old, 'v1');
    put(current);
    const layer = [...old.blobs.keys()].at(-1) ?? '';
    const { inventory, plan } = await look([{ ...old, digest: layer as Digest }, current]);
    expect(app.blobs.has(layer)).toBe(true);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent).toEqual(new Set([layer]));
    expect(plan.orphans.map(({ digest }) => digest)).toEqual([current.digest]);
  });

  it('is made by a candidate that 2.8 answers with 500 when there is no such blob, or no answer', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    const lost = image('lost');
    const fault = when(`GET /v2/team/app/manifests/${lost.digest}`, errorAnswer(500, 'UNKNOWN'));
    registry.intercept(fault);
    const what = `manifest ${lost.digest}`;
    const found = await look([old, lost]);
    expect(found.inventory.gaps).toEqual([
      { what, why: expect.stringContaining('layer or config') },
    ]);
    const denied = when(/^HEAD .*blobs/, errorAnswer(403, 'DENIED'));
    registry.intercept((request) => fault(request) ?? denied(request));
    const again = await look([old, lost]);
    expect(again.inventory.gaps).toEqual([{ what, why: expect.stringContaining('403') }]);
    expect([...found.plan.orphans, ...again.plan.orphans]).toEqual([]);
  });

  it('ends the survey as the tenth of its kind', async () => {
    const { registry, put, look, progress } = await startScene();
    Array.from({ length: 60 }, (_, n) => image(String(n))).forEach((content, n) => {
      put(content, `v${String(n)}`);
    });
    put(old);
    registry.intercept(when(/manifests\/v/, errorAnswer(403, 'DENIED')));
    const { inventory, plan } = await look([old], { concurrency: 1 });
    expect(inventory.gaps).toHaveLength(11);
    expect(inventory.gaps.at(-1)).toEqual({
      what: 'the rest',
      why: 'not read: 10 things before it could not be read either',
    });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 10 });
    expect(plan.orphans).toEqual([]);
    expect(progress.finished).toBe(progress.expected);
  });

  it('ends the survey at that depth as the tenth of its kind', async () => {
    const { registry, put, look } = await startScene();
    const list = index([old]);
    const others = Array.from({ length: 20 }, (_, n) => image(String(n)));
    [list, ...others].forEach((content) => {
      put(content);
    });
    registry.intercept((request) =>
      others.some(({ digest }) => request.path.endsWith(digest))
        ? errorAnswer(403, 'DENIED')
        : undefined,
    );
    const { inventory } = await look([list, ...others], { concurrency: 1 });
    expect(inventory.gaps).toHaveLength(11);
    expect(inventory.manifests.has(old.digest)).toBe(false);
  });

  it('is made by a token server that grants nothing for this repository', async () => {
    const { registry, put, look } = await startScene({
      auth: { kind: 'token', username: 'u', password: 'p' },
    });
    put(current, 'v1');
    registry.intercept(when(/^GET \/token/, { kind: 'answer', status: 403 }));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([
      { what: 'the list of tags' },
      { what: `manifest ${old.digest}` },
    ]);
    expect(plan.orphans).toEqual([]);
  });

  it('is not made by faults of this program, which are thrown', async () => {
    const { reader, look } = await startScene();
    const broken = { ...reader, tags: () => Promise.reject(new TypeError('ours')) };
    await expect(look([], { reader: broken })).rejects.toThrow(TypeError);
  });
});
