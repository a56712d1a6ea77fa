import { describe, expect, it } from '@jest/globals';

import type { HttpResponse } from '../../../src/http/message.js';
import { whyStale } from '../../../src/registry/distribution/freshness.js';

const BASE = new URL('https://registry.example:5000');

function answer(headers: HttpResponse['headers'], url = 'https://registry.example:5000/v2/a') {
  return { status: 200, headers, body: Buffer.alloc(0), url: new URL(url) };
}

describe('an answer', () => {
  it.each<HttpResponse['headers']>([
    { age: '1' },
    { age: '86400' },
    { 'x-cache': 'HIT' },
    { 'x-cache': 'Hit from cloudfront' },
    { 'x-cache': 'MISS, HIT' },
    { 'x-cache-status': 'STALE' },
    { 'x-proxy-cache': 'UPDATING' },
    { 'x-proxy-cache-status': 'hit' },
    { 'cf-cache-status': 'HIT' },
    { 'cache-status': 'ExampleCache; hit; ttl=376' },
  ])('an answer with %j may be an old one', (headers) => {
    const why = whyStale(answer(headers), BASE) ?? '';
    const [name = ''] = Object.keys(headers);
    expect(why.toLowerCase()).toContain(`the answer came from a cache (\`${name}`);
    expect(why).toContain('Switch caching off for `/v2/`');
  });

  it.each<HttpResponse['headers']>([
    {},
    { age: '0' },
    { age: 'never' },
    { 'x-cache': 'MISS' },
    { 'x-cache': 'Miss from cloudfront', 'x-cache-lookup': 'HIT from squid:3128' },
    { 'x-cache-status': 'REVALIDATED' },
    { 'x-cache-status': 'EXPIRED' },
    { 'cf-cache-status': 'DYNAMIC' },
    { 'cache-status': 'ExampleCache; fwd=miss; stored' },
    { 'cache-control': 'no-cache, hit' },
    { etag: '"hit"' },
  ])('an answer with %j is the word of the registry', (headers) => {
    expect(whyStale(answer(headers), BASE)).toBeUndefined();
  });

  it.each([
    'https://mirror.example/v2/a',
    'https://registry.example/v2/a',
    'http://registry.example:5000/v2/a',
  ])('from %s is that of another place', (url) => {
    const why = whyStale(answer({}, url), BASE) ?? '';
    expect(why).toContain(`came from ${new URL(url).origin}`);
    expect(why).toContain('`registry-url`');
  });
});
