import { afterAll, afterEach, describe, expect, it } from '@jest/globals';

import { Exchange } from '../../src/http/exchange.js';
import type { HttpRequest } from '../../src/http/message.js';
import { createRedirect } from '../../src/http/redirect.js';
import { play } from '../support/builders/answers.js';
import {
  closeServers,
  request,
  startProxy,
  startServer,
  testCa,
  type TestServer,
} from '../support/servers/servers.js';

const AUTH = 'Basic c2VjcmV0';
const exchange = new Exchange({
  concurrency: 4,
  insecure: false,
  ca: testCa(),
  userAgent: 'tests',
});
const send = createRedirect(exchange.send);

afterAll(() => exchange.close());

afterEach(async () => {
  delete process.env['http_proxy'];
  await closeServers();
});

/** A server that redirects `/go` to `target`, and answers everything else. */
async function redirecting(target: (server: TestServer) => string, options = {}, status = 307) {
  const server: TestServer = await startServer(({ path }, response) => {
    if (path.startsWith('/go')) {
      response.writeHead(status, { location: target(server) }).end('moved');
    } else {
      response.end('arrived');
    }
  }, options);
  return server;
}

const go = (server: TestServer, fields: Partial<HttpRequest> = {}) =>
  send(request(new URL('/go', server.url), { authorization: AUTH, ...fields }));

describe('the redirects that are followed', () => {
  it.each([301, 302, 303, 307, 308])('%d to a relative Location', async (status) => {
    const server = await redirecting(() => 'here?x=1', {}, status);
    const response = await go(server);
    expect(response.body.toString()).toBe('arrived');
    expect(response.url.href).toBe(`${server.url.href}here?x=1`);
  });

  it('a HEAD stays a HEAD', async () => {
    const server = await redirecting(() => '/here', {}, 303);
    expect((await go(server, { method: 'HEAD' })).status).toBe(200);
    expect(server.seen.map(({ method }) => method)).toEqual(['HEAD', 'HEAD']);
  });

  it.each(['DELETE', 'PUT', 'POST'] as const)('no redirect of a %s', async (method) => {
    const server = await redirecting(() => '/here');
    const response = await go(server, { method });
    expect(response.status).toBe(307);
    expect(server.seen).toHaveLength(1);
  });

  it.each([300, 304, 305, 306])('the layer does not follow status %d', async (status) => {
    const { send: next, requests } = play({ status, headers: { location: '/here' } });
    expect((await createRedirect(next)(request('http://r.test/'))).status).toBe(status);
    expect(requests).toHaveLength(1);
  });

  it('an answer without Location is returned as it is', async () => {
    const { send: next } = play({ status: 302 });
    expect((await createRedirect(next)(request('http://r.test/'))).status).toBe(302);
  });

  it('five hops, and not a sixth', async () => {
    const server: TestServer = await startServer(({ path }, response) => {
      const left = Number(path.slice(1));
      if (left === 0) {
        response.end('arrived');
      } else {
        response.writeHead(302, { location: `/${String(left - 1)}` }).end();
      }
    });
    const hops = async (count: number) => send(request(new URL(`/${String(count)}`, server.url)));
    expect((await hops(5)).body.toString()).toBe('arrived');
    await expect(hops(6)).rejects.toMatchObject({ kind: 'redirect' });
    await expect(hops(6)).rejects.toThrow('more than 5 redirects');
  });

  it.each([
    ['to itself', ['/a', '/a'], 'back to http://r.test/a'],
    ['there and back', ['/a', '/b?token=s3cret', '/a'], 'back to http://r.test/a'],
    [
      'to what it went through',
      ['/a', '/b?token=s3cret', '/b?token=s3cret'],
      'back to http://r.test/b?token=***',
    ],
  ])('no circle: %s', async (_, [first = '', ...places], words) => {
    const { send: next, requests } = play(
      ...places.map((location) => ({ status: 302, headers: { location } })),
    );
    const answer = createRedirect(next)(request(`http://r.test${first}`));
    await expect(answer).rejects.toMatchObject({ kind: 'redirect' });
    await expect(answer).rejects.toThrow(words);
    expect(requests).toHaveLength(places.length);
  });

  it('says so where the other host is the one that failed', async () => {
    const { send: next } = play(
      { status: 307, headers: { location: 'http://s3.internal/x?X-Signature=s3cret' } },
      { fails: 'dns' },
    );
    const answer = createRedirect(next)(request('http://r.test/v2/a/blobs/x'));
    await expect(answer).rejects.toMatchObject({ kind: 'dns', isElsewhere: true });
    await expect(answer).rejects.toThrow(
      'GET http://r.test/v2/a/blobs/x is redirected to http://s3.internal, and that failed: ' +
        'GET http://s3.internal/x?X-Signature=***: as prepared',
    );
  });

  it.each([
    ['https://r.test/', 'http://r.test/', 'X-Forwarded-Proto'],
    ['https://r.test/', 'http://r.test/', 'from https:// to http://'],
    ['http://r.test/', 'ftp://r.test/', 'from http:// to ftp://'],
    ['https://r.test/', 'file:///etc/passwd', 'from https:// to file://'],
    ['https://r.test/', 'https://[', "doesn't lead to a valid URL"],
  ])('from %s never to %s', async (from, location, message) => {
    const { send: next, requests } = play({ status: 307, headers: { location } });
    const answer = createRedirect(next)(request(from, { authorization: AUTH }));
    await expect(answer).rejects.toMatchObject({ kind: 'redirect' });
    await expect(answer).rejects.toThrow(message);
    expect(requests).toHaveLength(1);
  });
});

describe('the receivers of the credentials', () => {
  it('the same origin', async () => {
    const server = await redirecting(() => '/here');
    await go(server);
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([AUTH, AUTH]);
  });

  it('another port gets no credentials', async () => {
    const other = await startServer((_seen, response) => response.end('other'));
    const server = await redirecting(() => other.url.href);
    expect((await go(server)).body.toString()).toBe('other');
    expect(server.seen[0]?.headers.authorization).toBe(AUTH);
    expect(other.seen[0]?.headers).not.toHaveProperty('authorization');
  });

  it('another host gets no credentials', async () => {
    const server = await redirecting(({ port }) => `http://localhost:${String(port)}/here`, {
      host: '127.0.0.1',
    });
    expect((await go(server)).body.toString()).toBe('arrived');
    expect(server.seen[1]?.headers).toMatchObject({ host: `localhost:${String(server.port)}` });
    expect(server.seen[1]?.headers).not.toHaveProperty('authorization');
  });

  it('another scheme gets no credentials', async () => {
    const secure = await startServer((_seen, response) => response.end('secure'), { tls: true });
    const server = await redirecting(() => secure.url.href);
    expect((await go(server)).body.toString()).toBe('secure');
    expect(secure.seen[0]?.headers).not.toHaveProperty('authorization');
  });

  it('the first origin gets no credentials either, once it was left', async () => {
    const other: TestServer = await startServer((_seen, response) => {
      response.writeHead(307, { location: new URL('/back', server.url).href }).end();
    });
    const server = await redirecting(() => other.url.href);
    expect((await go(server)).body.toString()).toBe('arrived');
    expect(server.seen.map(({ path }) => path)).toEqual(['/go', '/back']);
    expect(server.seen[1]?.headers).not.toHaveProperty('authorization');
  });

  it("a Location's user and password are not sent", async () => {
    const server = await redirecting(({ port }) => `http://joe:pw@127.0.0.1:${String(port)}/here`);
    const response = await go(server);
    expect(response.url.username).toBe('');
    expect(server.seen[1]?.headers.authorization).toBe(AUTH);
  });

  it('the request given by the caller is left as it was', async () => {
    const other = await startServer((_seen, response) => response.end());
    const server = await redirecting(() => other.url.href);
    const given = request(new URL('/go', server.url), {
      authorization: AUTH,
      headers: { accept: 'a/b' },
    });
    await send(given);
    expect(given).toMatchObject({ authorization: AUTH, headers: { accept: 'a/b' } });
    expect(other.seen[0]?.headers).toMatchObject({ accept: 'a/b', host: other.url.host });
  });

  it('a proxy changes nothing of this', async () => {
    const server = await redirecting(() => 'http://other.test/here');
    const proxy = await startProxy(server.port);
    process.env['http_proxy'] = proxy.url;
    await send(request('http://registry.test/go', { authorization: AUTH }));
    expect(server.seen.map(({ headers }) => [headers.host, headers.authorization])).toEqual([
      ['registry.test', AUTH],
      ['other.test', undefined],
    ]);
  });
});
