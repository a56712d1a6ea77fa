/**
 * Reads the digests out of the files of `protect-files`. Globs are GitHub's own, as in `hashFiles` and in
 * `path` of actions/upload-artifact. Files are streamed, and never executed or parsed: any text will do.
 */
import { createReadStream } from 'node:fs';
import path from 'node:path';

import { create } from '@actions/glob';

import { digestsIn, type Digest } from '../oci/digest.js';

/** A file can't be read, or a glob matches none. The message says what to do; nothing was done. */
export class PinnedError extends Error {
  override name = 'PinnedError';
}

/** More than the longest digest has, so that one on the edge of two pieces is whole in the second. */
const OVERLAP = 160;

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
  const files = new Set<string>();
  const unmatched: string[] = [];
  for (const [n, pattern] of including) {
    // What is excluded first and included later is included, as everywhere with these globs.
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
  for (const file of [...files].sort()) {
    found.set(path.relative(process.cwd(), file), await digestsOf(file));
  }
  return found;
}

function isExcluding(pattern: string): boolean {
  return pattern.startsWith('!');
}

async function match(pattern: string, excluding: readonly string[]): Promise<string[]> {
  try {
    const globber = await create([pattern, ...excluding].join('\n'), {
      matchDirectories: false,
      // Nobody knows what a link led to that is broken: a file, or a directory full of them.
      omitBrokenSymbolicLinks: false,
    });
    return await globber.glob();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PinnedError(
      `protect-files: "${pattern}" could not be looked up, so what it protects is not known: ${why}`,
      { cause: error },
    );
  }
}

async function digestsOf(file: string): Promise<Digest[]> {
  const digests = new Set<Digest>();
  try {
    let held = '';
    const pieces: AsyncIterable<string> = createReadStream(file, { encoding: 'utf8' });
    for await (const piece of pieces) {
      // Every other byte of UTF-16, which Windows writes, is a NUL where there are digests.
      const text = held + piece.replaceAll('\0', '');
      digestsIn(text).forEach((digest) => digests.add(digest));
      held = text.slice(-OVERLAP);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PinnedError(
      `protect-files: a file could not be read, so what it protects is not known: ${why}`,
      { cause: error },
    );
  }
  return [...digests];
}
