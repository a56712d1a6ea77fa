/**
 * Takes a compressed entry apart while it is unpacked: each record by itself, and the frame that is left without
 * them. A few kilobytes unpack into hundreds of megabytes, so nothing is ever held of them but one record.
 */
import { createGunzip } from 'node:zlib';

import { JsonLimitError, parseJson } from '../../oci/json.js';

/** It is none of an entry's. Its message says how. */
export class UnpackError extends Error {
  override name = 'UnpackError';
}

export interface Limits {
  /** of an entry unpacked */
  readonly bytes: number;
  /** of one record: a manifest of 4 MiB, of which each byte may be written as six */
  readonly record: number;
}

/** Of a record: it has ten fields or so, and those of a later version may be lists. */
const MOST_VALUES = 1000;
/** Of what is left without the records. */
const FRAME_BYTES = 64 * 1024;
/** Of what stands between two records: a comma, and what takes the place of a record. */
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
 * @throws UnpackError; what `onRecord` throws; SyntaxError and errors of zlib where it can't be unpacked at all
 */
export async function unpack(
  bytes: Buffer,
  limits: Limits,
  onRecord: (record: unknown) => void,
): Promise<unknown> {
  const frame: Buffer[] = [];
  let record: Buffer[] = [];
  let frameBytes = 0;
  let recordBytes = 0;
  let records = 0;

  const toFrame = (part: Buffer) => {
    frameBytes += part.length;
    if (frameBytes > FRAME_BYTES + PLACE_BYTES * records) {
      throw new UnpackError('it is not in the form of an entry');
    }
    frame.push(part);
  };
  const toRecord = (part: Buffer) => {
    recordBytes += part.length;
    if (recordBytes > limits.record) {
      throw new UnpackError('it holds a record that is larger than one can be');
    }
    record.push(part);
  };
  const closeRecord = () => {
    records += 1;
    onRecord(parsed(Buffer.concat(record, recordBytes)));
    record = [];
    recordBytes = 0;
    toFrame(PLACE);
  };

  const cut = createCutter({ toFrame, toRecord, closeRecord });
  let total = 0;
  for await (const chunk of unzipped(bytes)) {
    total += chunk.length;
    if (total > limits.bytes) {
      throw new UnpackError('it is larger than an entry can be');
    }
    cut(chunk);
  }
  return JSON.parse(Buffer.concat(frame, frameBytes).toString('utf8'));
}

function parsed(record: Buffer): unknown {
  try {
    return parseJson(record, MOST_VALUES);
  } catch (error) {
    throw error instanceof JsonLimitError
      ? new UnpackError(`it holds a record that ${error.message}`)
      : error;
  }
}

function unzipped(bytes: Buffer): AsyncIterable<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  gunzip.end(bytes);
  return gunzip;
}

interface Parts {
  readonly toFrame: (part: Buffer) => void;
  readonly toRecord: (part: Buffer) => void;
  readonly closeRecord: () => void;
}

/** A function that is given chunk after chunk of JSON, and gives their parts on. */
function createCutter({ toFrame, toRecord, closeRecord }: Parts): (chunk: Buffer) => void {
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
