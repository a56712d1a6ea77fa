/**
 * Reads `digests` and the files of `digests-file` into candidates. The only one here that opens files;
 * it streams them, so that a gigabyte needs no more memory than the digests that it names.
 */
import { access, constants, stat } from 'node:fs/promises';

import { codeOf } from '../../text/error.js';
import { printable } from '../../text/printable.js';
import { streamRegular } from '../files/regular.js';
import { otherKind, UnusablePath } from '../files/why.js';
import type { Intake } from './candidate.js';
import { split } from './split.js';
import { Tally, TooManyCandidates, type SourceTally } from './tally.js';
import { Transcript } from './transcript.js';
import { CodedError, coded } from '../../text/code.js';

/** A file can't be read, or too much is named. The message names the input and every such path, and says what to do. */
export class IntakeError extends CodedError {
  override name = 'IntakeError';
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'digests-file-unusable', options);
  }
}

interface IntakeSource {
  /** the text of the input `digests` */
  readonly digests: string;
  /** paths, relative to the working directory or absolute */
  readonly files: readonly string[];
  /** `host` or `host:port` of the registry to clean: references to others are not candidates */
  readonly registryHost: string;
  /** manifests that may be named; by default so many as memory can hold */
  readonly most?: number;
  /** told of lines of `digests`, and of a file, that are not understood where they have to be: nothing may be done */
  readonly mistake?: (message: string) => void;
  /** told of a file of which some lines are not understood */
  readonly warning?: (message: string) => void;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * @throws IntakeError before anything is read when a file is missing or closed to us; later when reading fails
 */
export async function readIntake(source: IntakeSource): Promise<Intake> {
  await checkReadable([...new Set(source.files)]);
  try {
    return await readAll(source);
  } catch (error) {
    if (error instanceof TooManyCandidates) {
      throw new IntakeError(
        `digests-file: ${error.message}. Give a part of the listing at a time, such as that of some repositories`,
        { cause: error },
      );
    }
    throw error;
  }
}

async function readAll({
  digests,
  files,
  registryHost,
  most,
  mistake,
  warning,
}: IntakeSource): Promise<Intake> {
  const paths = [...new Set(files)];
  const tally = new Tally(most);
  const given = tally.begin();
  await readSource(
    [digests],
    new Transcript(tally, registryHost, (line) => `digests line ${line}`),
  );
  if (given.notUnderstood > 0) {
    mistake?.(
      `digests: ${linesOf(given.notUnderstood)} not understood: ${examplesOf(given)}. A line is ` +
        `\`repository@sha256:…\`, or what docs/finding-orphans.md lists. Correct it or take it out`,
    );
  }
  for (const path of paths) {
    const read = tally.begin();
    const transcript = new Transcript(tally, registryHost, (line) => `${path}:${line}`);
    try {
      await readSource(streamRegular(path, { highWaterMark: CHUNK_BYTES }), transcript);
    } catch (error) {
      throw codeOf(error) !== '' || error instanceof UnusablePath
        ? unreadable([problem(path, error)], error)
        : error;
    }
    const lines = read.understood + read.notUnderstood;
    const shown = `"${printable(path)}"`;
    if (read.understood === 0 && lines > 0) {
      mistake?.(
        `digests-file: no line of ${shown} is understood, of ${lines.toLocaleString('en')}: ${examplesOf(read)}. Is it ` +
          'the right file? docs/finding-orphans.md lists what a line may be',
      );
    } else if (read.notUnderstood > 0) {
      warning?.(
        coded(
          `digests-file: ${linesOf(read.notUnderstood)} not understood of the ${lines.toLocaleString('en')} in ${shown}, and ` +
            `skipped: ${examplesOf(read)}. docs/finding-orphans.md lists what a line may be`,
          'digests-not-understood',
        ),
      );
    }
  }
  return tally.intake();
}

function linesOf(count: number): string {
  return count === 1 ? '1 line is' : `${count.toLocaleString('en')} lines are`;
}

function examplesOf({ examples, notUnderstood }: SourceTally): string {
  const more = notUnderstood - examples.length;
  return (
    examples.map(({ where, text }) => `${where}: "${text}"`).join('; ') +
    (more > 0 ? ` and ${more.toLocaleString('en')} more` : '')
  );
}

async function readSource(
  chunks: AsyncIterable<string> | Iterable<string>,
  transcript: Transcript,
): Promise<void> {
  await split(chunks, (piece) => {
    transcript.add(piece);
  });
  transcript.end();
}

async function checkReadable(paths: readonly string[]): Promise<void> {
  const problems: string[] = [];
  for (const path of paths) {
    try {
      const stats = await stat(path);
      if (stats.isDirectory()) {
        problems.push(`"${printable(path)}" is a directory: name the files in it`);
      } else if (!stats.isFile()) {
        problems.push(problem(path, new UnusablePath(otherKind(stats))));
      } else {
        await access(path, constants.R_OK);
      }
    } catch (error) {
      problems.push(problem(path, error));
    }
  }
  if (problems.length > 0) {
    throw unreadable(problems);
  }
}

function problem(path: string, error: unknown): string {
  if (error instanceof UnusablePath) {
    return `"${printable(path)}" can't be read: ${error.message}. Write what it holds to a file first`;
  }
  const code = codeOf(error) || 'unknown error';
  const shown = `"${printable(path)}"`;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `${shown} does not exist: check the path, which is relative to the working directory, and that an earlier step wrote the file`;
    case 'EACCES':
    case 'EPERM':
      return `${shown} can't be opened (${code}): make it readable for the user that runs this job`;
    default:
      return `${shown} could not be read to its end (${code}): check the file and its disk, then run again`;
  }
}

function unreadable(problems: readonly string[], cause?: unknown): IntakeError {
  return new IntakeError(`digests-file: ${problems.join('; ')}`, { cause });
}
