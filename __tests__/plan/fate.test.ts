import { describe, expect, it } from '@jest/globals';

import {
  digestsWith,
  fatesWithoutSweep,
  isFailed,
  isFreed,
  isGone,
  judge,
  staysWithUndeletable,
  type Fate,
} from '../../src/plan/fate.js';
import { d, NOW, orphan, plan } from '../support/builders/examples.js';
import { fatesFrom } from '../support/builders/fates.js';

const fates = fatesFrom({
  deleted: [d('deleted')],
  gone: [d('gone')],
  kept: [{ digest: d('kept'), reason: { kind: 'tagged', tags: ['v2'] } }],
  failed: [{ digest: d('failed'), why: 'answered 500.' }],
  skipped: [{ digest: d('skipped'), why: 'called off' }],
  restored: [d('restored')],
});
const names = ['skipped', 'restored', 'failed', 'kept', 'gone', 'deleted'];
const both = plan('a', { orphans: ['x', 'y'].map((name) => orphan(name)) });

it('each orphan has its fate, in the order of the plan', () => {
  const orphans = names.map((name) => orphan(name));
  expect(judge({ plan: plan('a', { orphans }), fates })).toEqual(
    orphans.map((each, at) => ({
      orphan: each,
      fate: expect.objectContaining({ kind: names[at] }),
    })),
  );
});

it('an orphan that the sweep did not come to was not tried', () => {
  const forgotten = plan('a', { orphans: [orphan('forgotten')] });
  expect(judge({ plan: forgotten, fates }).map(({ fate }) => fate)).toEqual([
    { kind: 'skipped', why: 'the run ended before its turn came' },
  ]);
});

describe('a plan without a sweep', () => {
  it.each([
    ['a dry-run plans all orphans', true, false, 'planned'],
    ['a refusal holds for all orphans', false, true, 'refused'],
    ['a refusal holds for all orphans of a dry-run', true, true, 'refused'],
    ['a real run has tried no orphan', false, false, 'skipped'],
  ])('%s', (_, dryRun, isRefused, kind) => {
    const found = fatesWithoutSweep(both, { dryRun, isRefused });
    expect([...found.keys()]).toEqual([d('x'), d('y')]);
    expect([...found.values()].map((fate) => fate.kind)).toEqual([kind, kind]);
  });
});

it('digests are found by the kinds of their fates, in the order of the map', () => {
  expect(digestsWith(fates, 'failed', 'deleted')).toEqual([d('deleted'), d('failed')]);
  expect(digestsWith(fates, 'planned')).toEqual([]);
});

it('each fate says whether the manifest is gone, freed or should have gone', () => {
  const all: Fate[] = [
    ...fates.values(),
    { kind: 'planned' },
    { kind: 'undeletable', why: 'the last tagged version' },
    { kind: 'postponed', until: NOW },
  ];
  const kinds = (is: (fate: Fate) => boolean) => all.filter(is).map(({ kind }) => kind);
  expect(kinds(isGone)).toEqual(['deleted', 'gone']);
  expect(kinds(isFreed)).toEqual(['deleted', 'planned']);
  expect(kinds(isFailed)).toEqual(['failed', 'skipped']);
  expect(isGone(undefined)).toBe(false);
});

describe('a manifest that is kept', () => {
  const part = (of: string): Fate => ({ kind: 'kept', reason: { kind: 'child', of: d(of) } });
  const nested = new Map<ReturnType<typeof d>, Fate>([
    [d('index'), { kind: 'undeletable', why: 'the last tagged version' }],
    [d('inner'), part('index')],
    [d('platform'), part('inner')],
    [d('other'), part('kept index')],
    [d('one'), part('two')],
    [d('two'), part('one')],
    [d('tagged'), { kind: 'kept', reason: { kind: 'tagged', tags: ['v1'] } }],
  ]);

  it('may stay with one that no run can delete, at any depth', () => {
    const staying = [...nested].filter(([, fate]) => staysWithUndeletable(nested, fate));
    expect(staying.map(([digest]) => digest)).toEqual([d('inner'), d('platform')]);
  });
});
