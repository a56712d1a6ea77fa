import { expect, it } from '@jest/globals';

import { LISTING_MEMORY } from '../../src/memory/listing.js';
import type { Observation } from '../../src/memory/observation.js';

const seen: Observation = {
  standing: new Map(),
  tags: new Map(),
  bodies: new Map(),
  inUse: new Set(),
  leaving: new Set(),
  absent: new Set(),
  wanted: new Set(),
  isComplete: true,
};

it('the memory of a registry that lists its manifests remembers nothing', async () => {
  expect(LISTING_MEMORY.isItself('team/app', true)).toBe(false);
  expect(await LISTING_MEMORY.recall('team/app')).toBeUndefined();
  const nothing = { repository: 'team/app', records: new Map(), manifests: new Map() };
  expect(await LISTING_MEMORY.saw(nothing, seen)).toBeUndefined();
  await LISTING_MEMORY.swept({ repository: 'team/app', tag: 'x' }, seen);
  expect(LISTING_MEMORY.news()).toBeUndefined();
});
