import { afterEach, describe, expect, it } from '@jest/globals';

import { image } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { seed } from '../../support/clients/push.js';
import {
  errorAnswer,
  startClient,
  stopClients,
  tally,
  when,
} from '../../support/clients/client.js';

afterEach(stopClients);

const old = image('old');

/** Asks a registry that has `old`, or has not, and answers HEAD and GET with these if they are given. */
async function ask(has: boolean, head?: Action, get?: Action) {
  const client = await startClient();
  const headers: unknown[] = [];
  if (has) {
    seed(client.registry.state, 'team/app', old);
  }
  client.registry.intercept((request) => {
    headers.push(request.headers['cache-control']);
    return (
      when(/^HEAD/, head ?? { kind: 'pass' })(request) ??
      when(/^GET/, get ?? { kind: 'pass' })(request)
    );
  });
  const answer = client.isThere('team/app', old.digest);
  return { answer, registry: client.registry, headers };
}

describe('isThere', () => {
  it.each([true, false])('a manifest costs one HEAD, past all caches: %p', async (has) => {
    const { answer, registry, headers } = await ask(has);
    expect(await answer).toBe(has);
    expect(tally(registry)).toEqual({ 'HEAD manifest': 1 });
    expect(headers).toEqual(['no-cache']);
  });

  it.each<[string, Action]>([
    ['a 404 without a type', { kind: 'answer', status: 404 }],
    [
      'a 404 in plain text',
      { kind: 'answer', status: 404, headers: { 'Content-Type': 'text/plain' } },
    ],
    ['a 404 of a web server', { kind: 'html', status: 404 }],
    ['a registry without HEAD', { kind: 'answer', status: 405 }],
  ])('the reader asks by GET after %s', async (_, head) => {
    expect(await (await ask(true, head)).answer).toBe(true);
    const { answer, registry } = await ask(false, head);
    expect(await answer).toBe(false);
    expect(tally(registry)).toEqual({ 'HEAD manifest': 1, 'GET manifest': 1 });
  });

  it('the reader asks by GET once where a registry answers HEAD with a 404 in plain text', async () => {
    const { registry, isThere } = await startClient();
    const other = image('other');
    const headers = { 'Content-Type': 'text/plain; charset=utf-8' };
    registry.intercept(when(/^HEAD/, { kind: 'answer', status: 404, headers }));
    for (const { digest } of [old, other, old]) {
      expect(await isThere('team/app', digest)).toBe(false);
    }
    expect(tally(registry)).toEqual({ 'HEAD manifest': 3, 'GET manifest': 1 });
    // Another 404 is no proof.
    seed(registry.state, 'team/app', old);
    registry.intercept(when(/^HEAD/, { kind: 'answer', status: 404 }));
    expect(await isThere('team/app', old.digest)).toBe(true);
  });

  it.each<[string, Action, Action | undefined, RegExp]>([
    [
      '401',
      errorAnswer(401, 'UNAUTHORIZED'),
      undefined,
      /refused to check whether team\/app@sha256:\w+ is still there: 401/,
    ],
    ['403', errorAnswer(403, 'DENIED'), undefined, /403/],
    ['500', { kind: 'answer', status: 500 }, undefined, /answered 500/],
    ['a page', { kind: 'html' }, undefined, /with a body that isn't a registry's/],
    ['no answer', { kind: 'reset' }, undefined, /./],
    ['a web server twice', { kind: 'html', status: 404 }, { kind: 'html', status: 404 }, /404/],
    ['a page to GET', { kind: 'answer', status: 404 }, { kind: 'html' }, /200/],
    ['errors with a 200', { kind: 'answer', status: 404 }, errorAnswer(200, 'DENIED'), /DENIED/],
    [
      'a 404 that says something else',
      { kind: 'answer', status: 404 },
      errorAnswer(404, 'DENIED'),
      /DENIED/,
    ],
  ])('the answer is not known after %s', async (_, head, get, why) => {
    await expect((await ask(false, head, get)).answer).rejects.toThrow(why);
  });
});
