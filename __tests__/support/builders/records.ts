/** Records of the ledger: of contents, as a run would have written them, and random ones. */
import fc from 'fast-check';

import type { Status } from '../../../src/plan/past.js';
import type { LedgerRecord, Records } from '../../../src/memory/ledger/record.js';
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import type { Content } from './build.js';

/** A day in the life of the ledger, in epoch milliseconds. */
export const THEN = Date.UTC(2026, 0, 1);

export function recordOf(content: Content, more: Partial<LedgerRecord> = {}): LedgerRecord {
  return {
    mediaType: content.mediaType,
    body: content.bytes.toString('utf8'),
    firstSeen: THEN,
    everInUse: true,
    status: 'in-use',
    since: THEN,
    revision: 0,
    ...more,
  };
}

export function recordsOf(
  contents: readonly Content[],
  more: Partial<LedgerRecord> = {},
): Map<Digest, LedgerRecord> {
  return new Map(contents.map((content) => [content.digest, recordOf(content, more)]));
}

/** The same for every order of the records. */
export function sorted<R>(records: ReadonlyMap<Digest, R>): [Digest, R][] {
  return [...records].sort(([a], [b]) => (a < b ? -1 : 1));
}

const BODIES = ['a', 'b', 'c', 'd'];

/** All that may differ between two records of one manifest. Few values each, so that they often agree. */
export const fields: fc.Arbitrary<Omit<LedgerRecord, 'body'>> = fc
  .record({
    mediaType: fc.constantFrom('application/x', 'application/y'),
    firstSeen: fc.nat({ max: 3 }),
    everInUse: fc.boolean(),
    status: fc.constantFrom<Status>('in-use', 'unused', 'leaving', 'deleted'),
    since: fc.nat({ max: 2 }),
    revision: fc.nat({ max: 2 }),
    tagged: fc.constantFrom(
      { tags: ['v1'] },
      { tags: ['v1', 'v2'] },
      { tags: ['v1', 'v2'], lastTags: ['v2'] },
      { tags: ['v2'] },
    ),
    condemned: fc.constantFrom(undefined, 1, 2),
  })
  .map(({ condemned, tagged, ...rest }) => ({
    ...rest,
    ...tagged,
    ...(condemned === undefined ? {} : { condemned }),
  }));

/** A memory of up to four manifests, the same four in every memory. */
export const memories: fc.Arbitrary<Records> = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...BODIES), fields), { selector: ([body]) => body })
  .map(
    (list) =>
      new Map(
        list.map(([body, rest]) => [digestOf(Buffer.from(body)), { ...rest, body }] as const),
      ),
  );
