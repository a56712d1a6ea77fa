import { describe, expect, it } from '@jest/globals';

import * as v from 'valibot';

import { RegistryError } from '../../../src/registry/registry-error.js';
import {
  TransportError,
  type HttpRequest,
  type HttpResponse,
  type Send,
} from '../../../src/http/message.js';
import { jsonOf } from '../../../src/registry/distribution/errors.js';
import { readPages } from '../../../src/registry/distribution/paging.js';

const FIRST = new URL('https://r.example/v2/a/tags/list');

/** Pages by the query of their URL; what they hold is their body, one letter an item. */
function server(pages: (request: HttpRequest) => { body: string; link?: string }) {
  const requests: HttpRequest[] = [];
  const send: Send = async (request) => {
    requests.push(request);
    const { body, link } = pages(request);
    return {
      status: 200,
      headers: link === undefined ? {} : { link },
      body: Buffer.from(body),
      url: request.url,
    };
  };
  return { requests, send };
}

const letters = (response: HttpResponse) => response.body.toString().match(/./g) ?? [];

describe('readPages', () => {
  it('reads one page where there is no Link', async () => {
    const { send, requests } = server(() => ({ body: 'abc' }));
    expect(await readPages(send, FIRST, 'scope', letters)).toEqual(['a', 'b', 'c']);
    expect(requests).toEqual([
      {
        method: 'GET',
        url: FIRST,
        headers: { 'cache-control': 'no-cache' },
        scope: 'scope',
        maxBytes: expect.any(Number),
      },
    ]);
  });

  it('follows next until there is none, and counts the pages', async () => {
    const { send, requests } = server(({ url }) =>
      url.search === ''
        ? { body: 'ab', link: '</v2/a/tags/list?last=b&n=2>; rel="next"' }
        : url.search === '?last=b&n=2'
          ? { body: '', link: '<list?last=c>; rel=next' }
          : { body: 'c' },
    );
    const pages: number[] = [];
    const items = await readPages(send, FIRST, '', (response, page) => {
      pages.push(page);
      return letters(response);
    });
    expect(items).toEqual(['a', 'b', 'c']);
    expect(pages).toEqual([1, 2, 3]);
    expect(requests.map(({ url }) => url.search)).toEqual(['', '?last=b&n=2', '?last=c']);
  });

  it.each([
    ['itself', () => '<list>; rel="next"'],
    [
      'and back',
      ({ url }: HttpRequest) => (url.search === '' ? '<?a>; rel="next"' : '<list>; rel="next"'),
    ],
  ])('stops at a loop: %s', async (_, link) => {
    const { send, requests } = server((request) => ({ body: 'a', link: link(request) }));
    const reading = readPages(send, FIRST, '', letters);
    await expect(reading).rejects.toThrow(RegistryError);
    await expect(reading).rejects.toThrow('/v2/a/tags/list do not end');
    expect(requests.length).toBeLessThan(3);
  });

  it('stops at a server that pages for ever', async () => {
    let n = 0;
    const { send, requests } = server(() => {
      n += 1;
      return { body: '', link: `<?n=${String(n)}>; rel="next"` };
    });
    await expect(readPages(send, FIRST, '', letters)).rejects.toThrow('do not end');
    expect(requests).toHaveLength(1000);
  });

  it('stops at a server that pages for ever and always has something new', async () => {
    let n = 0;
    const { send, requests } = server(() => {
      n += 1;
      return { body: n % 900 === 0 ? 'a' : '', link: `<?n=${String(n)}>; rel="next"` };
    });
    await expect(readPages(send, FIRST, '', letters)).rejects.toThrow('do not end');
    expect(requests).toHaveLength(10_000);
  });

  it('stops at more entries than any list has', async () => {
    let n = 0;
    const many = Array.from({ length: 300_000 }, () => 'x');
    const { send, requests } = server(() => {
      n += 1;
      return { body: '', link: `<?n=${String(n)}>; rel="next"` };
    });
    await expect(readPages(send, FIRST, '', () => many)).rejects.toThrow(
      '/v2/a/tags/list has over 1000000 entries, more than this program reads',
    );
    expect(requests).toHaveLength(4);
  });

  it.each(['[],', '{},', '1,', '[[[['])('gives up on a page of millions of %s', async (part) => {
    const { send } = server(() => ({ body: part.repeat(3_000_000) }));
    const reading = readPages(send, FIRST, '', (response) => [jsonOf(v.unknown(), response)]);
    await expect(reading).rejects.toThrow('which no list of a registry does');
  });

  it('asks once more for a page of over 8 MiB, one at a time, and not for one of over 64', async () => {
    const asked: number[] = [];
    let underWay = 0;
    let most = 0;
    const send: Send = async (request) => {
      asked.push(request.maxBytes);
      if (request.maxBytes < 10_000_000) {
        throw new TransportError('too-large', 'it is too large');
      }
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return { status: 200, headers: {}, body: Buffer.from('abc'), url: request.url };
    };
    const all = await Promise.all([1, 2, 3].map(() => readPages(send, FIRST, '', letters)));
    expect(all).toEqual([1, 2, 3].map(() => ['a', 'b', 'c']));
    expect(most).toBe(1);
    expect(asked).toHaveLength(6);
    await expect(readPages(send, FIRST, '', letters, { maxBytes: 9_000_000 })).rejects.toThrow(
      'it is too large',
    );
    await expect(readPages(send, FIRST, '', letters, { maxBytes: 1000 })).rejects.toThrow(
      'it is too large',
    );
    expect(asked.slice(6)).toEqual([8 * 1024 * 1024, 9_000_000, 1000]);
  });

  it('reads a page of a million tags', async () => {
    const tags = Array.from({ length: 1_000_000 }, (_, n) => `build-${String(n)}`);
    const { send } = server(() => ({ body: JSON.stringify({ tags }) }));
    const read = (response: HttpResponse) =>
      (JSON.parse(response.body.toString()) as { tags: string[] }).tags;
    expect(await readPages(send, FIRST, '', read)).toHaveLength(1_000_000);
  });

  it.each([
    ['another host', '<https://evil.example/v2/a/tags/list?last=b>; rel="next"', 'evil.example'],
    ['another port', '<https://r.example:444/x>; rel="next"', 'r.example:444'],
    ['another scheme', '<http://r.example/x>; rel="next"', 'http://r.example'],
    ['what is no header', 'what is this', "can't be read"],
  ])('does not go to %s, nor take that for the end', async (_, link, words) => {
    const { send, requests } = server(() => ({ body: 'a', link }));
    const reading = readPages(send, FIRST, '', letters);
    await expect(reading).rejects.toThrow(RegistryError);
    await expect(reading).rejects.toThrow(words);
    expect(requests).toHaveLength(1);
  });

  it('passes on what goes wrong in reading', async () => {
    const { send } = server(() => ({ body: 'a' }));
    await expect(
      readPages(send, FIRST, '', () => {
        throw new TypeError('ours');
      }),
    ).rejects.toThrow(TypeError);
  });
});
