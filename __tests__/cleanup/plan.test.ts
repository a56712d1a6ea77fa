import { describe, expect, it } from '@jest/globals';

import type { Inventory } from '../../src/cleanup/inventory.js';
import { makePlan, unknownAges, type Plan } from '../../src/cleanup/plan.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { OCI_MANIFEST } from '../../src/oci/media-types.js';
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
  opaque,
  referrer,
  type Content,
} from '../registries/build.js';
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
} from './inventories.js';

function planOf(estate: Estate, more: Parameters<typeof policy>[0] = {}): Plan {
  return makePlan(inventoryOf(estate), policy(more));
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
    expect(
      plan.orphans.find(({ digest }) => digest === image('x', { created: null }).digest),
    ).not.toHaveProperty('created');
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

  it('asks for nothing that is known, and for nothing when ages do not matter', () => {
    expect(ages(inventoryOf({ untagged: [old] }))).toEqual([]);
    expect(ages(withoutFacts({ untagged: [old] }), { gracePeriod: 0 })).toEqual([]);
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
  it('does not depend on the order in which things were read', () => {
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
      ],
    };
    const inventory = inventoryOf(estate);
    const backwards: Inventory = {
      ...inventory,
      tags: new Map([...inventory.tags].reverse()),
      manifests: new Map([...inventory.manifests].reverse()),
      facts: new Map([...inventory.facts].reverse()),
    };
    expect(makePlan(backwards, policy())).toEqual(makePlan(inventory, policy()));
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
