import { describe, expect, it } from '@jest/globals';

import type { Past } from '../../src/plan/past.js';
import type { Inventory } from '../../src/plan/inventory.js';
import { makePlan, unknownAges, type Plan } from '../../src/plan/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
import {
  NO_PROTECTION,
  PROTECT,
  readProtect,
  withFiles,
  type Protection,
} from '../../src/plan/protection.js';
import {
  attestation,
  buildCache,
  cosign,
  digestTag,
  fallbackIndex,
  helmChart,
  image,
  index,
  LINUX_ARM64,
  manifest,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import {
  DAY,
  fate,
  fates,
  HOUR,
  inventoryOf,
  NOW,
  parsed,
  policy,
  YOUNG,
  type Estate,
} from '../support/builders/inventories.js';

function planOf(estate: Estate, more: Parameters<typeof policy>[0] = {}): Plan {
  return makePlan(inventoryOf(estate), policy(more));
}

/** What earlier runs saw of these: in use a month ago, unless told. */
function past(contents: readonly Content[], more: Partial<Past> = {}): Map<Digest, Past> {
  const month = NOW - 30 * DAY;
  const seen: Past = { firstSeen: month, everInUse: true, status: 'in-use', since: month, ...more };
  return new Map(contents.map(({ digest }) => [digest, seen]));
}

/** The input `protect` of these lines. */
function protecting(...entries: readonly string[]): Protection {
  return readProtect(entries.join('\n'), 'registry.example.com', (entry) => {
    throw new Error(entry);
  });
}

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

describe('tags keep', () => {
  it('what they point at; what has none goes', () => {
    const plan = planOf({ tags: { v2: current, latest: current }, untagged: [old] });
    expect(plan.repository).toBe('team/app');
    expect(plan.keep).toEqual([
      { digest: current.digest, reason: { kind: 'tagged', tags: ['latest', 'v2'] } },
    ]);
    expect(plan.orphans).toEqual([
      {
        digest: old.digest,
        reason: { kind: 'unreachable' },
        created: Date.UTC(2020, 0, 2, 3, 4, 5),
        after: [],
      },
    ]);
  });

  it('the children of an index, at any depth', () => {
    const [amd64, arm64] = [image('app'), image('app', { platform: LINUX_ARM64 })];
    const att = attestation('att', amd64);
    const inner = index([amd64, arm64, att]);
    const outer = index([inner]);
    expect(fates(planOf({ tags: { v1: outer } }), { outer, inner, amd64, arm64, att })).toEqual({
      outer: 'keep: tagged',
      inner: 'keep: child',
      amd64: 'keep: child',
      arm64: 'keep: child',
      att: 'keep: child',
    });
  });

  it('a child that an orphan index shares', () => {
    const [shared, own] = [image('shared'), image('own')];
    const [kept, gone] = [index([shared]), index([shared, own])];
    const plan = planOf({ tags: { v1: kept }, untagged: [gone] });
    expect(fates(plan, { kept, gone, shared, own })).toEqual({
      kept: 'keep: tagged',
      gone: 'delete: unreachable',
      shared: 'keep: child',
      own: 'delete: child',
    });
    expect(plan.orphans.map(({ reason }) => reason)).toContainEqual({
      kind: 'child',
      of: gone.digest,
    });
  });

  it('an orphan child of nothing but a nested orphan index', () => {
    const leaf = image('leaf');
    const inner = index([leaf]);
    const outer = index([inner]);
    expect(fates(planOf({ untagged: [outer] }), { outer, inner, leaf })).toEqual({
      outer: 'delete: unreachable',
      inner: 'delete: child',
      leaf: 'delete: child',
    });
  });

  it.each([
    ['Helm chart', helmChart('app', '1.0.0')],
    ['build cache', buildCache('app', 'manifest')],
    ['old build cache', buildCache('app', 'index')],
    ['Docker list', index([image('a', { family: 'docker' })], { family: 'docker' })],
    ['image without mediaType', image('a', { typed: false })],
  ])('%s with a tag, and not without', (_, content) => {
    expect(fate(planOf({ tags: { v1: content } }), content)).toBe('keep: tagged');
    expect(fate(planOf({ untagged: [content] }), content)).toBe('delete: unreachable');
  });
});

describe('a bare sha256-<hex> tag', () => {
  const named = old;
  const tag = digestTag(named.digest);
  const sbom = referrer('sbom', named);
  const stranger = referrer('stranger', current);
  /** Under a manifest's type, but its body is of another. */
  const unreadable = opaque(OCI_MANIFEST, { mediaType: 'application/vnd.future+json' });

  describe('is a digest tag that goes with its manifest', () => {
    it.each([
      ['an index whose entries describe it', fallbackIndex([sbom])],
      ['an empty index', fallbackIndex([])],
    ])('%s', (_, target) => {
      const plan = planOf({ tags: { v1: current, [tag]: target }, untagged: [named] });
      expect(fates(plan, { named, target })).toEqual({
        named: 'delete: unreachable',
        target: 'delete: digest-tag',
      });
      expect(plan.orphans.map(({ digest }) => digest).slice(0, 2)).toEqual([
        named.digest,
        target.digest,
      ]);
    });

    it.each([
      ['an index whose entries describe it', fallbackIndex([sbom])],
      ['an empty index', fallbackIndex([])],
    ])('and lives with it: %s', (_, target) => {
      const plan = planOf({ tags: { v1: named, [tag]: target } });
      expect(fate(plan, target)).toBe('keep: digest-tag');
      expect(plan.orphans).toEqual([]);
    });

    it('together with the entries', () => {
      const target = fallbackIndex([sbom]);
      const plan = planOf({ tags: { [tag]: target }, untagged: [named] });
      expect(fate(plan, sbom)).toBe('delete: referrer');
    });
  });

  describe('is an ordinary tag, and a root', () => {
    it.each<[string, Content, string]>([
      ['an index with an entry that describes another', index([sbom, stranger]), 'keep: subject'],
      ['an index with an entry of an unknown kind', index([sbom, unreadable]), 'keep: subject'],
      ['an index with a layer as entry', buildCache('c', 'index'), 'delete: unreachable'],
      ['the manifest itself', named, 'keep: tagged'],
      ['an ordinary image', image('x'), 'delete: unreachable'],
      ['an ordinary index', index([image('x')]), 'delete: unreachable'],
    ])('%s', (_, target, ofNamed) => {
      const plan = planOf({ tags: { v1: current, [tag]: target }, untagged: [named] });
      expect(fates(plan, { target, named })).toEqual({ target: 'keep: tagged', named: ofNamed });
    });
  });
});

describe('signatures live and die with their image', () => {
  it.each(['sig', 'att', 'sbom'] as const)('.%s', (role) => {
    const target = cosign(role, old);
    const tag = digestTag(old.digest, role);
    expect(fate(planOf({ tags: { v1: old, [tag]: target } }), target)).toBe('keep: digest-tag');
    const plan = planOf({ tags: { v1: current, [tag]: target }, untagged: [old] });
    expect(plan.orphans.map(({ reason }) => reason)).toEqual([
      { kind: 'unreachable' },
      { kind: 'digest-tag', tag, of: old.digest },
    ]);
    expect(plan.orphans[1]?.after).toEqual([old.digest]);
  });

  it('a signature of a signature', () => {
    const sig = cosign('sig', old);
    const second = cosign('sig', sig);
    const tags = { [digestTag(old.digest, 'sig')]: sig, [digestTag(sig.digest, 'sig')]: second };
    expect(fates(planOf({ tags: { v1: old, ...tags } }), { sig, second })).toEqual({
      sig: 'keep: digest-tag',
      second: 'keep: digest-tag',
    });
    expect(fates(planOf({ tags, untagged: [old] }), { old, sig, second })).toEqual({
      old: 'delete: unreachable',
      sig: 'delete: digest-tag',
      second: 'delete: digest-tag',
    });
  });

  it('of a child that an index keeps', () => {
    const sig = cosign('sig', old);
    const plan = planOf({ tags: { v1: index([old]), [digestTag(old.digest, 'sig')]: sig } });
    expect(fate(plan, sig)).toBe('keep: digest-tag');
  });

  it('one manifest under several digest tags stays while one of them is alive', () => {
    const sig = cosign('sig', old);
    const tags = { [digestTag(old.digest, 'sig')]: sig, [digestTag(current.digest, 'sig')]: sig };
    const half = planOf({ tags: { v1: current, ...tags }, untagged: [old] });
    expect(fates(half, { old, sig })).toEqual({
      old: 'delete: unreachable',
      sig: 'keep: digest-tag',
    });
    expect(half.keep).toContainEqual({
      digest: sig.digest,
      reason: {
        kind: 'digest-tag',
        tag: digestTag(current.digest, 'sig'),
        of: current.digest,
      },
    });
    const none = planOf({ tags, untagged: [old, current] });
    expect(fate(none, sig)).toBe('delete: digest-tag');
    expect(none.orphans.find(({ digest }) => digest === sig.digest)?.after).toEqual(
      [old.digest, current.digest].sort(),
    );
  });

  it('and an ordinary tag beside a digest tag makes it a root', () => {
    const sig = cosign('sig', old);
    const tags = { [digestTag(old.digest, 'sig')]: sig, 'keep-me': sig };
    expect(fate(planOf({ tags, untagged: [old] }), sig)).toBe('keep: tagged');
  });
});

describe('what describes something that is not in this repository (COSIGN_REPOSITORY)', () => {
  const sig = cosign('sig', old);
  const tag = digestTag(old.digest, 'sig');
  const sbom = referrer('sbom', old);
  const estate: Estate = {
    tags: { v1: current, [tag]: sig },
    untagged: [sbom, referrer('of the sbom', sbom)],
    absent: [old],
  };

  it('is kept', () => {
    const plan = planOf(estate);
    expect(plan.orphans).toEqual([]);
    expect(plan.keep).toContainEqual({
      digest: sig.digest,
      reason: { kind: 'dangling-digest-tag', tag, names: old.digest },
    });
    expect(plan.keep).toContainEqual({
      digest: sbom.digest,
      reason: { kind: 'dangling-referrer', subject: old.digest },
    });
    expect(fate(plan, referrer('of the sbom', sbom))).toBe('keep: referrer');
  });

  it('is deleted where dangling-referrers says so', () => {
    const plan = planOf(estate, { danglingReferrers: 'delete' });
    expect(fates(plan, { current, sig, sbom, second: referrer('of the sbom', sbom) })).toEqual({
      current: 'keep: tagged',
      sig: 'delete: dangling',
      sbom: 'delete: dangling',
      second: 'delete: referrer',
    });
    expect(plan.orphans.map(({ reason }) => reason)).toContainEqual({
      kind: 'dangling',
      subject: old.digest,
    });
  });

  it('also an empty fallback index', () => {
    const empty = fallbackIndex([]);
    const dangling: Estate = { tags: { [digestTag(old.digest)]: empty } };
    expect(fate(planOf(dangling), empty)).toBe('keep: dangling-digest-tag');
    expect(fate(planOf(dangling, { danglingReferrers: 'delete' }), empty)).toBe('delete: dangling');
  });

  it.each(['keep', 'delete'] as const)(
    'but not where the subject goes in this very plan (%s)',
    (danglingReferrers) => {
      const plan = planOf({ tags: { [tag]: sig }, untagged: [old, sbom] }, { danglingReferrers });
      expect(fates(plan, { old, sig, sbom })).toEqual({
        old: 'delete: unreachable',
        sig: 'delete: digest-tag',
        sbom: 'delete: referrer',
      });
    },
  );

  it('stays under a tag of its own, whatever dangling-referrers says', () => {
    const plan = planOf({ tags: { sbom } }, { danglingReferrers: 'delete' });
    expect(fate(plan, sbom)).toBe('keep: tagged');
  });

  it('stays under a second digest tag that is alive, whatever dangling-referrers says', () => {
    const tags = { v1: current, [tag]: sig, [digestTag(current.digest, 'att')]: sig };
    expect(fate(planOf({ tags }, { danglingReferrers: 'delete' }), sig)).toBe('keep: digest-tag');
    expect(fate(planOf({ tags }), sig)).toBe('keep: dangling-digest-tag');
  });
});

describe('subjects and referrers', () => {
  const sbom = referrer('sbom', old);
  const signature = referrer('signature', sbom);

  it('an image keeps its referrers, and theirs', () => {
    expect(
      fates(planOf({ tags: { v1: old }, untagged: [sbom, signature] }), { sbom, signature }),
    ).toEqual({ sbom: 'keep: referrer', signature: 'keep: referrer' });
  });

  it('a kept referrer keeps its subject, and the other referrers of it', () => {
    const other = referrer('other', old);
    const plan = planOf({ tags: { s: signature }, untagged: [old, sbom, other] });
    expect(fates(plan, { old, sbom, other })).toEqual({
      old: 'keep: subject',
      sbom: 'keep: subject',
      other: 'keep: referrer',
    });
  });

  it('an orphan takes its referrers along, and theirs', () => {
    const plan = planOf({ tags: { v1: current }, untagged: [signature, sbom, old] });
    expect(plan.orphans.map(({ digest, reason }) => [digest, reason])).toEqual([
      [old.digest, { kind: 'unreachable' }],
      [sbom.digest, { kind: 'referrer', of: old.digest }],
      [signature.digest, { kind: 'referrer', of: sbom.digest }],
    ]);
  });

  it('an index with a subject is a referrer too, and keeps its children', () => {
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

  it('a circle of subjects is kept by one tag', () => {
    const plan = makePlan(circle({ v1: old }), policy());
    expect(fates(plan, { old, current })).toEqual({
      old: 'keep: tagged',
      current: 'keep: subject',
    });
  });

  it('and goes without one', () => {
    const plan = makePlan(circle({}), policy());
    expect(fates(plan, { old, current })).toEqual({
      old: 'delete: referrer',
      current: 'delete: referrer',
    });
  });
});

describe('what only the registry says to describe a manifest', () => {
  const about = image('about');
  const list = index([image('part')]);
  const saying = (...pairs: readonly (readonly [Content, ...(readonly Content[])])[]) => ({
    referrers: new Map(
      pairs.map(([{ digest }, ...listed]) => [digest, listed.map((each) => each.digest)]),
    ),
  });

  it('stays as long as that does, with what it holds', () => {
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

  it('goes with it, and after it', () => {
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

  it('goes as its own body says, and else as what describes the first of several', () => {
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
  ])('%s', (_, created, gracePeriod, expected) => {
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
    expect(plan.orphans.find(({ digest }) => digest === list.digest)?.created).toBe(NOW - 2 * DAY);
    const undated = image('x', { created: null });
    expect(plan.orphans).toContainEqual({
      digest: undated.digest,
      reason: { kind: 'unreachable' },
      after: [],
    });
  });
});

describe('what earlier runs saw', () => {
  const young = image('young', { created: YOUNG });
  const unused = (firstSeen: number) => past([young], { everInUse: false, firstSeen });

  it.each<[string, Map<Digest, Past>, number, string]>([
    ['in use: its push was complete', past([young]), DAY, 'delete: unreachable'],
    ['in use, and just now', past([young], { firstSeen: NOW }), DAY, 'delete: unreachable'],
    ['never in use, for long', unused(NOW - 2 * DAY), DAY, 'delete: unreachable'],
    ['never in use, just outside', unused(NOW - DAY), DAY, 'delete: unreachable'],
    ['never in use, just inside', unused(NOW - DAY + 1), DAY, 'keep: new'],
    ['never in use, by a clock that is ahead', unused(NOW + DAY), DAY, 'keep: new'],
    ['never in use, where ages do not matter', unused(NOW), 0, 'delete: unreachable'],
    ['never: its config tells', past([old]), DAY, 'keep: young'],
    // It was judged by its config then, and its delete failed: it must not look new for a day.
    [
      'as leaving, never in use: its config tells',
      past([young], { everInUse: false, status: 'leaving', firstSeen: NOW - 2 * DAY }),
      DAY,
      'keep: young',
    ],
    [
      'as leaving, once in use',
      past([young], { status: 'leaving', firstSeen: NOW }),
      DAY,
      'delete: unreachable',
    ],
  ])('%s', (_, seen, gracePeriod, expected) => {
    const plan = planOf({ untagged: [young], more: { past: seen } }, { gracePeriod });
    expect(fate(plan, young)).toBe(expected);
  });

  it('as leaving does not make an old image new', () => {
    const seen = past([old], { everInUse: false, status: 'leaving', firstSeen: NOW });
    const estate = { untagged: [old], more: { past: seen } };
    expect(fate(planOf(estate, { gracePeriod: DAY }), old)).toBe('delete: unreachable');
  });

  it('takes along a referrer that nobody saw, of an image that was in use', () => {
    const sbom = referrer('sbom', young);
    const plan = planOf({ untagged: [young, sbom], more: { past: past([young]) } });
    expect(fates(plan, { young, sbom })).toEqual({
      young: 'delete: unreachable',
      sbom: 'delete: referrer',
    });
    const unseen = planOf({ untagged: [young, sbom] });
    expect(fates(unseen, { young, sbom })).toEqual({ young: 'keep: young', sbom: 'keep: young' });
  });

  it('and is new says since when', () => {
    const plan = planOf({ untagged: [young], more: { past: unused(NOW - HOUR) } });
    expect(plan.keep).toEqual([
      { digest: young.digest, reason: { kind: 'new', firstSeen: NOW - HOUR } },
    ]);
  });

  it('counts for itself alone: an index that was in use goes without its new child', () => {
    const list = index([young, old]);
    const plan = planOf({ untagged: [list], more: { past: past([list, old]) } });
    expect(fates(plan, { list, old, young })).toEqual({
      list: 'delete: unreachable',
      old: 'delete: child',
      young: 'keep: young',
    });
  });

  it('and is new keeps its children, its subject and what describes it', () => {
    const list = index([old], { subject: current });
    const sbom = referrer('sbom', list);
    const more = {
      past: new Map([
        ...past([old, current, sbom]),
        ...past([list], { everInUse: false, firstSeen: NOW }),
      ]),
    };
    const plan = planOf({ untagged: [list, current, sbom], more });
    expect(fates(plan, { list, old, current, sbom })).toEqual({
      list: 'keep: new',
      old: 'keep: child',
      current: 'keep: subject',
      sbom: 'keep: referrer',
    });
  });

  it('does not hide a plainer reason', () => {
    const more = { past: unused(NOW) };
    expect(fate(planOf({ tags: { v1: young }, more }), young)).toBe('keep: tagged');
  });

  it('proves nothing where something could not be read', () => {
    const more = { past: past([young]), gaps: [{ what: 'tag v2', why: '500' }] };
    expect(fate(planOf({ untagged: [young], more }), young)).toBe('keep: gap');
  });

  describe('of a subject that is gone', () => {
    const sig = cosign('sig', old);
    const tag = digestTag(old.digest, 'sig');
    const sbom = referrer('sbom', old);
    const second = referrer('of the sbom', sbom);
    const estate: Estate = {
      tags: { v1: current, [tag]: sig },
      untagged: [sbom, second],
      absent: [old],
    };

    it.each<[string, Partial<Past>]>([
      ['in use', {}],
      ['never in use', { everInUse: false }],
    ])('tells that it lived here: what describes it goes (%s)', (_, more) => {
      const plan = planOf({ ...estate, more: { past: past([old], more) } });
      expect(fates(plan, { current, sig, sbom, second })).toEqual({
        current: 'keep: tagged',
        sig: 'delete: dangling',
        sbom: 'delete: dangling',
        second: 'delete: referrer',
      });
      for (const { digest } of [sig, sbom]) {
        expect(plan.orphans.find((orphan) => orphan.digest === digest)?.reason).toEqual({
          kind: 'dangling',
          subject: old.digest,
        });
      }
    });

    it('but is no reason against a tag, a second subject that lives, or a gap', () => {
      const other = digestTag(current.digest, 'att');
      const more = { past: past([old]) };
      const kept = planOf({ ...estate, tags: { ...estate.tags, [other]: sig, sbom }, more });
      expect(fates(kept, { sig, sbom, second })).toEqual({
        sig: 'keep: digest-tag',
        sbom: 'keep: tagged',
        second: 'keep: referrer',
      });
      const gaps = [{ what: 'tag v2', why: '500' }];
      expect(planOf({ ...estate, more: { ...more, gaps } }).orphans).toEqual([]);
    });

    it('or says nothing, where it was another that was seen', () => {
      const plan = planOf({ ...estate, more: { past: past([sig, sbom, second, current]) } });
      expect(plan.orphans).toEqual([]);
      expect(fates(plan, { sig, sbom })).toEqual({
        sig: 'keep: dangling-digest-tag',
        sbom: 'keep: dangling-referrer',
      });
    });
  });
});

describe('the ledger', () => {
  const TYPE = 'application/vnd.registry-manifest-cleanup.ledger';
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') };
  const entry = (artifactType: string) => manifest({ config, layers: [], artifactType });

  it.each(['v1', 'v2', 'v10'])('is kept, without a tag too: %s', (version) => {
    const content = entry(`${TYPE}.${version}`);
    expect(planOf({ untagged: [content, old] }).keep).toEqual([
      { digest: content.digest, reason: { kind: 'ledger' } },
    ]);
    expect(fate(planOf({ tags: { v1: content } }), content)).toBe('keep: tagged');
  });

  it.each([
    TYPE,
    `${TYPE}.v`,
    `${TYPE}.v1.json+gzip`,
    `x${TYPE}.v1`,
    `${TYPE}.v1x`,
    'application/vnd.oci.empty.v1+json',
  ])('is nothing else: %s', (artifactType) => {
    const content = entry(artifactType);
    expect(fate(planOf({ untagged: [content] }), content)).toBe('delete: unreachable');
  });

  it('is no index that calls itself so', () => {
    const content = index([old], { artifactType: `${TYPE}.v1` });
    expect(fates(planOf({ untagged: [content] }), { content, old })).toEqual({
      content: 'delete: unreachable',
      old: 'delete: child',
    });
  });

  it('is kept where something could not be read, and whatever was seen of it', () => {
    const content = entry(`${TYPE}.v1`);
    const gaps = [{ what: 'tag v2', why: '500' }];
    const more = { gaps, past: past([content]) };
    expect(fate(planOf({ untagged: [content], more }), content)).toBe('keep: ledger');
  });
});

describe('what is protected', () => {
  const [other, part] = [image('other'), image('part')];

  it.each<[string, Protection, readonly string[]]>([
    ['by its digest', protecting(old.digest), [PROTECT]],
    ['in this repository', protecting(`team/app@${old.digest}`), [PROTECT]],
    ['with all of this repository', protecting('team/*'), [PROTECT]],
    [
      'by files',
      withFiles(
        NO_PROTECTION,
        new Map([
          ['b.yaml', [old.digest]],
          ['a.yaml', [old.digest]],
        ]),
      ),
      ['a.yaml', 'b.yaml'],
    ],
    [
      'by both',
      withFiles(protecting(old.digest), new Map([['a.yaml', [old.digest]]])),
      [PROTECT, 'a.yaml'],
    ],
  ])('%s stays, and says by whom', (_, protection, by) => {
    const plan = planOf({ tags: { v1: current }, untagged: [old] }, { protection });
    expect(plan.orphans).toEqual([]);
    expect(plan.keep).toContainEqual({
      digest: old.digest,
      reason: { kind: 'protected', by },
    });
  });

  it.each<[string, Protection]>([
    ['another digest', protecting(other.digest)],
    ['another repository’s', protecting(`team/other@${old.digest}`)],
    ['another repository', protecting('team/apps', 'app', 'team')],
    ['files that name others', withFiles(NO_PROTECTION, new Map([['a.yaml', [other.digest]]]))],
  ])('is not what %s would be', (_, protection) => {
    expect(fate(planOf({ untagged: [old] }, { protection }), old)).toBe('delete: unreachable');
  });

  it('stays with all that it reaches, at any depth', () => {
    const leaf = image('leaf');
    const inner = index([leaf]);
    const outer = index([inner, part], { subject: other });
    const sig = cosign('sig', leaf);
    const sbom = referrer('sbom', outer);
    const plan = planOf(
      { tags: { [digestTag(leaf.digest, 'sig')]: sig }, untagged: [outer, sbom, other, old] },
      { protection: protecting(outer.digest) },
    );
    expect(fates(plan, { outer, inner, leaf, part, sig, sbom, other, old })).toEqual({
      outer: 'keep: protected',
      inner: 'keep: child',
      leaf: 'keep: child',
      part: 'keep: child',
      sig: 'keep: digest-tag',
      sbom: 'keep: referrer',
      other: 'keep: subject',
      old: 'delete: unreachable',
    });
  });

  it('does not save the index that holds it, but its part', () => {
    const plan = planOf(
      { untagged: [index([part, other])] },
      { protection: protecting(part.digest) },
    );
    expect(fates(plan, { list: index([part, other]), part, other })).toEqual({
      list: 'delete: unreachable',
      part: 'keep: protected',
      other: 'delete: child',
    });
  });

  it('is told as protected before any other reason but a tag', () => {
    const young = image('young', { created: YOUNG });
    const unknown = opaque('a/b', {});
    const protection = protecting('team/app');
    const plan = planOf(
      { tags: { v1: index([part]) }, untagged: [young, unknown, old] },
      { protection },
    );
    expect(fates(plan, { list: index([part]), part, young, unknown, old })).toEqual({
      list: 'keep: tagged',
      part: 'keep: protected',
      young: 'keep: protected',
      unknown: 'keep: protected',
      old: 'keep: protected',
    });
  });

  it('is told so in a repository with a gap, too', () => {
    const more = { gaps: [{ what: 'tag v2', why: '500' }] };
    const plan = planOf({ untagged: [old, other], more }, { protection: protecting(old.digest) });
    expect(fates(plan, { old, other })).toEqual({ old: 'keep: protected', other: 'keep: gap' });
  });

  it('may be absent: that is no reason for anything', () => {
    const plan = planOf(
      { untagged: [other], absent: [old] },
      { protection: protecting(old.digest) },
    );
    expect(plan.keep).toEqual([]);
    expect(fate(plan, other)).toBe('delete: unreachable');
  });

  it('keeps a circle of digest tags whole', () => {
    const [a, b] = [cosign('sig', old), cosign('att', old)];
    const tags = { [digestTag(a.digest, 'sig')]: b, [digestTag(b.digest, 'sig')]: a };
    expect(fates(planOf({ tags }), { a, b })).toEqual({
      a: 'delete: digest-tag',
      b: 'delete: digest-tag',
    });
    expect(fates(planOf({ tags }, { protection: protecting(b.digest) }), { a, b })).toEqual({
      a: 'keep: digest-tag',
      b: 'keep: protected',
    });
  });

  it('signed under a dangling digest tag: the signature goes, its image elsewhere stays', () => {
    const sig = cosign('sig', old);
    const tags = { [digestTag(old.digest, 'sig')]: sig };
    const asked = { danglingReferrers: 'delete' as const };
    const gone = planOf({ tags, absent: [old] }, { ...asked, protection: protecting(old.digest) });
    expect(fate(gone, sig)).toBe('delete: dangling');
    const kept = planOf(
      { tags, untagged: [old] },
      { ...asked, protection: protecting(old.digest) },
    );
    expect(fate(kept, sig)).toBe('keep: digest-tag');
  });
});

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
  ])('%i of three', (keepUntagged, kept) => {
    const plan = planOf(
      { tags: { v1: current }, untagged: [thirty, ten, twenty] },
      { keepUntagged },
    );
    const recent = plan.keep.filter(({ reason }) => reason.kind === 'recent');
    expect(recent.map(({ digest }) => digest)).toEqual(kept.map(({ digest }) => digest).sort());
    expect(plan.keep).toHaveLength(kept.length + 1);
    expect(plan.orphans).toHaveLength(3 - kept.length);
  });

  it('keeps the newest with all that they reach, which counts for nothing', () => {
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

  it('keeps the same one, whatever was seen in use since', () => {
    // An index as old as the image that its part describes. That image has a tag, and so every run sees it in use.
    const part = referrer('about', ten);
    const list = index([part]);
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
    'keeps the same after a run that was cut off, with what the registry says to be a referrer: %s',
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

  it('is no question where there is a gap', () => {
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

  it('rule 3: a second run has nothing to delete, and one after a run that was cut off keeps the same', () => {
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

describe('a plan that is carried out', () => {
  const approving = (...contents: readonly Content[]) => ({
    approved: new Map([['team/app', new Set(contents.map(({ digest }) => digest))]]),
  });
  const [a, b] = [image('a'), image('b')];

  it('is all that is deleted', () => {
    const plan = planOf({ tags: { v1: current }, untagged: [a, b] }, approving(a));
    expect(plan.keep).toContainEqual({ digest: b.digest, reason: { kind: 'not-in-plan' } });
    expect(fates(plan, { current, a, b })).toEqual({
      current: 'keep: tagged',
      a: 'delete: unreachable',
      b: 'keep: not-in-plan',
    });
  });

  it.each<[string, ReturnType<typeof approving>]>([
    ['says nothing', approving()],
    ['says nothing of this repository', { approved: new Map() }],
    [
      'says it of another repository',
      { approved: new Map([['team/other', new Set([a.digest, b.digest])]]) },
    ],
  ])('deletes nothing where it %s', (_, asked) => {
    expect(planOf({ untagged: [a, b] }, asked).orphans).toEqual([]);
  });

  it('judges each entry anew', () => {
    const young = image('young', { created: YOUNG });
    const list = index([a]);
    const plan = planOf(
      { tags: { v1: list }, untagged: [young, old, b, opaque('a/b', {})], absent: [image('gone')] },
      {
        ...approving(list, a, young, old, b, opaque('a/b', {}), image('gone')),
        protection: protecting(old.digest),
      },
    );
    expect(fates(plan, { list, a, young, old, b, unknown: opaque('a/b', {}) })).toEqual({
      list: 'keep: tagged',
      a: 'keep: child',
      young: 'keep: young',
      old: 'keep: protected',
      b: 'delete: unreachable',
      unknown: 'keep: unknown-type',
    });
    expect(fate(plan, image('gone'))).toBe('unknown');
  });

  it('leaves what an index holds that it does not say: parents go before children', () => {
    const list = index([a, b]);
    const plan = planOf({ untagged: [list] }, approving(a, b));
    expect(fates(plan, { list, a, b })).toEqual({
      list: 'keep: not-in-plan',
      a: 'keep: child',
      b: 'keep: child',
    });
  });

  it('leaves a child that a new index shares', () => {
    const [said, unsaid] = [index([a, b]), index([b, image('c')])];
    const plan = planOf({ untagged: [said, unsaid] }, approving(said, a, b));
    expect(fates(plan, { said, a, unsaid, b, c: image('c') })).toEqual({
      said: 'delete: unreachable',
      a: 'delete: child',
      unsaid: 'keep: not-in-plan',
      b: 'keep: child',
      c: 'keep: not-in-plan',
    });
  });

  it('leaves an image that somebody has described since, and takes one whose child is not in it', () => {
    const sbom = referrer('sbom', a);
    expect(fates(planOf({ untagged: [a, sbom] }, approving(a)), { a, sbom })).toEqual({
      a: 'keep: subject',
      sbom: 'keep: not-in-plan',
    });
    const list = index([a, b]);
    expect(fates(planOf({ untagged: [list] }, approving(list, a)), { list, a, b })).toEqual({
      list: 'delete: unreachable',
      a: 'delete: child',
      b: 'keep: not-in-plan',
    });
  });

  it('leaves a signature that it does not say, which describes nothing from then on', () => {
    const sig = cosign('sig', a);
    const tags = { [digestTag(a.digest, 'sig')]: sig };
    expect(fates(planOf({ tags, untagged: [a] }, approving(a)), { a, sig })).toEqual({
      a: 'delete: unreachable',
      sig: 'keep: not-in-plan',
    });
    expect(fates(planOf({ tags, untagged: [a] }, approving(sig)), { a, sig })).toEqual({
      a: 'keep: not-in-plan',
      sig: 'keep: digest-tag',
    });
  });

  it('goes through a circle of digest tags whole, or not at all', () => {
    const [x, y] = [cosign('sig', old), cosign('att', old)];
    const tags = { [digestTag(x.digest, 'sig')]: y, [digestTag(y.digest, 'sig')]: x };
    expect(planOf({ tags }, approving(x)).orphans).toEqual([]);
    expect(planOf({ tags }, approving(x, y)).orphans).toHaveLength(2);
  });

  it('leaves the newest that `keep-untagged` asks for since, said or not', () => {
    const recent = image('recent', { created: new Date(NOW - 2 * DAY).toISOString() });
    const asked = { ...approving(recent, a), keepUntagged: 1 };
    expect(fates(planOf({ untagged: [recent, a, b] }, asked), { recent, a, b })).toEqual({
      recent: 'keep: recent',
      a: 'delete: unreachable',
      b: 'keep: not-in-plan',
    });
  });

  it('deletes nothing where something could not be read', () => {
    const more = { gaps: [{ what: 'tag v2', why: '500' }] };
    const plan = planOf({ untagged: [a, b], more }, approving(a));
    expect(fates(plan, { a, b })).toEqual({ a: 'keep: gap', b: 'keep: gap' });
  });
});

describe('unknownAges', () => {
  const withoutFacts = (estate: Estate) => inventoryOf({ ...estate, more: { facts: new Map() } });
  const ages = (inventory: Inventory, more: Parameters<typeof policy>[0] = {}) =>
    unknownAges(inventory, makePlan(inventory, policy(more)), policy(more))
      .map(({ digest }) => digest)
      .sort();

  it('asks for the orphans, and for what they contain, kept or not', () => {
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
  ])('asks for nothing: %s', (_, estate) => {
    expect(ages(withoutFacts(estate))).toEqual([]);
  });

  it('asks for nothing that an earlier run saw, in use or not', () => {
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

  it('asks for what an unseen index contains, seen before or not', () => {
    const list = index([old, image('unseen')]);
    const more = { facts: new Map(), past: past([old]) };
    expect(ages(inventoryOf({ untagged: [list], more }))).toEqual(
      [old, image('unseen')].map(({ digest }) => digest).sort(),
    );
  });

  it('asks for nothing that is known, and for nothing when ages do not matter', () => {
    expect(ages(inventoryOf({ untagged: [old] }))).toEqual([]);
    expect(ages(withoutFacts({ untagged: [old] }), { gracePeriod: 0 })).toEqual([]);
  });

  describe('with keep-untagged', () => {
    const two = [image('a'), image('b')];
    const all = two.map(({ digest }) => digest).sort();

    it.each([0, DAY])('asks for what goes and for what stays as the newest (%i)', (gracePeriod) => {
      const inventory = withoutFacts({ tags: { v1: current }, untagged: two });
      expect(ages(inventory, { gracePeriod, keepUntagged: 1 })).toEqual(all);
      expect(ages(inventory, { gracePeriod, keepUntagged: 5 })).toEqual(all);
    });

    it.each<[string, Partial<Past>]>([
      ['in use: two may have gone out of it together', {}],
      ['never in use', { everInUse: false, status: 'unused' }],
      ['as leaving', { everInUse: false, status: 'leaving' }],
    ])('asks for what earlier runs saw %s', (_, seen) => {
      const more = { facts: new Map(), past: past(two, seen) };
      const inventory = inventoryOf({ untagged: two, more });
      expect(ages(inventory, { keepUntagged: 1 })).toEqual(all);
    });

    it('asks for nothing twice, and for nothing that the plan leaves out or keeps otherwise', () => {
      expect(ages(inventoryOf({ untagged: two }), { keepUntagged: 1 })).toEqual([]);
      const protection = protecting('team/app');
      expect(ages(withoutFacts({ untagged: two }), { keepUntagged: 1, protection })).toEqual([]);
      const approved = new Map([['team/app', new Set<Digest>()]]);
      expect(ages(withoutFacts({ untagged: two }), { approved })).toEqual([]);
    });
  });
});

describe('what is unknown', () => {
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

  it('keeps what it mentions, and what that needs', () => {
    const list = index([old]);
    const content = unknown({ deep: [{ in: `some text ${list.digest}` }] });
    const plan = planOf({ untagged: [content, list] });
    expect(fates(plan, { list, old })).toEqual({ list: 'keep: mentioned', old: 'keep: child' });
    expect(plan.keep).toContainEqual({
      digest: list.digest,
      reason: { kind: 'mentioned', by: content.digest },
    });
  });

  it('also where JSON escapes hide it', () => {
    const text = `{"a":"sha256\\u003a${old.digest.slice(7)}"}`;
    const bytes = Buffer.from(text);
    const escaped: Content = { ...unknown(JSON.parse(text)), bytes };
    expect(escaped.bytes.toString()).not.toContain(old.digest);
    expect(fate(planOf({ untagged: [escaped, old] }), old)).toBe('keep: mentioned');
  });

  it.each([
    ['Manifests', [old.descriptor]],
    ['manifests', [{ ...old.descriptor, Digest: current.digest }, current.descriptor]],
  ])('is an index with keys in other letters, so its children stay: %s', (key, entries) => {
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

describe('gaps', () => {
  const gaps = [{ what: 'tag v2', why: '500' }];

  it('keep everything that nothing reaches', () => {
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

  it('a broken tag is none: the rest is still cleaned', () => {
    const more = { brokenTags: ['v0', digestTag(current.digest, 'sig')] };
    expect(fate(planOf({ tags: { v1: current }, untagged: [old], more }), old)).toBe(
      'delete: unreachable',
    );
  });

  it('neither is a child that the registry does not have', () => {
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
