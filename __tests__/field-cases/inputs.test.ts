/**
 * Inputs that were silently misread, hung the run, or took all memory: the bundled action, as a process with a small heap
 * and an end to waiting.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { fileOf, openBackup } from '../../src/run/backup/backup.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image, type Content } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { seed } from '../support/clients/push.js';

const orphan = image('inputs orphan');
const kept = image('inputs kept');
let registry: MemoryRegistry;
let home: string;

beforeEach(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'inputs-'));
  registry = await startMemoryRegistry();
  seed(registry.state, 'team/app', orphan);
  seed(registry.state, 'team/app', kept, 'latest');
});

afterEach(async () => {
  await registry.stop();
  rmSync(home, { recursive: true, force: true });
});

const at = (...names: string[]) => path.join(home, ...names);

function put(name: string, text: string): string {
  writeFileSync(at(name), text);
  return at(name);
}

function pipe(name: string): string {
  execFileSync('mkfifo', [at(name)]);
  return at(name);
}

/** A hundred MiB of heap, and what hangs is killed: its exit code is null. */
function run(inputs: Readonly<Record<string, string>>, heap = 100): Promise<ActionRun> {
  return runAction(
    { 'registry-url': registry.url, ...inputs },
    {
      nodeArguments: [`--max-old-space-size=${String(heap)}`],
      killer: AbortSignal.timeout(20_000),
    },
  );
}

/** The errors of a run that did nothing. */
async function refusal(inputs: Readonly<Record<string, string>>, heap?: number): Promise<string> {
  const { exitCode, log } = await run(inputs, heap);
  expect(exitCode).toBe(1);
  expect(registry.requests).toEqual([]);
  const errors = log.split('\n').filter((line) => line.startsWith('::error::'));
  expect(errors).toHaveLength(1);
  return (errors[0] ?? '').replaceAll('%0A', '\n');
}

describe('a duration', () => {
  it.each(['6M', '6mo', '6 months'])('is refused as %s, with how to write it', async (text) => {
    expect(await refusal({ 'grace-period': text })).toContain(
      `grace-period is "${text}": a month has no fixed length`,
    );
  });

  it.each(['90m', '6 hours', '2 weeks', '1 day', '1y'])('is taken as %s', async (text) => {
    const { exitCode } = await run({ 'grace-period': text, 'dry-run': 'true' });
    expect(exitCode).toBe(0);
  });
});

describe('an input that names manifests', () => {
  it('fails the run with a line of `digests` that is not understood', async () => {
    const digests = `team/app@${orphan.digest}\nteam/app:latest`;
    expect(await refusal({ digests })).toContain(
      'digests: 1 line is not understood: digests line 2: "team/app:latest"',
    );
  });

  it('fails the run with a file of which no line is understood, with all mistakes in one error', async () => {
    const file = put('listing.txt', 'what is this\n');
    const told = await refusal({
      digests: 'x y',
      'digests-file': file,
      'protect-files': 'gone.yaml',
    });
    expect(told.split('\n')).toEqual([
      expect.stringContaining('digests: 1 line is not understood'),
      expect.stringContaining(`digests-file: no line of "${file}" is understood, of 1`),
      expect.stringContaining('protect-files: "gone.yaml" matches no file'),
    ]);
  });

  it('is read with a warning that counts the lines that are not understood', async () => {
    const file = put('listing.txt', `what is this\nteam/app@${orphan.digest}\nor that\n`);
    const { exitCode, log, summary, outputs } = await run({
      'digests-file': file,
      'grace-period': '0',
    });
    expect(exitCode).toBe(0);
    expect(outputs['deleted-count']).toBe('1');
    expect(log).toMatch(/^::warning::digests-file: 2 lines are not understood of the 3 in /m);
    expect(summary).toContain('1 understood, 2 not');
  });
});

describe('places that can’t be written to', () => {
  it('are named in one message, before any request, and none hangs the run', async () => {
    const old = put('report.json', '"an older report"');
    const told = await refusal({
      'backup-dir': '/proc/nope',
      'report-file': '/proc/nope/report.json',
      concurrency: '0',
    });
    expect(told).toContain('3 mistakes in the inputs');
    expect(told).toMatch(
      /report-file is .*: the directory "\/proc\/nope" can't be made: .*it takes the path of a file/,
    );
    expect(told).toMatch(
      /backup-dir is .*: the directory "\/proc\/nope" can't be made: .*it takes the path of a directory/,
    );
    expect(await refusal({ 'report-file': old, concurrency: '0' })).not.toContain('report-file');
    expect(readFileSync(old, 'utf8')).toBe('"an older report"');
    expect(await refusal({ 'backup-dir': at('b'), 'report-file': at('b') })).toContain(
      'the `backup-dir` is there; it takes a path of its own',
    );
    expect(readdirSync(home)).toEqual(['report.json']);
    const dry = { 'dry-run': 'true', 'report-file': at('new', 'report.json') };
    expect(await refusal({ ...dry, 'plan-file': pipe('pipe') })).toContain(
      'it is a named pipe, not a regular file',
    );
    expect((await run({ ...dry, 'backup-dir': '/proc/nope' })).exitCode).toBe(0);
    expect(existsSync(at('new', 'report.json'))).toBe(true);
  });
});

describe('files that are pipes or devices', () => {
  it('are refused at once', async () => {
    const fifo = pipe('pipe');
    expect(await refusal({ 'digests-file': fifo, 'ca-file': '/dev/zero' })).toMatch(
      /ca-file is .*it is a device, not a regular file[^]*digests-file is .*it is a named pipe, not a/,
    );
    expect(await refusal({ 'apply-plan': '/dev/zero' })).toContain('it is a device, not a regular');
    expect(await refusal({ 'protect-files': fifo })).toContain(`${fifo}": it is a named pipe`);
  });
});

describe('an input that would take all memory', () => {
  it('is refused as a plan or notification of very many values', async () => {
    const many = put('many.json', `{"events":[${'{},'.repeat(4_500_000)}{}]}`);
    const deep = put('deep.json', `{"events":${'['.repeat(4_000_000)}${']'.repeat(4_000_000)}}`);
    for (const file of [many, deep]) {
      expect(await refusal({ 'digests-file': file }, 200)).toContain('(too long)');
      expect(await refusal({ 'apply-plan': file }, 200)).toContain('holds more than a plan can');
    }
  });

  it('is refused as a plan or an authority that is larger than any', async () => {
    const file = put('large', '');
    truncateSync(file, 8 * 1024 ** 3);
    expect(await refusal({ 'apply-plan': file })).toContain('it has more than 128 MiB');
    expect(await refusal({ 'ca-file': file })).toContain('it has more than 16 MiB');
    expect(await refusal({ 'protect-files': file })).toContain('it has more than 1 GiB');
  });

  it('is refused as ten thousand words of a megabyte each that are not understood', async () => {
    const row = `-rw-r--r-- ${' '.repeat(1_000_000)}name\n`;
    const file = put('listing', row.repeat(300));
    expect(await refusal({ 'digests-file': file })).toContain('no line of');
  });
});

describe('globs', () => {
  const name = 'a'.repeat(200);

  it('end, however many wildcards they have', async () => {
    seed(registry.state, name, kept, 'latest');
    const glob = `${'a*'.repeat(20)}b`;
    const { exitCode, log } = await run({
      repositories: `**\n!${glob}`,
      protect: glob,
      'dry-run': 'true',
    });
    expect(exitCode).toBe(0);
    expect(log).toContain('2 repositories to survey');
    expect(log).toContain(`\`protect\` names \`${glob}\`, which matches no repository`);
  });

  it('are refused where they can’t be matched in bounded time', async () => {
    expect(await refusal({ repositories: '[ab]*a*a*a*a*b' })).toContain('too hard to match');
    expect(await refusal({ 'protect-files': 'a*a*a*a*a*b' })).toContain('is too hard to match');
  });
});

it('very many protected digests give a warning with their cost', async () => {
  const text = Array.from({ length: 1001 }, (_, n) => `sha256:${String(n).padStart(64, '0')}`);
  const { exitCode, log } = await run({
    'protect-files': put('lock.yaml', text.join('\n')),
    'dry-run': 'true',
  });
  expect(exitCode).toBe(0);
  expect(log).toMatch(
    /^::warning::protect-files: 1,001 digests are protected.* 1,001 more requests for each such repository/m,
  );
});

describe('a backup from somebody else', () => {
  const lost = image('inputs lost');

  async function lose(content: Content): Promise<string> {
    const { digest, mediaType, bytes } = content;
    seed(registry.state, 'team/app', content);
    registry.state.repositories.get('team/app')?.manifests.delete(digest);
    const entry = { registry: registry.url, repository: 'team/app', digest, mediaType, bytes };
    const reason = { kind: 'unreachable' } as const;
    await openBackup(at('backup')).save([{ ...entry, tags: [], savedAt: 0, reason }]);
    return fileOf(at('backup'), digest);
  }

  it('is not followed to another file, and the rest is restored', async () => {
    const file = await lose(lost);
    const other = image('inputs other');
    await lose(other);
    renameSync(file, at('outside'));
    symlinkSync(at('outside'), file);
    const { exitCode, log, outputs } = await run({ 'restore-from': at('backup') });
    expect(exitCode).toBe(1);
    expect(outputs['restored-count']).toBe('1');
    expect(log).toContain(
      `the file of ${lost.digest} in the backup was not read: it is a symbolic link`,
    );
    const there = registry.state.repositories.get('team/app')?.manifests;
    expect([there?.has(lost.digest), there?.has(other.digest)]).toEqual([false, true]);
  });

  it('waits for no pipe, and takes no index without an end', async () => {
    const index = at('backup', 'index.jsonl');
    mkdirSync(at('backup'));
    pipe('backup/index.jsonl');
    expect(await refusal({ 'restore-from': at('backup') })).toContain('it is a named pipe');
    rmSync(index);
    symlinkSync('/dev/zero', index);
    expect(await refusal({ 'restore-from': at('backup') })).toContain('it is a symbolic link');
    rmSync(index);
    writeFileSync(index, '');
    truncateSync(index, 8 * 1024 ** 3);
    expect(await refusal({ 'restore-from': at('backup') })).toContain('it has more than 1 GiB');
  });

  it('is refused where it names more than any run deletes', async () => {
    const file = await lose(lost);
    const index = at('backup', 'index.jsonl');
    const line = readFileSync(index, 'utf8');
    const named = (n: number) =>
      line.replaceAll(lost.digest, `sha256:${String(n).padStart(64, '0')}`);
    writeFileSync(index, Array.from({ length: 300_001 }, (_, n) => named(n)).join(''));
    const told = await run({ 'restore-from': at('backup') }, 400);
    expect(told.exitCode).toBe(1);
    expect(told.log).toContain('the backup is too large to restore from');
    expect(told.log).toContain('more than 300,000');
    expect(existsSync(file)).toBe(true);
    expect(registry.state.repositories.get('team/app')?.manifests.has(lost.digest)).toBe(false);
  });
});
