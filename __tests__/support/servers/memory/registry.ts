/**
 * A registry in memory, on node:http, that answers like Distribution 2.8.2 (the differential test holds it
 * to that) and can be scripted. It listens on 127.0.0.1 only and touches no disk.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { gateFor } from './auth.js';
import type { MemoryRegistryOptions } from './options.js';
import { answer, routeOf, scopeOf, type Registry } from './routes.js';
import { perform, write, type Interceptor, type SeenRequest } from './script.js';
import { emptyState, type RegistryState } from './state.js';

export interface LoggedRequest {
  readonly method: string;
  /** path and query */
  readonly path: string;
  /** whether an Authorization header came with it */
  readonly authorization: boolean;
  /** of the answer; 0 when there was none (reset, hang) */
  readonly status: number;
}

export interface MemoryRegistry {
  /** `http://127.0.0.1:<port>`, or https */
  readonly url: string;
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly state: RegistryState;
  /** every request, in the order of the answers; empty it with `requests.length = 0` */
  readonly requests: LoggedRequest[];
  /** Replaces the script; without an argument the registry behaves again. */
  intercept(interceptor?: Interceptor): void;
  /** Ends open connections, hanging ones too. */
  stop(): Promise<void>;
}

export async function startMemoryRegistry(
  options: MemoryRegistryOptions = {},
  state: RegistryState = emptyState(),
): Promise<MemoryRegistry> {
  const registry: Registry = { state, uploads: new Map(), options };
  const gate = gateFor(options.auth ?? { kind: 'none' });
  const dialect = options.dialect ?? ((_route, _request, own) => own());
  const requests: LoggedRequest[] = [];
  const attempts = new Map<string, number>();
  const scheme = options.tls === undefined ? 'http' : 'https';
  let count = 0;
  let intercept: Interceptor = () => undefined;

  const handle: RequestListener = (request, response) => {
    void (async () => {
      const { method = 'GET', url: path = '/', headers } = request;
      const body = await read(request);
      const origin = `${scheme}://${headers.host ?? 'localhost'}`;
      const url = new URL(path, origin);
      const route = routeOf(url.pathname);
      count += 1;
      const attempt = (attempts.get(`${method} ${path}`) ?? 0) + 1;
      attempts.set(`${method} ${path}`, attempt);
      const seen: SeenRequest = { method, path, route, headers, n: count, attempt };
      const action = (await intercept(seen)) ?? { kind: 'pass' };
      const scope = scopeOf(route, method);
      const { authorization } = headers;
      const asked = { method, origin, url, headers, body };
      const result = await perform(
        action,
        () =>
          gate.check({ method, origin, url, authorization, body, scope }) ??
          dialect(route, asked, () => answer(registry, route, asked)),
      );
      const status = typeof result === 'string' ? 0 : result.status;
      requests.push({ method, path, authorization: authorization !== undefined, status });
      if (result === 'reset') {
        request.socket.destroy();
      } else if (result !== 'hang') {
        write(response, method, result, action.kind === 'truncate');
      }
    })().catch((error: unknown) => {
      // A mistake in a test's script must be seen, not look like a registry that hangs.
      process.emitWarning(`in-memory registry: ${String(error)}`);
      request.socket.destroy();
    });
  };

  const server: Server =
    options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const host = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    url: `${scheme}://${host}`,
    host,
    state,
    requests,
    intercept: (interceptor = () => undefined) => {
      intercept = interceptor;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(Buffer.from(chunk as Uint8Array));
  }
  return Buffer.concat(chunks);
}
