/**
 * A server that plays Gitea's packages API and the registry beside it, for what the real one can't be made to answer:
 * lists that move at a given moment, rows in no form, refusals. What Gitea itself does is shown on the real one.
 */
import type { ServerResponse } from 'node:http';

import type { Credentials } from '../../../src/http/credentials.js';
import type { Digest } from '../../../src/oci/digest.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import type { Registry } from '../../../src/registry/registry.js';
import { closeServers, startServer, type Seen, type TestServer } from '../servers/servers.js';
import { stopAfterTest } from '../servers/stop-after-test.js';
import { connect } from './run.js';

export const LOGIN = { kind: 'basic', username: 'bot', password: 'pass-word-1' } as const;

export const CHALLENGE =
  'Bearer realm="http://registry.test/v2/token",service="container_registry",scope="*", ' +
  'Basic realm="Gitea Container Registry"';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** @returns `undefined` for the server's own answer */
export type Script = (request: Seen, url: URL) => Answer | undefined;

export interface Scripted {
  readonly url: string;
  /** the requests as `GET /path?query`, without those that only read `/v2/` */
  readonly sent: () => readonly string[];
  readonly seen: TestServer['seen'];
  /** newest first, as the server lists them */
  readonly rows: Row[];
  /** what the registry says of each tag; absent: there is no such tag */
  readonly tags: Map<string, Digest>;
}

export interface Row {
  readonly id: number;
  readonly version: string;
  readonly name?: string;
  readonly created_at?: string;
  readonly type?: string;
}

const PER_PAGE = 50;

/** A server that ends with the test. The script is asked first. */
export async function startScript(script: Script = () => undefined): Promise<Scripted> {
  const rows: Row[] = [];
  const tags = new Map<string, Digest>();
  const own = (request: Seen, url: URL): Answer => {
    const [, tag = ''] = /^\/v2\/acme\/app\/manifests\/(.+)$/.exec(url.pathname) ?? [];
    const digest = tags.get(tag);
    if (digest !== undefined && request.method === 'HEAD') {
      return { status: 200, headers: { 'docker-content-digest': digest } };
    }
    if (url.pathname.startsWith('/api/v1/packages/acme') && request.method === 'GET') {
      return pageOf(rows, Number(url.searchParams.get('page')));
    }
    if (request.method === 'DELETE') {
      return { status: 204 };
    }
    return { status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN', message: '' }] } };
  };
  const server = await startServer((request, response) => {
    const url = new URL(request.path, 'http://registry.test');
    write(response, script(request, url) ?? own(request, url));
  });
  stopAfterTest({ stop: closeServers });
  return {
    url: server.url.href,
    seen: server.seen,
    sent: () => server.seen.map(({ method, path }) => `${method} ${path}`),
    rows,
    tags,
  };
}

function pageOf(rows: readonly Row[], page: number): Answer {
  const body = rows
    .slice((page - 1) * PER_PAGE, page * PER_PAGE)
    .map((row) => ({ type: 'container', name: 'app', created_at: '2026-01-02T03:04:05Z', ...row }));
  return { status: 200, headers: { 'X-Total-Count': String(rows.length) }, body };
}

function write(response: ServerResponse, { status, headers = {}, body }: Answer): void {
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
  response.writeHead(status, { 'Content-Type': type, ...headers });
  response.end(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body));
}

/** In the form of the API's refusals. */
export const refusal = (status: number, message: string): Answer => ({
  status,
  body: { message, url: 'http://registry.test/api/swagger' },
});

export interface OpenOptions {
  readonly credentials?: Credentials;
  readonly namespaces?: readonly string[];
  readonly apiUrl?: URL;
}

/** The family as a run opens it. */
export function openGitea(url: string, options: OpenOptions = {}): Registry {
  const { credentials = LOGIN, ...more } = options;
  const { transport, quote } = connect({ url, credentials, concurrency: 16 });
  stopAfterTest({
    stop: () => {
      transport.close();
      return Promise.resolve();
    },
  });
  const settings = { registry: new URL(url), registryType: 'gitea', ...more };
  return openRegistry(settings, { ...transport, quote });
}
