/** Where a survey finds manifests, and that an absent one blocks nothing. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { surveyRepository } from '../../../src/run/survey.js';
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';
import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../../support/builders/build.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { repositoryOf, setTag } from '../../support/servers/memory/state.js';
import { seed } from '../../support/clients/push.js';
import {
  errorAnswer,
  startClient,
  stopClients,
  tally,
  when,
} from '../../support/clients/client.js';
import { fate, fates, NOW, policy, YOUNG } from '../../support/builders/inventories.js';
import { APP, digests, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');

describe('a survey', () => {
  it('finds manifests by tags, children, subjects, digest tags, referrers and candidates', async () => {
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
    const { inventory } = await look([old]);
    const all = [...tags.map(([content]) => content), child, subject, named, hidden, old];
    expect(new Set(inventory.manifests.keys())).toEqual(new Set(digests(all)));
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

  it('finds a manifest through its digest tag alone', async () => {
    const { put, look } = await startScene();
    put(old);
    put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const { plan } = await look();
    expect(fates(plan, { old, sig: cosign('sig', old) })).toEqual({
      old: 'delete: unreachable',
      sig: 'delete: digest-tag',
    });
  });

  it('finds a manifest through a digest tag that is broken', async () => {
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

  it('keeps an unknown manifest and the digests in it, without asking for them', async () => {
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

describe('an absent manifest', () => {
  it('is no gap as a candidate, a child or a subject', async () => {
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
    expect(fates(plan, { there: image('there'), sbom, old })).toEqual({
      there: 'keep: child',
      sbom: 'keep: dangling-referrer',
      old: 'delete: unreachable',
    });
  });

  it('is no gap under a tag: broken tags are reported, and the rest is cleaned', async () => {
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

  it('is no gap where the registry answers NAME_UNKNOWN', async () => {
    const { registry, put, look } = await startScene();
    put(current, 'v1');
    put(old);
    registry.intercept(when(/manifests\/v1$/, errorAnswer(404, 'NAME_UNKNOWN')));
    expect((await look([old])).inventory).toMatchObject({ brokenTags: ['v1'], gaps: [] });
  });
});

describe('the surveys of several repositories', () => {
  it('are independent: a gap in one leaves the other', async () => {
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
