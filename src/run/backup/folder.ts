/**
 * What is below a backup's directory: opened through no symbolic link, and only where it is a regular file of the size
 * that it may have. A backup may come from an artifact that another person made. The directory itself may be a link.
 */
import { lstatSync } from 'node:fs';
import path from 'node:path';

import { readRegular } from '../files/regular.js';
import { otherKind, UnusablePath } from '../files/why.js';

/** No manifest is read from a registry that has more (the body of one is bounded there), so none is saved. */
const MOST_MANIFEST_BYTES = 4 * 1024 * 1024;

/** @throws UnusablePath when one of the directories between the two is a link or no directory */
export function checkFolders(root: string, file: string): void {
  const names = path.relative(root, path.dirname(file)).split(path.sep);
  let at = root;
  for (const name of names.filter((each) => each !== '')) {
    at = path.join(at, name);
    const stats = lstatSync(at, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isDirectory()) {
      const why = stats.isFile() ? 'it is a file, not a directory' : otherKind(stats);
      throw new UnusablePath(`"${path.relative(root, at)}" in it can't be used: ${why}`);
    }
  }
}

/**
 * The bytes of a manifest's file.
 *
 * @throws UnusablePath, or an error of the file system
 */
export function readManifestFile(root: string, file: string): Buffer {
  checkFolders(root, file);
  return readRegular(file, MOST_MANIFEST_BYTES, { followsLinks: false });
}
