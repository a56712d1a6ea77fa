/** What is assumed about the registry of the real GHCR: each switch, both ways. */
import { describe, expect, it } from '@jest/globals';

import { OCI_INDEX } from '../../../../src/oci/media-types.js';
import { image } from '../../builders/build.js';
import { push, seed, send } from '../../clients/push.js';
import { bearer, idOf, NAME, pusher, read, remove, startScene as start } from './client.js';

const [one, two] = [image('one'), image('two')];

describe('The registry', () => {
  it.each([true, false])(
    'wants the type in Accept by digest, too: %s',
    async (strictAcceptByDigest) => {
      const { ghcr } = await start({ strictAcceptByDigest });
      seed(ghcr.state, NAME, one, 'v1');
      const accept = { accept: OCI_INDEX };
      const byDigest = await read(ghcr, NAME, `manifests/${one.digest}`, accept);
      const byTag = await read(ghcr, NAME, 'manifests/v1', accept);
      expect([byDigest.status, byTag.status]).toEqual([strictAcceptByDigest ? 404 : 200, 404]);
    },
  );

  it('has no referrers API, in four ways', async () => {
    const ways = ['page-not-found', 'manifest-unknown', 'redirect', 'empty'] as const;
    const answers = await Promise.all(
      ways.map(async (referrers) => {
        const { ghcr } = await start({ referrers });
        seed(ghcr.state, NAME, one);
        const answer = await read(ghcr, NAME, `referrers/${one.digest}`);
        return [answer.status, answer.headers.get('location') ?? (await answer.text()).trim()];
      }),
    );
    expect(answers).toEqual([
      [404, '404 page not found'],
      [404, expect.stringContaining('MANIFEST_UNKNOWN')],
      [303, `https://github.com/-/v2/packages/${NAME}/referrers/sha256`],
      [200, expect.stringContaining('"manifests":[]')],
    ]);
  });

  it.each(['challenged', 'denied'] as const)('has a token that is too old %s', async (stale) => {
    const scene = await start({ registryTokenLifetime: 1000, staleRegistryToken: stale });
    seed(scene.ghcr.state, NAME, one);
    const authorization = await bearer(scene.ghcr, `repository:${NAME}:pull`);
    const ask = async () =>
      (await fetch(`${scene.ghcr.url}/v2/${NAME}/tags/list`, { headers: { authorization } }))
        .status;
    expect(await ask()).toBe(200);
    scene.wait(1000);
    expect(await ask()).toBe(stale === 'challenged' ? 401 : 403);
  });

  it.each([true, false])('binds its tokens to repositories: %s', async (registryTokensAreBound) => {
    const { ghcr } = await start({ registryTokensAreBound });
    seed(ghcr.state, NAME, one);
    seed(ghcr.state, 'team/web', one);
    const authorization = await bearer(ghcr, `repository:${NAME}:pull`);
    const { status } = await fetch(`${ghcr.url}/v2/team/web/tags/list`, {
      headers: { authorization },
    });
    expect(status).toBe(registryTokensAreBound ? 401 : 200);
  });

  it.each([true, false])('counts HEAD as a download: %s', async (headIsDownload) => {
    const scene = await start({ headIsDownload }, { visibility: () => 'public' });
    const { ghcr } = scene;
    [one, two].forEach((content) => seed(ghcr.state, NAME, content));
    ghcr.setDownloads(NAME, one.digest, 5000);
    ghcr.setDownloads(NAME, two.digest, 5000);
    await read(ghcr, NAME, `manifests/${one.digest}`, undefined, 'HEAD');
    await read(ghcr, NAME, `manifests/${two.digest}`);
    const refused = [400, expect.stringContaining('5000 downloads')];
    expect(await remove(scene, idOf(scene, one))).toEqual(headIsDownload ? refused : []);
    expect(await remove(scene, idOf(scene, two))).toEqual(refused);
  });

  it.each([true, false])('looks for the blobs of an image: %s', async (putChecksBlobs) => {
    const { ghcr } = await start({ putChecksBlobs });
    const { status } = await send(pusher(ghcr), {
      method: 'PUT',
      path: `/v2/${NAME}/manifests/v1`,
      headers: { 'content-type': one.mediaType },
      body: one.bytes,
      scope: `repository:${NAME}:pull,push`,
    });
    expect(status).toBe(putChecksBlobs ? 400 : 201);
  });

  it('has no usable catalog, in three ways', async () => {
    const ways = ['denied', 'page-not-found', 'empty'] as const;
    const statuses = await Promise.all(
      ways.map(async (catalog) => {
        const { ghcr } = await start({ catalog });
        seed(ghcr.state, NAME, one);
        const authorization = await bearer(ghcr, `repository:${NAME}:pull`);
        const answer = await fetch(`${ghcr.url}/v2/_catalog`, { headers: { authorization } });
        return [answer.status, (await answer.text()).includes(NAME)];
      }),
    );
    expect(statuses).toEqual([
      [403, false],
      [404, false],
      [200, false],
    ]);
  });

  it.each(['cut', 'refused'] as const)('has larger pages of tags %s', async (largerTagPage) => {
    const { ghcr } = await start({ largestTagPage: 2, largerTagPage });
    seed(ghcr.state, NAME, one, 'a', 'b', 'c');
    const answer = await read(ghcr, NAME, 'tags/list?n=3');
    const body = await answer.text();
    expect([
      answer.status,
      answer.headers.get('link')?.includes('last=b&n=2'),
      body.includes('PAGINATION_NUMBER_INVALID'),
    ]).toEqual(largerTagPage === 'cut' ? [200, true, false] : [400, undefined, true]);
  });

  it.each(['from-start', 'empty'] as const)(
    'lists tags after one that is gone: %s',
    async (afterGoneTag) => {
      const { ghcr } = await start({ afterGoneTag });
      seed(ghcr.state, NAME, one, 'a', 'c');
      const answer = await read(ghcr, NAME, 'tags/list?last=b&n=2');
      expect(await answer.json()).toMatchObject({
        tags: afterGoneTag === 'from-start' ? ['a', 'c'] : [],
      });
    },
  );

  it('has no manifest for a while after its push', async () => {
    const scene = await start({}, { manifestLag: 2000 });
    await push(pusher(scene.ghcr), NAME, one, 'v1');
    seed(scene.ghcr.state, 'team/old', one, 'v1');
    const status = async (name: string) => (await read(scene.ghcr, name, 'manifests/v1')).status;
    expect([await status(NAME), await status('team/old')]).toEqual([404, 200]);
    scene.wait(2000);
    expect(await status(NAME)).toBe(200);
  });
});
