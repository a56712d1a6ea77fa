/** The newest orphans, which `keep-untagged` keeps. */
import { describe, expect, it } from '@jest/globals';

import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan, type Plan } from '../../src/plan/plan.js';
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
  DAY,
  fates,
  inventoryOf,
  NOW,
  policy,
  YOUNG,
  type Estate,
  past,
  planOf,
  protecting,
} from '../support/builders/inventories.js';

/** What the plan would find if a sweep had carried it out as far as `deletes`. */
function swept(inventory: Inventory, plan: Plan, deletes = plan.orphans.length): Inventory {
  const gone = new Set(plan.orphans.slice(0, deletes).map(({ digest }) => digest));
  return {
    ...inventory,
    tags: new Map([...inventory.tags].filter(([, digest]) => !gone.has(digest))),
    manifests: new Map([...inventory.manifests].filter(([digest]) => !gone.has(digest))),
    absent: new Set([...inventory.absent, ...gone]),
  };
}

const current = image('current');
const old = image('old');

describe('keep-untagged', () => {
  const at = (days: number) => new Date(NOW - days * DAY).toISOString();
  const built = (days: number) => image(`built ${days}`, { created: at(days) });
  const [ten, twenty, thirty] = [built(10), built(20), built(30)];

  it.each([
    [0, []],
    [1, [ten]],
    [2, [ten, twenty]],
    [3, [ten, twenty, thirty]],
    [100, [ten, twenty, thirty]],
  ])('keeps %i of three', (keepUntagged, kept) => {
    const plan = planOf(
      { tags: { v1: current }, untagged: [thirty, ten, twenty] },
      { keepUntagged },
    );
    const recent = plan.keep.filter(({ reason }) => reason.kind === 'recent');
    expect(recent.map(({ digest }) => digest)).toEqual(kept.map(({ digest }) => digest).sort());
    expect(plan.keep).toHaveLength(kept.length + 1);
    expect(plan.orphans).toHaveLength(3 - kept.length);
  });

  it('does not count a replaced list of referrers, which describes an image', () => {
    const [sbom, sig] = [referrer('sbom', current), referrer('sig', current)];
    const [list, odd] = [index([sbom, sig]), index([sbom, referrer('sbom', old)])];
    const estate = { tags: { v1: current }, untagged: [list, twenty, thirty] };
    expect(fates(planOf(estate, { keepUntagged: 1 }), { list, twenty, thirty })).toEqual({
      list: 'delete: unreachable',
      twenty: 'keep: recent',
      thirty: 'delete: unreachable',
    });
    // One that is of no use as a list of referrers: of two images, with a subject of its own, or without entries.
    for (const other of [
      odd,
      index([sbom], { subject: current }),
      index([]),
      index([image('a')]),
    ]) {
      const plan = planOf({ ...estate, untagged: [other] }, { keepUntagged: 1 });
      expect(fates(plan, { other })).toEqual({ other: expect.stringMatching(/^keep: re/) });
    }
  });

  it('keeps the newest with all that they reach, which does not count', () => {
    const [a, b, shared] = [image('a'), image('b'), image('shared')];
    const list = index([a, shared, image('newest part', { created: at(2) })]);
    const second = index([b, shared]);
    const sbom = referrer('sbom', a);
    const sig = cosign('sig', list);
    const plan = planOf(
      { tags: { [digestTag(list.digest, 'sig')]: sig }, untagged: [list, second, sbom, ten] },
      { keepUntagged: 2 },
    );
    expect(fates(plan, { list, a, shared, sbom, sig, ten, second, b })).toEqual({
      list: 'keep: recent',
      a: 'keep: child',
      shared: 'keep: child',
      sbom: 'keep: referrer',
      sig: 'keep: digest-tag',
      ten: 'keep: recent',
      second: 'delete: unreachable',
      b: 'delete: child',
    });
  });

  it('keeps the same one, even if others were seen in use since', () => {
    // An index as old as the image that its part describes. That image has a tag, and so every run sees it in use.
    const part = referrer('about', ten);
    const list = index([part, thirty]);
    const estate = { tags: { v1: ten }, untagged: [list, twenty] };
    const inUse = { everInUse: true, status: 'in-use', firstSeen: NOW, since: NOW } as const;
    const past = new Map([ten, part].map(({ digest }) => [digest, inUse]));
    for (const more of [{}, { past }]) {
      const plan = planOf({ ...estate, more }, { keepUntagged: 1, gracePeriod: 0 });
      expect(fates(plan, { list, twenty })).toEqual({
        list: 'keep: recent',
        twenty: 'delete: unreachable',
      });
    }
  });

  it('counts orphans alone: not what stays anyway', () => {
    const young = image('young', { created: YOUNG });
    const pinned = image('pinned', { created: at(5) });
    const plan = planOf(
      { tags: { v1: current }, untagged: [young, pinned, opaque('a/b', {}), ten, twenty] },
      { keepUntagged: 1, protection: protecting(pinned.digest) },
    );
    expect(fates(plan, { young, pinned, ten, twenty })).toEqual({
      young: 'keep: young',
      pinned: 'keep: protected',
      ten: 'keep: recent',
      twenty: 'delete: unreachable',
    });
  });

  it.each<[string, Estate, Content]>([
    ['a part of another orphan', { untagged: [index([ten]), twenty] }, ten],
    ['a referrer', { untagged: [thirty, referrer('x', thirty), twenty] }, referrer('x', thirty)],
    [
      'what the registry says to be one',
      {
        untagged: [thirty, ten, twenty],
        more: { referrers: new Map([[thirty.digest, [ten.digest]]]) },
      },
      ten,
    ],
    [
      'a signature',
      { tags: { [digestTag(thirty.digest, 'sig')]: ten }, untagged: [thirty, twenty] },
      ten,
    ],
    [
      'what described something that is gone',
      {
        untagged: [referrer('x', old), twenty],
        absent: [old],
        more: { past: past([old]) },
      },
      referrer('x', old),
    ],
  ])('chooses no %s', (_, estate, content) => {
    const plan = planOf(estate, { keepUntagged: 1 });
    const recent = plan.keep.filter(({ reason }) => reason.kind === 'recent');
    expect(recent).toHaveLength(1);
    expect(recent[0]?.digest).not.toBe(content.digest);
  });

  it('chooses nothing of a circle of digest tags, which has no first', () => {
    const [a, b] = [cosign('sig', old), cosign('att', old)];
    const tags = { [digestTag(a.digest, 'sig')]: b, [digestTag(b.digest, 'sig')]: a };
    const plan = planOf({ tags, untagged: [thirty] }, { keepUntagged: 5 });
    expect(fates(plan, { a, b, thirty })).toEqual({
      a: 'delete: digest-tag',
      b: 'delete: digest-tag',
      thirty: 'keep: recent',
    });
  });

  it.each([
    ['older than another', built(25), { thirty: 'delete: unreachable', about: 'delete: referrer' }],
    ['newer than all', built(5), { thirty: 'keep: recent', about: 'keep: referrer' }],
  ])(
    'keeps the same after a run that was cut off, with a referrer that only the registry lists: %s',
    (_, about, expected) => {
      const inventory = inventoryOf({
        untagged: [thirty, about, twenty],
        more: { referrers: new Map([[thirty.digest, [about.digest]]]) },
      });
      const asked = policy({ keepUntagged: 1 });
      const first = makePlan(inventory, asked);
      expect(fates(first, { thirty, about })).toEqual(expected);
      for (let deletes = 0; deletes <= first.orphans.length; deletes += 1) {
        const second = makePlan(swept(inventory, first, deletes), asked);
        expect(second.keep.map(({ digest }) => digest)).toEqual(
          first.keep.map(({ digest }) => digest),
        );
      }
    },
  );

  it.each([
    [
      'an index that describes what is gone',
      (part: Content) => index([part], { subject: image('gone') }),
    ],
    ['an index that describes its own part', (part: Content) => index([part], { subject: part })],
  ])(
    'keeps the same after a run that was cut off where %s holds the newest image',
    (_, holding) => {
      const estate = { untagged: [holding(ten), built(15), twenty] };
      const asked = policy({ keepUntagged: 1, danglingReferrers: 'delete' });
      const inventory = inventoryOf(estate);
      const first = makePlan(inventory, asked);
      // The index goes, and its part stands for itself then.
      expect(fates(first, { ten, twenty })).toEqual({
        ten: 'keep: recent',
        twenty: 'delete: unreachable',
      });
      for (let deletes = 0; deletes <= first.orphans.length; deletes += 1) {
        const second = makePlan(swept(inventory, first, deletes), asked);
        expect(second.orphans).toHaveLength(first.orphans.length - deletes);
      }
    },
  );

  it('does not apply where there is a gap', () => {
    const more = { gaps: [{ what: 'tag v2', why: '500' }] };
    const plan = planOf({ untagged: [ten, twenty], more }, { keepUntagged: 1 });
    expect(fates(plan, { ten, twenty })).toEqual({ ten: 'keep: gap', twenty: 'keep: gap' });
  });

  it('works without a grace period', () => {
    const plan = planOf({ untagged: [ten, twenty] }, { keepUntagged: 1, gracePeriod: 0 });
    expect(fates(plan, { ten, twenty })).toEqual({
      ten: 'keep: recent',
      twenty: 'delete: unreachable',
    });
  });

  it('second-run-empty: keeps the same in a second run, which has nothing to delete, and after a run that was cut off', () => {
    const shared = image('shared', { created: at(12) });
    const estate: Estate = {
      tags: { v1: current, [digestTag(thirty.digest, 'sig')]: cosign('sig', thirty) },
      // The youngest part of what goes is younger than one that stays, and would be the newest by itself.
      untagged: [
        index([ten, shared]),
        index([shared, built(11)]),
        index([built(13), built(14)]),
        twenty,
        thirty,
        referrer('sbom', twenty),
      ],
      // So that what describes them is known to describe nothing any more.
      more: { past: past([twenty, thirty], { everInUse: false, status: 'leaving' }) },
    };
    const inventory = inventoryOf(estate);
    const asked = policy({ keepUntagged: 2 });
    const first = makePlan(inventory, asked);
    expect(first.orphans).toHaveLength(7);
    const kept = new Set(first.keep.map(({ digest }) => digest));
    for (let deletes = 0; deletes <= first.orphans.length; deletes += 1) {
      const second = makePlan(swept(inventory, first, deletes), asked);
      expect(second.orphans.filter(({ digest }) => kept.has(digest))).toEqual([]);
      expect(second.orphans).toHaveLength(first.orphans.length - deletes);
    }
  });
});
