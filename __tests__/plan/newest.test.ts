import { describe, expect, it } from '@jest/globals';

import { birthsIn } from '../../src/plan/births.js';
import { buildGraph } from '../../src/plan/graph.js';
import type { Past } from '../../src/plan/past.js';
import { newestOf } from '../../src/plan/newest.js';
import type { Digest } from '../../src/oci/digest.js';
import {
  buildCache,
  digestTag,
  image,
  index,
  opaque,
  type Content,
} from '../support/builders/build.js';
import { DAY, inventoryOf, NOW } from '../support/builders/inventories.js';

const at = (days: number) => new Date(NOW - days * DAY).toISOString();
/** Built so many days ago; what `x` tells apart is alike otherwise. */
const built = (days: number, x = '') => image(`${days}${x}`, { created: at(days) });
const timeless = (x: string) => image(x, { created: null });

const IN_USE: Partial<Past> = { everInUse: true, status: 'in-use', since: NOW - 100 * DAY };
const usedUntil = (days: number): Partial<Past> => ({
  everInUse: true,
  status: 'unused',
  since: NOW - days * DAY,
});
const NEVER_USED: Partial<Past> = { everInUse: false, status: 'unused', since: NOW };

type Seen = readonly (readonly [Content, Partial<Past>])[];

/** The heads from the newest to the oldest. */
function ranked(
  heads: readonly Content[],
  seen: Seen = [],
  kept: readonly Content[] = [],
): Digest[] {
  const past = new Map(
    seen.map(([{ digest }, more]): [Digest, Past] => [
      digest,
      { firstSeen: NOW - 200 * DAY, everInUse: true, status: 'unused', since: NOW, ...more },
    ]),
  );
  const inventory = inventoryOf({ untagged: heads, more: { past } });
  const graph = buildGraph(inventory);
  const stays = new Set(kept.map(({ digest }) => digest));
  const orphans = new Set([...inventory.manifests.keys()].filter((digest) => !stays.has(digest)));
  const aging = { inventory, graph, births: birthsIn(inventory), now: NOW };
  const order = newestOf(orphans, heads.length, aging);
  // One by one it is the same, in every order.
  heads.forEach((_, n) => {
    expect(newestOf(new Set([...orphans].reverse()), n, aging)).toEqual(order.slice(0, n));
  });
  return order;
}

const order = (...contents: readonly Content[]) => contents.map(({ digest }) => digest);

describe('the newest orphan', () => {
  it('is the one that was built last, where no run saw more', () => {
    const heads = [built(3), timeless('a'), built(1), built(2)];
    expect(ranked(heads)).toEqual(order(built(1), built(2), built(3), timeless('a')));
  });

  it('is the one that went out of use last, however old it is', () => {
    const heads = [built(1), built(50), built(90)];
    const seen: Seen = [
      [built(1), usedUntil(20)],
      [built(50), usedUntil(10)],
      [built(90), usedUntil(5)],
    ];
    expect(ranked(heads, seen)).toEqual(order(built(90), built(50), built(1)));
  });

  it('is the one that the ledger still has as in use: it went out of use since', () => {
    const seen: Seen = [
      [built(90), IN_USE],
      [built(1), usedUntil(0.5)],
    ];
    expect(ranked([built(1), built(90)], seen)).toEqual(order(built(90), built(1)));
  });

  it('is one that was built after another went out of use', () => {
    const seen: Seen = [[built(30), usedUntil(10)]];
    expect(ranked([built(30), built(5), built(15)], seen)).toEqual(
      order(built(5), built(30), built(15)),
    );
  });

  it('is the one that was built last of those that went out of use together', () => {
    const heads = [built(9), timeless('a'), built(7), built(8)];
    for (const together of [IN_USE, usedUntil(3)]) {
      const seen: Seen = heads.map((head) => [head, together]);
      expect(ranked(heads, seen)).toEqual(order(built(7), built(8), built(9), timeless('a')));
    }
  });

  it('is not the one that a run saw for the first time: that is not when it went out of use', () => {
    // As a first run leaves them that was not allowed to delete anything.
    const heads = [built(9), built(7), timeless('a')];
    for (const status of ['unused', 'leaving'] as const) {
      const seen: Seen = heads.map((head) => [head, { ...NEVER_USED, status }]);
      expect(ranked(heads, seen)).toEqual(order(built(7), built(9), timeless('a')));
    }
    expect(ranked(heads, [[built(9), NEVER_USED]])).toEqual(ranked(heads));
  });

  it('is decided by the digests where nothing else tells', () => {
    const heads = ['a', 'b', 'c', 'd'].map(timeless);
    expect(ranked(heads)).toEqual(order(...heads).sort());
  });
});

describe('an index with parts', () => {
  it('is as new as the part that was built last', () => {
    const list = index([built(20), index([built(2)])]);
    expect(ranked([built(1), built(3), list])).toEqual(order(built(1), list, built(3)));
  });

  it('is as new as the last use of a part, whichever tag that had', () => {
    const list = index([built(20), built(30)]);
    const seen: Seen = [
      [list, usedUntil(15)],
      [built(20), usedUntil(2)],
      [built(40), usedUntil(5)],
    ];
    expect(ranked([list, built(40)], seen)).toEqual(order(list, built(40)));
  });

  it('gets no newer by parts that stay: those are in use, whoever else holds them', () => {
    const list = index([built(20)]);
    const seen: Seen = [
      [list, usedUntil(15)],
      [built(20), IN_USE],
      [built(40), usedUntil(5)],
    ];
    expect(ranked([list, built(40)], seen, [built(20)])).toEqual(order(built(40), list));
  });

  it('comes before each part, so that none takes its place when it is gone', () => {
    const [a, b] = [timeless('a'), timeless('b')];
    const inner = index([a, b]);
    const outer = index([inner]);
    const single = timeless('single');
    // All have the same age, which is none.
    expect(ranked([single, outer])).toEqual(order(outer, single));
    expect(ranked([single, inner, index([timeless('c')])])[0]).toBe(inner.digest);
  });
});

it('a referrer of an orphan counts as well: its children would take its place when it is gone', () => {
  const head = timeless('head');
  const about = index([built(2)], { subject: head });
  const signature = index([built(1)]);
  const tags = { [digestTag(head.digest, 'sig')]: signature };
  for (const estate of [
    { untagged: [head, about, built(3)] },
    { untagged: [head, built(3)], tags },
  ]) {
    const inventory = inventoryOf(estate);
    const graph = buildGraph(inventory);
    const aging = { inventory, graph, births: birthsIn(inventory), now: NOW };
    const orphans = new Set(inventory.manifests.keys());
    expect(newestOf(orphans, 1, aging)).toEqual([head.digest]);
  }
});

describe('a part of an orphan', () => {
  /** An index that lists this manifest as something else. */
  const odd = (content: Content) =>
    index([
      { ...content, descriptor: { ...content.descriptor, mediaType: 'application/vnd.example' } },
    ]);

  it('is no head, even where the index lists it as something else', () => {
    const list = odd(built(2));
    expect(ranked([list, built(2), built(3)])).toEqual(order(list, built(3)));
  });

  it('is no digest that an unknown manifest mentions: such a digest may be a head', () => {
    const [a, b, c] = ['a', 'b', 'c'].map(timeless) as [Content, Content, Content];
    const unknown = opaque('application/vnd.example.bundle', { about: [a.digest, b.digest] });
    const list = odd(unknown);
    const two = index([c]);
    // As many parts each, so that only the digests tell.
    expect(ranked([list, two, a, b])).toEqual([...order(list, two).sort(), ...order(a, b).sort()]);
  });

  it('like a referrer that the registry alone lists', () => {
    const [head, about] = [built(9), built(1)];
    const referrers = new Map([[head.digest, [about.digest]]]);
    const inventory = inventoryOf({ untagged: [head, about, built(5)], more: { referrers } });
    const graph = buildGraph(inventory);
    const aging = { inventory, graph, births: birthsIn(inventory), now: NOW };
    const orphans = new Set(inventory.manifests.keys());
    expect(newestOf(orphans, 3, aging)).toEqual(order(head, built(5)));
  });

  it('unlike a layer, which is no part of anything', () => {
    const cache = buildCache('cache', 'index');
    expect(ranked([cache, built(3)])).toEqual(order(built(3), cache));
  });

  it('unlike anything in an orphan that was not read', () => {
    const inventory = inventoryOf({});
    const aging = {
      inventory,
      graph: buildGraph(inventory),
      births: birthsIn(inventory),
      now: 0,
    };
    const digests = order(built(1));
    expect(newestOf(new Set(digests), 1, aging)).toEqual(digests);
  });
});

it('the newest orphan is found in one pass over parts that many hold', () => {
  const layers = Array.from({ length: 40 }).reduce<Content[]>(
    (all) => [...all, shallow(index([all.at(-1) ?? built(1), all.at(-2) ?? built(2)]))],
    [],
  );
  const top = layers.at(-1) ?? built(1);
  const inventory = inventoryOf({ untagged: [...layers, built(1), built(2)] });
  const aging = {
    inventory,
    graph: buildGraph(inventory),
    births: birthsIn(inventory),
    now: NOW,
  };
  // Without a memory this takes two to the power of 40 steps.
  const orphans = new Set(inventory.manifests.keys());
  expect(newestOf(orphans, 2, aging)).toEqual([top.digest]);
});

/** The children are there by themselves; walking them here would take just as long. */
function shallow(content: Content): Content {
  return { ...content, children: [] };
}
