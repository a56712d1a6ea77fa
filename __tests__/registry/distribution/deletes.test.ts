import { afterEach, describe, expect, it } from '@jest/globals';

import { image } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, startClient, stopClients, when } from '../../support/clients/client.js';

afterEach(stopClients);

const old = image('old');

/** What olareg 0.2.1 sends with `--store-ro`, its text/plain included. */
const READ_ONLY: Action = {
  kind: 'answer',
  status: 403,
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  body:
    '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied",' +
    '"detail":"repository is read-only"}]}\n',
};

describe('deleteManifest', () => {
  it('deletes by digest', async () => {
    const { registry, deleter } = await startClient();
    seed(registry.state, 'team/app', old, 'v1');
    expect(await deleter.deleteManifest('team/app', old.digest)).toBe('deleted');
    expect(registry.requests.map(({ method, path }) => [method, path])).toEqual([
      ['DELETE', `/v2/team/app/manifests/${old.digest}`],
    ]);
    expect(registry.state.repositories.get('team/app')?.manifests.size).toBe(0);
  });

  it('asks for a token that may delete', async () => {
    const auth = { kind: 'token', username: 'u', password: 'p' } as const;
    const login = { kind: 'basic', username: 'u', password: 'p' } as const;
    const { registry, deleter } = await startClient({ auth }, login);
    seed(registry.state, 'team/app', old);
    expect(await deleter.deleteManifest('team/app', old.digest)).toBe('deleted');
    expect(registry.requests.find(({ path }) => path.startsWith('/token'))?.path).toMatch(
      /scope=repository(?::|%3A)team(?:\/|%2F)app(?::|%3A)pull(?:,|%2C)delete/,
    );
  });

  it.each([200, 202, 204])('%i: deleted', async (status) => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, { kind: 'answer', status }));
    expect(await deleter.deleteManifest('team/app', old.digest)).toBe('deleted');
  });

  it.each(['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'])('404 %s: gone', async (code) => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, errorAnswer(404, code)));
    expect(await deleter.deleteManifest('team/app', old.digest)).toBe('gone');
  });

  it.each<[string, Action, RegExp]>([
    [
      '200 with an error',
      errorAnswer(200, 'DENIED', 'no rights'),
      /answered 200 \(DENIED no rights\)/,
    ],
    ['202 with an error', errorAnswer(202, 'UNSUPPORTED'), /answered 202 \(UNSUPPORTED\)/],
    ['errors in another form', { kind: 'answer', status: 200, body: '{"errors":["no"]}' }, /200/],
    ['a page', { kind: 'html' }, /200/],
    [
      'a page that says to be something else',
      {
        kind: 'answer',
        status: 202,
        body: '\n<!DOCTYPE html>',
        headers: { 'Content-Type': 'text/plain' },
      },
      /202/,
    ],
    [
      'XHTML',
      {
        kind: 'answer',
        status: 200,
        body: '.',
        headers: { 'Content-Type': 'application/xhtml+xml' },
      },
      /200/,
    ],
  ])('the answer %s is no success', async (_, action, why) => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, action));
    await expect(deleter.deleteManifest('team/app', old.digest)).rejects.toThrow(why);
  });

  it.each(['', '{}', '{"errors":[]}', '{"status":"ok"}', 'deleted'])(
    '202 with the body %j is one',
    async (body) => {
      const { registry, deleter } = await startClient();
      registry.intercept(when(/^DELETE/, { kind: 'answer', status: 202, body }));
      expect(await deleter.deleteManifest('team/app', old.digest)).toBe('deleted');
    },
  );

  it('404 NAME_UNKNOWN of a repository that is known to be there is an answer of its own', async () => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, errorAnswer(404, 'NAME_UNKNOWN')));
    await expect(
      deleter.deleteManifest('team/app', old.digest, { isHere: true }),
    ).rejects.toMatchObject({
      kind: 'hidden',
      message: expect.stringMatching(/NAME_UNKNOWN.*\[answers-contradict\]$/),
    });
    registry.intercept(when(/^DELETE/, errorAnswer(404, 'MANIFEST_UNKNOWN')));
    expect(await deleter.deleteManifest('team/app', old.digest, { isHere: true })).toBe('gone');
  });

  it.each<[string, Action, string, string]>([
    ['404 without a code', { kind: 'answer', status: 404 }, 'not-a-registry', 'registry-url'],
    ['405 UNSUPPORTED', errorAnswer(405, 'UNSUPPORTED'), 'deletes-off', 'pull-through'],
    ['405', { kind: 'answer', status: 405, body: 'no' }, 'read-only', 'read-only'],
    ['403 read-only', READ_ONLY, 'read-only', '--store-ro'],
    ['403', errorAnswer(403, 'DENIED'), 'forbidden', 'repository:team/app:pull,delete'],
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'unauthorized', 'repository:team/app:pull,delete'],
    [
      '301: a delete never repeats itself elsewhere',
      { kind: 'answer', status: 301, headers: { Location: '/x' } },
      'not-a-registry',
      '301',
    ],
    ['409', errorAnswer(409, 'TAG_IMMUTABLE', 'locked'), 'unexpected', 'TAG_IMMUTABLE locked'],
    ['500', errorAnswer(500, 'UNKNOWN'), 'unexpected', '500'],
  ])('the delete fails: %s', async (_, action, kind, words) => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, action));
    await expect(deleter.deleteManifest('team/app', old.digest)).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(words),
    });
    await expect(deleter.deleteManifest('team/app', old.digest)).rejects.toThrow(
      `delete team/app@${old.digest}`,
    );
  });

  it('no answer', async () => {
    const { registry, deleter } = await startClient();
    registry.intercept(when(/^DELETE/, { kind: 'reset' }));
    await expect(deleter.deleteManifest('team/app', old.digest)).rejects.toMatchObject({
      name: 'TransportError',
      kind: 'reset',
    });
  });
});
