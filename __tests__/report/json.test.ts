import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { KeepReason } from '../../src/cleanup/plan.js';
import { jsonChunks } from '../../src/report/json-chunks.js';
import { reportJson, reportLines } from '../../src/report/json.js';
import type { RepositoryRun, Run } from '../../src/report/run.js';
import {
  blindDryRun,
  byDigest,
  cleanRun,
  d,
  image,
  inventory,
  kept,
  NOW,
  orphan,
  outcome,
  plan,
  run,
  troubledRun,
} from './examples.js';

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
  { kind: 'unknown-type', mediaType: '<b>' },
  { kind: 'dangling-referrer', subject: d('s') },
  { kind: 'dangling-digest-tag', tag: 't', names: d('s') },
  { kind: 'child', of: d('s') },
  { kind: 'subject', of: d('s') },
  { kind: 'referrer', of: d('s') },
  { kind: 'digest-tag', tag: 't', of: d('s') },
  { kind: 'mentioned', by: d('s') },
  { kind: 'gap' },
];

const everything: RepositoryRun = {
  inventory: inventory('a', {
    manifests: byDigest(image('deleted'), image('gone'), image('spared'), image('failed')),
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
    ],
  }),
  outcome: outcome('a', {
    deleted: [d('deleted')],
    gone: [d('gone')],
    spared: [{ digest: d('spared'), reason: { kind: 'tagged', tags: ['v1'] } }],
    failed: [{ digest: d('failed'), why: 'refused' }],
    broken: [{ what: 'tag v1', why: 'answered 404' }],
  }),
  warnings: ['odd'],
};

const RUNS: readonly (readonly [string, Run])[] = [
  ['clean run', cleanRun()],
  ['dry-run', blindDryRun()],
  ['troubled run', troubledRun()],
  ['run with every kind of reason and fate', run([everything])],
  ['run over nothing', run([])],
];

describe('the JSON report', () => {
  it.each(RUNS)('of a %s is what the schema says', (_, made) => {
    validate(reportJson(made));
    expect(validate.errors).toBeNull();
  });

  it.each(RUNS)('of a %s is the same in chunks', (_, made) => {
    expect(JSON.parse([...reportLines(made)].join(''))).toEqual(reportJson(made));
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
      },
      {
        ...common,
        digest: d('gone'),
        fate: 'gone',
        reason: { kind: 'referrer', of: d('s') },
        created: '2026-11-23T03:00:00.000Z',
      },
      {
        ...common,
        digest: d('spared'),
        fate: 'spared',
        keptReason: { kind: 'tagged', tags: ['v1'] },
        reason: { kind: 'digest-tag', tag: 't', of: d('s') },
        created: '1970-01-01T00:00:00.000Z',
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
    ]);
  });

  it('comes in small chunks, however large the run', () => {
    const names = Array.from({ length: 50_000 }, (_, at) => String(at));
    const large = run([
      {
        ...everything,
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
