/** Real Pulp, one for all tests of a file, and the program's registry in front of it. */
import { afterAll, afterEach, beforeAll } from '@jest/globals';

import { systemClock, type Clock } from '../../../src/http/clock.js';
import { findRegistry, openRegistry } from '../../../src/registry/families/families.js';
import type { Found } from '../../../src/registry/families/families.js';
import type { Connection, Registry } from '../../../src/registry/registry.js';
import type { Content } from '../builders/build.js';
import { push, putManifest, send } from '../clients/push.js';
import { startPulp, type Pulp, type PulpProgram } from '../servers/pulp.js';
import { startRelay, type Relay } from '../servers/relay.js';
import { connect, run, type Ran, type RunOptions } from './run.js';

export interface Login {
  readonly username: string;
  readonly password: string;
}

export interface OpenOptions {
  readonly login?: Login;
  /** default: that of the machine, since a server does the work */
  readonly clock?: Clock;
}

/** Everything passes a relay, which tests may script; its script ends with each test. */
export interface PulpStage {
  readonly server: Pulp;
  readonly relay: Relay;
  /** a name that no other test has */
  repository(): string;
  connection(options?: OpenOptions): Connection;
  open(options?: OpenOptions): Registry;
  find(registryType?: string): Promise<Found>;
  clean(repository: string, more?: Partial<RunOptions>): Promise<Ran>;
  put(repository: string, content: Content, ...tags: readonly string[]): Promise<void>;
  /** Pushes the manifest alone, by its digest. */
  putByDigest(repository: string, content: Content): Promise<void>;
  /** the API, as the administrator. @throws Error unless it answers 2xx */
  api(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
  /** the distribution of this name, as the API has it */
  distribution(repository: string): Promise<Readonly<Record<string, string>>>;
  /** a new user, without any role */
  user(): Promise<Login>;
  /** whether it is in the latest version */
  isListed(repository: string, content: Content): Promise<boolean>;
  /** whether it can be pulled */
  isServed(repository: string, content: Content): Promise<boolean>;
}

export function stagePulp(program: PulpProgram | undefined): PulpStage {
  let started: { readonly server: Pulp; readonly relay: Relay } | undefined;
  let names = 0;
  const ended: (() => void)[] = [];
  const stage = () => {
    if (started === undefined) {
      throw new Error('Pulp has not been started');
    }
    return started;
  };
  beforeAll(async () => {
    if (program !== undefined) {
      const server = await startPulp(program);
      // Without the administrator's login: who asks shows an own one.
      started = { server, relay: await startRelay({ url: server.url }) };
    }
  }, 180_000);
  afterEach(() => {
    started?.relay.intercept();
    ended.splice(0).forEach((end) => {
      end();
    });
  });
  afterAll(async () => {
    await started?.relay.stop();
    await started?.server.stop();
  });

  const credentials = (login: Login) => ({ kind: 'basic', ...login }) as const;
  const wires = ({ login, clock = systemClock }: OpenOptions) => {
    const { relay, server } = stage();
    const { transport, quote } = connect({
      url: relay.url,
      credentials: credentials(login ?? server.admin),
      concurrency: 8,
      clock,
    });
    ended.push(() => {
      transport.close();
    });
    return { ...transport, quote };
  };
  const settings = (registryType: string) => ({
    registry: new URL(stage().relay.url),
    registryType,
  });
  const api: PulpStage['api'] = async (method, path, body) => {
    const answer = await send(stage().server, {
      method,
      path,
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
    });
    if (answer.status < 200 || answer.status > 299) {
      throw new Error(`${method} ${path}: ${String(answer.status)} ${answer.body.toString()}`);
    }
    return answer.body.length === 0 ? undefined : (JSON.parse(answer.body.toString()) as unknown);
  };
  const fresh = (what: string) => {
    names += 1;
    return `${what}-${String(names)}`;
  };
  return {
    get server() {
      return stage().server;
    },
    get relay() {
      return stage().relay;
    },
    repository: () => `team/${fresh('app')}`,
    connection: (options = {}) => ({
      ...wires(options),
      base: new URL(stage().relay.url),
      namespaces: [],
    }),
    open: (options = {}) => openRegistry(settings('pulp'), wires(options)),
    find: (registryType = 'auto') => findRegistry(settings(registryType), wires({})),
    clean: (repository, more = {}) =>
      run({
        url: stage().relay.url,
        registryType: 'pulp',
        credentials: credentials(stage().server.admin),
        repositories: [repository],
        candidates: new Map(),
        concurrency: 8,
        clock: systemClock,
        ...more,
      }),
    put: (repository, content, ...tags) => push(stage().server, repository, content, ...tags),
    putByDigest: (repository, content) =>
      putManifest(stage().server, repository, content, content.digest),
    api,
    async distribution(repository) {
      const query = `base_path=${encodeURIComponent(repository)}`;
      const found = (await api(
        'GET',
        `/pulp/api/v3/distributions/container/container/?${query}`,
      )) as { readonly results: readonly Readonly<Record<string, string>>[] };
      return found.results[0] ?? {};
    },
    async user() {
      const login = { username: fresh('user'), password: 'pass-word-1' };
      await api('POST', '/pulp/api/v3/users/', login);
      return login;
    },
    isListed: async (repository, { digest }) =>
      (await stage().server.listed()).has(`${repository}@${digest}`),
    isServed: async (repository, { digest }) =>
      (await stage().server.manifests()).has(`${repository}@${digest}`),
  };
}
