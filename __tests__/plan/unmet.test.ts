import { expect, it } from '@jest/globals';

import { makePlan } from '../../src/plan/plan.js';
import type { Survey } from '../../src/plan/survey.js';
import type { Digest } from '../../src/oci/digest.js';
import { readProtect, withFiles } from '../../src/plan/protection.js';
import { notFound, unmet } from '../../src/plan/unmet.js';
import { inventoryOf, policy, type Estate } from '../support/builders/inventories.js';
import { buildCache, image } from '../support/builders/build.js';

const HOST = 'registry.example.com';
const cache = buildCache('cache', 'index');
const found = image('found');
const nowhere = `sha256:${'0'.repeat(64)}` as Digest;

function survey(estate: Estate): Survey {
  const inventory = inventoryOf(estate);
  return { inventory, plan: makePlan(inventory, policy()), bodies: new Map() };
}

const surveys = [survey({ tags: { v1: found, cache } })];
const protect = (...entries: string[]) =>
  readProtect(entries.join('\n'), HOST, (entry) => {
    throw new Error(entry);
  });

it('a digest is found as a manifest, a config or a layer', () => {
  const here = [found.digest, ...found.blobs.keys(), ...cache.blobs.keys()];
  const files = new Map([['a.lock', [...here, nowhere] as Digest[]]]);
  expect(unmet(withFiles(protect(...here), files), surveys)).toBe(1);
  expect(notFound(protect(...here, ...here.map((each) => `team/app@${each}`)), surveys)).toEqual(
    [],
  );
});

it('a digest of `protect` that is nowhere gives a warning, and one of files alone gives none', () => {
  const all = protect(nowhere, `team/app@${nowhere}`, `no/where@${nowhere}`);
  expect(notFound(all, surveys)).toEqual([
    expect.stringContaining(`\`${nowhere}\`, which this run found in no repository`),
    expect.stringContaining(`\`team/app@${nowhere}\`, which this run found not in that repository`),
  ]);
  const files = withFiles(protect(), new Map([['a.lock', [nowhere]]]));
  expect(notFound(files, surveys)).toEqual([]);
  expect(unmet(protect(nowhere), surveys)).toBe(0);
});

it('a repository that could not be read whole gives no warning', () => {
  const gap = { what: 'tag v1', why: 'status 500' };
  const broken = [survey({ tags: { v1: found }, more: { gaps: [gap] } })];
  expect(notFound(protect(nowhere, `team/app@${nowhere}`), broken)).toEqual([]);
});

it('an unread child is found, and may have any other digest', () => {
  const child = image('child');
  const unread = new Set([child.digest]);
  const some = [survey({ tags: { v1: found }, more: { unread } })];
  expect(notFound(protect(nowhere, `team/app@${nowhere}`), some)).toEqual([]);
  const files = new Map([['a.lock', [child.digest, nowhere] as Digest[]]]);
  expect(unmet(withFiles(protect(), files), some)).toBe(1);
});
