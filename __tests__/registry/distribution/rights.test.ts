import { afterEach, describe, expect, it } from '@jest/globals';

import type { Grant } from '../../../src/http/grant.js';
import { TransportError } from '../../../src/http/message.js';
import { NotSent } from '../../../src/http/stop.js';
import { isDigest } from '../../../src/oci/digest.js';
import { prose } from '../../../src/text/markdown.js';
import { createRights } from '../../../src/registry/distribution/rights.js';
import { image } from '../../support/builders/build.js';
import type { MemoryRegistryOptions } from '../../support/servers/memory/options.js';
import type { Action } from '../../support/servers/memory/script.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, startClient, stopClients, when } from '../../support/clients/client.js';

afterEach(stopClients);

const nothingSaid = () => Promise.resolve({ kind: 'unknown' } as const);

const kept = image('rights');

/** Asks a registry that has `kept`, and answers deletes with this if it is given. */
async function asked(options: MemoryRegistryOptions, action?: Action) {
  const { registry, rights } = await startClient(options);
  seed(registry.state, 'team/app', kept, 'latest');
  if (action !== undefined) {
    registry.intercept(when(/^DELETE/, action));
  }
  const answer = await rights.probeDeletes(['team/app']);
  // Whatever the answer: nothing has changed.
  expect([...(registry.state.repositories.get('team/app')?.manifests.keys() ?? [])]).toEqual([
    kept.digest,
  ]);
  return { answer, requests: registry.requests };
}

describe('rights-first: probeDeletes', () => {
  it('asks with one DELETE, for a digest that nothing has, and another one each time', async () => {
    const { registry, rights } = await startClient();
    seed(registry.state, 'team/app', kept, 'latest');
    expect(await rights.probeDeletes(['team/app'])).toBeUndefined();
    expect(await rights.probeDeletes(['team/app'])).toBeUndefined();
    const digests = registry.requests.map(({ method, path }) => {
      const [, digest = ''] =
        /^DELETE \/v2\/team\/app\/manifests\/(.+)$/.exec(`${method} ${path}`) ?? [];
      return digest;
    });
    expect(digests.map(isDigest)).toEqual([true, true]);
    expect(new Set([...digests, kept.digest]).size).toBe(3);
  });

  it('the probe tells that deletes are switched off', async () => {
    const { answer, requests } = await asked({ deleteEnabled: false });
    expect(answer).toMatch(/405 \(UNSUPPORTED .*REGISTRY_STORAGE_DELETE_ENABLED=true/);
    expect(requests).toHaveLength(1);
    // Nobody is to look for a digest that was made up.
    expect(answer).toContain('(asked in team/app, with a digest that no manifest has): 405');
    expect(answer).not.toContain('sha256:');
    // In the summary what to do is whole, too.
    expect(prose(answer ?? '')).toContain(
      'start Distribution with `REGISTRY_STORAGE_DELETE_ENABLED=true` (`storage.delete.enabled` in its configuration)',
    );
  });

  it('the probe tells that the registry is read-only', async () => {
    const { answer, requests } = await asked({ readOnly: true });
    expect(answer).toMatch(/405 without an error code.*storage\.maintenance\.readonly/);
    expect(requests).toHaveLength(1);
  });

  it('the probe tells that olareg is read-only, too', async () => {
    const { answer } = await asked(
      {},
      {
        kind: 'answer',
        status: 403,
        body: '{"errors":[{"code":"DENIED","message":"no","detail":"repository is read-only"}]}',
      },
    );
    expect(answer).toMatch(/403 \(DENIED no\).*--store-ro/);
  });

  it.each<[string, Action]>([
    ['202', { kind: 'answer', status: 202 }],
    ['404 MANIFEST_UNKNOWN', errorAnswer(404, 'MANIFEST_UNKNOWN')],
    ['404 NAME_UNKNOWN', errorAnswer(404, 'NAME_UNKNOWN')],
    ['404 without a body', { kind: 'answer', status: 404 }],
    ['404 in plain text', { kind: 'answer', status: 404, body: '404 page not found\n' }],
    ['404 as a page', { kind: 'html', status: 404 }],
    ['200 as a page', { kind: 'html' }],
    // Of an account, and it may be allowed in the next repository.
    ['401', errorAnswer(401, 'UNAUTHORIZED')],
    ['403', errorAnswer(403, 'DENIED', 'requested access to the resource is denied')],
    // zot protects single manifests so.
    ['405 DENIED', errorAnswer(405, 'DENIED')],
    ['400', errorAnswer(400, 'DIGEST_INVALID')],
    ['409', errorAnswer(409, 'CONFLICT')],
    ['429 for ever', { kind: 'answer', status: 429 }],
    ['500', { kind: 'answer', status: 500 }],
    ['a reset', { kind: 'reset' }],
  ])('takes no general refusal from %s', async (_name, action) => {
    expect((await asked({}, action)).answer).toBeUndefined();
  });

  it.each<[string, Error]>([
    ['was not sent', new NotSent('not sent')],
    ['got no answer', new TransportError('timeout', 'no answer')],
  ])('knows nothing when it %s', async (_name, error) => {
    const deleteManifest = () => Promise.reject(error);
    expect(
      await createRights({ deleteManifest }, nothingSaid).probeDeletes(['team/app']),
    ).toBeUndefined();
  });

  it.each([
    [1, ['a']],
    [2, ['a', 'b']],
    // By then it is plain that the registry hides something, and each delete is confirmed.
    [4, ['a', 'b', 'c']],
  ])('asks the next where %i deny the repository itself, three at most', async (hidden, asked) => {
    const names = ['a', 'b', 'c', 'd'];
    const { registry, rights } = await startClient({ deleteEnabled: false });
    registry.intercept(({ route }) =>
      route.kind === 'manifest' && names.indexOf(route.repository) < hidden - (hidden < 4 ? 1 : 0)
        ? errorAnswer(404, 'NAME_UNKNOWN')
        : undefined,
    );
    const answer = await rights.probeDeletes(names);
    expect(registry.requests.map(({ path }) => path.split('/')[2])).toEqual(asked);
    expect(answer === undefined).toBe(hidden === 4);
  });

  it('rejects with a mistake of our own', async () => {
    const deleteManifest = () => Promise.reject(new Error('a bug'));
    await expect(
      createRights({ deleteManifest }, nothingSaid).probeDeletes(['team/app']),
    ).rejects.toThrow('a bug');
  });
});

describe('rights-first: lacksDelete', () => {
  const told = (grant: Grant) => {
    const scopes: string[] = [];
    const deleteManifest = () => Promise.reject(new Error('nothing is deleted'));
    const rights = createRights({ deleteManifest }, async (scope) => {
      scopes.push(scope);
      return grant;
    });
    const answer = rights.lacksDelete('team/app');
    return { answer, scopes };
  };

  it.each<[string, Grant]>([
    ['everything', { kind: 'granted' }],
    ['what nobody knows', { kind: 'unknown' }],
    ['the deletes alone', { kind: 'lacking', actions: ['delete'] }],
  ])('the answer is undefined for %s', async (_name, grant) => {
    const { answer, scopes } = told(grant);
    expect(await answer).toBeUndefined();
    expect(scopes).toEqual(['repository:team/app:pull,delete']);
  });

  it.each<[string[], string]>([
    [[], 'nothing there'],
    [['pull'], 'only `pull` there'],
    [['pull', 'push'], 'only `pull,push` there'],
    [['metadata_read'], 'nothing there'],
    [['pull', '::error::`](x)\u001b[2J'], 'only `pull` there'],
  ])('says of %j what is granted, and nothing that could be a command', async (actions, got) => {
    expect(await told({ kind: 'lacking', actions }).answer).toBe(
      "these credentials can't delete in team/app: asked for `repository:team/app:pull,delete`, the token " +
        `server grants ${got}. Give \`username\` and \`password\` of an account that may delete`,
    );
  });
});
