/** A plan as a whole, manifests of unknown type, and gaps. */
import { describe, expect, it } from '@jest/globals';

import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan } from '../../src/plan/plan.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
import {
  cosign,
  digestTag,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import {
  fate,
  fates,
  inventoryOf,
  policy,
  YOUNG,
  type Estate,
  past,
  planOf,
  protecting,
} from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a manifest of unknown type', () => {
  const unknown = (body: unknown) => opaque('application/vnd.future+json', body);

  it('is kept, with or without a tag', () => {
    const content = unknown({ a: 1 });
    expect(planOf({ untagged: [content] }).keep).toEqual([
      {
        digest: content.digest,
        reason: { kind: 'unknown-type', mediaType: 'application/vnd.future+json' },
      },
    ]);
    expect(fate(planOf({ tags: { v1: content } }), content)).toBe('keep: tagged');
  });

  it('keeps the manifests that it mentions, and those that they need', () => {
    const list = index([old]);
    const content = unknown({ deep: [{ in: `some text ${list.digest}` }] });
    const plan = planOf({ untagged: [content, list] });
    expect(fates(plan, { list, old })).toEqual({ list: 'keep: mentioned', old: 'keep: child' });
    expect(plan.keep).toContainEqual({
      digest: list.digest,
      reason: { kind: 'mentioned', by: content.digest },
    });
  });

  it('keeps them also where JSON escapes hide them', () => {
    const text = `{"a":"sha256\\u003a${old.digest.slice(7)}"}`;
    const bytes = Buffer.from(text);
    const escaped: Content = { ...unknown(JSON.parse(text)), bytes };
    expect(escaped.bytes.toString()).not.toContain(old.digest);
    expect(fate(planOf({ untagged: [escaped, old] }), old)).toBe('keep: mentioned');
  });

  it.each([
    ['Manifests', [old.descriptor]],
    ['manifests', [{ ...old.descriptor, Digest: current.digest }, current.descriptor]],
  ])('keeps its children as an index with keys in other letters: %s', (key, entries) => {
    const list = opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, [key]: entries });
    const plan = planOf({ tags: { v1: list }, untagged: [old] });
    expect(fates(plan, { list, old })).toEqual({ list: 'keep: tagged', old: 'keep: mentioned' });
    expect(fate(planOf({ untagged: [list] }), list)).toBe('keep: unknown-type');
  });

  it('is kept as a child of an orphan index, which is not', () => {
    const child = opaque(OCI_MANIFEST, { mediaType: 'application/vnd.future+json' });
    const list = index([child]);
    expect(fates(planOf({ untagged: [list] }), { list, child })).toEqual({
      list: 'delete: unreachable',
      child: 'keep: unknown-type',
    });
  });
});

describe('a gap', () => {
  const gaps = [{ what: 'tag v2', why: '500' }];

  it('keeps everything that nothing reaches', () => {
    const list = index([old]);
    const plan = planOf({
      tags: { v1: current },
      untagged: [list, referrer('sbom', current)],
      more: { gaps },
    });
    expect(plan.orphans).toEqual([]);
    expect(fates(plan, { current, list, old, sbom: referrer('sbom', current) })).toEqual({
      current: 'keep: tagged',
      list: 'keep: gap',
      old: 'keep: gap',
      sbom: 'keep: referrer',
    });
  });

  it('is not made by a broken tag: the rest is still cleaned', () => {
    const more = { brokenTags: ['v0', digestTag(current.digest, 'sig')] };
    expect(fate(planOf({ tags: { v1: current }, untagged: [old], more }), old)).toBe(
      'delete: unreachable',
    );
  });

  it('is not made by a child that the registry does not have', () => {
    const broken = index([old, current]);
    const plan = planOf({ tags: { v1: broken }, untagged: [image('x')], absent: [current] });
    expect(fates(plan, { broken, old, x: image('x') })).toEqual({
      broken: 'keep: tagged',
      old: 'keep: child',
      x: 'delete: unreachable',
    });
  });
});

describe('the plan', () => {
  it.each<[string, Parameters<typeof policy>[0]]>([
    ['', {}],
    [' with the newest kept', { keepUntagged: 2 }],
    [' with some protected', { protection: protecting(image('b').digest, old.digest) }],
    [
      ' of another plan',
      {
        keepUntagged: 1,
        approved: new Map([['team/app', new Set([old, image('a')].map(({ digest }) => digest))]]),
      },
    ],
  ])('does not depend on the order in which things were read%s', (_, asked) => {
    const sig = cosign('sig', old);
    const estate: Estate = {
      tags: {
        v1: index([current, image('a')]),
        v2: current,
        [digestTag(old.digest, 'sig')]: sig,
        [digestTag(current.digest, 'sig')]: sig,
      },
      untagged: [
        index([image('a'), old]),
        referrer('x', old),
        referrer('y', current),
        opaque('a/b', { a: image('a').digest }),
        index([image('b'), image('c')]),
        // All of the same age: which of them is the newest must not be left to chance.
        ...['d', 'e', 'f'].map((name) => image(name)),
        index([image('g')]),
        image('h'),
        image('i'),
      ],
      more: {
        past: past([image('d'), image('e'), image('g')]),
        referrers: new Map([
          [image('f').digest, [image('h').digest, image('i').digest]],
          [image('d').digest, [image('i').digest, image('h').digest]],
        ]),
      },
    };
    const inventory = inventoryOf(estate);
    const backwards: Inventory = {
      ...inventory,
      tags: new Map([...inventory.tags].reverse()),
      manifests: new Map([...inventory.manifests].reverse()),
      facts: new Map([...inventory.facts].reverse()),
      past: new Map([...inventory.past].reverse()),
      referrers: new Map(
        [...inventory.referrers]
          .reverse()
          .map(([digest, listed]) => [digest, [...listed].reverse()]),
      ),
    };
    expect(makePlan(backwards, policy(asked))).toEqual(makePlan(inventory, policy(asked)));
  });

  it('holds every manifest once, those to keep sorted by digest', () => {
    const plan = planOf({
      tags: { v1: index([current, image('a'), image('b')]) },
      untagged: [old, referrer('x', old), image('young', { created: YOUNG })],
    });
    const kept = plan.keep.map(({ digest }) => digest);
    expect(kept).toEqual([...kept].sort());
    expect(new Set([...kept, ...plan.orphans.map(({ digest }) => digest)]).size).toBe(
      kept.length + plan.orphans.length,
    );
    expect(kept.length + plan.orphans.length).toBe(7);
  });

  it('is plain values: it survives JSON', () => {
    const plan = planOf({ tags: { v1: current }, untagged: [old] });
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });
});
