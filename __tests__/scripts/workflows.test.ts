/**
 * The workflows of this repository: the rules that all of them keep, and the commands that publish a release, word for
 * word, on a stand-in for GitHub's API.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

const FOLDER = '.github/workflows';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly needs?: string | readonly string[];
  readonly uses?: string;
  readonly steps?: readonly Step[];
  readonly 'timeout-minutes'?: number;
  readonly environment?: string;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: object;
  readonly jobs: Readonly<Record<string, Job>>;
}

const files = readdirSync(FOLDER);
const textOf = (file: string): string => readFileSync(path.join(FOLDER, file), 'utf8');
const workflowOf = (file: string): Workflow => parse(textOf(file)) as Workflow;

/** `<action>@<commit> # <version>` of every line that uses an action of another repository. */
const pinsOf = (text: string): string[] =>
  [...text.matchAll(/uses: (?!\.\/|registry-manifest-cleanup\/)(.+)$/gm)].map(
    ([, pin = '']) => pin,
  );

describe.each(files)('the workflow %s', (file) => {
  const workflow = workflowOf(file);
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps ?? []);

  it('grants nothing to all jobs, and each job says what it needs', () => {
    expect(workflow.permissions).toEqual({});
    for (const { permissions } of jobs) expect(permissions).toBeDefined();
  });

  it('pins every action by commit and says its version', () => {
    for (const pin of pinsOf(textOf(file)))
      expect(pin).toMatch(/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it('leaves no credentials with the checkout', () => {
    const checkouts = steps.filter(({ uses = '' }) => uses.startsWith('actions/checkout@'));
    for (const { with: given } of checkouts) expect(given?.['persist-credentials']).toBe(false);
  });

  it('ends every job that hangs', () => {
    const own = jobs.filter(({ uses }) => uses === undefined);
    for (const job of own) expect(job['timeout-minutes']).toBeGreaterThan(0);
  });

  it('puts no expression into a command, and runs on no event that strangers can aim at its rights', () => {
    for (const { run = '' } of steps) expect(run).not.toContain('${{');
    expect(Object.keys(workflow.on)).not.toContain('pull_request_target');
    expect(Object.keys(workflow.on)).not.toContain('workflow_run');
  });
});

it('every action is at one commit in all workflows and examples', () => {
  const texts = [
    ...files.map(textOf),
    ...readdirSync('examples').map((name) => readFileSync(path.join('examples', name), 'utf8')),
  ];
  const pins = new Set(texts.flatMap(pinsOf));
  // One repository may hold several actions.
  const pinned = new Map([...pins].map((pin) => [pin.split(/[/@]/).slice(0, 2).join('/'), pin]));
  const commits = new Set([...pins].map((pin) => pin.replace(/^([^/]+\/[^/@]+)[^@]*/, '$1')));
  expect(commits.size).toBe(pinned.size);
});

describe('the workflow of a release', () => {
  const { on, jobs } = workflowOf('release.yml');

  it('starts by hand only', () => {
    expect(Object.keys(on)).toEqual(['workflow_dispatch']);
  });

  it('writes to the repository in its last job only, which waits for people, checks and tests', () => {
    const writing = Object.entries(jobs).filter(
      ([, { permissions = {} }]) => permissions['contents'] === 'write',
    );
    expect(writing.map(([name]) => name)).toEqual(['publish']);
    expect(jobs['publish']).toMatchObject({ environment: 'release', needs: ['check', 'dist'] });
    expect(jobs['dist']?.needs).toBe('test');
    expect(jobs['test']?.needs).toBe('check');
  });
});

/** `gh`, as far as the workflow uses it: tags and releases are files below $STATE. */
const GH = `#!/bin/bash
set -euo pipefail
arguments="$*"
value() { sed -nE "s/.*$1=([^ ]+).*/\\\\1/p" <<<"$arguments"; }
case "$1 $2 $3" in
'api --silent --method')
  case "$4 $5" in
  'POST repos/acme/cleanup/git/refs')
    tag=$(value ref); tag=$STATE/\${tag#refs/}
    test ! -e "$tag" || { echo 'gh: Reference already exists (HTTP 422)' >&2; exit 1; }
    value sha >"$tag" ;;
  'PATCH repos/acme/cleanup/git/refs/tags/'*)
    tag=$STATE/tags/\${5##*/}
    test -e "$tag" || { echo 'gh: Reference does not exist (HTTP 422)' >&2; exit 1; }
    value sha >"$tag" ;;
  *) exit 2 ;;
  esac ;;
'api repos/acme/cleanup/commits/tags/'*) cat "$STATE/tags/\${2##*/}" ;;
'release view '*) test -e "$STATE/releases/$3" ;;
'release create '*)
  test -e "$STATE/tags/$3"
  test "$4 $5 $6 $7" = "--verify-tag --title $3 --notes"
  printf %s "$8" >"$STATE/releases/$3" ;;
*) exit 2 ;;
esac
`;

describe('the commands that publish', () => {
  const COMMIT = 'c'.repeat(40);
  const OLD = '0'.repeat(40);
  const NOTES = '### Added\n\n- `$(false)` and "quotes"';
  const script = workflowOf('release.yml').jobs['publish']?.steps?.[0]?.run ?? '';
  let state: string;

  beforeEach(() => {
    state = mkdtempSync(path.join(tmpdir(), 'release-'));
    ['bin', 'tags', 'releases'].forEach((name) => {
      mkdirSync(path.join(state, name));
    });
    writeFileSync(path.join(state, 'bin', 'gh'), GH);
    chmodSync(path.join(state, 'bin', 'gh'), 0o755);
  });

  afterEach(() => {
    rmSync(state, { recursive: true, force: true });
  });

  const tag = (name: string, commit: string) => {
    writeFileSync(path.join(state, 'tags', name), `${commit}\n`);
  };

  /** The exit code, as the runner's shell has it. */
  function publish(): number | null {
    const { status } = spawnSync('bash', ['-e', '-c', script], {
      env: {
        PATH: `${path.join(state, 'bin')}:${process.env['PATH'] ?? ''}`,
        STATE: state,
        GITHUB_REPOSITORY: 'acme/cleanup',
        GITHUB_SHA: COMMIT,
        TAG: 'v1.2.0',
        MAJOR_TAG: 'v1',
        NOTES,
      },
    });
    return status;
  }

  const contents = (folder: string) =>
    Object.fromEntries(
      readdirSync(path.join(state, folder)).map((name) => [
        name,
        readFileSync(path.join(state, folder, name), 'utf8').trim(),
      ]),
    );

  const published = { tags: { v1: COMMIT, 'v1.2.0': COMMIT }, releases: { 'v1.2.0': NOTES } };
  const now = () => ({ tags: contents('tags'), releases: contents('releases') });

  it('make both tags and the release of a first version', () => {
    expect(publish()).toBe(0);
    expect(now()).toEqual(published);
  });

  it('move the major tag of a later version, and leave the tags of others', () => {
    tag('v1', OLD);
    tag('v1.1.0', OLD);
    expect(publish()).toBe(0);
    expect(now()).toEqual({ ...published, tags: { ...published.tags, 'v1.1.0': OLD } });
  });

  it('finish what an earlier try began', () => {
    tag('v1', OLD);
    tag('v1.2.0', COMMIT);
    expect(publish()).toBe(0);
    expect(now()).toEqual(published);
    expect(publish()).toBe(0);
    expect(now()).toEqual(published);
  });

  it('change nothing where another commit has the tag', () => {
    tag('v1', OLD);
    tag('v1.2.0', OLD);
    expect(publish()).not.toBe(0);
    expect(now()).toEqual({ tags: { v1: OLD, 'v1.2.0': OLD }, releases: {} });
  });
});
