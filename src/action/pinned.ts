/**
 * Reads the digests out of the files of `protect-files`. Globs are GitHub's own, as in `hashFiles` and in
 * `path` of actions/upload-artifact. Files are streamed, and never executed or parsed: any text will do.
 */
import path from 'node:path';

import { create } from '@actions/glob';

import { copyOf } from '../run/candidates/candidate.js';
import { streamRegular } from '../run/files/regular.js';
import { UnusablePath } from '../run/files/why.js';
import { digestsIn, type Digest } from '../oci/digest.js';
import { CodedError } from '../text/code.js';
import { messageOf } from '../text/error.js';
import { number } from '../text/words.js';

/** A file can't be read, or a glob matches none. The message says what to do; nothing was done. */
export class PinnedError extends CodedError {
  override name = 'PinnedError';
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'protect-files-unusable', options);
  }
}

/** More than the longest digest has, so that one on the edge of two pieces is whole in the second. */
const OVERLAP = 160;

/** Of a file. Files with digests to keep have kilobytes. */
const MOST_BYTES = 1024 * 1024 * 1024;
/** In all files together. Each digest may cost a request in each repository that has orphans. */
const MOST_DIGESTS = 200_000;
/** In a component, and of `**` in the whole: more take minutes for one long name that almost matches. */
const MOST_STARS = 4;

/**
 * @param patterns globs relative to the working directory, which in a workflow is the workspace; `!` excludes
 * @returns the digests of each file, by its path relative to the working directory; files without any included
 * @throws PinnedError
 */
export async function readPinned(
  patterns: readonly string[],
): Promise<ReadonlyMap<string, readonly Digest[]>> {
  const including = [...patterns.entries()].filter(([, pattern]) => !isExcluding(pattern));
  if (patterns.length > 0 && including.length === 0) {
    throw new PinnedError(
      `protect-files: ${patterns.join(' ')} only excludes, so nothing would be protected. Name the files to ` +
        'read in a line without `!` above',
    );
  }
  const hard = patterns.find((pattern) => isHard(pattern));
  if (hard !== undefined) {
    throw new PinnedError(
      `protect-files: "${hard}" is too hard to match: a glob has at most ${MOST_STARS} \`**\`, and as many \`*\` ` +
        'between two slashes. Write it as several, one per line',
    );
  }
  const files = new Set<string>();
  const unmatched: string[] = [];
  for (const [n, pattern] of including) {
    // A file that is excluded first and included later is included, as everywhere with these globs.
    const matched = await match(pattern, patterns.slice(n).filter(isExcluding));
    matched.forEach((file) => files.add(file));
    if (matched.length === 0) {
      unmatched.push(pattern);
    }
  }
  if (unmatched.length > 0) {
    const names = unmatched.map((pattern) => `"${pattern}"`).join(', ');
    const [matches, it] = unmatched.length === 1 ? ['matches', 'it'] : ['match', 'them'];
    const isList = unmatched.some((pattern) => pattern.includes(','));
    throw new PinnedError(
      `protect-files: ${names} ${matches} no file in ${process.cwd()}, so nothing would be protected by ${it}. ` +
        (isList ? 'One glob per line: a comma is part of it. ' : '') +
        'Check the path, and that an earlier step, such as actions/checkout, put the files there',
    );
  }
  const found = new Map<string, readonly Digest[]>();
  const all = new Set<Digest>();
  for (const file of [...files].sort()) {
    found.set(path.relative(process.cwd(), file), await digestsOf(file, all));
  }
  return found;
}

function isHard(pattern: string): boolean {
  const components = pattern.split(/[/\\]/);
  const deep = components.filter((component) => component === '**');
  return (
    deep.length > MOST_STARS ||
    components.some((component) => (component.match(/\*/g) ?? []).length > MOST_STARS)
  );
}

function isExcluding(pattern: string): boolean {
  return pattern.startsWith('!');
}

async function match(pattern: string, excluding: readonly string[]): Promise<string[]> {
  try {
    const globber = await create([pattern, ...excluding].join('\n'), {
      matchDirectories: false,
      // A broken link may have led to a file, or to a directory full of files.
      omitBrokenSymbolicLinks: false,
    });
    return await globber.glob();
  } catch (error) {
    const why = messageOf(error);
    throw new PinnedError(
      `protect-files: "${pattern}" could not be matched, so what it protects is not known: ${why}`,
      { cause: error },
    );
  }
}

/** @param all of the files that were read, to which those of this one are added */
async function digestsOf(file: string, all: Set<Digest>): Promise<Digest[]> {
  const digests = new Set<Digest>();
  try {
    let held = '';
    for await (const piece of streamRegular(file, { most: MOST_BYTES })) {
      // Every other byte of UTF-16, which Windows writes, is a NUL where there are digests.
      const text = held + piece.replaceAll('\0', '');
      for (const digest of digestsIn(text)) {
        // Copied, or each would keep the piece that it was cut out of.
        const copy = copyOf(digest);
        digests.add(copy);
        all.add(copy);
      }
      if (all.size > MOST_DIGESTS) {
        throw new PinnedError(
          `protect-files: the files hold more than ${number(MOST_DIGESTS)} digests, and each costs requests. Narrow the ` +
            'globs to the files that say what is deployed',
        );
      }
      held = text.slice(-OVERLAP);
    }
  } catch (error) {
    if (error instanceof PinnedError) {
      throw error;
    }
    const why = (error instanceof UnusablePath ? `"${file}": ` : '') + messageOf(error);
    throw new PinnedError(
      `protect-files: a file could not be read, so what it protects is not known: ${why}`,
      { cause: error },
    );
  }
  return [...digests];
}
