import { afterEach, describe, expect, it } from '@jest/globals';

import type { SavedCopy } from '../../src/run/saved-copy.js';
import {
  restoreRepository,
  type Restored,
  type RestoreOptions,
} from '../../src/run/restore-repository.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
import type { Reader } from '../../src/registry/registry.js';
import {
  buildCache,
  cosign,
  digestTag,
  image,
  index,
  manifest,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { restored } from '../support/builders/restored.js';
import type { Action } from '../support/servers/memory/script.js';
import { setTag } from '../support/servers/memory/state.js';
import { errorAnswer, stopClients, tally, when } from '../support/clients/client.js';
import { APP, digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const child = image('child');
const sibling = image('sibling');
const inner = index([child]);
const outer = index([inner, sibling]);
const whole = [child, sibling, inner, outer];

const NOTHING = restored(APP);

function saved({ digest, mediaType, bytes }: Content, ...tags: readonly string[]): SavedCopy {
  return { digest, mediaType, bytes, tags };
}

function restore(
  scene: Scene,
  lost: readonly SavedCopy[],
  more: Partial<RestoreOptions> = {},
): Promise<Restored> {
  const { reader, pusher } = scene;
  return restoreRepository(APP, lost, { reader, pusher, concurrency: 4, ...more });
}

/** A repository from which these manifests were deleted; the blobs are still there. */
async function robbed(...contents: readonly Content[]): Promise<Scene> {
  const scene = await startScene();
  contents.forEach((content) => {
    scene.put(content);
  });
  scene.app.manifests.clear();
  return scene;
}

/** The references of the manifests that were pushed, in order. */
function pushes({ registry }: Scene): (string | undefined)[] {
  return registry.requests
    .filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/'))
    .map(({ path }) => path.split('/').at(-1));
}

describe('a deleted manifest', () => {
  it('is restored with the same bytes, type and tags', async () => {
    const docker = image('docker', { family: 'docker' });
    const untyped = index([child], { typed: false });
    const scene = await robbed(outer, docker, untyped);
    const lost = [
      saved(outer, 'v1', 'latest'),
      saved(docker),
      saved(untyped, 'untyped'),
      ...[child, sibling, inner].map((content) => saved(content)),
    ];
    const all = [...whole, docker, untyped];
    expect(await restore(scene, lost)).toEqual({
      ...NOTHING,
      restored: digests(all).sort(),
      tags: ['latest', 'untyped', 'v1'],
    });
    for (const { digest, mediaType, bytes } of all) {
      expect(scene.app.manifests.get(digest)).toEqual({ mediaType, bytes });
    }
    expect([...scene.app.tags].sort()).toEqual([
      ['latest', outer.digest],
      ['untyped', untyped.digest],
      ['v1', outer.digest],
    ]);
  });

  it('is pushed in its order: children before parents, and tags when all is there', async () => {
    const scene = await robbed(outer);
    const other = image('other');
    scene.put(other);
    scene.app.manifests.delete(other.digest);
    await restore(
      scene,
      [saved(outer, 'v1'), saved(inner), saved(sibling), saved(other, 'v2'), saved(child)],
      { concurrency: 16 },
    );
    const order = pushes(scene);
    expect(order).toHaveLength(7);
    expect(order.indexOf(child.digest)).toBeLessThan(order.indexOf(inner.digest));
    for (const digest of digests([inner, sibling])) {
      expect(order.indexOf(digest)).toBeLessThan(order.indexOf(outer.digest));
    }
    expect(new Set(order.slice(-2))).toEqual(new Set(['v1', 'v2']));
  });

  it('waits for the answer about the child before the parent is pushed', async () => {
    const scene = await robbed(inner);
    let answered = false;
    let early = false;
    scene.registry.intercept(
      when(/^PUT .*manifests\//, ({ path }) => {
        if (path.endsWith(inner.digest)) {
          early = !answered;
          return undefined;
        }
        return {
          kind: 'pass',
          delay: 20,
          after: () => {
            answered = true;
          },
        };
      }),
    );
    await restore(scene, [saved(inner), saved(child)], { concurrency: 16 });
    expect(early).toBe(false);
    expect(scene.app.manifests.size).toBe(2);
  });

  it('is not pushed by a second restore, which moves no tag', async () => {
    const scene = await robbed(outer);
    const lost = [saved(outer, 'v1'), ...[child, sibling, inner].map((content) => saved(content))];
    await restore(scene, lost);
    scene.registry.requests.length = 0;
    expect(await restore(scene, lost)).toEqual({
      ...NOTHING,
      standing: digests(whole).sort(),
    });
    expect(new Set(scene.registry.requests.map(({ method }) => method))).toEqual(
      new Set(['HEAD', 'GET']),
    );
  });

  it('is not pushed again when it was there all the time, where HEAD names no digest either', async () => {
    const scene = await startScene({ digestHeader: false });
    scene.put(inner);
    expect(await restore(scene, [saved(inner), saved(child)])).toEqual({
      ...NOTHING,
      standing: digests([inner, child]).sort(),
    });
    expect(pushes(scene)).toEqual([]);
  });

  it('is restored beside its subject, in any order', async () => {
    const sbom = referrer('sbom', child);
    const scene = await robbed(child, sbom);
    const { restored } = await restore(scene, [saved(sbom), saved(child)]);
    expect(restored).toEqual(digests([child, sbom]).sort());
  });

  it('is not invented if nothing was deleted', async () => {
    const scene = await startScene();
    expect(await restore(scene, [])).toEqual(NOTHING);
    expect(scene.registry.requests).toEqual([]);
  });
});

describe('a tag', () => {
  it('is left where it is if it names something else now', async () => {
    const scene = await robbed(child);
    scene.put(sibling, 'v1');
    expect(await restore(scene, [saved(child, 'v1', 'v2')])).toEqual({
      ...NOTHING,
      restored: [child.digest],
      tags: ['v2'],
      failedTags: [{ tag: 'v1', why: `it names ${sibling.digest} now, and was left there` }],
    });
    expect(scene.app.tags.get('v1')).toBe(sibling.digest);
    expect(pushes(scene)).toEqual([child.digest, 'v2']);
  });

  it('is set again if it pointed at the manifest once, and points at nothing now', async () => {
    const scene = await robbed(child, inner, sibling);
    scene.put(sibling, 'v2');
    const lost = [saved(child), { ...saved(inner), formerTags: ['v1', 'v2'] }];
    const { restored, tags, failedTags } = await restore(scene, lost);
    expect([restored, tags, failedTags]).toEqual([digests([child, inner]).sort(), ['v1'], []]);
    expect(scene.app.tags).toEqual(
      new Map([
        ['v1', inner.digest],
        ['v2', sibling.digest],
      ]),
    );
  });

  it('is not set again if its former manifest was there all the time', async () => {
    const scene = await robbed(child);
    scene.put(child);
    const { tags } = await restore(scene, [{ ...saved(child), formerTags: ['v1'] }]);
    expect(tags).toEqual([]);
    expect(scene.app.tags.size).toBe(0);
  });

  it('names its manifest again if the registry left the tag behind', async () => {
    const scene = await robbed(child);
    setTag(scene.app, 'v1', child.digest);
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({
      tags: ['v1'],
      failedTags: [],
    });
    expect(pushes(scene)).toEqual([child.digest]);
  });

  it('is restored on a manifest that was there all the time', async () => {
    const scene = await startScene();
    scene.put(cosign('sig', child));
    const tag = digestTag(child.digest, 'sig');
    expect(await restore(scene, [saved(cosign('sig', child), tag)])).toMatchObject({
      standing: [cosign('sig', child).digest],
      tags: [tag],
    });
    expect(scene.app.tags.get(tag)).toBe(cosign('sig', child).digest);
  });

  it.each<[string, RegExp, Action, string]>([
    ['can not be read', /^GET .*manifests\/v1$/, errorAnswer(403, 'DENIED'), '403'],
    ['is refused', /^PUT .*manifests\/v1$/, errorAnswer(403, 'DENIED'), 'push team/app:v1'],
    [
      'is taken, and does not stand',
      /^PUT .*manifests\/v1$/,
      { kind: 'answer', status: 201 },
      'the registry took the push, and does not say that the tag names',
    ],
  ])('%s, so it is reported with the reason', async (_, pattern, action, words) => {
    const scene = await robbed(child);
    scene.registry.intercept(when(pattern, action));
    expect(await restore(scene, [saved(child, 'v1')])).toEqual({
      ...NOTHING,
      restored: [child.digest],
      failedTags: [{ tag: 'v1', why: expect.stringContaining(words) }],
    });
  });

  it('is not called restored if somebody moves it in the same instant', async () => {
    const scene = await robbed(child);
    scene.registry.intercept(
      when(/^PUT .*manifests\/v1$/, {
        kind: 'pass',
        after: () => {
          scene.put(sibling, 'v1');
        },
      }),
    );
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({
      tags: [],
      failedTags: [{ tag: 'v1', why: expect.stringMatching(/^somebody set it to sha256:/) }],
    });
  });
});

describe('a manifest that can not be restored', () => {
  it('is not reported if only its bytes are missing, and it is there', async () => {
    const scene = await startScene();
    scene.put(child, 'v1');
    const lacking = { ...saved(child, 'v1', 'v2'), bytes: undefined };
    expect(await restore(scene, [lacking])).toEqual({
      ...NOTHING,
      standing: [child.digest],
      failedTags: [{ tag: 'v2', why: `${child.digest} could not be restored` }],
    });
    expect(pushes(scene)).toEqual([]);
  });

  it('is named with the blobs that were collected, and so are the indexes over it', async () => {
    const scene = await robbed(outer);
    const gone = [...child.blobs.keys()];
    gone.forEach((digest) => scene.app.blobs.delete(digest));
    const result = await restore(scene, [
      saved(outer, 'v1'),
      saved(inner),
      saved(child, 'v2'),
      saved(sibling),
    ]);
    expect(result).toEqual({
      ...NOTHING,
      restored: [sibling.digest],
      failed: [
        {
          digest: child.digest,
          why: `the registry no longer has what it consists of (${gone.join(', ')}): build or push it again`,
        },
        { digest: inner.digest, why: `${child.digest}, which it lists, could not be restored` },
        { digest: outer.digest, why: `${inner.digest}, which it lists, could not be restored` },
      ].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
      failedTags: [
        { tag: 'v1', why: `${outer.digest} could not be restored` },
        { tag: 'v2', why: `${child.digest} could not be restored` },
      ],
    });
    expect(pushes(scene)).toEqual([sibling.digest]);
  });

  it('is named with the layers that are gone, and not with those that are there', async () => {
    const app = image('app', { base: ['alpine', 'alpine'] });
    const scene = await robbed(app);
    const [, alpine] = [...app.blobs.keys()];
    scene.app.blobs.delete(alpine ?? '');
    const { failed } = await restore(scene, [saved(app)]);
    expect(failed).toEqual([
      {
        digest: app.digest,
        why: expect.stringMatching(/of \(sha256:\w+\): build or push it again$/),
      },
    ]);
    expect(failed[0]?.why).toContain(alpine);
    // Each blob once, though the manifest names one twice.
    expect(tally(scene.registry)['HEAD blob']).toBe(3);
  });

  it('may be a build cache whose layers were collected, though it is an index', async () => {
    const cache = buildCache('main', 'index', ['alpine']);
    const scene = await robbed(cache);
    expect(await restore(scene, [saved(cache)])).toMatchObject({ restored: [cache.digest] });
    scene.app.manifests.clear();
    const [layer] = [...cache.blobs.keys()];
    scene.app.blobs.delete(layer ?? '');
    expect(await restore(scene, [saved(cache)])).toEqual({
      ...NOTHING,
      failed: [{ digest: cache.digest, why: expect.stringContaining(layer ?? '') }],
    });
  });

  it('may be listed by an index with another type, and is not a blob then', async () => {
    const odd = opaque('application/vnd.example+json', { some: 'thing' });
    const holder = opaque(OCI_INDEX, {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [odd.descriptor],
    });
    const scene = await startScene();
    scene.put(odd);
    expect(await restore(scene, [saved(holder)])).toMatchObject({ restored: [holder.digest] });
  });

  it('makes an index wait until its restore is decided', async () => {
    const holder = opaque(OCI_INDEX, {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ ...child.descriptor, mediaType: 'application/vnd.example+json' }],
    });
    const scene = await robbed(child);
    await restore(scene, [saved(holder), saved(child)]);
    expect(pushes(scene)).toEqual(digests([child, holder]));
    scene.app.manifests.clear();
    scene.app.blobs.clear();
    expect((await restore(scene, [saved(holder), saved(child)])).failed).toContainEqual({
      digest: holder.digest,
      why: `${child.digest}, which it lists, could not be restored`,
    });
  });

  it('needs no layers that are elsewhere, as their urls say', async () => {
    const foreign = image('windows');
    const body = JSON.parse(foreign.bytes.toString()) as { layers: object[] };
    const layers = body.layers.map((layer) => ({ ...layer, urls: ['https://example.org/layer'] }));
    const windows = opaque(foreign.mediaType, { ...body, layers });
    const scene = await robbed(foreign);
    const [config, layer] = [...foreign.blobs.keys()];
    scene.app.blobs.delete(layer ?? '');
    expect(await restore(scene, [saved(windows)])).toMatchObject({ restored: [windows.digest] });
    expect(scene.registry.requests.map(({ path }) => path)).toContain(
      `/v2/${APP}/blobs/${config ?? ''}`,
    );
  });

  it('may name blobs with digests that can not be computed, which are left to the registry', async () => {
    const strange = manifest({
      config: { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') },
      layers: [],
    });
    const body = JSON.parse(strange.bytes.toString()) as object;
    const layer = { mediaType: 'application/x', digest: 'blake3:00', size: 1, urls: [] };
    const odd = opaque(strange.mediaType, { ...body, layers: [layer] });
    const cache = opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [layer] });
    const scene = await robbed(strange);
    const { failed } = await restore(scene, [saved(odd), saved(cache)]);
    const why = expect.stringContaining('MANIFEST_BLOB');
    expect(failed).toEqual(
      digests([odd, cache])
        .sort()
        .map((digest) => ({ digest, why })),
    );
    // The config alone, before the push and after its refusal.
    expect(tally(scene.registry)).toMatchObject({ 'HEAD blob': 2, 'PUT manifest': 2 });
  });

  it('is left to the registry if its type is unknown', async () => {
    const scene = await startScene();
    const odd = opaque('application/vnd.example+json', { some: 'thing' });
    const { failed } = await restore(scene, [saved(odd)]);
    expect(failed).toEqual([{ digest: odd.digest, why: expect.stringContaining('MANIFEST_INV') }]);
  });

  it('may be an index whose child is neither there nor in the backup, even if the registry would take it', async () => {
    const scene = await robbed(inner);
    expect(await restore(scene, [saved(inner, 'v1')])).toEqual({
      ...NOTHING,
      failed: [
        {
          digest: inner.digest,
          why: expect.stringMatching(/which it lists, is neither there nor in the backup/),
        },
      ],
      failedTags: [{ tag: 'v1', why: `${inner.digest} could not be restored` }],
    });
    // One that takes sparse indexes, as the spec allows.
    scene.registry.intercept(
      when(/^PUT .*manifests\//, () => {
        scene.app.manifests.set(inner.digest, { mediaType: inner.mediaType, bytes: inner.bytes });
        setTag(scene.app, 'v1', inner.digest);
        return { kind: 'answer', status: 201 };
      }),
    );
    expect(await restore(scene, [saved(inner, 'v1')])).toMatchObject({ restored: [], tags: [] });
    expect(pushes(scene)).toEqual([]);
    // Where the child was missing before the sweep, the image is as it was.
    const absent = new Set([child.digest]);
    expect(await restore(scene, [saved(inner, 'v1')], { absent })).toEqual({
      ...NOTHING,
      restored: [inner.digest],
      tags: ['v1'],
    });
  });

  it('may be an index that lacks several children, of which a few are named', async () => {
    const gone = Array.from({ length: 7 }, (_, n) => image(`gone ${String(n)}`));
    const [few, many] = [index(gone.slice(0, 2)), index([...gone, child])];
    const scene = await robbed(few, many, child);
    scene.put(child);
    const { failed } = await restore(scene, [saved(few), saved(many)]);
    const names = digests(gone).sort().slice(0, 5).join(', ');
    expect(failed).toContainEqual({
      digest: few.digest,
      why:
        `${digests(gone.slice(0, 2)).sort().join(', ')}, which it lists, are neither there nor in the backup: they were ` +
        'gone before, or somebody else has deleted them. Push those images again',
    });
    expect(failed).toContainEqual({
      digest: many.digest,
      why: expect.stringContaining(`${names} and 2 more, which it lists, are neither there nor in`),
    });
  });

  it('is named with the part that went between the question and the push', async () => {
    const scene = await robbed(child);
    const [config, layer] = [...child.blobs.keys()];
    scene.registry.intercept(
      when(/^PUT .*manifests\//, () => {
        scene.app.blobs.delete(layer ?? '');
        return undefined;
      }),
    );
    const { failed } = await restore(scene, [saved(child)]);
    expect(failed).toEqual([
      { digest: child.digest, why: expect.stringContaining(`it consists of (${layer ?? ''})`) },
    ]);
    expect(failed[0]?.why).not.toContain(config);
  });

  it('is named with the part that the registry denies only in the push', async () => {
    const scene = await robbed(child);
    const [config] = [...child.blobs.keys()];
    scene.registry.intercept(
      when(/^PUT .*manifests\//, {
        kind: 'answer',
        status: 400,
        headers: { 'Content-Type': 'application/json' },
        body: Buffer.from(
          JSON.stringify({
            errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'unknown', detail: config }],
          }),
        ),
      }),
    );
    const { failed } = await restore(scene, [saved(child)]);
    expect(failed[0]?.why).toContain(config);
    expect(failed[0]?.why).toContain('If garbage was collected while it ran, restart it');
  });

  it('is no index whose child is there, though the backup lacks it', async () => {
    const scene = await robbed(inner);
    scene.put(child);
    expect(await restore(scene, [saved(inner, 'v1')])).toMatchObject({
      restored: [inner.digest],
      tags: ['v1'],
    });
  });

  it('may be an index whose nested index lacks a child of its own', async () => {
    const scene = await robbed(outer);
    scene.put(sibling);
    const { failed } = await restore(scene, [saved(outer, 'v1'), saved(inner)]);
    expect(failed).toEqual(
      [
        { digest: inner.digest, why: expect.stringContaining(child.digest) },
        { digest: outer.digest, why: expect.stringContaining(inner.digest) },
      ].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
    expect(pushes(scene)).toEqual([]);
  });

  it('is reported without a pusher as well', async () => {
    const scene = await robbed(inner);
    const { reader } = scene;
    const options = { reader, concurrency: 1 };
    expect(await restoreRepository(APP, [saved(inner)], options)).toMatchObject({
      restored: [],
      failed: [{ digest: inner.digest }],
    });
  });

  it.each<[string, RegExp, Action, string]>([
    ['can not be looked for', /manifests\//, errorAnswer(500, 'UNKNOWN'), '500'],
    ['has blobs that can not be', /blobs\//, errorAnswer(403, 'DENIED'), 'look for the blob'],
    ['is refused', /^PUT/, errorAnswer(403, 'DENIED'), 'push team/app@'],
    ['meets a registry that takes no pushes', /^PUT/, { kind: 'answer', status: 405 }, 'no pushes'],
    ['gets no answer', /^PUT/, { kind: 'reset' }, 'broke off'],
    [
      'is taken, and not kept',
      /^PUT/,
      { kind: 'answer', status: 201 },
      'the registry took the push, and then says that it has no such manifest',
    ],
  ])('is named with its tags if it %s', async (_, pattern, action, words) => {
    const scene = await robbed(inner);
    scene.registry.intercept((request) =>
      pattern.test(`${request.method} ${request.path}`) ? action : undefined,
    );
    const result = await restore(scene, [saved(inner, 'v1'), saved(child, 'v0')]);
    expect(result).toMatchObject({ restored: [], standing: [], tags: [] });
    expect(result.failed.find(({ digest }) => digest === child.digest)?.why).toContain(words);
    expect(result.failedTags).toEqual([
      { tag: 'v0', why: `${child.digest} could not be restored` },
      { tag: 'v1', why: `${inner.digest} could not be restored` },
    ]);
    expect(scene.app.manifests.size).toBe(0);
  });

  it('is not called restored if its bytes have changed', async () => {
    const scene = await robbed(child);
    let pushed = false;
    scene.registry.intercept(({ method }) => {
      pushed ||= method === 'PUT';
      return pushed && method === 'GET'
        ? {
            kind: 'answer',
            status: 200,
            headers: { 'Content-Type': child.mediaType },
            body: sibling.bytes,
          }
        : undefined;
    });
    expect(await restore(scene, [saved(child)])).toEqual({
      ...NOTHING,
      failed: [{ digest: child.digest, why: expect.stringContaining('not the one') }],
    });
  });

  it.each<[string, Buffer | undefined, string]>([
    ['missing or damaged', undefined, 'its saved bytes are missing, or have another digest'],
    ['no manifest', Buffer.from('garbage'), "its saved bytes aren't a manifest: "],
  ])('is named with its tags, and never pushed: %s', async (_, bytes, words) => {
    const scene = await robbed(inner);
    const result = await restore(scene, [{ ...saved(child, 'v0'), bytes }, saved(inner, 'v1')]);
    expect(result).toEqual({
      ...NOTHING,
      failed: [
        { digest: child.digest, why: expect.stringContaining(words) },
        { digest: inner.digest, why: `${child.digest}, which it lists, could not be restored` },
      ].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
      failedTags: [
        { tag: 'v0', why: `${child.digest} could not be restored` },
        { tag: 'v1', why: `${inner.digest} could not be restored` },
      ],
    });
    expect(pushes(scene)).toEqual([]);
  });

  it('lets faults of this program be thrown', async () => {
    const scene = await robbed(child);
    const resolve = () => Promise.reject(new TypeError('ours'));
    await expect(
      restore(scene, [saved(child)], { reader: { ...scene.reader, resolve } }),
    ).rejects.toThrow(TypeError);
    const bytes = Object.defineProperty(Buffer.from(child.bytes), 'byteLength', {
      get: () => {
        throw new TypeError('ours');
      },
    });
    await expect(restore(scene, [{ ...saved(child), bytes }])).rejects.toThrow(TypeError);
  });
});

describe('a part that several manifests need', () => {
  it('is asked for once', async () => {
    const base = ['debian', 'node'];
    const lost = ['a', 'b', 'c'].map((name) => image(name, { base }));
    const lists = ['1', '2'].map((n) => index([sibling, ...lost], { annotations: { n } }));
    const scene = await robbed(...lost, ...lists);
    scene.put(sibling);
    scene.registry.requests.length = 0;
    const result = await restore(
      scene,
      [...lost, ...lists].map((content) => saved(content)),
    );
    expect(result.failed).toEqual([]);
    const heads = scene.registry.requests.filter(({ method }) => method === 'HEAD');
    const paths = heads.map(({ path }) => path);
    expect(paths).toEqual([...new Set(paths)]);
    const blobs = new Set(lost.flatMap((content) => [...content.blobs.keys()]));
    expect(tally(scene.registry)['HEAD blob']).toBe(blobs.size);
  });
});

describe('a tag of a manifest that stood all the time', () => {
  it.each<[string, readonly Content[], (scene: Scene) => void, RegExp]>([
    [
      'whose blob is gone',
      [child],
      (scene) => {
        scene.app.blobs.clear();
      },
      /^the registry no longer has what it consists of/,
    ],
    [
      'whose child is gone',
      [inner, child],
      (scene) => {
        scene.app.manifests.delete(child.digest);
      },
      /, which it lists, is neither there nor in the backup/,
    ],
  ])('is not set without the parts: %s', async (_, contents, lose, why) => {
    const scene = await startScene();
    contents.forEach((content) => {
      scene.put(content);
    });
    lose(scene);
    const [content = child] = contents;
    const expected = {
      ...NOTHING,
      standing: [content.digest],
      failedTags: [{ tag: 'v1', why: expect.stringMatching(why) }],
    };
    const lost = [saved(content, 'v1')];
    const { reader } = scene;
    expect(await restoreRepository(APP, lost, { reader, concurrency: 4 })).toEqual(expected);
    expect(pushes(scene)).toEqual([]);
    expect(await restore(scene, lost)).toEqual(expected);
    expect(pushes(scene)).toEqual(['v1']);
    expect(scene.app.tags.size).toBe(0);
  });

  it('is set where a registry takes it without them', async () => {
    const scene = await startScene();
    scene.put(child);
    scene.app.blobs.clear();
    scene.registry.intercept(
      when(/^PUT .*manifests\/v1$/, () => {
        setTag(scene.app, 'v1', child.digest);
        return { kind: 'answer', status: 201 };
      }),
    );
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({
      standing: [child.digest],
      tags: ['v1'],
    });
  });
});

describe('a restore without a pusher', () => {
  /** `exactOptionalPropertyTypes` wants the field left out. */
  function look(scene: Scene, lost: readonly SavedCopy[], reader: Reader = scene.reader) {
    return restoreRepository(APP, lost, { reader, concurrency: 4 });
  }

  it('sends GET and HEAD only, and reports what would be restored', async () => {
    const scene = await robbed(outer);
    scene.put(image('moved on'), 'v2');
    scene.put(sibling);
    scene.registry.requests.length = 0;
    const lost = [saved(outer, 'v1', 'v2'), saved(inner), saved(child), saved(sibling)];
    expect(await look(scene, lost)).toEqual({
      ...NOTHING,
      restored: digests([outer, inner, child]).sort(),
      standing: [sibling.digest],
      tags: ['v1'],
      failedTags: [{ tag: 'v2', why: expect.stringContaining('left there') }],
    });
    expect(new Set(scene.registry.requests.map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
    expect([...scene.app.manifests.keys()]).not.toContain(child.digest);
  });

  it('counts on manifests that would be restored under another type, too', async () => {
    const holder = opaque(OCI_INDEX, {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ ...child.descriptor, mediaType: 'application/vnd.example+json' }],
    });
    const scene = await robbed(child);
    expect(await look(scene, [saved(holder), saved(child)])).toEqual({
      ...NOTHING,
      restored: digests([child, holder]).sort(),
    });
  });

  it('reports what would not be restored', async () => {
    const scene = await robbed(inner);
    scene.app.blobs.clear();
    expect(await look(scene, [saved(inner), saved(child)])).toMatchObject({
      restored: [],
      failed: expect.arrayContaining([
        { digest: child.digest, why: expect.stringContaining('no longer has what it consists of') },
        { digest: inner.digest, why: expect.stringContaining(child.digest) },
      ]),
    });
  });
});

describe('a tag that a push sets at the same time', () => {
  const other = image('pushed meanwhile');

  /** Sets the tag when it has been asked for so many times. */
  async function meanwhile(looks: number, to: Content = other) {
    const scene = await robbed(child);
    scene.put(other);
    let asked = 0;
    scene.registry.intercept(
      when(/^GET .*manifests\/v1$/, {
        kind: 'pass',
        after: () => {
          asked += 1;
          if (asked === looks) {
            scene.put(to);
            setTag(scene.app, 'v1', to.digest);
          }
        },
      }),
    );
    return { scene, outcome: await restore(scene, [saved(child, 'v1')]) };
  }

  it('stays where it is if the push comes after the first read, and is reported', async () => {
    const { scene, outcome } = await meanwhile(1);
    expect(outcome).toEqual({
      ...NOTHING,
      restored: [child.digest],
      failedTags: [{ tag: 'v1', why: `it names ${other.digest} now, and was left there` }],
    });
    expect(scene.app.tags.get('v1')).toBe(other.digest);
    expect(pushes(scene)).toEqual([child.digest]);
  });

  it('counts as set if the push sets it to the same manifest', async () => {
    const { scene, outcome } = await meanwhile(1, child);
    expect(outcome).toEqual({ ...NOTHING, restored: [child.digest], tags: ['v1'] });
    expect(pushes(scene)).toEqual([child.digest]);
  });

  it('is read again before each push, and none is sent twice', async () => {
    const scene = await robbed(child);
    scene.put(other);
    let pushed = 0;
    scene.registry.intercept(
      when(/^PUT .*manifests\/v1$/, () => {
        pushed += 1;
        setTag(scene.app, 'v1', other.digest);
        return { kind: 'answer', status: 503 };
      }),
    );
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({
      failedTags: [{ tag: 'v1', why: expect.stringContaining(other.digest) }],
    });
    expect([pushed, scene.app.tags.get('v1')]).toEqual([1, other.digest]);
  });

  it.each<[string, Action, number]>([
    ['an answer that may pass', { kind: 'answer', status: 503 }, 3],
    ['a refusal', errorAnswer(403, 'DENIED'), 1],
  ])('is not tried for ever: %s', async (_, action, times) => {
    const scene = await robbed(child);
    scene.registry.intercept(when(/^PUT .*manifests\/v1$/, action));
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({
      restored: [child.digest],
      failedTags: [{ tag: 'v1' }],
    });
    expect(pushes(scene).filter((reference) => reference === 'v1')).toHaveLength(times);
  });

  it('is restored after a push that failed once', async () => {
    const scene = await robbed(child);
    let pushed = 0;
    scene.registry.intercept(
      when(/^PUT .*manifests\/v1$/, () => {
        pushed += 1;
        return pushed === 1 ? errorAnswer(400, 'DIGEST_INVALID') : undefined;
      }),
    );
    expect(await restore(scene, [saved(child, 'v1')])).toMatchObject({ tags: ['v1'] });
  });

  it('lets faults of this program be thrown', async () => {
    const scene = await robbed(child);
    const pusher = {
      pushManifest: (repository: string, reference: string, manifest: never) =>
        reference === 'v1'
          ? Promise.reject(new TypeError('ours'))
          : scene.pusher.pushManifest(repository, reference, manifest),
    };
    await expect(restore(scene, [saved(child, 'v1')], { pusher })).rejects.toThrow(TypeError);
  });
});
