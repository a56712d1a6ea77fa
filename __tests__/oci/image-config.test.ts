import { describe, expect, it } from '@jest/globals';

import { factsOf } from '../../src/oci/image-config.js';
import { JsonLimitError } from '../../src/oci/json.js';

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('factsOf', () => {
  it('tells creation and platform', () => {
    expect(
      factsOf(
        json({
          created: '2026-01-01T01:00:00.123456789+01:00',
          os: 'linux',
          architecture: 'arm64',
          variant: 'v8',
          rootfs: {},
        }),
      ),
    ).toEqual({
      created: Date.UTC(2026, 0, 1, 0, 0, 0, 123),
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    });
  });

  it.each([
    ['no created', { os: 'linux', architecture: 'amd64' }],
    ['null', { created: null, os: 'linux', architecture: 'amd64' }],
    ['a number', { created: 1700000000, os: 'linux', architecture: 'amd64' }],
    ['no time at all', { created: 'yesterday', os: 'linux', architecture: 'amd64' }],
    ['an empty text', { created: '', os: 'linux', architecture: 'amd64' }],
  ])('has no creation time: %s', (_, config) => {
    expect(factsOf(json(config))).toEqual({ platform: { os: 'linux', architecture: 'amd64' } });
  });

  it.each([
    ['only os', { created: '1970-01-01T00:00:00Z', os: 'linux' }],
    ['only architecture', { created: '1970-01-01T00:00:00Z', architecture: 'amd64' }],
    ['an os that is no text', { created: '1970-01-01T00:00:00Z', os: 1, architecture: 'amd64' }],
  ])('has no platform: %s', (_, config) => {
    expect(factsOf(json(config))).toEqual({ created: 0 });
  });

  it.each([
    ['no JSON', Buffer.from('\u001f\u008b')],
    ['nothing', Buffer.alloc(0)],
    ['null', json(null)],
    ['a list', json([1])],
    ['a text', json('config')],
  ])('proves nothing: %s', (_, bytes) => {
    expect(factsOf(bytes)).toEqual({});
  });

  it('a config that holds more than any does makes an error', () => {
    const history = `{"history":[${Array(75_001).fill('{}').join(',')}]}`;
    expect(() => factsOf(Buffer.from(history))).toThrow(JsonLimitError);
  });

  const VERSION = 'org.opencontainers.image.version';
  const REVISION = 'org.opencontainers.image.revision';
  it.each([
    ['both', { [VERSION]: '1.2', [REVISION]: 'abc' }, { version: '1.2', revision: 'abc' }],
    ['one of them', { [VERSION]: '1.2', [REVISION]: 7 }, { version: '1.2' }],
    ['none that is short', { [VERSION]: '1'.repeat(101), [REVISION]: '' }, undefined],
    ['others', { maintainer: 'x' }, undefined],
    ['no object', 'x', undefined],
  ])('tells version and revision by the labels: %s', (_, Labels, labels) => {
    expect(factsOf(json({ config: { Labels } }))).toEqual(labels === undefined ? {} : { labels });
  });

  it('has no labels where the config is of another form', () => {
    expect(factsOf(json({ config: 'x', created: '1970-01-01T00:00:00Z' }))).toEqual({ created: 0 });
  });
});
