import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { movingTag, outputLines, releaseFaults, releaseNotes } from '../../scripts/release.js';

const REPOSITORY = 'https://github.com/acme/cleanup';
const changelog = `# Changelog

What changes.

## [Unreleased]

## [1.2.0] - 2026-11-28

### Added

- The input \`one\`, which keeps what somebody
  needs, 2.8 and 3.0 included
  **at once**.
  - A part of it.
- See [the docs](docs/undo.md#how), [a page](https://example.com/x) and
  [below](#here).

A paragraph of
two lines.

## [1.1.0] - 2026-10-01

- Older.
`;

const release = {
  version: '1.2.0',
  packaged: '1.2.0',
  changelog,
  tags: ['v1', 'v1.1.0', 'v1.0.10', 'nightly', ''],
  ref: 'refs/heads/main',
};

describe('a release', () => {
  it('has no fault if its version is new, named in both files, and on main', () => {
    expect(releaseFaults(release)).toEqual([]);
  });

  it.each(['', 'v1.2.0', '1.2', '1.2.0-rc.1', '1.02.0', '1.2.0\n', '1.2.0; true', '1.2.0.0'])(
    'has a version of three numbers, and not %j',
    (version) => {
      expect(releaseFaults({ ...release, version, packaged: version })).toEqual([
        expect.stringContaining("isn't a version"),
      ]);
    },
  );

  it.each([
    ['package.json has another version', { packaged: '1.1.0' }, 'package.json has version 1.1.0'],
    ['the workflow runs on a branch', { ref: 'refs/heads/x' }, 'this is refs/heads/x'],
    ['the workflow runs on a tag', { ref: 'refs/tags/v1.2.0' }, 'this is refs/tags/v1.2.0'],
    ['the same version is released', { tags: ['v1.2.0'] }, 'v1.2.0 is released'],
    ['a newer patch is released', { tags: ['v1.1.0', 'v1.2.1'] }, 'v1.2.1 is released'],
    ['a newer minor is released', { tags: ['v1.10.0'] }, 'v1.10.0 is released'],
    ['a newer major is released', { tags: ['v2.0.0'] }, 'v2.0.0 is released'],
    [
      'the changelog has no section',
      { changelog: changelog.replace('[1.2.0]', '[1.2.1]') },
      'CHANGELOG.md has no text',
    ],
    [
      'the section has no date',
      { changelog: changelog.replace(' - 2026-11-28', '') },
      'CHANGELOG.md has no text',
    ],
    [
      'the section is empty',
      {
        changelog: '## [Unreleased]\n\n## [1.2.0] - 2026-11-28\n\n## [1.1.0] - 2026-10-01\n\n- x\n',
      },
      'CHANGELOG.md has no text',
    ],
    [
      'changes are left under Unreleased',
      { changelog: changelog.replace('[Unreleased]\n', '[Unreleased]\n\n- Late.\n') },
      'still has changes under Unreleased',
    ],
  ])('is refused if %s', (_, change, fault) => {
    expect(releaseFaults({ ...release, ...change })).toEqual([expect.stringContaining(fault)]);
  });

  it('names all its faults together', () => {
    expect(
      releaseFaults({ ...release, packaged: '1.1.0', tags: ['v1.2.0'], ref: '', changelog: '' }),
    ).toHaveLength(4);
  });

  it('compares numbers and not letters: 1.10.0 is newer than 1.9.0', () => {
    const ten = { version: '1.10.0', packaged: '1.10.0', tags: ['v1.9.0'] };
    const renamed = changelog.replace('[1.2.0]', '[1.10.0]');
    expect(releaseFaults({ ...release, ...ten, changelog: renamed })).toEqual([]);
  });

  it('moves the tag of its major version', () => {
    expect(['1.0.0', '1.12.3', '10.0.1'].map(movingTag)).toEqual(['v1', 'v1', 'v10']);
  });
});

describe('the notes of a release', () => {
  it('are its section of the changelog, one line for each paragraph, with absolute links', () => {
    expect(releaseNotes(changelog, '1.2.0', REPOSITORY)).toBe(`### Added

- The input \`one\`, which keeps what somebody needs, 2.8 and 3.0 included **at once**.
  - A part of it.
- See [the docs](${REPOSITORY}/blob/v1.2.0/docs/undo.md#how), [a page](https://example.com/x) and [below](#here).

A paragraph of two lines.`);
  });

  it('are those of the oldest release, too, which ends with the file', () => {
    expect(releaseNotes(changelog, '1.1.0', REPOSITORY)).toBe('- Older.');
  });

  it('are written as GITHUB_OUTPUT takes several lines', () => {
    expect(outputLines({ tag: 'v1.2.0', notes: 'a\n\nb' }, 'END')).toBe(
      'tag<<END\nv1.2.0\nEND\nnotes<<END\na\n\nb\nEND\n',
    );
  });
});

describe('the script', () => {
  let home: string;
  const git = (...rest: string[]) => {
    const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.com'];
    execFileSync('git', [...who, ...rest], { cwd: home, stdio: 'pipe' });
  };
  const commit = () => {
    git('add', '--all');
    git('commit', '--quiet', '--allow-empty', '--message=x');
  };

  beforeEach(() => {
    home = mkdtempSync(path.join(tmpdir(), 'release-'));
    cpSync('scripts/release.ts', path.join(home, 'scripts/release.ts'));
    writeFileSync(path.join(home, 'package.json'), '{"version":"1.2.0","type":"module"}');
    writeFileSync(path.join(home, 'CHANGELOG.md'), changelog);
    git('init', '--quiet');
    commit();
    git('tag', 'v1.1.0');
    commit();
  });

  afterEach(() => {
    rmSync(home, { recursive: true, force: true });
  });

  function run(version: string) {
    const outputs = path.join(home, 'outputs');
    writeFileSync(outputs, '');
    const tsx = path.resolve('node_modules/tsx/dist/cli.mjs');
    const script = path.join(home, 'scripts/release.ts');
    const { status, stderr } = spawnSync(process.execPath, [tsx, script, version], {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        GITHUB_REF: 'refs/heads/main',
        GITHUB_OUTPUT: outputs,
        GITHUB_SERVER_URL: 'https://github.com',
        GITHUB_REPOSITORY: 'acme/cleanup',
      },
    });
    return { status, stderr, outputs: readFileSync(outputs, 'utf8') };
  }

  it('gives tag, major tag and notes to the jobs after it', () => {
    const { status, outputs } = run('1.2.0');
    expect(status).toBe(0);
    const [, delimiter = ''] = /^tag<<(.+)$/m.exec(outputs) ?? [];
    expect(outputs).toBe(
      outputLines(
        {
          tag: 'v1.2.0',
          'major-tag': 'v1',
          notes: releaseNotes(changelog, '1.2.0', REPOSITORY),
        },
        delimiter,
      ),
    );
  });

  it('refuses a version that another commit has, and takes one that this commit has', () => {
    git('tag', 'v1.2.0');
    expect(run('1.2.0').status).toBe(0);
    commit();
    const { status, stderr, outputs } = run('1.2.0');
    expect([status, outputs]).toEqual([1, '']);
    expect(stderr).toBe("v1.2.0 is released, and 1.2.0 isn't newer.\n");
  });

  it('needs no package, since it runs before any is installed', () => {
    const text = readFileSync('scripts/release.ts', 'utf8');
    const modules = [...text.matchAll(/from '([^']+)'/g)].map(([, name]) => name);
    expect(modules).not.toHaveLength(0);
    for (const name of modules) expect(name).toMatch(/^node:/);
  });
});
