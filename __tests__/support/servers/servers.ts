/**
 * Real servers on loopback for the transport's tests, on free ports. Each keeps what it was asked, so
 * that tests can say what must NOT have been sent.
 */
import { readFileSync } from 'node:fs';
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';

import type { HttpRequest, Method } from '../../../src/http/message.js';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** the same before it was text */
  readonly bytes: Buffer;
}

export type Handler = (request: Seen, response: ServerResponse, index: number) => void;

export interface TestServer {
  readonly url: URL;
  readonly port: number;
  readonly seen: Seen[];
  /** how many connections were opened */
  connections(): number;
  close(): Promise<void>;
}

const fixture = (name: string) =>
  readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');

/** The authority that signed the TLS servers' certificate. */
export const testCa = (): string => fixture('ca.pem');

const running = new Set<TestServer | Proxy>();

/** For afterEach(). */
export async function closeServers(): Promise<void> {
  await Promise.all([...running].map(async (server) => server.close()));
  running.clear();
}

export async function startServer(
  handler: Handler,
  options: { tls?: boolean; host?: string } = {},
): Promise<TestServer> {
  const seen: Seen[] = [];
  let connections = 0;
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const bytes = Buffer.concat(chunks);
      const entry = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: bytes.toString(),
        bytes,
      };
      seen.push(entry);
      handler(entry, response, seen.length - 1);
    });
  };
  const server =
    options.tls === true
      ? https.createServer({ key: fixture('server.key'), cert: fixture('server.pem') }, listener)
      : http.createServer(listener);
  server.on('connection', () => (connections += 1));
  const port = await listen(server, options.host ?? '127.0.0.1');
  const host = options.host === '::1' ? '[::1]' : '127.0.0.1';
  const started: TestServer = {
    url: new URL(`${options.tls === true ? 'https' : 'http'}://${host}:${String(port)}/`),
    port,
    seen,
    connections: () => connections,
    close: async () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  running.add(started);
  return started;
}

export interface Proxy {
  readonly url: string;
  /** what CONNECT asked for, and with which Proxy-Authorization */
  readonly tunnels: { target: string; authorization: string | undefined }[];
  close(): Promise<void>;
}

/** A proxy that tunnels every CONNECT to `port` on loopback, for every name. */
export async function startProxy(port: number, refusal?: string): Promise<Proxy> {
  const tunnels: Proxy['tunnels'] = [];
  const sockets = new Set<Socket>();
  const server = http.createServer((_request, response) => response.writeHead(400).end());
  server.on('connect', (request: IncomingMessage, client: Socket) => {
    tunnels.push({
      target: request.url ?? '',
      authorization: request.headers['proxy-authorization'],
    });
    if (refusal !== undefined) {
      client.end(`HTTP/1.1 ${refusal}\r\n\r\n`);
      return;
    }
    const upstream = net.connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
  });
  const own = await listen(server, '127.0.0.1');
  const proxy: Proxy = {
    url: `http://127.0.0.1:${String(own)}`,
    tunnels,
    close: async () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        sockets.forEach((socket) => socket.destroy());
      }),
  };
  running.add(proxy);
  return proxy;
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server, '127.0.0.1');
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listen(server: net.Server, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** A request with the fields that most tests don't care about filled in. */
export function request(
  url: URL | string,
  fields: Partial<Omit<HttpRequest, 'url'>> & { method?: Method } = {},
): HttpRequest {
  return { method: 'GET', url: new URL(url), maxBytes: 1024 * 1024, ...fields };
}
