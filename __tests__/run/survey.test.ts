import { afterEach, describe, expect, it } from '@jest/globals';

import type { Past } from '../../src/plan/past.js';
import { surveyRepository } from '../../src/run/survey.js';
import { digestOf, type Digest } from '../../src/oci/digest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
import { NO_PROTECTION, readProtect, withFiles } from '../../src/plan/protection.js';
import {
  buildCache,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import type { Action } from '../support/servers/memory/script.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { repositoryOf, setTag } from '../support/servers/memory/state.js';
import { seed } from '../support/clients/push.js';
import { errorAnswer, startClient, stopClients, tally, when } from '../support/clients/client.js';
import { DAY, fate, fates, NOW, policy, YOUNG } from '../support/builders/inventories.js';
import { APP, digests, remembered, startScene } from '../support/scenes/looking.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('what a survey asks for', () => {
  it('is at the floor: each tag and each unknown manifest once, nothing twice', async () => {
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

  it('is tags and their manifests alone when there is no orphan', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(index([old]), 'v2');
    const { inventory, plan } = await look([current, old]);
    expect(plan.orphans).toEqual([]);
    expect(inventory.facts.size).toBe(0);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 3 });
  });

  it('asks for no config when ages do not matter', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const { plan } = await look([old], { policy: { gracePeriod: 0 } });
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(tally(registry)).not.toHaveProperty('GET blob');
  });

  it('never asks the manifests route for what an index lists as a layer', async () => {
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

  it('sends GET and HEAD only', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(old);
    await look([old]);
    expect(new Set(registry.requests.map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
  });
});

describe('what a survey finds', () => {
  it('tells where each manifest was first heard of', async () => {
    const { put, look } = await startScene({ referrersApi: true });
    const [child, subject, named] = [image('child'), image('subject'), image('named')];
    const sig = cosign('sig', named);
    const sbom = referrer('sbom', subject);
    const hidden = referrer('hidden', current);
    const tags: [Content, string][] = [
      [index([child]), 'v1'],
      [current, 'v2'],
      [sbom, 'sbom'],
      [sig, digestTag(named.digest, 'sig')],
    ];
    tags.forEach(([content, tag]) => {
      put(content, tag);
    });
    [subject, named, hidden, old].forEach((content) => {
      put(content);
    });
    const { inventory } = await look([old, child]);
    const source = ({ digest }: Content) => inventory.sources.get(digest);
    expect([current, sig, child, subject, named, hidden, old].map(source)).toEqual([
      'tag',
      'tag',
      'child',
      'subject',
      'digest-tag',
      'referrers',
      'input',
    ]);
  });

  it('follows candidates to their children and subjects, to any depth', async () => {
    const { put, look } = await startScene();
    const deep = index([index([index([old])])]);
    const chain = referrer('sig', referrer('sbom', image('subject')));
    put(deep);
    [chain, referrer('sbom', image('subject')), image('subject')].forEach((content) => {
      put(content);
    });
    const { inventory, plan } = await look([deep, chain]);
    expect(inventory.manifests.size).toBe(7);
    expect(plan.orphans).toHaveLength(7);
  });

  it('hears of a manifest through a digest tag alone, and takes both', async () => {
    const { put, look } = await startScene();
    put(old);
    put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const { plan } = await look();
    expect(fates(plan, { old, sig: cosign('sig', old) })).toEqual({
      old: 'delete: unreachable',
      sig: 'delete: digest-tag',
    });
  });

  it('hears of one through a digest tag that is broken', async () => {
    const { app, put, look } = await startScene();
    put(old);
    setTag(app, digestTag(old.digest, 'sig'), image('lost').digest);
    const { inventory, plan } = await look();
    expect(inventory.brokenTags).toEqual([digestTag(old.digest, 'sig')]);
    expect(fate(plan, old)).toBe('delete: unreachable');
  });

  it('finds referrers through the fallback tag', async () => {
    const { put, look } = await startScene();
    const sbom = referrer('sbom', old);
    put(old);
    put(fallbackIndex([sbom]), digestTag(old.digest));
    const { plan } = await look([old]);
    expect(fates(plan, { old, sbom, list: fallbackIndex([sbom]) })).toEqual({
      old: 'delete: unreachable',
      sbom: 'delete: referrer',
      list: 'delete: digest-tag',
    });
  });

  it('keeps a young candidate, and the index of a young child', async () => {
    const { put, look } = await startScene();
    const young = image('young', { created: YOUNG });
    put(index([young, old]));
    put(young);
    const { inventory, plan } = await look([index([young, old])]);
    expect(plan.orphans).toEqual([]);
    expect(inventory.facts.size).toBe(2);
  });

  it('keeps an unknown manifest and what it mentions, and asks for none of it', async () => {
    const { registry, put, look } = await startScene();
    const unknown = opaque('application/vnd.future+json', { a: old.digest, b: current.digest });
    put(unknown, 'v1');
    put(old);
    const { plan } = await look([old]);
    expect(fates(plan, { unknown, old })).toEqual({
      unknown: 'keep: tagged',
      old: 'keep: mentioned',
    });
    expect(registry.requests.some(({ path }) => path.includes(current.digest))).toBe(false);
  });

  it('keeps the children of an index that writes `Manifests`, which Go reads as `manifests`', async () => {
    const { put, look } = await startScene();
    const list = opaque(OCI_INDEX, {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      Manifests: [old.descriptor],
    });
    put(list, 'v1');
    put(old);
    put(current);
    const { inventory, plan } = await look([old, current]);
    expect(inventory.gaps).toEqual([]);
    expect(fates(plan, { list, old, current })).toEqual({
      list: 'keep: tagged',
      old: 'keep: mentioned',
      current: 'delete: unreachable',
    });
  });

  it('is empty for a repository that the registry does not know', async () => {
    const { look } = await startScene();
    const { inventory, plan } = await look([], { repository: 'nobody/knows' });
    expect(inventory).toMatchObject({ tags: new Map(), manifests: new Map(), gaps: [] });
    expect(plan).toEqual({ repository: 'nobody/knows', keep: [], orphans: [] });
  });

  it('reads a repository that never had a tag', async () => {
    const { put, look } = await startScene();
    put(old);
    expect((await look([old])).plan.orphans).toHaveLength(1);
  });

  it('reads pages of tags', async () => {
    const { put, look, registry } = await startScene({ tagPageSize: 2 });
    const tags = ['a', 'b', 'c', 'd', 'e'];
    put(current, ...tags);
    const { inventory } = await look();
    expect([...inventory.tags.keys()].sort()).toEqual(tags);
    expect(tally(registry)).toEqual({ 'GET tags': 3, 'GET manifest': 5 });
  });
});

describe('what the registry does not have is no gap', () => {
  it('candidates, children and subjects', async () => {
    const { app, put, look } = await startScene();
    const list = index([image('there'), image('lost child')]);
    const sbom = referrer('sbom', image('lost subject'));
    put(list, 'v1');
    put(sbom);
    put(old);
    app.manifests.delete(image('lost child').digest);
    const { inventory, plan } = await look([old, sbom, image('lost candidate')]);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent).toEqual(
      new Set(digests([image('lost child'), image('lost subject'), image('lost candidate')])),
    );
    expect(inventory.sources.get(image('lost child').digest)).toBe('child');
    expect(fates(plan, { there: image('there'), sbom, old })).toEqual({
      there: 'keep: child',
      sbom: 'keep: dangling-referrer',
      old: 'delete: unreachable',
    });
  });

  it('broken tags are reported, and the rest is cleaned', async () => {
    const { app, put, look } = await startScene();
    put(current, 'v2');
    put(old);
    app.tags.set('v1', image('lost').digest);
    app.tags.set('v0', image('lost').digest);
    const { inventory, plan } = await look([old]);
    expect(inventory.brokenTags).toEqual(['v0', 'v1']);
    expect([...inventory.tags.keys()]).toEqual(['v2']);
    expect(inventory.gaps).toEqual([]);
    expect(fate(plan, old)).toBe('delete: unreachable');
  });

  it('NAME_UNKNOWN means the same', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    registry.intercept(when(/manifests\/v1$/, errorAnswer(404, 'NAME_UNKNOWN')));
    expect((await look([old])).inventory).toMatchObject({ brokenTags: ['v1'], gaps: [] });
  });
});

const rewritten = (body: string, mediaType = OCI_MANIFEST): Action => ({
  kind: 'answer',
  status: 200,
  headers: { 'Content-Type': mediaType },
  body,
});

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

describe('gaps: one of them, and nothing is deleted', () => {
  it.each(MANIFEST_FAULTS)('a tag: %s', async (_, action, words) => {
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

  it.each(MANIFEST_FAULTS)('a child: %s', async (_, action, words) => {
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
  ] as typeof FAULTS)('the list of tags: %s', async (_, action, words) => {
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

  it.each(FAULTS)('a later page of tags: %s', async (_, action, words) => {
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
    'a later page of tags that says %s: the tags after it would be lost',
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
  ] as typeof FAULTS)('the config of an orphan: %s', async (_, action, words) => {
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

  it('a config that the registry does not have is none', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    registry.intercept(when(/blobs/, errorAnswer(404, 'BLOB_UNKNOWN')));
    expect((await look([old])).plan.orphans).toHaveLength(1);
  });

  it('a child whose digest can not be verified', async () => {
    const { put, look } = await startScene();
    const child = { mediaType: OCI_MANIFEST, digest: 'sha384:00', size: 1 };
    put(opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] }), 'v1');
    put(old);
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([{ what: 'tag v1' }]);
    expect(plan.orphans).toEqual([]);
  });

  it('a candidate that is a layer is none, though 2.8 answers 500, and it is never deleted', async () => {
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

  it('a candidate that 2.8 answers with 500 is one when there is no such blob, or no answer', async () => {
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

  it('stops reading after ten', async () => {
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

  it('and goes no deeper then', async () => {
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

  it('a token server that grants nothing for this repository', async () => {
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

  it('mistakes of our own are thrown', async () => {
    const { reader, look } = await startScene();
    const broken = { ...reader, tags: () => Promise.reject(new TypeError('ours')) };
    await expect(look([], { reader: broken })).rejects.toThrow(TypeError);
  });
});

describe('the referrers API', () => {
  it('takes the referrers of an orphan along, whom nobody named', async () => {
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

  it('without it that child is nobody’s, as far as anybody can tell', async () => {
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

  it('is asked once by each look at each repository where there is none', async () => {
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
  ] as [string, Action][])('there is none: %s', async (_, action) => {
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
  ] as [string, Action][])('cannot be asked, which is a gap: %s', async (_, action) => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    registry.intercept(when(/referrers/, action));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toMatchObject([{ what: `referrers of ${old.digest}` }]);
    expect(plan.orphans).toEqual([]);
  });

  it('that seems to be none to one repository is asked by the next all the same', async () => {
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

  it('that says only later that there is none is not believed', async () => {
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

  it('whose second page is missing leaves a gap, the first time too', async () => {
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

  it('may name what is not there', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(old);
    registry.intercept(when(new RegExp(`referrers/${old.digest}`), page([referrer('lost', old)])));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent).toEqual(new Set([referrer('lost', old).digest]));
    expect(plan.orphans).toHaveLength(1);
  });
});

function tagged(seen: Past | undefined, tag: string): Past {
  return { ...unreachable(seen), tags: [tag] };
}

function unreachable<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('unreachable: it is remembered');
  }
  return value;
}

describe('a tag that HEAD tells wrong', () => {
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

  it('loses nothing where the ledger knows better', async () => {
    const { registry, put, look } = await startScene();
    put(list, 'v1');
    registry.intercept(lying);
    const { manifests, past: seen } = remembered([list]);
    const past = new Map(seen).set(list.digest, tagged(seen.get(list.digest), 'v1'));
    const { plan } = await look([], { known: { manifests, past } });
    expect(fates(plan, { list, child })).toEqual({ list: 'keep: narrowed', child: 'keep: tagged' });
  });

  it('is a gap where something else would go because of it', async () => {
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

  it('is a gap at the second look, whatever the first one believed', async () => {
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

  it('is read by its bytes before something goes because it moved', async () => {
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

  it('is gone where its manifest went before it was read', async () => {
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

describe('the second look', () => {
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

  it('sees that a tag’s manifest went', async () => {
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

  it('reads a tag whole whose manifest the first look did not keep', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    const { inventory: earlier } = await look();
    registry.requests.length = 0;
    await look([], { earlier: { ...earlier, manifests: new Map() } });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
  });

  it('asks again for what was absent', async () => {
    const { put, look } = await startScene();
    const { inventory: earlier } = await look([old]);
    expect(earlier.absent).toEqual(new Set([old.digest]));
    put(old);
    const { inventory } = await look([old], { earlier });
    expect(inventory.manifests.has(old.digest)).toBe(true);
  });
});

describe('what earlier runs saw', () => {
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

  it('what it did not see costs a GET beside the HEAD of its tag, and is in `bodies`', async () => {
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

  it('what a manifest or a tag names is taken to be there, as long as nothing is to go', async () => {
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
    const source = ({ digest }: Content) => inventory.sources.get(digest);
    expect([list, index([old]), old, subject].map(source)).toEqual([
      'tag',
      'child',
      'child',
      'subject',
    ]);
  });

  it('is asked for, one by one, as soon as something is to go', async () => {
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

  it('is absent when it is gone by then, and was no gap', async () => {
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
    expect(inventory.sources.get(image('a').digest)).toBe('child');
    expect(plan.orphans.map(({ digest }) => digest)).toEqual([old.digest]);
    // HEAD alone never says that something is absent.
    expect(tally(registry)).toMatchObject({ 'HEAD manifest': 4, 'GET manifest': 1 });
  });

  it('still holds what its remembered bytes name when it is gone itself', async () => {
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

  it('still holds what it held when its tag is listed and it is gone', async () => {
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

  it('is a gap where more is mentioned than any tool writes, and nothing is asked for', async () => {
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
  ])('that comes as %s is noted as untyped: %s', async (type, isUntyped) => {
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

  it('does not hold anything when it is gone and nothing names it', async () => {
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

  it('that nothing names is asked for: one HEAD, and a GET where the answer is no', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    const lost = image('lost');
    const { inventory, plan } = await look([], { known: remembered([current, old, lost]) });
    expect(inventory.absent).toEqual(new Set([lost.digest]));
    expect([old, lost].map(({ digest }) => inventory.sources.get(digest))).toEqual([
      'ledger',
      'ledger',
    ]);
    expect(plan.orphans.map(({ digest }) => digest)).toEqual([old.digest]);
    expect(tally(registry)).toEqual({
      'GET tags': 1,
      'HEAD manifest': 3,
      'GET manifest': 1,
      'GET referrers': 1,
    });
  });

  it('and was named by an input is asked for, whoever else knows it', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    const { inventory } = await look([old, current, image('lost')], {
      known: remembered([current, old]),
    });
    expect(inventory.sources.get(old.digest)).toBe('input');
    expect(inventory.absent).toEqual(new Set([image('lost').digest]));
    // v1 and old; what no run saw is fetched at once.
    expect(tally(registry)).toMatchObject({ 'HEAD manifest': 2, 'GET manifest': 1 });
  });

  it('needs no config: what was in use once was pushed completely', async () => {
    const { registry, put, look } = await startScene();
    const young = image('young', { created: YOUNG });
    put(young);
    const { plan, inventory } = await look([], { known: remembered([young]) });
    expect(fate(plan, young)).toBe('delete: unreachable');
    expect(inventory.facts.size).toBe(0);
    expect(tally(registry)).not.toHaveProperty('GET blob');
  });

  it('keeps what was never in use and is new', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    const known = remembered([old], { everInUse: false, firstSeen: NOW - DAY / 2 });
    expect(fate((await look([], { known })).plan, old)).toBe('keep: new');
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 1 });
  });

  it('brings the referrers that only the API knows, and proves them, too', async () => {
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

  it('that is remembered without its body is fetched', async () => {
    const { put, look } = await startScene();
    put(old);
    const { past } = remembered([old]);
    const { plan, bodies } = await look([], { known: { manifests: new Map(), past } });
    expect(fate(plan, old)).toBe('delete: unreachable');
    expect(bodies).toEqual(new Map([[old.digest, old.bytes.toString('utf8')]]));
  });

  it('can not make an orphan of what a tag holds, whatever is said of it', async () => {
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
  ])('is a gap when it can not be asked for: %s', async (_, reference, what) => {
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

  it('sees a tag that moved, and finds what it left', async () => {
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

  it('sees that a tag’s manifest went', async () => {
    const { app, put, look } = await startScene();
    put(current, 'v1');
    app.manifests.delete(current.digest);
    const { inventory } = await look([], { known: remembered([current]) });
    expect(inventory.brokenTags).toEqual(['v1']);
    expect(inventory.absent).toEqual(new Set([current.digest]));
  });
});

describe('what is protected and nothing names', () => {
  const list = index([old, image('other part')]);
  /** As if these stood in a file. */
  const inFile = (...contents: readonly Content[]) =>
    withFiles(NO_PROTECTION, new Map([['deploy/prod.yaml', digests(contents)]]));
  const protect = (...entries: readonly string[]) =>
    readProtect(entries.join('\n'), 'registry.example.com', (entry) => {
      throw new Error(entry);
    });

  it('is found, and keeps its part that an input names', async () => {
    const { put, look, progress } = await startScene();
    put(current, 'v1');
    put(list);
    put(image('x'));
    const candidates = [old, image('x')];
    const plain = await look(candidates);
    expect(fate(plain.plan, old)).toBe('delete: unreachable');

    const { inventory, plan, bodies } = await look(candidates, {
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
    expect(inventory.sources.get(list.digest)).toBe('protected');
    expect(inventory.sources.get(image('other part').digest)).toBe('child');
    expect(bodies.get(list.digest)).toBe(list.bytes.toString('utf8'));
    expect(progress.finished).toBe(progress.expected);
  });

  it('is followed to any depth, to subjects and to what refers to it', async () => {
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

  it('costs nothing where nothing is to go', async () => {
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

  it('is no part of the repository where it is absent, and nobody hears of it', async () => {
    const { put, look } = await startScene();
    put(old);
    const plain = await look([old]);
    const protection = inFile(list, image('elsewhere'));
    const { inventory, plan } = await look([old], { policy: { protection } });
    expect(inventory).toEqual(plain.inventory);
    expect(inventory.absent.size).toBe(0);
    expect(plan).toEqual(plain.plan);
  });

  it('is told to be absent where something else names it', async () => {
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
    const protection = protect(`${APP}@${here.digest}`, `team/other@${image('there').digest}`);
    await look([old], { policy: { protection } });
    const asked = registry.requests.map(({ path }) => path.split('/').at(-1));
    expect(asked).toContain(here.digest);
    expect(asked).not.toContain(image('there').digest);
  });

  it('is not looked for in a repository that is kept whole', async () => {
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
  ] as [string, Action][])('is a gap when it can not be read: %s', async (_, action) => {
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

  it('is a gap when what it holds can not be read', async () => {
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

  it('may be a layer, which 2.8 answers with 500: that blocks nothing', async () => {
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

  it('is a gap where the answer is 500 and it is no layer either, which says where it stands', async () => {
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

  it('is asked for by HEAD where the ledger has it, which may not be there any more', async () => {
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

  it('is looked for in the second look, too: it may have come since', async () => {
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

describe('keep-untagged', () => {
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

  it('reads none where all of them stay', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const { plan } = await look(three, { policy: { keepUntagged: 3 } });
    expect(plan.keep.map(({ reason }) => reason.kind)).toEqual(['recent', 'recent', 'recent']);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 3 });
  });

  it('reads those of what went out of use together', async () => {
    const { registry, put, look } = await startScene();
    three.forEach((content) => {
      put(content);
    });
    const { plan } = await look([], { known: remembered(three), policy: { keepUntagged: 2 } });
    expect(plan.orphans.map(({ digest }) => digest)).toEqual(digests([built(1)]));
    expect(tally(registry)['GET blob']).toBe(3);
  });

  it('deletes nothing where one of them can not be read', async () => {
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

  it('is the same in the second look, which reads none of them again', async () => {
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

describe('a plan that is carried out', () => {
  it('asks for nothing more where all that is left is not in it', async () => {
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

  it('leaves an entry that only the referrers API shows to be described since', async () => {
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

describe('surveys of several repositories', () => {
  it('know nothing of each other: a gap in one leaves the other', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    seed(registry.state, 'team/sick', current, 'v1');
    seed(registry.state, 'team/sick', old);
    registry.intercept(when(/sick\/manifests\/v1/, { kind: 'html' }));
    const [well, sick] = await Promise.all([look([old]), look([old], { repository: 'team/sick' })]);
    expect(well.plan.orphans).toHaveLength(1);
    expect(sick.plan.orphans).toHaveLength(0);
  });

  it('take a set of candidates as well as a list', async () => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, old);
    expect(repositoryOf(registry.state, APP).manifests.size).toBe(1);
    const { plan } = await surveyRepository(
      APP,
      new Set([old.digest, digestOf(Buffer.from('x'))]),
      {
        reader,
        policy: policy({ gracePeriod: 0, now: 0 }),
        concurrency: 1,
        progress: { expect: () => undefined, done: () => undefined },
        clock: fakeClock({ auto: true }, NOW),
      },
    );
    expect(plan.orphans).toHaveLength(1);
  });
});
