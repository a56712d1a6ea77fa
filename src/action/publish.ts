/** Hands a finished run's report to GitHub and to the file system. Decides and words nothing. */
import { closeSync, constants, ftruncateSync, writeFile } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';

import * as core from '@actions/core';

import type { RestoreRun } from '../run/restore.js';
import { makeDirectories } from '../run/files/directories.js';
import { openRegular } from '../run/files/regular.js';
import { outputs } from '../report/outputs.js';
import { renderRestore, restoreCounts } from '../report/restore.js';
import type { Run } from '../run/run.js';
import { renderSummary } from '../report/summary.js';

/** Written in pieces of about this many characters: a whole report may be longer than a string can be. */
const PIECE = 1024 * 1024;

const write = promisify(writeFile);

/**
 * Sets the outputs and, where GitHub wants one, writes the job summary.
 *
 * @param redact takes the run's secrets out of a text: a registry may send them back as a tag's name
 */
export async function publish(run: Run, redact: (text: string) => string): Promise<void> {
  await hand({ ...outputs(run) }, redact(renderSummary(run)));
}

/** The same for a run that restores a backup. */
export async function publishRestore(
  run: RestoreRun,
  redact: (text: string) => string,
): Promise<void> {
  const { restored, failed } = restoreCounts(run);
  await hand({ 'restored-count': restored, 'failed-count': failed }, redact(renderRestore(run)));
}

async function hand(values: Readonly<Record<string, unknown>>, summary: string): Promise<void> {
  Object.entries(values).forEach(([name, value]) => core.setOutput(name, value));
  if ((process.env['GITHUB_STEP_SUMMARY'] ?? '') !== '') {
    await core.summary.addRaw(summary).write();
  }
}

/** Writes a file, whole or with an error, and sets the output of its path. */
export async function writeLines(
  output: 'report-file' | 'plan-file',
  file: string,
  lines: Iterable<string>,
): Promise<void> {
  const path = resolve(file);
  makeDirectories(dirname(path));
  const { fd } = openRegular(path, {}, constants.O_WRONLY | constants.O_CREAT);
  try {
    ftruncateSync(fd);
    let piece = '';
    for (const text of lines) {
      piece += text;
      if (piece.length >= PIECE) {
        await write(fd, piece);
        piece = '';
      }
    }
    await write(fd, piece);
  } finally {
    closeSync(fd);
  }
  core.setOutput(output, path);
}
