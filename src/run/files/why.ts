/** Why a path can't be used, in words that go into messages about inputs. Pure. */
import type { Stats } from 'node:fs';

import { codeOf } from '../../text/error.js';

/** What stands at the path can't be used. The message is a clause: "it is a directory". */
export class UnusablePath extends Error {
  override name = 'UnusablePath';
}

/** What it is instead of a regular file. */
export function otherKind(stats: Stats): string {
  if (stats.isDirectory()) {
    return 'it is a directory';
  }
  if (stats.isSymbolicLink()) {
    return 'it is a symbolic link, and links are not followed there';
  }
  const what = stats.isFIFO() ? 'a named pipe' : stats.isSocket() ? 'a socket' : 'a device';
  return `it is ${what}, not a regular file`;
}

const WHYS: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'it is a symbolic link, and links are not followed there, or lead in a circle',
  EROFS: 'the file system is read-only',
  EACCES: 'the user that runs this job may not do that (EACCES)',
  EPERM: 'the user that runs this job may not do that (EPERM)',
  ENOSPC: 'there is no space left (ENOSPC)',
  EDQUOT: 'there is no space left (EDQUOT)',
};

/** @returns a clause such as "the file system is read-only" */
export function whyNot(error: unknown, otherwise = "it can't be used"): string {
  if (error instanceof UnusablePath) {
    return error.message;
  }
  const code = codeOf(error);
  return WHYS[code] ?? (code === '' ? otherwise : `${otherwise} (${code})`);
}
