import { expect, it } from '@jest/globals';

import { repositoryLines } from '../../src/report/lines.js';
import {
  byDigest,
  d,
  guardedDryRun,
  guardedRun,
  image,
  inventory,
  NOW,
  orphan,
  outcome,
  plan,
  planningDryRun,
  quotaRun,
  run,
  UNDELETABLE,
} from '../support/builders/examples.js';

const names = ['deleted', 'gone', 'spared', 'saved', 'failed', 'skipped', 'healed'];
const repository = {
  inventory: inventory('a', {
    tags: new Map([['v1', d('kept')]]),
    manifests: byDigest(...names.map((name) => image(name))),
    brokenTags: ['v0'],
    gaps: [{ what: 'tag v2', why: 'it answered 500.' }],
  }),
  plan: plan('a', { orphans: names.map((name) => orphan(name)) }),
  ...outcome({
    deleted: [d('deleted')],
    gone: [d('gone')],
    kept: [
      { digest: d('spared'), reason: { kind: 'tagged', tags: ['v2'] } },
      { digest: d('saved'), reason: { kind: 'young', created: NOW } },
    ],
    failed: [{ digest: d('failed'), why: 'it answered 500' }],
    skipped: [{ digest: d('skipped'), why: 'called off' }],
    restored: [d('healed')],
  }),
  warnings: [],
};

it('the log of a repository tells what became of each orphan, and what could not be read', () => {
  const [first, ...lines] = repositoryLines(repository, run([repository]));
  expect(first).toBe('1 tag, 7 manifests read, 7 orphans');
  const what = '(image, 2 kB): no tag, and nothing that stays refers to it';
  expect(lines).toEqual([
    `deleted ${d('deleted')} ${what}`,
    `already gone: ${d('gone')} ${what}`,
    `kept, tagged meanwhile: ${d('spared')} ${what}`,
    `kept, built within the grace period of 1 day: ${d('saved')} ${what}`,
    `could not delete (it answered 500) ${d('failed')} ${what}`,
    `not deleted (called off) ${d('skipped')} ${what}`,
    `deleted and restored, because a push began to use it meanwhile: ${d('healed')} ${what}`,
    'broken before this run: tag v0 has no manifest',
    'could not read tag v2: it answered 500.',
  ]);
});

it('the log of a repository tells what no run can delete, and what is left for a later run', () => {
  const made = quotaRun();
  const lines = made.repositories.flatMap((each) => repositoryLines(each, made));
  const what = '(image, 2 kB): no tag, and nothing that stays refers to it';
  expect(lines).toContain(`left for a later run: ${d('later 1')} ${what}`);
  expect(lines).toContainEqual(
    expect.stringContaining(`can't be deleted (${UNDELETABLE}) ${d('old index')} (index of `),
  );
  expect(lines).toContainEqual(
    expect.stringContaining(`kept, part of an orphan that can't be deleted: ${d('old amd64')} `),
  );
});

it.each([
  [guardedRun(), 'not deleted sha256:'],
  [guardedDryRun(), 'would not delete sha256:'],
  [planningDryRun(), 'would delete with the plan only: sha256:'],
])('the log of a repository tells what stays because of a brake', (made, start) => {
  const emptied = made.repositories.filter(({ refusal }) => refusal?.kind === 'no-tags');
  const lines = emptied.flatMap((each) => repositoryLines(each, made));
  expect(lines.filter((line) => line.startsWith(start))).toHaveLength(2);
});

it.each([
  [false, 'restored'],
  [true, 'would restore'],
])('the log of a repository tells what earlier runs had deleted (dry-run: %s)', (dryRun, did) => {
  const repair = { restored: [d('restored')], failed: [], failedTags: [] };
  const repository = {
    inventory: inventory('a'),
    plan: plan('a'),
    ...outcome(),
    repair,
    warnings: [],
  };
  expect(repositoryLines(repository, run([repository], { dryRun }))[1]).toBe(
    `${did} ${d('restored')}: an earlier run deleted it, or was about to`,
  );
});
