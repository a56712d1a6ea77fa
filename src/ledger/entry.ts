/**
 * One entry of the ledger as bytes: JSON, compressed. What is read back is trusted no further than it can be
 * checked: each body must have the digest that it stands under.
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';

import * as v from 'valibot';

import { algorithmOf, digestOf, isDigest, type Digest } from '../oci/digest.js';
import { isTag } from '../oci/reference.js';
import { parseManifest, type Manifest, type ManifestError } from '../oci/manifest.js';
import type { LedgerRecord, Records } from './record.js';

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

/** The bytes are no entry, or not one of this repository. The message says why. */
export class EntryError extends Error {
  override name = 'EntryError';
}

/** Of an entry unpacked: strings of the engine end at half a gigabyte. A million small manifests fit. */
const MOST_BYTES = 400 * 1024 * 1024;

const Time = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => Date.parse(text)),
  v.safeInteger(),
);
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Stored = v.object({
  repository: v.string(),
  sequence: Count,
  manifests: v.array(
    v.object({
      digest: v.pipe(v.string(), v.check(isDigest)),
      mediaType: v.string(),
      body: v.string(),
      firstSeen: Time,
      everInUse: v.boolean(),
      status: v.picklist(['in-use', 'unused', 'leaving']),
      since: Time,
      tags: v.exactOptional(v.array(v.pipe(v.string(), v.check(isTag)))),
      revision: Count,
    }),
  ),
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
  const manifests = sorted.map(([digest, record]) => ({ digest, ...written(record) }));
  const nonce = randomBytes(8).toString('hex');
  const text = stringify({ repository, sequence, nonce, manifests });
  if (text === undefined || Buffer.byteLength(text) > MOST_BYTES) {
    throw new EntryError(
      `its memory of ${String(records.size)} manifests is larger than can be read again`,
    );
  }
  return promisify(gzip)(text);
}

/** `undefined` when it would be longer than the engine's strings can be. */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function written({ firstSeen, since, ...rest }: LedgerRecord) {
  return {
    ...rest,
    firstSeen: new Date(firstSeen).toISOString(),
    since: new Date(since).toISOString(),
  };
}

/** @throws EntryError */
export async function decodeEntry(bytes: Buffer, repository: string): Promise<DecodedEntry> {
  const entry = v.safeParse(Stored, await unpack(bytes));
  if (!entry.success) {
    throw new EntryError('it is not in the form of an entry');
  }
  if (entry.output.repository !== repository) {
    throw new EntryError('it is the memory of another repository');
  }
  const records = new Map<Digest, LedgerRecord>();
  const manifests = new Map<Digest, Manifest>();
  for (const { digest, ...record } of entry.output.manifests) {
    const body = Buffer.from(record.body);
    if (!isDigest(digest) || digestOf(body, algorithmOf(digest)) !== digest) {
      throw new EntryError('what it says of a manifest does not have the digest of that manifest');
    }
    records.set(digest, record);
    const manifest = parse(body, record.mediaType, digest);
    if (saysItsType(body, record.mediaType)) {
      manifests.set(digest, manifest);
    }
  }
  return { repository, sequence: entry.output.sequence, records, manifests };
}

/** @param body of a manifest that could be parsed, and so a JSON object, perhaps behind a byte order mark */
function saysItsType(body: Buffer, mediaType: string): boolean {
  const fields = JSON.parse(new TextDecoder().decode(body)) as { readonly mediaType?: unknown };
  return fields.mediaType === mediaType;
}

async function unpack(bytes: Buffer): Promise<unknown> {
  try {
    const text = await promisify(gunzip)(bytes, { maxOutputLength: MOST_BYTES });
    return JSON.parse(text.toString('utf8'));
  } catch {
    throw new EntryError('it can not be unpacked');
  }
}

function parse(body: Buffer, mediaType: string, digest: Digest): Manifest {
  try {
    return parseManifest(body, mediaType, digest);
  } catch (error) {
    throw new EntryError(`a manifest in it can't be read: ${(error as ManifestError).message}`);
  }
}
