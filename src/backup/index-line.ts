/** One line of a backup's index, as JSON: what a saved manifest was. Pure. The format is in docs/undo.md. */
import * as v from 'valibot';

import type { DeleteReason } from '../cleanup/plan.js';
import { isDigest, type Digest } from '../oci/digest.js';
import { mediaTypeOf } from '../oci/media-types.js';
import { isRepository, isTag } from '../oci/reference.js';

export interface BackupEntry {
  /** scheme, host and port */
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
  readonly mediaType: string;
  /** that pointed at it, sorted */
  readonly tags: readonly string[];
  /** epoch milliseconds */
  readonly savedAt: number;
  readonly reason: DeleteReason;
}

/** What is read back: the reason is for people, and may be of another version. */
export type ReadEntry = Omit<BackupEntry, 'reason'>;

export type ReadLine =
  | { readonly kind: 'entry'; readonly entry: ReadEntry }
  /** no JSON: a run that was killed leaves half a line, and has deleted nothing of it */
  | { readonly kind: 'cut-off' }
  /** of another version, or with something in it that can't be; what it is about may have been deleted */
  | { readonly kind: 'unknown' };

const VERSION = 1;
/** Both of its names have 127 characters at most (RFC 6838, section 4.2). */
const LONGEST_TYPE = 255;

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
  tags: v.array(v.pipe(v.string(), v.check(isTag))),
  savedAt: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text)),
    // ISO 8601 knows more forms than JavaScript.
    v.finite(),
  ),
});

/** With its line feed. */
export function indexLine(entry: BackupEntry): string {
  const { registry, repository, digest, mediaType, tags, savedAt, reason } = entry;
  const line = {
    version: VERSION,
    registry,
    repository,
    digest,
    mediaType,
    tags,
    savedAt: new Date(savedAt).toISOString(),
    reason,
  };
  return `${JSON.stringify(line)}\n`;
}

export function parseIndexLine(text: string): ReadLine {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return { kind: 'cut-off' };
  }
  const parsed = v.safeParse(Line, line, { abortEarly: true });
  if (!parsed.success) {
    return { kind: 'unknown' };
  }
  const { version: _, ...entry } = parsed.output;
  return { kind: 'entry', entry };
}
