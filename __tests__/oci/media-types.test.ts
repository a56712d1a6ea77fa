import { describe, expect, it } from '@jest/globals';

import {
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isImageConfigType,
  isImageType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  MANIFEST_ACCEPT,
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
  ])('%s', (type, expected) => {
    expect({
      index: isIndexType(type),
      image: isImageType(type),
      config: isImageConfigType(type),
      schema1: isSchema1Type(type),
    }).toEqual(expected);
    expect(isManifestType(type)).toBe(expected.index || expected.image);
  });
});
