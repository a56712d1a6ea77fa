/** The entries of a plan that the run did not try to delete, because the registry has changed. */
import type { KeepReason } from '../plan/reasons.js';
import type { Digest } from '../oci/digest.js';
import { code } from '../text/markdown.js';
import { few, keptDetail, protectors, whyKept } from './reasons.js';
import type { RepositoryRun, Run } from '../run/run.js';

export interface OutdatedEntry {
  readonly digest: Digest;
  readonly why:
    | KeepReason
    /** the registry says that it has no such manifest */
    | { readonly kind: 'absent' }
    /** it could not be read, or what else could not be read may need it */
    | { readonly kind: 'unread' };
}

/** Sorted by digest. Manifests that the recheck kept are not among them: they have a fate of their own. */
export function outdatedEntries({ inventory, plan, approved }: RepositoryRun): OutdatedEntry[] {
  const orphans = new Set(plan.orphans.map(({ digest }) => digest));
  const kept = new Map(plan.keep.map(({ digest, reason }) => [digest, reason]));
  return [...(approved ?? [])]
    .filter((digest) => !orphans.has(digest))
    .sort()
    .map((digest) => ({
      digest,
      why: kept.get(digest) ?? { kind: inventory.absent.has(digest) ? 'absent' : 'unread' },
    }));
}

const MOST_TAGS = 3;

/** In Markdown. */
export function whyOutdated({ why }: OutdatedEntry, run: Run): string {
  switch (why.kind) {
    case 'absent':
      return 'already gone';
    case 'unread':
      return 'could not be read';
    case 'tagged': {
      const tags = why.tags.map((tag) => code(tag));
      return `has a tag: ${few(tags, MOST_TAGS)}`;
    }
    case 'protected':
      return `protected by ${protectors(why.by)}`;
    default: {
      const detail = keptDetail(why, run.finishedAt);
      const text = whyKept(why.kind, run.settings);
      return detail === '' ? text : `${text} (${detail})`;
    }
  }
}
