import { describe, expect, it } from '@jest/globals';

import { birthsIn, datedBy } from '../../src/plan/births.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { image, index, opaque, referrer } from '../support/builders/build.js';
import { inventoryOf, NOW, parsed } from '../support/builders/inventories.js';

const at = (time: number) => new Date(time).toISOString();
const older = image('older', { created: at(NOW - 2000) });
const newer = image('newer', { created: at(NOW - 1000) });
const timeless = image('timeless', { created: null });

describe('the manifests that date another', () => {
  it.each([
    ['an image', older, []],
    ['an index', index([older, newer]), [older, newer]],
    ['a referrer', referrer('sbom', older), [older]],
    ['an index with a subject', index([newer], { subject: older }), [newer, older]],
    ['something unknown', opaque('a/b', { a: older.digest }), []],
  ])('are known for %s', (_, content, expected) => {
    expect(datedBy(parsed(content), new Map())).toEqual(expected.map(({ digest }) => digest));
  });

  it.each([
    ['in use: not', true, 'in-use', []],
    ['never in use', false, 'unused', [newer]],
  ] as const)('are without a subject that a run has seen %s', (_, everInUse, status, expected) => {
    const past = new Map([[newer.digest, { firstSeen: NOW, everInUse, status, since: NOW }]]);
    expect(datedBy(parsed(referrer('sbom', newer)), past)).toEqual(
      expected.map(({ digest }) => digest),
    );
    // A child is part of the push of its index, whenever it was seen itself.
    const list = index([newer, older], { subject: newer });
    expect(datedBy(parsed(index([newer, older])), past)).toEqual([newer.digest, older.digest]);
    expect(datedBy(parsed(list), past)).toContain(older.digest);
    expect(datedBy(parsed(list), past)).toContain(newer.digest);
  });
});

describe('the time of birth', () => {
  it.each([
    ['an image: when its config says', older, NOW - 2000],
    ['no creation time: unknown', timeless, undefined],
    ['an index: its youngest child', index([older, newer, timeless]), NOW - 1000],
    ['an index of indexes', index([index([older]), index([index([newer])])]), NOW - 1000],
    ['an index of what has no time: unknown', index([timeless]), undefined],
    ['an index with a younger subject', index([older], { subject: newer }), NOW - 1000],
    ['a referrer: its subject', referrer('sbom', newer), NOW - 1000],
    ['a referrer of a referrer', referrer('sig', referrer('sbom', older)), NOW - 2000],
    ['an image with a younger subject', image('x', { subject: newer }), NOW - 1000],
  ])('is known of %s', (_, content, expected) => {
    const births = birthsIn(
      inventoryOf({ untagged: [content, older, newer, referrer('sbom', older)] }),
    );
    expect(births(content.digest)).toBe(expected);
    expect(births(content.digest)).toBe(expected);
  });

  it('is unknown of a manifest that was not read', () => {
    expect(birthsIn(inventoryOf({}))(older.digest)).toBeUndefined();
  });

  it('leaves out manifests that are not in the repository', () => {
    const births = birthsIn(inventoryOf({ untagged: [index([older, newer])], absent: [newer] }));
    expect(births(index([older, newer]).digest)).toBe(NOW - 2000);
  });

  it('visits a manifest that many hold once, and is the same from either side', () => {
    const layers = Array.from({ length: 40 }).reduce<ReturnType<typeof index>[]>(
      (all) => [...all, index([all.at(-1) ?? newer, all.at(-2) ?? older])],
      [],
    );
    const top = layers.at(-1) ?? index([]);
    // Without a memory this takes two to the power of 40 steps.
    const shallow = new Map<Digest, Manifest>(
      [...layers, older, newer].map((content) => [content.digest, parsed(content)]),
    );
    const births = birthsIn({
      manifests: shallow,
      facts: inventoryOf({ untagged: [older, newer] }).facts,
      past: new Map(),
    });
    expect(births(top.digest)).toBe(NOW - 1000);
  });

  it('is found where manifests are said to contain each other', () => {
    const manifests = new Map<Digest, Manifest>([
      [older.digest, { ...parsed(older), subject: newer.digest } as Manifest],
      [newer.digest, { ...parsed(newer), subject: older.digest } as Manifest],
    ]);
    const { facts } = inventoryOf({ untagged: [older, newer] });
    expect(birthsIn({ manifests, facts, past: new Map() })(newer.digest)).toBe(NOW - 1000);
  });

  it('is found along chains that are longer than the call stack is deep', () => {
    const length = 20_000;
    const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
    const manifests = new Map<Digest, Manifest>();
    for (let n = 0; n < length; n += 1) {
      const subject = n === 0 ? newer.digest : digest(n - 1);
      manifests.set(digest(n), { ...parsed(older), digest: digest(n), subject } as Manifest);
    }
    const { facts } = inventoryOf({ untagged: [newer] });
    manifests.set(newer.digest, parsed(newer));
    expect(birthsIn({ manifests, facts, past: new Map() })(digest(length - 1))).toBe(NOW - 1000);
  });
});
