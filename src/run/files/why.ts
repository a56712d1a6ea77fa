/** Why a path can't be used, in words that go into messages about inputs. Pure. */

import { codeOf } from '../../text/error.js';

/** What stands at the path can't be used. The message is a clause: "it is a directory". */
export class UnusablePath extends Error {
  override name = 'UnusablePath';
}

interface Kinds {
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isSymbolicLink(): boolean;
}

/** What it is instead of a regular file. */
export function otherKind(stats: Kinds): string {
  if (stats.isDirectory()) {
    return 'it is a directory';
  }
  if (stats.isSymbolicLink()) {
    return 'it is a symbolic link, and links are not followed there';
  }
  const what = stats.isFIFO() ? 'a named pipe' : stats.isSocket() ? 'a socket' : 'a device';
  return `it is ${what}, not a regular file`;
}

/** @returns a clause such as "the file system is read-only" */
export function whyNot(error: unknown, otherwise = "it can't be used"): string {
  if (error instanceof UnusablePath) {
    return error.message;
  }
  const code = codeOf(error);
  switch (code) {
    case 'EISDIR':
      return 'it is a directory';
    case 'ENAMETOOLONG':
      return 'its name is too long';
    case 'ELOOP':
      return 'it is a symbolic link, and links are not followed there, or lead in a circle';
    case 'EROFS':
      return 'the file system is read-only';
    case 'EACCES':
    case 'EPERM':
      return `the user that runs this job may not do that (${code})`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `there is no space left (${code})`;
    default:
      return code === '' ? otherwise : `${otherwise} (${code})`;
  }
}
