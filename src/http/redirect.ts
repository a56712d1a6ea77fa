/**
 * Follows redirects of GET and HEAD by hand, and says where else a Location may lead. Credentials stay with the
 * origin that they were meant for and, once it was left, are not shown again, not even back at that origin.
 */
import { failure } from './failure.js';
import { foreignUrl } from './foreign-url.js';
import { TransportError, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { redactUrl } from './redact.js';

type Asked = Pick<HttpRequest, 'method' | 'url'>;

const MOST_HOPS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** @throws TransportError of kind `redirect` for too many hops and for places that must not be followed */
export function createRedirect(next: Send): Send {
  return async (request) => {
    const visited = new Set<string>();
    let hop = request;
    for (;;) {
      visited.add(hop.url.href);
      const response = await sendHop(next, hop, request);
      const location = locationOf(hop, response);
      if (location === undefined) {
        return response;
      }
      const url = placeOf(hop, location, 'redirect');
      if (visited.has(url.href)) {
        throw failure(
          request,
          'redirect',
          `the redirects form a loop, back to ${redactUrl(url)}. Is \`registry-url\` right? A proxy that speaks ` +
            'TLS has to tell the registry so, with the header `X-Forwarded-Proto: https`',
        );
      }
      if (visited.size > MOST_HOPS) {
        throw failure(request, 'redirect', `more than ${String(MOST_HOPS)} redirects`);
      }
      hop = { ...hop, url, ...(url.origin !== hop.url.origin && { authorization: undefined }) };
    }
  };
}

/** @throws TransportError that says so, where it was another host that failed */
async function sendHop(next: Send, hop: HttpRequest, first: HttpRequest): Promise<HttpResponse> {
  try {
    return await next(hop);
  } catch (error) {
    if (error instanceof TransportError && hop.url.origin !== first.url.origin) {
      const message = `${first.method} ${redactUrl(first.url)} is redirected to ${hop.url.origin}, and that failed: ${error.message}`;
      throw new TransportError(error.kind, message, { cause: error.cause, isElsewhere: true });
    }
    throw error;
  }
}

/** The Location to follow. A redirect of a write is left to the caller: it never repeats itself elsewhere. */
function locationOf(request: HttpRequest, response: HttpResponse): string | undefined {
  const follows = request.method === 'GET' || request.method === 'HEAD';
  return follows && isRedirect(response) ? response.headers.location : undefined;
}

/** Whether the status is one that sends the client to another place. */
export function isRedirect({ status }: HttpResponse): boolean {
  return REDIRECTS.has(status);
}

/**
 * Where the Location of an answer to `request` leads: never from https to anything else, and to no other scheme
 * than http and https. Credentials go there only if it is the origin that they were meant for.
 *
 * @param what of the answer leads there, as in "the redirect doesn't lead to a valid URL"
 * @throws TransportError of kind `redirect`
 */
export function placeOf(request: Asked, location: string, what: string): URL {
  const url = foreignUrl(location, request.url);
  if (url === undefined) {
    throw failure(request, 'redirect', `the ${what} doesn't lead to a valid URL`);
  }
  if (url.protocol !== 'https:' && url.protocol !== request.url.protocol) {
    const schemes = `${request.url.protocol}// to ${url.protocol}//`;
    const advice =
      url.protocol === 'http:'
        ? '. A proxy that speaks TLS has to tell the registry so: have it send the header ' +
          '`X-Forwarded-Proto: https`, or give its outer address to the registry (`http.host` of Distribution)'
        : '';
    throw failure(request, 'redirect', `a ${what} from ${schemes} is not followed${advice}`);
  }
  return url;
}
