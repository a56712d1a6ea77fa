/**
 * Makes directories one by one. Not with Node's `recursive`: where a file system answers ENOENT to what stands directly
 * below an existing directory, as /proc does, that tries again for ever (node:fs, mkdirp in src/node_file.cc).
 */
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

import { codeOf } from '../../text/error.js';
import { printable } from '../../text/printable.js';
import { UnusablePath, whyNot } from './why.js';

/**
 * @returns those that had to be made, the outermost first
 * @throws UnusablePath naming the one that can't be made, and why
 */
export function makeDirectories(directory: string): string[] {
  const missing: string[] = [];
  let at = path.resolve(directory);
  while (!isThere(at)) {
    missing.unshift(at);
    at = path.dirname(at);
  }
  const made: string[] = [];
  for (const each of missing) {
    try {
      mkdirSync(each);
      made.push(each);
    } catch (error) {
      // Somebody else may have made it meanwhile; but a link that leads nowhere stands in the way, too.
      if (!isDirectory(each)) {
        throw new UnusablePath(
          `the directory "${printable(each, 200)}" can't be made: ${because(error)}`,
          {
            cause: error,
          },
        );
      }
    }
  }
  return made;
}

/** @throws UnusablePath when something else stands there, or nobody can look */
function isThere(at: string): boolean {
  try {
    const stats = statSync(at, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isDirectory()) {
      throw new UnusablePath(`"${printable(at, 200)}" is a file, not a directory`);
    }
    return stats !== undefined;
  } catch (error) {
    // What is below a file is told of the file.
    if (codeOf(error) === 'ENOTDIR') {
      return false;
    }
    throw error instanceof UnusablePath
      ? error
      : new UnusablePath(`the directory "${printable(at, 200)}" can't be made: ${because(error)}`, {
          cause: error,
        });
  }
}

function isDirectory(at: string): boolean {
  try {
    return statSync(at, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}

function because(error: unknown): string {
  return whyNot(error, 'the system refuses it');
}
