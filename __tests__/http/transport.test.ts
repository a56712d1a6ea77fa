import { afterEach, describe, expect, it } from '@jest/globals';

import type { Credentials } from '../../src/http/credentials.js';
import { createTransport, type ExchangeEvent, type Transport } from '../../src/http/transport.js';
import { fakeClock } from './fake-clock.js';
import { closeServers, request, startServer } from './servers.js';

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
