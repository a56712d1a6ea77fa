/**
 * Servers that have no time, to the last try: the bundled action says how often it asked and what to do, and what it could
 * not read costs nothing that is in use.
 */
import { readFileSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action, Interceptor } from '../support/servers/memory/script.js';
import { seed } from '../support/clients/push.js';
import { hurried } from '../support/clients/hurry.js';

const DOCS = readFileSync(
  new URL('../../docs/troubleshooting.md', import.meta.url),
  'utf8',
).replace(/\s+/g, ' ');

const kept = image('waiting kept');
const orphan = image('waiting orphan');
const PATIENT = ['team/app', 'team/other'];

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  for (const repository of PATIENT) {
    seed(registry.state, repository, kept, 'v1');
    seed(registry.state, repository, orphan);
  }
});

afterEach(() => registry.stop());

const clean = (inputs: Record<string, string> = {}) =>
  runAction(
    {
      'registry-url': registry.url,
      repositories: PATIENT.join('\n'),
      digests: PATIENT.map((repository) => `${repository}@${orphan.digest}`).join('\n'),
      'grace-period': '0',
      ...inputs,
    },
    hurried,
  );

const manifestsOf = (repository: string) =>
  new Set(registry.state.repositories.get(repository)?.manifests.keys());

/** @param heading words that docs/troubleshooting.md has. Nothing has gone from `team/app`, and the other is clean. */
function expectGap(run: ActionRun, heading: string, ...words: string[]): void {
  expect(run.exitCode).toBe(1);
  for (const word of [heading, ...words]) {
    expect(run.log).toContain(word);
  }
  expect(DOCS.includes(heading)).toBe(true);
  expect(manifestsOf('team/app')).toEqual(new Set([kept.digest, orphan.digest]));
  expect(manifestsOf('team/other')).toEqual(new Set([kept.digest]));
}

/** For the tag of `team/app`, each time; the requests are counted. */
function always(action: Action, path = /^\/v2\/team\/app\/manifests\/v1$/): { times: number } {
  const seen = { times: 0 };
  const interceptor: Interceptor = (request) => {
    if (!path.test(request.path)) {
      return undefined;
    }
    seen.times += 1;
    return action;
  };
  registry.intercept(interceptor);
  return seen;
}

describe('a try that always gets the same answer', () => {
  it.each([
    [500, 3],
    [502, 6],
    [503, 6],
    [504, 6],
  ])('is repeated and then reported: %d', async (status, tries) => {
    const seen = always({ kind: 'html', status });
    expectGap(
      await clean(),
      'is overloaded, restarting or broken',
      `could not read team/app:v1: the registry answered ${String(status)} to each of ${String(tries)} tries`,
      'see its log, and run this again',
    );
    expect(seen.times).toBe(tries);
  });

  it.each<Record<string, string>>([{}, { 'Retry-After': '1' }])(
    'is repeated and then reported: 429 with %j',
    async (headers) => {
      const body = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}';
      const seen = always({ kind: 'answer', status: 429, headers, body });
      expectGap(
        await clean(),
        'It takes fewer requests than were sent',
        '429 (TOOMANYREQUESTS slow down) to each of 10 tries',
        'lower `concurrency`',
      );
      expect(seen.times).toBe(10);
    },
  );

  it('is repeated and then reported: a connection that breaks off', async () => {
    const seen = always({ kind: 'reset' });
    expectGap(await clean(), 'the connection broke off before an answer came', 'team/app');
    expect(seen.times).toBe(6);
  });

  it('is repeated and then reported: a body that is cut off', async () => {
    const seen = always({ kind: 'truncate' });
    expectGap(await clean(), 'the body was cut off after', 'team/app/manifests/v1');
    expect(seen.times).toBe(6);
  });
});

describe('pauses that a server asks for', () => {
  const pause: Action = { kind: 'answer', status: 429, headers: { 'Retry-After': '120' } };

  it('are kept for a quarter of an hour for one request', async () => {
    const seen = always(pause);
    expectGap(await clean(), 'It was not tried again', 'the run waited 15 minutes for it');
    expect(seen.times).toBe(8);
  });

  it('are kept for two hours in a run, which then tells what it could not read', async () => {
    const tags = Array.from({ length: 40 }, (_, n) => `v${String(n)}`);
    seed(registry.state, 'team/app', kept, ...tags);
    const seen = always(pause, /^\/v2\/team\/app\/manifests\/v\d+$/);
    const run = await clean({ concurrency: '1' });
    expectGap(
      run,
      'It was not tried again',
      'this run has waited for 120 minutes in all',
      'Lower `concurrency`',
    );
    // 60 pauses are two hours.
    expect(seen.times).toBeLessThan(120);
  });
});

describe('a catalog that fails', () => {
  const inputs = { repositories: 'team/*' };

  it.each<[string, Action]>([
    ...[500, 502, 503, 504].map((status): [string, Action] => [
      String(status),
      { kind: 'html', status },
    ]),
    ['a connection that breaks off', { kind: 'reset' }],
    ['a body that is cut off', { kind: 'truncate' }],
  ])('is asked for 100 a page after 1,000: %s', async (_, action) => {
    const sizes: (string | null)[] = [];
    registry.intercept(({ path }) => {
      const { pathname, searchParams } = new URL(path, registry.url);
      if (pathname !== '/v2/_catalog') {
        return undefined;
      }
      const size = searchParams.get('n');
      sizes.push(size);
      return size === '1000' ? action : undefined;
    });
    const run = await clean(inputs);
    expect(run.log).not.toContain('::error');
    expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '2' } });
    expect(sizes).toEqual(['1000', '1000', '100']);
  });

  it('is reported where 100 a page fail as well, with how to do without', async () => {
    const seen = always({ kind: 'html', status: 504 }, /^\/v2\/_catalog/);
    const run = await clean(inputs);
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain('could not list the repositories (`_catalog`)');
    expect(run.log).toContain('Without the catalog, name the repositories in `repositories`');
    expect(DOCS.includes('### `Without the catalog, name the repositories`')).toBe(true);
    expect(manifestsOf('team/app')).toEqual(new Set([kept.digest, orphan.digest]));
    expect(seen.times).toBe(2 + 6);
  });
});
