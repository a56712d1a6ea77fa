/** The bundled action against docker-registry in the modes that people run it in. */
import { describe, expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import {
  onDisk,
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistry,
  type DockerRegistryOptions,
} from '../support/servers/docker-registry.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { findDockerRegistry } from '../support/servers/programs.js';
import { push } from '../support/clients/push.js';

const program = findDockerRegistry();
const orphan = image('modes 1');
const kept = image('modes 2');
const login = { username: USERNAME, password: PASSWORD };

describeWith('docker-registry', program, 'modes of docker-registry', () => {
  async function start(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
    if (program === undefined) {
      throw new Error('unreachable: the block is skipped without the program');
    }
    return stopAfterTest(await startDockerRegistry(program, options));
  }

  /** A registry in which `team/app:latest` has moved from `orphan` to `kept`. */
  async function filled(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
    const registry = await start(options);
    await push(registry, 'team/app', orphan, 'latest');
    await push(registry, 'team/app', kept, 'latest');
    return registry;
  }

  const clean = (
    registry: DockerRegistry,
    inputs: Record<string, string> = {},
    env: Record<string, string> = {},
  ) =>
    runAction(
      { 'registry-url': registry.url, digests: `team/app@${orphan.digest}`, ...inputs },
      { env },
    );

  const both = new Set([`team/app@${orphan.digest}`, `team/app@${kept.digest}`]);
  const onlyKept = new Set([`team/app@${kept.digest}`]);

  async function expectCleaned(registry: DockerRegistry, run: ActionRun): Promise<void> {
    const { users, ledger } = apart(onDisk(registry.directory));
    expect(users).toEqual(onlyKept);
    expect(ledger.size).toBe(1);
    expect(await remembered(registry)).toEqual(byRepository(onlyKept));
    expect(run.log).not.toContain('::warning::');
    expect(run.exitCode).toBe(0);
  }

  /** What the run says of the ledger, and wants somebody to look at. */
  const ledgerWarnings = ({ log }: ActionRun) =>
    log.match(/^::warning::manifest-cleanup-ledger: .*$/gm) ?? [];

  function expectRefused(registry: DockerRegistry, run: ActionRun, ...words: string[]): void {
    expect(apart(onDisk(registry.directory)).users).toEqual(both);
    expect(run.exitCode).toBe(1);
    for (const word of words) {
      expect(run.log).toContain(word);
    }
  }

  it('a run says how to allow deletes where they are switched off', async () => {
    const registry = await filled({ deletes: false });
    const run = await clean(registry);
    expectRefused(
      registry,
      run,
      'REGISTRY_STORAGE_DELETE_ENABLED=true',
      'storage.delete.enabled',
      'pull-through cache',
    );
    expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
    expect(run.summary).toContain('REGISTRY_STORAGE_DELETE_ENABLED');
    expect(await remembered(registry)).toEqual(byRepository(both));
    expect(ledgerWarnings(run)).toEqual([]);
  });

  it('the next run says so again, and remembers the orphan', async () => {
    const registry = await filled({ deletes: false });
    await clean(registry);
    const run = await clean(registry, { digests: '' });
    expectRefused(registry, run, 'REGISTRY_STORAGE_DELETE_ENABLED=true');
    expect(run.outputs).toMatchObject({ 'orphans-found': '1', 'failed-count': '1' });
    // That it is still there is news, and the entry without that news can't be deleted either.
    expect(ledgerWarnings(run)).toEqual([expect.stringContaining('entries of the ledger')]);
  });

  it('a run warns that entries of the ledger stay where deletes are switched off, and loses none', async () => {
    const registry = await filled({ deletes: false });
    const seen = () => clean(registry, { digests: '' });
    await seen();
    await push(registry, 'team/app', image('modes 3'), 'next');
    for (const run of [await seen(), await seen()]) {
      expect(ledgerWarnings(run)).toEqual([expect.stringContaining('entries of the ledger')]);
      expect(run.exitCode).toBe(0);
      // The third run has nothing new to write.
      expect(apart(onDisk(registry.directory)).ledger.size).toBe(2);
    }
    await push(registry, 'team/app', orphan, 'next');
    const run = await clean(registry, { digests: '' });
    expect(run.outputs).toMatchObject({ 'orphans-found': '1', 'failed-count': '1' });
    expect(run.log).toContain(image('modes 3').digest);
  });

  it('a run says that a registry is read-only', async () => {
    const writable = await filled();
    const registry = await start({ readOnly: true, directory: writable.directory });
    const run = await clean(registry);
    expectRefused(registry, run, 'read-only', 'storage.maintenance.readonly');
    expect(ledgerWarnings(run)).toEqual([expect.stringMatching(/takes no pushes/)]);
    expect(onDisk(registry.directory)).toEqual(both);
  });

  it('a run knows a digest of a former input from the ledger of a registry that is now read-only', async () => {
    const writable = await filled();
    await clean(writable, { 'dry-run': 'true' });
    expect(apart(onDisk(writable.directory)).ledger.size).toBe(0);
    await clean(writable, { digests: '' });
    const moved = image('modes 4');
    await push(writable, 'team/app', moved, 'latest');
    const registry = await start({ readOnly: true, directory: writable.directory });
    const run = await clean(registry, { digests: '' });
    expect(run.exitCode).toBe(1);
    expect(run.outputs).toMatchObject({ 'orphans-found': '1', 'failed-count': '1' });
    expect(ledgerWarnings(run)).toHaveLength(1);
    // As the last run that could write left it.
    expect(await remembered(registry)).toEqual(byRepository(onlyKept));
  });

  describe('a run with htpasswd', () => {
    it('cleans with username and password', async () => {
      const registry = await filled({ auth: 'htpasswd' });
      const run = await clean(registry, login);
      await expectCleaned(registry, run);
      expect(run.log).not.toContain(PASSWORD);
    });

    it('says that the credentials are wrong, without showing them', async () => {
      const registry = await filled({ auth: 'htpasswd' });
      const run = await clean(registry, { ...login, password: 'hunter2-but-longer' });
      expectRefused(registry, run, '401', 'credentials were not accepted');
      expect(run.log).not.toContain('hunter2');
    });
  });

  describe('a run with a token server', () => {
    it('cleans with username and password', async () => {
      const registry = await filled({ auth: 'token' });
      const run = await clean(registry, login);
      expect(run.log).not.toContain('::error');
      await expectCleaned(registry, run);
    });

    it('names the scope that anonymous access lacks', async () => {
      const registry = await filled({ auth: 'token' });
      const run = await clean(registry, { repositories: 'team/app' });
      expectRefused(registry, run, '401', 'docker/login-action');
    });
  });

  describe('a run with TLS and a private CA', () => {
    it('cleans with `ca-file`', async () => {
      const registry = await filled({ tls: true });
      await expectCleaned(registry, await clean(registry, { 'ca-file': registry.caFile ?? '' }));
    });

    it('cleans with `insecure`', async () => {
      const registry = await filled({ tls: true });
      await expectCleaned(registry, await clean(registry, { insecure: 'true' }));
    });

    it('names both inputs when the certificate is not trusted', async () => {
      const registry = await filled({ tls: true });
      expectRefused(registry, await clean(registry), 'ca-file', 'insecure');
    });
  });
});
