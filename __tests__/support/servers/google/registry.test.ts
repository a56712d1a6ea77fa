/** What the simulated Google registry answers, and what a test may change of it. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT, OCI_INDEX, OCI_MANIFEST } from '../../../../src/oci/media-types.js';
import { helmChart, image, index, OLD, referrer } from '../../builders/build.js';
import { push, putManifest, seed, send, type Exchange } from '../../clients/push.js';
import { createAuthority } from '../certificate.js';
import { basicHeader } from '../memory/auth.js';
import { parseBody } from '../memory/state.js';
import type { GoogleAuth } from './auth.js';
import {
  startGoogleRegistry,
  type GoogleRegistry,
  type GoogleRegistryOptions,
} from './registry.js';
import { withFields, withoutManifests, withoutMap, type ListEdit } from './tag-list.js';

const NAME = 'project/repo/app';
const LIST = `/v2/${NAME}/tags/list`;
const [one, two] = [image('one'), image('two')];
const pair = index([image('amd'), image('arm')]);

const running: GoogleRegistry[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((registry) => registry.stop()));
});

async function start(options: GoogleRegistryOptions = {}): Promise<GoogleRegistry> {
  const registry = await startGoogleRegistry(options);
  running.push(registry);
  return registry;
}

function ask(
  registry: GoogleRegistry,
  path: string,
  { method = 'GET', authorization = '' } = {},
): Promise<Exchange> {
  return send(
    { url: registry.url, ...(authorization === '' ? {} : { authorization }) },
    { method, path, headers: { accept: MANIFEST_ACCEPT } },
  );
}

function remove(registry: GoogleRegistry, reference: string): Promise<Exchange> {
  return ask(registry, `/v2/${NAME}/manifests/${reference}`, { method: 'DELETE' });
}

function parsed({ body }: Exchange): Record<string, unknown> {
  return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
}

function errorOf({ status, body }: Exchange): unknown {
  const { errors } = JSON.parse(body.toString('utf8')) as {
    errors: { code: string; message: string }[];
  };
  return [status, errors[0]?.code, errors[0]?.message];
}

describe('A list', () => {
  it('holds every manifest, tagged or not, with its tags, type and times as strings', async () => {
    const registry = await start({ now: () => 1_700_000_000_123 });
    await push(registry, NAME, one, 'v1', 'latest');
    await push(registry, NAME, pair);
    const { manifest, ...list } = parsed(await ask(registry, LIST));
    expect(list).toEqual({ name: NAME, child: [], tags: ['latest', 'v1'] });
    const size = [...one.blobs.values()].reduce((sum, { length }) => sum + length, 0);
    expect(manifest).toEqual({
      [one.digest]: {
        imageSizeBytes: String(one.bytes.length + size),
        layerId: '',
        mediaType: OCI_MANIFEST,
        tag: ['latest', 'v1'],
        timeCreatedMs: String(Date.parse(OLD)),
        timeUploadedMs: '1700000000123',
      },
      [pair.digest]: expect.objectContaining({ mediaType: OCI_INDEX, timeCreatedMs: '0' }),
      [pair.children[0]?.digest ?? '']: expect.objectContaining({ mediaType: OCI_MANIFEST }),
      [pair.children[1]?.digest ?? '']: expect.objectContaining({ mediaType: OCI_MANIFEST }),
    });
  });

  it('gives untagged manifests an empty list of tags, or none', async () => {
    const registry = await start();
    for (let n = 0; n < 16; n += 1) {
      seed(registry.state, NAME, image(String(n)));
    }
    const entries = Object.values(
      parsed(await ask(registry, LIST))['manifest'] as Record<string, { tag?: string[] }>,
    );
    expect(new Set(entries.map(({ tag }) => JSON.stringify(tag)))).toEqual(
      new Set(['[]', undefined]),
    );
  });

  it('tells the type of an artifact', async () => {
    const registry = await start();
    const sbom = referrer('sbom', one);
    seed(registry.state, NAME, sbom);
    expect(parsed(await ask(registry, LIST))).toMatchObject({
      manifest: { [sbom.digest]: { artifactType: parseBody(sbom.bytes).artifactType } },
    });
  });

  it('names the repositories below it', async () => {
    const registry = await start();
    seed(registry.state, NAME, one);
    seed(registry.state, 'project/repo/other/deep', two);
    const answer = await ask(registry, '/v2/project/repo/tags/list');
    expect(parsed(answer)).toEqual({
      name: 'project/repo',
      child: ['app', 'other'],
      tags: [],
      manifest: {},
    });
  });

  it('is refused for a repository that does not exist, and for a name of one part', async () => {
    const registry = await start();
    expect(errorOf(await ask(registry, LIST))).toEqual([404, 'NAME_UNKNOWN', expect.anything()]);
    expect(errorOf(await ask(registry, '/v2/app/tags/list'))).toEqual([
      400,
      'NAME_INVALID',
      'invalid number of path components: 1',
    ]);
  });

  it('shows old uploads, and what a test says about them', async () => {
    const registry = await start();
    seed(registry.state, NAME, one);
    seed(registry.state, NAME, two);
    registry.setUploadTime(NAME, two.digest, 5);
    expect(parsed(await ask(registry, LIST))).toMatchObject({
      manifest: {
        [one.digest]: { timeUploadedMs: String(Date.parse(OLD)) },
        [two.digest]: { timeUploadedMs: '5' },
      },
    });
  });

  it('keeps the time of a second push, and gives a new one to a manifest that was deleted', async () => {
    let now = 1;
    const registry = await start({ now: () => now });
    const uploaded = async (): Promise<unknown> =>
      (parsed(await ask(registry, LIST))['manifest'] as Record<string, Record<string, unknown>>)[
        one.digest
      ]?.['timeUploadedMs'];
    await push(registry, NAME, one);
    now = 2;
    await putManifest(registry, NAME, one, one.digest);
    expect(await uploaded()).toBe('1');
    await remove(registry, one.digest);
    await putManifest(registry, NAME, one, one.digest);
    expect(await uploaded()).toBe('2');
  });

  it('counts only what is a time in a config as the time of creation', async () => {
    const registry = await start();
    const [chart, undated] = [helmChart('chart', '1.0.0'), image('undated', { created: null })];
    seed(registry.state, NAME, chart);
    seed(registry.state, NAME, undated);
    expect(parsed(await ask(registry, LIST))).toMatchObject({
      manifest: {
        [chart.digest]: { timeCreatedMs: '0' },
        [undated.digest]: { timeCreatedMs: '0' },
      },
    });
  });
});

describe('A list that comes in pages', () => {
  it('divides its tags and its manifests', async () => {
    const registry = await start({ pageSize: 2 });
    seed(registry.state, NAME, one, 'a', 'b', 'c');
    seed(registry.state, NAME, two);
    seed(registry.state, NAME, pair);
    const pages: { tags: unknown; manifests: string[] }[] = [];
    let path: string | undefined = LIST;
    while (path !== undefined) {
      const answer: Exchange = await ask(registry, path);
      const { tags, manifest } = parsed(answer);
      pages.push({ tags, manifests: Object.keys(manifest as object) });
      path = /^<(.*)>; rel="next"$/.exec(String(answer.headers['link'] ?? ''))?.[1];
    }
    expect(pages.map(({ tags }) => tags)).toEqual([['a', 'b'], ['c'], []]);
    expect(pages.map(({ manifests }) => manifests.length)).toEqual([2, 2, 1]);
    expect(
      new Set(pages.flatMap(({ manifests }) => manifests.map((key) => `${NAME}@${key}`))),
    ).toEqual(registry.manifests());
  });
});

describe('An edit of the list', () => {
  async function edited(edit: ListEdit): Promise<Record<string, unknown>> {
    const registry = await start();
    seed(registry.state, NAME, one, 'v1');
    seed(registry.state, NAME, two);
    const whole = parsed(await ask(registry, LIST));
    registry.editList(edit);
    const answer = parsed(await ask(registry, LIST));
    registry.editList();
    expect(parsed(await ask(registry, LIST))).toEqual(whole);
    return answer;
  }

  it('leaves out a manifest that a tag points at', async () => {
    const { tags, manifest } = await edited(withoutManifests(one.digest));
    expect([tags, Object.keys(manifest as object)]).toEqual([['v1'], [two.digest]]);
  });

  it('leaves out the map, as a plain registry does', async () => {
    expect(await edited(withoutMap)).toEqual({ name: NAME, tags: ['v1'] });
  });

  it('sends a malformed time or digest', async () => {
    const { manifest } = await edited(
      withFields(one.digest, { timeUploadedMs: 'soon', mediaType: undefined }, 'sha256:short'),
    );
    expect(Object.keys(manifest as object).sort()).toEqual([two.digest, 'sha256:short'].sort());
    expect(manifest).toMatchObject({ 'sha256:short': { timeUploadedMs: 'soon' } });
    expect((manifest as Record<string, object>)['sha256:short']).not.toHaveProperty('mediaType');
  });
});

describe('A delete', () => {
  it('by tag removes the tag and keeps the manifest', async () => {
    const registry = await start();
    seed(registry.state, NAME, one, 'v1', 'v2');
    expect((await remove(registry, 'v1')).status).toBe(202);
    expect(registry.manifests()).toEqual(new Set([`${NAME}@${one.digest}`]));
    expect(registry.state.repositories.get(NAME)?.tags).toEqual(new Map([['v2', one.digest]]));
  });

  it('by digest is refused while a tag points at the manifest', async () => {
    const registry = await start();
    seed(registry.state, NAME, one, 'v1');
    expect(errorOf(await remove(registry, one.digest))).toEqual([
      400,
      'GOOGLE_MANIFEST_DANGLING_TAG',
      'Manifest is still referenced by tag: v1',
    ]);
    await remove(registry, 'v1');
    expect((await remove(registry, one.digest)).status).toBe(202);
    expect(registry.manifests()).toEqual(new Set());
  });

  it('by digest is refused while an index lists the manifest', async () => {
    const registry = await start();
    seed(registry.state, NAME, pair);
    const child = pair.children[0]?.digest ?? '';
    expect(errorOf(await remove(registry, child))).toEqual([
      400,
      'GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE',
      `Manifest is still referenced by one or more parent images: ${pair.digest}`,
    ]);
    expect(registry.manifests().size).toBe(3);
    await remove(registry, pair.digest);
    expect((await remove(registry, child)).status).toBe(202);
  });

  it('a manifest that is not there is 404', async () => {
    const registry = await start();
    for (const reference of ['v1', one.digest]) {
      expect(errorOf(await remove(registry, reference))).toEqual([
        404,
        'MANIFEST_UNKNOWN',
        expect.anything(),
      ]);
    }
  });
});

describe('Credentials', () => {
  const keyJson = '{"type":"service_account","private_key":"a:b"}';
  const accessToken = 'ya29.token';
  const account = { keyJson, accessToken };
  const TOKEN = `/v2/token?scope=repository:${NAME}:pull`;

  async function guarded(auth: GoogleAuth = account): Promise<GoogleRegistry> {
    const registry = await start({ auth });
    seed(registry.state, NAME, one, 'v1');
    return registry;
  }

  async function bearer(registry: GoogleRegistry, path = TOKEN): Promise<string> {
    const authorization = basicHeader('_json_key', keyJson);
    return `Bearer ${String(parsed(await ask(registry, path, { authorization }))['token'])}`;
  }

  it.each([
    ['_json_key', keyJson],
    ['_json_key_base64', Buffer.from(keyJson).toString('base64')],
    ['oauth2accesstoken', accessToken],
    ['_token', accessToken],
  ])('of %s are exchanged for a token of twelve hours', async (username, password) => {
    const registry = await guarded();
    const answer = await ask(registry, TOKEN, { authorization: basicHeader(username, password) });
    expect(parsed(answer)).toEqual({ token: expect.any(String), expires_in: 43_200 });
    const authorization = `Bearer ${String(parsed(answer)['token'])}`;
    expect((await ask(registry, LIST, { authorization })).status).toBe(200);
  });

  it.each([
    ['_json_key', accessToken],
    ['_json_key_base64', keyJson],
    ['oauth2accesstoken', 'wrong'],
    ['somebody', accessToken],
  ])('of %s are refused when they are wrong', async (username, password) => {
    const authorization = basicHeader(username, password);
    expect(errorOf(await ask(await guarded(), TOKEN, { authorization }))).toEqual([
      401,
      'UNAUTHORIZED',
      'authentication failed',
    ]);
  });

  it('are asked for with a realm on the same host, and with a scope for each repository', async () => {
    const registry = await guarded();
    const challenge = async (path: string, method: string): Promise<unknown> =>
      (await ask(registry, path, { method })).headers['www-authenticate'];
    const realm = `Bearer realm="${registry.url}/v2/token"`;
    const service = `service="${registry.host}"`;
    expect(await challenge('/v2/', 'GET')).toBe(realm);
    expect(await challenge(LIST, 'GET')).toBe(
      `${realm},${service},scope="repository:${NAME}:pull"`,
    );
    expect(await challenge(`/v2/${NAME}/manifests/v1`, 'DELETE')).toBe(
      `${realm},${service},scope="repository:${NAME}:pull,push"`,
    );
  });

  it('that are too old get no challenge', async () => {
    const registry = await guarded({ ...account, maxUses: 1 });
    const authorization = await bearer(registry);
    expect((await ask(registry, LIST, { authorization })).status).toBe(200);
    const answer = await ask(registry, LIST, { authorization });
    expect(errorOf(answer)).toEqual([401, 'UNAUTHORIZED', 'No valid credential was supplied.']);
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });

  it('are good for as long as the token server says', async () => {
    const registry = await guarded({ ...account, expiresIn: 0 });
    expect((await ask(registry, LIST, { authorization: await bearer(registry) })).status).toBe(401);
  });

  it('are accepted without an exchange, too', async () => {
    const registry = await guarded();
    for (const authorization of [`Bearer ${accessToken}`, basicHeader('_json_key', keyJson)]) {
      expect((await ask(registry, LIST, { authorization })).status).toBe(200);
    }
  });

  it('that lack a right are refused with its name', async () => {
    const registry = await guarded({ ...account, may: (action) => action !== 'delete' });
    const asking = `/v2/token?scope=repository:${NAME}:pull,delete`;
    const authorization = await bearer(registry, asking);
    const answer = await ask(registry, `/v2/${NAME}/manifests/v1`, {
      method: 'DELETE',
      authorization,
    });
    expect(errorOf(answer)).toEqual([
      403,
      'DENIED',
      'Permission "artifactregistry.repositories.deleteArtifacts" denied on resource ' +
        '"projects/project/locations/us/repositories/repo" (or it may not exist)',
    ]);
    expect(registry.state.repositories.get(NAME)?.tags.size).toBe(1);
  });

  it('that lack the right to push are refused by the token server already', async () => {
    const registry = await guarded({ ...account, may: (action) => action !== 'push' });
    const authorization = basicHeader('_json_key', keyJson);
    const path = `/v2/token?scope=repository:${NAME}:pull,push`;
    expect(errorOf(await ask(registry, path, { authorization }))).toEqual([
      403,
      'DENIED',
      expect.stringContaining('repositories.uploadArtifacts" denied on resource'),
    ]);
  });

  it('that are missing are refused by the token server', async () => {
    expect(errorOf(await ask(await guarded(), TOKEN))).toEqual([
      403,
      'DENIED',
      expect.stringContaining('Unauthenticated requests do not have permission'),
    ]);
  });

  it('that are missing give a token that opens no repository and no catalog', async () => {
    const registry = await guarded();
    const authorization = `Bearer ${String(parsed(await ask(registry, '/v2/token'))['token'])}`;
    expect((await ask(registry, '/v2/', { authorization })).status).toBe(200);
    for (const path of [LIST, TOKEN, '/v2/_catalog']) {
      expect(errorOf(await ask(registry, path, { authorization }))).toEqual([
        403,
        'DENIED',
        expect.stringMatching(/requests do not have permission|caller does not have permission/),
      ]);
    }
  });

  it('are exchanged by GET only', async () => {
    const answer = await ask(await guarded(), TOKEN, { method: 'POST' });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET']);
  });
});

it('The catalog lists repositories by their whole names', async () => {
  const registry = await start({ catalogPageSize: 1 });
  seed(registry.state, 'project/repo/a', one);
  seed(registry.state, 'project/repo/b', one);
  const answer = await ask(registry, '/v2/_catalog');
  expect(parsed(answer)).toEqual({ repositories: ['project/repo/a'] });
  expect(answer.headers['link']).toContain('rel="next"');
});

it('Referrers are an unknown route, unless they are switched on', async () => {
  const path = `/v2/${NAME}/referrers/${one.digest}`;
  expect((await ask(await start(), path)).status).toBe(404);
  expect((await ask(await start({ referrersApi: true }), path)).status).toBe(200);
});

it('The registry speaks https', async () => {
  const authority = createAuthority();
  const { pem, keyPem } = authority.issue('google');
  const registry = await start({ tls: { key: keyPem, cert: pem } });
  const path = '/v2/';
  const answer = await send({ url: registry.url, ca: authority.pem }, { method: 'GET', path });
  expect(answer.status).toBe(200);
});
