/** Protected digests and repositories as roots. */
import { describe, expect, it } from '@jest/globals';

import { PROTECT, withFiles, type Protection } from '../../src/plan/protection.js';
import { NO_PROTECTION } from '../support/builders/protections.js';
import { cosign, digestTag, image, index, opaque, referrer } from '../support/builders/build.js';
import { fate, fates, YOUNG, planOf, protecting } from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a protected manifest', () => {
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
  ])('stays %s, with the reason', (_, protection, by) => {
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
  ])('is not one beside %s', (_, protection) => {
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

  it('does not save the index that holds it', () => {
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

  it('is reported as protected before any other reason but a tag', () => {
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

  it('is reported so in a repository with a gap, too', () => {
    const more = { gaps: [{ what: 'tag v2', why: '500' }] };
    const plan = planOf({ untagged: [old, other], more }, { protection: protecting(old.digest) });
    expect(fates(plan, { old, other })).toEqual({ old: 'keep: protected', other: 'keep: gap' });
  });

  it('changes nothing where it is absent', () => {
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

  it('keeps its signature only where it is in this repository', () => {
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
