/**
 * Makes directories one by one. Not with Node's `recursive`: where a file system answers ENOENT to what stands directly
 * below an existing directory, as /proc does, that tries again forever (node:fs, mkdirp in src/node_file.cc).
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
  const whole = path.resolve(directory);
  if (isThere(whole)) {
    return [];
  }
  const made = makeDirectories(path.dirname(whole));
  try {
    mkdirSync(whole);
    return [...made, whole];
  } catch (error) {
    // Another process may have made it; but a link that leads nowhere also fails so.
    if (isThere(whole)) {
      return made;
    }
    throw unmakable(whole, error);
  }
}

/** @throws UnusablePath when something else stands there, or the system doesn't say */
function isThere(at: string): boolean {
  let stats;
  try {
    stats = statSync(at, { throwIfNoEntry: false });
  } catch (error) {
    // The message names the file, not what is below it.
    if (codeOf(error) === 'ENOTDIR') {
      return false;
    }
    throw unmakable(at, error);
  }
  if (stats?.isDirectory() === false) {
    throw new UnusablePath(`"${printable(at, 200)}" is a file, not a directory`);
  }
  return stats !== undefined;
}

function unmakable(at: string, cause: unknown): UnusablePath {
  const why = whyNot(cause, 'the system refuses it');
  return new UnusablePath(`the directory "${printable(at, 200)}" can't be made: ${why}`, { cause });
}
