/**
 * Reads `digests` and the files of `digests-file` into candidates. The only one here that opens files;
 * it streams them, so that a gigabyte needs no more memory than the digests that it names.
 */
import { coded } from '../../text/code.js';
import { codeOf } from '../../text/error.js';
import { printable } from '../../text/printable.js';
import { count, number } from '../../text/words.js';
import { streamRegular } from '../files/regular.js';
import { UnusablePath, whyNot } from '../files/why.js';
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
const NOTHING: LineCounts = { understood: 0, notUnderstood: 0, examples: [] };
const FORMATS = 'docs/finding-orphans.md lists what a line may be';

/** @throws IntakeError naming all files that are missing or can't be read; or when too much is named */
export async function readIntake({
  digests,
  files,
  registryHost,
  most = MOST_CANDIDATES,
  mistake,
  warning,
}: IntakeSource): Promise<Intake> {
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
  const unread: string[] = [];
  for (const path of new Set(files)) {
    const chunks = streamRegular(path, { highWaterMark: CHUNK_BYTES });
    const found = await read(chunks, (line) => `${path}:${line}`).catch((error: unknown) => {
      if (codeOf(error) === '' && !(error instanceof UnusablePath)) {
        throw error;
      }
      unread.push(whyUnread(path, error));
      return NOTHING;
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
  if (unread.length > 0) {
    throw new IntakeError(`digests-file: ${unread.join('; ')}`);
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

function whyUnread(path: string, error: unknown): string {
  const shown = `"${printable(path)}"`;
  return ['ENOENT', 'ENOTDIR'].includes(codeOf(error))
    ? `${shown} does not exist: check the path, which is relative to the working directory, and that an earlier step wrote the file`
    : `${shown} can't be read: ${whyNot(error, 'reading it fails')}. Give a regular file that the user of this job can read`;
}
