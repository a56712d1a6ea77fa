/** What the in-memory registry can do beyond answering like docker-registry: scripts, paging, auth, TLS. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT, OCI_INDEX } from '../../../../src/oci/media-types.js';
import { image, referrer } from '../../builders/build.js';
import { createAuthority } from '../certificate.js';
import { push, seed, send, type Exchange } from '../../clients/push.js';
import { basicHeader } from './auth.js';
import type { MemoryRegistryOptions } from './options.js';
import { startMemoryRegistry, type MemoryRegistry } from './registry.js';
import type { Action } from './script.js';

const app = image('app');
const running: MemoryRegistry[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((registry) => registry.stop()));
});

async function start(options: MemoryRegistryOptions = {}): Promise<MemoryRegistry> {
  const registry = await startMemoryRegistry(options);
  running.push(registry);
  return registry;
}

function get(registry: MemoryRegistry, path: string, authorization?: string): Promise<Exchange> {
  return send(
    { url: registry.url, ...(authorization === undefined ? {} : { authorization }) },
    { method: 'GET', path, headers: { accept: MANIFEST_ACCEPT } },
  );
}

function parsed({ body }: Exchange): Record<string, unknown> {
  return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
}

describe('scripts', () => {
  const path = '/v2/a/manifests/v1';

  async function once(action: Action): Promise<MemoryRegistry> {
    const registry = await start();
    seed(registry.state, 'a', app, 'v1');
    registry.intercept(({ n }) => (n === 1 ? action : undefined));
    return registry;
  }

  it.each<[string, Action, number, string]>([
    ['an answer', { kind: 'answer', status: 503, body: 'busy' }, 503, 'busy'],
    ['a delay', { kind: 'pass', delay: 5 }, 200, app.bytes.toString('utf8')],
    [
      'a rewrite',
      { kind: 'rewrite', rewrite: (own) => ({ ...own, status: 206, body: Buffer.from('other') }) },
      206,
      'other',
    ],
  ])('give %s', async (_name, action, status, body) => {
    const answer = await get(await once(action), path);
    expect({ status: answer.status, body: answer.body.toString('utf8') }).toEqual({ status, body });
  });

  it('give a page of HTML', async () => {
    const answer = await get(await once({ kind: 'html', status: 403 }), path);
    expect(answer.status).toBe(403);
    expect(answer.headers['content-type']).toContain('text/html');
  });

  it.each<[string, Action]>([
    ['a reset', { kind: 'reset' }],
    ['a cut-off body', { kind: 'truncate' }],
  ])('break one request by %s, and leave the next whole', async (_name, action) => {
    const registry = await once(action);
    await expect(get(registry, path)).rejects.toThrow(/hang up|aborted|ECONNRESET/);
    expect((await get(registry, path)).body).toEqual(app.bytes);
  });

  it('let a request hang until it is stopped', async () => {
    const registry = await once({ kind: 'hang' });
    const hanging = get(registry, path);
    const ended = hanging.catch((error: unknown) => String(error));
    while (registry.requests.length === 0) {
      await new Promise(setImmediate);
    }
    await registry.stop();
    expect(await ended).toMatch(/hang up|ECONNRESET/);
  });

  it('change the registry before and after a request, and see repetitions', async () => {
    const registry = await start();
    seed(registry.state, 'a', app, 'v1');
    const later = image('later');
    const attempts: number[] = [];
    registry.intercept(({ route, attempt }) => {
      if (route.kind !== 'manifest') {
        return undefined;
      }
      attempts.push(attempt);
      return {
        kind: 'pass',
        after: () => {
          seed(registry.state, 'a', later, 'v1');
        },
      };
    });
    expect((await get(registry, path)).body).toEqual(app.bytes);
    expect((await get(registry, path)).body).toEqual(later.bytes);
    expect(attempts).toEqual([1, 2]);
  });

  it('leave a log of what was asked and answered', async () => {
    const registry = await start();
    await push(registry, 'a', app, 'v1');
    registry.requests.length = 0;
    await get(registry, '/v2/a/tags/list?n=5');
    await get(registry, '/v2/nope/tags/list', 'Basic eDp5');
    expect(registry.requests).toEqual([
      { method: 'GET', path: '/v2/a/tags/list?n=5', authorization: false, status: 200 },
      { method: 'GET', path: '/v2/nope/tags/list', authorization: true, status: 404 },
    ]);
  });
});

describe('servers other than Distribution 2.8', () => {
  it('page their tags, sorted', async () => {
    const registry = await start({ tagPageSize: 2 });
    seed(registry.state, 'a', app, 'c', 'a', 'b');
    const first = await get(registry, '/v2/a/tags/list');
    expect(parsed(first)).toEqual({ name: 'a', tags: ['a', 'b'] });
    expect(first.headers['link']).toBe('</v2/a/tags/list?last=b&n=2>; rel="next"');
    const second = await get(registry, '/v2/a/tags/list?last=b&n=2');
    expect(parsed(second)).toEqual({ name: 'a', tags: ['c'] });
    expect(second.headers['link']).toBeUndefined();
  });

  it('page their catalog at their own size', async () => {
    const registry = await start({ catalogPageSize: 1 });
    seed(registry.state, 'a', app);
    seed(registry.state, 'b', app);
    const first = await get(registry, '/v2/_catalog');
    expect(parsed(first)).toEqual({ repositories: ['a'] });
    expect(first.headers['link']).toBe('</v2/_catalog?last=a&n=1>; rel="next"');
  });

  it('list referrers, and filter them', async () => {
    const registry = await start({ referrersApi: true });
    const [sbom, scan] = [referrer('sbom', app), referrer('scan', app, 'text/scan')];
    for (const content of [app, sbom, scan]) {
      await push(registry, 'a', content);
    }
    const path = `/v2/a/referrers/${app.digest}`;
    const all = await get(registry, path);
    expect(all.headers['content-type']).toBe(OCI_INDEX);
    expect(parsed(all)['manifests']).toMatchObject([
      { digest: sbom.digest },
      { digest: scan.digest },
    ]);
    const some = await get(registry, `${path}?artifactType=text%2Fscan`);
    expect(some.headers['oci-filters-applied']).toBe('artifactType');
    expect(parsed(some)['manifests']).toMatchObject([{ digest: scan.digest }]);
  });

  it('send no digest header', async () => {
    const registry = await start({ digestHeader: false });
    seed(registry.state, 'a', app, 'v1');
    const answer = await get(registry, '/v2/a/manifests/v1');
    expect(answer.status).toBe(200);
    expect(answer.headers['docker-content-digest']).toBeUndefined();
  });
});

describe('tokens', () => {
  const account = { username: 'u', password: 'p' };
  const asking = '/token?service=test-registry&scope=repository:a:pull';

  it('work as often as they may', async () => {
    const registry = await start({
      auth: { kind: 'token', ...account, field: 'access_token', expiresIn: 7, maxUses: 2 },
    });
    seed(registry.state, 'a', app, 'v1');
    const answer = parsed(await get(registry, asking, basicHeader('u', 'p')));
    expect(answer['expires_in']).toBe(7);
    const bearer = `Bearer ${String(answer['access_token'])}`;
    const statuses = [];
    for (let n = 0; n < 3; n += 1) {
      statuses.push((await get(registry, '/v2/a/tags/list', bearer)).status);
    }
    expect(statuses).toEqual([200, 200, 401]);
  });

  it('are refused to others, and grant only what the server likes', async () => {
    const registry = await start({ auth: { kind: 'token', ...account, grant: () => undefined } });
    expect((await get(registry, asking, basicHeader('u', 'wrong'))).status).toBe(401);
    const { token } = parsed(await get(registry, asking, basicHeader('u', 'p')));
    const answer = await get(registry, '/v2/a/tags/list', `Bearer ${String(token)}`);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"');
  });

  it('are given for an identity token', async () => {
    const registry = await start({ auth: { kind: 'token', ...account, identityToken: 'id' } });
    const ask = (refresh: string) => {
      const body = Buffer.from(
        `grant_type=refresh_token&refresh_token=${refresh}&scope=repository:a:pull`,
      );
      return send(registry, { method: 'POST', path: '/token', body });
    };
    expect((await ask('wrong')).status).toBe(401);
    expect(parsed(await ask('id'))['token']).toEqual(expect.any(String));
  });
});

it('the registry in memory speaks https', async () => {
  const authority = createAuthority();
  const { pem, keyPem } = authority.issue('memory');
  const registry = await start({ tls: { key: keyPem, cert: pem } });
  const path = '/v2/';
  expect(
    (await send({ url: registry.url, ca: authority.pem }, { method: 'GET', path })).status,
  ).toBe(200);
  await expect(send({ url: registry.url }, { method: 'GET', path })).rejects.toThrow(/certificate/);
});
