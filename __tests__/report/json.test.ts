import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { RepositoryRefusal } from '../../src/plan/brakes.js';
import type { KeepReason } from '../../src/plan/reasons.js';
import { PROTECT } from '../../src/plan/protection.js';
import { jsonChunks } from '../../src/report/json-chunks.js';
import { reportLines } from '../../src/report/json.js';
import { whyRefused } from '../../src/report/refusals.js';
import type { RepositoryRun, Run } from '../../src/run/run.js';
import {
  appliedRun,
  blindDryRun,
  byDigest,
  cleanRun,
  d,
  dry,
  firstRun,
  guardedDryRun,
  guardedRun,
  HOUR,
  image,
  inventory,
  kept,
  ledger,
  NOW,
  orphan,
  outcome,
  plan,
  quotaRun,
  refusing,
  run,
  troubledRun,
  UNDELETABLE,
} from '../support/builders/examples.js';

const reportJson = (made: Run): unknown => JSON.parse([...reportLines(made)].join(''));

const schema = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../docs/report.schema.json', import.meta.url)), 'utf8'),
) as object;
const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormatsModule.default(ajv);
const validate = ajv.compile(schema);

const REASONS: readonly KeepReason[] = [
  { kind: 'tagged', tags: ['v1', 'v2'] },
  { kind: 'young', created: NOW },
  { kind: 'young', created: 9e15 },
  { kind: 'new', firstSeen: NOW },
  { kind: 'new', firstSeen: -9e15 },
  { kind: 'unknown-type', mediaType: '<b>' },
  { kind: 'dangling-referrer', subject: d('s') },
  { kind: 'dangling-digest-tag', tag: 't', names: d('s') },
  { kind: 'child', of: d('s') },
  { kind: 'subject', of: d('s') },
  { kind: 'referrer', of: d('s') },
  { kind: 'digest-tag', tag: 't', of: d('s') },
  { kind: 'mentioned', by: d('s') },
  { kind: 'ledger' },
  { kind: 'gap' },
  { kind: 'protected', by: [PROTECT] },
  { kind: 'protected', by: ['deploy/web.yaml', 'package-lock.json'] },
  { kind: 'protected', by: [PROTECT, 'protect'] },
  { kind: 'recent' },
  { kind: 'not-in-plan' },
  { kind: 'blob', of: d('s') },
  { kind: 'layer' },
  { kind: 'protected', by: [PROTECT], blob: d('s') },
  { kind: 'narrowed', tag: 'v1', part: d('part') },
  { kind: 'recently-used', since: NOW, tags: ['v1'] },
  { kind: 'holds-kept', of: d('s') },
];

const REFUSALS: readonly RepositoryRefusal[] = [
  { kind: 'no-tags', remembered: 12 },
  { kind: 'share', orphans: 30, manifests: 40, percent: 33.5 },
  { kind: 'count', orphans: 700, count: 500 },
  { kind: 'no-deletes', why: 'the registry answered 405.' },
  { kind: 'no-rights', why: "these credentials can't delete in e" },
];

const everything: RepositoryRun = {
  inventory: inventory('a', {
    manifests: byDigest(
      ...['deleted', 'gone', 'spared', 'failed', 'healed'].map((name) => image(name)),
    ),
    brokenTags: ['b', 'a'],
    absent: new Set([d('absent')]),
  }),
  plan: plan('a', {
    keep: REASONS.map((reason, at) => kept(String(at), reason)),
    orphans: [
      orphan('deleted', { kind: 'dangling', subject: d('s') }, -1e18),
      orphan('gone', { kind: 'referrer', of: d('s') }, NOW),
      orphan('spared', { kind: 'digest-tag', tag: 't', of: d('s') }, 0),
      orphan('failed', { kind: 'child', of: d('s') }),
      orphan('lost'),
      orphan('healed'),
    ],
  }),
  ...outcome({
    deleted: [d('deleted')],
    gone: [d('gone')],
    kept: [{ digest: d('spared'), reason: { kind: 'tagged', tags: ['v1'] } }],
    failed: [{ digest: d('failed'), why: 'refused' }],
    restored: [d('healed')],
    broken: [{ what: 'tag v1', why: 'answered 404' }],
    unverified: true,
  }),
  repair: { restored: [d('restored')], failed: [], failedTags: [] },
  approved: new Set(['deleted', '0', '17', 'absent', 'hidden'].map(d)),
  warnings: ['odd'],
};

/** All that a run can have, and in repositories of their own all that can keep it from deleting. */
const whole = run(
  [everything, ...REFUSALS.map((refusal) => refusing(`refused/${refusal.kind}`, 1, refusal))],
  {
    keepUntagged: 3,
    maxDeletes: { kind: 'share', percent: 33.5, exempt: 20 },
    pinned: { files: 2, digests: 9, unmet: 4 },
    backup: '/tmp/backup',
    applied: { createdAt: NOW - HOUR, ignored: 4 },
    warnings: ['odd'],
  },
);

const UNREADABLE = ledger({
  repository: 'team/memory',
  existed: false,
  isReadable: false,
  remembered: 0,
  warnings: ['403', 'second'],
  failures: ['third'],
});

const RUNS: readonly (readonly [string, Run])[] = [
  ['clean run', cleanRun()],
  ['dry-run', blindDryRun()],
  ['troubled run', troubledRun()],
  ['first run', firstRun()],
  ['run that could not read its ledger', run([], { ledger: UNREADABLE })],
  ['run with every kind of reason and fate', whole],
  ['dry-run with every kind of reason and refusal', dry(whole)],
  ['run with a limit to its deletes', run([], { maxDeletes: { kind: 'count', count: 500 } })],
  ['run in which every brake held', guardedRun()],
  ['dry-run in which every brake held', guardedDryRun()],
  ['run that carried out a plan', appliedRun()],
  ['run that a used-up quota ended', quotaRun()],
  ['run over nothing', run([])],
];

describe('the JSON report', () => {
  it.each(RUNS)('is what the schema says for a %s', (_, made) => {
    validate(reportJson(made));
    expect(validate.errors).toBeNull();
  });

  it('tells what no run can delete, and what the quota left for a later run', () => {
    const report = reportJson(quotaRun()) as {
      totals: object;
      warnings: string[];
      problems: unknown[];
      repositories: { totals: object; warnings: string[]; orphans: { digest: string }[] }[];
    };
    const [api, web] = report.repositories;
    const ends = [api, web].flatMap((each) => each?.orphans ?? []);
    const endOf = (name: string) => ends.find(({ digest }) => digest === d(name));
    expect(endOf('old index')).toMatchObject({ fate: 'undeletable', why: UNDELETABLE });
    expect(endOf('old amd64')).toMatchObject({
      fate: 'spared',
      keptReason: { kind: 'child', of: d('old index') },
    });
    expect(endOf('later 1')).toMatchObject({
      fate: 'postponed',
      until: '2026-11-23T03:30:00.000Z',
    });
    expect(report).toMatchObject({
      restorableUntil: '2026-12-23T03:00:00.000Z',
      totals: { undeletable: 1, postponed: 2, spared: 3, failed: 0 },
      problems: [],
      warnings: [expect.stringMatching(/^2 orphans are left: .* \[quota-used-up\]$/)],
    });
    expect(api).toMatchObject({ totals: { undeletable: 0, postponed: 2 }, warnings: [] });
    expect(web).toMatchObject({
      totals: { undeletable: 1, postponed: 0 },
      warnings: [expect.stringContaining(`acme/web@${d('old index')} can't be deleted: `)],
    });
  });

  it('tells of each orphan what it was, why it went and what became of it', () => {
    const report = reportJson(run([everything])) as { repositories: { orphans: unknown[] }[] };
    const common = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      manifestBytes: 500,
      contentBytes: 2_000,
      what: { kind: 'image', label: 'image' },
    };
    expect(report.repositories[0]?.orphans).toEqual([
      {
        ...common,
        digest: d('deleted'),
        fate: 'deleted',
        reason: { kind: 'dangling', subject: d('s') },
        // Its time is one that can't be written.
        age: { kind: 'built' },
      },
      {
        ...common,
        digest: d('gone'),
        fate: 'gone',
        reason: { kind: 'referrer', of: d('s') },
        age: { kind: 'built', at: '2026-11-23T03:00:00.000Z' },
      },
      {
        ...common,
        digest: d('spared'),
        fate: 'spared',
        keptReason: { kind: 'tagged', tags: ['v1'] },
        reason: { kind: 'digest-tag', tag: 't', of: d('s') },
        age: { kind: 'built', at: '1970-01-01T00:00:00.000Z' },
      },
      {
        ...common,
        digest: d('failed'),
        fate: 'failed',
        why: 'refused',
        reason: { kind: 'child', of: d('s') },
      },
      {
        digest: d('lost'),
        fate: 'skipped',
        why: 'the run ended before its turn came',
        reason: { kind: 'unreachable' },
        what: { kind: 'unknown', label: 'unknown manifest' },
      },
      { ...common, digest: d('healed'), fate: 'healed', reason: { kind: 'unreachable' } },
    ]);
  });

  it('tells which brakes held, once for each repository', () => {
    const told = (of: Run) =>
      (reportJson(of) as { repositories: { refusal?: object; orphans: object[] }[] }).repositories
        .slice(1)
        .map(({ refusal, orphans }) => ({ refusal, orphans: orphans.map(Object.entries) }));
    for (const refused of [told(whole), told(dry(whole))]) {
      expect(refused.map(({ refusal }) => refusal)).toEqual(
        REFUSALS.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)).map((refusal) => ({
          ...refusal,
          text: whyRefused(refusal, refusing('refused', 1, refusal), whole),
        })),
      );
      for (const { orphans } of refused) {
        expect(orphans[0]).toContainEqual(['fate', 'refused']);
        // The text is long, and the same for each of them.
        expect(orphans[0]?.map(([key]: [string, unknown]) => key)).not.toContain('why');
      }
    }
    expect(JSON.stringify(reportJson(cleanRun()))).not.toContain('"refusal"');
  });

  it('tells which entries of a plan were kept, and why', () => {
    const report = reportJson(whole) as { repositories: { left?: unknown }[] };
    const left = [
      { digest: d('0'), why: 'kept', reason: { kind: 'tagged', tags: ['v1', 'v2'] } },
      {
        digest: d('17'),
        why: 'kept',
        reason: { kind: 'protected', input: true, files: ['protect'] },
      },
      { digest: d('absent'), why: 'absent' },
      { digest: d('hidden'), why: 'unread' },
    ];
    expect(report.repositories[0]?.left).toEqual(
      left.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
    expect(report.repositories[1]).not.toHaveProperty('left');
  });

  it('tells who protects a manifest, the input apart from files of any name', () => {
    const report = reportJson(whole) as { repositories: { kept: { reason: unknown }[] }[] };
    expect(report.repositories[0]?.kept.slice(15, 18).map(({ reason }) => reason)).toEqual([
      { kind: 'protected', input: true, files: [] },
      { kind: 'protected', input: false, files: ['deploy/web.yaml', 'package-lock.json'] },
      { kind: 'protected', input: true, files: ['protect'] },
    ]);
  });

  it('tells what the run was asked for and what it left behind', () => {
    expect(reportJson(whole)).toMatchObject({
      settings: { keepUntagged: 3, maxDeletes: { kind: 'share', percent: 33.5, exempt: 20 } },
      pinned: { files: 2, digests: 9, unmet: 4 },
      backup: '/tmp/backup',
      appliedPlan: { createdAt: '2026-11-23T02:00:00.000Z', ignored: 4 },
      totals: { refused: 5, healed: 1, failed: 7 },
      repositories: [{ unverified: true }, {}, {}, {}, {}, {}],
    });
    const least = reportJson(run([]));
    expect(least).not.toHaveProperty('settings.maxDeletes');
    expect(least).not.toHaveProperty('backup');
    expect(least).not.toHaveProperty('appliedPlan');
    expect(JSON.stringify(reportJson(cleanRun()))).not.toContain('"unverified"');
  });

  it('tells what was worth a warning, and what was not read', () => {
    expect(reportJson(run([], { warnings: ['odd'], unread: 2 }))).toMatchObject({
      warnings: ['odd'],
      visibility: { unreadRepositories: 2 },
    });
  });

  it.each([Number.NaN, 9e15, -9e15])(
    'is not lost for a plan that says it was made at %d',
    (createdAt) => {
      const made = run([], { applied: { createdAt, ignored: 0 } });
      expect(reportJson(made)).toMatchObject({ appliedPlan: { ignored: 0 } });
      validate(reportJson(made));
      expect(validate.errors).toBeNull();
    },
  );

  it('tells of the ledger, and leaves it out where there is none', () => {
    expect(reportJson(cleanRun())).toMatchObject({
      ledger: {
        repository: 'manifest-cleanup-ledger',
        existed: true,
        readable: true,
        repositoriesWritten: 2,
        manifestsRemembered: 9,
        warnings: [],
      },
    });
    expect(reportJson(run([], { ledger: UNREADABLE }))).toMatchObject({
      ledger: {
        repository: 'team/memory',
        existed: false,
        readable: false,
        repositoriesWritten: 0,
        manifestsRemembered: 0,
        warnings: ['403', 'second'],
      },
    });
    expect(reportJson(run([]))).not.toHaveProperty('ledger');
  });

  it('tells since when a manifest that is kept as new is known', () => {
    const report = reportJson(run([everything])) as { repositories: { kept: unknown[] }[] };
    expect(report.repositories[0]?.kept.slice(3, 5)).toEqual([
      { digest: d('3'), reason: { kind: 'new', firstSeen: '2026-11-23T03:00:00.000Z' } },
      // No date can be written for that one.
      { digest: d('4'), reason: { kind: 'new' } },
    ]);
  });

  it('does not match the schema where the ledger has lost a field', () => {
    const { ledger: told, ...rest } = reportJson(cleanRun()) as Record<string, object>;
    const { readable: _, ...less } = told as { readable: boolean };
    expect(validate({ ...rest, ledger: less })).toBe(false);
  });

  it.each([
    ['pinned', 'digests'],
    ['settings', 'keepUntagged'],
    ['totals', 'refused'],
    ['totals', 'healed'],
    ['appliedPlan', 'ignored'],
  ])('does not match the schema where %s has lost %s', (of, field) => {
    const report = reportJson(whole) as Record<string, Record<string, unknown>>;
    const { [field]: lost, ...less } = report[of] ?? {};
    expect(lost).toBeDefined();
    expect(validate({ ...report, [of]: less })).toBe(false);
  });

  it('comes in small chunks, however large the run', () => {
    const names = Array.from({ length: 50_000 }, (_, at) => String(at));
    const { approved: _, ...rest } = everything;
    const large = run([
      {
        ...rest,
        plan: plan('a', { keep: names.map((name) => kept(name, { kind: 'gap' })) }),
      },
    ]);
    let longest = 0;
    let entries = 0;
    for (const chunk of reportLines(large)) {
      longest = Math.max(longest, chunk.length);
      entries += Number(chunk.startsWith('{"digest"'));
    }
    expect(longest).toBeLessThan(5_000);
    expect(entries).toBe(50_000);
  });
});

describe('jsonChunks', () => {
  it('writes what JSON.parse reads back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.parse(JSON.stringify(value)) as never;
        const lazy = new Set([json]);
        expect(
          JSON.parse(
            [...jsonChunks({ a: lazy, b: json, c: new Set<never>() }, (text) => text)].join(''),
          ),
        ).toEqual({
          a: [json],
          b: json,
          c: [],
        });
      }),
    );
  });
});
