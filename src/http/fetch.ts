/**
 * A `fetch` over our own transport, for SDKs that take one: proxies, CA, retries, pauses, stop and redaction are then
 * the same for them. It adds no judgement of its own, but for redirects of writes, which it never reports as answers.
 *
 * What `send` rejects with is passed on as it is. Octokit wraps it into an error with `status` 500, although no server
 * said so, and puts the original into `cause`: `requestFailureOf` finds it again, and has to be asked before the status.
 *
 * Octokit's own errors for answers of 400 and more have no `cause`, but `status`, `response.data` and
 * `response.headers`. Who needs more of an answer than a Response has (`tries`, `gaveUp`, what slowDownOf says of it)
 * wraps the `send` of that call.
 */
import { failure } from './failure.js';
import {
  RequestFailure,
  type HttpRequest,
  type HttpResponse,
  type Method,
  type Send,
} from './message.js';
import { isRedirect } from './redirect.js';

/**
 * The parts of a request that a `fetch` has no words for. An SDK that takes a `fetch` for each of its calls (octokit's
 * `request: { fetch }`) is given one made for that call.
 */
export interface FetchOptions extends Pick<
  HttpRequest,
  'maxBytes' | 'isLate' | 'closing' | 'mostTries' | 'repeatable'
> {
  /**
   * The only origin that is asked, and whose answers count. An SDK shows its token to each URL that it is given, one of a
   * Link header included.
   */
  readonly origin?: string;
}

const METHODS: readonly string[] = ['GET', 'HEAD', 'PUT', 'DELETE', 'POST'] satisfies Method[];

/**
 * About the connection and not the message, set by the exchange, or a credential that a redirect would carry to another
 * host. `authorization` has a field of its own.
 */
const OWN_HEADERS = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'user-agent',
  'accept-encoding',
  'content-length',
  'transfer-encoding',
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'expect',
]);

const NULL_BODY = new Set([204, 205, 304]);

/**
 * The answer has its body whole, and `url` as it was after redirects. A signal is heeded only before the request is sent:
 * the run's own stop and time limits hold after that.
 *
 * @returns a `fetch` that rejects with what `send` rejects with; with TransportError of kind `redirect` for a write that is
 * sent elsewhere and for any other origin, and of kind `other` for a status that no answer may have; with TypeError for a request that isn't valid
 * or has another method than GET, HEAD, PUT, DELETE and POST
 */
export function createFetch(send: Send, { origin, ...fields }: FetchOptions): typeof fetch {
  return async (input, init) => {
    const asked = parsed(input, init);
    asked.signal.throwIfAborted();
    const request = { ...(await requestOf(asked)), ...fields };
    const check = ({ url }: Pick<HttpRequest, 'url'>) => {
      if (origin !== undefined && url.origin !== origin) {
        throw failure(
          request,
          'redirect',
          `${url.origin} is not asked, nor believed: it is not ${origin}`,
        );
      }
    };
    check(request);
    const response = await send(request);
    check(response);
    return answerOf(request, response);
  };
}

/** The failure of the transport behind an error of an SDK, or the error itself if it is one. */
export function requestFailureOf(error: unknown): RequestFailure | undefined {
  if (error instanceof RequestFailure) {
    return error;
  }
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof RequestFailure ? cause : undefined;
}

function parsed(...[input, init]: Parameters<typeof fetch>): Request {
  let asked: Request;
  try {
    asked = new Request(input, init);
  } catch {
    // The cause would show the URL, and a password in it.
    throw new TypeError('the URL, headers or body of a request are not valid');
  }
  if (!/^https?:/.test(asked.url)) {
    throw new TypeError(`the scheme ${new URL(asked.url).protocol} can't be fetched`);
  }
  return asked;
}

async function requestOf(asked: Request): Promise<Omit<HttpRequest, 'maxBytes'>> {
  const { method, url, headers } = asked;
  if (!isMethod(method)) {
    throw new TypeError(`the method ${method} is not one that this transport sends`);
  }
  const authorization = headers.get('authorization');
  return {
    method,
    url: new URL(url),
    headers: Object.fromEntries([...headers].filter(([name]) => !OWN_HEADERS.has(name))),
    ...(authorization !== null && { authorization }),
    ...(asked.body !== null && { body: Buffer.from(await asked.arrayBuffer()) }),
  };
}

function isMethod(method: string): method is Method {
  return METHODS.includes(method);
}

/** @throws TransportError */
function answerOf(request: HttpRequest, response: HttpResponse): Response {
  const { status, headers, body, url } = response;
  if (isRedirect(response)) {
    // A caller that took it for a success would believe in a delete that nobody carried out.
    const detail = `the answer ${String(status)} sends the request elsewhere, which is not followed`;
    throw failure(request, 'redirect', detail);
  }
  if (status < 200 || status > 599) {
    throw failure(request, 'other', `the status ${String(status)} of the answer isn't valid`);
  }
  const hasBody = request.method !== 'HEAD' && !NULL_BODY.has(status);
  const answer = new Response(hasBody ? new Uint8Array(body) : null, { status });
  for (const [name, values = []] of Object.entries(headers)) {
    for (const value of [values].flat()) {
      answer.headers.append(name, value);
    }
  }
  return Object.defineProperty(answer, 'url', { value: url.href });
}
