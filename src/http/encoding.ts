/**
 * Undoes what a server or proxy encoded although identity was asked for (RFC 9110 sec. 8.4). A digest is of the
 * bytes as stored, so it is compared after this.
 */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

import { tooLarge } from './body.js';
import { codeOf } from '../text/error.js';
import { failure } from './failure.js';
import type { HttpRequest } from './message.js';

type Undo = (bytes: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const gunzip: Undo = promisify(zlib.gunzip);

/** By the names of the IANA registry, and `x-gzip`, which RFC 9110 calls an equal of `gzip`. */
const UNDO: Readonly<Record<string, Undo>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  deflate: promisify(inflate),
  br: promisify(zlib.brotliDecompress),
  // Node has it since 22.15; the action runs on 24.
  ...('zstdDecompress' in zlib ? { zstd: promisify(zlib.zstdDecompress) } : {}),
};

/** Names that change no byte. Some stores keep `aws-chunked` from an upload's headers. */
const NO_ENCODING = ['', 'identity', 'chunked', 'aws-chunked'];

/** A proxy may encode once more what came encoded. More than that is made to cost time. */
const MOST_ENCODINGS = 3;

/**
 * @param body whole, as it came
 * @returns the body as it was before it was encoded, and as it came where these are two
 * @throws TransportError when it was encoded in a way that can't be undone, or is larger than may be read
 */
export async function decode(
  message: IncomingMessage,
  body: Buffer,
  request: HttpRequest,
): Promise<{ body: Buffer; encoded?: Buffer }> {
  const { headers } = message;
  // In the order in which they were applied, those of the transfer last.
  const names = [headers['content-encoding'], headers['transfer-encoding']]
    .flatMap((value) => (value ?? '').toLowerCase().split(','))
    .map((name) => name.trim())
    .filter((name) => !NO_ENCODING.includes(name));
  if (names.length === 0 || body.length === 0) {
    return { body };
  }
  const all = names.join(', ').slice(0, 50);
  const said = all.replace(/[^\w ,.-]/g, '?');
  const advice =
    'although it was asked for the bytes as they are. Switch off compression for the registry in the proxy in front of it';
  if (names.length > MOST_ENCODINGS || names.some((name) => !Object.hasOwn(UNDO, name))) {
    const detail = `the server encoded its answer in a way that this action doesn't know (${said}), ${advice}`;
    throw failure(request, 'other', detail);
  }
  let decoded = body;
  for (const name of names.reverse()) {
    try {
      decoded = (await UNDO[name]?.(decoded, { maxOutputLength: request.maxBytes })) ?? decoded;
    } catch (error) {
      if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') {
        throw tooLarge(message, request);
      }
      const detail = `the server encoded its answer (${said}) and that can't be undone (${codeOf(error)}), ${advice}`;
      throw failure(request, 'other', detail, error);
    }
  }
  return { body: decoded, encoded: body };
}

/** `deflate` is the zlib format, but some servers send what that wraps (RFC 9110 sec. 8.4.1.2). */
function inflate(
  bytes: Buffer,
  options: zlib.ZlibOptions,
  done: (error: Error | null, result: Buffer) => void,
): void {
  const isZlib =
    bytes.length > 1 && ((bytes[0] ?? 0) & 0x0f) === 8 && bytes.readUInt16BE(0) % 31 === 0;
  (isZlib ? zlib.inflate : zlib.inflateRaw)(bytes, options, done);
}
