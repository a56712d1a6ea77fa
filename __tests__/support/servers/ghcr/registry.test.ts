/** The registry's face of the simulated GHCR. */
import { describe, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT, OCI_INDEX, OCI_MANIFEST } from '../../../../src/oci/media-types.js';
import { fallbackIndex, image, index, manifest, referrer } from '../../builders/build.js';
import { push, putManifest, seed, send } from '../../clients/push.js';
import { basicHeader } from '../memory/auth.js';
import { stopAfterTest } from '../stop-after-test.js';
import { askForToken, bearer, errorOf, pusher, read } from './client.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN, type GhcrOptions, type Right } from './options.js';

const NAME = 'team/app';
const PULL = `repository:${NAME}:pull`;
const [one, two] = [image('one'), image('two')];
const pair = index([image('amd'), image('arm')]);
const DENIED = [403, 'DENIED', 'requested access to the resource is denied'];

async function start(options: GhcrOptions = {}): Promise<Ghcr> {
  const ghcr = stopAfterTest(await startGhcr(options));
  seed(ghcr.state, NAME, one, 'one');
  seed(ghcr.state, NAME, pair, 'pair');
  return ghcr;
}

function ask(ghcr: Ghcr, path: string, authorization?: string): Promise<Response> {
  const headers = { accept: MANIFEST_ACCEPT };
  return fetch(ghcr.url + path, {
    headers: authorization === undefined ? headers : { ...headers, authorization },
  });
}

function withRight(right: Right): GhcrOptions {
  return { tokens: [{ kind: 'job', value: JOB_TOKEN, right: () => right }] };
}

describe('A challenge', () => {
  it('names the repository, or a placeholder where there is none, and asks for pull only', async () => {
    const ghcr = await start();
    const challenges = await Promise.all(
      ['/v2/', '/v2/_catalog', `/v2/${NAME}/tags/list`, `/v2/${NAME}/manifests/one`].map(
        async (path) => {
          const { status, headers } = await ask(ghcr, path);
          return [status, headers.get('www-authenticate')];
        },
      ),
    );
    const scopes = ['user/image', 'user/image', NAME, NAME];
    expect(challenges).toEqual(
      scopes.map((name) => [
        401,
        `Bearer realm="${ghcr.url}/token",service="ghcr.io",scope="repository:${name}:pull"`,
      ]),
    );
    const { status, headers } = await send(
      { url: ghcr.url },
      { method: 'POST', path: `/v2/${NAME}/blobs/uploads/` },
    );
    expect([status, headers['www-authenticate']]).toEqual([
      401,
      expect.stringContaining(`scope="${PULL}"`),
    ]);
  });
});

describe('The token server', () => {
  it('takes a known token as the password of anybody, and answers with a token and no more', async () => {
    const ghcr = await start();
    const answer = await askForToken(ghcr, PULL, basicHeader('whoever', JOB_TOKEN));
    const body = (await answer.json()) as { token: string };
    expect([answer.status, Object.keys(body)]).toEqual([200, ['token']]);
    expect(body.token).not.toContain('.');
    expect((await ask(ghcr, `/v2/${NAME}/tags/list`, `Bearer ${body.token}`)).status).toBe(200);
  });

  it('refuses a bearer, a bad password, nobody, and other methods', async () => {
    const ghcr = await start();
    expect((await askForToken(ghcr, PULL, `Bearer ${JOB_TOKEN}`)).status).toBe(401);
    const bad = await askForToken(ghcr, PULL, basicHeader('whoever', 'bad'));
    expect(await errorOf(bad)).toEqual([403, 'DENIED', 'denied']);
    expect((await askForToken(ghcr, PULL)).status).toBe(401);
    expect((await fetch(`${ghcr.url}/token`, { method: 'POST' })).status).toBe(405);
  });

  it.each<[Right, string, number]>([
    ['none', 'pull', 403],
    ['read', 'pull', 200],
    ['read', 'pull,push', 403],
    ['write', 'pull,push', 200],
  ])('answers a token of the right %s that asks for %s with %i', async (right, actions, status) => {
    const ghcr = await start(withRight(right));
    const scope = `repository:${NAME}:${actions}`;
    const answer = await askForToken(ghcr, scope, basicHeader('x', JOB_TOKEN));
    expect(answer.status).toBe(status);
  });

  it('gives nobody a token to pull what is public, and none to push it', async () => {
    const ghcr = await start({ visibility: () => 'public' });
    const answer = await askForToken(ghcr, PULL);
    const { token } = (await answer.json()) as { token: string };
    expect((await ask(ghcr, `/v2/${NAME}/tags/list`, `Bearer ${token}`)).status).toBe(200);
    expect((await askForToken(ghcr, `${PULL},push`)).status).toBe(401);
  });
});

describe('The registry', () => {
  it('denies Basic, and lets every well-formed bearer see /v2/', async () => {
    const ghcr = await start();
    const basic = basicHeader('whoever', JOB_TOKEN);
    expect(await errorOf(await ask(ghcr, '/v2/', basic))).toEqual(DENIED);
    expect(await errorOf(await ask(ghcr, `/v2/${NAME}/tags/list`, basic))).toEqual(DENIED);
    expect((await ask(ghcr, '/v2/', 'Bearer anything')).status).toBe(200);
    expect(await errorOf(await ask(ghcr, '/v2/', 'Bearer !'))).toEqual(DENIED);
    expect((await ask(ghcr, `/v2/${NAME}/tags/list`, 'Bearer anything')).status).toBe(401);
  });

  it('takes a personal access token in base64 as a bearer for every repository', async () => {
    const ghcr = await start();
    const value = Buffer.from(PERSONAL_TOKEN).toString('base64');
    expect((await ask(ghcr, `/v2/${NAME}/tags/list`, `Bearer ${value}`)).status).toBe(200);
  });

  it('grants by the rights of the token, and not by the scope that was asked for', async () => {
    const content = manifest({
      config: { mediaType: 'text/plain', bytes: Buffer.from('{}') },
      layers: [],
    });
    for (const [right, status] of [
      ['write', 202],
      ['read', 403],
    ] as const) {
      const ghcr = await start(withRight(right));
      const authorization = await bearer(ghcr, PULL);
      const path = `/v2/${NAME}/blobs/uploads/`;
      const answer = await send({ url: ghcr.url, authorization }, { method: 'POST', path });
      expect(answer.status).toBe(status);
    }
    const ghcr = await start();
    await push(pusher(ghcr), NAME, content, 'empty');
    expect(ghcr.state.repositories.get(NAME)?.tags.get('empty')).toBe(content.digest);
  });

  it('wants the media type of each manifest in Accept, and counts no wildcard', async () => {
    const ghcr = await start();
    const refusal = (noun: string, plural: string) => [
      404,
      'MANIFEST_UNKNOWN',
      `${noun} found, but Accept header does not support ${plural}`,
    ];
    const get = (reference: string, accept: string) =>
      read(ghcr, NAME, `manifests/${reference}`, { accept });
    expect(await errorOf(await get('pair', OCI_MANIFEST))).toEqual(
      refusal('OCI index', 'OCI indexes'),
    );
    expect(await errorOf(await get('one', '*/*'))).toEqual(
      refusal('OCI manifest', 'OCI manifests'),
    );
    const answer = await get('pair', `${OCI_MANIFEST}, ${OCI_INDEX}`);
    expect([answer.status, answer.headers.get('docker-content-digest')]).toEqual([
      200,
      pair.digest,
    ]);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(pair.bytes);
    expect((await read(ghcr, NAME, 'manifests/one', undefined, 'HEAD')).status).toBe(200);
  });

  it('does not delete manifests or blobs', async () => {
    const ghcr = await start();
    for (const path of [`manifests/${one.digest}`, 'manifests/one', `blobs/${one.digest}`]) {
      const answer = await read(ghcr, NAME, path, {}, 'DELETE');
      expect((await errorOf(answer)).slice(0, 2)).toEqual([405, 'UNSUPPORTED']);
    }
    expect(ghcr.state.repositories.get(NAME)?.manifests.has(one.digest)).toBe(true);
  });

  it('takes indexes whose children are missing, and indexes of nothing', async () => {
    const ghcr = await start();
    const to = pusher(ghcr);
    const dangling = index([image('missing')]);
    await putManifest(to, NAME, dangling, 'dangling');
    await putManifest(to, NAME, fallbackIndex([]), 'nothing');
    expect((await read(ghcr, NAME, 'manifests/dangling')).status).toBe(200);
    expect((await read(ghcr, NAME, 'manifests/nothing')).status).toBe(200);
  });

  it('refuses bodies that are no manifests, and digests of other bytes', async () => {
    const ghcr = await start();
    const authorization = await bearer(ghcr, PULL);
    const put = async (reference: string, type: string, body: Buffer) => {
      const path = `/v2/${NAME}/manifests/${reference}`;
      const headers = { 'content-type': type };
      const to = { url: ghcr.url, authorization };
      return (await send(to, { method: 'PUT', path, headers, body })).status;
    };
    expect(await put('x', OCI_MANIFEST, Buffer.from('{'))).toBe(400);
    expect(await put('x', 'text/plain', one.bytes)).toBe(400);
    expect(await put(two.digest, OCI_MANIFEST, one.bytes)).toBe(400);
    expect(await put(one.digest, OCI_MANIFEST, one.bytes)).toBe(201);
  });

  it('acknowledges no subject', async () => {
    const ghcr = await start();
    const sbom = referrer('sbom', one);
    await push(pusher(ghcr), NAME, sbom);
    const { headers } = await send(pusher(ghcr), {
      method: 'PUT',
      path: `/v2/${NAME}/manifests/${sbom.digest}`,
      headers: { 'content-type': sbom.mediaType },
      body: sbom.bytes,
      scope: PULL,
    });
    expect(headers['oci-subject']).toBeUndefined();
  });

  it('lists tags by a hundred, oldest first, and as many as are asked for', async () => {
    const ghcr = await start();
    for (let n = 250; n > 0; n -= 1) {
      seed(ghcr.state, 'team/many', one, `v${String(n)}`);
    }
    const first = await read(ghcr, 'team/many', 'tags/list');
    const { tags } = (await first.json()) as { tags: string[] };
    expect([tags.length, tags[0], tags.at(-1)]).toEqual([100, 'v250', 'v151']);
    expect(first.headers.get('link')).toBe('</v2/team/many/tags/list?last=v151&n=100>; rel="next"');
    const next = await read(ghcr, 'team/many', 'tags/list?last=v151&n=100');
    expect(await next.json()).toMatchObject({ tags: expect.arrayContaining(['v150', 'v51']) });
    const all = await read(ghcr, 'team/many', 'tags/list?n=10000');
    expect(all.headers.get('link')).toBeNull();
    expect(((await all.json()) as { tags: string[] }).tags).toHaveLength(250);
  });

  it('answers for a repository that it does not know', async () => {
    const ghcr = await start();
    expect((await errorOf(await read(ghcr, 'team/no', 'tags/list')))[1]).toBe('NAME_UNKNOWN');
    expect((await errorOf(await read(ghcr, 'team/no', 'manifests/x')))[1]).toBe('MANIFEST_UNKNOWN');
  });

  it('takes names in any spelling', async () => {
    const ghcr = await start({ accounts: [{ login: 'Team', type: 'Organization' }] });
    await push(pusher(ghcr), 'Team/App', two, 'two');
    expect([...ghcr.state.repositories.keys()]).toEqual([NAME]);
    expect((await read(ghcr, 'TEAM/app', 'manifests/two')).status).toBe(200);
  });
});
