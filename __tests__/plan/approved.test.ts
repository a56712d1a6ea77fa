/** A plan that is carried out: it limits what is deleted. */
import { describe, expect, it } from '@jest/globals';

import {
  cosign,
  digestTag,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import {
  DAY,
  fate,
  fates,
  NOW,
  YOUNG,
  planOf,
  protecting,
} from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a plan that is carried out', () => {
  const approving = (...contents: readonly Content[]) => ({
    approved: new Map([['team/app', new Set(contents.map(({ digest }) => digest))]]),
  });
  const [a, b] = [image('a'), image('b')];

  it('lists all that is deleted', () => {
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

  it('has each entry judged again', () => {
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

  it('keeps the children of an index that it does not list: parents go before children', () => {
    const list = index([a, b]);
    const plan = planOf({ untagged: [list] }, approving(a, b));
    expect(fates(plan, { list, a, b })).toEqual({
      list: 'keep: not-in-plan',
      a: 'keep: child',
      b: 'keep: child',
    });
  });

  it('keeps a child that a new index shares', () => {
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

  it('keeps an image that has got a referrer since, and deletes one whose child it does not list', () => {
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

  it('keeps a signature that it does not list, which describes nothing from then on', () => {
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

  it('deletes a circle of digest tags whole, or not at all', () => {
    const [x, y] = [cosign('sig', old), cosign('att', old)];
    const tags = { [digestTag(x.digest, 'sig')]: y, [digestTag(y.digest, 'sig')]: x };
    expect(planOf({ tags }, approving(x)).orphans).toEqual([]);
    expect(planOf({ tags }, approving(x, y)).orphans).toHaveLength(2);
  });

  it('keeps the newest that `keep-untagged` asks for since, listed or not', () => {
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
