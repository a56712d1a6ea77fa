/**
 * Why a manifest was an orphan, and why another was kept, in Markdown. The kinds of reasons are the
 * plan's; here they only get their words.
 */
import type { DeleteReason, KeepReason } from '../plan/reasons.js';
import type { LastUse } from '../plan/past.js';
import type { Age } from '../plan/waits.js';
import type { Digest } from '../oci/digest.js';
import { PROTECT, type Protector } from '../plan/protection.js';
import type { RunSettings } from '../run/settings.js';
import { code } from '../text/markdown.js';
import { age, day, digits, duration, shortDigest } from '../text/words.js';

export function whyOrphan(reason: DeleteReason): string {
  switch (reason.kind) {
    case 'unreachable':
      return 'no tag, and nothing that stays refers to it';
    case 'child':
      return `part of ${code(shortDigest(reason.of))}, an orphan too`;
    case 'referrer':
      return `refers to ${code(shortDigest(reason.of))}, an orphan too`;
    case 'digest-tag':
      return `its tag ${code(shortTag(reason.tag))} names ${code(shortDigest(reason.of))}, an orphan too`;
    case 'dangling':
      return `refers to ${code(shortDigest(reason.subject))}, which is not in this repository`;
  }
}

/** The same for a table, in which most rows have the same reason. */
export function briefWhy(reason: DeleteReason): string {
  switch (reason.kind) {
    case 'unreachable':
      return 'untagged';
    case 'child':
      return `part of ${code(digits(reason.of))}`;
    case 'referrer':
      return `refers to ${code(digits(reason.of))}`;
    case 'digest-tag':
      return `tag names ${code(digits(reason.of))}`;
    case 'dangling':
      return `refers to ${code(digits(reason.subject))}, not here`;
  }
}

/** Kinds of reasons to keep a manifest that has no tag of its own. */
export type UntaggedKind = Exclude<KeepReason['kind'], 'tagged'>;

/** In the order of the summary: what its reader may want to act on comes first. */
const WHY_KEPT: Readonly<Record<UntaggedKind, string>> = {
  gap: "nothing refers to it, but something in its repository couldn't be read",
  young: 'pushed or built within the grace period of %s',
  new: 'first seen within the grace period of %s, and never in use',
  'recently-used': 'in use until less than %s ago (`unused-for`)',
  protected: 'protected by `protect` or `protect-files`',
  recent: 'one of the newest orphans, which `keep-untagged` keeps',
  'not-in-plan': 'an orphan that the plan does not list',
  'holds-kept': 'an orphan index, whose delete would take a kept part of it along',
  narrowed: 'its tag now points at a part of it, as a proxy that ignores `Accept` answers',
  'dangling-referrer':
    'refers to a manifest that is not in its repository and may live in another (`dangling-referrers: delete` deletes it)',
  'dangling-digest-tag':
    'its digest tag names a manifest that is not in its repository and may live in another (`dangling-referrers: delete` deletes it)',
  'unknown-type': 'of a media type that is unknown here, so nothing can be said of it',
  ledger: "an entry of this action's ledger",
  layer:
    'its repository has it as a layer or config too, and a delete could remove that; no run saw it in use',
  mentioned: 'mentioned by a kept manifest of an unknown media type',
  blob: 'a kept manifest has it as its config or a layer',
  child: 'part of a kept index',
  referrer: 'refers to a kept manifest, as signatures and SBOMs do',
  'digest-tag': 'its digest tag names a kept manifest',
  subject: 'a kept manifest refers to it',
};

export const UNTAGGED_KINDS = Object.keys(WHY_KEPT) as UntaggedKind[];

export function whyKept(
  kind: UntaggedKind,
  { gracePeriod, unusedFor }: Pick<RunSettings, 'gracePeriod' | 'unusedFor'>,
): string {
  const wait = kind === 'recently-used' ? unusedFor : gracePeriod;
  return WHY_KEPT[kind].replace('%s', duration(wait));
}

const MOST_LAST_TAGS = 3;

/** `was v1, latest until 26 Nov 2026`; the time is that of the run which first found it unused. */
export function whenUsed({ tags, until }: LastUse, most = MOST_LAST_TAGS): string {
  const names = tags.map((tag) => code(tag));
  const was = names.length === 0 ? 'in use' : `was ${few(names, most)}`;
  return `${was} until ${day(until)}`;
}

const AGES = { pushed: 'pushed', built: 'built', 'first-seen': 'seen' } as const;

/** `pushed 3 days ago`; empty where nothing is known that can be true. */
export function ageWords(known: Age | undefined, now: number): string {
  if (known === undefined) {
    return '';
  }
  const when = ago(known.at, now);
  return when === '' ? '' : `${AGES[known.kind]} ${when}`;
}

/** Empty for a time that can't be true. */
function ago(time: number, now: number): string {
  const old = age(time, now);
  return old === undefined ? '' : `${old} ago`;
}

/** The detail that is particular to one manifest of such a group, or nothing. */
export function keptDetail(reason: KeepReason, now: number): string {
  switch (reason.kind) {
    case 'young':
      return ago(reason.created, now);
    case 'new':
      return ago(reason.firstSeen, now);
    case 'recently-used':
      return whenUsed({ tags: reason.tags, until: reason.since });
    case 'protected':
      return `by ${protectors(reason.by)}${throughBlob(reason.blob)}`;
    case 'unknown-type':
      return reason.mediaType === '' ? '' : code(reason.mediaType, 100);
    case 'dangling-referrer':
      return `refers to ${code(shortDigest(reason.subject))}`;
    case 'digest-tag':
    case 'dangling-digest-tag':
      return `tag ${code(shortTag(reason.tag))}`;
    case 'narrowed':
      return `tag ${code(shortTag(reason.tag))}, now ${code(shortDigest(reason.part))}`;
    case 'mentioned':
      return `by ${code(shortDigest(reason.by))}`;
    default:
      return 'of' in reason ? `of ${code(shortDigest(reason.of))}` : '';
  }
}

const MOST_PROTECTORS = 3;

/** `protect`, and files by their path. */
export function protectors(by: readonly Protector[]): string {
  return few(
    by.map((one) => (one === PROTECT ? one : code(one, 200))),
    MOST_PROTECTORS,
  );
}

/** `a, b and 3 more` */
export function few(all: readonly string[], most: number): string {
  const more = all.length - most;
  return `${all.slice(0, most).join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`;
}

/** The blob that is named in place of the manifest: an image ID is the digest of its config. */
export function throughBlob(blob: Digest | undefined): string {
  return blob === undefined ? '' : ` (its config or layer ${code(shortDigest(blob))})`;
}

/** `sha256-0123456789ab….sig` */
function shortTag(tag: string): string {
  return tag.replace(/^(sha\d+-[0-9a-f]{12})[0-9a-f]+/, '$1…');
}
