/** The grace period, and the ages that the plan needs for it. */
import { describe, expect, it } from '@jest/globals';

import type { Past } from '../../src/plan/past.js';
import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan, unknownAges } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import { helmChart, image, index, referrer } from '../support/builders/build.js';
import {
  DAY,
  fate,
  fates,
  HOUR,
  inventoryOf,
  NOW,
  policy,
  YOUNG,
  type Estate,
  past,
  planOf,
  protecting,
} from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('the grace period', () => {
  const young = image('young', { created: YOUNG });

  it('keeps a candidate whose config says that it is younger', () => {
    const plan = planOf({ untagged: [young, old] });
    expect(plan.keep).toEqual([
      { digest: young.digest, reason: { kind: 'young', created: NOW - HOUR } },
    ]);
    expect(fate(plan, old)).toBe('delete: unreachable');
  });

  it.each<[string, string | null, number, string]>([
    ['just inside', new Date(NOW - DAY + 1).toISOString(), DAY, 'keep: young'],
    ['just outside', new Date(NOW - DAY).toISOString(), DAY, 'delete: unreachable'],
    ['in the future', new Date(NOW + DAY).toISOString(), DAY, 'keep: young'],
    ['1970: proves nothing', '1970-01-01T00:00:00Z', DAY, 'delete: unreachable'],
    ['missing: proves nothing', null, DAY, 'delete: unreachable'],
    ['no time: proves nothing', 'soon', DAY, 'delete: unreachable'],
    ['switched off', YOUNG, 0, 'delete: unreachable'],
  ])('decides by the time of creation: %s', (_, created, gracePeriod, expected) => {
    const content = image('x', { created });
    expect(fate(planOf({ untagged: [content] }, { gracePeriod }), content)).toBe(expected);
  });

  it('keeps the index of a young child, and so its other children: it was made after them', () => {
    const list = index([young, old]);
    expect(fates(planOf({ untagged: [list] }), { list, young, old })).toEqual({
      list: 'keep: young',
      young: 'keep: young',
      old: 'keep: child',
    });
  });

  it('keeps a young child of an index that has gone before, but not the rest', () => {
    const list = index([young, old]);
    const plan = planOf({ untagged: [young, old], absent: [list] });
    expect(fates(plan, { young, old })).toEqual({
      young: 'keep: young',
      old: 'delete: unreachable',
    });
  });

  it('keeps the referrers of a young image, and the subject of a young referrer', () => {
    const sbom = referrer('sbom', young);
    const copy = image('copy', { created: YOUNG, subject: old });
    expect(fates(planOf({ untagged: [sbom, young, copy, old] }), { sbom, old, copy })).toEqual({
      sbom: 'keep: young',
      copy: 'keep: young',
      old: 'keep: subject',
    });
  });

  it('does not hide a plainer reason', () => {
    expect(fate(planOf({ tags: { v1: young } }), young)).toBe('keep: tagged');
  });

  it('tells an orphan how old it is, an index by its youngest child', () => {
    const newer = image('newer', { created: new Date(NOW - 2 * DAY).toISOString() });
    const list = index([old, newer]);
    const plan = planOf({ untagged: [list, image('x', { created: null })] });
    expect(plan.orphans.find(({ digest }) => digest === list.digest)?.age).toEqual({
      kind: 'built',
      at: NOW - 2 * DAY,
    });
    const undated = image('x', { created: null });
    expect(plan.orphans).toContainEqual({
      digest: undated.digest,
      reason: { kind: 'unreachable' },
      after: [],
    });
  });
});

describe('the manifests of unknown age', () => {
  const withoutFacts = (estate: Estate) => inventoryOf({ ...estate, more: { facts: new Map() } });
  const ages = (inventory: Inventory, more: Parameters<typeof policy>[0] = {}) =>
    unknownAges(inventory, makePlan(inventory, policy(more)), policy(more))
      .map(({ digest }) => digest)
      .sort();

  it('are the orphans and the children of orphans, kept or not', () => {
    const [leaf, shared] = [image('leaf'), image('shared')];
    const sbom = referrer('sbom', old);
    const inventory = withoutFacts({
      tags: { v1: current, v2: shared },
      untagged: [index([leaf, shared]), old, sbom],
    });
    expect(ages(inventory)).toEqual([leaf, shared, old].map(({ digest }) => digest).sort());
  });

  it.each<[string, Estate]>([
    ['no orphans', { tags: { v1: current } }],
    ['orphans whose configs are no image configs', { untagged: [helmChart('a', '1')] }],
    ['orphans of which nothing is there', { untagged: [index([old])], absent: [old] }],
  ])('are none: %s', (_, estate) => {
    expect(ages(withoutFacts(estate))).toEqual([]);
  });

  it('leave out those that an earlier run saw, in use or not', () => {
    const more = {
      facts: new Map(),
      past: new Map([
        ...past([old]),
        ...past([image('unused')], { everInUse: false }),
        ...past([image('new')], { everInUse: false, firstSeen: NOW }),
      ]),
    };
    const untagged = [old, image('unused'), image('new'), image('unseen')];
    expect(ages(inventoryOf({ untagged, more }))).toEqual([image('unseen').digest]);
  });

  it('include the children of an unseen index, seen before or not', () => {
    const list = index([old, image('unseen')]);
    const more = { facts: new Map(), past: past([old]) };
    expect(ages(inventoryOf({ untagged: [list], more }))).toEqual(
      [old, image('unseen')].map(({ digest }) => digest).sort(),
    );
  });

  it('are none where all are known, or ages do not matter', () => {
    expect(ages(inventoryOf({ untagged: [old] }))).toEqual([]);
    expect(ages(withoutFacts({ untagged: [old] }), { gracePeriod: 0 })).toEqual([]);
  });

  describe('with keep-untagged', () => {
    const two = [image('a'), image('b')];
    const all = two.map(({ digest }) => digest).sort();

    it.each([0, DAY])('are those that go and those that stay as the newest (%i)', (gracePeriod) => {
      const inventory = withoutFacts({ tags: { v1: current }, untagged: two });
      expect(ages(inventory, { gracePeriod, keepUntagged: 1 })).toEqual(all);
      expect(ages(inventory, { gracePeriod, keepUntagged: 5 })).toEqual(all);
    });

    it.each<[string, Partial<Past>]>([
      ['in use: two may have gone out of it together', {}],
      ['never in use', { everInUse: false, status: 'unused' }],
      ['as leaving', { everInUse: false, status: 'leaving' }],
    ])('include those that earlier runs saw %s', (_, seen) => {
      const more = { facts: new Map(), past: past(two, seen) };
      const inventory = inventoryOf({ untagged: two, more });
      expect(ages(inventory, { keepUntagged: 1 })).toEqual(all);
    });

    it('leave out those that are known, and those that the plan leaves out or keeps otherwise', () => {
      expect(ages(inventoryOf({ untagged: two }), { keepUntagged: 1 })).toEqual([]);
      const protection = protecting('team/app');
      expect(ages(withoutFacts({ untagged: two }), { keepUntagged: 1, protection })).toEqual([]);
      const approved = new Map([['team/app', new Set<Digest>()]]);
      expect(ages(withoutFacts({ untagged: two }), { approved })).toEqual([]);
    });
  });
});
