/**
 * Reads `digests` and the files of `digests-file` into candidates. The only one here that opens files;
 * it streams them, so that a gigabyte needs no more memory than the digests that it names.
 */
import { access, constants, stat } from 'node:fs/promises';

import { coded } from '../../text/code.js';
import { codeOf } from '../../text/error.js';
import { printable } from '../../text/printable.js';
import { count, number } from '../../text/words.js';
import { streamRegular } from '../files/regular.js';
import { otherKind, UnusablePath } from '../files/why.js';
import {
  Candidates,
  IntakeError,
  MOST_EXAMPLES,
  type Intake,
  type LineCounts,
} from './candidate.js';
import { split } from './split.js';
import { Transcript } from './transcript.js';

interface IntakeSource {
  /** the text of the input `digests` */
  readonly digests: string;
  /** paths, relative to the working directory or absolute */
  readonly files: readonly string[];
  /** `host` or `host:port` of the registry to clean: references to others are not candidates */
  readonly registryHost: string;
  /** manifests that may be named; by default so many as memory can hold */
  readonly most?: number;
  /** called for a source with lines that are not understood where they have to be: nothing may be done */
  readonly mistake?: (message: string) => void;
  /** called for a file of which some lines are not understood */
  readonly warning?: (message: string) => void;
}

const CHUNK_BYTES = 256 * 1024;
/** They need less than half a GiB, and a run could not read so many manifests in a day. */
const MOST_CANDIDATES = 2_000_000;
const FORMATS = 'docs/finding-orphans.md lists what a line may be';

/**
 * @throws IntakeError before anything is read when a file is missing or can't be opened; later when reading fails or
 *   too much is named
 */
export async function readIntake({
  digests,
  files,
  registryHost,
  most = MOST_CANDIDATES,
  mistake,
  warning,
}: IntakeSource): Promise<Intake> {
  const paths = [...new Set(files)];
  await checkReadable(paths);
  const candidates = new Candidates(most);
  const read = async (
    chunks: AsyncIterable<string> | Iterable<string>,
    where: (line: number) => string,
  ): Promise<LineCounts> => {
    const transcript = new Transcript({ candidates, registryHost, where });
    await split(chunks, (piece) => transcript.add(piece));
    transcript.end();
    return transcript;
  };
  const given = await read([digests], (line) => `digests line ${line}`);
  if (given.notUnderstood > 0) {
    mistake?.(
      `digests: ${linesOf(given.notUnderstood)} not understood: ${examplesOf(given)}. Correct or remove them: a line is ` +
        '`repository@sha256:…`, or what docs/finding-orphans.md lists',
    );
  }
  const all = [given];
  for (const path of paths) {
    const chunks = streamRegular(path, { highWaterMark: CHUNK_BYTES });
    const found = await read(chunks, (line) => `${path}:${line}`).catch((error: unknown) => {
      const isOfFile = codeOf(error) !== '' || error instanceof UnusablePath;
      throw isOfFile ? unreadable([problem(path, error)], error) : error;
    });
    all.push(found);
    const lines = found.understood + found.notUnderstood;
    const shown = `"${printable(path)}"`;
    if (found.understood === 0 && lines > 0) {
      mistake?.(
        `digests-file: no line of ${shown} is understood, of ${number(lines)}: ${examplesOf(found)}. Is it the right ` +
          `file? ${FORMATS}`,
      );
    } else if (found.notUnderstood > 0) {
      warning?.(
        coded(
          `digests-file: ${linesOf(found.notUnderstood)} not understood of the ${number(lines)} in ${shown}, and skipped: ` +
            `${examplesOf(found)}. ${FORMATS}`,
          'digests-not-understood',
        ),
      );
    }
  }
  return {
    candidates: candidates.byRepository,
    understood: all.reduce((sum, { understood }) => sum + understood, 0),
    notUnderstood: all.reduce((sum, { notUnderstood }) => sum + notUnderstood, 0),
    examples: all.flatMap(({ examples }) => examples).slice(0, MOST_EXAMPLES),
  };
}

function linesOf(lines: number): string {
  return `${count(lines, 'line')} ${lines === 1 ? 'is' : 'are'}`;
}

function examplesOf({ examples, notUnderstood }: LineCounts): string {
  const more = notUnderstood - examples.length;
  return (
    examples.map(({ where, text }) => `${where}: "${text}"`).join('; ') +
    (more > 0 ? ` and ${number(more)} more` : '')
  );
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
  const code = codeOf(error);
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
