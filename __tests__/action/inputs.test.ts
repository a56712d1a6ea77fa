import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { InputError, readSettings } from '../../src/action/inputs.js';
import { startRunner, type Runner } from './stdout.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
});
afterEach(() => {
  runner.restore();
});

const REGISTRY = { 'registry-url': 'registry.example.com' };
const HOUR = 3_600_000;

function settings(inputs: Readonly<Record<string, string>> = {}) {
  runner.inputs({ ...REGISTRY, ...inputs });
  return readSettings();
}

/** The message of the one error, without its headline. */
function mistakes(inputs: Readonly<Record<string, string>>): string[] {
  try {
    settings(inputs);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return error instanceof Error ? error.message.split('\n').slice(1) : [];
  }
  return [];
}

describe('defaults', () => {
  const expected = {
    registry: new URL('https://registry.example.com'),
    insecure: false,
    selection: { includes: expect.any(Function), names: undefined },
    digests: '',
    digestsFiles: [],
    dryRun: false,
    gracePeriod: 24 * HOUR,
    danglingReferrers: 'keep',
    concurrency: 16,
  };

  it('without action.yml', () => {
    expect(settings()).toEqual(expected);
  });

  it('those of action.yml are the same', () => {
    const action = parse(readFileSync('action.yml', 'utf8')) as {
      inputs: Record<string, { default?: string }>;
    };
    const inputs: Record<string, string> = {};
    for (const [name, { default: value = '' }] of Object.entries(action.inputs)) {
      inputs[name] = value;
    }
    expect(settings({ ...inputs, ...REGISTRY })).toEqual(expected);
  });

  it('blank inputs are as good as none', () => {
    const blank = [
      'username',
      'password',
      'ca-file',
      'repositories',
      'digests-file',
      'report-file',
    ];
    expect(settings(Object.fromEntries(blank.map((name) => [name, ' \n ']))).registry.href).toBe(
      'https://registry.example.com/',
    );
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
  ])('%j is none', (text) => {
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
  ])('with credentials is none, and is not printed: %s', (text) => {
    const [mistake, ...more] = mistakes({ 'registry-url': text });
    expect(mistake).toMatch(/^- registry-url: it takes .*`username` and `password`/);
    expect(mistake).not.toContain('hunter2');
    expect(more).toEqual([]);
  });
});

describe('username and password', () => {
  it('go together', () => {
    expect(settings({ username: 'robot$ci', password: 'a:b c' }).login).toEqual({
      username: 'robot$ci',
      password: 'a:b c',
    });
    expect(settings()).not.toHaveProperty('login');
  });

  it('the password is masked, also when something is wrong', () => {
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

describe.each([
  ['insecure', 'insecure'],
  ['dry-run', 'dryRun'],
] as const)('%s', (input, key) => {
  it.each([
    ['true', true],
    ['True', true],
    ['TRUE', true],
    ['false', false],
    ['False', false],
    ['FALSE', false],
    ['', false],
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

  it('must be there, and hold certificates', () => {
    for (const path of [
      runner.file('key.pem', '-----BEGIN PRIVATE KEY-----'),
      join(runner.directory, 'missing'),
      runner.directory,
    ]) {
      expect(mistakes({ 'ca-file': path })).toEqual([
        `- ca-file is "${path.slice(0, 80)}${path.length > 80 ? '…' : ''}"; it takes a readable file ` +
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

  it('globs and exclusions', () => {
    const { selection } = settings({ repositories: 'team/**,!team/legacy-*' });
    expect(['team/app', 'team/legacy-1', 'app'].filter((name) => selection.includes(name))).toEqual(
      ['team/app'],
    );
  });

  it('each wrong one is a mistake of its own', () => {
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
  it('digests are passed on as they are', () => {
    expect(settings({ digests: 'a@sha256:1\nb@sha256:2' }).digests).toBe('a@sha256:1\nb@sha256:2');
  });

  it('files, one path per line', () => {
    const [a, b] = [runner.file('a.txt'), runner.file('b, c.txt')];
    expect(settings({ 'digests-file': `${a}\n\n  ${b}\n` }).digestsFiles).toEqual([a, b]);
  });

  it('each that can not be read is a mistake of its own', () => {
    const folder = join(runner.directory, 'folder');
    mkdirSync(folder);
    expect(mistakes({ 'digests-file': `${folder}\n${runner.file('a')}\nmissing.txt` })).toEqual([
      expect.stringMatching(/^- digests-file is ".*"; it takes paths of readable files/),
      '- digests-file is "missing.txt"; it takes paths of readable files, one per line',
    ]);
  });

  it('a file without the right to read it', () => {
    const path = runner.file('secret.txt');
    chmodSync(path, 0o000);
    // Root may read everything: then it is no mistake.
    const allowed = process.getuid?.() === 0;
    expect(mistakes({ 'digests-file': path })).toHaveLength(allowed ? 0 : 1);
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
    ['0', 0],
    ['0h', 0],
    ['', 24 * HOUR],
  ])('%j', (text, expected) => {
    expect(settings({ 'grace-period': text }).gracePeriod).toBe(expected);
  });

  it.each([
    '24',
    '-1h',
    'soon',
    '1h30m',
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
    expect(settings()).not.toHaveProperty('reportFile');
  });
});

describe('mistakes', () => {
  it('are told all at once, each with its input', () => {
    runner.inputs({
      'registry-url': '',
      username: 'u',
      insecure: 'maybe',
      'dry-run': 'maybe',
      'ca-file': 'missing.pem',
      repositories: 'A',
      'digests-file': 'missing.txt',
      'grace-period': '24',
      'dangling-referrers': 'x',
      concurrency: '0',
    });
    expect(() => readSettings()).toThrow(InputError);
    const lines = mistakes({
      'registry-url': '',
      username: 'u',
      insecure: 'maybe',
      'dry-run': 'maybe',
      'ca-file': 'missing.pem',
      repositories: 'A',
      'digests-file': 'missing.txt',
      'grace-period': '24',
      'dangling-referrers': 'x',
      concurrency: '0',
    });
    expect(lines.map((line) => /^- ([a-z-]+)/.exec(line)?.[1]).sort()).toEqual([
      'ca-file',
      'concurrency',
      'dangling-referrers',
      'digests-file',
      'dry-run',
      'grace-period',
      'insecure',
      'password',
      'registry-url',
      'repositories',
    ]);
  });

  it.each([
    [{ concurrency: '0' }, 'One input is wrong, and nothing was done:'],
    [{ concurrency: '0', insecure: 'x' }, '2 inputs are wrong, and nothing was done:'],
  ])('%j: %s', (inputs, headline) => {
    expect(() => settings(inputs)).toThrow(headline);
  });

  it('are cut, and start no line of their own', () => {
    const [line, ...more] = mistakes({ insecure: `a\n::error::b\u001b[31m${'x'.repeat(200)}` });
    expect(more).toEqual([]);
    expect(line).toMatch(/^- insecure is "a ::error::b \[31mx+…"; it takes/);
  });
});
