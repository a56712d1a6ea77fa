/**
 * One entry of the ledger as bytes: JSON, compressed. What is read back is trusted no further than it can be
 * checked: each body must have the digest that it stands under.
 */
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import * as v from 'valibot';

import { algorithmOf, digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { inForm } from '../../oci/json.js';
import { readManifest, type Manifest, type ManifestError } from '../../oci/manifest.js';
import { isTag } from '../../oci/reference.js';
import type { LedgerRecord, Records } from './record.js';
import { EntryError, MOST_BYTES, NO_ENTRY, unpack } from './unpack.js';

export interface Entry {
  /** whose memory it is */
  readonly repository: string;
  /** one more than that of every entry that its writer had read */
  readonly sequence: number;
  readonly records: Records;
}

export interface DecodedEntry extends Entry {
  /** of the records, those whose body says itself of which type it is: that, too, is proved by its digest */
  readonly manifests: ReadonlyMap<Digest, Manifest>;
}

/** The text that is compressed at a time, in characters. */
const PIECE_LENGTH = 256 * 1024;

const Time = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => Date.parse(text)),
  v.safeInteger(),
);
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const StoredRecord = v.object({
  digest: v.pipe(v.string(), v.guard(isDigest)),
  mediaType: v.string(),
  body: v.string(),
  firstSeen: Time,
  everInUse: v.boolean(),
  status: v.picklist(['in-use', 'unused', 'leaving', 'deleted']),
  since: Time,
  tags: v.exactOptional(v.array(v.pipe(v.string(), v.check(isTag)))),
  lastTags: v.exactOptional(v.array(v.pipe(v.string(), v.check(isTag)))),
  condemned: v.exactOptional(Time),
  revision: Count,
});
/** An entry without its records. */
const Frame = v.object({
  repository: v.string(),
  sequence: Count,
  manifests: v.array(v.literal(0)),
});

/**
 * Two entries never have the same bytes, so that one which was deleted never comes back.
 *
 * @throws EntryError when it would be too large to be read again
 */
export async function encodeEntry({ repository, sequence, records }: Entry): Promise<Buffer> {
  // Neighbours in time share layers, and what stands close together compresses well.
  const sorted = [...records].sort(
    ([a, { firstSeen: before }], [b, { firstSeen: after }]) => before - after || (a < b ? -1 : 1),
  );
  const nonce = randomBytes(8).toString('hex');
  const head = JSON.stringify({ repository, sequence, nonce }).slice(0, -1);
  // Piece by piece: of a large memory the whole text would be several hundred megabytes.
  return pipeline(pieces(head, sorted), createGzip(), buffer);
}

/** The JSON of an entry. */
function* pieces(head: string, records: readonly [Digest, LedgerRecord][]): Generator<string> {
  let piece = `${head},"manifests":[`;
  let bytes = 0;
  for (const [n, [digest, record]] of records.entries()) {
    piece += `${n === 0 ? '' : ','}${JSON.stringify({ digest, ...written(record) })}`;
    if (piece.length >= PIECE_LENGTH) {
      bytes += Buffer.byteLength(piece);
      yield piece;
      piece = '';
    }
    if (bytes > MOST_BYTES) {
      throw new EntryError(
        `its memory of ${String(records.length)} manifests is larger than can be read again`,
      );
    }
  }
  yield `${piece}]}`;
}

function written({ firstSeen, since, condemned, ...rest }: LedgerRecord) {
  return {
    ...rest,
    firstSeen: new Date(firstSeen).toISOString(),
    since: new Date(since).toISOString(),
    ...(condemned === undefined ? {} : { condemned: new Date(condemned).toISOString() }),
  };
}

/** @throws EntryError */
export async function decodeEntry(bytes: Buffer, repository: string): Promise<DecodedEntry> {
  const records = new Map<Digest, LedgerRecord>();
  const manifests = new Map<Digest, Manifest>();
  const take = (value: unknown) => {
    const stored = inForm(StoredRecord, value);
    if (stored === undefined) {
      throw new EntryError(NO_ENTRY);
    }
    const { digest, ...record } = stored;
    const body = Buffer.from(record.body);
    if (digestOf(body, algorithmOf(digest)) !== digest) {
      throw new EntryError('what it says of a manifest does not have the digest of that manifest');
    }
    if (records.has(digest)) {
      throw new EntryError('it has two records of one manifest');
    }
    records.set(digest, record);
    try {
      const { manifest, saysItsType } = readManifest(body, record.mediaType, digest);
      if (saysItsType) {
        manifests.set(digest, manifest);
      }
    } catch (error) {
      throw new EntryError(`a manifest in it can't be read: ${(error as ManifestError).message}`);
    }
  };
  const frame = inForm(
    Frame,
    await unpack(bytes, take).catch((error: unknown) => {
      throw error instanceof EntryError ? error : new EntryError("it can't be unpacked");
    }),
  );
  if (frame?.manifests.length !== records.size) {
    throw new EntryError(NO_ENTRY);
  }
  if (frame.repository !== repository) {
    throw new EntryError('it is the memory of another repository');
  }
  return { repository, sequence: frame.sequence, records, manifests };
}
