import { mkdirSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { publish, publishRestore, writeLines } from '../../src/action/publish.js';
import { reportLines } from '../../src/report/json.js';
import { outputs } from '../../src/report/outputs.js';
import { planLines } from '../../src/report/plan-file.js';
import { renderRestore } from '../../src/report/restore.js';
import { renderSummary } from '../../src/report/summary.js';
import { cleanRun, d, guardedRun, moved, run } from '../support/builders/examples.js';
import { read, startRunner, type Runner } from '../support/scenes/runner.js';

const plain = (text: string) => text;

let runner: Runner;
let output: string;
let summary: string;
// One runner for all: @actions/core remembers the summary's path.
beforeAll(() => {
  runner = startRunner();
  output = runner.file('output');
  summary = runner.file('summary');
  runner.env('GITHUB_OUTPUT', output);
  runner.env('GITHUB_STEP_SUMMARY', undefined);
});
afterAll(() => {
  runner.restore();
});

/** Outputs as the runner reads them back (`name<<delimiter`, value, delimiter). */
function written(): Record<string, string> {
  const outputs: Record<string, string> = {};
  for (const [, name = '', , value = ''] of read(output).matchAll(
    /^([\w-]+)<<(\S+)\n(.*?)\n\2$/gms,
  )) {
    outputs[name] = value;
  }
  return outputs;
}

describe('publish', () => {
  it('sets every output, and writes no summary where GitHub wants none', async () => {
    await publish(cleanRun(), plain);
    expect(written()).toEqual(outputs(cleanRun()));
    expect(read(summary)).toBe('');
  });

  it('writes the summary as it was rendered, and once', async () => {
    runner.env('GITHUB_STEP_SUMMARY', summary);
    await publish(cleanRun(), plain);
    expect(read(summary).trimEnd()).toBe(renderSummary(cleanRun()).trimEnd());
  });
});

describe('publish with secrets that a registry sent back', () => {
  it('removes them from the summary', async () => {
    runner.env('GITHUB_STEP_SUMMARY', summary);
    await publish(guardedRun(), (text) => text.replaceAll('team/emptied', '***'));
    expect(read(summary)).toContain('`***`: nothing is deleted here');
    expect(read(summary)).not.toContain('team/emptied');
    expect(written()['backup-dir']).toBe('/home/runner/work/_temp/manifest-backup');
  });
});

describe('publishRestore', () => {
  const restore = {
    registry: 'https://registry.example.com',
    directory: 'backup',
    dryRun: false,
    repositories: [
      {
        repository: 'team/app',
        restored: [d('a'), d('b')],
        standing: [],
        failed: [{ digest: d('c'), why: 'hunter2' }],
        tags: ['v1'],
        failedTags: [],
        byServer: [],
      },
    ],
    cutOffLines: 0,
    elsewhere: 0,
    excluded: 0,
    failures: [],
  };

  it.each([
    [false, '2'],
    [true, '0'],
  ])(
    'with dry-run %s sets its outputs and writes the summary, without secrets',
    async (dryRun, back) => {
      const before = read(summary);
      await publishRestore({ ...restore, dryRun }, (text) => text.replaceAll('hunter2', '***'));
      expect(written()).toMatchObject({ 'restored-count': back, 'failed-count': '1' });
      const added = read(summary).slice(before.length).trimEnd();
      expect(added).toBe(
        renderRestore({ ...restore, dryRun })
          .replace('hunter2', '***')
          .trimEnd(),
      );
    },
  );
});

describe('writeLines', () => {
  it('writes the whole report, makes the directories, and sets the absolute path as output', async () => {
    const path = join(runner.directory, 'deep', 'er', 'report.json');
    await writeLines('report-file', relative(process.cwd(), path), reportLines(cleanRun()));
    expect(read(path)).toBe([...reportLines(cleanRun())].join(''));
    expect(JSON.parse(read(path))).toEqual(expect.any(Object));
    const told = written()['report-file'] ?? '';
    expect(isAbsolute(told)).toBe(true);
    expect(told).toBe(path);
  });

  it('writes a plan, and sets its path as another output', async () => {
    const path = join(runner.directory, 'plans', 'plan.json');
    await writeLines('plan-file', path, planLines(cleanRun(), plain));
    expect(read(path)).toBe([...planLines(cleanRun(), plain)].join(''));
    expect(written()['plan-file']).toBe(path);
    expect(written()['report-file']).not.toBe(path);
  });

  it('replaces an older, longer file', async () => {
    const path = runner.file('report.json', 'x'.repeat(1_000_000));
    await writeLines('report-file', path, reportLines(cleanRun()));
    expect(read(path)).toBe([...reportLines(cleanRun())].join(''));
  });

  it('writes a report of several pieces completely', async () => {
    const path = join(runner.directory, 'large.json');
    const large = run(
      Array.from({ length: 3_000 }, (_, n) => moved(`team/app-${String(n)}`, 1_000, 0)),
    );
    await writeLines('report-file', path, reportLines(large));
    expect(read(path).length).toBeGreaterThan(2 * 1024 * 1024);
    expect(read(path)).toBe([...reportLines(large)].join(''));
  });

  it('fails when a file can not be written', async () => {
    const folder = join(runner.directory, 'folder');
    mkdirSync(folder);
    await expect(writeLines('report-file', folder, reportLines(cleanRun()))).rejects.toThrow(
      'it is a directory',
    );
    await expect(
      writeLines('report-file', join(runner.file('file'), 'report.json'), reportLines(cleanRun())),
    ).rejects.toThrow(/file" is a file, not a directory$/);
  });
});
