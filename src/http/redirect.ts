/**
 * Follows redirects of GET and HEAD by hand. Credentials stay with the origin that they were meant for
 * and, once it was left, are not shown again, not even back at that origin.
 */
import { failure } from './failure.js';
import type { HttpRequest, HttpResponse, Send } from './message.js';

const MOST_HOPS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** @throws TransportError of kind `redirect` for too many hops and for places that must not be followed */
export function createRedirect(next: Send): Send {
  return async (request) => {
    let hop = request;
    for (let hops = 0; ; hops += 1) {
      const response = await next(hop);
      const location = locationOf(hop, response);
      if (location === undefined) {
        return response;
      }
      if (hops === MOST_HOPS) {
        throw failure(request, 'redirect', `more than ${String(MOST_HOPS)} redirects`);
      }
      hop = moved(hop, target(hop, location));
    }
  };
}

/** The Location to follow. A redirect of a write is left to the caller: it never repeats itself elsewhere. */
function locationOf(request: HttpRequest, response: HttpResponse): string | undefined {
  const follows = request.method === 'GET' || request.method === 'HEAD';
  return follows && REDIRECTS.has(response.status) ? response.headers.location : undefined;
}

function target(hop: HttpRequest, location: string): URL {
  if (!URL.canParse(location, hop.url.href)) {
    throw failure(hop, 'redirect', 'the redirect leads to no URL');
  }
  const url = new URL(location, hop.url);
  if (url.protocol !== 'https:' && url.protocol !== hop.url.protocol) {
    const schemes = `${hop.url.protocol}// to ${url.protocol}//`;
    throw failure(hop, 'redirect', `a redirect from ${schemes} is not followed`);
  }
  url.username = '';
  url.password = '';
  return url;
}

function moved(hop: HttpRequest, url: URL): HttpRequest {
  if (url.origin === hop.url.origin) {
    return { ...hop, url };
  }
  const rest: HttpRequest & { authorization?: string } = { ...hop, url };
  delete rest.authorization;
  return rest;
}
