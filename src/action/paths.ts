/**
 * The paths among the inputs: a path to read has to exist, and a path to write is tried before the first request.
 * Changes nothing: no file is emptied, and what a try made is removed.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  realpathSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';

import { codeOf } from '../text/error.js';
import { INDEX, MANIFESTS } from '../run/backup/backup.js';
import { makeDirectories } from '../run/files/directories.js';
import { openRegular, readRegular } from '../run/files/regular.js';
import { otherKind, UnusablePath, whyNot } from '../run/files/why.js';
import type { Settings } from '../run/settings.js';
import type { Mistake } from './mistake.js';

/** All the authorities that browsers know have a quarter of a MiB. */
const MOST_CA_BYTES = 16 * 1024 * 1024;

/** The PEM text of `ca-file`. */
export function readCaFile(file: string, mistake: Mistake): string | undefined {
  if (file === '') {
    return undefined;
  }
  const takes = 'a readable file with PEM certificates (-----BEGIN CERTIFICATE-----)';
  try {
    const text = readRegular(file, MOST_CA_BYTES).toString('utf8');
    return text.includes('-----BEGIN CERTIFICATE-----') ? text : mistake('ca-file', takes, file);
  } catch (error) {
    return mistake('ca-file', takes, file, whyUnread(error, 'file'));
  }
}

/** Notes a mistake where this is not what can be read there. */
export function checkPath(
  input: string,
  file: string,
  takes: string,
  mistake: Mistake,
  kind: 'file' | 'directory' = 'file',
): void {
  try {
    accessSync(file, constants.R_OK);
    const stats = statSync(file);
    if (kind === 'directory' ? !stats.isDirectory() : !stats.isFile()) {
      const why = kind === 'directory' ? "it isn't a directory" : otherKind(stats);
      mistake(input, takes, file, why);
    }
  } catch (error) {
    mistake(input, takes, file, whyUnread(error, kind));
  }
}

function whyUnread(error: unknown, kind: 'file' | 'directory'): string {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return `there is no such ${kind}`;
  }
  return error instanceof UnusablePath || code === 'ENAMETOOLONG'
    ? whyNot(error)
    : "it can't be read";
}

/** What the run will write, as the inputs name it. */
type Places = Partial<Pick<Settings, 'backupDirectory' | 'planFile' | 'reportFile'>>;

const OWN = 'a path of its own';
const TAKES_FILE = 'the path of a file that can be written, or made with its directories';
const TAKES_DIRECTORY = 'the path of a directory that can be written to, or made';

/**
 * Notes a mistake for each place that can't be written to, and for those that conflict.
 *
 * @param reads files that other inputs name, behind the input; `''` where there is none
 */
export function checkPlaces(
  places: Places,
  reads: readonly (readonly [string, string])[],
  mistake: Mistake,
): void {
  const { backupDirectory, planFile, reportFile } = places;
  const attempt = (input: string, takes: string, got: string, file = got) => {
    try {
      tryFile(path.resolve(file));
    } catch (error) {
      mistake(input, takes, got, whyNot(error, "it can't be written"));
    }
  };
  for (const [input, file] of Object.entries({
    'plan-file': planFile,
    'report-file': reportFile,
  })) {
    if (file !== undefined) {
      const same = reads.find(([, each]) => each !== '' && realOf(each) === realOf(file));
      if (same === undefined) {
        attempt(input, TAKES_FILE, file);
      } else {
        mistake(input, OWN, file, `the \`${same[0]}\` has the same path`);
      }
    }
  }
  const conflict = conflictOf(places);
  if (conflict !== undefined) {
    mistake('report-file', OWN, reportFile, conflict);
  } else if (backupDirectory !== undefined) {
    const probe = path.join(backupDirectory, `${randomBytes(6).toString('hex')}.tmp`);
    attempt('backup-dir', TAKES_DIRECTORY, backupDirectory, probe);
  }
}

/** Why the report can't be written beside the plan or the backup; a run has one of them. */
function conflictOf({ backupDirectory, planFile, reportFile }: Places): string | undefined {
  if (reportFile === undefined) {
    return undefined;
  }
  const report = realOf(reportFile);
  const plan = planFile === undefined ? undefined : realOf(planFile);
  const backup = backupDirectory === undefined ? undefined : realOf(backupDirectory);
  if (plan === report) {
    return 'the `plan-file` has the same path';
  }
  if (plan !== undefined && (isWithin(report, plan) || isWithin(plan, report))) {
    return "it and the `plan-file` can't both be files";
  }
  const own = backup === undefined ? [] : [path.join(backup, INDEX), path.join(backup, MANIFESTS)];
  if (own.some((each) => isWithin(report, each))) {
    return 'the backup keeps its own files there';
  }
  return backup !== undefined && isWithin(backup, report) ? 'the `backup-dir` is there' : undefined;
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(path.sep) ? outer : outer + path.sep);
}

/** Absolute and without links, as far as it exists. */
function realOf(file: string): string {
  const whole = path.resolve(file);
  for (let at = whole; ; at = path.dirname(at)) {
    try {
      return path.join(realpathSync(at), path.relative(at, whole));
    } catch {
      if (at === path.dirname(at)) {
        return whole;
      }
    }
  }
}

/** @throws UnusablePath, or an error of the file system */
function tryFile(file: string): void {
  const made = makeDirectories(path.dirname(file));
  try {
    const isThere = statSync(file, { throwIfNoEntry: false }) !== undefined;
    const { fd } = openRegular(file, {}, constants.O_WRONLY | constants.O_CREAT);
    closeSync(fd);
    if (!isThere) {
      // Through a link that led nowhere, the link stays.
      unlinkSync(realpathSync(file));
    }
  } finally {
    remove(made);
  }
}

/** The innermost first. A directory in which another process has put something stays. */
function remove(made: readonly string[]): void {
  for (const each of [...made].reverse()) {
    try {
      rmdirSync(each);
    } catch {
      return;
    }
  }
}
