/** The bundled action against a registry that misbehaves: red, or right, and never green and half done. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { image, index, LINUX_ARM64 } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action } from '../support/servers/memory/script.js';
import { seed } from '../support/clients/push.js';
import { runAction } from '../support/clients/run-action.js';

const orphan = image('faults 1');
const kept = image('faults 2');
const child = image('faults 3', { platform: LINUX_ARM64 });
const multi = index([child, kept]);

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  for (const repository of ['team/broken', 'team/fine']) {
    seed(registry.state, repository, orphan, 'v1');
    seed(registry.state, repository, kept, 'v1', 'v2');
    seed(registry.state, repository, multi, 'multi');
  }
});

afterEach(() => registry.stop());

const manifestsOf = (repository: string) =>
  new Set(registry.state.repositories.get(repository)?.manifests.keys());
const everything = new Set([orphan, kept, child, multi].map(({ digest }) => digest));
const cleaned = new Set([kept, child, multi].map(({ digest }) => digest));

const clean = (inputs: Record<string, string> = {}) =>
  runAction({
    'registry-url': registry.url,
    digests: `team/broken@${orphan.digest}\nteam/fine@${orphan.digest}`,
    ...inputs,
  });

const faults: readonly { name: string; action: Action; says: string }[] = [
  { name: '500', action: { kind: 'answer', status: 500 }, says: '500' },
  { name: '403', action: { kind: 'answer', status: 403 }, says: '403' },
  { name: 'HTML', action: { kind: 'html' }, says: 'text/html' },
  { name: 'an HTML 404', action: { kind: 'html', status: 404 }, says: '404' },
  { name: 'a cut-off body', action: { kind: 'truncate' }, says: 'cut off' },
  { name: 'a reset', action: { kind: 'reset' }, says: 'ECONNRESET' },
];

const tag = '/v2/team/broken/manifests/v1';
// The faults that aren't retried are enough for the other places: retries take their time.
const elsewhere = [
  { what: 'a child of an index', path: `/v2/team/broken/manifests/${child.digest}` },
  { what: 'a candidate', path: `/v2/team/broken/manifests/${orphan.digest}` },
  { what: 'the list of tags', path: '/v2/team/broken/tags/list' },
].flatMap((place) =>
  faults
    .filter(({ name }) => ['403', 'HTML', 'an HTML 404'].includes(name))
    .map((fault) => ({ ...place, ...fault })),
);

describe('gap-blocks: a fault leaves its repository whole, the other cleaned and the job red', () => {
  it.each([...faults.map((fault) => ({ what: 'a tag', path: tag, ...fault })), ...elsewhere])(
    '$what that answers with $name',
    async ({ path, action, says }) => {
      registry.intercept((request) => (request.path === path ? action : undefined));
      const run = await clean();
      expect(manifestsOf('team/broken')).toEqual(everything);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.exitCode).toBe(1);
      expect(run.log).toMatch(/^::error::team\/broken: /m);
      expect(run.log).toContain(says);
      expect(run.outputs).toMatchObject({ 'deleted-count': '1' });
    },
    60_000,
  );
});

it('red-or-right: a run has the same result with 429s, 503s and resets in between', async () => {
  // Every third request fails at its first attempt, each in another way.
  const faulty: readonly Action[] = [
    { kind: 'answer', status: 429, headers: { 'Retry-After': '0' } },
    { kind: 'answer', status: 503 },
    { kind: 'reset' },
    { kind: 'truncate' },
    { kind: 'answer', status: 502 },
  ];
  let sent = 0;
  registry.intercept(({ attempt, n }) => {
    if (n % 3 !== 0 || attempt > 1) {
      return undefined;
    }
    sent += 1;
    return faulty[sent % faulty.length];
  });
  const run = await clean();
  expect(sent).toBeGreaterThan(faulty.length);
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject({ 'deleted-count': '2', 'failed-count': '0' });
  expect(manifestsOf('team/broken')).toEqual(cleaned);
  expect(manifestsOf('team/fine')).toEqual(cleaned);
}, 60_000);

it('red-or-right: a run is red when a delete gets a 500, and still deletes elsewhere', async () => {
  registry.intercept(({ method, path }) =>
    method === 'DELETE' && path.includes('team/broken')
      ? { kind: 'answer', status: 500 }
      : undefined,
  );
  const run = await clean();
  expect(run.exitCode).toBe(1);
  expect(run.outputs).toMatchObject({ 'deleted-count': '1', 'failed-count': '1' });
  expect(manifestsOf('team/fine')).toEqual(cleaned);
}, 60_000);

it('red-or-right: a run is red when a kept manifest is absent after the sweep', async () => {
  registry.intercept(({ method, path }) => {
    if (method === 'DELETE' && path.includes('team/broken')) {
      // Somebody else's doing, in the same second.
      registry.state.repositories.get('team/broken')?.manifests.delete(child.digest);
    }
    return undefined;
  });
  const run = await clean();
  expect(run.exitCode).toBe(1);
  expect(run.log).toMatch(new RegExp(`::error::team/broken: manifest ${child.digest}`));
  expect(run.summary).toContain(child.digest);
});

it('red-or-right: a run is red when the catalog is refused, and names the input that does without it', async () => {
  registry.intercept(({ path }) =>
    path.startsWith('/v2/_catalog')
      ? { kind: 'answer', status: 403, body: '{"errors":[{"code":"DENIED"}]}' }
      : undefined,
  );
  const refused = await clean();
  expect(refused.exitCode).toBe(1);
  expect(refused.log).toContain('`repositories`');
  expect(manifestsOf('team/fine')).toEqual(everything);
  const named = await clean({ repositories: 'team/fine' });
  expect(named.exitCode).toBe(0);
  expect(manifestsOf('team/fine')).toEqual(cleaned);
  expect(manifestsOf('team/broken')).toEqual(everything);
});

it('red-or-right: a run is red when nothing at the address is a registry', async () => {
  registry.intercept(() => ({ kind: 'html' }));
  const run = await clean();
  expect(run.exitCode).toBe(1);
  expect(run.log).toContain('registry-url');
});

it('red-or-right: a run is red when nothing listens at the address', async () => {
  const { url } = registry;
  await registry.stop();
  const run = await clean({ 'registry-url': url });
  expect(run.exitCode).toBe(1);
  expect(run.log).toContain('::error::');
  registry = await startMemoryRegistry();
}, 60_000);
