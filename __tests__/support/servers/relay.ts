/**
 * A relay on 127.0.0.1 in front of a real registry, which can be scripted as the in-memory registry can: the same
 * faults hit both. It changes nothing unless it is told to.
 */
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Answer } from './memory/answer.js';
import { routeOf } from './memory/routes.js';
import { perform, write, type Interceptor } from './memory/script.js';
import { send, type Destination } from '../clients/push.js';

export interface RelayOptions {
  /** https with this key and certificate (PEM); the registry behind it is spoken to as before */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** told to the registry with each request */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Relay {
  /** `http://127.0.0.1:<port>`, or https */
  readonly url: string;
  /** Replaces the script; without an argument everything passes. */
  intercept(interceptor?: Interceptor): void;
  /** Resolves when all that it was sent has been carried out, whether or not anybody waits for the answers. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

/** What belongs to one connection, and what `write` adds by itself. */
const NOT_PASSED_ON = [
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'docker-distribution-api-version',
];

export async function startRelay(
  registry: Destination,
  { tls, headers: told = {} }: RelayOptions = {},
): Promise<Relay> {
  let intercept: Interceptor = () => undefined;
  const attempts = new Map<string, number>();
  const open = new Set<Promise<void>>();
  let n = 0;

  const forward = async (
    { method = 'GET', url: path = '/', headers }: IncomingMessage,
    body: Buffer,
  ): Promise<Answer> => {
    // With the host that was asked for: the registry makes the addresses of uploads of it.
    const answer = await send(registry, {
      method,
      path,
      headers: { ...passedOn(headers), ...told },
      ...(body.length === 0 ? {} : { body }),
    });
    const length = answer.headers['content-length'];
    return {
      status: answer.status,
      headers: {
        ...passedOn(answer.headers),
        // The body's own length tells nothing where there is no body.
        ...(method === 'HEAD' && length !== undefined ? { 'Content-Length': length } : {}),
      },
      body: answer.body,
    };
  };

  const answer: RequestListener = (request, response) => {
    const work = (async () => {
      const { method = 'GET', url: path = '/', headers } = request;
      const body = await read(request);
      n += 1;
      const route = routeOf(new URL(path, 'http://localhost').pathname);
      const attempt = (attempts.get(`${method} ${path}`) ?? 0) + 1;
      attempts.set(`${method} ${path}`, attempt);
      const seen = { method, path, route, headers, n, attempt };
      const action = (await intercept(seen)) ?? { kind: 'pass' };
      const isPassed = ['pass', 'rewrite', 'truncate', 'lose'].includes(action.kind);
      const own = isPassed ? await forward(request, body) : undefined;
      const result = await perform(action, () => own ?? unreachable());
      if (typeof result === 'string') {
        request.socket.destroy();
      } else {
        write(response, method, result, action.kind === 'truncate');
      }
    })().catch((error: unknown) => {
      // A registry that died must be seen, not look like a fault that was asked for.
      process.emitWarning(`relay: ${String(error)}`);
      request.socket.destroy();
    });
    open.add(work);
    void work.finally(() => open.delete(work));
  };
  const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    url,
    intercept: (interceptor = () => undefined) => {
      intercept = interceptor;
    },
    settle: async () => {
      while (open.size > 0) {
        await Promise.all(open);
      }
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

function passedOn(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === 'string' && !NOT_PASSED_ON.includes(name) ? [[name, value]] : [],
    ),
  );
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(Buffer.from(chunk as Uint8Array));
  }
  return Buffer.concat(chunks);
}

function unreachable(): never {
  throw new Error('unreachable: what is passed on has been asked for');
}
