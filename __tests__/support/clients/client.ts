/**
 * An in-memory registry with the real client in front of it, over HTTP. Time is a fake clock that jumps:
 * retries and pauses cost nothing.
 */
import { printable } from '../../../src/text/printable.js';
import { systemClock } from '../../../src/http/clock.js';
import type { Credentials } from '../../../src/http/credentials.js';
import type { Send } from '../../../src/http/message.js';
import { createTransport } from '../../../src/http/transport.js';
import { Client as ApiClient } from '../../../src/registry/distribution/client.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import type {
  Connection,
  Deleter,
  Pusher,
  Reader,
  Registry,
  Rights,
} from '../../../src/registry/registry.js';
import { OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { fakeClock } from '../scenes/fake-clock.js';
import type { MemoryRegistryOptions } from '../servers/memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../servers/memory/registry.js';
import { routeOf } from '../servers/memory/routes.js';
import type { Interceptor, SeenRequest, Action } from '../servers/memory/script.js';

export interface Client {
  readonly registry: MemoryRegistry;
  readonly base: URL;
  readonly send: Send;
  readonly reader: Reader;
  readonly deleter: Deleter;
  readonly pusher: Pusher;
  readonly isThere: Reader['isThere'];
  readonly rights: Rights;
  readonly repositories: Registry['repositories'];
}

const started: (() => Promise<void>)[] = [];

export async function startClient(
  options: MemoryRegistryOptions = {},
  credentials: Credentials = { kind: 'none' },
): Promise<Client> {
  const registry = await startMemoryRegistry(options);
  const base = new URL(registry.url);
  const transport = createTransport({
    registry: base,
    credentials,
    concurrency: 16,
    insecure: false,
    userAgent: 'tests',
    mask: () => undefined,
    clock: fakeClock({ auto: true }),
    random: () => 0,
  });
  started.push(async () => {
    transport.close();
    await registry.stop();
  });
  const quote = (text: string) => printable(text, 300);
  const opened = openRegistry({ registry: base, registryType: 'auto' }, { ...transport, quote });
  const { reader, deleter, pusher, rights } = opened;
  return {
    registry,
    base,
    send: transport.send,
    reader,
    deleter,
    pusher,
    isThere: (repository, digest) => reader.isThere(repository, digest),
    rights,
    repositories: () => opened.repositories(),
  };
}

/** What a connection has besides its `send`, where no transport is behind it. */
export const STAND_ALONE: Omit<Connection, 'send' | 'base' | 'namespaces'> = {
  quote: printable,
  granted: () => Promise.resolve({ kind: 'unknown' }),
  quota: () => undefined,
  clock: systemClock,
};

/** The client of the distribution API over a `send` that a test plays. */
export function apiClient(send: Send, base: string): ApiClient {
  const advice = { allowDeletes: '', freeDisk: '', keepBlobs: '', restore: '' };
  const connection = { ...STAND_ALONE, base: new URL(base), namespaces: [] };
  return new ApiClient({ ...connection, send }, advice);
}

/** For `afterEach`. */
export async function stopClients(): Promise<void> {
  await Promise.all(started.splice(0).map((stop) => stop()));
}

/** How many requests of each kind were sent, such as `GET manifest`. */
export function tally({ requests }: MemoryRegistry): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method, path } of requests) {
    const kind = `${method} ${routeOf(path.split('?', 1)[0] ?? '').kind}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** The script that does `action` to the requests whose `METHOD path` matches. */
export function when(
  pattern: RegExp | string,
  action: Action | ((request: SeenRequest) => Action | undefined),
): Interceptor {
  return (request) => {
    const line = `${request.method} ${request.path}`;
    const matches = typeof pattern === 'string' ? line === pattern : pattern.test(line);
    return matches ? (typeof action === 'function' ? action(request) : action) : undefined;
  };
}

/** An answer in a registry's error format. */
export function errorAnswer(status: number, code: string, message = ''): Action {
  return {
    kind: 'answer',
    status,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ errors: [{ code, message }] }),
  };
}

/** A 200 with this value as JSON. */
export function jsonAnswer(value: unknown, headers: Record<string, string> = {}): Action {
  return {
    kind: 'answer',
    status: 200,
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(value),
  };
}

/** A 200 with this body, of a manifest unless told. */
export const rewritten = (body: string, mediaType = OCI_MANIFEST): Action => ({
  kind: 'answer',
  status: 200,
  headers: { 'Content-Type': mediaType },
  body,
});
