/**
 * Whether an answer is the registry's own word of this moment. Where an old answer would mislead (what a tag
 * points at, which tags there are), one from a cache or from another place is as good as none. Pure.
 */
import type { HttpResponse } from '../../http/message.js';

/** Asks every cache on the way to let the registry answer (RFC 9111 section 5.2.1.4). */
export const FRESH = { 'cache-control': 'no-cache' } as const;

/**
 * Headers in which caches say what they did: nginx's usual `X-Cache-Status` and `X-Proxy-Cache`, Varnish's and
 * CloudFront's `X-Cache`, Cloudflare's `CF-Cache-Status`, and the standard one (RFC 9211).
 */
const CACHE_HEADER = /^(?:(?:x-|cf-)?(?:[a-z]+-)?cache(?:-status)?)$/;
/** Words for an answer out of the cache. `REVALIDATED`, `MISS`, `EXPIRED` and `BYPASS` mean the registry was asked. */
const FROM_CACHE = /(?:^|[\s,;])(?:hit|stale|updating)(?:$|[\s,;])/i;

/**
 * @param base scheme, host and port of the registry
 * @returns why the answer may be old, and what to do about it; `undefined` when it is the registry's own
 */
export function whyStale({ headers, url }: HttpResponse, base: URL): string | undefined {
  if (url.origin !== base.origin) {
    return (
      `the answer came from ${url.origin}, to which the registry redirects, and deletes go to ${base.origin}. ` +
      'Give `registry-url` the address of the registry itself'
    );
  }
  const age = Number(headers.age ?? 0);
  const sign =
    age > 0
      ? `Age: ${String(age)}`
      : Object.entries(headers).find(
          ([name, value]) => CACHE_HEADER.test(name) && FROM_CACHE.test(String(value)),
        )?.[0];
  return sign === undefined
    ? undefined
    : `the answer came from a cache (\`${sign}\`) and may be old. Switch caching off for \`/v2/\` in the proxy before ` +
        'the registry, or give `registry-url` the address of the registry itself';
}
