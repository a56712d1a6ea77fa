/**
 * Reads `digests` and the files of `digests-file` into candidates. The only one here that opens files;
 * it streams them, so that a gigabyte needs no more memory than the digests that it names.
 */
import { createReadStream } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';

import type { Intake } from './candidate.js';
import { split } from './split.js';
import { printable, Tally } from './tally.js';
import { Transcript } from './transcript.js';

/** A file can't be read. The message names the input and every such path, and says what to do. */
export class IntakeError extends Error {
  override name = 'IntakeError';
}

export interface IntakeSource {
  /** the text of the input `digests` */
  readonly digests: string;
  /** paths, relative to the working directory or absolute */
  readonly files: readonly string[];
  /** `host` or `host:port` of the registry to clean: references to others are not candidates */
  readonly registryHost: string;
}

const CHUNK_BYTES = 256 * 1024;

/** @throws IntakeError before anything is read when a file is missing or closed to us; later when reading fails */
export async function readIntake({ digests, files, registryHost }: IntakeSource): Promise<Intake> {
  const paths = [...new Set(files)];
  await checkReadable(paths);
  const tally = new Tally();
  await readSource(
    [digests],
    new Transcript(tally, registryHost, (line) => `digests line ${line}`),
  );
  for (const path of paths) {
    const transcript = new Transcript(tally, registryHost, (line) => `${path}:${line}`);
    const chunks: AsyncIterable<string> = createReadStream(path, {
      encoding: 'utf8',
      highWaterMark: CHUNK_BYTES,
    });
    try {
      await readSource(chunks, transcript);
    } catch (error) {
      throw isSystemError(error) ? unreadable([problem(path, error)], error) : error;
    }
  }
  return tally.intake();
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
      if ((await stat(path)).isDirectory()) {
        problems.push(`"${printable(path)}" is a directory: name the files in it`);
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

function isSystemError(error: unknown): error is { code: string } {
  return (
    typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
  );
}

function problem(path: string, error: unknown): string {
  const code = isSystemError(error) ? error.code : 'unknown error';
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
