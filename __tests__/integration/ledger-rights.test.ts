/** The ledger where the account, or the registry, allows less than it needs. */
import { expect, it, jest } from '@jest/globals';

import { OLD } from '../support/builders/build.js';
import { expectQuiet, warningsOf } from '../support/clients/outcome.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistryOptions,
} from '../support/servers/docker-registry.js';
import { apart, entriesOf, LEDGER } from '../support/clients/ledger.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { type Version, cleanApp, make, named, release } from '../support/scenes/versions.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

describeWith('docker-registry', dockerRegistry, 'the ledger and the rights of an account', () => {
  const making = { created: OLD, hasReferrersApi: false };
  const [one, two] = ['v1', 'v2'].map((each) => make('single image', each, making)) as [
    Version,
    Version,
  ];
  const login = { username: USERNAME, password: PASSWORD };

  async function start(options: DockerRegistryOptions): Promise<RealRegistry> {
    return stopAfterTest(await startDockerRegistry(present(dockerRegistry), options));
  }

  it.each([
    { lacks: 'push rights', grants: `repository:${LEDGER}:pull` },
    { lacks: 'any rights', grants: undefined },
  ])(
    'is named in one warning where the account has not $lacks, and the rest is done',
    async ({ grants }) => {
      const registry = await start({
        auth: 'token',
        grant: (scope) => (scope.startsWith(`repository:${LEDGER}:`) ? grants : scope),
      });
      await release(registry, one);
      await release(registry, two);
      const run = await cleanApp(registry, { ...login, digests: [...named([one])].join('\n') });
      expect(warningsOf(run)).toEqual([
        expect.stringMatching(new RegExp(`^::warning::${LEDGER}: .*ledger`)),
      ]);
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
      expect(run.outputs).toMatchObject({ 'deleted-count': '1', 'failed-count': '0' });
      expect(registry.manifests()).toEqual(named([two]));
    },
  );

  it('says what to do about push rights that are missing', async () => {
    const registry = await start({
      auth: 'token',
      grant: (scope) => scope.replace(/^(repository:manifest-cleanup-ledger):.*/, '$1:pull'),
    });
    await release(registry, one);
    const run = await cleanApp(registry, login);
    const [warning, ...more] = warningsOf(run);
    expect(more).toEqual([]);
    expect(warning).toMatch(/`repository:manifest-cleanup-ledger:(?:pull,push|push,pull)`/);
    expect(warning).toContain('give it them');
    expect(warning).toContain('name a repository that it can push to in `ledger-repository`');
    expect(warning).toContain('`ledger-repository: off`');
    expect(run.exitCode).toBe(0);
    expect(run.summary).toContain(LEDGER);
  });

  it('is of use to an account that can only read it', async () => {
    let isLimited = false;
    const registry = await start({
      auth: 'token',
      grant: (scope) =>
        isLimited && scope.startsWith(`repository:${LEDGER}:`)
          ? `repository:${LEDGER}:pull`
          : scope,
    });
    await release(registry, one);
    expectQuiet(await cleanApp(registry, login));
    const entries = await entriesOf(registry);
    await release(registry, two);
    isLimited = true;
    const run = await cleanApp(registry, login);
    expect(warningsOf(run)).toHaveLength(1);
    expect(run.exitCode).toBe(0);
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toEqual(entries);
  });

  it('does not grow where nothing changes and its old entries can’t be deleted', async () => {
    const registry = await start({ deletes: false });
    await release(registry, one);
    await cleanApp(registry);
    await release(registry, two, { tag: 'next' });
    await cleanApp(registry);
    const entries = await entriesOf(registry);
    expect(entries).toHaveLength(2);
    for (let again = 0; again < 2; again += 1) {
      const run = await cleanApp(registry);
      expect(warningsOf(run)).toEqual([expect.stringContaining('entries of the ledger')]);
      expect(run.exitCode).toBe(0);
      expect(await entriesOf(registry)).toEqual(entries);
    }
  });

  it('has few entries, even if an orphan can’t be deleted for long', async () => {
    const registry = await start({ deletes: false });
    const sizes: number[] = [];
    await release(registry, one);
    await cleanApp(registry);
    await release(registry, two);
    for (let again = 0; again < 10; again += 1) {
      const run = await cleanApp(registry);
      expect(run.outputs).toMatchObject({ 'orphans-found': '1', 'failed-count': '1' });
      sizes.push((await entriesOf(registry)).length);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
    expect(sizes.at(-1)).toBe(sizes.at(-2));
    expect(apart(registry.manifests()).users).toEqual(named([one, two]));
  });
});
