/** The rules that a plan alone can keep, on random estates, planned by the program and by the model. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { observe, observeSweep } from '../../src/memory/observation.js';
import { DAY, NOW } from '../support/builders/inventories.js';
import type { Past } from '../../src/plan/past.js';
import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan, type Plan, type Policy } from '../../src/plan/plan.js';
import { remember } from '../../src/memory/ledger/remember.js';
import type { LedgerRecord } from '../../src/memory/ledger/record.js';
import type { Digest } from '../../src/oci/digest.js';
import { readProtect, withFiles } from '../../src/plan/protection.js';
import { builtEstates, runs } from '../support/builders/arbitraries.js';
import { GRACE, inventoryOfBuilt, type Built, type Id } from '../support/builders/random-estate.js';
import {
  judge,
  mustPrecede,
  neededBy,
  type Listed,
  type Rules,
  type Seen,
  type View,
} from '../support/scenes/model.js';
import { fatesFrom } from '../support/builders/fates.js';

/** What a user asks for and what earlier runs saw, in the estate's numbers, which wrap around. */
interface Wishes {
  readonly gracePeriod: number;
  readonly unusedFor: number;
  readonly danglingReferrers: 'keep' | 'delete';
  readonly keepUntagged: number;
  readonly everywhere: readonly Id[];
  readonly here: readonly Id[];
  readonly elsewhere: readonly Id[];
  readonly inFiles: readonly Id[];
  readonly wholeRepository: boolean;
  readonly approved: readonly Id[] | undefined;
  readonly past: readonly (readonly [Id, Remembered])[];
  /** what the registry lists as a referrer of what, in the bodies or not */
  readonly listed: readonly Listed[];
}

type Remembered = Omit<Past, 'since'> & { readonly lastUse: number };

/** A case: an estate, and what is asked for. */
interface Case {
  readonly built: Built;
  readonly wishes: Wishes;
  /** what the registry has as a layer as well */
  readonly linked: readonly Id[];
}

const some = (max: number, maxLength: number) => fc.array(fc.nat({ max }), { maxLength });

const remembered: fc.Arbitrary<Remembered> = fc
  .record({
    firstSeen: fc.constantFrom(NOW - 60 * DAY, NOW - GRACE / 2),
    everInUse: fc.boolean(),
    status: fc.constantFrom('in-use' as const, 'unused' as const, 'leaving' as const),
    // Few times, so that many are the same: runs come once a week, and tags move between them.
    lastUse: fc.constantFrom(NOW - 30 * DAY, NOW - 7 * DAY),
  })
  .map((past) => ({ ...past, everInUse: past.everInUse || past.status === 'in-use' }));

const wishes: fc.Arbitrary<Wishes> = fc.record({
  gracePeriod: fc.constantFrom(0, GRACE),
  unusedFor: fc.constantFrom(0, DAY, 10 * DAY),
  danglingReferrers: fc.constantFrom('keep', 'delete'),
  keepUntagged: fc.oneof(fc.constant(0), fc.nat({ max: 4 })),
  everywhere: some(50, 1),
  here: some(50, 1),
  elsewhere: some(50, 2),
  inFiles: some(50, 1),
  wholeRepository: fc.nat({ max: 29 }).map((n) => n === 0),
  approved: fc.option(some(50, 12), { nil: undefined, freq: 2 }),
  past: fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat({ max: 50 }), remembered))),
  listed: fc.oneof(
    fc.constant([]),
    fc.array(fc.tuple(fc.nat({ max: 50 }), fc.nat({ max: 50 })), { maxLength: 6 }),
  ),
});

function cases(size: number, more: Partial<Wishes> = {}): fc.Arbitrary<Case> {
  return fc
    .record({ built: builtEstates(size, { withLayers: true }), wishes, linked: some(50, 3) })
    .map((each) => ({ ...each, wishes: { ...each.wishes, ...more } }));
}

const REPOSITORY = 'a/b';

function digestOf({ contents }: Built, id: Id): Digest {
  const content = contents[id % contents.length];
  if (content === undefined) {
    throw new Error('an estate without manifests');
  }
  return content.digest;
}

function pastOf({ built, wishes: { past } }: Case): Map<Digest, Past> {
  return new Map(
    past.map(([id, { lastUse, ...each }]) => [
      digestOf(built, id),
      // As the ledger has it: of what never was in use, since when it is known.
      { ...each, since: each.everInUse ? lastUse : each.firstSeen },
    ]),
  );
}

function listedBy({ built, wishes: { listed } }: Case): Map<Digest, readonly Digest[]> {
  const referrers = new Map<Digest, readonly Digest[]>();
  for (const [of, referrer] of listed) {
    const subject = digestOf(built, of);
    referrers.set(subject, [...(referrers.get(subject) ?? []), digestOf(built, referrer)]);
  }
  return referrers;
}

function inventoryOf(given: Case): Inventory {
  const { built, linked } = given;
  return {
    ...inventoryOfBuilt(built),
    past: pastOf(given),
    referrers: listedBy(given),
    links: new Map(linked.map((id, n) => [digestOf(built, id), n < 2])),
  };
}

function policyOf({ built, wishes: asked }: Case): Policy {
  const all = (ids: readonly Id[]) => ids.map((id) => digestOf(built, id));
  const protect = [
    ...all(asked.everywhere),
    ...all(asked.here).map((digest) => `${REPOSITORY}@${digest}`),
    ...all(asked.elsewhere).map((digest) => `another/one@${digest}`),
    ...(asked.wholeRepository ? ['a/*'] : ['b/*']),
  ];
  const { gracePeriod, unusedFor, danglingReferrers, keepUntagged, approved } = asked;
  const protection = readProtect(protect.join('\n'), 'registry.example.com', (entry) => {
    throw new Error(entry);
  });
  return {
    gracePeriod,
    unusedFor,
    danglingReferrers,
    keepUntagged,
    protection: withFiles(protection, new Map([['deploy.yaml', all(asked.inFiles)]])),
    ...(approved === undefined
      ? {}
      : { approved: new Map([[REPOSITORY, new Set(all(approved))]]) }),
    now: NOW,
  };
}

function protectedIds({ built, wishes: asked }: Case): readonly Id[] {
  const count = built.contents.length;
  const named = [...asked.everywhere, ...asked.here, ...asked.inFiles].map((id) => id % count);
  // Who names a layer means the manifest that has it.
  const having = built.estate.nodes.flatMap(({ layers = [] }, id) =>
    layers.some((layer) => named.includes(layer)) ? [id] : [],
  );
  return asked.wholeRepository ? built.contents.map((_, id) => id) : [...named, ...having];
}

function rulesOf(given: Case): Rules {
  const { built, wishes: asked } = given;
  const { gracePeriod, unusedFor, danglingReferrers, keepUntagged, approved } = asked;
  const isProtected = new Set(protectedIds(given));
  const links = [...(inventoryOf(given).links ?? [])];
  const isLinked = new Set(links.flatMap(([digest, is]) => (is ? [built.idOf.get(digest)] : [])));
  const past = [...pastOf(given)].map(([digest, { firstSeen, everInUse, status, since }]) => {
    const lastUse = everInUse ? { lastUse: status === 'in-use' ? NOW : since } : {};
    const seen: Seen = { firstSeen, leaving: status === 'leaving', ...lastUse };
    return [built.idOf.get(digest) ?? -1, seen] as const;
  });
  return {
    danglingReferrers,
    spareYoung: gracePeriod > 0,
    unusedFor,
    referrersApi: true,
    past: new Map(past),
    isProtected: (id) => isProtected.has(id),
    isLayer: (id) => isLinked.has(id),
    keepUntagged,
    ...(approved === undefined
      ? {}
      : { approved: new Set(approved.map((id) => id % built.contents.length)) }),
  };
}

function idsOf({ idOf }: Built, items: readonly { readonly digest: Digest }[]): Id[] {
  return items.map(({ digest }) => idOf.get(digest) ?? -1).sort((a, b) => a - b);
}

function sorted(ids: Iterable<Id>): Id[] {
  return [...ids].sort((a, b) => a - b);
}

/** Every manifest is known: what can be seen is for the tests over HTTP. */
function wholeView(built: Built, { tags, manifests, referrers }: Inventory): View {
  const idOf = (digest: Digest) => built.idOf.get(digest) ?? -1;
  const numbers = [...manifests.keys()].flatMap((digest) => built.idOf.get(digest) ?? []);
  return {
    present: new Set(numbers),
    candidates: new Set(numbers),
    tags: new Map([...tags].map(([tag, digest]) => [tag, idOf(digest)])),
    listed: [...referrers].flatMap(([subject, listed]) =>
      listed.map((digest) => [idOf(subject), idOf(digest)] as const),
    ),
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
    facts: new Map(list(inventory.facts)),
    past: new Map(list(inventory.past)),
    referrers: new Map(
      list(inventory.referrers).map(([subject, listed]) => [subject, list(listed)]),
    ),
  };
}

/** What has to go before what, and those for which that cannot be: digest tags can be moved into a circle. */
function wishesFor(built: Built, view: View, ids: readonly Id[]) {
  const precedes = (a: Id, b: Id) => mustPrecede(built, view, a, b);
  const reaches = (from: Id, to: Id): boolean => {
    const queue = new Set([from]);
    for (const each of queue) {
      ids.filter((next) => precedes(each, next) !== undefined).forEach((next) => queue.add(next));
    }
    return queue.has(to);
  };
  const circle = ids.filter((id) =>
    ids.some((next) => precedes(id, next) !== undefined && reaches(next, id)),
  );
  return { precedes, reaches, circle };
}

/** The repository after a sweep that came so far, and what the ledger says of it then. */
function later(inventory: Inventory, plan: Plan, built: Built, deletes: number): Inventory {
  const bodies = new Map(built.contents.map(({ digest, bytes }) => [digest, bytes.toString()]));
  const records = new Map<Digest, LedgerRecord>(
    [...inventory.past].map(([digest, past]) => [
      digest,
      { ...past, mediaType: '', body: '', revision: 0 },
    ]),
  );
  const survey = { inventory, plan, bodies };
  const first = { droppable: new Set<Digest>(), restates: false, now: NOW };
  const before = remember(records, observe(survey), first);
  const deleted = plan.orphans.slice(0, deletes).map(({ digest }) => digest);
  const fates = fatesFrom({ deleted });
  // A run that was killed has not come to write down what it deleted.
  const after =
    deletes < plan.orphans.length
      ? before
      : remember(before, observeSweep(survey, fates), { ...first, droppable: new Set(deleted) });
  const isLeft = (digest: Digest) => !deleted.includes(digest);
  return {
    ...inventory,
    tags: new Map([...inventory.tags].filter(([, digest]) => isLeft(digest))),
    manifests: new Map([...inventory.manifests].filter(([digest]) => isLeft(digest))),
    absent: new Set([...inventory.absent, ...deleted]),
    past: after,
  };
}

describe('the plan of a random repository', () => {
  it('in-use-stays: keeps all that the model keeps, and nothing else', () => {
    fc.assert(
      fc.property(cases(14), (given) => {
        const { built } = given;
        const inventory = inventoryOf(given);
        const { orphans, kept } = judge(built, wholeView(built, inventory), rulesOf(given));
        const plan = makePlan(inventory, policyOf(given));
        expect(idsOf(built, plan.orphans)).toEqual(sorted(orphans));
        expect(idsOf(built, plan.keep)).toEqual(sorted(kept));
      }),
      runs(3000),
    );
  });

  it('protected-stays: deletes nothing that is protected, nor anything that it needs', () => {
    fc.assert(
      fc.property(cases(14), (given) => {
        const { built } = given;
        const inventory = inventoryOf(given);
        const plan = makePlan(inventory, policyOf(given));
        const { present } = wholeView(built, inventory);
        const named = protectedIds(given).filter((id) => present.has(id));
        const needed = neededBy(built, present, named);
        expect(idsOf(built, plan.orphans).filter((id) => needed.has(id))).toEqual([]);
        const told = plan.keep.filter(({ reason }) =>
          ['tagged', 'protected'].includes(reason.kind),
        );
        expect(idsOf(built, told)).toEqual(expect.arrayContaining([...named]));
      }),
      runs(1000),
    );
  });

  it('keeps exactly as many of the newest as was asked for, or as there are', () => {
    fc.assert(
      fc.property(cases(14), (given) => {
        const { built, wishes: asked } = given;
        const inventory = inventoryOf(given);
        const plan = makePlan(inventory, policyOf(given));
        const { heads, recent } = judge(built, wholeView(built, inventory), rulesOf(given));
        const told = plan.keep.filter(({ reason }) => reason.kind === 'recent');
        expect(told).toHaveLength(Math.min(asked.keepUntagged, heads.size));
        expect(idsOf(built, told)).toEqual(sorted(recent));
      }),
      runs(1000),
    );
  });

  it('plan-exact: deletes only entries of an approved plan, and takes nothing from the rest', () => {
    fc.assert(
      fc.property(cases(14), fc.array(fc.nat({ max: 50 })), (given, approved) => {
        const { built } = given;
        const bound = { ...given, wishes: { ...given.wishes, approved } };
        const inventory = inventoryOf(bound);
        const plan = makePlan(inventory, policyOf(bound));
        const orphans = new Set(idsOf(built, plan.orphans));
        const said = new Set(approved.map((id) => id % built.contents.length));
        expect([...orphans].filter((id) => !said.has(id))).toEqual([]);
        const { present } = wholeView(built, inventory);
        const needed = neededBy(built, present, idsOf(built, plan.keep));
        expect([...orphans].filter((id) => needed.has(id))).toEqual([]);
        // Nor anything that would stay without it.
        const unbound = { ...given, wishes: { ...given.wishes, approved: undefined } };
        const free = makePlan(inventory, policyOf(unbound));
        const others = new Set(idsOf(built, free.orphans));
        expect([...orphans].filter((id) => !others.has(id))).toEqual([]);
      }),
      runs(1000),
    );
  });

  it('second-run-empty: leaves nothing to delete, and where it is cut off the next one keeps all that it kept', () => {
    fc.assert(
      fc.property(
        cases(14, { gracePeriod: 0, unusedFor: 0 }),
        fc.nat({ max: 20 }),
        (given, deletes) => {
          const { built } = given;
          const inventory = inventoryOf(given);
          const policy = policyOf(given);
          const first = makePlan(inventory, policy);
          const second = (count: number) =>
            makePlan(later(inventory, first, built, count), { ...policy, now: NOW + 7 * DAY });
          expect(second(first.orphans.length).orphans).toEqual([]);
          const meant = new Set(first.orphans.slice(deletes).map(({ digest }) => digest));
          const orphans = second(deletes).orphans.map(({ digest }) => digest);
          expect(orphans.filter((digest) => !meant.has(digest))).toEqual([]);
        },
      ),
      runs(1000),
    );
  });

  it('cut-anywhere: has indexes before their children, and subjects before referrers where no circle is in the way', () => {
    fc.assert(
      fc.property(cases(12), (given) => {
        const { built } = given;
        const inventory = inventoryOf(given);
        const view = wholeView(built, inventory);
        const { orphans } = makePlan(inventory, policyOf(given));
        const ids = orphans.map(({ digest }) => built.idOf.get(digest) ?? -1);
        const afters = orphans.map(({ after }) => after.map((each) => built.idOf.get(each) ?? -1));
        const { precedes, reaches, circle } = wishesFor(built, view, ids);
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
      runs(1000),
    );
  });

  it('gap-blocks: deletes nothing where there is a gap', () => {
    fc.assert(
      fc.property(cases(10), (given) => {
        const inventory = { ...inventoryOf(given), gaps: [{ what: 'tag v9', why: 'status 500' }] };
        const plan = makePlan(inventory, policyOf(given));
        expect(plan.orphans).toEqual([]);
        expect(plan.keep).toHaveLength(inventory.manifests.size);
      }),
      runs(500),
    );
  });

  it('order-free: is the same for every order of reading', () => {
    fc.assert(
      fc.property(
        cases(14),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (given, stream) => {
          const inventory = inventoryOf(given);
          const policy = policyOf(given);
          const random = () => Number(stream.next().value);
          expect(makePlan(shuffled(inventory, random), policy)).toEqual(
            makePlan(inventory, policy),
          );
        },
      ),
      runs(1000),
    );
  });
});
