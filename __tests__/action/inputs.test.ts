import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { readSettings } from '../../src/action/inputs.js';
import { DEFAULT_MAX_DELETES } from '../../src/plan/brakes.js';
import { PROTECT } from '../../src/plan/protection.js';
import { NO_PROTECTION } from '../support/builders/protections.js';
import { CodedError, withoutCodes } from '../../src/text/code.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
  runner.env('RUNNER_TEMP', runner.directory);
  ['GITHUB_SERVER_URL', 'GITHUB_API_URL'].forEach((name) => {
    runner.env(name, undefined);
  });
});
afterEach(() => {
  runner.restore();
});

const REGISTRY = { 'registry-url': 'registry.example.com' };
const HOUR = 3_600_000;
const DIGEST = `sha256:${'a1'.repeat(32)}`;

function settings(inputs: Readonly<Record<string, string>> = {}) {
  runner.inputs({ ...REGISTRY, ...inputs });
  return readSettings();
}

/** The message of the one error, without its headline. */
function mistakes(inputs: Readonly<Record<string, string>>): string[] {
  try {
    settings(inputs);
  } catch (error) {
    expect(error).toBeInstanceOf(CodedError);
    return error instanceof Error ? withoutCodes(error.message).split('\n').slice(1) : [];
  }
  return [];
}

describe('defaults', () => {
  const expected = () => ({
    registry: new URL('https://registry.example.com'),
    insecure: false,
    selection: { includes: expect.any(Function), names: undefined },
    namespaces: [],
    digests: '',
    digestsFiles: [],
    dryRun: false,
    gracePeriod: 24 * HOUR,
    unusedFor: 24 * HOUR,
    danglingReferrers: 'keep',
    keepUntagged: 0,
    protection: NO_PROTECTION,
    protectFiles: [],
    maxDeletes: DEFAULT_MAX_DELETES,
    verify: true,
    backupDirectory: join(runner.directory, 'registry-manifest-cleanup-backup'),
    ledger: { kind: 'auto' },
    registryType: 'auto',
    concurrency: 16,
  });

  it('apply without action.yml', () => {
    expect(settings()).toEqual(expected());
  });

  it('are the same in action.yml', () => {
    const action = parse(readFileSync('action.yml', 'utf8')) as {
      inputs: Record<string, { default?: string }>;
    };
    const inputs: Record<string, string> = {};
    for (const [name, { default: value = '' }] of Object.entries(action.inputs)) {
      inputs[name] = value;
    }
    expect(settings({ ...inputs, ...REGISTRY })).toEqual(expected());
  });

  it('apply to blank inputs', () => {
    const blank = [
      'username',
      'password',
      'github-token',
      'api-url',
      'concurrency',
      'ca-file',
      'repositories',
      'digests-file',
      'ledger-repository',
      'report-file',
      'keep-untagged',
      'protect',
      'protect-files',
      'max-deletes',
      'plan-file',
      'apply-plan',
      'verify',
      'backup-dir',
      'restore-from',
    ];
    expect(settings(Object.fromEntries(blank.map((name) => [name, ' \n '])))).toEqual(expected());
  });
});

describe('registry-url', () => {
  it.each([
    ['registry.example.com', 'https://registry.example.com'],
    ['registry.example.com:5000', 'https://registry.example.com:5000'],
    ['https://registry.example.com', 'https://registry.example.com'],
    ['HTTPS://Registry.Example.com/', 'https://registry.example.com'],
    ['http://registry.example.com', 'http://registry.example.com'],
    ['https://registry.example.com:443', 'https://registry.example.com'],
    ['registry.example.com/v2/', 'https://registry.example.com'],
    ['registry.example.com/v2', 'https://registry.example.com'],
    ['localhost', 'http://localhost'],
    ['localhost:5000', 'http://localhost:5000'],
    ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
    ['127.8.9.1', 'http://127.8.9.1'],
    ['[::1]:5000', 'http://[::1]:5000'],
    ['https://localhost:5000', 'https://localhost:5000'],
    ['localhost.example.com', 'https://localhost.example.com'],
    ['127.0.0.1.example.com', 'https://127.0.0.1.example.com'],
    ['10.0.0.1:5000', 'https://10.0.0.1:5000'],
    [' registry.example.com \n', 'https://registry.example.com'],
  ])('%j is %s', (text, origin) => {
    expect(settings({ 'registry-url': text }).registry).toEqual(new URL(origin));
  });

  it.each([
    [''],
    ['https://'],
    ['registry.example.com/team/app'],
    ['registry.example.com?x=1'],
    ['registry.example.com#x'],
    ['ftp://registry.example.com'],
    ['file:///etc/passwd'],
    ['registry.example.com:99999'],
    ['two words'],
  ])('%j is a mistake', (text) => {
    expect(mistakes({ 'registry-url': text })).toEqual([
      `- registry-url is ${text === '' ? 'empty' : `"${text}"`}; it takes a registry as \`host\`, ` +
        '`host:port` or `https://host:port`, without a path, user name or query',
    ]);
  });

  it.each([
    'https://user:hunter2@registry.example.com',
    'user:hunter2@registry.example.com',
    'hunter2@registry.example.com',
    'https://user:hunter2@registry.example.com:99999',
    'https://user:hunter2@registry example.com',
    'https://user:hunter2@',
  ])('is a mistake with credentials, and not printed: %s', (text) => {
    const [mistake, ...more] = mistakes({ 'registry-url': text });
    expect(mistake).toMatch(/^- registry-url: it takes .*`username` and `password`/);
    expect(mistake).not.toContain('hunter2');
    expect(more).toEqual([]);
  });
});

describe('username and password', () => {
  it('are given together', () => {
    expect(settings({ username: 'robot$ci', password: 'a:b c' }).login).toEqual({
      username: 'robot$ci',
      password: 'a:b c',
    });
    expect(settings().login).toBeUndefined();
  });

  it('have the password masked, also when something is wrong', () => {
    settings({ username: 'u', password: 'hunter2' });
    expect(runner.printed()).toBe('::add-mask::hunter2\n');
    mistakes({ password: 'hunter3' });
    expect(runner.lines()).toContain('::add-mask::hunter3');
  });

  it.each([
    [{ username: 'u' }, /^- password is empty; it takes the password or token .*`username`/],
    [{ password: 'hunter2' }, /^- username is empty; it takes the account .*`password`/],
    [
      { username: 'u:hunter2', password: 'hunter2' },
      /^- username: it takes a name without a colon/,
    ],
  ])('%j is a mistake, and prints no secret', (inputs, expected) => {
    const found = mistakes(inputs);
    expect(found).toEqual([expect.stringMatching(expected)]);
    expect(found.join()).not.toContain('hunter2');
  });
});

describe('github-token', () => {
  it('is masked, and not in the settings of a registry that is not of GitHub', () => {
    const { githubToken } = settings({ 'github-token': 'ghs_t0ken' });
    expect(githubToken).toBeUndefined();
    expect(runner.printed()).toBe('::add-mask::ghs_t0ken\n');
  });
});

describe('the GitHub that runs the workflow', () => {
  it('is in the settings', () => {
    runner.env('GITHUB_SERVER_URL', 'https://github.com');
    runner.env('GITHUB_API_URL', 'https://api.github.com');
    expect(settings().github).toEqual({
      server: new URL('https://github.com'),
      api: new URL('https://api.github.com'),
    });
  });
});

describe('registry-type and api-url', () => {
  it('are a mistake when there is no such family', () => {
    expect(mistakes({ 'registry-type': 'nothing' })).toEqual([
      expect.stringMatching(
        /^- registry-type is "nothing"; it takes `auto` or one of `.*`distribution`$/,
      ),
    ]);
  });

  it('are a mistake together where the family has no API', () => {
    const inputs = { 'registry-type': 'distribution', 'api-url': 'https://api.example.com' };
    expect(mistakes(inputs)).toEqual([
      '- api-url is "https://api.example.com"; it takes nothing: a registry of the type `distribution` has no API ' +
        'beside `/v2/`',
    ]);
  });
});

describe.each([
  ['insecure', 'insecure', false],
  ['dry-run', 'dryRun', false],
  ['verify', 'verify', true],
] as const)('%s', (input, key, otherwise) => {
  it.each([
    ['true', true],
    ['True', true],
    ['TRUE', true],
    ['false', false],
    ['False', false],
    ['FALSE', false],
    ['', otherwise],
  ])('%j is %s', (text, expected) => {
    expect(settings({ [input]: text })[key]).toBe(expected);
  });

  it.each(['yes', 'on', '1', 'tRUE', 'true false'])('%j is a mistake', (text) => {
    expect(mistakes({ [input]: text })).toEqual([
      `- ${input} is "${text}"; it takes \`true\` or \`false\``,
    ]);
  });
});

describe('ca-file', () => {
  it('is read', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
    expect(settings({ 'ca-file': runner.file('ca.pem', pem) }).ca).toBe(pem);
  });

  it('has to exist and hold certificates', () => {
    for (const [path, why] of [
      [runner.file('key.pem', '-----BEGIN PRIVATE KEY-----'), ''],
      [join(runner.directory, 'missing'), ': there is no such file'],
      [runner.directory, ': it is a directory'],
    ] as const) {
      expect(mistakes({ 'ca-file': path })).toEqual([
        `- ca-file is "${path.slice(0, 80)}${path.length > 80 ? '…' : ''}"${why}; it takes a readable file ` +
          'with PEM certificates (-----BEGIN CERTIFICATE-----)',
      ]);
    }
  });
});

describe('repositories', () => {
  it.each([
    ['team/app', ['team/app']],
    ['team/app, app', ['app', 'team/app']],
    ['team/app\n\n  app ,\n', ['app', 'team/app']],
    ['team/app\r\napp', ['app', 'team/app']],
    ['team/*', undefined],
    ['', undefined],
  ])('%j names %j', (text, names) => {
    expect(settings({ repositories: text }).selection.names).toEqual(names);
  });

  it('may be globs and exclusions', () => {
    const { selection } = settings({ repositories: 'team/**,!team/legacy-*' });
    expect(['team/app', 'team/legacy-1', 'app'].filter((name) => selection.includes(name))).toEqual(
      ['team/app'],
    );
  });

  it('are a mistake each when they are wrong', () => {
    expect(mistakes({ repositories: 'Team/App, team/app, a..b, !' })).toEqual([
      expect.stringMatching(
        /^- repositories is "Team\/App"; it takes .*not a repository name or glob$/,
      ),
      expect.stringMatching(/^- repositories is "a\.\.b"; it takes .*not a valid repository name$/),
      expect.stringMatching(/^- repositories is "!"; it takes /),
    ]);
  });
});

describe('digests and digests-file', () => {
  it('are passed on as they are', () => {
    expect(settings({ digests: 'a@sha256:1\nb@sha256:2' }).digests).toBe('a@sha256:1\nb@sha256:2');
  });

  it('take paths of files, one per line', () => {
    const [a, b] = [runner.file('a.txt'), runner.file('b, c.txt')];
    expect(settings({ 'digests-file': `${a}\n\n  ${b}\n` }).digestsFiles).toEqual([a, b]);
  });

  it('have a mistake for each file that can not be read', () => {
    const folder = join(runner.directory, 'folder');
    mkdirSync(folder);
    expect(mistakes({ 'digests-file': `${folder}\n${runner.file('a')}\nmissing.txt` })).toEqual([
      expect.stringMatching(/^- digests-file is ".*": it is a directory; it takes paths of files/),
      '- digests-file is "missing.txt": there is no such file; it takes paths of files, one per line',
    ]);
  });

  it('have a mistake for a path through a file, and for a link that leads nowhere', () => {
    const through = join(runner.file('a'), 'b');
    const link = join(runner.directory, 'link');
    symlinkSync('gone', link);
    for (const path of [through, link]) {
      expect(mistakes({ 'digests-file': path })).toEqual([
        expect.stringContaining('": there is no such file; it takes'),
      ]);
    }
  });

  it('have a mistake for a link to itself', () => {
    const loop = join(runner.directory, 'loop');
    symlinkSync('loop', loop);
    expect(mistakes({ 'digests-file': loop })).toEqual([
      expect.stringContaining(`": it can't be read; it takes`),
    ]);
  });

  it('have a mistake for a file without the right to read it', () => {
    const path = runner.file('secret.txt');
    chmodSync(path, 0o000);
    // Root may read everything: then it is no mistake.
    const told = mistakes({ 'digests-file': path }).map((line) => /": (.*);/.exec(line)?.[1]);
    expect(told).toEqual(process.getuid?.() === 0 ? [] : ["it can't be read"]);
  });
});

describe('grace-period', () => {
  it.each([
    ['90m', 1.5 * HOUR],
    ['24h', 24 * HOUR],
    ['7d', 168 * HOUR],
    ['7 days', 168 * HOUR],
    ['1.5h', 1.5 * HOUR],
    ['2w', 336 * HOUR],
    ['30s', 30_000],
    ['6m', HOUR / 10],
    ['24H', 24 * HOUR],
    ['6 hours', 6 * HOUR],
    ['1 day', 24 * HOUR],
    ['2 weeks', 336 * HOUR],
    ['1y', 8766 * HOUR],
    ['90 Minutes', 1.5 * HOUR],
    ['0', 0],
    ['0h', 0],
    ['', 24 * HOUR],
  ])('%j is a duration', (text, expected) => {
    expect(settings({ 'grace-period': text }).gracePeriod).toBe(expected);
  });

  it.each([
    '24',
    '-1h',
    'soon',
    '500ms',
    '6 ',
    '1,5h',
    '1 h o',
    '1 fortnight',
    'h',
    '1e3h',
    'Infinityh',
    `${'1'.repeat(200)}h`,
  ])('%j is a mistake', (text) => {
    const [mistake, ...more] = mistakes({ 'grace-period': text });
    expect(mistake).toMatch(
      /^- grace-period is ".*"; it takes a duration with its unit, such as `90m`, `24h` or `7d`/,
    );
    expect(mistake?.length).toBeLessThan(250);
    expect(more).toEqual([]);
  });
});

describe('a mistake in grace-period', () => {
  it.each(['6M', '6 M', '6mo', '6 months', '1 Month', '3MO', '1mth'])(
    'says that a month has no fixed length: %j',
    (text) => {
      expect(mistakes({ 'grace-period': text })).toEqual([
        expect.stringMatching(
          /": a month has no fixed length, so `M` and `mo` are not known: write days/,
        ),
      ]);
    },
  );

  it.each([
    ['1h30m', 'there is more than one unit: write `90m` for `1h30m`'],
    ['1 day 2 hours', 'there is more than one unit'],
    ['101y', 'it is longer than 100 years'],
    ['999999999999999y', 'it is longer than 100 years'],
  ])('says what is wrong with %j', (text, why) => {
    expect(mistakes({ 'grace-period': text })).toEqual([expect.stringContaining(`": ${why}`)]);
  });
});

describe('dangling-referrers', () => {
  it.each([
    ['keep', 'keep'],
    ['delete', 'delete'],
    ['', 'keep'],
  ])('%j is %s', (text, expected) => {
    expect(settings({ 'dangling-referrers': text }).danglingReferrers).toBe(expected);
  });
  it.each(['Delete', 'true', 'remove'])('%j is a mistake', (text) => {
    expect(mistakes({ 'dangling-referrers': text })).toEqual([
      `- dangling-referrers is "${text}"; it takes \`keep\` or \`delete\``,
    ]);
  });
});

describe('keep-untagged', () => {
  it.each([
    ['0', 0],
    ['3', 3],
    ['007', 7],
    ['1000000', 1_000_000],
    ['', 0],
  ])('%j is %i', (text, expected) => {
    expect(settings({ 'keep-untagged': text }).keepUntagged).toBe(expected);
  });

  it.each(['-1', '1.5', '1000001', '10000000', 'all', '3 per image', '1e2', '0x10', '+3', '3%'])(
    '%j is a mistake',
    (text) => {
      expect(mistakes({ 'keep-untagged': text })).toEqual([
        `- keep-untagged is "${text}"; it takes a whole number from 0 to 1000000`,
      ]);
    },
  );
});

describe('protect', () => {
  it('is read with the registry’s own host', () => {
    const text = `${DIGEST}, team/**\nregistry.example.com/app@${DIGEST}`;
    expect(settings({ protect: text }).protection).toEqual({
      digests: new Map([[DIGEST, [PROTECT]]]),
      pinned: new Map([['app', new Set([DIGEST])]]),
      repositories: ['team/**'],
    });
  });

  it('knows the host without the scheme that `registry-url` may have', () => {
    const inputs = {
      'registry-url': 'http://localhost:5000',
      protect: `localhost:5000/a@${DIGEST}`,
    };
    expect([...settings(inputs).protection.pinned.keys()]).toEqual(['a']);
  });

  it('has a mistake for each wrong entry', () => {
    const text = `Team/App, app, !app\nother.example.com/app@${DIGEST}`;
    const takes =
      'digests, `repository@sha256:…` and repository names or globs such as `team/**`, without exclusions';
    expect(mistakes({ protect: text })).toEqual([
      `- protect is "Team/App"; it takes ${takes}`,
      `- protect is "!app"; it takes ${takes}`,
      `- protect is "other.example.com/app@${DIGEST.slice(0, 57)}…"; it takes ${takes}`,
    ]);
  });

  it('has a mistake for the host without its port, with the right spelling', () => {
    const inputs = { 'registry-url': 'http://127.0.0.1:5917', protect: '127.0.0.1/nest/**, app' };
    expect(mistakes(inputs)).toEqual([
      '- protect is "127.0.0.1/nest/**"; it takes the host of this registry with its port or not at all: ' +
        '`127.0.0.1:5917/nest/**` or `nest/**`, and `127.0.0.1:5917/127.0.0.1/nest/**` for a repository whose name begins so',
    ]);
  });

  it('is checked where `registry-url` is wrong, too', () => {
    expect(mistakes({ 'registry-url': '', protect: 'A' })).toEqual([
      expect.stringMatching(/^- registry-url is empty/),
      expect.stringMatching(/^- protect is "A"/),
    ]);
  });
});

describe('protect-files', () => {
  it('are globs, one per line, with comments between them', () => {
    const text = '\n deploy/**/*.yaml \r\n# not these:\n!deploy/tmp/**\n a,b.txt\n';
    expect(settings({ 'protect-files': text }).protectFiles).toEqual([
      'deploy/**/*.yaml',
      '!deploy/tmp/**',
      'a,b.txt',
    ]);
  });
});

describe('max-deletes', () => {
  it.each([
    ['500', { kind: 'count', count: 500 }],
    ['0', { kind: 'count', count: 0 }],
    ['999999999', { kind: 'count', count: 999_999_999 }],
    ['30%', { kind: 'share', percent: 30, exempt: 0 }],
    ['0%', { kind: 'share', percent: 0, exempt: 0 }],
    ['12.5%', { kind: 'share', percent: 12.5, exempt: 0 }],
    ['0.001%', { kind: 'share', percent: 0.001, exempt: 0 }],
    ['100%', { kind: 'share', percent: 100, exempt: 0 }],
    [' 30% \n', { kind: 'share', percent: 30, exempt: 0 }],
    ['', DEFAULT_MAX_DELETES],
  ])('%j is a limit', (text, expected) => {
    expect(settings({ 'max-deletes': text }).maxDeletes).toEqual(expected);
  });

  it.each([
    '-1',
    '-5%',
    '100.1%',
    '101%',
    '1000%',
    '1.5',
    '.5%',
    '5.%',
    '30 %',
    '30%%',
    '%',
    '1e3',
    '1_000',
    '1,000',
    '1000000000',
    'Infinity',
    'NaN',
    'none',
    'half',
    '5 manifests',
    '9'.repeat(300),
  ])('%j is a mistake', (text) => {
    const shown = text.length > 80 ? `${text.slice(0, 79)}…` : text;
    expect(mistakes({ 'max-deletes': text })).toEqual([
      `- max-deletes is "${shown}"; it takes a whole number of manifests for the run, or a share of each ` +
        'repository such as `30%`, up to `100%`',
    ]);
  });

  it('is no limit for a plan that somebody has seen, unless there is one', () => {
    const plan = runner.file('plan.json', '{}');
    expect(settings({ 'apply-plan': plan }).maxDeletes).toBeUndefined();
    expect(settings({ 'apply-plan': plan, 'max-deletes': '5' }).maxDeletes).toEqual({
      kind: 'count',
      count: 5,
    });
    expect(mistakes({ 'apply-plan': plan, 'max-deletes': 'x' })).toHaveLength(1);
    // What makes a plan is held by the brake that carrying it out will not have.
    const looking = { 'dry-run': 'true', 'plan-file': plan };
    expect(settings(looking).maxDeletes).toEqual(DEFAULT_MAX_DELETES);
  });
});

describe('plan-file, apply-plan and restore-from', () => {
  const [plan, directory] = ['plan.json', 'backup'];
  /** Each of them as it is right by itself. */
  const right = (): Record<string, string> => {
    mkdirSync(join(runner.directory, directory));
    return {
      'plan-file': join(runner.directory, 'new.json'),
      'apply-plan': runner.file(plan),
      'restore-from': join(runner.directory, directory),
    };
  };

  it('are passed on, each by itself', () => {
    const paths = right();
    const at = (name: string) => paths[name] ?? '';
    const dry = { 'dry-run': 'true' };
    const keys = {
      'plan-file': 'planFile',
      'apply-plan': 'applyPlan',
      'restore-from': 'restoreFrom',
    };
    for (const [name, key] of Object.entries(keys)) {
      const all = Object.entries(settings({ ...dry, [name]: at(name) }));
      const isMode = ([each, value]: (typeof all)[number]) =>
        Object.values(keys).includes(each) && value !== undefined;
      const modes = all.filter(isMode);
      expect(modes).toEqual([[key, at(name)]]);
    }
    expect(settings({ 'apply-plan': at('apply-plan') }).dryRun).toBe(false);
    expect(settings({ 'restore-from': at('restore-from') }).dryRun).toBe(false);
  });

  it.each([
    [['plan-file', 'apply-plan'], '`plan-file` and `apply-plan`'],
    [['plan-file', 'restore-from'], '`plan-file` and `restore-from`'],
    [['apply-plan', 'restore-from'], '`apply-plan` and `restore-from`'],
    [['plan-file', 'apply-plan', 'restore-from'], '`plan-file`, `apply-plan` and `restore-from`'],
  ])('%j exclude each other, and cause no other mistake', (names, told) => {
    const paths = right();
    const inputs = Object.fromEntries(names.map((name) => [name, paths[name] ?? '']));
    const message = `- ${told} exclude each other: give one of them`;
    expect(mistakes({ 'dry-run': 'true', ...inputs })).toEqual([message]);
    expect(mistakes(inputs)).toEqual([message]);
    const missing = Object.fromEntries(names.map((name) => [name, 'missing']));
    expect(mistakes({ ...missing, 'report-file': 'missing' })).toEqual([message]);
  });

  it('write a plan only in a dry-run', () => {
    for (const run of [{}, { 'dry-run': 'false' }] as Record<string, string>[]) {
      expect(mistakes({ ...run, 'plan-file': 'plan.json' })).toEqual([
        '- plan-file is "plan.json"; it takes a path together with `dry-run: true`, since only a dry-run writes a plan',
      ]);
    }
  });

  it('take a readable file as the plan to carry out', () => {
    const takes = 'it takes the path of a plan that a dry-run wrote as its `plan-file`';
    expect(mistakes({ 'apply-plan': 'missing.json' })).toEqual([
      `- apply-plan is "missing.json": there is no such file; ${takes}`,
    ]);
    expect(mistakes({ 'apply-plan': '.' })).toEqual([
      `- apply-plan is ".": it is a directory; ${takes}`,
    ]);
  });

  it('restore from a directory', () => {
    const takes = 'it takes a directory that a run of this action left as its `backup-dir`';
    expect(mistakes({ 'restore-from': 'missing' })).toEqual([
      `- restore-from is "missing": there is no such directory; ${takes}`,
    ]);
    expect(mistakes({ 'restore-from': 'package.json' })).toEqual([
      `- restore-from is "package.json": it isn't a directory; ${takes}`,
    ]);
  });

  it.each([
    ['plan.json', 'plan.json'],
    ['out/plan.json', './out/../out/plan.json'],
    ['plan.json', join(process.cwd(), 'plan.json')],
  ])('have no plan and report in the same file: %j, %j', (planFile, reportFile) => {
    const inputs = { 'dry-run': 'true', 'plan-file': planFile, 'report-file': reportFile };
    expect(mistakes(inputs)).toEqual([
      expect.stringMatching(
        /^- report-file is ".*": the `plan-file` has the same path; it takes a path of its own$/,
      ),
    ]);
    expect(mistakes({ ...inputs, 'report-file': `${reportFile}.report` })).toEqual([]);
  });

  it('are not written to a file that is read', () => {
    const file = runner.file('plan-to-apply.json', '{}');
    const told = (input: string) => [
      `- report-file is "${file}": the \`${input}\` has the same path; it takes a path of its own`,
    ];
    expect(mistakes({ 'apply-plan': file, 'report-file': file })).toEqual(told('apply-plan'));
    expect(mistakes({ 'digests-file': file, 'report-file': file })).toEqual(told('digests-file'));
    const link = join(runner.directory, 'link.json');
    symlinkSync(file, link);
    expect(mistakes({ 'digests-file': link, 'report-file': file })).toEqual(told('digests-file'));
  });

  it('restore from the directory of backup-dir, because a restore saves nothing', () => {
    const { 'restore-from': backup = '' } = right();
    expect(mistakes({ 'restore-from': backup, 'backup-dir': backup })).toEqual([]);
  });
});

describe('backup-dir', () => {
  it('is a path', () => {
    expect(settings({ 'backup-dir': 'out/backup' }).backupDirectory).toBe('out/backup');
  });

  it.each([undefined, ''])('is below the system’s directory where RUNNER_TEMP is %j', (value) => {
    runner.env('RUNNER_TEMP', value);
    expect(settings().backupDirectory).toBe(join(tmpdir(), 'registry-manifest-cleanup-backup'));
  });
});

describe('paths that are written to', () => {
  const at = (...names: string[]) => join(runner.directory, ...names);
  const here = () => readdirSync(runner.directory, { recursive: true }).sort();

  it('are tried, and left as they were', () => {
    const report = runner.file('report.json', 'an older one');
    symlinkSync('nowhere.json', at('link.json'));
    const before = here();
    const paths = [report, at('link.json'), at('new.json'), at('a', 'b', 'new.json')];
    for (const path of paths) {
      const inputs = { 'report-file': path, 'backup-dir': at('deep', 'er', 'backup') };
      expect(mistakes(inputs)).toEqual([]);
      expect(mistakes({ ...inputs, 'dry-run': 'true', 'plan-file': at('x', 'plan.json') })).toEqual(
        [],
      );
      expect(here()).toEqual(before);
    }
    expect(readFileSync(report, 'utf8')).toBe('an older one');
  });

  it.each([
    ['/proc/nope', /": the directory "\/proc\/nope" can't be made: /],
    ['/proc/nope/deeper/still', /": the directory "\/proc\/nope" can't be made: /],
    ['/dev/null/x', /": "\/dev\/null" is a file, not a directory; /],
    [`/tmp/${'x'.repeat(300)}/y`, /": .*its name is too long; /],
  ])('are a mistake each when they can not be made, and none of them hangs: %s', (place, why) => {
    const takes = /it takes the path of a (?:file|directory) that can be written/;
    const told = mistakes({ 'backup-dir': place, 'report-file': `${place}/report.json` });
    expect(told).toHaveLength(2);
    for (const line of told) {
      expect(line).toMatch(why);
      expect(line).toMatch(takes);
    }
    expect(told.map((line) => line.split(' ')[1])).toEqual(['report-file', 'backup-dir']);
  });

  it('are a mistake when a directory is in place of a file, or a file of a directory', () => {
    const file = runner.file('file');
    mkdirSync(at('directory'));
    expect(mistakes({ 'report-file': at('directory'), 'backup-dir': file })).toEqual([
      expect.stringMatching(
        /^- report-file is ".*": it is a directory; it takes the path of a file/,
      ),
      expect.stringMatching(/^- backup-dir is ".*": ".*file" is a file, not a directory; it takes/),
    ]);
    expect(mistakes({ 'backup-dir': join(file, 'below') })).toEqual([
      expect.stringContaining(`"${file}" is a file, not a directory`),
    ]);
  });

  it('are a mistake when they are a pipe or a device', () => {
    execFileSync('mkfifo', [at('pipe')]);
    for (const [path, what] of [
      [at('pipe'), 'it is a named pipe, not a regular file'],
      ['/dev/null', 'it is a device, not a regular file'],
    ] as const) {
      const dry = { 'dry-run': 'true' };
      expect(mistakes({ ...dry, 'report-file': path })).toEqual([expect.stringContaining(what)]);
      expect(mistakes({ ...dry, 'plan-file': path })).toEqual([expect.stringContaining(what)]);
      expect(mistakes({ 'digests-file': path })).toEqual([expect.stringContaining(what)]);
      expect(mistakes({ 'apply-plan': path })).toEqual([expect.stringContaining(what)]);
      expect(mistakes({ 'ca-file': path })).toEqual([expect.stringContaining(what)]);
    }
  });

  it.each([
    ['backup', 'backup', 'the `backup-dir` is there'],
    ['backup/deep', 'backup', 'the `backup-dir` is there'],
    ['backup', 'backup/index.jsonl', 'the backup keeps its own files there'],
    ['backup', 'backup/manifests/x', 'the backup keeps its own files there'],
  ])('conflict with a backup in %s and a report in %s', (backup, report, why) => {
    const inputs = { 'backup-dir': at(backup), 'report-file': at(report) };
    expect(mistakes(inputs)).toEqual([
      `- report-file is "${at(report)}": ${why}; it takes a path of its own`.replace(
        at(report),
        at(report).slice(0, 80),
      ),
    ]);
    expect(mistakes({ ...inputs, 'dry-run': 'true' })).toEqual([]);
  });

  it('allow a report beside a backup’s own files', () => {
    const inputs = { 'backup-dir': at('backup'), 'report-file': at('backup', 'report.json') };
    expect(mistakes(inputs)).toEqual([]);
  });

  it('conflict where a plan or a report is a directory of the other', () => {
    const dry = { 'dry-run': 'true' };
    for (const [plan, report] of [
      ['out', 'out/report.json'],
      ['out/plan.json', 'out'],
    ] as const) {
      expect(mistakes({ ...dry, 'plan-file': at(plan), 'report-file': at(report) })).toEqual([
        expect.stringContaining("it and the `plan-file` can't both be files"),
      ]);
    }
  });

  it('are not checked for runs that write nothing there', () => {
    const nope = { 'backup-dir': '/proc/nope' };
    expect(mistakes({ ...nope, 'dry-run': 'true' })).toEqual([]);
    mkdirSync(at('restored'));
    const restore = { 'restore-from': at('restored'), 'report-file': '/proc/nope/report.json' };
    expect(mistakes({ ...nope, ...restore })).toEqual([]);
  });
});

describe('ledger-repository', () => {
  it.each([
    ['ledger', 'ledger'],
    [' team/tools/ledger ', 'team/tools/ledger'],
    ['off-site', 'off-site'],
  ])('%j is %s', (text, expected) => {
    expect(settings({ 'ledger-repository': text }).ledger).toEqual({
      kind: 'named',
      repository: expected,
    });
  });

  it.each([
    ['', 'auto'],
    ['  \n', 'auto'],
    ['auto', 'auto'],
    ['off', 'off'],
  ])('%j is %s', (text, kind) => {
    expect(settings({ 'ledger-repository': text }).ledger).toEqual({ kind });
  });

  it.each([
    'Team/Ledger',
    'OFF',
    'team/*',
    'team/ledger:v1',
    'registry.example.com:5000/ledger',
    '/ledger',
    'a..b',
    'two words',
    'x'.repeat(256),
  ])('%j is a mistake', (text) => {
    const shown = text.length > 80 ? `${text.slice(0, 79)}…` : text;
    expect(mistakes({ 'ledger-repository': text })).toEqual([
      `- ledger-repository is "${shown}"; it takes a repository name such as \`team/ledger\`, \`auto\` or \`off\``,
    ]);
  });
});

describe('concurrency', () => {
  it.each([
    ['1', 1],
    ['128', 128],
    ['007', 7],
    ['', 16],
  ])('%j is %i', (text, expected) => {
    expect(settings({ concurrency: text }).concurrency).toBe(expected);
  });
  it.each(['0', '129', '-1', '1.5', 'many', '1e2', '9999999999'])('%j is a mistake', (text) => {
    expect(mistakes({ concurrency: text })).toEqual([
      `- concurrency is "${text}"; it takes a whole number from 1 to 128`,
    ]);
  });
});

describe('report-file', () => {
  it('is a path', () => {
    expect(settings({ 'report-file': 'out/report.json' }).reportFile).toBe('out/report.json');
    expect(settings().reportFile).toBeUndefined();
  });
});

describe('mistakes', () => {
  it('are reported in one message, each with its input', () => {
    const inputs = {
      'registry-url': '',
      username: 'u',
      insecure: 'maybe',
      'dry-run': 'maybe',
      'ca-file': 'missing.pem',
      repositories: 'A',
      'digests-file': 'missing.txt',
      'grace-period': '24',
      'dangling-referrers': 'x',
      'keep-untagged': 'x',
      protect: 'A',
      'max-deletes': 'x',
      'plan-file': 'plan.json',
      'apply-plan': 'missing.json',
      'restore-from': 'missing',
      verify: 'maybe',
      'ledger-repository': 'X',
      concurrency: '0',
    };
    runner.inputs(inputs);
    expect(() => readSettings()).toThrow('[inputs-invalid]');
    const named = mistakes(inputs).map((line) => /^- `?([a-z-]+)/.exec(line)?.[1]);
    expect([...new Set(named)].sort()).toEqual([
      'ca-file',
      'concurrency',
      'dangling-referrers',
      'digests-file',
      'dry-run',
      'grace-period',
      'insecure',
      'keep-untagged',
      'ledger-repository',
      'max-deletes',
      'password',
      'plan-file',
      'protect',
      'registry-url',
      'repositories',
      'verify',
    ]);
  });

  it.each([
    [{ concurrency: '0' }, '1 mistake in the inputs, and nothing was done:'],
    [{ concurrency: '0', insecure: 'x' }, '2 mistakes in the inputs, and nothing was done:'],
    [{ protect: 'A, B, C' }, '3 mistakes in the inputs, and nothing was done:'],
  ])('of %j have the headline: %s', (inputs, headline) => {
    expect(() => settings(inputs)).toThrow(new RegExp(`^${headline}\n- `));
  });

  it('are cut, and kept on one line', () => {
    const [line, ...more] = mistakes({ insecure: `a\n::error::b\u001b[31m${'x'.repeat(200)}` });
    expect(more).toEqual([]);
    expect(line).toMatch(/^- insecure is "a : :error: :b\uFFFD\[31mx+…"; it takes/);
  });
});

describe('a registry that is not served', () => {
  it.each(['auto', 'distribution', 'google'])(
    'is one mistake, with its own code, and with registry-type: %s',
    (type) => {
      const inputs = { 'registry-url': 'https://Index.Docker.io', 'registry-type': type };
      expect(() => settings(inputs)).toThrow(
        new CodedError(
          '1 mistake in the inputs, and nothing was done:\n' +
            '- registry-url is "index.docker.io": this action doesn\'t serve Docker Hub. It shows untagged manifests on its ' +
            'web pages only. Use Image Management on the page of the repository at hub.docker.com; it takes a registry of a ' +
            'kind that docs/registries.md lists',
          'registry-not-served',
        ),
      );
    },
  );

  it('is named beside all other mistakes', () => {
    const inputs = { 'registry-url': 'quay.io', 'grace-period': '24', 'registry-type': 'quay' };
    expect(mistakes(inputs)).toEqual([
      expect.stringMatching(/^- registry-url is "quay\.io": this action doesn't serve Quay\. It/),
      expect.stringMatching(/^- registry-type is "quay"/),
      expect.stringMatching(/^- grace-period is "24"/),
    ]);
  });
});
