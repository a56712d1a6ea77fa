import { describe, expect, it } from '@jest/globals';

import { ARTIFACT_TYPE, isLedgerArtifact } from '../../../src/plan/ledger-artifact.js';
import {
  EMPTY_CONFIG,
  artifactOf,
  keyOf,
  parseEntryTag,
} from '../../../src/memory/ledger/artifact.js';
import { digestOf } from '../../../src/oci/digest.js';
import { parseManifest } from '../../../src/oci/manifest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { isRepository, isTag, parseDigestTag } from '../../../src/oci/reference.js';
import { parsed } from '../../support/builders/inventories.js';
import {
  digestTag,
  image,
  index,
  manifest,
  opaque,
  referrer,
} from '../../support/builders/build.js';

const BLOB = Buffer.from('an entry');
const KEY = '0123456789abcdef'.repeat(2);
const HEX = '0123456789abcdef'.repeat(4);

const artifact = artifactOf('team/app', BLOB);
const read = parseManifest(artifact.bytes, artifact.mediaType, artifact.digest);

describe('the tag of an entry', () => {
  it('says whose memory it is and what its bytes are', () => {
    expect(parseEntryTag(artifact.tag)).toEqual({
      tag: artifact.tag,
      isOurs: true,
      key: keyOf('team/app'),
      blob: digestOf(BLOB),
    });
  });

  it.each(['a', 'team/app', 'a/b/c/d', `${'a'.repeat(127)}/${'b'.repeat(127)}`])(
    'is a tag that every registry takes: %s',
    (repository) => {
      expect(isRepository(repository)).toBe(true);
      const { tag } = artifactOf(repository, BLOB);
      expect(isTag(tag)).toBe(true);
      expect(tag.length).toBeLessThanOrEqual(128);
      expect(parseEntryTag(tag)?.key).toBe(keyOf(repository));
      // Else the graph would take it for a signature.
      expect(parseDigestTag(tag)).toBeUndefined();
    },
  );

  it('is another for another repository, and for other bytes', () => {
    const names = ['team/app', 'team-app', 'team/app2', 'app', 'team'];
    expect(new Set(names.map(keyOf)).size).toBe(names.length);
    const tags = [
      ...names.map((name) => artifactOf(name, BLOB)),
      artifactOf('app', Buffer.from('')),
    ].map(({ tag }) => tag);
    expect(new Set(tags).size).toBe(tags.length);
  });

  it.each([['0'], ['2'], ['10'], ['01']])('is not ours in version %s', (version) => {
    expect(parseEntryTag(`ledger-v${version}.${KEY}.${HEX}`)).toMatchObject({
      isOurs: false,
      key: KEY,
      blob: `sha256:${HEX}`,
    });
  });

  it.each([
    'latest',
    'v1',
    'ledger-v1',
    `ledger-v1.${KEY}`,
    `ledger-v.${KEY}.${HEX}`,
    `ledger-vx.${KEY}.${HEX}`,
    `ledger-v1.${KEY.slice(1)}.${HEX}`,
    `ledger-v1.${KEY}0.${HEX}`,
    `ledger-v1.${KEY}.${HEX.slice(1)}`,
    `ledger-v1.${KEY}.${HEX}0`,
    `ledger-v1.${KEY.toUpperCase()}.${HEX}`,
    `ledger-v1.${KEY}.${HEX.toUpperCase()}`,
    `ledger-v1.${KEY}.${HEX}\n`,
    `ledger-v1-${KEY}-${HEX}`,
    `my-ledger-v1.${KEY}.${HEX}`,
    `ledger-v1.${KEY}.${HEX}.sig`,
    digestTag(digestOf(BLOB)),
    digestTag(digestOf(BLOB), 'sig'),
    '',
  ])('is not %j', (tag) => {
    expect(parseEntryTag(tag)).toBeUndefined();
  });
});

describe('the manifest of an entry', () => {
  it('is the same for the same blob, byte by byte', () => {
    expect(artifactOf('team/app', Buffer.from(BLOB))).toEqual(artifact);
    expect(artifact.digest).toBe(digestOf(artifact.bytes));
    const others = [artifactOf('team/app', Buffer.from('another')), artifactOf('team/web', BLOB)];
    expect(new Set([artifact, ...others].map(({ digest }) => digest)).size).toBe(3);
  });

  it('is an OCI artifact with an empty config and the blob as its layer', () => {
    expect(read).toMatchObject({
      kind: 'image',
      mediaType: OCI_MANIFEST,
      artifactType: ARTIFACT_TYPE,
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: digestOf(EMPTY_CONFIG),
        size: 2,
      },
      layers: [{ digest: digestOf(BLOB), size: BLOB.length }],
    });
    expect(JSON.parse(artifact.bytes.toString('utf8'))).toMatchObject({
      annotations: { 'registry-manifest-cleanup.repository': 'team/app' },
    });
    // image-spec, "Guidance for an Empty Descriptor"
    expect(digestOf(EMPTY_CONFIG)).toBe(
      'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    );
  });

  it('says its type in the body, too, for registries that serve it under another', () => {
    expect(JSON.parse(artifact.bytes.toString('utf8'))).toMatchObject({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
    });
  });
});

describe('the question whether a manifest is an entry', () => {
  const empty = { mediaType: 'application/vnd.oci.empty.v1+json', bytes: EMPTY_CONFIG };
  const ofType = (artifactType: string) =>
    parsed(manifest({ config: empty, layers: [], artifactType }));

  it('has the answer yes for entries of every version', () => {
    expect(isLedgerArtifact(read)).toBe(true);
    expect(isLedgerArtifact(ofType(ARTIFACT_TYPE.replace(/1$/, '2')))).toBe(true);
    expect(isLedgerArtifact(ofType(ARTIFACT_TYPE.replace(/1$/, '10')))).toBe(true);
  });

  it('has the answer yes in every spelling of their type', () => {
    expect(isLedgerArtifact(ofType(ARTIFACT_TYPE.toUpperCase()))).toBe(true);
    expect(isLedgerArtifact(ofType(`${ARTIFACT_TYPE}; a=b`))).toBe(true);
  });

  it.each([
    ['an image', parsed(image('a'))],
    ['another artifact', parsed(referrer('sbom', image('a')))],
    ['an artifact of a longer type', ofType(`${ARTIFACT_TYPE}.json+gzip`)],
    ['an artifact whose type only ends so', ofType(`x-${ARTIFACT_TYPE}`)],
    ['an artifact without a version', ofType(ARTIFACT_TYPE.replace(/\.v1$/, ''))],
    ['an index', parsed(index([], { artifactType: ARTIFACT_TYPE }))],
    ['what is of no known type', parsed(opaque('application/x', { artifactType: ARTIFACT_TYPE }))],
    ['what is no index', parsed(opaque(OCI_INDEX, { artifactType: ARTIFACT_TYPE, config: {} }))],
  ])('has the answer no for %s', (_, other) => {
    expect(isLedgerArtifact(other)).toBe(false);
  });
});
