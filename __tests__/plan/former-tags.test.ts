import { describe, expect, it } from '@jest/globals';

import { collectTags, narrowings } from '../../src/plan/former-tags.js';
import type { Past } from '../../src/plan/past.js';
import { makePlan } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import { image, index, type Content } from '../support/builders/build.js';
import { fates, inventoryOf, NOW, policy, type Estate } from '../support/builders/inventories.js';

const [a, b, c] = ['former a', 'former b', 'former c'].map((name) => image(name)) as [
  Content,
  Content,
  Content,
];
const inner = index([a, b]);
const outer = index([inner, c]);

function estate(tags: Record<string, Content>, was: readonly (readonly [Content, ...string[]])[]) {
  const formerTags = new Map(was.map(([{ digest }, ...names]) => [digest, new Set(names)]));
  const more: Estate = { tags, untagged: [outer], more: { formerTags } };
  return inventoryOf(more);
}

describe('an index that a tag left', () => {
  it('stays with all that it holds where the tag points at a part of it, at any depth', () => {
    for (const part of [a, inner, c]) {
      const inventory = estate({ v1: part }, [[outer, 'v0', 'v1']]);
      expect(narrowings(inventory)).toEqual(
        new Map([[outer.digest, { tag: 'v1', part: part.digest }]]),
      );
      const plan = makePlan(inventory, policy());
      expect(plan.orphans).toEqual([]);
      expect(fates(plan, { outer })).toEqual({ outer: 'keep: narrowed' });
    }
  });

  it('goes where the tag points at something else, is gone, or still points at another', () => {
    const other = image('former other');
    for (const inventory of [
      estate({ v1: other }, [[outer, 'v1']]),
      estate({ v2: other }, [[outer, 'v1']]),
      estate({ v1: a }, [[image('former unknown'), 'v1']]),
      estate({ v1: a }, [[outer, 'v2']]),
    ]) {
      expect(narrowings(inventory).size).toBe(0);
      expect(fates(makePlan(inventory, policy()), { outer })).toEqual({
        outer: 'delete: unreachable',
      });
    }
  });

  it('is kept by its own tag where it has one', () => {
    const inventory = estate({ v1: a, v2: outer }, [[outer, 'v1', 'v2']]);
    expect(fates(makePlan(inventory, policy()), { outer })).toEqual({ outer: 'keep: tagged' });
  });

  it('is not reported once it no longer exists', () => {
    const inventory = estate({ v1: a }, [[image('former gone'), 'v1']]);
    expect(makePlan(inventory, policy()).keep.map(({ reason }) => reason.kind)).toEqual(['tagged']);
  });
});

describe('tags that were seen', () => {
  it('are those of the ledger and of the survey before', () => {
    const seen = { firstSeen: NOW, everInUse: true, status: 'in-use', since: NOW } as const;
    const past = new Map<Digest, Past>([
      [a.digest, { ...seen, tags: ['v1'] }],
      [b.digest, seen],
    ]);
    const tags = collectTags(past, new Map([['v2', a.digest]]));
    expect(tags.byManifest).toEqual(new Map([[a.digest, new Set(['v1', 'v2'])]]));
    expect(tags.hasMoved('v1', a.digest)).toBe(false);
    expect(tags.hasMoved('v1', b.digest)).toBe(true);
    expect(tags.hasMoved('v3', b.digest)).toBe(false);
  });
});
