/**
 * The paths among the inputs: what is to be read has to be there, and what is to be written is tried before a request is
 * sent. Leaves everything as it was: no file is emptied, and what a try made is removed.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  realpathSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';

import { codeOf } from '../text/error.js';
import { makeDirectories } from '../run/files/directories.js';
import { openRegular, readRegular } from '../run/files/regular.js';
import { otherKind, UnusablePath, whyNot } from '../run/files/why.js';

/** Notes a mistake. `got` is left out for secrets; `why` says what is wrong with it. */
export type Mistake = (input: string, takes: string, got?: string, why?: string) => undefined;

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
    if (kind === 'directory' && !stats.isDirectory()) {
      mistake(input, takes, file, "it isn't a directory");
    }
    if (kind === 'file' && !stats.isFile()) {
      mistake(input, takes, file, otherKind(stats));
    }
  } catch (error) {
    mistake(input, takes, file, whyUnread(error, kind));
  }
}

function whyUnread(error: unknown, kind: 'file' | 'directory'): string {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no such ${kind}`;
    default:
      return error instanceof UnusablePath || codeOf(error) === 'ENAMETOOLONG'
        ? whyNot(error)
        : "it can't be read";
  }
}

/** What the run will write, as the inputs name it. */
interface Places {
  readonly backupDirectory?: string;
  readonly planFile?: string;
  readonly reportFile?: string;
}

const TAKES_FILE = 'the path of a file that can be written, or made with its directories';
const TAKES_DIRECTORY = 'the path of a directory that can be written to, or made';

/**
 * Notes a mistake for each place that can't be written to, and for those that come in each other's way.
 *
 * @param reads files that other inputs name, by the input
 */
export function checkPlaces(
  { backupDirectory, planFile, reportFile }: Places,
  reads: Readonly<Record<string, string | undefined>>,
  digestsFiles: readonly string[],
  mistake: Mistake,
): void {
  const files = { 'plan-file': planFile, 'report-file': reportFile };
  const read = [
    ...Object.entries(reads),
    ...digestsFiles.map((file): [string, string] => ['digests-file', file]),
  ];
  for (const [input, file] of Object.entries(files)) {
    if (file === undefined) {
      continue;
    }
    const [other] =
      read.find(([, each]) => each !== undefined && realOf(each) === realOf(file)) ?? [];
    if (other !== undefined) {
      mistake(input, 'a path of its own', file, `the \`${other}\` has the same path`);
    } else {
      tried(() => tryFile(file), input, TAKES_FILE, file, mistake);
    }
  }
  if (reportFile !== undefined && planFile !== undefined) {
    const why = collision(realOf(reportFile), realOf(planFile), 'plan-file');
    if (why !== undefined) {
      mistake('report-file', 'a path of its own', reportFile, why);
    }
  }
  if (backupDirectory === undefined) {
    return;
  }
  const directory = realOf(backupDirectory);
  if (reportFile !== undefined) {
    const report = realOf(reportFile);
    const isOurs = ['index.jsonl', 'manifests'].some((name) =>
      isWithin(report, path.join(directory, name)),
    );
    if (isOurs || isWithin(directory, report)) {
      const why = isOurs ? 'the backup keeps its own files there' : 'the `backup-dir` is there';
      mistake('report-file', 'a path of its own', reportFile, why);
      return;
    }
  }
  tried(
    () => tryDirectory(backupDirectory),
    'backup-dir',
    TAKES_DIRECTORY,
    backupDirectory,
    mistake,
  );
}

function collision(file: string, other: string, input: string): string | undefined {
  if (file === other) {
    return `the \`${input}\` has the same path`;
  }
  return isWithin(file, other) || isWithin(other, file)
    ? `it and the \`${input}\` can't both be files`
    : undefined;
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

function tried(
  attempt: () => void,
  input: string,
  takes: string,
  got: string,
  mistake: Mistake,
): void {
  try {
    attempt();
  } catch (error) {
    mistake(input, takes, got, whyNot(error, "it can't be written"));
  }
}

function tryFile(file: string): void {
  const whole = path.resolve(file);
  const made = makeDirectories(path.dirname(whole));
  try {
    const isThere = statSync(whole, { throwIfNoEntry: false }) !== undefined;
    const { fd } = openRegular(whole, {}, constants.O_WRONLY | constants.O_CREAT);
    closeSync(fd);
    if (!isThere) {
      // Through a link that led nowhere, the link stays.
      unlinkSync(realpathSync(whole));
    }
  } finally {
    remove(made);
  }
}

function tryDirectory(directory: string): void {
  const whole = path.resolve(directory);
  const made = makeDirectories(whole);
  try {
    const probe = path.join(whole, `${randomBytes(6).toString('hex')}.tmp`);
    closeSync(openSync(probe, 'wx'));
    unlinkSync(probe);
  } finally {
    remove(made);
  }
}

/** The innermost first. What somebody put something into meanwhile stays. */
function remove(made: readonly string[]): void {
  for (const each of [...made].reverse()) {
    try {
      rmdirSync(each);
    } catch {
      return;
    }
  }
}
