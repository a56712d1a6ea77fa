/**
 * Reads an answer's body so that it is whole or an error. The http-client's own readBody() listens for
 * `end` alone, which never comes on a body that was cut off, and it has no ceiling. `encoding.ts` undoes what
 * a server did to it on the way.
 */
import type { IncomingMessage } from 'node:http';

import { codeOf } from '../text/error.js';
import { failure } from './failure.js';
import type { HttpRequest, TransportError } from './message.js';

/**
 * @param progress called whenever bytes have come in
 * @throws TransportError `truncated` or `too-large`; the message is destroyed then
 */
export async function readBody(
  message: IncomingMessage,
  request: HttpRequest,
  progress: () => void,
): Promise<Buffer> {
  const announced = announcedLength(message, request);
  if (announced !== undefined && announced > request.maxBytes) {
    message.destroy();
    throw tooLarge(message, request);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // By events: an async iterator costs more than all the rest of a small answer.
    await new Promise<void>((resolve, reject) => {
      message.on('data', (chunk: Buffer) => {
        progress();
        length += chunk.byteLength;
        if (length > request.maxBytes) {
          message.destroy();
          reject(tooLarge(message, request));
        } else {
          chunks.push(chunk);
        }
      });
      message.once('end', resolve);
      message.once('error', reject);
      // Always the last event: a body that has neither ended nor failed was cut off without a word.
      message.once('close', () => {
        reject(truncated(request, length, announced));
      });
    });
  } catch (error) {
    if (codeOf(error) === 'ECONNRESET' || codeOf(error) === 'ERR_STREAM_PREMATURE_CLOSE') {
      throw truncated(request, length, announced, error);
    }
    throw error;
  }
  // Node's parser has refused both already; this is the rule itself, should a parser ever be laxer.
  if (!message.complete || length < (announced ?? 0)) {
    throw truncated(request, length, announced);
  }
  return Buffer.concat(chunks, length);
}

/** How many bytes must come: none is known for chunked bodies and for answers that have no body. */
function announcedLength(message: IncomingMessage, request: HttpRequest): number | undefined {
  const { statusCode, headers } = message;
  const bodiless = request.method === 'HEAD' || statusCode === 204 || statusCode === 304;
  const value = headers['content-length'];
  if (bodiless || value === undefined || headers['transfer-encoding'] !== undefined) {
    return undefined;
  }
  return Number(value);
}

export function tooLarge(message: IncomingMessage, request: HttpRequest): TransportError {
  const status = String(message.statusCode);
  const detail = `the body of the answer (status ${status}) is over ${String(request.maxBytes)} bytes, more than this program reads`;
  return failure(request, 'too-large', detail);
}

function truncated(request: HttpRequest, got: number, announced?: number, cause?: unknown) {
  const whole = announced === undefined ? '' : ` of ${String(announced)}`;
  const detail = `the body was cut off after ${String(got)}${whole} bytes`;
  return failure(request, 'truncated', detail, cause);
}
