/**
 * Parsers of what others wrote, fed with anything: each ends in time and in little memory, with a value or with
 * the error that its callers know.
 */
import { gunzipSync, gzipSync } from 'node:zlib';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { decodeEntry, encodeEntry } from '../../src/memory/ledger/entry.js';
import { EntryError } from '../../src/memory/ledger/unpack.js';
import { digestOf, isDigest } from '../../src/oci/digest.js';
import { factsOf } from '../../src/oci/image-config.js';
import { JsonLimitError, parseJson } from '../../src/oci/json.js';
import { ManifestError, readManifest } from '../../src/oci/manifest.js';
import {
  DOCKER_LIST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  isManifestType,
  isPlainlyBlobType,
  mediaTypeOf,
} from '../../src/oci/media-types.js';
import { image, index, referrer } from '../support/builders/build.js';
import { recordsOf } from '../support/builders/records.js';
import { runs } from '../support/builders/arbitraries.js';

const MOST_MILLISECONDS = 5000;
const MOST_BYTES = 400 * 1024 * 1024;
const MANIFEST_BYTES = 4 * 1024 * 1024;

/** Runs the work within its budget. Memory that the collector has not come to yet counts as well. */
async function within<T>(work: () => T | Promise<T>): Promise<T> {
  const { heapUsed, external } = process.memoryUsage();
  const start = performance.now();
  const result = await work();
  const after = process.memoryUsage();
  expect(performance.now() - start).toBeLessThan(MOST_MILLISECONDS);
  expect(after.heapUsed + after.external - heapUsed - external).toBeLessThan(MOST_BYTES);
  return result;
}

const app = image('app');
const contents = [app, index([app, image('b')]), referrer('sbom', app)];

/** Some bytes of the real thing changed, left out, doubled, or something put between. */
function damaged(text: string): fc.Arbitrary<string> {
  const place = fc.nat({ max: text.length });
  const put = fc.oneof(
    fc.string({ maxLength: 5 }),
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      '\\',
      'null',
      '1e999',
      '"sha256:',
      '\u0000',
      '\ufeff',
    ),
  );
  return fc
    .array(fc.tuple(place, fc.nat({ max: 20 }), put), { minLength: 1, maxLength: 4 })
    .map((changes) =>
      changes.reduce((all, [at, cut, more]) => all.slice(0, at) + more + all.slice(at + cut), text),
    );
}

/** The same small piece as often as it fits into so many bytes: what takes most work for a byte. */
const repeated = (bytes: number) =>
  fc
    .tuple(
      fc.constantFrom(
        '{"manifests":[',
        '{"layers":[',
        '{"a":',
        '{"annotations":{',
        '',
        '{"manifests":[{"digest":"',
        '"',
      ),
      fc.oneof(
        fc.constantFrom(
          '{},',
          '[],',
          '[',
          '{"a":',
          '1,',
          '"a":1,',
          '"",',
          '{"digest":"a"},',
          '\\u0000',
          ' ',
          '\\"',
        ),
        fc.json({ maxDepth: 2 }).map((json) => `${json},`),
      ),
      fc.constantFrom('0]}', '}}', '', '"}]}'),
    )
    .map(
      ([head, piece, tail]) =>
        head + piece.repeat(Math.floor((bytes - head.length - tail.length) / piece.length)) + tail,
    );

const types = fc.oneof(
  fc.constantFrom(OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, undefined, '', 'application/json', 'a/b'),
  fc.string(),
);

const NO_ENTRIES = { children: [], others: [] };

/** What the work comes to; `undefined` where it ends in this error, the only one that its callers know. */
async function known<T>(
  work: () => T | Promise<T>,
  type: new (message: string) => Error,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof type) {
      return undefined;
    }
    throw error;
  }
}

describe('a manifest', () => {
  const parse = (text: string, type: string | undefined) => {
    const bytes = Buffer.from(text);
    return known(() => readManifest(bytes, type, digestOf(bytes)).manifest, ManifestError);
  };

  it('is read when it is damaged, or refused by the known error, and names only digests', async () => {
    const text = fc.oneof(
      fc.constantFrom(...contents).chain(({ bytes }) => damaged(bytes.toString('utf8'))),
      fc.json(),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(text, types, async (body, type) => {
        const manifest = await within(() => parse(body, type));
        const { children, others } = manifest?.kind === 'index' ? manifest : NO_ENTRIES;
        expect(children.every(({ digest }) => isDigest(digest))).toBe(true);
        expect(children.every(({ mediaType }) => isManifestType(mediaType))).toBe(true);
        expect(others.some(({ mediaType }) => isManifestType(mediaType))).toBe(false);
        expect((manifest?.kind === 'unknown' ? manifest.mentions : []).every(isDigest)).toBe(true);
      }),
      runs(500),
    );
  });

  it('is read in time at 4 MiB', async () => {
    await fc.assert(
      fc.asyncProperty(repeated(MANIFEST_BYTES), types, async (body, type) => {
        await within(() => parse(body, type));
      }),
      runs(20),
    );
  }, 60_000);

  it('is read alike however the media types of its entries are spelt', async () => {
    const spelt = fc
      .constantFrom(OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, OCI_CONFIG, 'a/b')
      .chain((type) =>
        fc.tuple(
          fc.constant(type),
          fc
            .tuple(
              fc.mixedCase(fc.constant(type)),
              fc.constantFrom('', ';a=b', ' ; charset="utf-8"', ';'),
            )
            .map(([one, more]) => one + more),
        ),
      );
    await fc.assert(
      fc.asyncProperty(fc.array(spelt), async (all) => {
        const of = (mediaTypes: readonly string[]) =>
          parse(
            JSON.stringify({
              manifests: mediaTypes.map((mediaType) => ({ mediaType, digest: app.digest })),
            }),
            OCI_INDEX,
          );
        const plain = await of(all.map(([type]) => type));
        expect(await of(all.map(([, one]) => one))).toEqual({
          ...plain,
          digest: expect.any(String),
          size: expect.any(Number),
        });
        for (const [type, one] of all) {
          expect(mediaTypeOf(one)).toBe(type);
          expect(isPlainlyBlobType(one)).toBe(isPlainlyBlobType(type));
        }
      }),
      runs(200),
    );
  });
});

describe('a config', () => {
  it('ends in time, with facts or the known error', async () => {
    const text = fc.oneof(fc.json(), fc.string(), repeated(MANIFEST_BYTES));
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        await within(() => known(() => factsOf(Buffer.from(body)), JsonLimitError));
      }),
      runs(30),
    );
  }, 60_000);
});

describe('an entry of the ledger', () => {
  const entry = { repository: 'team/app', sequence: 1, records: recordsOf(contents) };
  const decode = (bytes: Buffer) => known(() => decodeEntry(bytes, 'team/app'), EntryError);

  it('is refused when it is damaged, or its remaining records are proved by their digests', async () => {
    const head = '{"repository":"team/app","sequence":1,"manifests":[';
    const whole = JSON.stringify(
      [...entry.records].map(([digest, record]) => ({
        digest,
        ...record,
        firstSeen: new Date(record.firstSeen).toISOString(),
        since: new Date(record.since).toISOString(),
      })),
    ).slice(1);
    const text = `${head}${whole}}`;
    await expect(decode(gzipSync(text))).resolves.toMatchObject({ sequence: 1 });
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged(text), fc.json(), fc.string()), async (body) => {
        const back = await within(() => decode(gzipSync(body)));
        for (const [digest, { body: bytes }] of back?.records ?? []) {
          expect(digestOf(Buffer.from(bytes))).toBe(digest);
        }
      }),
      runs(200),
    );
  });

  it('is taken apart alike however its bytes are cut', async () => {
    // Members end where they like: so do the chunks that come out of them.
    const bytes = await encodeEntry(entry);
    const back = await decode(bytes);
    const plain = gunzipSync(bytes);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: plain.length }), { maxLength: 8 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), plain.length];
        const members = at.slice(1).map((end, n) => gzipSync(plain.subarray(at[n], end)));
        expect(await decode(Buffer.concat(members))).toEqual(back);
      }),
      runs(100),
    );
  });

  it('is refused when its bytes are changed, and so is any other blob', async () => {
    const bytes = await encodeEntry(entry);
    const changed = fc
      .tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 254 }))
      .map(([at, by]) => {
        const copy = Buffer.from(bytes);
        copy[at] = ((copy[at] ?? 0) + 1 + by) % 256;
        return copy;
      });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          changed,
          fc.uint8Array().map((some) => Buffer.from(some)),
        ),
        async (some) => {
          await within(() => decode(some));
        },
      ),
      runs(200),
    );
  });

  it('is refused in time when it unpacks into 64 MB', async () => {
    await fc.assert(
      fc.asyncProperty(repeated(1024 * 1024), async (part) => {
        const head = '{"repository":"team/app","sequence":1,"manifests":[';
        const member = gzipSync(part, { level: 1 });
        const members = Array.from({ length: 64 }, () => member);
        await within(() => decode(Buffer.concat([gzipSync(head), ...members])));
      }),
      runs(15),
    );
  }, 60_000);
});

it('JSON within its limits is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(Buffer.from(text), 100_000)).toEqual(JSON.parse(text));
    }),
    runs(300),
  );
});
