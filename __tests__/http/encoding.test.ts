import { promisify } from 'node:util';
import zlib from 'node:zlib';

import { afterAll, afterEach, describe, expect, it } from '@jest/globals';

import { Exchange } from '../../src/http/exchange.js';
import { closeServers, request, startServer } from '../support/servers/servers.js';

const exchange = new Exchange({ concurrency: 4, insecure: false, userAgent: 'tests' });
const { send } = exchange;
const TEXT = Buffer.from(JSON.stringify({ tags: ['a', 'b'], name: 'x'.repeat(100) }));
const hasZstd = 'zstdCompressSync' in zlib;

afterAll(() => exchange.close());
afterEach(closeServers);

async function answered(body: Buffer, headers: Record<string, string>, maxBytes = 1024 * 1024) {
  const server = await startServer((_seen, response) => response.writeHead(200, headers).end(body));
  return send(request(server.url, { maxBytes }));
}

const gzip = zlib.gzipSync(TEXT);

describe('an answer that is encoded though identity was asked for', () => {
  it.each<[string, Buffer]>([
    ['gzip', gzip],
    ['x-gzip', gzip],
    ['GZIP', gzip],
    ['gzip, identity', gzip],
    ['deflate', zlib.deflateSync(TEXT)],
    ['deflate', zlib.deflateRawSync(TEXT)],
    ['br', zlib.brotliCompressSync(TEXT)],
    ['gzip, gzip', zlib.gzipSync(gzip)],
    ['gzip , br', zlib.brotliCompressSync(gzip)],
    ['br,gzip,deflate', zlib.deflateSync(zlib.gzipSync(zlib.brotliCompressSync(TEXT)))],
    ['identity', TEXT],
    ['', TEXT],
    ['aws-chunked', TEXT],
  ])('the exchange undoes it: %s', async (encoding, body) => {
    const answer = await answered(body, { 'Content-Encoding': encoding });
    expect(answer.body).toEqual(TEXT);
    expect(answer.encoded).toEqual(body.equals(TEXT) ? undefined : body);
  });

  it('the exchange undoes it where the transfer is encoded', async () => {
    const answer = await answered(gzip, { 'Transfer-Encoding': 'gzip, chunked' });
    expect(answer.body).toEqual(TEXT);
  });

  it('the exchange undoes or names zstd', async () => {
    // Node 20 and the test's own may lack it: then it is named.
    const compress = hasZstd
      ? promisify(
          zlib.zstdCompress as (bytes: Buffer, done: (e: Error | null, r: Buffer) => void) => void,
        )
      : undefined;
    const answering = answered((await compress?.(TEXT)) ?? TEXT, { 'Content-Encoding': 'zstd' });
    const said = await answering.then(
      ({ body }) => body.toString(),
      (error: unknown) => String(error),
    );
    expect(
      hasZstd ? said === TEXT.toString() : said.includes("that this action doesn't know (zstd)"),
    ).toBe(true);
  });

  it.each([
    ['compress', TEXT, "that this action doesn't know (compress)"],
    ['gzip, \u00e9vil', TEXT, "that this action doesn't know (gzip, ?vil)"],
    ['constructor', TEXT, "that this action doesn't know (constructor)"],
    ['gzip', TEXT, "can't be undone (Z_DATA_ERROR)"],
    ['gzip', gzip.subarray(0, 40), "can't be undone (Z_BUF_ERROR)"],
    ['deflate', Buffer.from([0x78]), "can't be undone"],
    ['gzip,gzip,gzip,gzip', gzip, "that this action doesn't know"],
  ])('the failure names it: %s', async (encoding, body, words) => {
    const answer = answered(body, { 'Content-Encoding': encoding });
    await expect(answer).rejects.toThrow(words);
    await expect(answer).rejects.toThrow('Switch off compression for the registry');
  });

  it.each([
    ['gzip', zlib.gzipSync(Buffer.alloc(16 * 1024 * 1024))],
    ['br', zlib.brotliCompressSync(Buffer.alloc(16 * 1024 * 1024))],
    ['gzip, gzip', zlib.gzipSync(zlib.gzipSync(Buffer.alloc(16 * 1024 * 1024)))],
  ])(
    'the exchange does not undo it past the limit of what may be read: %s',
    async (encoding, body) => {
      const before = process.memoryUsage().rss;
      const answer = answered(body, { 'Content-Encoding': encoding }, 64 * 1024);
      await expect(answer).rejects.toMatchObject({ kind: 'too-large' });
      expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    },
  );

  it('has nothing to undo where it has no body', async () => {
    const server = await startServer((_seen, response) =>
      response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': '40' }).end(),
    );
    const answer = await send(request(server.url, { method: 'HEAD' }));
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
  });
});
