import { describe, expect, it } from '@jest/globals';

import { digestOf, type Digest } from '../../src/oci/digest.js';
import {
  ManifestError,
  parseManifest,
  readManifest,
  type Manifest,
} from '../../src/oci/manifest.js';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
  mediaTypeOf,
} from '../../src/oci/media-types.js';
import {
  attestation,
  buildCache,
  helmChart,
  image,
  index,
  LINUX_AMD64,
  referrer,
} from '../support/builders/build.js';
import { parsed } from '../support/builders/inventories.js';

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

function d(name: string): Digest {
  return digestOf(Buffer.from(name));
}

function parse(body: unknown, contentType: string | undefined = OCI_MANIFEST): Manifest {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return parseManifest(bytes, contentType, digestOf(bytes));
}

const config = { mediaType: OCI_CONFIG, digest: d('config'), size: 7 };
const child = { mediaType: OCI_MANIFEST, digest: d('child'), size: 5 };

describe('images', () => {
  it('has config and layers', () => {
    const content = image('app', { layers: 2 });
    expect(parsed(content)).toMatchObject({
      kind: 'image',
      digest: content.digest,
      mediaType: OCI_MANIFEST,
      size: content.bytes.length,
      config: { mediaType: OCI_CONFIG },
      layers: [{ mediaType: LAYER }, { mediaType: LAYER }],
    });
  });

  it.each([
    ['Docker', image('app', { family: 'docker' }), DOCKER_MANIFEST],
    ['OCI without a mediaType field', image('app', { typed: false }), OCI_MANIFEST],
    ['Helm chart', helmChart('app', '1'), OCI_MANIFEST],
    ['BuildKit cache as a manifest', buildCache('app', 'manifest'), OCI_MANIFEST],
  ])('the reader takes %s', (_, content, mediaType) => {
    expect(parsed(content)).toMatchObject({ kind: 'image', mediaType });
  });

  it('tells its subject and artifact type', () => {
    const subject = image('app');
    expect(parsed(referrer('sbom', subject))).toMatchObject({
      kind: 'image',
      subject: subject.digest,
      artifactType: 'application/spdx+json',
    });
  });

  it('has no optional fields where there are none', () => {
    expect(parse({ schemaVersion: 2, config, subject: null, layers: null })).toEqual({
      kind: 'image',
      digest: expect.any(String),
      mediaType: OCI_MANIFEST,
      size: expect.any(Number),
      config,
      layers: [],
    });
  });

  it('keeps what may be elsewhere apart, and drops what is malformed and only shown', () => {
    const layer = {
      mediaType: LAYER,
      digest: 'blake3:00',
      size: -1,
      urls: ['https://example.com/layer'],
      annotations: { a: 1 },
      platform: { os: 'linux' },
      artifactType: 7,
    };
    expect(parse({ schemaVersion: 2, config, layers: [layer], annotations: [] })).toMatchObject({
      kind: 'image',
      layers: [
        { mediaType: LAYER, digest: 'blake3:00', size: 0, urls: ['https://example.com/layer'] },
      ],
    });
  });

  it('accepts a subject of sha512', () => {
    const subject = digestOf(Buffer.from('x'), 'sha512');
    expect(parse({ schemaVersion: 2, config, subject: { digest: subject } })).toMatchObject({
      subject,
    });
  });
});

describe('indexes', () => {
  it('lists children, with what their descriptors say', () => {
    const app = image('app');
    const att = attestation('att', app);
    const list = index([app, att]);
    expect(parsed(list)).toMatchObject({
      kind: 'index',
      digest: list.digest,
      children: [
        { digest: app.digest, platform: LINUX_AMD64 },
        {
          digest: att.digest,
          annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
        },
      ],
      others: [],
    });
  });

  it.each([
    ['Docker list', index([image('app', { family: 'docker' })], { family: 'docker' }), DOCKER_LIST],
    ['OCI without a mediaType field', index([image('app')], { typed: false }), OCI_INDEX],
    ['index of an index', index([index([image('app')])]), OCI_INDEX],
  ])('the reader takes %s', (_, content, mediaType) => {
    const manifest = parsed(content);
    expect(manifest).toMatchObject({ kind: 'index', mediaType });
    expect(manifest.kind === 'index' && manifest.children.map(({ digest }) => digest)).toEqual(
      content.children.map(({ digest }) => digest),
    );
  });

  it('has a platform with a variant', () => {
    const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' };
    expect(parse({ manifests: [{ ...child, platform }] }, OCI_INDEX)).toMatchObject({
      children: [{ platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }],
    });
  });

  it('has layers apart: they are no children (old BuildKit caches)', () => {
    const manifest = parsed(buildCache('app', 'index'));
    expect(manifest).toMatchObject({ kind: 'index', children: [] });
    expect(manifest.kind === 'index' && new Set(manifest.others.map((o) => o.mediaType))).toEqual(
      new Set([LAYER, 'application/vnd.buildkit.cacheconfig.v0']),
    );
  });

  it('takes an entry of an unverifiable digest that is no manifest for another entry', () => {
    const entry = { mediaType: LAYER, digest: 'md5:1', size: 1 };
    expect(parse({ manifests: [entry] }, OCI_INDEX)).toMatchObject({ others: [entry] });
  });

  it.each([
    [OCI_INDEX.toUpperCase()],
    [`${OCI_MANIFEST}; charset=utf-8`],
    [` ${DOCKER_LIST} ;a="b"`],
  ])('has an entry of %j for a child', (mediaType) => {
    expect(parse({ manifests: [{ ...child, mediaType }] }, OCI_INDEX)).toMatchObject({
      children: [{ ...child, mediaType: mediaTypeOf(mediaType) }],
      others: [],
    });
  });

  it.each<[string, object, string]>([
    ['absent', {}, ''],
    ['empty', { mediaType: '' }, ''],
    ['null', { mediaType: null }, ''],
    ['a list', { mediaType: [OCI_INDEX] }, ''],
    ['unknown', { mediaType: 'Application/VND.Future; a=b' }, 'application/vnd.future'],
    ['no media type', { mediaType: 'Image Index' }, 'Image Index'],
  ])('has an entry among the others whose media type is %s', (_, fields, mediaType) => {
    const { digest, size } = child;
    expect(parse({ manifests: [{ digest, size, ...fields }] }, OCI_INDEX)).toMatchObject({
      kind: 'index',
      children: [],
      others: [{ digest, size, mediaType }],
    });
  });

  it.each([[`${OCI_INDEX}; charset=utf-8`], [OCI_INDEX.toUpperCase()], [''], [null]])(
    'says of itself that it is one by %j',
    (mediaType) => {
      expect(parse({ mediaType, manifests: [child] }, OCI_INDEX)).toMatchObject({
        kind: 'index',
        mediaType: OCI_INDEX,
      });
    },
  );

  it.each([[{ manifests: null }], [{ manifests: [] }]])('may be empty: %j', (body) => {
    expect(parse({ schemaVersion: 2, ...body }, OCI_INDEX)).toMatchObject({
      kind: 'index',
      children: [],
      others: [],
    });
  });

  it('may have a subject and an artifact type', () => {
    const subject = image('app');
    const list = index([], { subject, artifactType: 'x/y' });
    expect(parsed(list)).toMatchObject({
      subject: subject.digest,
      artifactType: 'x/y',
    });
  });
});

describe('unknown manifests protect what they mention', () => {
  const mentioned = d('mentioned');

  it.each([
    ['a type that nobody knows', { a: mentioned }, 'application/vnd.future.manifest.v9+json'],
    [
      'the withdrawn OCI artifact manifest',
      { subject: { digest: mentioned } },
      'application/vnd.oci.artifact.manifest.v1+json',
    ],
    ['no Content-Type', { schemaVersion: 2, config: { ...config, digest: mentioned } }, undefined],
    ['application/json', { config: { ...config, digest: mentioned } }, 'application/json'],
    [
      'a body that says another type than the answer',
      { mediaType: OCI_INDEX, config: { ...config, digest: mentioned } },
      OCI_MANIFEST,
    ],
    ['a mediaType that is no text', { mediaType: 2, config, a: mentioned }, OCI_MANIFEST],
    ['an image without a config', { layers: [{ ...config, digest: mentioned }] }, OCI_MANIFEST],
    ['a layer without a media type', { config, layers: [{ digest: mentioned }] }, OCI_MANIFEST],
    [
      'an entry without a digest',
      { manifests: [{ mediaType: OCI_INDEX, a: mentioned }] },
      OCI_INDEX,
    ],
    [
      'an image and an index at once (CVE-2021-41190), as an image',
      { config, manifests: [{ ...child, digest: mentioned }] },
      OCI_MANIFEST,
    ],
    [
      'an image and an index at once, as an index',
      { config: { ...config, digest: mentioned }, manifests: [] },
      OCI_INDEX,
    ],
    [
      'an index with layers',
      { layers: [{ ...config, digest: mentioned }], manifests: [] },
      OCI_INDEX,
    ],
    ['a subject without a digest', { config, subject: {}, a: mentioned }, OCI_MANIFEST],
    ['manifests that are no list', { manifests: { 0: mentioned } }, OCI_INDEX],
    ['an index without manifests', { schemaVersion: 2, a: mentioned }, OCI_INDEX],
    ['a Docker list without manifests', { schemaVersion: 2, a: mentioned }, DOCKER_LIST],
    ['an annotation with JSON in it', { annotations: { a: `{"d":"${mentioned}"}` } }, 'a/b'],
  ])('the text protects its digests: %s', (_, body, contentType) => {
    const bytes = Buffer.from(JSON.stringify(body));
    const manifest = parseManifest(bytes, contentType, digestOf(bytes));
    expect(manifest).toMatchObject({ kind: 'unknown', mediaType: mediaTypeOf(contentType) });
    expect(manifest.kind === 'unknown' && manifest.mentions).toContain(mentioned);
  });

  it.each([
    ['an escaped colon', String.raw`{"a":"sha256\u003a${mentioned.slice(7)}"}`],
    ['an escaped letter', String.raw`{"a":"\u0073ha256:${mentioned.slice(7)}"}`],
    ['a key', JSON.stringify({ [mentioned]: 1 })],
    ['the first of two equal keys', `{"a":"${mentioned}","a":"b"}`],
    ['deep inside', JSON.stringify({ a: [[{ b: { c: [mentioned] } }]] })],
  ])('also as %s', (_, text) => {
    expect(parse(text, 'a/b')).toMatchObject({ kind: 'unknown', mentions: [mentioned] });
  });

  it('does not mention itself', () => {
    const bytes = Buffer.from(JSON.stringify({ a: mentioned }));
    expect(parseManifest(bytes, 'a/b', mentioned)).toMatchObject({ mentions: [] });
  });
});

describe('a Content-Type that tells nothing', () => {
  const layers = [{ mediaType: LAYER, digest: d('layer'), size: 1 }];
  const read = (body: object, contentType: string | undefined) => {
    const bytes = Buffer.from(JSON.stringify(body));
    return readManifest(bytes, contentType, digestOf(bytes));
  };
  const silent = [
    undefined,
    '',
    'not a type',
    'application/octet-stream',
    'binary/octet-stream',
    'text/plain; charset=utf-8',
    'Application/JSON',
  ];

  it.each(silent)('the body says its type: %j', (contentType) => {
    const one = { schemaVersion: 2, mediaType: DOCKER_MANIFEST.toUpperCase(), config, layers };
    expect(read(one, contentType)).toMatchObject({
      manifest: { kind: 'image', mediaType: DOCKER_MANIFEST, layers },
      saysItsType: true,
      isUntyped: true,
    });
    expect(read({ mediaType: DOCKER_LIST, manifests: [child] }, contentType)).toMatchObject({
      manifest: { kind: 'index', mediaType: DOCKER_LIST, children: [child] },
      saysItsType: true,
      isUntyped: true,
    });
  });

  it.each(silent)('or shows it by its shape: %j', (contentType) => {
    expect(read({ schemaVersion: 2, config, layers }, contentType)).toMatchObject({
      manifest: { kind: 'image', mediaType: OCI_MANIFEST },
      saysItsType: false,
      isUntyped: true,
    });
    expect(
      read({ schemaVersion: 2, mediaType: '', manifests: [child] }, contentType),
    ).toMatchObject({
      manifest: { kind: 'index', mediaType: OCI_INDEX },
      saysItsType: false,
      isUntyped: true,
    });
  });

  it.each<[string, object, string]>([
    ['says an unknown type', { mediaType: 'a/b', manifests: [child] }, 'a/b'],
    ['says what is no type', { mediaType: 'an index', manifests: [child] }, 'application/json'],
    ['says no text', { mediaType: 2, manifests: [child] }, 'application/json'],
    ['is an image and an index', { config, layers, manifests: [child] }, OCI_INDEX],
    [
      'says another type than its shape',
      { mediaType: OCI_MANIFEST, manifests: [child] },
      OCI_MANIFEST,
    ],
    ['has no list of layers', { config, a: child.digest }, 'application/json'],
    ['has no config', { layers: [child] }, 'application/json'],
    ['is of no known version', { schemaVersion: 3, manifests: [child] }, 'application/json'],
  ])('a body that %s stays unknown', (_, body, mediaType) => {
    expect(read({ schemaVersion: 2, ...body }, 'application/json')).toMatchObject({
      manifest: { kind: 'unknown', mediaType, mentions: expect.arrayContaining([child.digest]) },
      isUntyped: true,
    });
  });

  it('a type that the body says counts', () => {
    const body = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] };
    expect(read(body, 'application/vnd.future.v1+json')).toMatchObject({
      manifest: { kind: 'unknown', mediaType: 'application/vnd.future.v1+json' },
      saysItsType: false,
      isUntyped: false,
    });
    expect(read(body, `${OCI_INDEX}; a=b`)).toMatchObject({
      manifest: { kind: 'index' },
      saysItsType: true,
      isUntyped: false,
    });
  });

  it('schema 1 is known by the type in its body', () => {
    const mediaType = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    expect(() => read({ mediaType }, undefined)).toThrow('schema 1');
  });
});

describe('more than any manifest holds', () => {
  const values = (count: number) => `{"a":[${Array(count).fill('{}').join(',')}]}`;

  it.each<[string, string, string]>([
    ['values', values(75_001), 'holds more than 150,000 values, which no tool makes'],
    [
      'levels',
      `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`,
      'is nested deeper than 1,000 levels',
    ],
    [
      'entries',
      `{"manifests":[${Array(20_001).fill('{"digest":"x"}').join(',')}]}`,
      'it has more than 20000 entries, which no tool makes',
    ],
  ])('a body is refused: %s', (_, text, message) => {
    expect(() => parse(text, OCI_INDEX)).toThrow(ManifestError);
    expect(() => parse(text, OCI_INDEX)).toThrow(message);
  });

  it('layers', () => {
    const layers = Array(20_001).fill({ mediaType: LAYER, digest: 'x' });
    expect(() => parse({ config, layers })).toThrow('it has more than 20000 layers');
  });

  it('mentions', () => {
    const all = Array.from({ length: 20_001 }, (_, n) => d(String(n)));
    expect(() => parse({ all }, 'a/b')).toThrow('it has more than 20000 mentions');
    expect(parse({ all: all.slice(1) }, 'a/b')).toMatchObject({ kind: 'unknown' });
  });

  it('commas in a string do not count', () => {
    expect(parse({ config, a: '[{",'.repeat(219_900) })).toMatchObject({ kind: 'image' });
    expect(parse(values(74_998), 'a/b')).toMatchObject({ kind: 'unknown' });
  });

  it('the digests in a text do not hold the whole text in memory', () => {
    const text = JSON.stringify({ a: d('a'), b: 'x'.repeat(2 * 1024 * 1024) });
    const bytes = Buffer.from(text);
    const before = process.memoryUsage().heapUsed;
    const kept = Array.from({ length: 100 }, () => parseManifest(bytes, 'a/b', d('b')));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 1024 * 1024);
    expect(kept).toHaveLength(100);
  });
});

/** Go, and so most registries and clients, takes them for the keys that they look like. */
describe('keys in other letters make a manifest unknown', () => {
  const mentioned = d('mentioned');
  const other = { ...child, digest: mentioned };
  const layer = { mediaType: LAYER, digest: mentioned, size: 1 };

  it.each<[string, object]>([
    ['Manifests', { Manifests: [other] }],
    ['MANIFESTS, in front of an empty list', { MANIFESTS: [other], manifests: [] }],
    ['Manifests, behind a list', { manifests: [other], Manifests: [] }],
    ['an s that is long', { 'manife\u017ft\u017f': [other], manifests: [] }],
    ['SchemaVersion', { SchemaVersion: 1, manifests: [other] }],
    ['MediaType', { MediaType: OCI_MANIFEST, manifests: [other] }],
    ['ArtifactType', { ArtifactType: 'x/y', manifests: [other] }],
    ['Annotations', { Annotations: { a: 'b' }, manifests: [other] }],
    ['Subject', { Subject: other, manifests: [] }],
    ['Config (CVE-2021-41190)', { Config: layer, manifests: [] }],
    ['Layers (CVE-2021-41190)', { LAYERS: [layer], manifests: [] }],
    ['Digest of a child', { manifests: [child, { ...child, Digest: mentioned }] }],
    ['a digest with a long s', { manifests: [{ ...child, 'dige\u017ft': mentioned }] }],
    ['MediaType of a child', { manifests: [{ ...other, MediaType: LAYER }] }],
    ['MediaType of a layer', { manifests: [{ ...layer, MediaType: OCI_MANIFEST }] }],
    ['Platform of a child', { manifests: [{ ...other, Platform: LINUX_AMD64 }] }],
    ['Digest of a subject', { subject: { ...child, Digest: mentioned }, manifests: [] }],
  ])('an index has such a key: %s', (_, body) => {
    const manifest = parse({ schemaVersion: 2, mediaType: OCI_INDEX, ...body }, OCI_INDEX);
    expect(manifest).toMatchObject({ kind: 'unknown', mediaType: OCI_INDEX });
    expect(manifest.kind === 'unknown' && manifest.mentions).toContain(mentioned);
  });

  it.each<[string, object]>([
    ['Config', { Config: layer }],
    ['Layers', { Layers: [layer] }],
    ['Subject', { Subject: other }],
    ['Manifests (CVE-2021-41190)', { Manifests: [other] }],
    ['Digest of the config', { config: { ...config, Digest: mentioned } }],
    ['Size of the config', { config: { ...config, Size: 1 }, a: mentioned }],
    ['URLs of a layer', { layers: [{ ...layer, URLs: ['https://example.com/layer'] }] }],
    ['Digest of a subject', { subject: { ...child, DIGEST: mentioned } }],
  ])('an image has such a key: %s', (_, body) => {
    const manifest = parse({ schemaVersion: 2, config, layers: [], ...body });
    expect(manifest).toMatchObject({ kind: 'unknown', mediaType: OCI_MANIFEST });
    expect(manifest.kind === 'unknown' && manifest.mentions).toContain(mentioned);
  });

  it('a key from which nothing is read may be spelled as it likes', () => {
    const platform = { ...LINUX_AMD64, OS: 'windows' };
    const body = {
      manifests: [{ ...child, platform, annotations: { Digest: 'x' }, Data: 'eA==' }],
      annotations: { Manifests: 'x' },
      // Only looks like it: to Go, too, this is another letter.
      'manife\uff53ts': [other],
      newManifests: [other],
      Fields: { Manifests: [other] },
    };
    expect(parse(body, OCI_INDEX)).toMatchObject({ kind: 'index', children: [child] });
  });

  it('the last of several keys that are the same to the letter counts, as in Go', () => {
    const lists = `"manifests":[${JSON.stringify(child)}],"manifests":[${JSON.stringify(other)}]`;
    expect(parse(`{${lists}}`, OCI_INDEX)).toMatchObject({ kind: 'index', children: [other] });
  });

  it.each([
    ['an entry', `"manifests":[{"digest":"${mentioned}"}],"manifests":[{"mediaType":"a/b"}]`],
    ['a subject', `"subject":{"digest":"${mentioned}"},"subject":{},"manifests":[]`],
    ['a digest', `"manifests":[{"mediaType":"a/b","digest":"${mentioned}","digest":null}]`],
  ])('a manifest is unknown where Go would add the first key to the last: %s', (_, fields) => {
    expect(parse(`{${fields}}`, OCI_INDEX)).toMatchObject({
      kind: 'unknown',
      mentions: [mentioned],
    });
  });
});

describe("a body that isn't a manifest", () => {
  it.each([
    ['HTML', '<!DOCTYPE html>', OCI_MANIFEST, 'valid JSON'],
    ['nothing', '', OCI_MANIFEST, 'valid JSON'],
    ['half of one', '{"schemaVersion":2,', OCI_MANIFEST, 'valid JSON'],
    ['a list', '[]', OCI_INDEX, 'a JSON object'],
    ['null', 'null', OCI_INDEX, 'a JSON object'],
    ['a number', '1', OCI_INDEX, 'a JSON object'],
    ['schema 1 by its body', '{"schemaVersion":1}', OCI_MANIFEST, 'schema 1'],
    [
      'schema 1 by its type',
      '{}',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'schema 1',
    ],
    [
      'a child that can not be verified',
      JSON.stringify({ manifests: [{ ...child, digest: 'sha384:00' }] }),
      OCI_INDEX,
      'its child has a digest',
    ],
    [
      'a subject that can not be verified',
      JSON.stringify({ config, subject: { digest: 'latest' } }),
      OCI_MANIFEST,
      'its subject has a digest',
    ],
  ])('the body makes an error: %s', (_, text, contentType, message) => {
    expect(() => parse(text, contentType)).toThrow(ManifestError);
    expect(() => parse(text, contentType)).toThrow(message);
  });

  it('bytes that are no UTF-8', () => {
    const bytes = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(() => parseManifest(bytes, OCI_MANIFEST, digestOf(bytes))).toThrow('valid JSON');
  });
});

describe('annotations', () => {
  const annotations = {
    'org.opencontainers.image.version': '1.2.3',
    'org.opencontainers.image.revision': 'abc',
    'org.opencontainers.image.title': 'x',
  };
  const labels = { version: '1.2.3', revision: 'abc' };

  it('tell version and revision of an image and of an index', () => {
    expect(parse({ config, layers: [], annotations })).toMatchObject({ kind: 'image', labels });
    expect(parse({ manifests: [child], annotations }, OCI_INDEX)).toMatchObject({
      kind: 'index',
      labels,
    });
  });

  it.each(['x', 7, null, [], { 'org.opencontainers.image.version': 7 }])(
    'make no manifest unknown, and say nothing: %j',
    (odd) => {
      const read = parse({ config, layers: [], annotations: odd });
      expect(read.kind).toBe('image');
      expect(read).not.toHaveProperty('labels');
    },
  );
});
