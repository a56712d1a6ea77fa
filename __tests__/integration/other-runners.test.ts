/**
 * docs/other-runners.md: its workflow, its job for GitLab and its commands for cron are run as they stand there, on a
 * real registry. Only the registry's address and the machine's directories are replaced.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';

import { APP, image, type Content } from '../support/builders/build.js';
import { deletedIn, expectGreen } from '../support/clients/outcome.js';
import { push } from '../support/clients/push.js';
import { runAction } from '../support/clients/run-action.js';
import { apart } from '../support/clients/ledger.js';
import { describeWith } from '../support/servers/describe-with.js';
import { PASSWORD, startDockerRegistry, USERNAME } from '../support/servers/docker-registry.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

jest.setTimeout(120_000);

interface Section {
  readonly yaml: string[];
  readonly sh: string[];
  readonly crontab: string[];
}

const page = readFileSync('docs/other-runners.md', 'utf8');

/** The blocks of code below a heading, by their language. */
function section(heading: string): Section {
  const text = present(page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)));
  const blocks = (language: string): string[] =>
    [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
      .filter(([, is]) => is === language)
      .map(([, , code = '']) => code);
  return { yaml: blocks('yaml'), sh: blocks('sh'), crontab: blocks('crontab') };
}

interface Done {
  readonly exitCode: number | null;
  readonly log: string;
}

interface GitLabJob {
  readonly variables: Readonly<Record<string, string>>;
  readonly script: readonly string[];
  readonly artifacts: { readonly paths: readonly string[] };
}

interface Workflow {
  readonly jobs: {
    readonly clean: {
      readonly steps: readonly { readonly uses: string; readonly with: Record<string, unknown> }[];
    };
  };
}

describeWith('docker-registry', dockerRegistry, 'docs/other-runners.md', () => {
  const SCRIPT = 'usr/local/sbin/clean-registry';
  const before = image('before');
  const now = image('now');
  const named = (...contents: readonly Content[]) =>
    new Set(contents.map(({ digest }) => `${APP}@${digest}`));
  let home: string;
  let registry: RealRegistry;

  beforeAll(() => {
    home = mkdtempSync(path.join(tmpdir(), 'other-runners-'));
    // What git finds at github.com: a repository with the bundle and the tag that the page names.
    const ours = path.join(
      home,
      'github',
      'registry-manifest-cleanup',
      'registry-manifest-cleanup',
    );
    cpSync('dist', path.join(ours, 'dist'), { recursive: true });
    const git = (...rest: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...rest], {
        cwd: ours,
      });
    git('init', '--quiet');
    git('add', '--all');
    git('commit', '--quiet', '--message=Release');
    const [, tag = ''] = /@(v\d+)$/m.exec(page) ?? [];
    git('tag', tag);
  });

  afterAll(() => {
    rmSync(home, { recursive: true, force: true });
  });

  beforeEach(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    await push(registry, APP, before, 'latest');
    await push(registry, APP, now, 'latest');
  });

  afterEach(() => registry.stop());

  /** With this registry, and a directory for the root of the machine. */
  const here = (text: string, root: string): string =>
    text
      .replaceAll(/(?<![\w.])\/(?=(?:etc|opt|run|tmp|usr\/local\/sbin|var)\/)/g, `${root}/`)
      .replaceAll(`${root}/var/lib/registry `, `${registry.directory} `)
      .replaceAll('registry.example.com', registry.url);

  async function sh(
    shell: readonly [string, ...string[]],
    script: string,
    cwd: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Done> {
    const [program, ...options] = shell;
    const child = spawn(program, [...options, '-c', script], {
      cwd,
      env: {
        PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        HOME: cwd,
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: `url.file://${home}/github/.insteadOf`,
        GIT_CONFIG_VALUE_0: 'https://github.com/',
        ...env,
      },
    });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    }
    return new Promise((resolve, reject) => {
      child.once('error', reject).once('close', (exitCode) => {
        resolve({ exitCode, log });
      });
    });
  }

  const green = ({ exitCode, log }: Done) => {
    expect([exitCode, log]).toEqual([0, expect.not.stringContaining('::error')]);
    expect(log).not.toContain(PASSWORD);
    expect(log).not.toContain('add-mask');
  };

  const users = () => apart(registry.manifests()).users;

  it('has commands for cron that list, show, delete and restore', async () => {
    const root = mkdtempSync(path.join(home, 'root-'));
    ['etc', 'opt', 'run/lock', 'usr/local/sbin', 'var/lib', 'var/log'].forEach((name) => {
      mkdirSync(path.join(root, name), { recursive: true });
    });
    const { sh: commands, crontab } = section('Cron');
    const [install, script, restore] = commands.map((text) => here(text, root)) as [
      string,
      string,
      string,
    ];
    const [line = ''] = crontab.flatMap((text) => /^\d+ .* root (.*)$/m.exec(text)?.slice(1) ?? []);
    const cron = () =>
      sh(['/bin/sh'], here(line, root), root, {
        PATH: `${root}/usr/local/sbin:${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      });
    const write = (text: string) => {
      writeFileSync(path.join(root, SCRIPT), text.replace('=cleanup', `=${USERNAME}`), {
        mode: 0o755,
      });
    };

    green(await sh(['/bin/sh', '-e'], install, root));
    writeFileSync(path.join(root, 'etc/clean-registry/password'), `${PASSWORD}\n`);
    write(script);
    // Silence: cron mails all that is printed.
    expect(await cron()).toEqual({ exitCode: 0, log: '' });
    expect(users()).toEqual(named(before, now));
    const state = path.join(root, 'var/lib/clean-registry');
    expect(readFileSync(path.join(state, 'summary.md'), 'utf8')).toContain(
      before.digest.slice(7, 19),
    );

    write(script.replace('dry_run=true', 'dry_run=false'));
    expect(await cron()).toEqual({ exitCode: 0, log: '' });
    expect(users()).toEqual(named(now));
    const log = readFileSync(path.join(root, 'var/log/clean-registry.log'), 'utf8');
    expect(log).not.toContain(PASSWORD);
    expect(log).not.toContain('add-mask');

    const backup = present(readdirSync(state).find((name) => name.startsWith('backup-')));
    const undo = restore.replace(/backup-[\d-]+/, backup).replace('=cleanup', `=${USERNAME}`);
    green(await sh(['/bin/sh', '-e'], undo, root));
    expect(users()).toEqual(named(before, now));
  });

  it('has a script for cron whose failure is mailed: the line prints the log', async () => {
    const root = mkdtempSync(path.join(home, 'root-'));
    ['run/lock', 'var/log'].forEach((name) => {
      mkdirSync(path.join(root, name), { recursive: true });
    });
    const { crontab } = section('Cron');
    const [line = ''] = crontab.flatMap((text) => /^\d+ .* root (.*)$/m.exec(text)?.slice(1) ?? []);
    const { log } = await sh(['/bin/sh'], here(line, root), root);
    expect(log).toContain('clean-registry');
  });

  it('has a job for GitLab that shows and deletes, and makes the artifacts that it names', async () => {
    const jobs = parse(section('GitLab CI').yaml.join('')) as Record<string, GitLabJob>;
    const job = present(jobs['clean-registry']);
    const run = async (variables: Readonly<Record<string, string>>) => {
      const root = mkdtempSync(path.join(home, 'root-'));
      const project = path.join(root, 'project');
      mkdirSync(path.join(root, 'tmp'));
      mkdirSync(project);
      const script = here(job.script.join('\n'), root);
      // GitLab's runner uses bash where an image has it, and stops at the first failure.
      const done = await sh(['bash', '-eo', 'pipefail'], script, project, {
        ...job.variables,
        REGISTRY_USERNAME: USERNAME,
        REGISTRY_PASSWORD: PASSWORD,
        // The registry can't list what has no tag, so the job is told.
        INPUT_DIGESTS: [...named(before)].join('\n'),
        ...variables,
      });
      return {
        ...done,
        made: job.artifacts.paths.filter((name) => existsSync(path.join(project, name))),
      };
    };

    const shown = await run({});
    green(shown);
    expect(shown.made).toEqual(['report.json', 'summary.md']);
    expect(users()).toEqual(named(before, now));

    const done = await run({ DRY_RUN: 'false' });
    green(done);
    expect(done.made).toEqual(job.artifacts.paths);
    expect(users()).toEqual(named(now));
  });

  it('has a workflow for Forgejo and Gitea that shows and deletes', async () => {
    const workspace = mkdtempSync(path.join(home, 'workspace-'));
    const { yaml } = section('Forgejo Actions and Gitea Actions');
    const { jobs } = parse(yaml.join('')) as Workflow;
    const [step] = jobs.clean.steps;
    expect(step?.uses).toMatch(/^https:\/\/github\.com\/registry-manifest-cleanup\//);
    const values = new Map([
      ['github.workspace', workspace],
      ['secrets.REGISTRY_USERNAME', USERNAME],
      ['secrets.REGISTRY_PASSWORD', PASSWORD],
    ]);
    const inputs = Object.entries(step?.with ?? {}).map(([name, value]) => {
      const text = String(value).replace(/\$\{\{ (.*?) \}\}/g, (_, key: string) =>
        present(values.get(key)),
      );
      return [name, here(text, '')] as const;
    });
    const run = (changed: Readonly<Record<string, string>> = {}) =>
      runAction({
        ...Object.fromEntries(inputs),
        digests: [...named(before)].join('\n'),
        ...changed,
      });

    expectGreen(await run(), { 'orphans-found': '1', 'deleted-count': '0' });
    expect(users()).toEqual(named(before, now));
    const done = await run({ 'dry-run': 'false' });
    expectGreen(done, { 'deleted-count': '1' });
    expect(deletedIn(done)).toEqual(named(before));
    expect(existsSync(path.join(workspace, 'registry-backup', 'index.jsonl'))).toBe(true);
  });
});
