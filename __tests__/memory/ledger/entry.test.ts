import { gunzipSync, gzipSync } from 'node:zlib';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { decodeEntry, encodeEntry, type Entry } from '../../../src/memory/ledger/entry.js';
import type { LedgerRecord } from '../../../src/memory/ledger/record.js';
import { EntryError } from '../../../src/memory/ledger/unpack.js';
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import { parseManifest } from '../../../src/oci/manifest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { APP } from '../../support/scenes/survey.js';
import { runs } from '../../support/builders/arbitraries.js';
import {
  attestation,
  buildCache,
  helmChart,
  image,
  index,
  manifest,
  opaque,
  referrer,
  type Content,
} from '../../support/builders/build.js';
import { fields, recordOf, recordsOf, sorted, THEN } from '../../support/builders/records.js';

const a = image('a');
const b = image('b', { family: 'docker' });
const list = index([a, attestation('a', a)]);

/** The same manifest with other bytes, and so another digest. */
function rewritten(content: Content, bytes: Buffer): Content {
  return { ...content, bytes, digest: digestOf(bytes) };
}

const contents: readonly Content[] = [
  a,
  b,
  image('untyped', { typed: false }),
  image('described', { subject: a }),
  index([a, b], { family: 'docker' }),
  index([list, image('c')]),
  index([], { subject: list, artifactType: 'application/x' }),
  list,
  attestation('a', a),
  referrer('sbom', list),
  helmChart('chart', '1.0.0'),
  buildCache('cache', 'index'),
  opaque('application/vnd.example+json', { about: a.digest }),
  opaque(OCI_MANIFEST, { manifests: [], config: {} }),
  opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, Manifests: [a.descriptor] }),
  opaque(OCI_INDEX, { schemaVersion: 2, MediaType: OCI_INDEX, manifests: [a.descriptor] }),
  manifest({
    config: { mediaType: 'application/x', bytes: Buffer.from('{}') },
    layers: [],
    annotations: { 'ключ "\\\n': 'größer – 日本語 🦙 \u2028 \u0000' },
  }),
  rewritten(a, Buffer.from(`\uFEFF${a.bytes.toString('utf8')}`)),
  rewritten(
    a,
    Buffer.from(JSON.stringify(JSON.parse(a.bytes.toString('utf8')), null, '\t') + '\r\n'),
  ),
];

/** Whether the body says itself of which type it is. */
function isTyped({ body, mediaType }: LedgerRecord): boolean {
  const fieldsOf = JSON.parse(body.replace('\uFEFF', '')) as { mediaType?: string };
  return fieldsOf.mediaType === mediaType;
}

function sha512(content: Content): Content {
  return { ...content, digest: digestOf(content.bytes, 'sha512') };
}

const times = fc
  .date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
  .map((date) => date.getTime());
const counts = fc.maxSafeNat();

/** An entry with some of these manifests and any history of them. */
const entries: fc.Arbitrary<Entry> = fc
  .record({
    repository: fc.constantFrom(APP, 'a', 'a/b/c'),
    sequence: counts,
    chosen: fc.uniqueArray(
      fc.record({
        content: fc.constantFrom(...contents, ...contents.map(sha512)),
        more: fc
          .tuple(fields, times, times, counts)
          .map(([{ everInUse, status }, firstSeen, since, revision]) => {
            return { everInUse, status, firstSeen, since, revision };
          }),
      }),
      { selector: ({ content }) => content.digest },
    ),
  })
  .map(({ repository, sequence, chosen }) => ({
    repository,
    sequence,
    records: new Map(chosen.map(({ content, more }) => [content.digest, recordOf(content, more)])),
  }));

const written: Entry = { repository: APP, sequence: 7, records: recordsOf([a, list]) };

interface Written {
  repository: string;
  sequence: unknown;
  nonce?: string;
  manifests: Record<string, unknown>[];
}

/** What `written` is stored as. */
async function stored(): Promise<Written> {
  return JSON.parse(gunzipSync(await encodeEntry(written)).toString('utf8')) as Written;
}

const packed = (value: unknown): Buffer => gzipSync(JSON.stringify(value));

/** An entry of one manifest, that somebody wrote by hand. */
function forged(digest: string, mediaType: string, body: string): Buffer {
  const time = new Date(THEN).toISOString();
  const rest = { firstSeen: time, everInUse: true, status: 'in-use', since: time, revision: 0 };
  return packed({
    repository: APP,
    sequence: 1,
    manifests: [{ digest, mediaType, body, ...rest }],
  });
}

async function mistakeIn(bytes: Buffer): Promise<string> {
  const error = await decodeEntry(bytes, APP).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(EntryError);
  return String(error);
}

describe('an entry', () => {
  it('comes back as it was written, with its manifests read', async () => {
    await fc.assert(
      fc.asyncProperty(entries, async (entry) => {
        const back = await decodeEntry(await encodeEntry(entry), entry.repository);
        expect(back.repository).toBe(entry.repository);
        expect(back.sequence).toBe(entry.sequence);
        expect(sorted(back.records)).toEqual(sorted(entry.records));
        // Of a body that does not say its type the digest proves nothing of it.
        const typed = [...entry.records].filter(([, record]) => isTyped(record));
        expect(back.manifests).toEqual(
          new Map(
            typed.map(([digest, { body, mediaType }]) => [
              digest,
              parseManifest(Buffer.from(body), mediaType, digest),
            ]),
          ),
        );
      }),
      runs(100),
    );
  });

  it('remembers children, subjects and mentions of each content of these tests', async () => {
    const entry = { repository: APP, sequence: 0, records: recordsOf(contents) };
    const { manifests } = await decodeEntry(await encodeEntry(entry), APP);
    const typed = contents.filter((content) => isTyped(recordOf(content)));
    expect(typed.length).toBeLessThan(contents.length);
    expect(manifests.size).toBe(typed.length);
    for (const { bytes, mediaType, digest } of typed) {
      expect(manifests.get(digest)).toEqual(parseManifest(bytes, mediaType, digest));
    }
  });

  it('may be empty', async () => {
    const empty = { repository: APP, sequence: 3, records: new Map() };
    expect(await decodeEntry(await encodeEntry(empty), APP)).toEqual({
      ...empty,
      manifests: new Map(),
    });
  });

  it('never has the bytes of another entry, so that a deleted one does not come back', async () => {
    const twins = await Promise.all(Array.from({ length: 20 }, () => encodeEntry(written)));
    expect(new Set(twins.map((bytes) => digestOf(bytes))).size).toBe(twins.length);
  });

  it('is compressed: what manifests share is stored about once', async () => {
    const tags = Array.from({ length: 200 }, (_, n) =>
      image(`v${String(n)}`, { base: ['base 1', 'base 2', 'base 3', 'base 4', 'base 5'] }),
    );
    const bytes = await encodeEntry({ ...written, records: recordsOf(tags) });
    const bodies = tags.reduce((sum, { bytes: { length } }) => sum + length, 0);
    expect(bytes.length).toBeLessThan(bodies / 4);
  });

  it('may hold fields that this version does not know', async () => {
    const entry = await stored();
    const more = entry.manifests.map((each) => ({ ...each, later: true }));
    const { sequence, records } = await decodeEntry(
      packed({ ...entry, later: [1], manifests: more }),
      APP,
    );
    expect(sequence).toBe(7);
    expect(sorted(records)).toEqual(sorted(written.records));
  });
});

describe('bytes that aren’t an entry', () => {
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('{}')],
    ['compressed nothing', gzipSync('')],
    ['compressed text', gzipSync('an entry')],
    ['compressed half JSON', gzipSync('{"repository":"team/app"')],
    ['half of what was compressed', gzipSync('{"repository":"team/app"}').subarray(0, 20)],
    ['something after it', Buffer.concat([gzipSync('{}'), gzipSync('{}')])],
  ])('are refused: %s', async (_, bytes) => {
    expect(await mistakeIn(bytes)).toMatch(/can't be unpacked/);
  });

  it('are refused where one byte of an entry was changed', async () => {
    const bytes = await encodeEntry(written);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 6) ^ 1, bytes.length - 6);
    expect(await mistakeIn(bytes)).toMatch(/can't be unpacked/);
  });

  it('are refused where few of them unpack into more than can be held', async () => {
    // 401 MiB in 0.4 MB: a gzip file may have many members, and these are all the same.
    const member = gzipSync(Buffer.alloc(1024 * 1024), { level: 9 });
    const bomb = Buffer.concat(Array.from({ length: 401 }, () => member));
    expect(await mistakeIn(bomb)).toMatch(/not in the form of an entry/);
  });

  it('are refused where one record is too large', async () => {
    const body = ' '.repeat(26 * 1024 * 1024);
    expect(await mistakeIn(forged(a.digest, OCI_MANIFEST, body))).toMatch(
      /holds a record that is larger than one can be/,
    );
  });

  it('are refused where all records together are too large', async () => {
    const { manifests, ...rest } = await stored();
    const later = ' '.repeat(24 * 1024 * 1024);
    const records = Array.from({ length: 18 }, (_, n) => {
      const { bytes, digest } = image(String(n));
      const record = { ...manifests[0], digest, body: bytes.toString() };
      return gzipSync(`${n === 0 ? '' : ','}${JSON.stringify({ ...record, later })}`, { level: 1 });
    });
    const head = gzipSync(`${JSON.stringify(rest).slice(0, -1)},"manifests":[`);
    const bytes = Buffer.concat([head, ...records, gzipSync(']}')]);
    expect(await mistakeIn(bytes)).toMatch(/it is larger than an entry can be/);
  });

  it.each<[string, (entry: Written) => string, RegExp]>([
    ['empty lists', () => `[${'[],'.repeat(100_000)}[]]`, /not in the form/],
    ['empty objects', () => `[${'{},'.repeat(100_000)}{}]`, /not in the form/],
    ['lists in lists', () => `[${'['.repeat(100_000)}${']'.repeat(100_000)}]`, /not in the form/],
    ['blanks', () => `[${' '.repeat(100_000)}]`, /not in the form/],
    [
      'a record of many fields',
      ({ manifests }) => JSON.stringify([{ ...manifests[0], later: Array(2000).fill(0) }]),
      /holds a record/,
    ],
    [
      'a record twice',
      ({ manifests }) => JSON.stringify([...manifests, manifests[0]]),
      /two records of one manifest/,
    ],
    ['a number for a record', () => '[0]', /not in the form/],
    ['no JSON', () => '[{digest}]', /can't be unpacked/],
  ])('are refused where the manifests are %s', async (_, manifests, message) => {
    const { manifests: _known, ...rest } = await stored();
    const text = JSON.stringify(rest).slice(0, -1);
    expect(await mistakeIn(gzipSync(`${text},"manifests":${manifests(await stored())}}`))).toMatch(
      message,
    );
  });

  it('are refused where records stand in another list', async () => {
    const entry = await stored();
    expect(await mistakeIn(packed({ ...entry, later: entry.manifests }))).toMatch(
      /two records of one manifest/,
    );
    expect(await mistakeIn(packed({ ...entry, manifests: [], later: entry.manifests }))).toMatch(
      /not in the form of an entry/,
    );
  });

  it.each([[null], [1], ['text'], [[]], [{}], [[{}]]])(
    'are refused as JSON of another form: %j',
    async (value) => {
      expect(await mistakeIn(packed(value))).toMatch(/not in the form of an entry/);
    },
  );

  it.each(['repository', 'sequence', 'manifests'])('are refused without %s', async (field) => {
    const { [field as keyof Written]: _, ...rest } = await stored();
    expect(await mistakeIn(packed(rest))).toMatch(/not in the form of an entry/);
  });

  it.each<[keyof Written, unknown]>([
    ['repository', null],
    ['repository', 1],
    ['sequence', -1],
    ['sequence', 1.5],
    ['sequence', 2 ** 53],
    ['sequence', '1'],
    ['sequence', null],
    ['manifests', null],
    ['manifests', {}],
    ['manifests', [null]],
    ['manifests', ['']],
  ])('are refused with %s %j', async (field, value) => {
    expect(await mistakeIn(packed({ ...(await stored()), [field]: value }))).toMatch(
      /not in the form of an entry/,
    );
  });

  it.each(['digest', 'mediaType', 'body', 'firstSeen', 'everInUse', 'status', 'since', 'revision'])(
    'are refused with a manifest without %s',
    async (field) => {
      const entry = await stored();
      const [{ [field]: _, ...rest } = {}, ...others] = entry.manifests;
      expect(await mistakeIn(packed({ ...entry, manifests: [...others, rest] }))).toMatch(
        /not in the form of an entry/,
      );
    },
  );

  it.each<[keyof LedgerRecord | 'digest', unknown]>([
    ['digest', ''],
    ['digest', 'sha256:00'],
    ['digest', a.digest.toUpperCase()],
    ['digest', `md5:${'0'.repeat(32)}`],
    ['digest', null],
    ['mediaType', 1],
    ['body', {}],
    ['body', null],
    ['everInUse', 'true'],
    ['everInUse', 1],
    ['status', 'gone'],
    ['status', null],
    ['revision', -1],
    ['revision', 0.5],
    ['revision', 2 ** 53],
    ['revision', '0'],
    ['firstSeen', 'yesterday'],
    ['firstSeen', ''],
    ['firstSeen', THEN],
    ['firstSeen', null],
    ['firstSeen', '2026-01-01'],
    ['firstSeen', '2026-13-01T00:00:00.000Z'],
    ['firstSeen', '2026-01-01T25:00:00.000Z'],
    ['firstSeen', '+275760-09-13T00:00:00.001Z'],
    ['since', 'tomorrow'],
    ['since', '2026-01-32T00:00:00.000Z'],
    // In the form of a time, and yet none that the engine can read.
    ['since', '2026-01-01T00:00:00 +01'],
  ])('are refused with a manifest with %s %j', async (field, value) => {
    const entry = await stored();
    const [first, ...others] = entry.manifests;
    expect(
      await mistakeIn(packed({ ...entry, manifests: [...others, { ...first, [field]: value }] })),
    ).toMatch(/not in the form of an entry/);
  });

  it('are refused as the memory of another repository', async () => {
    const bytes = await encodeEntry({ ...written, repository: 'team/web' });
    expect(await mistakeIn(bytes)).toMatch(/memory of another repository/);
    await expect(decodeEntry(bytes, 'team/web')).resolves.toMatchObject({ repository: 'team/web' });
  });

  it('are refused with the body of one manifest under the digest of another', async () => {
    const entry = await stored();
    const [first, second] = entry.manifests;
    const swapped = [
      { ...first, body: second?.['body'] },
      { ...second, body: first?.['body'] },
    ];
    expect(await mistakeIn(packed({ ...entry, manifests: swapped }))).toMatch(
      /does not have the digest/,
    );
  });

  it('are refused with an index whose children were forged', async () => {
    const children = [a, image('taken from another')].map(({ descriptor }) => descriptor);
    const body = { ...(JSON.parse(list.bytes.toString('utf8')) as object), manifests: children };
    const honest = forged(list.digest, OCI_INDEX, list.bytes.toString('utf8'));
    await expect(decodeEntry(honest, APP)).resolves.toBeDefined();
    expect(await mistakeIn(forged(list.digest, OCI_INDEX, JSON.stringify(body)))).toMatch(
      /does not have the digest/,
    );
  });

  it.each<[string, string, string, RegExp]>([
    [
      'schema 1, by its type',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      '{"schemaVersion":2}',
      /a manifest in it can't be read: it is of Docker's old schema 1/,
    ],
    [
      'schema 1, by its body',
      OCI_MANIFEST,
      '{"schemaVersion":1}',
      /a manifest in it can't be read: it is of Docker's old schema 1/,
    ],
    ['no JSON', OCI_MANIFEST, 'hello', /its body isn't valid JSON/],
    ['no JSON object', OCI_MANIFEST, '[]', /its body isn't a JSON object/],
    [
      'an index of what can not be verified',
      OCI_INDEX,
      `{"manifests":[{"mediaType":"${OCI_MANIFEST}","digest":"md5:00"}]}`,
      /its child has a digest of an algorithm/,
    ],
  ])('are refused with a manifest that is %s', async (_, mediaType, body, message) => {
    expect(await mistakeIn(forged(digestOf(Buffer.from(body)), mediaType, body))).toMatch(message);
  });

  it('are refused with a manifest that is nested too deeply for the engine', async () => {
    const body = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    expect(await mistakeIn(forged(digestOf(Buffer.from(body)), 'application/x', body))).toMatch(
      /a manifest in it can't be read/,
    );
  });
});

describe('a memory too large to be read again', () => {
  // One string for all, so that the test itself needs little memory.
  const large = (letter: string, count: number): Entry => {
    const body = letter.repeat(4 * 1024 * 1024);
    const records = Array.from({ length: count }, (_, n): [Digest, LedgerRecord] => [
      digestOf(Buffer.from(String(n))),
      recordOf(a, { body }),
    ]);
    return { ...written, records: new Map(records) };
  };

  it.each([
    ['over the limit of an entry', 'é', 51],
    ['over the longest string of the engine', 'x', 129],
  ])('is refused: %s', async (_, letter, count) => {
    const error = await encodeEntry(large(letter, count)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EntryError);
    expect(String(error)).toContain(`its memory of ${String(count)} manifests is larger`);
  });
});
