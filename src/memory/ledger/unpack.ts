/**
 * Takes a compressed entry apart while it is unpacked: each record by itself, and the frame that is left without
 * them. A few kilobytes unpack into hundreds of megabytes, so nothing is ever held of them but one record.
 */
import { createGunzip } from 'node:zlib';

import { JsonLimitError, parseJson } from '../../oci/json.js';

/** The bytes aren't an entry, or not one of this repository. The message says why; it is safe to print. */
export class EntryError extends Error {
  override name = 'EntryError';
}

export const NO_ENTRY = 'it is not in the form of an entry';

/** The most of an entry unpacked, when it is written. A million small manifests fit. */
export const MOST_BYTES = 400 * 1024 * 1024;
/** The most of one record: a manifest has up to 4 MiB, and JSON writes a byte of it as up to six. */
const RECORD_BYTES = 25 * 1024 * 1024;
/** The most in a record: it has ten fields or so, and those of a later version may be lists. */
const MOST_VALUES = 1000;
/** The most of an entry without its records. */
const FRAME_BYTES = 64 * 1024;
/** The most between two records: a comma, and the place of a record. */
const PLACE_BYTES = 8;
const PLACE = Buffer.from('0');
/** How many lists and objects a record stands in. */
const RECORD_DEPTH = 2;
const CHUNK_BYTES = 256 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_LIST = 0x5d;
const CLOSE_OBJECT = 0x7d;

/**
 * @param onRecord called with every object that stands in a list of the outermost object, in their order
 * @returns the outermost value, in which 0 stands for every record
 * @throws EntryError; what `onRecord` throws; SyntaxError and errors of zlib where it can't be unpacked at all
 */
export async function unpack(bytes: Buffer, onRecord: (record: unknown) => void): Promise<unknown> {
  let total = 0;
  let records = 0;
  const frame = collect(() => FRAME_BYTES + PLACE_BYTES * records, NO_ENTRY);
  const record = collect(() => RECORD_BYTES, 'it holds a record that is larger than one can be');
  const cut = createCutter(frame.add, record.add, () => {
    records += 1;
    onRecord(parsed(record.take()));
    frame.add(PLACE);
  });
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  gunzip.end(bytes);
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > MOST_BYTES + RECORD_BYTES) {
      throw new EntryError('it is larger than an entry can be');
    }
    cut(chunk);
  }
  return JSON.parse(frame.take().toString('utf8'));
}

/** Gathers parts until they are taken as one. */
function collect(most: () => number, otherwise: string) {
  let parts: Buffer[] = [];
  let length = 0;
  return {
    add: (part: Buffer): void => {
      length += part.length;
      if (length > most()) {
        throw new EntryError(otherwise);
      }
      parts.push(part);
    },
    take: (): Buffer => {
      const whole = Buffer.concat(parts, length);
      [parts, length] = [[], 0];
      return whole;
    },
  };
}

function parsed(record: Buffer): unknown {
  try {
    return parseJson(record, MOST_VALUES);
  } catch (error) {
    throw error instanceof JsonLimitError
      ? new EntryError(`it holds a record that ${error.message}`)
      : error;
  }
}

/** A function that is given chunk after chunk of JSON, and gives their parts on. */
function createCutter(
  toFrame: (part: Buffer) => void,
  toRecord: (part: Buffer) => void,
  closeRecord: () => void,
): (chunk: Buffer) => void {
  /** the brackets of the two outermost levels */
  const outermost: number[] = [];
  let depth = 0;
  let isInString = false;
  let isEscaped = false;
  let isInRecord = false;

  return (chunk) => {
    let from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (isInString) {
        isInString = isEscaped || byte !== QUOTE;
        isEscaped = !isEscaped && byte === BACKSLASH;
      } else if (byte === QUOTE) {
        isInString = true;
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        const isInList = outermost[0] === OPEN_OBJECT && outermost[1] === OPEN_LIST;
        if (byte === OPEN_OBJECT && depth === RECORD_DEPTH && isInList) {
          toFrame(chunk.subarray(from, at));
          from = at;
          isInRecord = true;
        }
        if (depth < RECORD_DEPTH) {
          outermost[depth] = byte;
        }
        depth += 1;
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        depth -= 1;
        if (isInRecord && depth === RECORD_DEPTH) {
          toRecord(chunk.subarray(from, at + 1));
          from = at + 1;
          isInRecord = false;
          closeRecord();
        }
      }
    }
    (isInRecord ? toRecord : toFrame)(chunk.subarray(from));
  };
}
