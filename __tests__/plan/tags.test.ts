/** Ordinary tags and bare `sha256-<hex>` tags, as the plan takes them. */
import { describe, expect, it } from '@jest/globals';

import { OCI_MANIFEST } from '../../src/oci/media-types.js';
import {
  attestation,
  buildCache,
  digestTag,
  fallbackIndex,
  helmChart,
  image,
  index,
  LINUX_ARM64,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { fate, fates, planOf } from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a tag', () => {
  it('keeps the manifest that it points at; one without a tag goes', () => {
    const plan = planOf({ tags: { v2: current, latest: current }, untagged: [old] });
    expect(plan.repository).toBe('team/app');
    expect(plan.keep).toEqual([
      { digest: current.digest, reason: { kind: 'tagged', tags: ['latest', 'v2'] } },
    ]);
    expect(plan.orphans).toEqual([
      {
        digest: old.digest,
        reason: { kind: 'unreachable' },
        age: { kind: 'built', at: Date.UTC(2020, 0, 2, 3, 4, 5) },
        after: [],
      },
    ]);
  });

  it('keeps the children of an index, at any depth', () => {
    const [amd64, arm64] = [image('app'), image('app', { platform: LINUX_ARM64 })];
    const att = attestation('att', amd64);
    const inner = index([amd64, arm64, att]);
    const outer = index([inner]);
    expect(fates(planOf({ tags: { v1: outer } }), { outer, inner, amd64, arm64, att })).toEqual({
      outer: 'keep: tagged',
      inner: 'keep: child',
      amd64: 'keep: child',
      arm64: 'keep: child',
      att: 'keep: child',
    });
  });

  it('keeps a child that an orphan index shares', () => {
    const [shared, own] = [image('shared'), image('own')];
    const [kept, gone] = [index([shared]), index([shared, own])];
    const plan = planOf({ tags: { v1: kept }, untagged: [gone] });
    expect(fates(plan, { kept, gone, shared, own })).toEqual({
      kept: 'keep: tagged',
      gone: 'delete: unreachable',
      shared: 'keep: child',
      own: 'delete: child',
    });
    expect(plan.orphans.map(({ reason }) => reason)).toContainEqual({
      kind: 'child',
      of: gone.digest,
    });
  });

  it('keeps no child of a nested index without a tag', () => {
    const leaf = image('leaf');
    const inner = index([leaf]);
    const outer = index([inner]);
    expect(fates(planOf({ untagged: [outer] }), { outer, inner, leaf })).toEqual({
      outer: 'delete: unreachable',
      inner: 'delete: child',
      leaf: 'delete: child',
    });
  });

  it.each([
    ['Helm chart', helmChart('app', '1.0.0')],
    ['build cache', buildCache('app', 'manifest')],
    ['old build cache', buildCache('app', 'index')],
    ['Docker list', index([image('a', { family: 'docker' })], { family: 'docker' })],
    ['image without mediaType', image('a', { typed: false })],
  ])('keeps a manifest of any kind: %s', (_, content) => {
    expect(fate(planOf({ tags: { v1: content } }), content)).toBe('keep: tagged');
    expect(fate(planOf({ untagged: [content] }), content)).toBe('delete: unreachable');
  });
});

describe('a bare sha256-<hex> tag', () => {
  const named = old;
  const tag = digestTag(named.digest);
  const sbom = referrer('sbom', named);
  const stranger = referrer('stranger', current);
  /** Under a manifest's type, but its body is of another. */
  const unreadable = opaque(OCI_MANIFEST, { mediaType: 'application/vnd.future+json' });

  describe('is a digest tag that goes with its manifest', () => {
    it.each([
      ['an index whose entries describe it', fallbackIndex([sbom])],
      ['an empty index', fallbackIndex([])],
    ])('where it points at %s', (_, target) => {
      const plan = planOf({ tags: { v1: current, [tag]: target }, untagged: [named] });
      expect(fates(plan, { named, target })).toEqual({
        named: 'delete: unreachable',
        target: 'delete: digest-tag',
      });
      expect(plan.orphans.map(({ digest }) => digest).slice(0, 2)).toEqual([
        named.digest,
        target.digest,
      ]);
    });

    it.each([
      ['an index whose entries describe it', fallbackIndex([sbom])],
      ['an empty index', fallbackIndex([])],
    ])('lives with its manifest: %s', (_, target) => {
      const plan = planOf({ tags: { v1: named, [tag]: target } });
      expect(fate(plan, target)).toBe('keep: digest-tag');
      expect(plan.orphans).toEqual([]);
    });

    it('together with its entries', () => {
      const target = fallbackIndex([sbom]);
      const plan = planOf({ tags: { [tag]: target }, untagged: [named] });
      expect(fate(plan, sbom)).toBe('delete: referrer');
    });
  });

  describe('is an ordinary tag, and a root', () => {
    it.each<[string, Content, string]>([
      ['an index with an entry that describes another', index([sbom, stranger]), 'keep: subject'],
      ['an index with an entry of an unknown kind', index([sbom, unreadable]), 'keep: subject'],
      ['an index with a layer as entry', buildCache('c', 'index'), 'delete: unreachable'],
      ['the manifest itself', named, 'keep: tagged'],
      ['an ordinary image', image('x'), 'delete: unreachable'],
      ['an ordinary index', index([image('x')]), 'delete: unreachable'],
    ])('where it points at %s', (_, target, ofNamed) => {
      const plan = planOf({ tags: { v1: current, [tag]: target }, untagged: [named] });
      expect(fates(plan, { target, named })).toEqual({ target: 'keep: tagged', named: ofNamed });
    });
  });
});
