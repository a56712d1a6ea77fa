import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';

import { Exchange, type ExchangeOptions } from '../../src/http/exchange.js';
import {
  TransportError,
  type HttpRequest,
  type HttpResponse,
  type TransportFailure,
} from '../../src/http/message.js';
import { NotSent } from '../../src/http/stop.js';
import {
  closedPort,
  closeServers,
  request,
  startProxy,
  startServer,
  testCa,
} from '../support/servers/servers.js';

const closing: (() => void)[] = [];
/** Of this machine, put aside so that the tests see their own only. */
const proxyVariables = Object.entries(process.env).filter(([name]) =>
  /^(?:https?|no)_proxy$/i.test(name),
);
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

function clearProxyVariables() {
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) {
    Reflect.deleteProperty(process.env, name);
    Reflect.deleteProperty(process.env, name.toUpperCase());
  }
}

beforeAll(clearProxyVariables);
afterAll(() => {
  Object.assign(process.env, Object.fromEntries(proxyVariables));
});

afterEach(async () => {
  closing.splice(0).forEach((close) => close());
  clearProxyVariables();
  await closeServers();
});

function exchangeOf(options: Partial<ExchangeOptions> = {}) {
  const exchange = new Exchange({
    concurrency: 4,
    insecure: false,
    userAgent: 'tests',
    ...options,
  });
  closing.push(() => exchange.close());
  return exchange;
}

function exchangeWith(options: Partial<ExchangeOptions> = {}) {
  return exchangeOf(options).send;
}

async function failureOf(answer: Promise<HttpResponse>): Promise<TransportError> {
  const error: unknown = await answer.then(
    () => new Error('it was answered'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TransportError);
  return error as TransportError;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A server that speaks raw bytes, for answers that no HTTP server would give. */
async function startRaw(
  answer: (socket: net.Socket) => void,
): Promise<{ url: string; sockets: Set<net.Socket> }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.once('data', () => answer(socket));
    closing.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  return { url: `http://127.0.0.1:${port}/`, sockets };
}

describe('what is sent and what comes back', () => {
  it('gives status, headers, body and URL of the answer, whatever the status', async () => {
    const server = await startServer((_seen, response) => {
      response.writeHead(404, { 'x-test': 'yes' }).end('gone');
    });
    const url = new URL('/v2/a/b/tags/list?n=2', server.url);
    const response = await exchangeWith()(request(url));
    expect(response.status).toBe(404);
    expect(response.headers['x-test']).toBe('yes');
    expect(response.body.toString()).toBe('gone');
    expect(response.url.href).toBe(url.href);
    expect(server.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v2/a/b/tags/list?n=2',
    ]);
  });

  it('asks for no compression, and sends the authorization only if there is one', async () => {
    const server = await startServer((_seen, response) => response.end());
    const send = exchangeWith();
    await send(request(server.url, { headers: { accept: 'a/b' } }));
    await send(request(server.url, { authorization: 'Basic eDp5' }));
    expect(server.seen[0]?.headers).toMatchObject({
      accept: 'a/b',
      'accept-encoding': 'identity',
      'user-agent': 'tests',
    });
    expect(server.seen[0]?.headers).not.toHaveProperty('authorization');
    expect(server.seen[0]?.headers).not.toHaveProperty('content-length');
    expect(server.seen[1]?.headers.authorization).toBe('Basic eDp5');
  });

  it('sends the body of a PUT with its length in bytes', async () => {
    const server = await startServer((_seen, response) => response.writeHead(201).end());
    await exchangeWith()(request(server.url, { method: 'PUT', body: 'größe' }));
    expect(server.seen[0]?.body).toBe('größe');
    expect(server.seen[0]?.headers['content-length']).toBe('7');
  });

  it.each([
    ['any bytes', Buffer.from([0x00, 0xff, 0xc3, 0x28, 0x0d, 0x0a, 0xef, 0xbb, 0xbf])],
    ['no bytes', Buffer.alloc(0)],
    ['more than a socket takes at once', Buffer.alloc(3 * 1024 * 1024, 'größe')],
    ['a part of something larger', Buffer.from('not this, this, nor this').subarray(10, 14)],
  ])('sends bytes as they are, with their length and in no chunks: %s', async (_name, body) => {
    const server = await startServer((_seen, response) => response.writeHead(201).end());
    const send = exchangeWith();
    for (let time = 0; time < 2; time += 1) {
      expect((await send(request(server.url, { method: 'PUT', body }))).status).toBe(201);
    }
    expect(server.seen.map(({ bytes }) => bytes.equals(body))).toEqual([true, true]);
    for (const { headers } of server.seen) {
      expect(headers['content-length']).toBe(String(body.length));
      expect(headers).not.toHaveProperty('transfer-encoding');
    }
    expect(server.connections()).toBe(1);
  });

  it('says of a POST without a body that it has none', async () => {
    const server = await startServer((_seen, response) => response.writeHead(202).end());
    await exchangeWith()(request(server.url, { method: 'POST' }));
    expect(server.seen[0]?.headers['content-length']).toBe('0');
    expect(server.seen[0]?.headers).not.toHaveProperty('transfer-encoding');
  });

  it.each([
    ['HEAD', 200],
    ['GET', 304],
  ] as const)(
    'expects no body for %s with status %d, whatever length is announced',
    async (method, status) => {
      const server = await startServer((_seen, response) => {
        response.writeHead(status, { 'content-length': '9999999' }).end();
      });
      const response = await exchangeWith()(request(server.url, { method, maxBytes: 10 }));
      expect(response.status).toBe(status);
      expect(response.body.byteLength).toBe(0);
    },
  );

  it('keeps connections alive', async () => {
    const server = await startServer((_seen, response) => response.end('x'));
    const send = exchangeWith();
    await send(request(server.url));
    await send(request(server.url));
    await send(request(server.url, { method: 'HEAD' }));
    expect(server.connections()).toBe(1);
  });

  it('talks to an http and an https origin in the same run', async () => {
    const plain = await startServer((_seen, response) => response.end('plain'));
    const secure = await startServer((_seen, response) => response.end('secure'), { tls: true });
    const send = exchangeWith({ ca: testCa() });
    const bodies = [];
    for (const server of [plain, secure, plain, secure]) {
      bodies.push((await send(request(server.url))).body.toString());
    }
    expect(bodies).toEqual(['plain', 'secure', 'plain', 'secure']);
  });

  it.each(['127.0.0.1', ...(hasIpv6 ? ['::1'] : [])])('reaches the address %s', async (host) => {
    const server = await startServer((_seen, response) => response.end('here'), { host });
    const response = await exchangeWith()(request(server.url));
    expect(response.body.toString()).toBe('here');
    expect(server.seen[0]?.headers).toMatchObject({ host: server.url.host });
  });
});

describe('bodies', () => {
  it('rejects one that is shorter than its Content-Length', async () => {
    const server = await startServer((_seen, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    });
    const error = await failureOf(exchangeWith()(request(server.url)));
    expect(error.kind).toBe('truncated');
    expect(error.message).toContain('cut off after 4 of 100 bytes');
  });

  it('rejects a chunked one whose last chunk never came', async () => {
    const server = await startServer((_seen, response) => {
      response.writeHead(200);
      response.write('half', () => response.destroy());
    });
    const error = await failureOf(exchangeWith()(request(server.url)));
    expect(error.kind).toBe('truncated');
  });

  it('rejects one that the server ended politely but too early', async () => {
    const { url } = await startRaw((socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'),
    );
    expect((await failureOf(exchangeWith()(request(url)))).kind).toBe('truncated');
  });

  it('accepts one that fills the ceiling and rejects one byte more', async () => {
    const server = await startServer(({ path }, response) => {
      // Chunked: nothing is announced.
      response.write('x'.repeat(5));
      response.end('x'.repeat(path === '/more' ? 6 : 5));
    });
    const send = exchangeWith();
    const fits = await send(request(server.url, { maxBytes: 10 }));
    expect(fits.body.byteLength).toBe(10);
    const error = await failureOf(send(request(new URL('/more', server.url), { maxBytes: 10 })));
    expect(error.kind).toBe('too-large');
    expect(error.message).toContain('over 10 bytes');
  });

  it('does not read a body that announces itself as too large', async () => {
    const server = await startServer((_seen, response) => {
      // Nothing follows: only a reader who waits for the body would time out.
      response.writeHead(200, { 'content-length': '11' }).flushHeaders();
    });
    const error = await failureOf(exchangeWith()(request(server.url, { maxBytes: 10 })));
    expect(error.kind).toBe('too-large');
  });
});

describe('time limits', () => {
  const timeouts = { idle: 150, idleDelete: 20_000, body: 400 };

  it('gives up on a server that never answers', async () => {
    const server = await startServer(() => undefined);
    const error = await failureOf(exchangeWith({ timeouts })(request(server.url)));
    expect(error.kind).toBe('timeout');
    expect(error.message).toContain('no answer for 0.15 seconds');
  });

  it('gives a DELETE the longer limit', async () => {
    const server = await startServer((_seen, response) => {
      setTimeout(() => response.writeHead(202).end(), 400);
    });
    const response = await exchangeWith({ timeouts })(request(server.url, { method: 'DELETE' }));
    expect(response.status).toBe(202);
  });

  it('gives up on a body that stops', async () => {
    const server = await startServer((_seen, response) => void response.write('x'));
    expect((await failureOf(exchangeWith({ timeouts })(request(server.url)))).kind).toBe('timeout');
  });

  it('gives up on a body that drips for ever', async () => {
    const server = await startServer((_seen, response) => {
      const drip = setInterval(() => response.write('x'), 30);
      response.on('close', () => clearInterval(drip));
    });
    const error = await failureOf(exchangeWith({ timeouts })(request(server.url)));
    expect(error.kind).toBe('timeout');
    expect(error.message).toContain('not complete after 0.4 seconds');
  });
});

describe('what is given up', () => {
  const SILENT = () => undefined;
  const isDelete = ({ method }: HttpRequest) => method === 'DELETE';

  it('is a timeout in the given words, and its connection is closed', async () => {
    const { url, sockets } = await startRaw(SILENT);
    const { send, giveUp } = exchangeOf();
    const sending = failureOf(send(request(url, { method: 'DELETE' })));
    await until(() => sockets.size === 1);
    giveUp(() => true, 'too late');
    const { kind, message } = await sending;
    expect({ kind, message }).toEqual({
      kind: 'timeout',
      message: `DELETE ${url}: too late [registry-unreachable]`,
    });
    await until(() => sockets.size === 0);
  });

  it('is a timeout also in the middle of an answer', async () => {
    const { url } = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    const { send, giveUp } = exchangeOf();
    const sending = failureOf(send(request(url)));
    setTimeout(() => giveUp(() => true, 'too late'), 100);
    expect(await sending).toMatchObject({
      kind: 'timeout',
      message: `GET ${url}: too late [registry-unreachable]`,
    });
  });

  it('leaves others alone, and gives them its connection', async () => {
    const server = await startServer(({ method }, response) => {
      if (method !== 'DELETE') {
        response.end('ok');
      }
    });
    const { send, giveUp } = exchangeOf({ concurrency: 1 });
    const hanging = failureOf(send(request(server.url, { method: 'DELETE' })));
    await until(() => server.seen.length === 1);
    const waiting = send(request(server.url));
    giveUp(isDelete, 'too late');
    expect((await hanging).kind).toBe('timeout');
    expect((await waiting).body.toString()).toBe('ok');
    giveUp(() => true, 'too late');
    expect((await send(request(server.url))).status).toBe(200);
  });

  it('is given up at once, too, when it still waits for a connection', async () => {
    const server = await startServer(() => undefined);
    const { send, giveUp } = exchangeOf({ concurrency: 1 });
    const hanging = failureOf(send(request(server.url)));
    const waiting = send(request(server.url, { method: 'DELETE' })).catch(
      (error: unknown) => error,
    );
    await until(() => server.seen.length === 1);
    giveUp(isDelete, 'too late');
    expect(await waiting).toBeInstanceOf(NotSent);
    giveUp(() => true, 'too late');
    await hanging;
    expect(server.seen.map(({ method }) => method)).toEqual(['GET']);
  });

  it('is not on the wire before the handshake is done, and then was not sent', async () => {
    const silent = await startRaw(SILENT);
    const server = await startServer(() => undefined);
    const { send, giveUp } = exchangeOf({ insecure: true });
    const shaking = send(request(silent.url.replace('http:', 'https:'))).catch(
      (error: unknown) => error,
    );
    const sent = failureOf(send(request(server.url)));
    await until(() => silent.sockets.size === 1 && server.seen.length === 1);
    giveUp((_, isOnTheWire) => !isOnTheWire, 'too late');
    expect(await shaking).toBeInstanceOf(NotSent);
    giveUp((_, isOnTheWire) => isOnTheWire, 'too late');
    expect((await sent).kind).toBe('timeout');
  });

  it('is forgotten, as every request that was answered', async () => {
    const server = await startServer((_seen, response) => response.end('ok'));
    const { send, giveUp } = exchangeOf();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const refs: WeakRef<HttpRequest>[] = [];
    for (let round = 0; round < 20; round += 1) {
      const asked = Array.from({ length: 4 }, () => request(server.url));
      refs.push(...asked.map((each) => new WeakRef(each)));
      await Promise.all(asked.map(send));
    }
    await until(() => {
      collect();
      return refs.filter((ref) => ref.deref() !== undefined).length < 10;
    });
    const told: unknown[] = [];
    giveUp((each) => told.push(each) > 0, 'too late');
    expect(told).toEqual([]);
  });
});

describe('failures', () => {
  it.each<[string, TransportFailure, () => Promise<string>]>([
    ['a closed port', 'refused', async () => `http://127.0.0.1:${String(await closedPort())}/`],
    ['a reset', 'reset', async () => (await startRaw((socket) => socket.resetAndDestroy())).url],
    ['a hang-up', 'reset', async () => (await startRaw((socket) => socket.end())).url],
    [
      'something else than HTTP',
      'other',
      async () => (await startRaw((s) => s.end('SSH-2.0\r\n'))).url,
    ],
    ['a name that does not exist', 'dns', async () => 'http://no-such-host.invalid/'],
    [
      'TLS spoken to plain HTTP',
      'tls',
      async () => (await startServer(() => undefined)).url.href.replace('http:', 'https:'),
    ],
  ])('%s is of kind %s', async (_name, kind, start) => {
    const url = new URL('/v2/x?token=s3cret&n=5', await start());
    const error = await failureOf(
      exchangeWith()(request(url, { authorization: 'Basic c2VjcmV0', method: 'GET' })),
    );
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(`GET ${url.origin}/v2/x?token=***&n=5: `);
    expect(error.message).not.toMatch(/s3cret|c2VjcmV0/);
  });

  it('says http:// when the server does not speak TLS', async () => {
    const server = await startServer(() => undefined);
    const url = server.url.href.replace('http:', 'https:');
    expect((await failureOf(exchangeWith()(request(url)))).message).toContain(
      'put http:// in front',
    );
  });
});

describe('bytes that do not get through', () => {
  const body = Buffer.alloc(8 * 1024 * 1024, 1);

  it('are a reset, when the server hangs up on the first of them', async () => {
    const { url } = await startRaw((socket) => socket.resetAndDestroy());
    const error = await failureOf(exchangeWith()(request(url, { method: 'PUT', body })));
    expect(error.kind).toBe('reset');
  });

  it('are a timeout, when the server takes no more of them', async () => {
    const { url } = await startRaw((socket) => socket.pause());
    const timeouts = { idle: 300, idleDelete: 300, body: 300 };
    const sending = exchangeWith({ timeouts })(request(url, { method: 'PUT', body }));
    expect((await failureOf(sending)).kind).toBe('timeout');
  });
});

describe('TLS', () => {
  it('rejects an unknown authority and names ca-file and insecure', async () => {
    const server = await startServer((_seen, response) => response.end(), { tls: true });
    const error = await failureOf(exchangeWith()(request(server.url)));
    expect(error.kind).toBe('tls');
    expect(error.message).toMatch(/ca-file.*insecure/);
    expect(server.seen).toEqual([]);
  });

  it.each<[string, Partial<ExchangeOptions>]>([
    ['ca-file', { ca: testCa() }],
    ['insecure', { insecure: true }],
    ['both', { ca: testCa(), insecure: true }],
  ])('is content with %s', async (_name, options) => {
    const server = await startServer((_seen, response) => response.end('ok'), { tls: true });
    const response = await exchangeWith(options)(request(server.url));
    expect(response.body.toString()).toBe('ok');
  });

  it('still checks the name when the authority is trusted', async () => {
    const server = await startServer((_seen, response) => response.end(), { tls: true });
    const proxy = await startProxy(server.port);
    process.env['https_proxy'] = proxy.url;
    const error = await failureOf(exchangeWith({ ca: testCa() })(request('https://other.test/')));
    expect(error.kind).toBe('tls');
    expect(server.seen).toEqual([]);
  });

  it('says so when ca-file holds no certificate', () => {
    expect(() => exchangeWith({ ca: 'not a certificate' })).toThrow(/ca-file holds no certificate/);
  });
});

describe('proxies from the environment', () => {
  it('tunnels plain HTTP, with the credentials for the proxy sent to the proxy alone', async () => {
    const server = await startServer((_seen, response) => response.end('through'));
    const proxy = await startProxy(server.port);
    process.env['http_proxy'] = proxy.url.replace('http://', 'http://joe:pass@');
    const response = await exchangeWith()(request('http://registry.test:5000/v2/'));
    expect(response.body.toString()).toBe('through');
    expect(proxy.tunnels).toEqual([
      { target: 'registry.test:5000', authorization: 'Basic am9lOnBhc3M=' },
    ]);
    expect(server.seen[0]?.headers).toMatchObject({ host: 'registry.test:5000' });
    expect(server.seen[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it.each<[string, Partial<ExchangeOptions>]>([
    ['ca-file', { ca: testCa() }],
    ['insecure', { insecure: true }],
  ])('tunnels https with %s', async (_name, options) => {
    const server = await startServer((_seen, response) => response.end('through'), { tls: true });
    const proxy = await startProxy(server.port);
    process.env['https_proxy'] = proxy.url;
    const send = exchangeWith(options);
    for (let time = 0; time < 2; time += 1) {
      expect((await send(request('https://registry.test/v2/'))).body.toString()).toBe('through');
    }
    expect(proxy.tunnels[0]?.target).toBe('registry.test:443');
  });

  it('checks certificates through the tunnel too', async () => {
    const server = await startServer((_seen, response) => response.end(), { tls: true });
    const proxy = await startProxy(server.port);
    process.env['https_proxy'] = proxy.url;
    const error = await failureOf(exchangeWith()(request('https://registry.test/v2/')));
    expect(error.kind).toBe('tls');
    expect(server.seen).toEqual([]);
  });

  it('goes around the proxy for no_proxy and for loopback', async () => {
    const server = await startServer((_seen, response) => response.end('direct'));
    const proxy = await startProxy(server.port);
    process.env['http_proxy'] = proxy.url;
    process.env['no_proxy'] = '.invalid';
    const send = exchangeWith();
    expect((await send(request(server.url))).body.toString()).toBe('direct');
    expect((await failureOf(send(request('http://registry.invalid/')))).kind).toBe('dns');
    expect(proxy.tunnels).toEqual([]);
  });

  it.each(['http', 'https'])('gives up on one that opens no tunnel for %s', async (scheme) => {
    const { url } = await startRaw(() => undefined);
    process.env[`${scheme}_proxy`] = url;
    const timeouts = { idle: 150, idleDelete: 150, body: 150 };
    const sending = exchangeWith({ timeouts })(request(`${scheme}://registry.test/`));
    expect((await failureOf(sending)).kind).toBe('timeout');
  });

  it('says that it was the proxy that refused', async () => {
    const proxy = await startProxy(1, '407 Proxy Authentication Required');
    process.env['http_proxy'] = proxy.url.replace('http://', 'http://joe:pr0xypass@');
    const error = await failureOf(exchangeWith()(request('http://registry.test/')));
    expect(error.kind).toBe('refused');
    expect(error.message).toMatch(
      /the proxy opened no tunnel.*407.*https?_proxy right\?.* into `no_proxy` \[registry-unreachable\]$/,
    );
    expect(error.message).not.toContain('pr0xypass');
  });

  it('names the variable that holds no URL, not its value', async () => {
    process.env['http_proxy'] = 'pr0xypass@:::';
    const error = await failureOf(exchangeWith()(request('http://registry.test/')));
    expect(error.message).toContain("http_proxy isn't the URL");
    expect(error.message).not.toContain('pr0xypass');
    expect(error.cause).toBeUndefined();
  });
});
