/** The server of the REST face: limits, credentials, faults and headers around what `rest.ts` answers. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Answer } from '../memory/answer.js';
import { perform, type Action } from '../memory/script.js';
import { restError, WORDS } from './errors.js';
import { quotaHeaders, type Limits, type Visit } from './limits.js';
import type { Validator } from './openapi.js';
import type { GhcrOptions, Token } from './options.js';
import { restAnswer, type RestFace } from './rest.js';
import { callerOf, scopesOf } from './rights.js';
import { restRouteOf, type RestRoute } from './routes.js';

export interface ApiRequest {
  readonly method: string;
  /** path and query as they were sent */
  readonly url: string;
  /** of the answer; 0 when there was none */
  readonly status: number;
}

export interface SeenApiRequest {
  readonly method: string;
  /** path and query as they were sent */
  readonly path: string;
  /** absent: no route of GitHub's that is played here */
  readonly route: RestRoute | undefined;
  readonly headers: IncomingHttpHeaders;
  /** 1 for the first request that this server got */
  readonly n: number;
  /** 1 for the first request with this method and path, 2 for its first repetition */
  readonly attempt: number;
}

/** Sees each request before the server does; undefined is `pass`. It may change the state first. */
export type ApiInterceptor = (
  request: SeenApiRequest,
) => Action | undefined | Promise<Action | undefined>;

export interface AnsweredPage {
  /** the path's name of the package, decoded */
  readonly packageName: string;
  readonly page: number;
  /** 1 for the first page of a list that this server answered */
  readonly n: number;
}

/** Runs when a page of a list of versions is ready, and before it is sent: what it changes, the next page shows. */
export type PageHook = (page: AnsweredPage) => void | Promise<void>;

export interface ApiServer {
  readonly origin: string;
  readonly requests: ApiRequest[];
  intercept(interceptor?: ApiInterceptor): void;
  onPage(hook?: PageHook): void;
  close(): Promise<void>;
}

export interface ApiParts {
  readonly face: RestFace;
  readonly limits: Limits;
  readonly validator: Validator | undefined;
  /** what was wrong goes here */
  readonly violations: string[];
  readonly now: () => number;
  readonly options: GhcrOptions;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly route: RestRoute | undefined;
  readonly api: string;
  /** undefined: nobody in particular */
  readonly token: Token | undefined | 'bad';
  readonly visit: Visit;
}

export async function startApi(parts: ApiParts): Promise<ApiServer> {
  const { face, limits, validator, options } = parts;
  const { tls, apiPath = '', restLatency = 0 } = options;
  const scheme = tls === undefined ? 'http' : 'https';
  const requests: ApiRequest[] = [];
  const attempts = new Map<string, number>();
  let count = 0;
  let pages = 0;
  let intercept: ApiInterceptor = () => undefined;
  let hook: PageHook = () => undefined;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/', headers } = request;
    const origin = `${scheme}://${headers.host ?? 'localhost'}`;
    const url = new URL(path, origin);
    const isApi = url.pathname.startsWith(`${apiPath}/`);
    const route = isApi ? restRouteOf(method, url.pathname.slice(apiPath.length)) : undefined;
    const attempt = (attempts.get(`${method} ${path}`) ?? 0) + 1;
    attempts.set(`${method} ${path}`, attempt);
    count += 1;
    const n = count;
    const body = await read(request);
    if (validator !== undefined) {
      const problems =
        route === undefined
          ? ["no route of GitHub's that is played here"]
          : validator.request(route, url.searchParams, body);
      note(parts, request, problems);
    }
    const token = tokenOf(face, headers.authorization);
    const caller = callerOf(token === 'bad' ? undefined : token);
    const visit = limits.enter(caller);
    try {
      if (restLatency > 0) {
        await new Promise((resolve) => setTimeout(resolve, restLatency));
      }
      const asked: Asked = { request, url, route, api: `${origin}${apiPath}`, token, visit };
      const action = (await intercept({ method, path, route, headers, n, attempt })) ?? {
        kind: 'pass',
      };
      const result = await perform(action, () => respond(parts, asked));
      if (route?.kind === 'versions' && typeof result !== 'string' && result.status === 200) {
        pages += 1;
        const packageName = route.parameters['package_name'] ?? '';
        await hook({ packageName, page: Number(url.searchParams.get('page') ?? '1'), n: pages });
      }
      const status = typeof result === 'string' ? 0 : result.status;
      requests.push({ method, url: path, status });
      if (result === 'reset') {
        request.socket.destroy();
      } else if (result !== 'hang') {
        write(response, method, result, action.kind === 'truncate');
      }
    } finally {
      visit.leave();
    }
  }

  const listener: RequestListener = (request, response) => {
    void handle(request, response).catch((error: unknown) => {
      // A mistake in a test's script must be seen, not look like a server that hangs.
      process.emitWarning(`GitHub's API, simulated: ${String(error)}`);
      request.socket.destroy();
    });
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    origin: `${scheme}://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    requests,
    intercept: (interceptor = () => undefined) => {
      intercept = interceptor;
    },
    onPage: (other = () => undefined) => {
      hook = other;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** Keeps what is wrong. */
function note({ violations }: ApiParts, request: IncomingMessage, problems: string[]): void {
  const { method = 'GET', url = '/' } = request;
  violations.push(...problems.map((problem) => `${method} ${url}: ${problem}`));
}

function tokenOf({ rights }: RestFace, authorization: string | undefined): Asked['token'] {
  if (authorization === undefined) {
    return undefined;
  }
  const [, value = ''] = /^(?:bearer|token) (.+)$/i.exec(authorization) ?? [];
  return rights.tokenOf(value) ?? 'bad';
}

function respond(parts: ApiParts, { request, url, route, api, token, visit }: Asked): Answer {
  const { face, limits, validator, now } = parts;
  const { method = 'GET' } = request;
  if (request.headers['user-agent'] === undefined) {
    const headers = { 'Content-Type': 'text/html; charset=utf-8' };
    return { status: 403, headers, body: Buffer.from(WORDS.noUserAgent) };
  }
  const known = token === 'bad' ? undefined : token;
  const caller = callerOf(known);
  const isFree = route?.kind === 'rate-limit';
  const refusal = isFree ? undefined : limits.take(caller, method, route?.template ?? '', visit);
  const quota = limits.quotaOf(caller);
  const answer =
    refusal ??
    (token === 'bad'
      ? restError(401, WORDS.badCredentials)
      : route === undefined
        ? restError(404, WORDS.notFound)
        : restAnswer(face, { route, api, query: url.searchParams, token: known, quota }));
  if (validator !== undefined && route !== undefined) {
    note(parts, request, validator.answer(route, answer));
  }
  const scopes: Record<string, string> =
    known?.kind === 'classic' ? { 'X-OAuth-Scopes': scopesOf(known).join(', ') } : {};
  return {
    ...answer,
    headers: {
      Date: new Date(now()).toUTCString(),
      'X-GitHub-Media-Type': 'github.v3; format=json',
      'X-GitHub-Request-Id': 'C0DE:1:2:3:4',
      ...quotaHeaders(quota),
      ...scopes,
      ...answer.headers,
    },
  };
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(Buffer.from(chunk as Uint8Array));
  }
  return Buffer.concat(chunks);
}

function write(response: ServerResponse, method: string, answer: Answer, cut: boolean): void {
  const { status, headers, body } = answer;
  const hasBody = status !== 204 && method !== 'HEAD';
  response.writeHead(status, {
    ...(hasBody ? { 'Content-Length': String(body.length) } : {}),
    ...headers,
  });
  if (!hasBody) {
    response.end();
  } else if (cut) {
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
  } else {
    response.end(body);
  }
}
