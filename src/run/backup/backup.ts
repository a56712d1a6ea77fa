/**
 * Where manifests are kept that are about to be deleted: a directory with their bytes under their digests,
 * and an index of what each was. A run may be killed at any moment: what `save` has promised is on the disk.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import pLimit from 'p-limit';
import pMap from 'p-map';

import { makeDirectories } from '../files/directories.js';
import { openHandle } from '../files/regular.js';
import { algorithmOf, digestOf, type Digest } from '../../oci/digest.js';
import { checkFolders, readManifestFile } from './folder.js';
import { indexLine, parseIndexLine, type BackupEntry } from './index-line.js';
import { CodedError, type Code } from '../../text/code.js';

/** The directory can't be written to or read. The message says what to do. */
export class BackupError extends CodedError {
  override name = 'BackupError';
  constructor(message: string, code: Code = 'backup-unusable', options?: ErrorOptions) {
    super(message, code, options);
  }
}

export interface SavedManifest extends BackupEntry {
  /** have the digest */
  readonly bytes: Buffer;
}

export interface Backup {
  /** absolute */
  readonly directory: string;
  /** whether anything was saved in this run */
  readonly isUsed: boolean;
  /**
   * When it resolves, everything is on the disk, with its index.
   *
   * @throws BackupError when it is not: then nothing of it may be deleted
   */
  save(manifests: readonly SavedManifest[]): Promise<void>;
}

export const INDEX = 'index.jsonl';
export const MANIFESTS = 'manifests';
const WRITERS = 8;

/** `<directory>/manifests/sha256/<hex>` */
export function fileOf(directory: string, digest: Digest): string {
  const algorithm = algorithmOf(digest);
  return path.join(directory, MANIFESTS, algorithm, digest.slice(algorithm.length + 1));
}

/** Nothing is made until the first manifest is saved. */
export function openBackup(directory: string): Backup {
  const root = path.resolve(directory);
  // Lines of several repositories must not mix, and a directory that another save made must be synced.
  const oneAtATime = pLimit(1);
  let isUsed = false;

  async function save(manifests: readonly SavedManifest[]): Promise<void> {
    const files = new Map(manifests.map(({ digest, bytes }) => [fileOf(root, digest), bytes]));
    const directories = [...new Set([...files.keys()].map((file) => path.dirname(file)))];
    for (const each of directories) {
      await oneAtATime(() => makeDirectory(each));
    }
    await pMap(files, ([file, bytes]) => writeManifest(root, file, bytes), {
      concurrency: WRITERS,
    });
    for (const each of [...directories, path.join(root, MANIFESTS)]) {
      await syncDirectory(each);
    }
    // Last: what the index names is there.
    await oneAtATime(() => append(path.join(root, INDEX), manifests.map(indexLine)));
    await syncDirectory(root);
    isUsed = true;
  }

  return {
    directory: root,
    get isUsed() {
      return isUsed;
    },
    async save(manifests) {
      const wrong = manifests.find((each) => !canBeReadBack(each));
      if (wrong !== undefined) {
        throw new BackupError(
          `the manifest ${wrong.digest} was not saved, because what was read of it could not be restored`,
          'backup-not-saved',
        );
      }
      try {
        if (manifests.length > 0) {
          await save(manifests);
        }
      } catch (error) {
        const { message } = error as Error;
        throw new BackupError(
          `the manifests to delete could not be saved in ${root} first: ${message}. Set ` +
            '`backup-dir` to a directory that can be written to and has room',
          'backup-not-saved',
          { cause: error },
        );
      }
    },
  };
}

function canBeReadBack(manifest: SavedManifest): boolean {
  const { digest, bytes } = manifest;
  return (
    digestOf(bytes, algorithmOf(digest)) === digest &&
    parseIndexLine(indexLine(manifest)).kind === 'entry'
  );
}

/** With the names of all directories that had to be made for it, each of which stands in the one above. */
async function makeDirectory(directory: string): Promise<void> {
  for (const made of makeDirectories(directory)) {
    await syncDirectory(path.dirname(made));
  }
}

/** Whole or not at all, whoever else writes the same: its name says its content. */
async function writeManifest(root: string, file: string, bytes: Buffer): Promise<void> {
  // What is reached through a link would not be read back.
  checkFolders(root, file);
  if (isSaved(root, file, bytes)) {
    return;
  }
  const unfinished = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(unfinished, bytes, { flag: 'wx', flush: true });
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw error;
  }
}

function isSaved(root: string, file: string, bytes: Buffer): boolean {
  try {
    return readManifestFile(root, file).equals(bytes);
  } catch {
    return false;
  }
}

async function append(file: string, lines: readonly string[]): Promise<void> {
  const { O_RDWR, O_APPEND, O_CREAT } = constants;
  const handle = await openHandle(file, O_RDWR | O_APPEND | O_CREAT);
  try {
    const { size } = await handle.stat();
    const last = Buffer.from('\n');
    if (size > 0) {
      await handle.read(last, 0, 1, size - 1);
    }
    // A run that was killed may have left half a line.
    let start = last.toString() === '\n' ? '' : '\n';
    for (const line of lines) {
      // In one call, so that no line of another run comes between.
      await handle.writeFile(start + line);
      start = '';
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Without it a new file's name may be lost with the power. Windows has no such thing, and refuses. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') {
    return;
  }
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
