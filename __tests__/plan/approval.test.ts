import { describe, expect, it } from '@jest/globals';

import { ApprovalError, PLAN_VERSION, readApproval } from '../../src/plan/approval.js';
import { digestOf, type Digest } from '../../src/oci/digest.js';
import { reportLines } from '../../src/report/json.js';
import { planLines } from '../../src/report/plan-file.js';
import { troubledRun } from '../support/builders/examples.js';

const REGISTRY = 'https://registry.example.com';
const MADE = '2026-01-02T03:04:05.678Z';
const [one, two, three] = ['one', 'two', 'three'].map((text) => digestOf(Buffer.from(text))) as [
  Digest,
  Digest,
  Digest,
];

const entry = (digest: unknown, more: object = {}) => ({ digest, ...more });
const of = (repository: unknown, ...manifests: readonly unknown[]) => ({ repository, manifests });

/** A plan as a dry-run writes it, or with these fields instead. */
function plan(more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    planVersion: PLAN_VERSION,
    registry: REGISTRY,
    createdAt: MADE,
    manifests: 2,
    repositories: [
      {
        ...of(
          'team/app',
          entry(one, { what: 'image', why: 'no tag', reason: { kind: 'unreachable' } }),
          entry(two, { mediaType: 'application/json', bytes: 3 }),
        ),
        refusal: 'a real run would refuse it',
      },
    ],
    ...more,
  });
}

/** The message of the refusal, without what all of them begin and end with. */
function refusalOf(text: string, registry = REGISTRY, remedy = 'Make a new plan'): string {
  const again = `. ${remedy}: a run with \`dry-run: true\` and \`plan-file\` [apply-plan-unusable]`;
  try {
    readApproval(text, registry);
  } catch (error) {
    expect(error).toBeInstanceOf(ApprovalError);
    const { message } = error as ApprovalError;
    expect(message.startsWith('apply-plan: ')).toBe(true);
    expect(message.endsWith(again)).toBe(true);
    return message.slice('apply-plan: '.length, -again.length);
  }
  throw new Error('the plan was taken');
}

/** What to do about a plan of another registry. */
const ALIKE = 'Spell them alike if they are the same, or make a new plan';

/** The repositories of a plan that is taken. */
const approved = (text: string) => readApproval(text, REGISTRY).repositories;

describe('a plan', () => {
  it('tells which manifests may be deleted, where, and when that was found', () => {
    expect(readApproval(plan(), REGISTRY)).toEqual({
      createdAt: Date.parse(MADE),
      repositories: new Map([['team/app', new Set([one, two])]]),
    });
  });

  it('is read as a dry-run wrote it', () => {
    const run = troubledRun();
    const written = [...planLines(run, (text) => text)].join('');
    const orphans = run.repositories.filter(({ plan: { orphans: list } }) => list.length > 0);
    expect(orphans.length).toBeGreaterThan(0);
    expect(approved(written)).toEqual(
      new Map(
        orphans.map(({ plan: { repository, orphans: list } }) => [
          repository,
          new Set(list.map(({ digest }) => digest)),
        ]),
      ),
    );
  });

  it('may be empty, and may have empty repositories', () => {
    expect(approved(plan({ repositories: [] }))).toEqual(new Map());
    expect(approved(plan({ repositories: [of('team/app')] }))).toEqual(
      new Map([['team/app', new Set()]]),
    );
  });

  it('may name a repository or a manifest twice', () => {
    const repositories = [of('team/app', entry(one), entry(one)), of('team/app', entry(two))];
    expect(approved(plan({ repositories }))).toEqual(new Map([['team/app', new Set([one, two])]]));
  });

  it('may name sha512 digests', () => {
    const digest = digestOf(Buffer.from('long'), 'sha512');
    expect(approved(plan({ repositories: [of('team/app', entry(digest))] }))).toEqual(
      new Map([['team/app', new Set([digest])]]),
    );
  });

  it('may be millions of lines long and have fields that nobody knows', () => {
    const manifests = Array.from({ length: 100_000 }, (_, n) =>
      entry(`sha256:${n.toString(16).padStart(64, '0')}`, { note: 'x'.repeat(50) }),
    );
    const read = approved(plan({ repositories: [of('team/app', ...manifests)], future: [1, 2] }));
    expect(read.get('team/app')?.size).toBe(100_000);
  });
});

describe('a refusal of a plan', () => {
  it.each<[string, string]>([
    ['an empty file', ''],
    ['a list of digests', `team/app@${one}\n`],
    ['a plan that was cut off', plan().slice(0, -1)],
    ['a plan and something after it', `${plan()}{}`],
  ])('says that it isn’t valid JSON: %s', (_, text) => {
    expect(refusalOf(text)).toBe("the file isn't valid JSON");
  });

  it.each<[string, string]>([
    ['null', 'null'],
    ['a list', `[${plan()}]`],
    ['a text', JSON.stringify(plan())],
    ['an object without a version', JSON.stringify({ registry: REGISTRY, repositories: [] })],
    ['a version that is a text', plan({ planVersion: '1' })],
    ['a version in its prototype', `{"__proto__":${plan()}}`],
    ['a report', [...reportLines(troubledRun())].join('')],
  ])('says that it isn’t a plan: %s', (_, text) => {
    expect(refusalOf(text)).toBe("the file isn't a plan of this action");
  });

  it.each([0, 2, -1, 1.5, 1e300])('names the version %d', (planVersion) => {
    // Of another version nothing else is looked at: it may look quite different.
    expect(refusalOf(JSON.stringify({ planVersion }))).toBe(
      `the plan is of version ${String(planVersion)}, and this action understands version 1`,
    );
  });

  it.each([
    ['host', 'https://registry.example.org'],
    ['port', 'https://registry.example.com:5000'],
    ['scheme', 'http://registry.example.com'],
  ])('names another %s', (_, registry) => {
    expect(refusalOf(plan({ registry }), REGISTRY, ALIKE)).toBe(
      `the plan is of "${registry}", and \`registry-url\` is ${REGISTRY}`,
    );
    expect(refusalOf(plan(), registry, ALIKE)).toBe(
      `the plan is of "${REGISTRY}", and \`registry-url\` is ${registry}`,
    );
  });

  it.each<[string, string]>([
    ['a text', 'yesterday'],
    ['a day alone', '2026-01-02'],
    ['a month that there is not', '2026-13-02T03:04:05Z'],
    ['a form that is no time to JavaScript', '2026-01-02T03:04:05+05'],
  ])('names a time that is %s', (_, createdAt) => {
    expect(refusalOf(plan({ createdAt }))).toMatch(/^the plan can't be trusted: at createdAt, /);
  });

  it.each<[string, unknown]>([
    ['a path', '../../etc'],
    ['another route', 'team/app/manifests/../../other'],
    ['upper case', 'Team/App'],
    ['a host', 'registry.example.com:5000/app'],
    ['a query', 'team/app?n=1'],
    ['a line break', 'team/app\n'],
    ['nothing', ''],
    ['a name that is too long', 'a'.repeat(256)],
  ])('names a repository that is %s', (_, name) => {
    const repositories = [of('team/app', entry(one)), of(name, entry(two))];
    expect(refusalOf(plan({ repositories }))).toBe(
      "the plan can't be trusted: at repositories.1.repository, it isn't the name of a repository",
    );
  });

  it.each<[string, unknown]>([
    ['a tag', 'latest'],
    ['too short', one.slice(0, -1)],
    ['too long', `${one}0`],
    ['in upper case', one.toUpperCase()],
    ['of another algorithm', `sha1:${'0'.repeat(40)}`],
    ['without its algorithm', one.slice('sha256:'.length)],
    ['a digest and a line break', `${one}\n`],
    ['a digest and a query', `${one}?force=true`],
    ['a number', 7],
    ['null', null],
    ['a list with a digest', [one]],
    ['missing', undefined],
  ])('names a digest that is %s', (_, digest) => {
    const repositories = [of('team/app', entry(one), entry(two), entry(digest), entry(three))];
    expect(refusalOf(plan({ repositories }))).toMatch(
      digest === undefined
        ? /^the plan can't be trusted: at repositories\.0\.manifests\.2\.digest, /
        : /^the plan can't be trusted: at repositories\.0\.manifests\.2\.digest, it isn't the digest of a manifest$/,
    );
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no registry', { registry: undefined }, 'registry'],
    ['a registry that is an object', { registry: {} }, 'registry'],
    ['a time that is a number', { createdAt: 1_700_000_000_000 }, 'createdAt'],
    ['no repositories', { repositories: undefined }, 'repositories'],
    ['repositories by name', { repositories: { 'team/app': [one] } }, 'repositories'],
    ['a repository that is null', { repositories: [null] }, 'repositories.0'],
    ['a name that is a list', { repositories: [of(['a'])] }, 'repositories.0.repository'],
    [
      'manifests by digest',
      { repositories: [{ repository: 'team/app', manifests: { [one]: {} } }] },
      'repositories.0.manifests',
    ],
    ['bare digests', { repositories: [of('team/app', one)] }, 'repositories.0.manifests.0'],
  ])('names the place of %s', (_, more, where) => {
    expect(refusalOf(plan(more))).toMatch(
      new RegExp(`^the plan can't be trusted: at ${where.replaceAll('.', '\\.')}, `),
    );
  });
});

describe('a hostile plan', () => {
  it('changes no prototype, and its keys are no fields', () => {
    const hostile = plan({ repositories: [] })
      .replace('{', '{"__proto__":{"registry":"x","polluted":true},"constructor":{"prototype":1},')
      .replace('"repositories":[]', `"repositories":[{"repository":"team/app","manifests":[]}]`);
    expect(approved(hostile)).toEqual(new Map([['team/app', new Set()]]));
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    const inherited = plan({ repositories: [] }).replace(
      '"repositories":[]',
      `"repositories":[{"repository":"team/app","manifests":[{"__proto__":{"digest":"${one}"}}]}]`,
    );
    expect(refusalOf(inherited)).toMatch(/at repositories\.0\.manifests\.0\.digest, /);
  });

  it('takes names such as `constructor` as plain names', () => {
    expect([...approved(plan({ repositories: [of('constructor', entry(one))] }))]).toEqual([
      ['constructor', new Set([one])],
    ]);
  });

  it.each([
    ['where nobody looks', (deep: string) => plan().replace('{', `{"deep":${deep},`)],
    ['in an entry', (deep: string) => plan().replace('"no tag"', deep)],
    ['where a digest should be', (deep: string) => plan().replace(`"${one}"`, deep)],
  ])('is refused before it is parsed where it is very deep: %s', (_, write) => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    expect(refusalOf(write(deep))).toContain('the file holds more than a plan can');
  });

  it('is not quoted at length', () => {
    const long = 'x'.repeat(1_000_000);
    for (const more of [{ createdAt: long }, { repositories: long }, { repositories: [long] }]) {
      expect(refusalOf(plan(more)).length).toBeLessThan(300);
    }
    expect(refusalOf(plan({ registry: long }), REGISTRY, ALIKE).length).toBeLessThan(300);
  });

  it('is quoted on one line, without what a runner obeys or a password', () => {
    const said = 'x\n::error::y\u001b[31m\u202e##[group]https://me:hunter2@registry.example.com';
    const told = [
      refusalOf(plan({ registry: said }), REGISTRY, ALIKE),
      refusalOf(plan({ createdAt: said })),
    ];
    for (const line of told) {
      expect(line).toContain('x : :error: :y');
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}]|::|##\[|hunter2/u);
    }
  });
});
