/**
 * What stands between a runner and its registry, as people met it: the bundled action says what happened, where, and
 * what to do, and docs/troubleshooting.md has it.
 */
import { readFileSync } from 'node:fs';
import http, { type ServerResponse } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import { beforeEach, describe, expect, it } from '@jest/globals';

import { digestOf } from '../../src/oci/digest.js';
import { OCI_CONFIG } from '../../src/oci/media-types.js';
import { runAction, type ActionRun, type RunOptions } from '../support/clients/run-action.js';
import { image, manifest } from '../support/builders/build.js';
import { createAuthority } from '../support/servers/certificate.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startDockerRegistry } from '../support/servers/docker-registry.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action, Interceptor } from '../support/servers/memory/script.js';
import { push, seed } from '../support/clients/push.js';
import { distribution3, dockerRegistry, present } from '../support/servers/real-registries.js';
import { hurried } from '../support/clients/hurry.js';

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

const kept = image('messages kept');
const orphan = image('messages orphan');
const young = image('messages young', { created: new Date().toISOString() });

const programs = [
  { name: 'docker-registry', found: dockerRegistry },
  { name: 'distribution-3', found: distribution3 },
] as const;

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = stopAfterTest(await startMemoryRegistry());
  seed(registry.state, 'team/app', kept, 'v1');
  seed(registry.state, 'team/app', orphan);
});

const clean = (
  inputs: Record<string, string> = {},
  env: Record<string, string> = {},
  options: RunOptions = {},
) =>
  runAction(
    {
      'registry-url': registry.url,
      digests: `team/app@${orphan.digest}`,
      'grace-period': '0',
      ...inputs,
    },
    { ...options, env },
  );

async function listening(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stopAfterTest({ stop: () => ended(server) });
  return (server.address() as AddressInfo).port;
}

async function ended(server: net.Server): Promise<void> {
  if (server instanceof http.Server || server instanceof https.Server) {
    server.closeAllConnections();
  }
  await new Promise((resolve) => server.close(resolve));
}

const answering = async (answer: (response: ServerResponse, path: string) => void) =>
  listening(
    http.createServer(({ url = '' }, response) => {
      answer(response, url);
    }),
  );

/** @param heading an entry of docs/troubleshooting.md, whose words the message has */
function expectTold(run: ActionRun, heading: string, ...words: string[]): void {
  expect(run.exitCode).toBe(1);
  for (const word of [heading, ...words]) {
    expect(run.log).toContain(word);
  }
  expect(DOCS).toContain(`### \`${heading}`);
  expect(registry.state.repositories.get('team/app')?.manifests.has(kept.digest)).toBe(true);
}

const on =
  (pattern: RegExp, action: Action): Interceptor =>
  ({ method, path }) =>
    pattern.test(`${method} ${path}`) ? action : undefined;

describe('a registry-url with http:// for a port that wants TLS', () => {
  it.each([
    ['Go', 'text/plain', 'Client sent an HTTP request to an HTTPS server.\n'],
    [
      'nginx',
      'text/html',
      '<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>',
    ],
  ])('is reported as %s says it', async (_, type, body) => {
    const port = await answering((response) => {
      response.writeHead(400, { 'Content-Type': type }).end(body);
    });
    const run = await clean({ 'registry-url': `http://127.0.0.1:${String(port)}` });
    expectTold(run, 'the server wants TLS on this port', `https://127.0.0.1:${String(port)}`);
    expect(run.log).toContain('[tls-expected]');
  });

  it('is reported as OpenSSL says it, with an alert of TLS', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(Buffer.from([0x15, 0x03, 0x01, 0, 2, 2, 70])));
    });
    const port = await listening(server);
    const run = await clean({ 'registry-url': `http://127.0.0.1:${String(port)}` });
    expectTold(run, 'the server wants TLS on this port', `https://127.0.0.1:${String(port)}`);
  });
});

describe('a redirect', () => {
  it('is reported from http:// to https:// with the right address', async () => {
    const authority = createAuthority();
    const { pem: cert, keyPem: key } = authority.issue('registry');
    const secure = stopAfterTest(await startMemoryRegistry({ tls: { cert, key } }));
    const port = await answering((response, path) => {
      response.writeHead(301, { Location: `${secure.url}${path}` }).end();
    });
    const url = `http://127.0.0.1:${String(port)}`;
    const run = await clean({ 'registry-url': url, insecure: 'true' });
    expectTold(run, 'and only reads may follow', `Put \`${secure.url}\` into \`registry-url\``);
  });

  it('is reported as a circle where it leads in one', async () => {
    const port = await answering((response, path) => {
      response.writeHead(307, { Location: path }).end();
    });
    const run = await clean({ 'registry-url': `http://127.0.0.1:${String(port)}` });
    expectTold(run, 'the redirects form a loop', 'X-Forwarded-Proto');
  });

  it('gets no credentials where it leads an upload from https to http', async () => {
    const authority = createAuthority();
    const { pem: cert, keyPem: key } = authority.issue('registry');
    const secure = stopAfterTest(await startMemoryRegistry({ tls: { cert, key } }));
    seed(secure.state, 'team/app', kept, 'v1');
    let seen = 0;
    const port = await answering((response) => {
      seen += 1;
      response.writeHead(201).end();
    });
    secure.intercept(({ method }) =>
      method === 'POST'
        ? {
            kind: 'answer',
            status: 202,
            headers: { Location: `http://127.0.0.1:${String(port)}/upload?_state=x` },
          }
        : undefined,
    );
    const run = await clean({ 'registry-url': secure.url, insecure: 'true' });
    expectTold(run, 'is not followed', 'Location of an upload', '`X-Forwarded-Proto: https`');
    expect(seen).toBe(0);
  });

  it('is reported, and not followed, where it answers a delete', async () => {
    registry.intercept(
      on(/^DELETE/, { kind: 'answer', status: 308, headers: { Location: 'https://r.test/x' } }),
    );
    const run = await clean();
    expect(run.log).toContain(
      '308, a redirect to https://r.test, which is followed for reads only',
    );
    expect(run.exitCode).toBe(1);
    expect(DOCS).toContain('`which is followed for reads only`');
  });

  it('is reported where it leads blobs to a host that the runner can’t reach', async () => {
    seed(registry.state, 'team/app', young);
    registry.intercept(
      on(/^GET .*\/blobs\//, {
        kind: 'answer',
        status: 307,
        headers: { Location: 'http://127.0.0.1:1/bucket/x?X-Amz-Signature=s3cret' },
      }),
    );
    const digests = `team/app@${young.digest}`;
    const run = await clean({ digests, 'grace-period': '1d', 'ledger-repository': 'off' });
    expectTold(run, 'and that failed', 'is redirected to http://127.0.0.1:1', '`grace-period: 0`');
    expect(run.log).not.toContain('s3cret');
  });
});

describe('a failed connection', () => {
  it('is reported with the addresses that a runner can reach', async () => {
    const server = net.createServer();
    const port = await listening(server);
    await ended(server);
    const run = await clean({ 'registry-url': `http://127.0.0.1:${String(port)}` });
    expectTold(run, 'no connection (', 'Can the runner reach it?', 'self-hosted runner');
  });

  it('is reported with the name that could not be resolved', async () => {
    const run = await clean({ 'registry-url': 'http://registry.invalid' });
    expectTold(run, 'could not be resolved', 'registry.invalid', 'self-hosted runner');
  }, 120_000);
});

describe('a proxy that opens no tunnel', () => {
  const proxied = (no_proxy: string) => ({
    http_proxy: 'http://127.0.0.1:1',
    https_proxy: 'http://127.0.0.1:1',
    no_proxy,
  });

  // Another name for this machine, which is not taken for it: that one never goes through a proxy.
  const here = () => registry.url.replace('127.0.0.1', '0.0.0.0');

  it.each(['0.0.0.0/8', '*.example.test, 0.0.0.0', '10.0.0.0/8,0.0.0.0/30'])(
    'is not asked with no_proxy: %s',
    async (none) => {
      const run = await clean({ 'registry-url': here() }, proxied(none));
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
    },
  );

  it.each(['', '10.0.0.0/8', '*.0.0.0'])(
    'is asked and reported with no_proxy: %j',
    async (none) => {
      const run = await clean({ 'registry-url': here() }, proxied(none));
      expectTold(run, 'the proxy opened no tunnel', 'ECONNREFUSED', 'into `no_proxy`');
    },
  );

  it.each([
    ['*.example.test', 'could not be resolved'],
    ['example.test', 'could not be resolved'],
    ['*.other.test', 'the proxy opened no tunnel'],
  ])('is reported for a name with no_proxy %s: %s', async (none, heading) => {
    const inputs = { 'registry-url': 'http://registry.example.test' };
    expectTold(await clean(inputs, proxied(none), hurried), heading, 'registry.example.test');
  });

  it('is reported with the status of its answer', async () => {
    const proxy = http.createServer().on('connect', (_request, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    const env = { https_proxy: `http://127.0.0.1:${String(await listening(proxy))}` };
    const run = await clean({ 'registry-url': here().replace('http:', 'https:') }, env);
    expectTold(run, 'the proxy opened no tunnel', '403', 'into `no_proxy`');
  });
});

describe('a server that speaks another protocol', () => {
  it('is reported where that isn’t HTTP', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.end('SSH-2.0-OpenSSH_9.6\r\n');
    });
    const port = await listening(server);
    const run = await clean({ 'registry-url': `http://127.0.0.1:${String(port)}` });
    expectTold(run, "the answer isn't valid HTTP", 'listen on this port?');
  });

  it('is reported where that isn’t TLS', async () => {
    const run = await clean({ 'registry-url': registry.url.replace('http:', 'https:') });
    expectTold(run, 'the server does not speak TLS on this port', 'http:// in front of');
  });

  it('is reported where its certificate is of a private authority', async () => {
    const { pem: cert, keyPem: key } = createAuthority().issue('registry');
    const secure = stopAfterTest(await startMemoryRegistry({ tls: { cert, key } }));
    const run = await clean({ 'registry-url': secure.url });
    expectTold(run, 'the TLS certificate or handshake was rejected', 'give that in `ca-file`');
    expect(run.log).not.toContain('client certificate');
  });
});

describe('a server that wants a client certificate', () => {
  for (const { name, found } of programs) {
    describeWith(name, found, `as ${name} does`, () => {
      it('is reported, and not as a server with a wrong certificate', async () => {
        const strict = stopAfterTest(
          await startDockerRegistry(present(found), { tls: true, clientCertificates: true }),
        );
        await push(strict, 'team/app', orphan);
        await push(strict, 'team/app', kept, 'v1');
        const before = strict.manifests();
        const run = await clean({ 'registry-url': strict.url, 'ca-file': strict.caFile ?? '' });
        expectTold(run, 'The server wants a client certificate', 'let the runner in without one');
        expect(run.log).toMatch(/_CERTIFICATE/);
        expect(run.log).not.toContain('give that in `ca-file`');
        expect(strict.manifests()).toEqual(before);
      });
    });
  }

  it('is reported as nginx says it', async () => {
    registry.intercept(() => ({
      kind: 'answer',
      status: 400,
      headers: { 'Content-Type': 'text/html' },
      body: '<html><title>400 No required SSL certificate was sent</title></html>',
    }));
    expectTold(await clean(), 'The server wants a client certificate');
  });
});

describe('an answer of a proxy', () => {
  it.each([403, 405, 501])('is reported: %d with a page, to a delete', async (status) => {
    registry.intercept(on(/^DELETE/, { kind: 'html', status }));
    const run = await clean();
    expectTold(run, 'with a page of HTML', String(status), 'Let it pass DELETE');
    expect(run.log).not.toMatch(/lack the scope|read-only|switched off/);
  });

  it('is reported: 413 to a push of the ledger', async () => {
    registry.intercept(on(/^PUT/, { kind: 'html', status: 413 }));
    const run = await clean();
    expectTold(run, 'what was seen of … could not be remembered'.slice(0, 16), '413');
    expect(run.log).toContain('`client_max_body_size`');
    expect(run.log).toContain('`ledger-repository: off`');
    expect(DOCS).toContain('`client_max_body_size`');
  });

  it('is reported: 500 to each try', async () => {
    registry.intercept(on(/^GET .*manifests\/v1$/, { kind: 'answer', status: 500 }));
    expectTold(await clean(), 'is overloaded, restarting or broken', 'to each of 3 tries');
  });

  it('is reported where it is compressed in an unknown way', async () => {
    const headers = { 'Content-Encoding': 'compress' };
    registry.intercept(on(/tags\/list/, { kind: 'answer', status: 200, headers, body: 'x' }));
    expectTold(await clean(), 'the server encoded its answer', 'Switch off compression');
  });
});

describe('an answer of a registry', () => {
  it('is shown where it refuses an entry of the ledger, with how to do without', async () => {
    registry.intercept(
      on(/^PUT .*\/manifests\//, {
        kind: 'answer',
        status: 400,
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          errors: [{ code: 'MANIFEST_INVALID', message: 'no', detail: 'unknown artifact type' }],
        }),
      }),
    );
    const run = await clean();
    expectTold(run, 'what was seen of ', 'MANIFEST_INVALID no: unknown artifact type');
    expect(run.log).toContain('`ledger-repository: off`');
  });

  describe('that is a damaged manifest', () => {
    const body = Buffer.from('{"schemaVersion":2,');
    const damaged = (digest: string, type = 'application/vnd.oci.image.manifest.v1+json') => {
      const headers = { 'Content-Type': type, 'Docker-Content-Digest': digest };
      registry.intercept(
        on(/^GET .*manifests\/v1$/, { kind: 'answer', status: 200, headers, body }),
      );
    };

    it('is reported where it was pushed so', async () => {
      damaged(digestOf(body));
      const run = await clean();
      expectTold(run, "couldn't be read", 'tag v1', 'Push the image again, or delete its tag');
      expect(DOCS).toContain('`Push the image again, or delete its tag`');
    });

    it('is reported where its bytes have another digest', async () => {
      damaged(kept.digest);
      expectTold(await clean(), "the body's digest is not the one that was", 'team/app:v1');
    });
  });

  it('is reported with a Link header that can’t be read', async () => {
    const body = JSON.stringify({ tags: ['v1'] });
    const headers = { Link: '/v2/team/app/tags/list?last=v1; rel=next' };
    registry.intercept(on(/tags\/list/, { kind: 'answer', status: 200, headers, body }));
    expectTold(await clean(), "the Link header of a page can't be read");
  });

  it('is reported with pages of another origin', async () => {
    const body = JSON.stringify({ tags: ['v1'] });
    const headers = { Link: '<http://other.test/v2/team/app/tags/list?last=v1>; rel="next"' };
    registry.intercept(on(/tags\/list/, { kind: 'answer', status: 200, headers, body }));
    expectTold(await clean(), 'pages of another origin are not read', 'team/app');
  });

  it('is reported with pages in a circle', async () => {
    const body = JSON.stringify({ tags: ['v1'] });
    const headers = { Link: '</v2/team/app/tags/list>; rel="next"' };
    registry.intercept(on(/tags\/list/, { kind: 'answer', status: 200, headers, body }));
    const run = await clean();
    expectTold(
      run,
      "couldn't be read",
      "the registry's pages of /v2/team/app/tags/list do not end",
    );
    expect(DOCS).toContain('With `do not end` its pages');
  });

  it('is reported with a list that is larger than any', async () => {
    const headers = { 'Content-Length': '70000000' };
    registry.intercept(on(/tags\/list/, { kind: 'answer', status: 200, headers, body: '{' }));
    expectTold(await clean(), 'more than this program reads', '/v2/team/app/tags/list');
  });

  it('is reported with a config of more values than any image has', async () => {
    const bytes = Buffer.from(`{"history":[${'{},'.repeat(900_000)}{}]}`);
    const odd = manifest({ config: { mediaType: OCI_CONFIG, bytes }, layers: [] });
    seed(registry.state, 'team/app', odd);
    const digests = `team/app@${odd.digest}`;
    const run = await clean({ digests, 'grace-period': '1d' });
    expectTold(run, "which no image's does", 'team/app', digestOf(bytes));
    expect(registry.state.repositories.get('team/app')?.manifests.has(odd.digest)).toBe(true);
  });

  it('is reported with a time that is days away', async () => {
    const headers = { Date: 'Sun, 01 Nov 2020 00:00:00 GMT' };
    registry.intercept(on(/ \/v2\/$/, { kind: 'answer', status: 200, headers, body: '{}' }));
    const run = await clean();
    expect(run.log).toContain('::warning::the clocks of runner and registry are');
    expect(run.log).toContain('2020-11-01T00:00:00Z by the registry');
    expect(DOCS).toContain('### `the clocks of runner and registry are');
  });
});

it('a run cleans a registry whose proxy compresses every answer', async () => {
  registry.intercept(({ method }) =>
    method === 'GET'
      ? {
          kind: 'rewrite',
          rewrite: ({ status, headers, body }) => ({
            status,
            headers: { ...headers, 'Content-Encoding': 'gzip' },
            body: gzipSync(body),
          }),
        }
      : undefined,
  );
  const run = await clean();
  expect([run.exitCode, run.outputs['deleted-count']]).toEqual([0, '1']);
});

it('a run takes NOT_FOUND as absent, not as a gap', async () => {
  registry.intercept(({ path }) =>
    path.includes(orphan.digest)
      ? {
          kind: 'answer',
          status: 404,
          headers: { 'Content-Type': 'application/json' },
          body: '{"errors":[{"code":"NOT_FOUND","message":"artifact team/app not found"}]}',
        }
      : undefined,
  );
  expect((await clean()).exitCode).toBe(0);
});
