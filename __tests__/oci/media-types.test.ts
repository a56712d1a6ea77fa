import { describe, expect, it } from '@jest/globals';

import {
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isImageConfigType,
  isIndexType,
  isManifestType,
  isPlainlyBlobType,
  isSchema1Type,
  MANIFEST_ACCEPT,
  mediaTypeOf,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../src/oci/media-types.js';

describe('media types', () => {
  it('asks for all four manifest types in one header', () => {
    expect(MANIFEST_ACCEPT.split(', ').sort()).toEqual(
      [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].sort(),
    );
  });

  it.each([
    [OCI_INDEX, { index: true, image: false, config: false, schema1: false }],
    [DOCKER_LIST, { index: true, image: false, config: false, schema1: false }],
    [OCI_MANIFEST, { index: false, image: true, config: false, schema1: false }],
    [DOCKER_MANIFEST, { index: false, image: true, config: false, schema1: false }],
    [OCI_CONFIG, { index: false, image: false, config: true, schema1: false }],
    [DOCKER_CONFIG, { index: false, image: false, config: true, schema1: false }],
    [
      'application/vnd.docker.distribution.manifest.v1+json',
      { index: false, image: false, config: false, schema1: true },
    ],
    [
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      { index: false, image: false, config: false, schema1: true },
    ],
    [
      'application/vnd.oci.artifact.manifest.v1+json',
      { index: false, image: false, config: false, schema1: false },
    ],
    [
      'application/vnd.oci.image.layer.v1.tar+gzip',
      { index: false, image: false, config: false, schema1: false },
    ],
    ['', { index: false, image: false, config: false, schema1: false }],
  ])('a type is sorted rightly: %s', (type, expected) => {
    for (const spelt of [type, type.toUpperCase(), ` ${type}`, `${type} ; charset=utf-8`]) {
      expect({
        index: isIndexType(spelt),
        image: isManifestType(spelt) && !isIndexType(spelt),
        config: isImageConfigType(spelt),
        schema1: isSchema1Type(spelt),
      }).toEqual(expected);
    }
  });

  it.each([
    [OCI_INDEX, OCI_INDEX],
    [`${OCI_INDEX}; charset=utf-8`, OCI_INDEX],
    [` ${OCI_INDEX.toUpperCase()} ;x=y`, OCI_INDEX],
    ['', ''],
    [undefined, ''],
    ['text', ''],
    ['text/html\r\nx: y', ''],
    ['<b>/x', ''],
    [`${'a'.repeat(200)}/b`, ''],
  ])('the type %j is compared as %j', (text, expected) => {
    expect(mediaTypeOf(text)).toBe(expected);
  });
});

describe('types that are plainly of blobs', () => {
  it.each([
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.oci.image.layer.v1.tar+gzip',
    'application/vnd.oci.image.layer.v1.tar+zstd',
    'application/vnd.oci.image.layer.v1.tar+gzip+encrypted',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.diff.tar',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    OCI_CONFIG,
    DOCKER_CONFIG,
    'application/vnd.docker.plugin.v1+json',
    'application/vnd.oci.empty.v1+json',
    'application/vnd.unknown.config.v1+json',
    'application/vnd.buildkit.cacheconfig.v0',
    'application/vnd.cncf.helm.config.v1+json',
    'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    'application/vnd.cncf.helm.chart.provenance.v1.prov',
    'application/vnd.cncf.flux.config.v1+json',
    'application/vnd.cncf.flux.content.v1.tar+gzip',
    'application/vnd.in-toto+json',
    'application/vnd.in-toto.provenance+dsse',
    'application/vnd.dsse.envelope.v1+json',
    'application/vnd.dev.cosign.simplesigning.v1+json',
    'application/vnd.dev.sigstore.bundle.v0.3+json',
    'application/spdx+json',
    'application/vnd.cyclonedx+json',
    'application/vnd.syft+json',
    'text/spdx',
    'application/tar+gzip',
    'application/wasm',
  ])('the type of a blob is known: %s', (type) => {
    for (const spelt of [type, type.toUpperCase(), `${type}; charset=utf-8`]) {
      expect(isPlainlyBlobType(spelt)).toBe(true);
      expect(isManifestType(spelt)).toBe(false);
    }
  });

  it.each([
    OCI_INDEX,
    OCI_MANIFEST,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/vnd.oci.artifact.manifest.v1+json',
    'application/vnd.oci.image.index.v2+json',
    'application/vnd.oci.image.index.v1+json+gzip',
    'application/octet-stream',
    'application/json',
    'text/plain',
    'application/vnd.future.v1+json',
    'x-application/vnd.in-toto+json',
    'application/vnd.in-toto+json/x',
    'no type',
    '',
  ])('the type %j says too little', (type) => {
    expect(isPlainlyBlobType(type)).toBe(false);
  });
});
