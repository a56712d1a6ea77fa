import { describe, expect, it } from '@jest/globals';

import {
  DEFAULT_MAX_DELETES,
  hasVanished,
  inDoubt,
  refuseTooMany,
  refuseWithoutTags,
  type Looked,
  type MaxDeletes,
  type RepositoryRefusal,
} from '../../src/plan/brakes.js';
import type { Past } from '../../src/plan/past.js';
import { makePlan, type Orphan } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { readProtect } from '../../src/plan/protection.js';
import { NO_PROTECTION } from '../support/builders/protections.js';
import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { DAY, inventoryOf, NOW, policy, type Estate } from '../support/builders/inventories.js';

/** A repository as it was looked at, with the plan that follows. */
function look(estate: Estate, more: Parameters<typeof policy>[0] = {}): Looked {
  const inventory = inventoryOf(estate);
  return { inventory, plan: makePlan(inventory, policy(more)) };
}

/** What the ledger knows of these; in use unless told. */
function past(
  contents: readonly Content[],
  status: Past['status'] = 'in-use',
  everInUse = status !== 'unused',
) {
  const seen: Past = {
    firstSeen: NOW - 30 * DAY,
    everInUse,
    status,
    since: NOW - 30 * DAY,
  };
  return new Map<Digest, Past>(contents.map(({ digest }) => [digest, seen]));
}

const [a, b, c] = ['a', 'b', 'c'].map((name) => image(name)) as [Content, Content, Content];
const set = (...contents: readonly Content[]) => new Set(contents.map(({ digest }) => digest));

describe('brakes-hold: a repository without tags', () => {
  const emptied: Estate = { untagged: [a, b], more: { past: past([a, b]) } };

  it('is refused where the ledger remembers manifests that tags led to', () => {
    expect(refuseWithoutTags(look(emptied))).toEqual({ kind: 'no-tags', remembered: 2 });
  });

  it('is refused where only one of its manifests was in use, or is gone', () => {
    const one = new Map([...past([a]), ...past([b], 'unused'), ...past([c], 'leaving')]);
    expect(refuseWithoutTags(look({ untagged: [a, b], more: { past: one } }))).toEqual({
      kind: 'no-tags',
      remembered: 1,
    });
    const gone = { untagged: [b], absent: [a], more: { past: past([a]) } };
    expect(refuseWithoutTags(look(gone))).toEqual({ kind: 'no-tags', remembered: 1 });
  });

  it('is not one as long as an ordinary tag is left, wherever it points', () => {
    const known = past([a, b]);
    for (const tags of [{ v2: c }, { v1: a }, { v1: opaque('application/x-other', {}) }] as Record<
      string,
      Content
    >[]) {
      expect(refuseWithoutTags(look({ tags, untagged: [a, b], more: { past: known } }))).toBe(
        undefined,
      );
    }
    // People tag an image with its own digest to keep it: that is an ordinary tag.
    const pinned = { tags: { [digestTag(a.digest)]: a }, untagged: [b], more: { past: known } };
    expect(refuseWithoutTags(look(pinned))).toBe(undefined);
  });

  it('may have a protected manifest, with a former tag or without', () => {
    const { digest } = a;
    const protection = readProtect(digest, '', () => undefined);
    const known = { past: past([a, b]) };
    const both = look({ tags: { v1: a }, untagged: [b], more: known }, { protection });
    expect(refuseWithoutTags(both)).toBe(undefined);
    const alone = look({ untagged: [a, b], more: known }, { protection });
    expect(refuseWithoutTags(alone)).toEqual({ kind: 'no-tags', remembered: 2 });
  });

  it('has none left where there are digest tags only', () => {
    const sbom = referrer('sbom', a);
    const tags = {
      [digestTag(a.digest, 'sig')]: cosign('sig', a),
      [digestTag(a.digest)]: fallbackIndex([sbom]),
    };
    expect(refuseWithoutTags(look({ tags, untagged: [a], more: { past: past([a]) } }))).toEqual({
      kind: 'no-tags',
      remembered: 1,
    });
  });

  it('has none left where those that are listed have no manifest', () => {
    const broken = { ...emptied, more: { past: past([a, b]), brokenTags: ['v1', 'v2'] } };
    expect(refuseWithoutTags(look(broken))).toEqual({ kind: 'no-tags', remembered: 2 });
  });

  it('is refused where manifests that were in use are leaving and stand: an earlier run was held up', () => {
    const held = { untagged: [a, b], more: { past: past([a, b], 'leaving') } };
    expect(refuseWithoutTags(look(held))).toEqual({ kind: 'no-tags', remembered: 2 });
    const half = { untagged: [a], absent: [b], more: { past: past([a, b], 'leaving') } };
    expect(refuseWithoutTags(look(half))).toEqual({ kind: 'no-tags', remembered: 1 });
  });

  it('is refused without a memory, too: an empty list on a first run reads the same', () => {
    const refused = { kind: 'no-tags', remembered: 0 };
    expect(refuseWithoutTags(look({ untagged: [a, b] }))).toEqual(refused);
    for (const status of ['unused', 'leaving'] as const) {
      const never = { untagged: [a, b], more: { past: past([a, b], status, false) } };
      expect(refuseWithoutTags(look(never))).toEqual(refused);
    }
    const once = { untagged: [a, b], more: { past: past([a, b], 'unused', true) } };
    expect(refuseWithoutTags(look(once))).toEqual(refused);
    const done = { untagged: [c], absent: [a, b], more: { past: past([a, b], 'leaving') } };
    expect(refuseWithoutTags(look(done))).toEqual(refused);
  });

  it('is not refused where nothing would go', () => {
    expect(refuseWithoutTags(look(emptied, { keepUntagged: 2 }))).toBe(undefined);
    expect(refuseWithoutTags(look({ absent: [a, b], more: { past: past([a, b]) } }))).toBe(
      undefined,
    );
    const unread = { ...emptied.more, gaps: [{ what: 'the list of tags', why: 'no answer' }] };
    expect(refuseWithoutTags(look({ ...emptied, more: unread }))).toBe(undefined);
  });
});

describe('brakes-hold: a repository that has vanished', () => {
  const gone: Estate = { absent: [a, b], more: { past: past([a, b]) } };

  it('shows neither a tag nor a manifest, and an earlier run saw some', () => {
    expect(hasVanished(inventoryOf(gone))).toBe(true);
    const unused = { past: past([a], 'unused') };
    expect(hasVanished(inventoryOf({ absent: [a], more: unused }))).toBe(true);
  });

  it('is not one that shows anything, that nobody knew, or that could not be read', () => {
    expect(hasVanished(inventoryOf({ ...gone, tags: { v1: c } }))).toBe(false);
    expect(hasVanished(inventoryOf({ ...gone, untagged: [c] }))).toBe(false);
    expect(hasVanished(inventoryOf({ ...gone, more: { ...gone.more, brokenTags: ['v1'] } }))).toBe(
      false,
    );
    expect(hasVanished(inventoryOf({}))).toBe(false);
    const unread = { ...gone.more, gaps: [{ what: 'the list of tags', why: 'no answer' }] };
    expect(hasVanished(inventoryOf({ ...gone, more: unread }))).toBe(false);
  });

  it('is not one where everything was leaving: a run that was cut off may have deleted it', () => {
    const leaving = { past: past([a, b], 'leaving') };
    expect(hasVanished(inventoryOf({ absent: [a, b], more: leaving }))).toBe(false);
  });
});

describe('brakes-hold: a manifest that the ledger goes on remembering as in use', () => {
  const known = { past: past([a, b]) };

  it('is one that stays although no tag is left', () => {
    const all = look({ untagged: [a, b], more: known }, { keepUntagged: 2 });
    expect(inDoubt(all)).toEqual(set(a, b));
    const protection = { ...NO_PROTECTION, repositories: ['team/**'] };
    expect(inDoubt(look({ untagged: [a, b], more: known }, { protection }))).toEqual(set(a, b));
  });

  it('is one that a plan does not list, of an index with all that it holds', () => {
    const list = index([b, c]);
    const estate: Estate = { untagged: [a, list], more: { past: past([a, list, b, c]) } };
    const approved = new Map([['team/app', new Set([a.digest])]]);
    expect(inDoubt(look(estate, { approved }))).toEqual(set(list, b, c));
    expect(inDoubt(look(estate, { approved: new Map() }))).toEqual(set(a, list, b, c));
  });

  it('is one that was leaving and stays, as long as no plan lets it go', () => {
    const more = { past: new Map([...past([a]), ...past([b, c], 'leaving')]) };
    const estate: Estate = { untagged: [a, b, c], more };
    expect(inDoubt(look(estate, { keepUntagged: 3 }))).toEqual(set(a, b, c));
    const approved = new Map([['team/app', new Set([b.digest])]]);
    expect(inDoubt(look(estate, { approved }))).toEqual(set(a, c));
    const tagged: Estate = { tags: { v1: a }, untagged: [b, c], more };
    expect(inDoubt(look(tagged, { keepUntagged: 3 }))).toEqual(new Set());
  });

  it('is not an orphan, an absent one, nor one that was out of use before', () => {
    const more = { past: new Map([...past([a, b]), ...past([c], 'unused')]) };
    const approved = new Map([['team/app', new Set([a.digest])]]);
    expect(inDoubt(look({ untagged: [a, c], absent: [b], more }, { approved }))).toEqual(new Set());
  });

  it('does not exist as long as one ordinary tag is left', () => {
    const left = look({ tags: { v1: a }, untagged: [b], more: known }, { keepUntagged: 1 });
    expect(inDoubt(left)).toEqual(new Set());
  });

  it('does not exist without a ledger', () => {
    expect(inDoubt(look({ untagged: [a, b] }, { keepUntagged: 2 }))).toEqual(new Set());
  });
});

const POOL = Array.from(
  { length: 3_001 },
  (_, n) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest,
);
const ORPHANS = POOL.map((digest): Orphan => {
  return { digest, reason: { kind: 'unreachable' }, after: [] };
});

/** A repository of which so many manifests are read and so many would go. */
function sized(repository: string, orphans: number, manifests: number): Looked {
  const size = { size: manifests } as ReadonlyMap<Digest, Manifest>;
  return {
    inventory: { repository, manifests: size, past: new Map() },
    plan: { repository, keep: [], orphans: ORPHANS.slice(0, orphans) },
  };
}

describe('brakes-hold: a limit on the number of manifests', () => {
  const limit = (count: number): MaxDeletes => ({ kind: 'count', count });
  const run = [sized('one', 3, 10), sized('two', 0, 10), sized('three', 4, 4)];

  it('counts the whole run, and beyond it refuses every repository with orphans', () => {
    const refusal: RepositoryRefusal = { kind: 'count', orphans: 7, count: 6 };
    expect(refuseTooMany(run, limit(6))).toEqual(
      new Map([
        ['one', refusal],
        ['three', refusal],
      ]),
    );
  });

  it('allows as many as it says', () => {
    expect(refuseTooMany(run, limit(7))).toEqual(new Map());
    expect(refuseTooMany(run, limit(8))).toEqual(new Map());
  });

  it('may be none at all', () => {
    expect([...refuseTooMany(run, limit(0)).keys()]).toEqual(['one', 'three']);
    expect(refuseTooMany([sized('two', 0, 10)], limit(0))).toEqual(new Map());
    expect(refuseTooMany([], limit(0))).toEqual(new Map());
  });

  it('counts no repository in which something could not be read: nothing goes there', () => {
    const gap = { gaps: [{ what: 'tag v1', why: 'no answer' }] };
    const unread = look({ untagged: [a, b, c], more: gap });
    expect(refuseTooMany([unread, sized('one', 3, 3)], limit(3))).toEqual(new Map());
  });
});

describe('brakes-hold: a limit on the share of a repository', () => {
  const share = (percent: number, exempt = 0): MaxDeletes => ({ kind: 'share', percent, exempt });
  const isRefused = (limit: MaxDeletes, orphans: number, manifests: number) =>
    refuseTooMany([sized('one', orphans, manifests)], limit).size === 1;

  it('refuses the repositories beyond it, and no other', () => {
    const run = [sized('one', 4, 10), sized('two', 3, 10), sized('three', 0, 5)];
    expect(refuseTooMany(run, share(30))).toEqual(
      new Map([['one', { kind: 'share', orphans: 4, manifests: 10, percent: 30 }]]),
    );
  });

  it('may be nothing and everything', () => {
    expect(isRefused(share(0), 1, 1_000)).toBe(true);
    expect(isRefused(share(0), 0, 1_000)).toBe(false);
    expect(isRefused(share(100), 1_000, 1_000)).toBe(false);
    expect(isRefused(share(99.999999), 1_000, 1_000)).toBe(true);
  });

  it.each([
    // The same calculation in floating point gets these wrong, or nearly.
    [57, 100, 57],
    [29, 100, 29],
    [9.2, 750, 69],
    [4.6, 1_500, 69],
    [33.3, 1_000, 333],
    [0.1, 3_000, 3],
    [1.1, 1_000, 11],
    [12.5, 8, 1],
    [0.000_1, 1_000_000, 1],
    [33.333333, 3, 0],
    [66.666667, 3, 2],
  ])('is exact: %d %% of %d manifests allows %d and not one more', (percent, manifests, most) => {
    expect(isRefused(share(percent), most, manifests)).toBe(false);
    expect(isRefused(share(percent), most + 1, manifests)).toBe(true);
  });

  it('is exact for every tenth of a percent that is a whole number of manifests', () => {
    const manifests = 750;
    const repositories = Array.from({ length: manifests + 2 }, (_, n) =>
      sized('one', n, manifests),
    );
    const isRefusedOf = (percent: number, orphans: number) =>
      refuseTooMany(repositories.slice(orphans, orphans + 1), share(percent)).size === 1;
    const whole = Array.from({ length: 1_000 }, (_, tenths) => tenths / 10).filter((percent) =>
      Number.isInteger(Math.round(percent * 10) * (manifests / 1_000)),
    );
    expect(whole.length).toBeGreaterThan(200);
    const wrong = whole.filter((percent) => {
      const most = Math.round((percent * manifests) / 100);
      return isRefusedOf(percent, most) || !isRefusedOf(percent, most + 1);
    });
    expect(wrong).toEqual([]);
  });

  it('does not count where no more than the exempt would go', () => {
    expect(isRefused(share(50, 20), 20, 20)).toBe(false);
    expect(isRefused(share(50, 20), 21, 21)).toBe(true);
    expect(isRefused(share(50, 20), 21, 42)).toBe(false);
    expect(isRefused(share(50, 20), 21, 41)).toBe(true);
  });

  it('is half, and more than twenty, by default', () => {
    expect(DEFAULT_MAX_DELETES).toEqual(share(50, 20));
  });
});
