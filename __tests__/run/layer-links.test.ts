/** Manifests that are layers as well, or are only mentioned: as Distribution 2.8 answers, and registries unlike it. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { makePlan } from '../../src/plan/plan.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
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
import { linkBlob } from '../support/servers/memory/state.js';
import { errorAnswer, stopClients, when } from '../support/clients/client.js';
import { fates, inventoryOf, policy } from '../support/builders/inventories.js';
import { APP, remembered, startScene } from '../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const [old, other] = [image('old'), image('other')];

async function scene() {
  const started = await startScene();
  return {
    ...started,
    link: ({ digest, bytes }: Content) => {
      linkBlob(started.registry.state, APP, digest, bytes);
    },
    blobsAsked: () =>
      started.registry.requests.flatMap(({ method, path }) =>
        method === 'HEAD' && path.includes('/blobs/') ? [path.split('/').at(-1)] : [],
      ),
  };
}

describe('an orphan that only an input or the ledger names', () => {
  it('is kept where the repository has it as a layer, with what it reaches', async () => {
    const { put, look, link } = await scene();
    const list = index([old]);
    put(current, 'v1');
    put(list);
    put(other);
    link(list);
    const { plan } = await look([list, other]);
    expect(fates(plan, { list, old, other })).toEqual({
      list: 'keep: layer',
      old: 'keep: child',
      other: 'delete: unreachable',
    });
  });

  it('is kept where nobody ever pushed it as a manifest', async () => {
    const { app, put, look, link } = await scene();
    put(current, 'v1');
    put(old);
    app.manifests.delete(old.digest);
    link(old);
    const { plan } = await look([old]);
    expect(fates(plan, { old })).toEqual({ old: 'keep: layer' });
  });

  it('is deleted without that question where a run saw it in use', async () => {
    const { put, look, link, blobsAsked } = await scene();
    put(current, 'v1');
    [old, other].forEach((content) => {
      put(content);
      link(content);
    });
    const known = remembered([old]);
    const never = remembered([other], { everInUse: false, status: 'unused' });
    // That one is no layer tells that the registry keeps manifests and layers apart.
    put(image('third'));
    const { plan } = await look([image('third')], {
      known: {
        manifests: new Map([...known.manifests, ...never.manifests]),
        past: new Map([...known.past, ...never.past]),
      },
    });
    expect(fates(plan, { old, other })).toEqual({
      old: 'delete: unreachable',
      other: 'keep: layer',
    });
    expect(blobsAsked()).not.toContain(old.digest);
  });

  it('is not asked for where a tag, an index or a subject names it', async () => {
    const { put, look, registry, blobsAsked } = await scene();
    const [list, sbom] = [index([old]), referrer('sbom', other)];
    const sig = cosign('sig', other);
    [list, sbom, other].forEach((content) => {
      put(content);
    });
    put(sig, digestTag(other.digest, 'sig'));
    await look([list, old, sbom, other, sig]);
    // What an artifact says of its own subject proves nothing of itself.
    expect(new Set(blobsAsked())).toEqual(new Set([list.digest, sbom.digest]));
    expect(registry.requests.filter(({ path }) => path.includes('/blobs/'))).not.toEqual([]);
  });

  it('is not asked for if the API lists it as a referrer', async () => {
    const { put, look, registry } = await startScene({ referrersApi: true });
    const sbom = referrer('sbom', other);
    put(sbom);
    put(other);
    await look([sbom, other]);
    const asked = registry.requests.filter(({ method }) => method === 'HEAD');
    expect(asked).toEqual([]);
  });

  it('is a gap where that question fails', async () => {
    const { put, look, registry } = await scene();
    put(old);
    registry.intercept(when(/^HEAD .*\/blobs\//, errorAnswer(403, 'DENIED')));
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([
      { what: `blob ${old.digest}`, why: expect.stringContaining('403') },
    ]);
    expect(plan.orphans).toEqual([]);
  });

  it('is asked for once in a run, and not again in the recheck', async () => {
    const { put, look, blobsAsked } = await scene();
    put(current, 'v1');
    put(old);
    const { inventory } = await look([old]);
    const { plan } = await look([old], { earlier: inventory });
    expect(fates(plan, { old })).toEqual({ old: 'delete: unreachable' });
    expect(blobsAsked()).toEqual([old.digest]);
  });
});

describe('a registry that has every manifest as a blob', () => {
  const everything = async (onConfig = errorAnswer(404, 'MANIFEST_UNKNOWN')) => {
    const started = await scene();
    const config = [...current.blobs.keys()][0] ?? '';
    const asConfig = when(`GET /v2/${APP}/manifests/${config}`, onConfig);
    const all = when(/^HEAD .*\/blobs\//, { kind: 'answer', status: 200 });
    started.registry.intercept((request) => asConfig(request) ?? all(request));
    return started;
  };

  it('loses an orphan, since a blob that is not a manifest is none to it', async () => {
    const { put, look } = await everything();
    put(current, 'v1');
    put(old);
    const { plan } = await look([old]);
    expect(fates(plan, { old })).toEqual({ old: 'delete: unreachable' });
  });

  it('keeps it where a blob is served as a manifest', async () => {
    const { put, look } = await everything(errorAnswer(500, 'UNKNOWN'));
    put(current, 'v1');
    put(old);
    const { inventory, plan } = await look([old]);
    expect(inventory.gaps).toEqual([]);
    expect(fates(plan, { old })).toEqual({ old: 'keep: layer' });
  });

  it('keeps it where there is no other blob to compare it with', async () => {
    const { put, look } = await everything();
    const list = opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
    put(list);
    const { plan } = await look([list]);
    expect(fates(plan, { list })).toEqual({ list: 'keep: layer' });
  });
});

describe('a digest that is only mentioned', () => {
  const odd = (child: Content, mediaType: string) =>
    opaque(OCI_INDEX, {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ ...child.descriptor, mediaType }],
    });

  it('is asked for to any depth, once, and keeps its own children', async () => {
    const { put, look, registry } = await scene();
    const inner = index([old]);
    const unknown = opaque('application/vnd.future+json', { see: inner.digest });
    const outer = odd(unknown, 'application/vnd.future+json');
    [inner, unknown].forEach((content) => {
      put(content);
    });
    put(outer, 'v1');
    put(other);
    const { plan } = await look([old, other]);
    expect(fates(plan, { unknown, inner, old, other })).toEqual({
      unknown: 'keep: unknown-type',
      inner: 'keep: mentioned',
      old: 'keep: child',
      other: 'delete: unreachable',
    });
    const asked = registry.requests.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(asked).size).toBe(asked.length);
  });

  it('is not asked for without an orphan, nor where it is plainly a layer', async () => {
    const { put, look, registry } = await scene();
    const inner = index([image('child')]);
    put(inner);
    put(odd(inner, ''), 'v1');
    await look();
    expect(registry.requests.some(({ path }) => path.endsWith(inner.digest))).toBe(false);
    const cache = buildCache('cache', 'index');
    put(cache, 'cache');
    put(other);
    const { inventory } = await look([other]);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.manifests.has(inner.digest)).toBe(true);
    const [layer] = cache.blobs.keys();
    expect(registry.requests.some(({ path }) => path.endsWith(layer ?? ''))).toBe(false);
  });

  it('is a gap only if it can’t be read, and not if it is a layer or nowhere', async () => {
    const { put, look, registry } = await scene();
    put(current, 'v1');
    const [layer] = current.blobs.keys();
    const lost = image('lost');
    put(opaque('application/vnd.future+json', { see: [layer, lost.digest] }), 'v2');
    put(other);
    const { inventory, plan } = await look([other]);
    expect(inventory.gaps).toEqual([]);
    expect(inventory.absent.size).toBe(0);
    expect(fates(plan, { other })).toEqual({ other: 'delete: unreachable' });
    registry.intercept(when(`GET /v2/${APP}/manifests/${lost.digest}`, errorAnswer(403, 'DENIED')));
    const again = await look([other]);
    expect(again.inventory.gaps).toMatchObject([{ what: `mentioned manifest ${lost.digest}` }]);
    expect(again.plan.orphans).toEqual([]);
  });

  it('is reported absent where an index that was read since names it as its part', async () => {
    const { app, put, look } = await scene();
    const lost = image('lost part');
    const inner = index([lost]);
    put(inner);
    app.manifests.delete(lost.digest);
    put(opaque('application/vnd.future+json', { see: [lost.digest, inner.digest] }), 'v1');
    put(other);
    const { inventory } = await look([other]);
    expect(inventory.absent).toEqual(new Set([lost.digest]));
  });
});

it('a manifest that a kept artifact has as a layer stays because of that', () => {
  const artifact = manifest({
    config: { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') },
    layers: [{ mediaType: 'application/octet-stream', bytes: old.bytes }],
  });
  const plan = makePlan(inventoryOf({ tags: { v1: artifact }, untagged: [old, other] }), policy());
  expect(fates(plan, { old, other })).toEqual({ old: 'keep: blob', other: 'delete: unreachable' });
});
