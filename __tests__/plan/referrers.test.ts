/** Subjects and referrers, by their bodies and by the referrers API. */
import { describe, expect, it } from '@jest/globals';

import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { image, index, referrer, type Content } from '../support/builders/build.js';
import {
  fate,
  fates,
  inventoryOf,
  parsed,
  policy,
  planOf,
} from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a referrer', () => {
  const sbom = referrer('sbom', old);
  const signature = referrer('signature', sbom);

  it('is kept by its subject, and keeps its own', () => {
    expect(
      fates(planOf({ tags: { v1: old }, untagged: [sbom, signature] }), { sbom, signature }),
    ).toEqual({ sbom: 'keep: referrer', signature: 'keep: referrer' });
  });

  it('keeps its subject, and the other referrers of that', () => {
    const other = referrer('other', old);
    const plan = planOf({ tags: { s: signature }, untagged: [old, sbom, other] });
    expect(fates(plan, { old, sbom, other })).toEqual({
      old: 'keep: subject',
      sbom: 'keep: subject',
      other: 'keep: referrer',
    });
  });

  it('goes with its subject, and takes its own along', () => {
    const plan = planOf({ tags: { v1: current }, untagged: [signature, sbom, old] });
    expect(plan.orphans.map(({ digest, reason }) => [digest, reason])).toEqual([
      [old.digest, { kind: 'unreachable' }],
      [sbom.digest, { kind: 'referrer', of: old.digest }],
      [signature.digest, { kind: 'referrer', of: sbom.digest }],
    ]);
  });

  it('may be an index, which keeps its children', () => {
    const list = index([image('part')], { subject: old });
    expect(
      fates(planOf({ tags: { v1: old }, untagged: [list] }), { list, part: image('part') }),
    ).toEqual({ list: 'keep: referrer', part: 'keep: child' });
    expect(fates(planOf({ untagged: [old, list] }), { list, part: image('part') })).toEqual({
      list: 'delete: referrer',
      part: 'delete: child',
    });
  });

  /** No digest allows this; a planner that hangs or forgets on it is wrong all the same. */
  function circle(tags: Record<string, Content>): Inventory {
    const inventory = inventoryOf({ tags, untagged: [old, current] });
    return {
      ...inventory,
      manifests: new Map<Digest, Manifest>([
        [old.digest, { ...parsed(old), subject: current.digest } as Manifest],
        [current.digest, { ...parsed(current), subject: old.digest } as Manifest],
      ]),
    };
  }

  it('is kept with a whole circle of subjects by one tag', () => {
    const plan = makePlan(circle({ v1: old }), policy());
    expect(fates(plan, { old, current })).toEqual({
      old: 'keep: tagged',
      current: 'keep: subject',
    });
  });

  it('goes with a whole circle of subjects that has no tag', () => {
    const plan = makePlan(circle({}), policy());
    expect(fates(plan, { old, current })).toEqual({
      old: 'delete: referrer',
      current: 'delete: referrer',
    });
  });
});

describe('a referrer that only the registry lists', () => {
  const about = image('about');
  const list = index([image('part')]);
  const saying = (...pairs: readonly (readonly [Content, ...(readonly Content[])])[]) => ({
    referrers: new Map(
      pairs.map(([{ digest }, ...listed]) => [digest, listed.map((each) => each.digest)]),
    ),
  });

  it('stays as long as its subject, with its children', () => {
    const plan = planOf({
      tags: { v1: current },
      untagged: [about, list, old],
      more: saying([current, about], [about, list]),
    });
    expect(fates(plan, { about, list, part: image('part'), old })).toEqual({
      about: 'keep: referrer',
      list: 'keep: referrer',
      part: 'keep: child',
      old: 'delete: unreachable',
    });
    expect(plan.keep).toContainEqual({
      digest: about.digest,
      reason: { kind: 'referrer', of: current.digest },
    });
  });

  it('goes with its subject, and after it', () => {
    const plan = planOf({
      tags: { v1: current },
      untagged: [about, list, old],
      more: saying([old, about], [about, list]),
    });
    expect(plan.orphans.map(({ digest, reason, after }) => [digest, reason, after])).toEqual([
      [old.digest, { kind: 'unreachable' }, []],
      [about.digest, { kind: 'referrer', of: old.digest }, [old.digest]],
      [list.digest, { kind: 'referrer', of: about.digest }, [about.digest]],
      [image('part').digest, { kind: 'child', of: list.digest }, [list.digest]],
    ]);
  });

  it('goes with the subject in its own body, else with the first of several', () => {
    const sbom = referrer('sbom', old);
    const [first = old, second = old] = [old, image('older')].sort((a, b) =>
      a.digest < b.digest ? -1 : 1,
    );
    const plan = planOf({
      untagged: [index([about]), about, sbom, first, second],
      more: saying([second, about], [first, about], [image('older'), sbom]),
    });
    const reasons = new Map(plan.orphans.map(({ digest, reason }) => [digest, reason]));
    expect(reasons.get(sbom.digest)).toEqual({ kind: 'referrer', of: old.digest });
    expect(reasons.get(about.digest)).toEqual({ kind: 'referrer', of: first.digest });
  });

  it('stays where its body names a subject that is elsewhere', () => {
    const lost = image('lost');
    const sbom = referrer('sbom', lost);
    const plan = planOf({ untagged: [old, sbom], absent: [lost], more: saying([old, sbom]) });
    expect(fate(plan, sbom)).toBe('keep: dangling-referrer');
  });

  it('goes also where the registry leads in a circle, or from a manifest to itself', () => {
    const plan = planOf({ untagged: [old, about], more: saying([old, about, old], [about, old]) });
    expect(fates(plan, { old, about })).toEqual({
      old: 'delete: referrer',
      about: 'delete: referrer',
    });
    const alone = planOf({ untagged: [old], more: saying([old, old]) });
    expect(fate(alone, old)).toBe('delete: unreachable');
  });
});
