import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import type { Log } from '../../src/action/log.js';
import { readNamed } from '../../src/action/named.js';
import type { Settings } from '../../src/action/settings.js';
import { DEFAULT_MAX_DELETES } from '../../src/cleanup/brakes.js';
import { selectRepositories } from '../../src/cleanup/selection.js';
import { digestOf } from '../../src/oci/digest.js';
import { NO_PROTECTION } from '../../src/protection/protection.js';

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
    insecure: false,
    selection: selectRepositories([]),
    digests: '',
    digestsFiles: [],
    dryRun: false,
    gracePeriod: 0,
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

describe('what the inputs name in files', () => {
  it('is nothing where no input names one', async () => {
    const { named, protection } = await read();
    expect(named.intake.candidates.size).toBe(0);
    expect(named.pinned).toEqual({ files: 0, digests: 0 });
    expect(named).not.toHaveProperty('approval');
    expect(protection).toEqual(NO_PROTECTION);
    expect(said).toEqual([]);
  });

  it('is read from all of them', async () => {
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
  it('that hold no digest are warned of, for they protect nothing', async () => {
    writeFileSync('a.yaml', 'image: app:v1');
    writeFileSync('b.yaml', `image: app@sha256:\${DIGEST}`);
    await read({ protectFiles: ['*.yaml'] });
    expect(said).toEqual([
      'protect-files: 0 digests in 2 files',
      'warning: protect-files: no digest in 2 files, so it protects nothing. A digest is `sha256:` with 64 hex digits behind it',
    ]);
  });

  it('are not, where one of them does', async () => {
    writeFileSync('a.yaml', DIGEST);
    writeFileSync('b.yaml', '');
    await read({ protectFiles: ['*.yaml'] });
    expect(said).toEqual(['protect-files: 1 digest in 2 files']);
  });
});

describe('what is wrong with the files', () => {
  const wrong = {
    digestsFiles: ['gone.txt'],
    protectFiles: ['gone/*.yaml'],
    applyPlan: 'plan.json',
  };
  const told: Readonly<Record<string, string>> = {
    digestsFiles: 'digests-file: "gone.txt" does not exist',
    protectFiles: 'protect-files: "gone/*.yaml" matches no file',
    applyPlan: 'apply-plan: the file is no JSON',
  };

  beforeEach(() => {
    writeFileSync('plan.json', '{');
  });

  it('of one input is told by itself', async () => {
    for (const [key, value] of Object.entries(wrong)) {
      const message = await refusal({ [key]: value });
      expect(message.split('\n')).toEqual([expect.stringContaining(told[key] ?? '-')]);
    }
  });

  it('of several inputs is told in one error, each on its line', async () => {
    const lines = (await refusal(wrong)).split('\n');
    expect(lines).toEqual(Object.values(told).map((words) => expect.stringContaining(words)));
    writeFileSync('plan.json', plan());
    expect((await refusal(wrong)).split('\n')).toHaveLength(2);
    expect(said).toEqual([]);
  });
});
