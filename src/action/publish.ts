/** Hands a finished run's report to GitHub and to the file system. Decides and words nothing. */
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import * as core from '@actions/core';

import { outputs } from '../report/outputs.js';
import { renderRestore, restoreCounts, type RestoreRun } from '../report/restore.js';
import type { Run } from '../report/run.js';
import { renderSummary } from '../report/summary.js';

/** Written in pieces of about this many characters: a whole report may be longer than a string can be. */
const PIECE = 1024 * 1024;

/**
 * Sets the outputs and, where GitHub wants one, writes the job summary.
 *
 * @param redact takes the run's secrets out of a text: a registry may send them back as a tag's name
 */
export async function publish(run: Run, redact: (text: string) => string): Promise<void> {
  for (const [name, value] of Object.entries(outputs(run))) {
    core.setOutput(name, value);
  }
  await addSummary(redact(renderSummary(run)));
}

/** The same for a run that puts a backup back. */
export async function publishUndo(
  run: RestoreRun,
  redact: (text: string) => string,
): Promise<void> {
  const { restored, failed } = restoreCounts(run);
  core.setOutput('restored-count', String(restored));
  core.setOutput('failed-count', String(failed));
  await addSummary(redact(renderRestore(run)));
}

async function addSummary(text: string): Promise<void> {
  if ((process.env['GITHUB_STEP_SUMMARY'] ?? '') !== '') {
    await core.summary.addRaw(text).write();
  }
}

/** Writes a file, whole or with an error, and sets the output of its path. */
export async function writeLines(
  output: 'report-file' | 'plan-file',
  file: string,
  lines: Iterable<string>,
): Promise<void> {
  const path = resolve(file);
  await mkdir(dirname(path), { recursive: true });
  const handle = await open(path, 'w');
  try {
    let piece = '';
    for (const text of lines) {
      piece += text;
      if (piece.length >= PIECE) {
        await handle.write(piece);
        piece = '';
      }
    }
    await handle.write(piece);
  } finally {
    await handle.close();
  }
  core.setOutput(output, path);
}
