/**
 * Registries that take no deletes, or not from these credentials: a dry-run tells what it can find out without
 * a DELETE, and a real run finds out before its first change. A gate in front of the registry saw what was sent.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startDistribution3 } from '../support/servers/distribution.js';
import { PASSWORD, startDockerRegistry, USERNAME } from '../support/servers/docker-registry.js';
import { startGate, type Gate } from '../support/servers/gate.js';
import { apart, LEDGER } from '../support/clients/ledger.js';
import { startOlareg } from '../support/servers/olareg.js';
import { push } from '../support/clients/push.js';
import {
  distribution3,
  dockerRegistry,
  olareg,
  present,
} from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

const REPOSITORIES = ['team/app', 'team/other'];
const [orphan, kept] = [image('rights 1'), image('rights 2')];
const named = (content: { digest: string }, ...repositories: string[]) =>
  repositories.map((repository) => `${repository}@${content.digest}`);

/** Two repositories in which `latest` has moved on. */
async function filled<T extends RealRegistry>(starting: Promise<T>): Promise<T> {
  const registry = stopAfterTest(await starting);
  for (const repository of REPOSITORIES) {
    await push(registry, repository, orphan, 'latest');
    await push(registry, repository, kept, 'latest');
  }
  return registry;
}

async function gateTo(registry: RealRegistry): Promise<Gate> {
  return stopAfterTest(await startGate(registry.url));
}

const clean = (gate: Gate, inputs: Record<string, string> = {}) =>
  runAction({
    'registry-url': gate.url,
    repositories: REPOSITORIES.join('\n'),
    digests: named(orphan, ...REPOSITORIES).join('\n'),
    ...inputs,
  });

const sent = (gate: Gate, ...methods: readonly string[]) =>
  gate.requests.filter(({ method }) => methods.includes(method)).map(({ path }) => path);

const lines = (log: string, kind: 'error' | 'warning') =>
  log.match(new RegExp(`^::${kind}::.*$`, 'gm')) ?? [];

const everything = new Set([...named(orphan, ...REPOSITORIES), ...named(kept, ...REPOSITORIES)]);

const tokenRegistries = [
  { name: 'docker-registry', program: dockerRegistry },
  { name: 'distribution-3', program: distribution3 },
] as const;

describe.each(tokenRegistries)('$name', ({ name, program }) => {
  describeWith(
    name,
    program,
    'rights-first: with credentials that may not delete everywhere',
    () => {
      const login = { username: USERNAME, password: PASSWORD };
      let registry: RealRegistry;
      let gate: Gate;

      beforeEach(async () => {
        const grant = (scope: string) =>
          scope.startsWith('repository:team/app:') ? scope.replace(/,?delete/, '') : scope;
        registry = await filled(startDockerRegistry(present(program), { auth: 'token', grant }));
        gate = await gateTo(registry);
      });

      it('a dry-run says where, changes nothing and sends no DELETE', async () => {
        const run = await clean(gate, { ...login, 'dry-run': 'true' });
        const what = "these credentials can't delete in team/app";
        expect(lines(run.log, 'warning')).toEqual([
          expect.stringContaining(`a real run would delete nothing there: ${what}: asked for`),
        ]);
        expect(run.log).toContain('the token server grants only `pull` there');
        expect(run.summary).toMatch(/these credentials can't delete in `?team\/app/);
        expect(run.summary).not.toMatch(/can't delete in `?team\/other/);
        expect(run.log).not.toContain('::error');
        expect(run.exitCode).toBe(0);
        expect(run.outputs).toMatchObject({ 'orphans-found': '2', 'deleted-count': '0' });
        expect(run.report).toMatchObject({
          totals: { planned: 1, refused: 1, failed: 0 },
          repositories: [
            { repository: 'team/app', refusal: { kind: 'no-rights' } },
            expect.not.objectContaining({ refusal: expect.anything() }),
          ],
        });
        expect(sent(gate, 'DELETE', 'PUT', 'POST', 'PATCH')).toEqual([]);
        expect(registry.manifests()).toEqual(everything);
      });

      it('a dry-run does not warn of credentials that may delete everywhere', async () => {
        const other = await filled(startDockerRegistry(present(program), { auth: 'token' }));
        const run = await clean(await gateTo(other), { ...login, 'dry-run': 'true' });
        expect(run.log).not.toContain("can't delete");
        expect(lines(run.log, 'warning')).toEqual([]);
        expect(run.report).toMatchObject({ totals: { planned: 2, refused: 0 } });
      });

      it('a real run is red for that repository, and cleans the other', async () => {
        const run = await clean(gate, login);
        expect(run.exitCode).toBe(1);
        const errors = lines(run.log, 'error');
        expect(errors).toEqual([
          expect.stringMatching(/^::error::team\/app: .*couldn't be deleted/),
        ]);
        expect(errors[0]).toContain('The credentials lack the scope');
        expect(run.outputs).toMatchObject({ 'deleted-count': '1', 'failed-count': '1' });
        expect(apart(registry.manifests()).users).toEqual(
          new Set([...named(orphan, 'team/app'), ...named(kept, ...REPOSITORIES)]),
        );
        expect(run.log).not.toContain(PASSWORD);
      });
    },
  );
});

interface Mode {
  readonly deletes?: boolean;
  readonly readOnly?: boolean;
  readonly directory?: string;
}

const all = [
  {
    name: 'docker-registry',
    program: dockerRegistry,
    start: (mode: Mode): Promise<RealRegistry> =>
      startDockerRegistry(present(dockerRegistry), mode),
  },
  {
    name: 'distribution-3',
    program: distribution3,
    start: (mode: Mode): Promise<RealRegistry> => startDistribution3(present(distribution3), mode),
  },
  {
    name: 'olareg',
    program: olareg,
    start: (mode: Mode): Promise<RealRegistry> => startOlareg(present(olareg), mode),
  },
] as const;

describe.each(all)('$name', ({ name, program, start }) => {
  const off = () => filled(start({ deletes: false }));
  const readOnly = async () => {
    const { directory } = await filled(start({}));
    return stopAfterTest(await start({ readOnly: true, directory }));
  };

  describeWith(name, program, 'rights-first: without deletes', () => {
    it.each<[string, () => Promise<RealRegistry>, string]>([
      ['deletes off', off, 'Deleting is switched off there'],
      ['read-only', readOnly, 'read-only'],
    ])('%s: a real run ends before its first change', async (_mode, starting, why) => {
      const registry = await starting();
      const gate = await gateTo(registry);
      const run = await clean(gate);
      expect(run.exitCode).toBe(1);
      const errors = lines(run.log, 'error');
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain('this registry refuses deletes, and nothing was deleted: ');
      expect(errors[0]).toContain(why);
      expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '2' });
      expect(run.summary).toContain('this registry refuses deletes');
      // The only one is for what can't be there.
      const [probe = '', ...others] = sent(gate, 'DELETE');
      expect(others).toEqual([]);
      expect(probe).toMatch(/^\/v2\/team\/app\/manifests\/sha256:[0-9a-f]{64}$/);
      expect([orphan, kept].some(({ digest }) => probe.endsWith(digest))).toBe(false);
      expect(sent(gate, 'PUT', 'POST').filter((path) => !path.includes(`/${LEDGER}/`))).toEqual([]);
      expect(apart(registry.manifests()).users).toEqual(everything);
    });

    it.each([
      ['deletes off', off],
      ['read-only', readOnly],
    ])('%s: a dry-run says that it does not know', async (_mode, starting) => {
      const registry = await starting();
      const gate = await gateTo(registry);
      const run = await clean(gate, { 'dry-run': 'true' });
      expect(run.exitCode).toBe(0);
      for (const text of [run.log, run.summary]) {
        expect(text).toContain('it does not know whether the registry takes any');
      }
      expect(run.outputs).toMatchObject({ 'orphans-found': '2', 'deleted-count': '0' });
      expect(sent(gate, 'DELETE', 'PUT', 'POST', 'PATCH')).toEqual([]);
      expect(registry.manifests()).toEqual(everything);
    });

    it('no run asks about rights where there is nothing to delete', async () => {
      const gate = await gateTo(await off());
      const run = await clean(gate, { digests: '' });
      expect(run.exitCode).toBe(0);
      expect(sent(gate, 'DELETE')).toEqual([]);
    });
  });
});
