/** One line of a backup's index, as JSON: what a saved manifest was. Pure. The format is in docs/undo.md. */
import * as v from 'valibot';

import type { DeleteReason } from '../../plan/reasons.js';
import { isDigest, type Digest } from '../../oci/digest.js';
import { inForm, tryJson } from '../../oci/json.js';
import { mediaTypeOf } from '../../oci/media-types.js';
import { isRepository, isTag } from '../../oci/reference.js';

export interface BackupEntry {
  /** scheme, host and port */
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  readonly mediaType: string;
  /** the server's own name for it, where it has one; printable ASCII without spaces, 100 characters at most */
  readonly id?: string;
  /** that pointed at it, sorted */
  readonly tags: readonly string[];
  /** that once pointed at it, as far as is known, and no longer did; sorted; absent where there were none */
  readonly formerTags?: readonly string[];
  /** epoch milliseconds: since when nothing used it, as far as the ledger knows */
  readonly unusedSince?: number;
  /** epoch milliseconds */
  readonly savedAt: number;
  readonly reason: DeleteReason;
}

/** What is read back: the reason is for people, and may be of another version. */
export type ReadEntry = Omit<BackupEntry, 'reason'>;

type ReadLine =
  | { readonly kind: 'entry'; readonly entry: ReadEntry }
  /** not valid JSON: a run that was killed leaves half a line, and has deleted nothing of it */
  | { readonly kind: 'cut-off' }
  /** of another version, or with something in it that can't be; what it is about may have been deleted */
  | { readonly kind: 'unknown' };

const VERSION = 1;
/** A line of more than 1 MiB is not read, and one image may have had a tag for every build. */
const MOST_FORMER_TAGS = 1000;
/** Both of its names have 127 characters at most (RFC 6838, section 4.2). */
const LONGEST_TYPE = 255;

/** It goes into requests and messages. */
const ID = /^[!-~]{1,100}$/;

const Tags = v.array(v.pipe(v.string(), v.check(isTag)));
const Time = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => Date.parse(text)),
  // ISO 8601 knows more forms than JavaScript.
  v.finite(),
);
const Line = v.object({
  version: v.literal(VERSION),
  registry: v.string(),
  repository: v.pipe(v.string(), v.check(isRepository)),
  digest: v.custom<Digest>((digest) => typeof digest === 'string' && isDigest(digest)),
  mediaType: v.pipe(
    v.string(),
    v.maxLength(LONGEST_TYPE),
    v.check((type) => type !== '' && mediaTypeOf(type) === type),
  ),
  id: v.exactOptional(v.pipe(v.string(), v.regex(ID))),
  tags: Tags,
  formerTags: v.exactOptional(Tags),
  unusedSince: v.exactOptional(Time),
  savedAt: Time,
});

/** With its line feed. */
export function indexLine(entry: BackupEntry): string {
  const { registry, repository, digest, mediaType, tags, savedAt, reason } = entry;
  const { id, formerTags = [], unusedSince } = entry;
  const line = {
    version: VERSION,
    registry,
    repository,
    digest,
    mediaType,
    id,
    tags,
    formerTags: formerTags.length === 0 ? undefined : formerTags.slice(0, MOST_FORMER_TAGS),
    unusedSince: unusedSince === undefined ? undefined : new Date(unusedSince).toISOString(),
    savedAt: new Date(savedAt).toISOString(),
    reason,
  };
  return `${JSON.stringify(line)}\n`;
}

export function parseIndexLine(text: string): ReadLine {
  const line = tryJson(text);
  if (line === undefined) {
    return { kind: 'cut-off' };
  }
  const parsed = inForm(Line, line);
  if (parsed === undefined) {
    return { kind: 'unknown' };
  }
  const { version: _, ...entry } = parsed;
  return { kind: 'entry', entry };
}
