import { expect, it } from '@jest/globals';

import { LISTING_MEMORY } from '../../src/memory/listing.js';
import { ADVICE } from '../../src/registry/families/distribution.js';
import type { Registry } from '../../src/registry/registry.js';
import { runOf } from '../../src/run/result.js';
import { DAY, NOW } from '../support/builders/examples.js';
import { cleanSettings } from '../support/builders/settings.js';

const restorer: Registry['restorer'] = {
  window: 30 * DAY,
  isRestorable: () => Promise.resolve(false),
  restore: () => Promise.resolve(),
};

type Abilities = Pick<Registry, 'restorer' | 'parking' | 'lister'>;

function finished(registry: Abilities, isUsed: boolean) {
  return runOf({
    settings: cleanSettings('https://ghcr.io', '/tmp/backup'),
    named: {
      intake: { candidates: new Map(), understood: 0, notUnderstood: 0, examples: [] },
      pinned: { files: 0, digests: 0 },
    },
    registry: { family: 'GHCR', advice: ADVICE, ...registry },
    choice: { repositories: [], isComplete: true, unnameable: 0, warnings: [] },
    chosen: [],
    surveys: [],
    repairs: new Map(),
    memory: LISTING_MEMORY,
    clocks: { now: NOW, stamp: NOW },
    backup: { isUsed, directory: '/tmp/backup' },
    refusals: new Map(),
    outcomes: new Map(),
    failures: [],
    requests: 1,
    startedAt: NOW - DAY,
    finishedAt: NOW,
  });
}

it('a run says until when the server itself restores what it deleted last', () => {
  expect(finished({ restorer }, true)).toMatchObject({
    backup: '/tmp/backup',
    restorableUntil: NOW + 30 * DAY,
  });
});

it('a run that parks blobs says for how long from its start', () => {
  const parking = { window: DAY, park: () => Promise.resolve() };
  expect(finished({ parking }, true)).toMatchObject({ restorableUntil: NOW, parkedFor: DAY });
  expect(finished({ parking }, false).restorableUntil).toBeUndefined();
});

it.each([
  ['none', undefined],
  ['complete', {}],
  ['without-digest-pushes', { lacks: 'digest-pushes' }],
] as const)('a run says of the list of manifests: %s', (said, kind) => {
  const lister = kind && { ...kind, manifests: () => Promise.resolve(new Map()) };
  expect(finished({ lister }, false).untaggedListing).toBe(said);
});

it.each([
  ['deleted nothing', { restorer }, false],
  [
    'cleaned a registry whose undo ends at no fixed time',
    { restorer: { ...restorer, window: undefined } },
    true,
  ],
  ['cleaned a registry without an undo of its own', {}, true],
])('a run that %s promises no restore by the server', (_, registry, isUsed) => {
  expect(finished(registry, isUsed).restorableUntil).toBeUndefined();
});
