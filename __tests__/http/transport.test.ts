import { getEventListeners } from 'node:events';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import type { Credentials } from '../../src/http/credentials.js';
import { closing, NotSent, TooLate } from '../../src/http/stop.js';
import { createTransport, type ExchangeEvent, type Transport } from '../../src/http/transport.js';
import { fakeClock, settled } from '../support/scenes/fake-clock.js';
import { closeServers, request, startServer } from '../support/servers/servers.js';

const transports: Transport[] = [];

afterEach(async () => {
  transports.splice(0).forEach((transport) => transport.close());
  await closeServers();
});

function transportTo(registry: URL, credentials: Credentials = { kind: 'none' }) {
  const events: ExchangeEvent[] = [];
  const masked: string[] = [];
  const transport = createTransport({
    registry,
    credentials,
    concurrency: 4,
    insecure: false,
    userAgent: 'tests',
    mask: (secret) => masked.push(secret),
    onExchange: (event) => events.push(event),
    clock: fakeClock({ auto: true }),
    random: () => 0,
  });
  transports.push(transport);
  return { transport, events, masked };
}

describe('createTransport', () => {
  it('sends exactly one exchange for one request when nothing is in the way', async () => {
    const server = await startServer((_seen, response) => response.end('ok'));
    const { transport, events } = transportTo(server.url);
    const url = new URL('/v2/?n=1&sig=s3cret', server.url);
    expect((await transport.send(request(url))).body.toString()).toBe('ok');
    expect(server.seen).toHaveLength(1);
    expect(transport.stats()).toEqual({ requests: 1 });
    expect(events).toEqual([
      {
        method: 'GET',
        url: `${server.url.origin}/v2/?n=1&sig=***`,
        result: { kind: 'answer', status: 200 },
        milliseconds: 0,
        attempt: 1,
      },
    ]);
  });

  it('does token, redirect and retry together, and tells of each exchange', async () => {
    const server = await startServer(({ path, headers }, response, index) => {
      if (path.startsWith('/token')) {
        response.end(JSON.stringify({ token: 'tok' }));
      } else if (headers.authorization !== 'Bearer tok') {
        const realm = new URL('/token', server.url).href;
        response
          .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="r"` })
          .end();
      } else if (path === '/v2/') {
        response.writeHead(307, { location: '/moved' }).end();
      } else if (index === 3) {
        response.writeHead(429, { 'retry-after': '7' }).end();
      } else if (index === 4) {
        response.writeHead(200, { 'content-length': '100' });
        response.write('x', () => response.destroy());
      } else {
        response.end('done');
      }
    });
    const { transport, events, masked } = transportTo(server.url, {
      kind: 'basic',
      username: 'joe',
      password: 's3cret',
    });
    const response = await transport.send(
      request(new URL('/v2/', server.url), { scope: 'repository:a:pull' }),
    );
    expect(response.body.toString()).toBe('done');
    expect(
      events.map(({ url, result, attempt }) => [
        url.replace(server.url.origin, ''),
        result.kind === 'answer' ? result.status : result.failure,
        attempt,
      ]),
    ).toEqual([
      ['/v2/', 401, 1],
      ['/token?service=r&scope=repository:a:pull', 200, 1],
      ['/v2/', 307, 1],
      ['/moved', 429, 1],
      ['/moved', 'truncated', 2],
      ['/moved', 200, 3],
    ]);
    expect(transport.stats()).toEqual({ requests: 6 });
    expect(masked).toContain('tok');
    expect(JSON.stringify(events)).not.toMatch(/s3cret|tok"|am9l/);
  });

  it.each([
    ['text', 'größe'],
    ['bytes', Buffer.from([0x1f, 0x8b, 0x00, 0xff, 0xc3, 0x28])],
    ['no bytes', Buffer.alloc(0)],
  ])('sends a body once more at each further try, and after a challenge: %s', async (_, body) => {
    const server = await startServer(({ headers }, response, index) => {
      if (headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      } else if (index === 1) {
        response.writeHead(503).end();
      } else if (index === 2) {
        response.destroy();
      } else {
        response.writeHead(201).end();
      }
    });
    const { transport } = transportTo(server.url, {
      kind: 'basic',
      username: 'joe',
      password: 's3cret',
    });
    const response = await transport.send(request(server.url, { method: 'PUT', body }));
    expect(response.status).toBe(201);
    expect(server.seen.map(({ bytes }) => bytes)).toEqual(
      Array.from({ length: 4 }, () => Buffer.from(body)),
    );
    expect(new Set(server.seen.map(({ headers }) => headers['content-length']))).toEqual(
      new Set([String(Buffer.byteLength(body))]),
    );
  });

  it("waits together for GitHub's secondary limit, and sends no DELETE after it that is late", async () => {
    let limited = true;
    const server = await startServer((_seen, response) => {
      const body = '{"message":"You have exceeded a secondary rate limit."}';
      response.writeHead(limited ? 403 : 204).end(limited ? body : undefined);
      limited = false;
    });
    const { transport } = transportTo(server.url);
    const started = transport.clock.now();
    const isLate = () => transport.clock.now() >= started + 30_000;
    const sending = transport.send(request(server.url, { method: 'DELETE', isLate }));
    await expect(sending).rejects.toThrow(TooLate);
    expect(server.seen).toHaveLength(1);
    expect(transport.clock.now()).toBe(started + 60_000);
    expect((await transport.send(request(server.url, { method: 'DELETE' }))).status).toBe(204);
    expect(server.seen).toHaveLength(2);
  });

  it('a broken connection ends as an error of one line without secrets', async () => {
    const server = await startServer((_seen, response) => response.destroy());
    const { transport } = transportTo(server.url, { kind: 'registry-token', token: 's3cret' });
    const error: unknown = await transport
      .send(request(new URL('/v2/?token=s3cret', server.url)))
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'TransportError', kind: 'reset' });
    expect(String(error)).not.toMatch(/s3cret|\n/);
    expect(server.seen).toHaveLength(6);
  });
});

describe('a run that was told to stop', () => {
  // Only what the action itself waits with: sockets keep their own time.
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'Date'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function stopping(registry: URL, credentials: Credentials = { kind: 'none' }) {
    const controller = new AbortController();
    const transport = createTransport({
      registry,
      credentials,
      concurrency: 2,
      insecure: false,
      userAgent: 'tests',
      mask: () => undefined,
      stop: controller.signal,
      random: () => 0,
    });
    transports.push(transport);
    return { transport, signal: controller.signal, stop: () => controller.abort('SIGINT') };
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await settled();
    }
  }

  /** At once, so that nobody takes it for one that is not handled. */
  const failureOf = (sending: Promise<unknown>): Promise<unknown> =>
    sending.then(
      () => 'it was answered',
      (error: unknown) => error,
    );

  it('wakes what sleeps between two tries, and leaves no timer of it', async () => {
    const server = await startServer((_seen, response) => {
      response.writeHead(429, { 'retry-after': '60' }).end();
    });
    const { transport, signal, stop } = stopping(server.url);
    const sending = transport.send(request(server.url, { method: 'DELETE' }));
    const waiting = transport.send(request(server.url, { method: 'DELETE' }));
    await until(() => server.seen.length === 2);
    await until(() => jest.getTimerCount() === 2);
    const late = failureOf(transport.send(request(server.url, { method: 'DELETE' })));
    stop();
    expect((await sending).status).toBe(429);
    expect((await waiting).status).toBe(429);
    expect(await late).toBeInstanceOf(NotSent);
    expect(server.seen).toHaveLength(2);
    // What gives up whatever is under way by then, and keeps nothing alive.
    expect(jest.getTimerCount()).toBe(2);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('gives the connections of deletes without an answer to what closes the run', async () => {
    const server = await startServer(({ method }, response) => {
      if (method !== 'DELETE') {
        response.writeHead(201).end();
      }
    });
    const { transport, stop } = stopping(server.url);
    const failures = [1, 2].map((n) =>
      failureOf(
        transport.send(request(new URL(`/${String(n)}`, server.url), { method: 'DELETE' })),
      ),
    );
    await until(() => server.seen.length === 2);
    const late = failureOf(transport.send(request(server.url, { method: 'DELETE' })));
    stop();
    const puts = [1, 2, 3].map(() =>
      closing(transport.send)(request(server.url, { method: 'PUT', body: '{}' })),
    );
    await settled();
    expect(server.seen).toHaveLength(2);
    jest.advanceTimersByTime(3_000);
    expect((await Promise.all(puts)).map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(await late).toBeInstanceOf(NotSent);
    expect(await Promise.all(failures)).toEqual(
      [1, 2].map((n) =>
        expect.objectContaining({
          kind: 'timeout',
          message: `DELETE ${server.url.origin}/${String(n)}: no answer soon enough after the run was told to stop [registry-unreachable]`,
        }),
      ),
    );
    expect(server.seen.filter(({ method }) => method === 'DELETE')).toHaveLength(2);
  });

  it('gives up what closes the run after six seconds, and sends nothing of it later', async () => {
    const server = await startServer(() => undefined);
    const { transport, stop } = stopping(server.url);
    const last = closing(transport.send);
    stop();
    const failure = failureOf(last(request(server.url, { method: 'PUT' })));
    await until(() => server.seen.length === 1);
    jest.advanceTimersByTime(6_000);
    expect(await failure).toMatchObject({ kind: 'timeout' });
    await expect(last(request(server.url, { method: 'PUT' }))).rejects.toThrow(NotSent);
    expect(server.seen).toHaveLength(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('still fetches a token for what closes the run, and for nothing else', async () => {
    const server = await startServer(({ path, headers }, response) => {
      if (path.startsWith('/token')) {
        response.end(JSON.stringify({ token: 'tok' }));
      } else if (headers.authorization === 'Bearer tok') {
        response.writeHead(201).end();
      } else {
        const realm = new URL('/token', server.url).href;
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
      }
    });
    const { transport, stop } = stopping(server.url);
    stop();
    const scope = 'repository:a:pull,push';
    const response = await closing(transport.send)(request(server.url, { method: 'PUT', scope }));
    expect(response.status).toBe(201);
    await expect(transport.send(request(server.url, { method: 'DELETE', scope }))).rejects.toThrow(
      NotSent,
    );
    expect(server.seen.map(({ method }) => method)).toEqual(['PUT', 'GET', 'PUT']);
  });
});
