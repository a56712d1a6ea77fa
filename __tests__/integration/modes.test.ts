/** The bundled action against docker-registry in the modes that people run it in. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../bundle/run-action.js';
import { image } from '../registries/build.js';
import {
  onDisk,
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistry,
  type DockerRegistryOptions,
} from '../registries/docker-registry.js';
import { describeWith } from '../registries/describe-with.js';
import { findDockerRegistry } from '../registries/programs.js';
import { push } from '../registries/push.js';

const program = findDockerRegistry();
const orphan = image('modes 1');
const kept = image('modes 2');
const login = { username: USERNAME, password: PASSWORD };

describeWith('docker-registry', program, 'modes of docker-registry', () => {
  const running: DockerRegistry[] = [];

  async function start(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
    if (program === undefined) {
      throw new Error('unreachable: the block is skipped without the program');
    }
    const registry = await startDockerRegistry(program, options);
    running.push(registry);
    return registry;
  }

  /** A registry in which `team/app:latest` has moved from `orphan` to `kept`. */
  async function filled(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
    const registry = await start(options);
    await push(registry, 'team/app', orphan, 'latest');
    await push(registry, 'team/app', kept, 'latest');
    return registry;
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((registry) => registry.stop()));
  });

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

  function expectRefused(registry: DockerRegistry, run: ActionRun, ...words: string[]): void {
    expect(onDisk(registry.directory)).toEqual(both);
    expect(run.exitCode).toBe(1);
    for (const word of words) {
      expect(run.log).toContain(word);
    }
  }

  it('says how to allow deletes where they are switched off', async () => {
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
  });

  it('says that a registry is read-only', async () => {
    const writable = await filled();
    const registry = await start({ readOnly: true, directory: writable.directory });
    expectRefused(registry, await clean(registry), 'read-only', 'storage.maintenance.readonly');
  });

  describe('with htpasswd', () => {
    it('cleans with username and password', async () => {
      const registry = await filled({ auth: 'htpasswd' });
      const run = await clean(registry, login);
      expect(onDisk(registry.directory)).toEqual(onlyKept);
      expect(run.exitCode).toBe(0);
      expect(run.log).not.toContain(PASSWORD);
    });

    it('says that the credentials are wrong, without showing them', async () => {
      const registry = await filled({ auth: 'htpasswd' });
      const run = await clean(registry, { ...login, password: 'hunter2-but-longer' });
      expectRefused(registry, run, '401', 'credentials were not accepted');
      expect(run.log).not.toContain('hunter2');
    });
  });

  describe('with a token server', () => {
    it('cleans with username and password', async () => {
      const registry = await filled({ auth: 'token' });
      const run = await clean(registry, login);
      expect(run.log).not.toContain('::error');
      expect(onDisk(registry.directory)).toEqual(onlyKept);
      expect(run.exitCode).toBe(0);
    });

    it('names the scope that anonymous access lacks', async () => {
      const registry = await filled({ auth: 'token' });
      const run = await clean(registry, { repositories: 'team/app' });
      expectRefused(registry, run, '401', 'docker/login-action');
    });
  });

  describe('with TLS and a private CA', () => {
    it('cleans with `ca-file`', async () => {
      const registry = await filled({ tls: true });
      const run = await clean(registry, { 'ca-file': registry.caFile ?? '' });
      expect(onDisk(registry.directory)).toEqual(onlyKept);
      expect(run.exitCode).toBe(0);
    });

    it('cleans with `insecure`', async () => {
      const registry = await filled({ tls: true });
      const run = await clean(registry, { insecure: 'true' });
      expect(onDisk(registry.directory)).toEqual(onlyKept);
      expect(run.exitCode).toBe(0);
    });

    it('names both inputs when the certificate is not trusted', async () => {
      const registry = await filled({ tls: true });
      expectRefused(registry, await clean(registry), 'ca-file', 'insecure');
    });
  });
});
