/** Signatures, and what describes a manifest that is not in the repository. */
import { describe, expect, it } from '@jest/globals';

import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  referrer,
} from '../support/builders/build.js';
import { fate, fates, type Estate, planOf } from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a signature of an image', () => {
  it.each(['sig', 'att', 'sbom'] as const)('lives and dies with it under .%s', (role) => {
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

  it('has signatures that live and die with it', () => {
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

  it('lives with it as the child of a kept index', () => {
    const sig = cosign('sig', old);
    const plan = planOf({ tags: { v1: index([old]), [digestTag(old.digest, 'sig')]: sig } });
    expect(fate(plan, sig)).toBe('keep: digest-tag');
  });

  it('lives under several digest tags while one of them is alive', () => {
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

  it('unless an ordinary tag makes it a root', () => {
    const sig = cosign('sig', old);
    const tags = { [digestTag(old.digest, 'sig')]: sig, 'keep-me': sig };
    expect(fate(planOf({ tags, untagged: [old] }), sig)).toBe('keep: tagged');
  });
});

describe('a manifest that describes one elsewhere (COSIGN_REPOSITORY)', () => {
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

  it('is treated so as an empty fallback index, too', () => {
    const empty = fallbackIndex([]);
    const dangling: Estate = { tags: { [digestTag(old.digest)]: empty } };
    expect(fate(planOf(dangling), empty)).toBe('keep: dangling-digest-tag');
    expect(fate(planOf(dangling, { danglingReferrers: 'delete' }), empty)).toBe('delete: dangling');
  });

  it.each(['keep', 'delete'] as const)(
    'goes with its subject where that goes in this very plan (%s)',
    (danglingReferrers) => {
      const plan = planOf({ tags: { [tag]: sig }, untagged: [old, sbom] }, { danglingReferrers });
      expect(fates(plan, { old, sig, sbom })).toEqual({
        old: 'delete: unreachable',
        sig: 'delete: digest-tag',
        sbom: 'delete: referrer',
      });
    },
  );

  it('stays under a tag of its own, even with `dangling-referrers: delete`', () => {
    const plan = planOf({ tags: { sbom } }, { danglingReferrers: 'delete' });
    expect(fate(plan, sbom)).toBe('keep: tagged');
  });

  it('stays under a second digest tag that is alive, even with `dangling-referrers: delete`', () => {
    const tags = { v1: current, [tag]: sig, [digestTag(current.digest, 'att')]: sig };
    expect(fate(planOf({ tags }, { danglingReferrers: 'delete' }), sig)).toBe('keep: digest-tag');
    expect(fate(planOf({ tags }), sig)).toBe('keep: dangling-digest-tag');
  });
});
