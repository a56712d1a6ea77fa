import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { getOctokit } from '@actions/github';

import { createFetch, requestFailureOf, type FetchOptions } from '../../src/http/fetch.js';
import { TransportError, type HttpResponse, type RequestFailure } from '../../src/http/message.js';
import { redactUrl } from '../../src/http/redact.js';
import { TooLate } from '../../src/http/stop.js';
import { createTransport, type Transport } from '../../src/http/transport.js';
import { play, respond, type Answer } from '../support/builders/answers.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import {
  closedPort,
  closeServers,
  startProxy,
  startServer,
  testCa,
} from '../support/servers/servers.js';

const URL_ = 'https://api.test/orgs/o/packages?per_page=100';
const TOKEN = 'ghs_s3cretOfThisJob';

const transports: Transport[] = [];

/** Put aside, so that the tests see their own only. */
const proxyVariables = Object.entries(process.env).filter(([name]) =>
  /^(?:https?|no)_proxy$/i.test(name),
);

beforeEach(() => {
  for (const [name] of proxyVariables) {
    Reflect.deleteProperty(process.env, name);
  }
});

afterEach(async () => {
  Reflect.deleteProperty(process.env, 'https_proxy');
  Object.assign(process.env, Object.fromEntries(proxyVariables));
  transports.splice(0).forEach((transport) => transport.close());
  await closeServers();
});

function fetching(answer: Answer = {}, options: Partial<FetchOptions> = {}) {
  const played = play(answer);
  return { ...played, fetch: createFetch(played.send, { maxBytes: 1000, ...options }) };
}

describe('the request of a fetch', () => {
  it('has method, URL, headers and the limit of its body', async () => {
    const { fetch, requests } = fetching();
    await fetch(URL_, { method: 'head', headers: { Accept: 'application/json', 'X-A': 'b' } });
    expect(requests).toEqual([
      {
        method: 'HEAD',
        url: new URL(URL_),
        headers: { accept: 'application/json', 'x-a': 'b' },
        maxBytes: 1000,
      },
    ]);
  });

  it.each([
    ['text', URL_],
    ['a URL', new URL(URL_)],
    ['a Request', new Request(URL_)],
  ])('asks with GET for %s where nothing else is said', async (_, input) => {
    const { fetch, requests } = fetching();
    await fetch(input);
    expect(requests).toMatchObject([{ method: 'GET', url: new URL(URL_) }]);
    expect(requests[0]).not.toHaveProperty('body');
  });

  it('has its login in a field of its own, and no header that is not about the message', async () => {
    const { fetch, requests } = fetching();
    const headers = {
      Authorization: `token ${TOKEN}`,
      Cookie: `a=${TOKEN}`,
      'Proxy-Authorization': TOKEN,
      'User-Agent': 'sdk',
      Host: 'elsewhere.test',
      Connection: 'close',
      'Content-Length': '4',
      'X-GitHub-Api-Version': '2022-11-28',
    };
    await fetch(URL_, { method: 'PUT', headers, body: 'text' });
    expect(requests[0]?.authorization).toBe(`token ${TOKEN}`);
    expect(requests[0]?.headers).toEqual({
      'content-type': 'text/plain;charset=UTF-8',
      'x-github-api-version': '2022-11-28',
    });
  });

  it.each([
    ['text', 'größe', 'größe'],
    ['a Buffer', Buffer.from([0, 255, 13]), Buffer.from([0, 255, 13])],
    ['an ArrayBuffer', new Uint8Array([0, 255]).buffer, Buffer.from([0, 255])],
    ['no bytes', '', ''],
  ])('has the bytes of its body: %s', async (_, body, expected) => {
    const { fetch, requests } = fetching();
    await fetch(URL_, { method: 'POST', body });
    expect(requests[0]?.body).toEqual(Buffer.from(expected));
  });

  it('has what its options say of it', async () => {
    const isLate = () => false;
    const options = { isLate, closing: true, mostTries: 2, repeatable: true };
    const { fetch, requests } = fetching({}, options);
    await fetch(URL_, { method: 'POST' });
    expect(requests).toMatchObject([{ method: 'POST', ...options }]);
  });

  it.each<[string, string, RequestInit]>([
    ['a method that is not sent here', URL_, { method: 'PATCH' }],
    ['a scheme that is not HTTP', 'data:text/plain,a', {}],
    ['no URL', '/orgs/o', {}],
    ['a password in its URL', 'https://joe:s3cret@api.test/', {}],
  ])('fails with %s, and shows no secret then', async (_, url, init) => {
    const { fetch, requests } = fetching();
    const failed: unknown = await fetch(url, init).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(TypeError);
    expect(failed).not.toHaveProperty('cause');
    expect(String(failed)).not.toContain('s3cret');
    expect(requests).toEqual([]);
  });

  it('names the method that is not sent here', async () => {
    const { fetch } = fetching();
    await expect(fetch(URL_, { method: 'PATCH' })).rejects.toThrow('the method PATCH');
  });

  it('fails unsent when its signal was aborted before', async () => {
    const { fetch, requests } = fetching();
    await expect(fetch(URL_, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    expect(requests).toEqual([]);
  });
});

describe('the answer of a fetch', () => {
  it('has status, headers, body and the URL after redirects', async () => {
    const headers = {
      'content-type': 'application/json',
      'set-cookie': ['a=1', 'b=2'],
      link: '<a>; rel="next", <b>; rel="last"',
      absent: undefined,
    };
    const fetch = createFetch(
      async (sent) =>
        Promise.resolve({
          ...respond(sent, { status: 404, headers, body: '{"message":"Größe"}' }),
          url: new URL('https://other.test/b'),
        }),
      { maxBytes: 1000 },
    );
    const answer = await fetch(URL_);
    expect(answer).toBeInstanceOf(Response);
    expect(answer).toMatchObject({ status: 404, ok: false, url: 'https://other.test/b' });
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(answer.headers.get('link')).toBe('<a>; rel="next", <b>; rel="last"');
    expect(answer.headers.has('absent')).toBe(false);
    expect(await answer.json()).toEqual({ message: 'Größe' });
  });

  it.each([204, 205, 304])('has no body for status %d', async (status) => {
    const { fetch } = fetching({ status });
    expect(await fetch(URL_)).toMatchObject({ status, body: null });
  });

  it('has no body for HEAD', async () => {
    const { fetch } = fetching();
    expect(await fetch(URL_, { method: 'HEAD' })).toMatchObject({ status: 200, body: null });
  });

  it.each([
    ['DELETE', 307],
    ['PUT', 301],
    ['GET', 302],
  ])('never is a redirect that was not followed: %s, %d', async (method, status) => {
    const { fetch } = fetching({ status, headers: { location: '/elsewhere' } });
    const failed: unknown = await fetch(URL_, { method }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(TransportError);
    expect(failed).toMatchObject({ kind: 'redirect' });
    expect(String(failed)).toBe(
      `TransportError: ${method} ${redactUrl(new URL(URL_))}: the answer ${String(status)} sends the request elsewhere, which is not followed [redirect-not-followed]`,
    );
  });

  it.each([199, 600])('never has status %d, which is not one', async (status) => {
    const { fetch } = fetching({ status });
    await expect(fetch(URL_)).rejects.toMatchObject({ kind: 'other' });
  });

  it('fails with the failure of the transport as it is', async () => {
    const failed = new TooLate();
    const fetch = createFetch(async () => Promise.reject(failed), { maxBytes: 1000 });
    await expect(fetch(URL_)).rejects.toBe(failed);
  });
});

describe('requestFailureOf', () => {
  const failed = new TooLate();

  it.each<[string, unknown, RequestFailure | undefined]>([
    ['the failure itself', failed, failed],
    ['an error that has one as its cause', new Error('a', { cause: failed }), failed],
    ['an error with another cause', new Error('a', { cause: new Error('b') }), undefined],
    ['an error without a cause', new Error('a'), undefined],
    ['no error', 'a', undefined],
  ])('finds what there is in %s', (_, error, expected) => {
    expect(requestFailureOf(error)).toBe(expected);
  });
});

describe('octokit over the transport', () => {
  const ROUTE =
    'DELETE /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}';
  const PACKAGE = { org: 'o', package_type: 'container', package_name: 'team/app' } as const;
  const VERSION = { ...PACKAGE, package_version_id: 7 } as const;

  function octokitFor(
    api: URL,
    { options = {}, ca }: { options?: Partial<FetchOptions>; ca?: string } = {},
  ) {
    const clock = fakeClock({ auto: true });
    const transport = createTransport({
      registry: new URL('https://ghcr.test/'),
      credentials: { kind: 'basic', username: 'joe', password: 'registry-s3cret' },
      concurrency: 4,
      insecure: false,
      userAgent: 'tests',
      mask: () => undefined,
      clock,
      random: () => 0,
      ...(ca !== undefined && { ca }),
    });
    transports.push(transport);
    const fetch = createFetch(transport.send, { maxBytes: 10_000, ...options });
    const octokit = getOctokit(TOKEN, { baseUrl: api.href.replace(/\/$/, ''), request: { fetch } });
    return { octokit, transport, clock };
  }

  /** What it fails with, as it is, and every text in it that may be printed. */
  async function failureOf(sending: Promise<unknown>) {
    const error: unknown = await sending.then(
      () => 'it was answered',
      (reason: unknown) => reason,
    );
    const { message, stack } = error as Error;
    return { error, text: `${message}\n${stack ?? ''}\n${JSON.stringify(error)}` };
  }

  it('lists, follows pages and deletes with the token of the API', async () => {
    const server = await startServer(({ method, path }, response) => {
      response.setHeader('content-type', 'application/json');
      if (method === 'DELETE') {
        response.writeHead(204).end();
      } else if (path.includes('page=2')) {
        response.end('[{"id":2}]');
      } else {
        const next = new URL(
          '/organizations/9/packages/container/team%2Fapp/versions?page=2',
          server.url,
        );
        response.setHeader('link', `<${next.href}>; rel="next"`).end('[{"id":1}]');
      }
    });
    const { octokit } = octokitFor(server.url);
    const versions = await octokit.paginate(
      'GET /orgs/{org}/packages/{package_type}/{package_name}/versions',
      {
        ...PACKAGE,
        per_page: 1,
      },
    );
    expect(versions.map(({ id }) => id)).toEqual([1, 2]);
    expect((await octokit.request(ROUTE, VERSION)).status).toBe(204);
    expect(server.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /orgs/o/packages/container/team%2Fapp/versions?per_page=1',
      'GET /organizations/9/packages/container/team%2Fapp/versions?page=2',
      'DELETE /orgs/o/packages/container/team%2Fapp/versions/7',
    ]);
    for (const { headers } of server.seen) {
      expect(headers).toMatchObject({ authorization: `token ${TOKEN}`, 'user-agent': 'tests' });
    }
  });

  it('restores with a POST without a body, which names its length', async () => {
    const server = await startServer((_seen, response) => response.writeHead(204).end());
    const { octokit } = octokitFor(server.url);
    await octokit.request(
      'POST /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}/restore',
      VERSION,
    );
    expect(server.seen).toMatchObject([{ method: 'POST', headers: { 'content-length': '0' } }]);
  });

  it('shows the token to no other origin', async () => {
    const other = await startServer((_seen, response) => response.end('{}'));
    const server = await startServer((_seen, response) => {
      response.writeHead(302, { location: new URL('/b', other.url).href }).end();
    });
    const { octokit, transport } = octokitFor(server.url);
    const USER = { username: 'o' };
    const answer = await octokit.request('GET /users/{username}', USER);
    expect(answer.url).toBe(new URL('/b', other.url).href);
    expect(server.seen[0]?.headers.authorization).toBe(`token ${TOKEN}`);
    expect(other.seen).toHaveLength(1);
    expect(JSON.stringify(other.seen)).not.toMatch(/s3cret/);
    const { origin } = server.url;
    const request = { fetch: createFetch(transport.send, { maxBytes: 100, origin }) };
    const { error } = await failureOf(
      octokit.request('GET /users/{username}', { ...USER, request }),
    );
    expect(requestFailureOf(error)).toMatchObject({ kind: 'redirect' });
  });

  it('sends through the proxy, trusts the authority given, and shows the token to the API only', async () => {
    const server = await startServer((_seen, response) => response.end('{}'), { tls: true });
    const proxy = await startProxy(server.port);
    process.env['https_proxy'] = proxy.url;
    const api = new URL(`https://registry.test/`);
    const { octokit } = octokitFor(api, { ca: testCa() });
    const { error } = await failureOf(octokit.request('GET /meta'));
    expect(proxy.tunnels).toEqual([{ target: 'registry.test:443', authorization: undefined }]);
    expect(error).toBe('it was answered');
    expect(server.seen).toMatchObject([{ headers: { authorization: `token ${TOKEN}` } }]);
  });

  it('waits as long as the API asks, and repeats what may be repeated', async () => {
    const server = await startServer((_seen, response, index) => {
      response.writeHead(index === 0 ? 429 : 204, { 'retry-after': '7' }).end();
    });
    const { octokit, clock } = octokitFor(server.url);
    expect((await octokit.request(ROUTE, VERSION)).status).toBe(204);
    expect(clock.slept).toEqual([7000]);
  });

  it("waits for GitHub's secondary limit, and then gives its answer and how often it was sent", async () => {
    const message = 'You have exceeded a secondary rate limit.';
    const server = await startServer((_seen, response) => {
      response
        .writeHead(403, { 'content-type': 'application/json' })
        .end(JSON.stringify({ message }));
    });
    const { octokit, transport, clock } = octokitFor(server.url);
    const answers: HttpResponse[] = [];
    const fetch = createFetch(
      async (sent) => {
        const answer = await transport.send(sent);
        answers.push(answer);
        return answer;
      },
      { maxBytes: 1000 },
    );
    const start = clock.now();
    const { error } = await failureOf(octokit.request(ROUTE, { ...VERSION, request: { fetch } }));
    expect(error).toMatchObject({ status: 403, response: { data: { message } } });
    expect(server.seen).toHaveLength(5);
    expect(answers).toMatchObject([{ status: 403, tries: 5 }]);
    expect(clock.now() - start).toBe((1 + 2 + 4 + 8) * 60_000);
  });

  it('gives the answer at once when the quota is used up, and knows so', async () => {
    const server = await startServer((_seen, response) => {
      response
        .writeHead(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '2000000000' })
        .end();
    });
    const { octokit, transport, clock } = octokitFor(server.url);
    const { error } = await failureOf(octokit.request(ROUTE, VERSION));
    expect(error).toMatchObject({ status: 403 });
    expect(server.seen).toHaveLength(1);
    expect(clock.slept).toEqual([]);
    expect(transport.quota(server.url.host)).toEqual({ remaining: 0, resetsAt: 2_000_000_000_000 });
  });

  it("gives status, headers and message of an error of the API's", async () => {
    const body = { message: 'You cannot delete the last tagged version', documentation_url: 'd' };
    const server = await startServer((_seen, response) => {
      response
        .writeHead(400, { 'content-type': 'application/json', 'x-ratelimit-remaining': '9' })
        .end(JSON.stringify(body));
    });
    const { octokit } = octokitFor(server.url);
    const { error, text } = await failureOf(octokit.request(ROUTE, VERSION));
    expect(requestFailureOf(error)).toBeUndefined();
    expect(error).toMatchObject({
      name: 'HttpError',
      status: 400,
      response: { status: 400, data: body, headers: { 'x-ratelimit-remaining': '9' } },
    });
    expect(text).not.toContain('s3cret');
  });

  it('wraps a failure of the transport, which is its cause, and tells the token in none', async () => {
    const api = new URL(`http://127.0.0.1:${String(await closedPort())}/`);
    const { octokit } = octokitFor(api);
    const { error, text } = await failureOf(octokit.request(ROUTE, VERSION));
    expect(error).toMatchObject({ name: 'HttpError', status: 500 });
    const failed = requestFailureOf(error);
    expect(failed).toBeInstanceOf(TransportError);
    expect(failed).toMatchObject({ kind: 'refused' });
    expect(failed?.message).toContain(
      `DELETE ${api.origin}/orgs/o/packages/container/team%2Fapp/versions/7`,
    );
    expect(text).not.toContain('s3cret');
  });

  it('asks no other origin, although the Link header of a page names one', async () => {
    const other = await startServer((_seen, response) => response.end('[]'));
    const server = await startServer((_seen, response) => {
      const next = new URL('/page/2', other.url).href;
      const headers = { 'content-type': 'application/json', link: `<${next}>; rel="next"` };
      response.writeHead(200, headers).end('[]');
    });
    const { octokit } = octokitFor(server.url, { options: { origin: server.url.origin } });
    const { error, text } = await failureOf(
      octokit.paginate('GET /users/{username}/packages', {
        username: 'o',
        package_type: 'container',
      }),
    );
    expect(requestFailureOf(error)).toMatchObject({ kind: 'redirect' });
    expect(String(requestFailureOf(error))).toContain(
      `${other.url.origin} is not asked, nor believed: it is not ${server.url.origin}`,
    );
    expect(text).not.toContain('s3cret');
    expect(server.seen).toHaveLength(1);
    expect(other.seen).toEqual([]);
  });

  it('reads no more than the limit', async () => {
    const server = await startServer((_seen, response) => response.end('x'.repeat(101)));
    const { octokit } = octokitFor(server.url, { options: { maxBytes: 100 } });
    const { error } = await failureOf(octokit.request('GET /meta'));
    expect(requestFailureOf(error)).toMatchObject({ kind: 'too-large' });
  });

  it('takes a fetch for one call, which is not sent when it is late', async () => {
    const server = await startServer((_seen, response) => response.writeHead(204).end());
    const { octokit, transport } = octokitFor(server.url);
    const request = { fetch: createFetch(transport.send, { maxBytes: 100, isLate: () => true }) };
    const { error } = await failureOf(octokit.request(ROUTE, { ...VERSION, request }));
    expect(requestFailureOf(error)).toBeInstanceOf(TooLate);
    expect(server.seen).toEqual([]);
    await octokit.request(ROUTE, VERSION);
    expect(server.seen).toHaveLength(1);
  });

  it('takes no redirect of a DELETE for a delete', async () => {
    const server = await startServer((_seen, response) => {
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    const { octokit } = octokitFor(server.url);
    const { error } = await failureOf(octokit.request(ROUTE, VERSION));
    expect(requestFailureOf(error)).toMatchObject({ kind: 'redirect' });
    expect(server.seen).toHaveLength(1);
  });
});
