/** Rules 1 and 5 on the pure part: random estates, planned by the program and by the model. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { Inventory } from '../../src/cleanup/inventory.js';
import { makePlan, type Policy } from '../../src/cleanup/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import { builtEstates, runs } from './arbitraries.js';
import { GRACE, inventoryOf, NOW, type Built } from './estate.js';
import { judge, mustPrecede, type Rules, type View } from './model.js';

const policies: fc.Arbitrary<Policy> = fc.record({
  gracePeriod: fc.constantFrom(0, GRACE),
  danglingReferrers: fc.constantFrom('keep', 'delete'),
  now: fc.constant(NOW),
});

function rulesOf({ gracePeriod, danglingReferrers }: Policy): Rules {
  return { danglingReferrers, spareYoung: gracePeriod > 0, referrersApi: true };
}

/** Every manifest is known: what can be seen is for the tests over HTTP. */
function wholeView(built: Built, { tags, manifests }: Inventory): View {
  const numbers = [...manifests.keys()].flatMap((digest) => built.idOf.get(digest) ?? []);
  return {
    present: new Set(numbers),
    candidates: new Set(numbers),
    tags: new Map([...tags].map(([tag, digest]) => [tag, built.idOf.get(digest) ?? -1])),
  };
}

/** The same inventory, as if every list had come in another order. */
function shuffled(inventory: Inventory, random: () => number): Inventory {
  const list = <T>(items: Iterable<T>): T[] =>
    [...items]
      .map((item) => ({ item, key: random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
  return {
    ...inventory,
    tags: new Map(list(inventory.tags)),
    manifests: new Map(list(inventory.manifests)),
    absent: new Set(list(inventory.absent)),
    brokenTags: list(inventory.brokenTags),
    sources: new Map(list(inventory.sources)),
    facts: new Map(list(inventory.facts)),
  };
}

describe('the plan of a random repository', () => {
  it('rule 1: keeps all that the model keeps, and nothing else', () => {
    fc.assert(
      fc.property(builtEstates(14), policies, (built, policy) => {
        const inventory = inventoryOf(built);
        const { orphans, kept } = judge(built, wholeView(built, inventory), rulesOf(policy));
        const plan = makePlan(inventory, policy);
        const numbers = (items: readonly { readonly digest: Digest }[]) =>
          items.map(({ digest }) => built.idOf.get(digest) ?? -1).sort((a, b) => a - b);
        const sorted = (ids: ReadonlySet<number>) => [...ids].sort((a, b) => a - b);
        expect(numbers(plan.orphans)).toEqual(sorted(orphans));
        expect(numbers(plan.keep)).toEqual(sorted(kept));
      }),
      runs(3000),
    );
  });

  it('rule 6: puts indexes before their children, and subjects before referrers where no circle is in the way', () => {
    fc.assert(
      fc.property(builtEstates(12), policies, (built, policy) => {
        const inventory = inventoryOf(built);
        const view = wholeView(built, inventory);
        const { orphans } = makePlan(inventory, policy);
        const ids = orphans.map(({ digest }) => built.idOf.get(digest) ?? -1);
        const afters = orphans.map(({ after }) => after.map((each) => built.idOf.get(each) ?? -1));
        const precedes = (a: number, b: number) => mustPrecede(built, view, a, b);
        const reaches = (from: number, to: number): boolean => {
          const queue = new Set([from]);
          for (const each of queue) {
            ids
              .filter((next) => precedes(each, next) !== undefined)
              .forEach((next) => queue.add(next));
          }
          return queue.has(to);
        };
        // Digest tags can be moved into a circle. What hangs on one is put in some order behind it.
        const circle = ids.filter((id) =>
          ids.some((next) => precedes(id, next) !== undefined && reaches(next, id)),
        );
        const isTangled = (id: number) => circle.some((each) => reaches(each, id));
        const wrong = ids.flatMap((second, j) =>
          ids
            .filter((first, i) => {
              const wish = precedes(first, second);
              const binds = wish === 'hard' || (wish === 'soft' && !isTangled(second));
              return binds && !(i < j && afters[j]?.includes(first) === true);
            })
            .map((first) => ({ first, second })),
        );
        expect(wrong).toEqual([]);
      }),
      runs(1500),
    );
  });

  it('rule 4: deletes nothing where there is a gap', () => {
    fc.assert(
      fc.property(builtEstates(10), policies, (built, policy) => {
        const inventory = { ...inventoryOf(built), gaps: [{ what: 'tag v9', why: 'status 500' }] };
        const plan = makePlan(inventory, policy);
        expect(plan.orphans).toEqual([]);
        expect(plan.keep).toHaveLength(inventory.manifests.size);
      }),
      runs(500),
    );
  });

  it('rule 5: is the same whatever the order in which things were read', () => {
    fc.assert(
      fc.property(
        builtEstates(14),
        policies,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (built, policy, stream) => {
          const inventory = inventoryOf(built);
          const random = () => Number(stream.next().value);
          expect(makePlan(shuffled(inventory, random), policy)).toEqual(
            makePlan(inventory, policy),
          );
        },
      ),
      runs(1500),
    );
  });
});
