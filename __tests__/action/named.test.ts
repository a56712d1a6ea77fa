import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import type { Log } from '../../src/action/log.js';
import { readNamed } from '../../src/action/named.js';
import type { Settings } from '../../src/run/settings.js';
import { DEFAULT_MAX_DELETES } from '../../src/plan/brakes.js';
import { selectRepositories } from '../../src/plan/selection.js';
import { digestOf } from '../../src/oci/digest.js';
import { NO_PROTECTION } from '../support/builders/protections.js';

const DIGEST = digestOf(Buffer.from('one'));

let workspace: string;
let said: string[];
const before = process.cwd();

beforeEach(() => {
  workspace = mkdtempSync(path.join(tmpdir(), 'named-'));
  process.chdir(workspace);
  said = [];
  // @actions/glob tells the debug log where it looks.
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});

afterEach(() => {
  jest.restoreAllMocks();
  process.chdir(before);
  rmSync(workspace, { recursive: true, force: true });
});

const log: Log = {
  info: (line) => said.push(line),
  group: () => undefined,
  warning: (line) => said.push(`warning: ${line}`),
  error: () => undefined,
  debug: () => undefined,
};

function read(more: Partial<Settings> = {}): ReturnType<typeof readNamed> {
  const settings: Settings = {
    registry: new URL('https://registry.example.com'),
    registryType: 'auto',
    ledger: { kind: 'off' },
    insecure: false,
    selection: selectRepositories([]),
    digests: '',
    digestsFiles: [],
    dryRun: false,
    gracePeriod: 0,
    unusedFor: 0,
    danglingReferrers: 'keep',
    keepUntagged: 0,
    protection: NO_PROTECTION,
    protectFiles: [],
    maxDeletes: DEFAULT_MAX_DELETES,
    verify: true,
    backupDirectory: 'backup',
    concurrency: 1,
    ...more,
  };
  return readNamed(settings, log);
}

const refusal = (more: Partial<Settings>): Promise<string> =>
  read(more).then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

/** A plan of this registry that lists nothing. */
function plan(): string {
  const registry = 'https://registry.example.com';
  const createdAt = '2026-01-02T03:04:05.678Z';
  return JSON.stringify({ planVersion: 1, registry, createdAt, repositories: [] });
}

describe('readNamed', () => {
  it('reads nothing where no input names a file', async () => {
    const { named, protection } = await read();
    expect(named.intake.candidates.size).toBe(0);
    expect(named.pinned).toEqual({ files: 0, digests: 0 });
    expect(named.approval).toBeUndefined();
    expect(protection).toEqual(NO_PROTECTION);
    expect(said).toEqual([]);
  });

  it('reads the files of all inputs', async () => {
    writeFileSync('digests.txt', `team/app@${DIGEST}\n`);
    writeFileSync('a.yaml', DIGEST);
    writeFileSync('b.yaml', DIGEST);
    writeFileSync('plan.json', plan());
    const { named, protection } = await read({
      digestsFiles: ['digests.txt'],
      protectFiles: ['*.yaml'],
      applyPlan: 'plan.json',
    });
    expect([...named.intake.candidates]).toEqual([['team/app', new Set([DIGEST])]]);
    expect(named.pinned).toEqual({ files: 2, digests: 1 });
    expect(named.approval?.repositories).toEqual(new Map());
    expect([...protection.digests.keys()]).toEqual([DIGEST]);
    expect(said).toEqual(['protect-files: 1 digest in 2 files']);
  });
});

describe('files of protect-files', () => {
  it('cause a warning when none holds a digest, for they protect nothing', async () => {
    writeFileSync('a.yaml', 'image: app:v1');
    writeFileSync('b.yaml', `image: app@sha256:\${DIGEST}`);
    await read({ protectFiles: ['*.yaml'] });
    expect(said).toEqual([
      'protect-files: 0 digests in 2 files',
      'warning: protect-files: no digest in 2 files, so it protects nothing. A digest is `sha256:` with 64 hex digits [protection-empty]',
    ]);
  });

  it('cause no warning when one of them holds a digest', async () => {
    writeFileSync('a.yaml', DIGEST);
    writeFileSync('b.yaml', '');
    await read({ protectFiles: ['*.yaml'] });
    expect(said).toEqual(['protect-files: 1 digest in 2 files']);
  });
});

describe('a mistake in the files', () => {
  const wrong = {
    digestsFiles: ['gone.txt'],
    protectFiles: ['gone/*.yaml'],
    applyPlan: 'plan.json',
  };
  const told: Readonly<Record<string, string>> = {
    digestsFiles: 'digests-file: "gone.txt" does not exist',
    protectFiles: 'protect-files: "gone/*.yaml" matches no file',
    applyPlan: "apply-plan: the file isn't valid JSON",
  };

  beforeEach(() => {
    writeFileSync('plan.json', '{');
  });

  it('is reported by itself for one input', async () => {
    for (const [key, value] of Object.entries(wrong)) {
      const message = await refusal({ [key]: value });
      expect(message.split('\n')).toEqual([expect.stringContaining(told[key] ?? '-')]);
    }
  });

  it('is reported in one error for several inputs, each on its line', async () => {
    const lines = (await refusal(wrong)).split('\n');
    expect(lines).toEqual(Object.values(told).map((words) => expect.stringContaining(words)));
    writeFileSync('plan.json', plan());
    expect((await refusal(wrong)).split('\n')).toHaveLength(2);
    expect(said).toEqual([]);
  });
});

describe('lines that are not understood', () => {
  it('are a mistake in `digests`, whose lines somebody wrote by hand: each is named', async () => {
    const digests = `team/app@${DIGEST}\nteam/app:v1\nother.example.com/app@${DIGEST}\n# fine\n`;
    const message = await refusal({ digests });
    expect(message).toMatch(
      /^digests: 2 lines are not understood: digests line 2: "team\/app:v1"; digests line 3: "other\.example\.com\/app@.*\(another registry.*\)"\. Correct or remove them: a line is /,
    );
    expect(await refusal({ digests: `team/app@${DIGEST}` })).toBe('');
    expect(await refusal({ digests: '\n# nothing\n' })).toBe('');
  });

  it('are a mistake in a file of which none is understood, and a warning with their number otherwise', async () => {
    writeFileSync('wrong.txt', 'a b\nc d\n');
    writeFileSync('mixed.txt', `app@${DIGEST}\na b\n`);
    writeFileSync('empty.txt', '# nothing yet\n');
    const message = await refusal({ digestsFiles: ['wrong.txt', 'mixed.txt', 'empty.txt'] });
    expect(message).toBe(
      'digests-file: no line of "wrong.txt" is understood, of 2: wrong.txt:1: "a b"; wrong.txt:2: "c d". Is it the right ' +
        'file? docs/finding-orphans.md lists what a line may be [digests-file-unusable]',
    );
    const { named } = await read({ digestsFiles: ['mixed.txt', 'empty.txt'] });
    expect(named.intake).toMatchObject({ understood: 1, notUnderstood: 1 });
    expect(said.slice(1)).toEqual([
      'warning: digests-file: 1 line is not understood of the 2 in "mixed.txt", and skipped: mixed.txt:2: "a b". ' +
        'docs/finding-orphans.md lists what a line may be [digests-not-understood]',
    ]);
  });

  it('are shown up to five, with the number of the others', async () => {
    expect(await refusal({ digests: 'a b\n'.repeat(1200) })).toContain(
      '" and 1,195 more. Correct or remove them: a line is',
    );
  });
});

describe('files that are not regular, or too large', () => {
  it('are refused at once, each with what it is', async () => {
    execFileSync('mkfifo', ['pipe']);
    const message = await refusal({
      digestsFiles: ['pipe', '/dev/zero'],
      protectFiles: ['pipe'],
      applyPlan: 'pipe',
    });
    expect(message.split('\n')).toEqual([
      expect.stringMatching(
        /^digests-file: "pipe" can't be read: it is a named pipe, not a regular file\. Give a regular file .*; "\/dev\/zero" can't be read: it is a device/,
      ),
      expect.stringMatching(
        /^protect-files: a file could not be read, .*pipe": it is a named pipe/,
      ),
      expect.stringMatching(/^apply-plan: "pipe" can't be read: it is a named pipe/),
    ]);
  });

  it('include a plan with too many bytes or values', async () => {
    writeFileSync('plan.json', plan());
    truncateSync('plan.json', 129 * 1024 * 1024);
    expect(await refusal({ applyPlan: 'plan.json' })).toContain('it has more than 128 MiB');
    writeFileSync('plan.json', `[${'{},'.repeat(2_000_001)}{}]`);
    expect(await refusal({ applyPlan: 'plan.json' })).toContain(
      'the file holds more than a plan can',
    );
    writeFileSync('plan.json', JSON.stringify({ planVersion: 1, text: '[,"\\'.repeat(2_000_000) }));
    expect(await refusal({ applyPlan: 'plan.json' })).toContain("the plan can't be trusted");
  });

  it('exclude a file that protects a great many digests, for which there is a warning', async () => {
    const digests = (count: number) =>
      Array.from({ length: count }, (_, n) => `sha256:${String(n).padStart(64, '0')}`).join('\n');
    writeFileSync('few.yaml', digests(1000));
    await read({ protectFiles: ['few.yaml'] });
    expect(said).toEqual(['protect-files: 1,000 digests in 1 file']);
    writeFileSync('many.yaml', digests(1001));
    await read({ protectFiles: ['many.yaml'] });
    expect(said.at(-1)).toMatch(
      /^warning: protect-files: 1,001 digests are protected\. .* may send 1,001 more requests for each such repository\. Narrow/,
    );
  });

  it('include files that protect, one by one and together', async () => {
    const digests = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => `sha256:${String(from + n).padStart(64, '0')}`).join(
        '\n',
      );
    writeFileSync('one.yaml', digests(0, 200_001));
    expect(await refusal({ protectFiles: ['one.yaml'] })).toContain('more than 200,000 digests');
    writeFileSync('two-a.yaml', digests(0, 150_000));
    writeFileSync('two-b.yaml', digests(150_000, 50_001));
    expect(await refusal({ protectFiles: ['two-*.yaml'] })).toContain('more than 200,000 digests');
    rmSync('two-b.yaml');
    expect(await refusal({ protectFiles: ['two-*.yaml'] })).toBe('');
  });

  it('are not searched with a glob of very many wildcards, for a name may make it endless', async () => {
    writeFileSync('a'.repeat(250), '');
    for (const glob of ['a*a*a*a*a*a*b', '**/a/**/a/**/a/**/a/**/b', '!x*x*x*x*x*']) {
      expect(await refusal({ protectFiles: ['*', glob] })).toContain(
        `"${glob}" is too hard to match`,
      );
    }
    expect(await refusal({ protectFiles: ['a*a*a*a*', '**/a/**'] })).toContain('matches no file');
  });
});
