/**
 * An in-memory registry with the real client in front of it, over HTTP. Time is a fake clock that jumps:
 * retries and pauses cost nothing.
 */
import { printable } from '../../../src/text/printable.js';
import type { Credentials } from '../../../src/http/credentials.js';
import type { Send } from '../../../src/http/message.js';
import { createTransport } from '../../../src/http/transport.js';
import { createPresence, type IsThere } from '../../../src/registry/distribution/presence.js';
import { createPusher, type RegistryPusher } from '../../../src/registry/distribution/pusher.js';
import { createReader, type RegistryReader } from '../../../src/registry/distribution/reader.js';
import { createWriter, type RegistryWriter } from '../../../src/registry/distribution/writer.js';
import { fakeClock } from '../scenes/fake-clock.js';
import type { MemoryRegistryOptions } from '../servers/memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../servers/memory/registry.js';
import { routeOf } from '../servers/memory/routes.js';
import type { Interceptor, SeenRequest, Action } from '../servers/memory/script.js';

export interface Client {
  readonly registry: MemoryRegistry;
  readonly base: URL;
  readonly send: Send;
  readonly reader: RegistryReader;
  readonly writer: RegistryWriter;
  readonly pusher: RegistryPusher;
  readonly isThere: IsThere;
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
  return {
    registry,
    base,
    send: transport.send,
    reader: createReader(transport.send, base, quote),
    writer: createWriter(transport.send, base, quote),
    pusher: createPusher(transport.send, base, quote),
    isThere: createPresence(transport.send, base, quote),
  };
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
