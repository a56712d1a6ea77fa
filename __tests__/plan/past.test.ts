/** What earlier runs saw of a manifest, and the entries of the ledger themselves. */
import { describe, expect, it } from '@jest/globals';

import type { Past } from '../../src/plan/past.js';
import type { Digest } from '../../src/oci/digest.js';
import { cosign, digestTag, image, index, manifest, referrer } from '../support/builders/build.js';
import {
  DAY,
  fate,
  fates,
  HOUR,
  NOW,
  YOUNG,
  type Estate,
  past,
  planOf,
} from '../support/builders/inventories.js';

const current = image('current');
const old = image('old');

describe('a manifest that earlier runs saw', () => {
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
  ])('is judged by that: %s', (_, seen, gracePeriod, expected) => {
    const plan = planOf({ untagged: [young], more: { past: seen } }, { gracePeriod });
    expect(fate(plan, young)).toBe(expected);
  });

  it('does not become new by leaving', () => {
    const seen = past([old], { everInUse: false, status: 'leaving', firstSeen: NOW });
    const estate = { untagged: [old], more: { past: seen } };
    expect(fate(planOf(estate, { gracePeriod: DAY }), old)).toBe('delete: unreachable');
  });

  it('takes along a referrer that no run saw', () => {
    const sbom = referrer('sbom', young);
    const plan = planOf({ untagged: [young, sbom], more: { past: past([young]) } });
    expect(fates(plan, { young, sbom })).toEqual({
      young: 'delete: unreachable',
      sbom: 'delete: referrer',
    });
    const unseen = planOf({ untagged: [young, sbom] });
    expect(fates(unseen, { young, sbom })).toEqual({ young: 'keep: young', sbom: 'keep: young' });
  });

  it('tells since when it is new', () => {
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

  it('keeps its children, its subject and its referrers while it is new', () => {
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

  describe('as a subject that no longer exists', () => {
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
    ])('takes its referrers along, since it lived here (%s)', (_, more) => {
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

    it('does not count against a tag, a second subject that lives, or a gap', () => {
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

    it('does not count where it was another that runs saw', () => {
      const plan = planOf({ ...estate, more: { past: past([sig, sbom, second, current]) } });
      expect(plan.orphans).toEqual([]);
      expect(fates(plan, { sig, sbom })).toEqual({
        sig: 'keep: dangling-digest-tag',
        sbom: 'keep: dangling-referrer',
      });
    });
  });
});

describe('an entry of the ledger', () => {
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
  ])('has no other type: %s', (artifactType) => {
    const content = entry(artifactType);
    expect(fate(planOf({ untagged: [content] }), content)).toBe('delete: unreachable');
  });

  it('isn’t an index with that type', () => {
    const content = index([old], { artifactType: `${TYPE}.v1` });
    expect(fates(planOf({ untagged: [content] }), { content, old })).toEqual({
      content: 'delete: unreachable',
      old: 'delete: child',
    });
  });

  it('is kept beside a gap, even if runs saw it', () => {
    const content = entry(`${TYPE}.v1`);
    const gaps = [{ what: 'tag v2', why: '500' }];
    const more = { gaps, past: past([content]) };
    expect(fate(planOf({ untagged: [content], more }), content)).toBe('keep: ledger');
  });
});
