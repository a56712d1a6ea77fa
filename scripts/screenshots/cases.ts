/** The summaries of which pictures are taken: one of each kind of run, and the two whose length is limited. */
import {
  blindDryRun,
  blob,
  byDigest,
  child,
  cleanRun,
  d,
  DAY,
  dry,
  firstRun,
  HOUR,
  image,
  index,
  inventory,
  kept,
  ledger,
  NOW,
  outcome,
  plan,
  planningDryRun,
  platform,
  quotaRun,
  refusing,
  run,
  troubledRun,
} from '../../__tests__/support/builders/examples.js';
import { restored } from '../../__tests__/support/builders/restored.js';
import type { Orphan } from '../../src/plan/plan.js';
import { renderRestore } from '../../src/report/restore.js';
import { renderSummary } from '../../src/report/summary.js';
import type { RepositoryRun, Run } from '../../src/run/run.js';

const PLATFORMS = ['linux/amd64', 'linux/arm64', 'linux/arm/v7'];
const MEGABYTE = 1_000_000;

/** A repository whose `latest` moved every few days: each build left an index with its platforms. */
function built(name: string, builds: number, megabytes: number): RepositoryRun {
  const orphans: Orphan[] = [];
  const manifests = [
    index(`${name} now`, [child(`${name} now amd64`)]),
    image(`${name} now amd64`),
  ];
  for (let build = builds; build > 0; build -= 1) {
    const at = NOW - (builds - build + 1) * 3 * DAY - 4 * HOUR;
    // Such a registry doesn't tell when an image was pushed.
    const age = { kind: 'built', at } as const;
    const list = `${name} ${String(build)}`;
    const parts = PLATFORMS.map((each) => `${list} ${each}`);
    const version = `1.${String(build)}.0`;
    manifests.push(
      index(
        list,
        parts.map((part, of) => child(part, { platform: platform(PLATFORMS[of] ?? '') })),
        { labels: { version, revision: d(list).slice(7, 47) } },
      ),
      ...parts.map((part) =>
        image(part, [blob(`${name} base`, 30 * MEGABYTE), blob(part, megabytes * MEGABYTE)]),
      ),
    );
    orphans.push(
      {
        digest: d(list),
        reason: { kind: 'unreachable' },
        after: [],
        age,
        lastUse: { tags: ['latest', `main-${d(list).slice(7, 14)}`], until: at + 2 * DAY },
      },
      ...parts.map((part): Orphan => {
        const reason = { kind: 'child', of: d(list) } as const;
        return { digest: d(part), reason, after: [], age };
      }),
    );
  }
  return {
    inventory: inventory(name, {
      tags: new Map([['latest', d(`${name} now`)]]),
      manifests: byDigest(...manifests),
    }),
    plan: plan(name, {
      keep: [
        kept(`${name} now`, { kind: 'tagged', tags: ['latest'] }),
        kept(`${name} now amd64`, { kind: 'child', of: d(`${name} now`) }),
      ],
      orphans,
    }),
    ...outcome({ deleted: orphans.map(({ digest }) => digest) }),
    warnings: [],
  };
}

const TEAM = [built('team/api', 2, 140), built('team/shop', 1, 310), built('team/web', 3, 90)];

function real(): Run {
  return run(TEAM, {
    backup: '/home/runner/work/_temp/manifest-backup',
    ledger: ledger({ written: 3, remembered: 41 }),
  });
}

/** Of so many orphans, four for each build, in repositories of so many builds. */
function long(orphans: number, builds: number): Run {
  const repositories = Array.from({ length: Math.ceil(orphans / (4 * builds)) }, (_, at) =>
    built(`team/service-${String(at + 1)}`, builds, 20 + at),
  );
  return dry(run(repositories, { ledger: ledger({ remembered: 5 * orphans }) }));
}

const planned = planningDryRun();

/** Markdown by the name of its picture. */
export const CASES: Readonly<Record<string, string>> = {
  'dry-run': renderSummary(dry(real())),
  real: renderSummary(real()),
  refused: renderSummary(
    run(
      [
        refusing('team/emptied', 4, { kind: 'no-tags', remembered: 12 }),
        refusing('team/halved', 12, { kind: 'share', orphans: 12, manifests: 14, percent: 50 }),
      ],
      { ledger: ledger() },
    ),
  ),
  gaps: renderSummary(troubledRun()),
  quiet: renderSummary({ ...firstRun(), ledger: ledger() }),
  'first-run': renderSummary(blindDryRun()),
  plan: renderSummary(planned),
  restore: renderRestore({
    registry: 'https://registry.example.com',
    directory: 'backup',
    dryRun: false,
    repositories: [
      restored('team/web', {
        restored: ['a', 'b', 'c', 'e'].map(d),
        standing: [d('f')],
        tags: ['latest'],
        failed: [{ digest: d('g'), why: 'its saved bytes are missing' }],
      }),
    ],
    cutOffLines: 0,
    elsewhere: 2,
    excluded: 0,
    failures: [],
  }),
  '2000-orphans': renderSummary(long(2_000, 5)),
  ghcr: renderSummary(quotaRun()),
};

/** Those of which a test measures the length, too. */
export const LONG = {
  'of 90 orphans in one repository': renderSummary(long(90, 23)),
  'of 90 orphans in repositories of 4': renderSummary(long(90, 1)),
  'of 90 orphans in repositories of 16': renderSummary(long(90, 4)),
  'of a real run with 90 orphans': renderSummary(
    run(
      long(90, 2).repositories.map((each) => ({
        ...each,
        ...outcome({ deleted: each.plan.orphans.map(({ digest }) => digest) }),
      })),
      { backup: '/tmp/backup' },
    ),
  ),
  'of the clean run': renderSummary(cleanRun()),
} as const;

export const HUGE = {
  'of 2,000 orphans in one repository': renderSummary(long(2_000, 500)),
  'of 2,000 orphans in 100 repositories': CASES['2000-orphans'] ?? '',
  'of 2,000 orphans in 500 repositories': renderSummary(long(2_000, 1)),
} as const;
