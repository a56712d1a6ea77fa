import { mkdirSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { publish, writeReport } from '../../src/action/publish.js';
import { reportLines } from '../../src/report/json.js';
import { outputs } from '../../src/report/outputs.js';
import { renderSummary } from '../../src/report/summary.js';
import { cleanRun, moved, run } from '../report/examples.js';
import { read, startRunner, type Runner } from './stdout.js';

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
  it('sets every output; writes no summary where nobody wants one', async () => {
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

describe('writeReport', () => {
  it('writes the whole report, makes the folders, and tells the absolute path', async () => {
    const path = join(runner.directory, 'deep', 'er', 'report.json');
    await writeReport(cleanRun(), relative(process.cwd(), path), plain);
    expect(read(path)).toBe([...reportLines(cleanRun())].join(''));
    expect(JSON.parse(read(path))).toEqual(expect.any(Object));
    const told = written()['report-file'] ?? '';
    expect(isAbsolute(told)).toBe(true);
    expect(told).toBe(path);
  });

  it('replaces an older, longer one', async () => {
    const path = runner.file('report.json', 'x'.repeat(1_000_000));
    await writeReport(cleanRun(), path, plain);
    expect(read(path)).toBe([...reportLines(cleanRun())].join(''));
  });

  it('is complete when it takes several pieces', async () => {
    const path = join(runner.directory, 'large.json');
    const large = run(
      Array.from({ length: 3_000 }, (_, n) => moved(`team/app-${String(n)}`, 1_000, 0)),
    );
    await writeReport(large, path, plain);
    expect(read(path).length).toBeGreaterThan(2 * 1024 * 1024);
    expect(read(path)).toBe([...reportLines(large)].join(''));
  });

  it('says when it can not be written', async () => {
    const folder = join(runner.directory, 'folder');
    mkdirSync(folder);
    await expect(writeReport(cleanRun(), folder, plain)).rejects.toThrow('EISDIR');
    await expect(
      writeReport(cleanRun(), join(runner.file('file'), 'report.json'), plain),
    ).rejects.toThrow(/EEXIST|ENOTDIR/);
  });
});
