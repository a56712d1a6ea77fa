import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { PLAN_VERSION, readApproval } from '../../src/plan/approval.js';
import type { DeleteReason } from '../../src/plan/reasons.js';
import { digestOf, type Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { planLines, whyNoPlan } from '../../src/report/plan-file.js';
import type { RepositoryRun, Run } from '../../src/run/run.js';
import {
  appliedRun,
  blindDryRun,
  byDigest,
  child,
  cleanRun,
  d,
  dry,
  guardedDryRun,
  image,
  index,
  inventory,
  NOW,
  orphan,
  plan,
  planningDryRun,
  run,
  unswept,
  troubledRun,
} from '../support/builders/examples.js';

const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const schema = JSON.parse(read('docs/plan-file.schema.json')) as object;
const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormatsModule.default(ajv);
const validate = ajv.compile(schema);

const plain = (text: string) => text;

/** What the file says, for a look at its fields. */
interface PlanFile {
  readonly manifests: number;
  readonly repositories: readonly {
    readonly repository: string;
    readonly refusal?: string;
    readonly manifests: readonly Record<string, unknown>[];
  }[];
}

function written(made: Run, redact = plain): string {
  return [...planLines(made, redact)].join('');
}

function parsed(made: Run): PlanFile {
  return JSON.parse(written(made)) as PlanFile;
}

/** The orphans of a run, as a plan that is read back should have them. */
function orphansOf({ repositories }: Run): Map<string, Set<Digest>> {
  return new Map(
    repositories
      .filter(({ plan: { orphans } }) => orphans.length > 0)
      .map(({ plan: { repository, orphans } }) => [
        repository,
        new Set(orphans.map(({ digest }) => digest)),
      ]),
  );
}

describe('the plan file', () => {
  it.each([
    ['with a multi-platform image', dry(cleanRun())],
    ['with nothing to delete', blindDryRun()],
    ['with gaps', dry(troubledRun())],
    ['with repositories that are held back', guardedDryRun()],
    ['of a plan that is looked at again', dry(appliedRun())],
    ['over nothing', run([], { dryRun: true })],
  ])(
    'is what the schema says for a dry-run %s, and is read back with the same digests',
    (_, made) => {
      validate(JSON.parse(written(made)));
      expect(validate.errors).toBeNull();
      expect(readApproval(written(made), made.settings.registry.origin)).toEqual({
        createdAt: made.startedAt,
        repositories: orphansOf(made),
      });
    },
  );

  it('says what each manifest is and why it is an orphan, in the order of the deletes', () => {
    const { manifests, repositories } = parsed(dry(cleanRun()));
    expect(manifests).toBe(6);
    expect(repositories.map(({ repository }) => repository)).toEqual(['team/api', 'team/web']);
    const [first, second, , , last] = repositories[1]?.manifests ?? [];
    expect(first).toEqual({
      digest: d('old index'),
      what: 'index of linux/amd64, linux/arm64/v8',
      why: 'no tag, and nothing that stays refers to it',
      reason: { kind: 'unreachable' },
      mediaType: 'application/vnd.oci.image.index.v1+json',
      bytes: 900,
    });
    expect(second).toMatchObject({
      digest: d('old amd64'),
      what: 'image linux/amd64',
      reason: { kind: 'child', of: d('old index') },
      bytes: 630_002_000,
    });
    expect(last).toMatchObject({
      what: `signature of ${d('old index').slice(0, 19)}`,
      reason: { kind: 'digest-tag', of: d('old index') },
    });
  });

  it('says where it comes from', () => {
    expect(JSON.parse(written(dry(cleanRun())))).toMatchObject({
      planVersion: PLAN_VERSION,
      registry: 'https://registry.example.com',
      createdAt: '2026-11-23T02:59:48.000Z',
      workflowRun: { url: 'https://github.com/team/ops/actions/runs/1' },
    });
    expect(JSON.parse(written(blindDryRun()))).not.toHaveProperty('workflowRun');
  });

  it('holds what a run would refuse, with the reason: it is what a plan may be approved for', () => {
    const { repositories } = parsed(guardedDryRun());
    const refusals = repositories.map(({ repository, refusal }) => [repository, refusal ?? '']);
    expect(refusals).toEqual([
      ['team/app', ''],
      ['team/emptied', expect.stringContaining('no tag is left')],
      ['team/halved', expect.stringContaining('3 of the 3 manifests')],
      ['team/locked', expect.stringContaining("can't delete in team/locked")],
      ['team/web', ''],
    ]);
  });

  it('advises nobody who has it to make one', () => {
    const text = written(planningDryRun());
    expect(text).toContain('carry it out with `apply-plan`');
    expect(text).not.toContain('plan-file');
  });

  it('holds a manifest that was not read by its digest alone', () => {
    const made = run([
      unswept({
        inventory: inventory('a'),
        plan: plan('a', { orphans: [orphan('x')] }),
        warnings: [],
      }),
    ]);
    expect(parsed(made).repositories[0]?.manifests).toEqual([
      {
        digest: d('x'),
        what: 'unknown manifest',
        why: 'no tag, and nothing that stays refers to it',
        reason: { kind: 'unreachable' },
      },
    ]);
  });

  it('has one line for each manifest', () => {
    const lines = written(dry(cleanRun())).split('\n');
    expect(lines.filter((line) => line.startsWith('{"digest":"sha256:'))).toHaveLength(6);
    expect(lines.at(-1)).toBe('');
  });

  it('comes in small chunks, however large the run', () => {
    const names = Array.from({ length: 50_000 }, (_, at) => String(at));
    const large = run([
      unswept({
        inventory: inventory('a'),
        plan: plan('a', { orphans: names.map((name) => orphan(name)) }),
        warnings: [],
      }),
    ]);
    const longest = [...planLines(large, plain)].reduce(
      (most, { length }) => Math.max(most, length),
      0,
    );
    expect(longest).toBeLessThan(1_000);
  });

  it('has no secret of the run, and is a plan all the same', () => {
    const secret = 'hunter2-"quoted"';
    const made = dry(
      run([
        unswept({
          inventory: inventory('a', {
            manifests: byDigest(
              image('x', [], { mediaType: `application/${secret}`, artifactType: secret }),
              index('y', [child('z', { platform: { os: secret, architecture: secret } })]),
            ),
          }),
          plan: plan('a', { orphans: [orphan('x'), orphan('y')] }),
          refusal: { kind: 'no-rights', why: `these credentials (${secret}) can't` },
          warnings: [],
        }),
      ]),
    );
    const text = written(made, (each) => each.replaceAll(secret, '***'));
    expect(text).not.toContain('hunter2');
    expect(text.match(/\*\*\*/g)?.length).toBeGreaterThanOrEqual(4);
    validate(JSON.parse(text));
    expect(validate.errors).toBeNull();
    expect(readApproval(text, made.settings.registry.origin).repositories).toEqual(orphansOf(made));
  });

  describe('of a run with a secret', () => {
    const made = dry(
      run(
        ['cap/app', 'cap/web'].map((name) =>
          unswept({
            inventory: inventory(name),
            plan: plan(name, { orphans: name === 'cap/app' ? [orphan('x')] : [] }),
            warnings: [],
          }),
        ),
      ),
    );
    const why = (secret: string) =>
      whyNoPlan(made, (each) => (secret === '' ? each : each.replaceAll(secret, '***')));

    it.each([
      ['app', 'The name of a repository, cap/***, has'],
      ['cap/app', 'The name of a repository, ***, has'],
      [d('x').slice(7, 20), `A digest, sha256:***${d('x').slice(20)}, has`],
      ['registry.example', "The registry's address, https://***.com, has"],
      [String(new Date(made.startedAt).getUTCFullYear()), 'The time of the plan, ***-'],
    ])('cannot be written where the secret is part of what is read again: %s', (secret, words) => {
      const said = why(secret) ?? '';
      expect(said).toContain(`no plan was written. ${words}`);
      expect(said).toContain("Give the account a password that is no part of a repository's name");
      expect(said.length).toBeLessThan(500);
    });

    it.each(['', 'hunter2', 'web', 'unreachable'])(
      'is written where the secret is no part of that: %j',
      (secret) => {
        expect(why(secret)).toBeUndefined();
      },
    );
  });

  it('is refused for another registry', () => {
    expect(() => readApproval(written(dry(cleanRun())), 'https://other.example.com')).toThrow(
      'and `registry-url` is https://other.example.com',
    );
  });

  const digest = fc.integer().map((number) => digestOf(Buffer.from(String(number))));
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('::error::x', '<b>', '\r\n', '`', '"', '\\', 'x'.repeat(500)),
  );
  const reason: fc.Arbitrary<DeleteReason> = fc.oneof(
    fc.constant({ kind: 'unreachable' as const }),
    digest.map((of) => ({ kind: 'child' as const, of })),
    digest.map((of) => ({ kind: 'referrer' as const, of })),
    digest.map((subject) => ({ kind: 'dangling' as const, subject })),
    fc.record({ kind: fc.constant('digest-tag' as const), tag: text, of: digest }),
  );
  const manifest: fc.Arbitrary<Manifest> = fc
    .record({ name: fc.nat(40).map(String), text, isIndex: fc.boolean() })
    .map(({ name, text: said, isIndex }) =>
      isIndex
        ? index(name, [child('c', { platform: { os: said, architecture: said } })], {
            mediaType: said,
          })
        : image(name, [], { mediaType: said, artifactType: said }),
    );
  const repository: fc.Arbitrary<RepositoryRun> = fc
    .record({
      name: fc.stringMatching(/^[a-z0-9]{1,8}(?:\/[a-z0-9]{1,8})?$/),
      manifests: fc.array(manifest, { maxLength: 4 }),
      reasons: fc.array(fc.tuple(digest, reason), { maxLength: 6 }),
      why: fc.option(text, { nil: undefined }),
    })
    .map(({ name, manifests, reasons, why }) => {
      const known = manifests.map((one) => ({
        digest: one.digest,
        reason: { kind: 'unreachable' as const },
      }));
      const others = reasons.map(([each, because]) => ({ digest: each, reason: because }));
      const orphans = new Map(
        [...known, ...others].map((one) => [one.digest, { ...one, after: [] }]),
      );
      return unswept({
        inventory: inventory(name, { manifests: byDigest(...manifests) }),
        plan: plan(name, { orphans: [...orphans.values()] }),
        ...(why === undefined ? {} : { refusal: { kind: 'no-rights', why } as const }),
        warnings: [],
      });
    });

  it('is what the schema says for any run, and is read back with the same digests', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(repository, {
          maxLength: 4,
          selector: ({ plan: { repository: name } }) => name,
        }),
        fc.integer({ min: Date.UTC(2000, 0), max: NOW }),
        (repositories, startedAt) => {
          const made = run(repositories, { dryRun: true, startedAt });
          validate(JSON.parse(written(made)));
          expect(validate.errors).toBeNull();
          expect(readApproval(written(made), made.settings.registry.origin)).toEqual({
            createdAt: startedAt,
            repositories: orphansOf(made),
          });
          expect(parsed(made).manifests).toBe(
            repositories.reduce((sum, each) => sum + each.plan.orphans.length, 0),
          );
        },
      ),
    );
  });

  it('has a valid example in docs/plan-file.md', () => {
    const [, example = ''] = /```json\n([^]*?)```/.exec(read('docs/plan-file.md')) ?? [];
    validate(JSON.parse(example));
    expect(validate.errors).toBeNull();
    expect(readApproval(example, 'https://registry.example.com').repositories.size).toBe(1);
  });

  it.each(Object.keys((schema as { properties: object }).properties))(
    'of docs/plan-file.md has the field %s told',
    (field) => {
      expect(read('docs/plan-file.md')).toContain(`| \`${field}\``);
    },
  );
});

describe('an edited plan', () => {
  const file = JSON.parse(written(dry(cleanRun()))) as Record<string, unknown> & PlanFile;
  const edited = (more: object) =>
    readApproval(JSON.stringify({ ...file, ...more }), 'https://registry.example.com');

  it('may list less, or more by the digest alone', () => {
    const less = file.repositories.slice(1);
    expect([...edited({ repositories: less }).repositories.keys()]).toEqual(['team/web']);
    const more = [...file.repositories, { repository: 'a', manifests: [{ digest: d('x') }] }];
    expect(edited({ repositories: more }).repositories.get('a')).toEqual(new Set([d('x')]));
  });

  it('may say anything where it is not read again', () => {
    const same = edited({}).repositories;
    expect(edited({ manifests: 0, workflowRun: null, comment: 'looks good' }).repositories).toEqual(
      same,
    );
    const bare = file.repositories.map(({ repository: name, manifests }) => ({
      repository: name,
      refusal: 7,
      manifests: manifests
        .map(({ digest: each }) => ({ digest: each, why: 'changed my mind' }))
        .reverse(),
    }));
    expect(edited({ repositories: bare }).repositories).toEqual(same);
  });
});
