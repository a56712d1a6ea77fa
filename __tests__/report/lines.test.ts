import { expect, it } from '@jest/globals';

import { repositoryGroups, repositoryLines, repositoryTitle } from '../../src/report/lines.js';
import {
  byDigest,
  d,
  DAY,
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
    `kept, pushed or built within the grace period of 1 day: ${d('saved')} ${what}`,
    `could not delete (it answered 500) ${d('failed')} ${what}`,
    `not deleted (called off) ${d('skipped')} ${what}`,
    `deleted and restored, because a push began to use it meanwhile: ${d('healed')} ${what}`,
    'broken before this run: tag v0 has no manifest',
    'could not read tag v2: it answered 500.',
  ]);
});

it('the log of a repository tells when an orphan was last used, its version and its age', () => {
  const labelled = image('labelled');
  const manifest = { ...labelled, labels: { version: '1.2.3', revision: 'a'.repeat(40) } };
  const used = { tags: ['1.2', 'latest'], until: Date.UTC(2026, 10, 26) };
  const ages = ['pushed', 'built', 'first-seen'] as const;
  for (const kind of ages) {
    const age = { kind, at: NOW - 3 * DAY };
    const made = {
      ...repository,
      inventory: inventory('a', { manifests: byDigest(manifest) }),
      plan: plan('a', { orphans: [{ ...orphan('labelled'), lastUse: used, age }] }),
      ...outcome({ deleted: [d('labelled')] }),
    };
    expect(repositoryLines(made, run([made]))[1]).toBe(
      `deleted ${d('labelled')} (image, was \`1.2\`, \`latest\` until 26 Nov 2026, version \`1.2.3\`, ` +
        `revision \`aaaaaaa\`, 2 kB, ${kind === 'first-seen' ? 'seen' : kind} 3 days ago): no tag, and nothing that ` +
        'stays refers to it',
    );
  }
});

it('the title of a repository has the numbers that matter', () => {
  expect(repositoryTitle(repository, run([repository]))).toBe(
    'a: 1 of 7 manifests deleted, 2 not deleted, 1 gap',
  );
  const later = quotaRun();
  expect(later.repositories.map((each) => repositoryTitle(each, later))).toEqual([
    "acme/web: 1 of 8 manifests deleted, 1 can't be deleted",
    'acme/api: 1 of 4 manifests deleted, 2 left for a later run',
  ]);
  const guarded = guardedDryRun();
  expect(guarded.repositories.map((each) => repositoryTitle(each, guarded))).toContainEqual(
    expect.stringMatching(/ would be deleted, \d would be refused$/),
  );
});

it('repositories with nothing to say share one group, the last', () => {
  const quiet = ['b', 'c'].map((name) => ({
    inventory: inventory(name),
    plan: plan(name),
    ...outcome(),
    warnings: [],
  }));
  const groups = repositoryGroups(run([...quiet, repository]));
  expect(groups.map(({ title }) => title)).toEqual([
    'a: 1 of 7 manifests deleted, 2 not deleted, 1 gap',
    '2 repositories with nothing to delete',
  ]);
  expect(groups[0]?.lines).toEqual(repositoryLines(repository, run([repository])));
  expect(groups[1]?.lines).toEqual([
    'b: 0 tags, 0 manifests read, 0 orphans',
    'c: 0 tags, 0 manifests read, 0 orphans',
  ]);
  expect(repositoryGroups(run([repository]))).toHaveLength(1);
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
