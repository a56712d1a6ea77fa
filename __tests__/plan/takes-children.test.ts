/** Where a delete of an index takes its child images along: such an index stays as long as a kept child needs it. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan, type Plan, type Policy } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import { builtEstates, runs } from '../support/builders/arbitraries.js';
import { digestTag, image, index, referrer, type Content } from '../support/builders/build.js';
import {
  fates,
  inventoryOf,
  policy,
  protecting,
  type Estate,
} from '../support/builders/inventories.js';
import { inventoryOfBuilt } from '../support/builders/random-estate.js';

/** A registry that lists all that it has, but for `unlisted`, and whose deletes take children along. */
function planWith(estate: Estate, more: Partial<Policy> = {}, unlisted: readonly Content[] = []) {
  const inventory = inventoryOf(estate);
  return makePlan(listing(inventory, unlisted), policy({ takesChildren: true, ...more }));
}

function listing(
  inventory: Inventory,
  unlisted: readonly { readonly digest: Digest }[],
): Inventory {
  const lacking = new Set(unlisted.map(({ digest }) => digest));
  const tagsOf = (digest: Digest) =>
    [...inventory.tags].filter(([, target]) => target === digest).map(([tag]) => tag);
  const listed = [...inventory.manifests.keys()].filter((digest) => !lacking.has(digest));
  return {
    ...inventory,
    listing: new Map(listed.map((digest) => [digest, { tags: tagsOf(digest) }])),
  };
}

const [current, child, other] = [image('current'), image('child'), image('other')];
const old = index([child, other]);

describe('an orphan index', () => {
  it('goes with its children where nothing keeps them', () => {
    const plan = planWith({ tags: { v1: current }, untagged: [old] });
    expect(fates(plan, { old, child, other })).toEqual({
      old: 'delete: unreachable',
      child: 'delete: child',
      other: 'delete: child',
    });
  });

  it('stays, with all that it reaches, as long as one of its children is protected', () => {
    const signature = referrer('signature', old);
    const plan = planWith(
      { tags: { v1: current }, untagged: [old, signature] },
      { protection: protecting(child.digest) },
    );
    expect(fates(plan, { old, child, other, signature })).toEqual({
      old: 'keep: holds-kept',
      child: 'keep: protected',
      other: 'keep: child',
      signature: 'keep: referrer',
    });
    expect(plan.keep.find(({ digest }) => digest === old.digest)?.reason).toEqual({
      kind: 'holds-kept',
      of: child.digest,
    });
  });

  it('goes where a delete takes no children along', () => {
    const estate = { tags: { v1: current }, untagged: [old] };
    const plan = planWith(estate, { protection: protecting(child.digest), takesChildren: false });
    expect(fates(plan, { old, child })).toEqual({
      old: 'delete: unreachable',
      child: 'keep: protected',
    });
  });

  it('goes where a tag shields the child that stays', () => {
    const plan = planWith({ tags: { v1: child }, untagged: [old] });
    expect(fates(plan, { old, child, other })).toEqual({
      old: 'delete: unreachable',
      child: 'keep: tagged',
      other: 'delete: child',
    });
  });

  it('goes where a digest tag shields the child that stays', () => {
    const signature = referrer('signature', current);
    const pair = index([signature]);
    const tag = digestTag(current.digest, 'sig');
    const plan = planWith({ tags: { v1: current, [tag]: signature }, untagged: [pair] });
    expect(fates(plan, { pair, signature })).toEqual({
      pair: 'delete: unreachable',
      signature: 'keep: referrer',
    });
  });

  it('goes where a kept index shields the child that both list', () => {
    const plan = planWith({ tags: { v1: index([child, current]) }, untagged: [old] });
    expect(fates(plan, { old, child, other })).toEqual({
      old: 'delete: unreachable',
      child: 'keep: child',
      other: 'delete: child',
    });
  });

  it('stays where the kept index that lists the child too is not in the list', () => {
    const unlisted = index([child, current]);
    const estate = { tags: { v1: current }, untagged: [old, unlisted] };
    const protection = protecting(unlisted.digest);
    expect(fates(planWith(estate, { protection }, [unlisted]), { old, unlisted, child })).toEqual({
      old: 'keep: holds-kept',
      unlisted: 'keep: protected',
      child: 'keep: child',
    });
    expect(fates(planWith(estate, { protection }), { old })).toEqual({
      old: 'delete: unreachable',
    });
  });

  it('stays where the registry lists nothing: nobody knows what shields the child', () => {
    const inventory = inventoryOf({ tags: { v1: index([child, current]) }, untagged: [old] });
    const plan = makePlan(inventory, policy({ takesChildren: true }));
    expect(fates(plan, { old })).toEqual({ old: 'keep: holds-kept' });
  });

  it('goes where only an index among its children stays: those are not taken along', () => {
    const inner = index([current]);
    const outer = index([inner]);
    const plan = planWith(
      { tags: { v1: current }, untagged: [outer] },
      {
        protection: protecting(inner.digest),
      },
    );
    expect(fates(plan, { outer, inner })).toEqual({
      outer: 'delete: unreachable',
      inner: 'keep: protected',
    });
  });

  it('stays where another index that stays so keeps a child of both', () => {
    const shared = index([other, current]);
    const plan = planWith(
      { tags: { v1: current }, untagged: [old, shared] },
      {
        protection: protecting(child.digest),
      },
      [old],
    );
    expect(fates(plan, { old, shared })).toEqual({
      old: 'keep: holds-kept',
      shared: 'keep: holds-kept',
    });
  });
});

/**
 * The deletes of a plan, as Pulp carries them out (pulp_container, tasks/recursive_remove.py): the index goes, and each
 * image that it lists and that neither a tag nor another index of the version names.
 */
function carriedOut({ manifests, tags, listing }: Inventory, plan: Plan): ReadonlySet<Digest> {
  const version = new Set([...manifests.keys()].filter((digest) => listing?.has(digest) === true));
  const pending = new Set([...manifests.keys()].filter((digest) => !version.has(digest)));
  const pointing = new Map([...tags].filter(([, target]) => version.has(target)));
  const listedBy = (digest: Digest): readonly string[] => {
    const manifest = manifests.get(digest);
    return manifest?.kind === 'index'
      ? [...manifest.children, ...manifest.others].map((entry) => entry.digest)
      : [];
  };
  for (const { digest } of plan.orphans) {
    if (!version.has(digest)) {
      pending.delete(digest);
      continue;
    }
    for (const [tag, target] of pointing) {
      if (target === digest) {
        pointing.delete(tag);
      }
    }
    const tagged = new Set(pointing.values());
    const isIndex = (each: Digest) => manifests.get(each)?.kind === 'index';
    const others = new Set([...version].filter((each) => each !== digest).flatMap(listedBy));
    const isNamed = (each: Digest) => tagged.has(each) || others.has(each);
    if (!isIndex(digest) && isNamed(digest)) {
      continue;
    }
    version.delete(digest);
    for (const each of listedBy(digest) as Digest[]) {
      if (!isIndex(each) && !isNamed(each)) {
        version.delete(each);
      }
    }
  }
  return new Set([...version, ...pending]);
}

it('in-use-stays: a delete that takes children along never takes a kept manifest', () => {
  let held = 0;
  const some = fc.array(fc.nat({ max: 50 }), { maxLength: 3 });
  fc.assert(
    fc.property(builtEstates(12), some, some, (built, protectedIds, unlistedIds) => {
      const at = (id: number) => built.contents.slice(id % built.contents.length)[0] ?? current;
      const inventory = listing(inventoryOfBuilt(built), unlistedIds.map(at));
      const protection = protecting(...protectedIds.map((id) => at(id).digest));
      const plan = makePlan(inventory, policy({ protection, takesChildren: true, gracePeriod: 0 }));
      const left = carriedOut(inventory, plan);
      expect(plan.keep.filter(({ digest }) => !left.has(digest))).toEqual([]);
      held += plan.keep.filter(({ reason }) => reason.kind === 'holds-kept').length;
    }),
    runs(3000),
  );
  // Otherwise this property would say nothing.
  expect(held).toBeGreaterThan(20);
});
