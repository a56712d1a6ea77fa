/**
 * Opens and reads regular files, and nothing else: opening a named pipe could wait forever for its other end, and some
 * devices never end. All that it reads is bounded.
 */
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  statSync,
  type Stats,
} from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';

import prettyBytes from 'pretty-bytes';

import { otherKind, UnusablePath } from './why.js';

interface OpenOptions {
  /** `false`: a symbolic link at the end of the path is an error */
  readonly followsLinks?: boolean;
  /** bytes; absent: what it has when it is opened, however much that is */
  readonly most?: number;
}

/**
 * @param flags as of `open`; opening never waits, for reading or for writing
 * @returns the descriptor, for the caller to close, and the size in bytes
 * @throws UnusablePath when it is longer than `most` or isn't a regular file; an error of the file system
 */
export function openRegular(
  path: string,
  { followsLinks = true, most = Infinity }: OpenOptions,
  flags: number = constants.O_RDONLY,
): { readonly fd: number; readonly size: number } {
  // Checked before it is opened, which alone has effects on some devices; and after, for it may have been replaced.
  checkRegular((followsLinks ? statSync : lstatSync)(path, { throwIfNoEntry: false }));
  const { O_NONBLOCK, O_NOFOLLOW } = constants;
  const fd = openSync(path, flags | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW), 0o666);
  try {
    const stats = fstatSync(fd);
    checkRegular(stats);
    checkSize(stats.size, most);
    return { fd, size: stats.size };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function checkRegular(stats: Stats | undefined): void {
  if (stats?.isFile() === false) {
    throw new UnusablePath(otherKind(stats));
  }
}

function checkSize(size: number, most: number): void {
  if (size > most) {
    throw new UnusablePath(`it has more than ${prettyBytes(most, { binary: true })}`);
  }
}

/**
 * The same for a file that is kept open while others write to it, and never through a symbolic link.
 *
 * @throws UnusablePath when it isn't a regular file; an error of the file system
 */
export async function openHandle(path: string, flags: number): Promise<FileHandle> {
  checkRegular(await lstat(path).catch(() => undefined));
  const { O_NONBLOCK, O_NOFOLLOW } = constants;
  return open(path, flags | O_NONBLOCK | O_NOFOLLOW);
}

/**
 * The whole file.
 *
 * @param most bytes
 * @throws UnusablePath when it is longer or isn't a regular file; an error of the file system
 */
export function readRegular(path: string, most: number, options: OpenOptions = {}): Buffer {
  const { fd, size } = openRegular(path, { ...options, most });
  try {
    // The size says little of what grows, nor of the files of /proc, which all have none.
    const pieces: Buffer[] = [];
    let total = 0;
    let length: number;
    do {
      const piece = Buffer.alloc(Math.min(most + 1 - total, Math.max(size + 1 - total, 4096)));
      length = readSync(fd, piece, 0, piece.length, null);
      total += length;
      checkSize(total, most);
      pieces.push(piece.subarray(0, length));
    } while (length > 0);
    return Buffer.concat(pieces);
  } finally {
    closeSync(fd);
  }
}

/** The files of /proc say that they have nothing, and some of them never end. */
const UNSIZED = 64 * 1024 * 1024;

/**
 * Streams a file as far as it reaches now: the stream of one that grows while it is read ends, too.
 *
 * @throws UnusablePath when it is longer than `most` or isn't a regular file; an error of the file system
 */
export async function* streamRegular(
  path: string,
  { highWaterMark = 64 * 1024, ...options }: OpenOptions & { highWaterMark?: number },
): AsyncGenerator<string> {
  const { fd, size } = openRegular(path, options);
  // Closes the file at its end, and when the reader stops before.
  const pieces: AsyncIterable<string> = createReadStream(path, {
    fd,
    encoding: 'utf8',
    highWaterMark,
    start: 0,
    end: (size === 0 ? UNSIZED : size) - 1,
  });
  yield* pieces;
}
