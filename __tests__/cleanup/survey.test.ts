import { afterEach, describe, expect, it } from '@jest/globals';

import { surveyRepository } from '../../src/cleanup/survey.js';
import { digestOf, type Digest } from '../../src/oci/digest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
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
} from '../registries/build.js';
import type { Action } from '../registries/memory/script.js';
import { repositoryOf, setTag } from '../registries/memory/state.js';
import { seed } from '../registries/push.js';
import { errorAnswer, startClient, stopClients, tally, when } from '../registry/client.js';
import { fate, fates, YOUNG } from './inventories.js';
import { APP, digests, startScene } from './looking.js';

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
      // Distribution has no such API, and is asked once
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

  it('sends GET only', async () => {
    const { registry, put, look } = await startScene({ referrersApi: true });
    put(current, 'v1');
    put(old);
    await look([old]);
    expect(new Set(registry.requests.map(({ method }) => method))).toEqual(new Set(['GET']));
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
    // With an error code, 404 says that there is no such blob; a page is other bytes.
    ...FAULTS.filter(([what]) => !/^404 (?:with another code|of Accept)$|^HTML$/.test(what)),
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

  it('a candidate that is a layer: 2.8 answers 500, and it is never deleted', async () => {
    const { app, put, look } = await startScene();
    put(old);
    const layer = [...old.blobs.keys()].at(-1) ?? '';
    const { inventory, plan } = await look([{ ...old, digest: layer as Digest }]);
    expect(app.blobs.has(layer)).toBe(true);
    expect(inventory.gaps).toEqual([
      { what: `manifest ${layer}`, why: expect.stringContaining('layer or config') },
    ]);
    expect(plan.orphans).toEqual([]);
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

  it('is asked once in a whole run where there is none', async () => {
    const { registry, put, look } = await startScene();
    put(old);
    put(current, 'v1');
    const other = 'team/other';
    seed(registry.state, other, old);
    await Promise.all([look([old]), look([old], { repository: other })]);
    expect(tally(registry)['GET referrers']).toBe(1);
    await look([old]);
    expect(tally(registry)['GET referrers']).toBe(1);
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

describe('the second look', () => {
  it('resolves tags with HEAD and reads nothing again', async () => {
    const { registry, put, look } = await startScene();
    put(index([current]), 'v1', 'latest');
    put(old);
    const { inventory: earlier, plan } = await look([old]);
    registry.requests.length = 0;
    const second = await look([old], { earlier });
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 2 });
    expect(second.plan).toEqual(plan);
    expect(second.inventory).toEqual(earlier);
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
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 2, 'GET manifest': 3 });
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
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 2, 'GET manifest': 1 });
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
        policy: { gracePeriod: 0, danglingReferrers: 'keep', now: 0 },
        concurrency: 1,
        progress: { expect: () => undefined, done: () => undefined },
      },
    );
    expect(plan.orphans).toHaveLength(1);
  });
});
