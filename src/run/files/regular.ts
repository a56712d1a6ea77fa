/**
 * Opens and reads regular files, and nothing else: a named pipe would wait for its other end for ever, and some devices
 * never come to an end. Whatever it reads is bounded.
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
} from 'node:fs';
import { lstat, open, type FileHandle } from 'node:fs/promises';

import prettyBytes from 'pretty-bytes';

import { otherKind, UnusablePath } from './why.js';

interface OpenOptions {
  /** `false`: a symbolic link at the end of the path is an error */
  readonly followsLinks?: boolean;
}

interface RegularFile {
  /** for the caller to close */
  readonly fd: number;
  readonly size: number;
}

/**
 * @param flags as of `open`; what is opened for reading and writing alike never waits
 * @throws UnusablePath when it isn't a regular file; an error of the file system
 */
export function openRegular(
  path: string,
  { followsLinks = true }: OpenOptions = {},
  flags: number = constants.O_RDONLY,
): RegularFile {
  // Looked at before it is opened, which alone has effects on some devices; and after, for it may have been replaced.
  const before = (followsLinks ? statSync : lstatSync)(path, { throwIfNoEntry: false });
  if (before !== undefined && !before.isFile()) {
    throw new UnusablePath(otherKind(before));
  }
  const { O_NONBLOCK, O_NOFOLLOW } = constants;
  const fd = openSync(path, flags | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW), 0o666);
  const stats = fstatSync(fd);
  if (!stats.isFile()) {
    closeSync(fd);
    throw new UnusablePath(otherKind(stats));
  }
  return { fd, size: stats.size };
}

/**
 * The same for what is written for long, and never through a symbolic link.
 *
 * @throws UnusablePath when it isn't a regular file; an error of the file system
 */
export async function openHandle(path: string, flags: number): Promise<FileHandle> {
  const before = await lstat(path).catch(() => undefined);
  if (before !== undefined && !before.isFile()) {
    throw new UnusablePath(otherKind(before));
  }
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
  const { fd, size } = openRegular(path, options);
  try {
    // The size says little of what grows, nor of the files of /proc, which all have none.
    const pieces: Buffer[] = [];
    let total = 0;
    for (;;) {
      const piece = Buffer.alloc(Math.min(most + 1 - total, Math.max(size + 1 - total, 4096)));
      const length = size > most ? most + 1 : readSync(fd, piece, 0, piece.length, null);
      total += length;
      if (total > most) {
        throw new UnusablePath(`it has more than ${prettyBytes(most, { binary: true })}`);
      }
      if (length === 0) {
        return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
      }
      pieces.push(piece.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}

/** The files of /proc say that they have nothing, and some of them never end. */
const UNSIZED = 64 * 1024 * 1024;

interface StreamOptions extends OpenOptions {
  readonly encoding?: BufferEncoding;
  readonly highWaterMark?: number;
  /** bytes; absent: what it has when it is opened, however much that is */
  readonly most?: number;
}

/**
 * Streams a file as far as it reaches now: one that grows while it is read comes to an end, too.
 *
 * @throws UnusablePath when it is longer than `most` or isn't a regular file; an error of the file system
 */
export async function* streamRegular(
  path: string,
  { encoding = 'utf8', highWaterMark = 64 * 1024, most, ...options }: StreamOptions = {},
): AsyncGenerator<string> {
  const { fd, size } = openRegular(path, options);
  if (most !== undefined && size > most) {
    closeSync(fd);
    throw new UnusablePath(`it has more than ${prettyBytes(most, { binary: true })}`);
  }
  // Closes the file at its end, and when the reader stops before.
  const pieces: AsyncIterable<string> = createReadStream(path, {
    fd,
    encoding,
    highWaterMark,
    start: 0,
    end: (size === 0 ? UNSIZED : size) - 1,
  });
  yield* pieces;
}
