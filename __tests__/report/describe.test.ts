import { describe, expect, it } from '@jest/globals';

import type { Manifest } from '../../src/oci/manifest.js';
import { DOCKER_CONFIG } from '../../src/oci/media-types.js';
import { describer, label, versionOf } from '../../src/report/describe.js';
import {
  blob,
  byDigest,
  child,
  d,
  image,
  index,
  inventory,
  platform,
} from '../support/builders/examples.js';

const target = d('target');
const hex = target.slice('sha256:'.length);
const short = target.slice(0, 19);
const config = (mediaType: string) => blob('config', 10, mediaType);
const IN_TOTO = 'application/vnd.in-toto+json';
const SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const CACHE = 'application/vnd.buildkit.cacheconfig.v0';

function said(
  manifest: Manifest,
  more: Parameters<typeof inventory>[1] = {},
  others: Manifest[] = [],
): string {
  const all = inventory('a', { manifests: byDigest(manifest, ...others), ...more });
  return label(describer(all)(manifest.digest));
}

function inIndex(manifest: Manifest, entry: Parameters<typeof child>[1]): string {
  const parent = index('parent', [child('m', entry)]);
  return said(manifest, {}, [parent]);
}

describe('describer', () => {
  const m = image('m');

  it.each([
    ['image', m],
    ['image', image('m', [], { config: config(DOCKER_CONFIG) })],
    [
      `referrer of ${short}, application/spdx+json`,
      image('m', [], { subject: target, artifactType: 'application/spdx+json' }),
    ],
    [
      `referrer of ${short}, application/x-config`,
      image('m', [], { subject: target, config: config('application/x-config') }),
    ],
    [`referrer of ${short}`, image('m', [], { subject: target })],
    [
      `referrer of ${short}, application/x`,
      index('m', [], { subject: target, artifactType: 'application/x' }),
    ],
    ['signature', image('m', [blob('s', 1, SIGNING)])],
    [`signature of ${short}`, image('m', [blob('s', 1, SIGNING)], { subject: target })],
    ['attestation', image('m', [blob('s', 1, 'application/vnd.dsse.envelope.v1+json')])],
    ['build attestation', image('m', [blob('s', 1, IN_TOTO)])],
    ['build cache', image('m', [], { config: config(CACHE) })],
    ['build cache', index('m', [], { others: [blob('l', 1), blob('c', 1, CACHE)] })],
    ['build cache', index('m', [], { others: [blob('l', 1)] })],
    ['Helm chart', image('m', [], { config: config('application/vnd.cncf.helm.config.v1+json') })],
    ['artifact application/wasm', image('m', [], { config: config('application/wasm') })],
    ['artifact application/x', image('m', [], { artifactType: 'application/x' })],
    ['artifact application/x', index('m', [], { artifactType: 'application/x' })],
    ['index', index('m', [])],
    [
      'unknown manifest application/x-new',
      {
        kind: 'unknown',
        digest: d('m'),
        mediaType: 'application/x-new',
        size: 1,
        mentions: [],
      } as const,
    ],
  ])('describes a manifest as %s', (expected, manifest) => {
    expect(said(manifest)).toBe(expected);
  });

  it.each([
    [`signature of ${short}`, `sha256-${hex}.sig`],
    [`attestation of ${short}`, `sha256-${hex}.att`],
    [`SBOM of ${short}`, `sha256-${hex}.sbom`],
  ])('describes a manifest as %s by the tag %s', (expected, tag) => {
    expect(said(m, { tags: new Map([[tag, m.digest]]) })).toBe(expected);
  });

  it('knows the index under a fallback tag', () => {
    const tags = new Map([[`sha256-${hex}`, d('m')]]);
    expect(said(index('m', [child('referrer')]), { tags })).toBe(`list of referrers of ${short}`);
  });

  it('takes the platform from the parent, then from the config', () => {
    const facts = new Map([[m.digest, { platform: platform('linux/arm64/v8') }]]);
    expect(inIndex(m, { platform: platform('windows/amd64') })).toBe('image windows/amd64');
    expect(said(m, { facts })).toBe('image linux/arm64/v8');
    const parent = index('parent', [child('m', { platform: platform('unknown/unknown') })]);
    expect(said(m, { facts }, [parent])).toBe('image linux/arm64/v8');
  });

  it('knows an attestation by its entry in the index', () => {
    const type = { 'vnd.docker.reference.type': 'attestation-manifest' };
    expect(inIndex(m, { annotations: { ...type, 'vnd.docker.reference.digest': target } })).toBe(
      `build attestation of ${short}`,
    );
    expect(inIndex(m, { annotations: { ...type, 'vnd.docker.reference.digest': '<b>' } })).toBe(
      'build attestation',
    );
  });

  it('lists the platforms of an index, each once, without what runs nowhere', () => {
    const names = ['linux/amd64', 'linux/amd64', 'linux/arm/v7', 'unknown/unknown'];
    const children = names.map((name, at) => child(String(at), { platform: platform(name) }));
    expect(said(index('m', children))).toBe('index of linux/amd64, linux/arm/v7');
    const many = Array.from({ length: 9 }, (_, at) =>
      child(String(at), { platform: platform(`linux/cpu${String(at)}`) }),
    );
    expect(said(index('m', many))).toMatch(/linux\/cpu5, 3 more$/);
  });

  it('does not depend on the order in which parents were read', () => {
    const one = index('one', [child('m', { platform: platform('linux/amd64') })]);
    const two = index('two', [child('m', { platform: platform('linux/arm64') })]);
    expect(said(m, {}, [one, two])).toBe(said(m, {}, [two, one]));
  });

  it('cuts what is too long and says so of what was never read', () => {
    const long = image('m', [], { artifactType: `application/${'x'.repeat(1_000)}` });
    expect(said(long)).toHaveLength('artifact '.length + 100);
    expect(label(describer(inventory('a'))(d('m')))).toBe('unknown manifest');
  });
});

it('a brief label counts platforms that are many, and has digests without their algorithm', () => {
  const ofPlatforms = (...names: readonly string[]) => {
    const all = names.map((name) => child(name, { platform: platform(name) }));
    const made = index('i', all);
    return label(describer(inventory('a', { manifests: byDigest(made) }))(made.digest), true);
  };
  expect(ofPlatforms('linux/amd64', 'linux/arm64')).toBe('index of linux/amd64, linux/arm64');
  expect(ofPlatforms('linux/amd64', 'linux/arm64', 'linux/386')).toBe('index of 3 platforms');
  const signed = image('m', [], { subject: target, artifactType: `application/${'x'.repeat(60)}` });
  const brief = label(
    describer(inventory('a', { manifests: byDigest(signed) }))(signed.digest),
    true,
  );
  expect(brief).toMatch(new RegExp(`^referrer of ${hex.slice(0, 12)}, application/x{27}…$`));
});

it('annotations tell the version before the labels of the config do', () => {
  const m = image('m', [], { labels: { version: '2' } });
  const facts = new Map([[m.digest, { labels: { version: '1', revision: 'abc' } }]]);
  const all = inventory('a', { manifests: byDigest(m), facts });
  expect(versionOf(m.digest, all)).toEqual({ version: '2', revision: 'abc' });
  expect(versionOf(d('other'), all)).toEqual({});
});
