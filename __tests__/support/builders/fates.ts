/** Fates as tests write and read them: a list of digests for each kind, in place of one map. */
import type { Fate, Outcome } from '../../../src/plan/fate.js';
import type { KeepReason } from '../../../src/plan/reasons.js';
import type { Digest } from '../../../src/oci/digest.js';

export interface Ends {
  readonly deleted: readonly Digest[];
  readonly gone: readonly Digest[];
  readonly kept: readonly { readonly digest: Digest; readonly reason: KeepReason }[];
  readonly failed: readonly { readonly digest: Digest; readonly why: string }[];
  readonly skipped: readonly { readonly digest: Digest; readonly why: string }[];
  readonly restored: readonly Digest[];
  readonly undeletable: readonly { readonly digest: Digest; readonly why: string }[];
  readonly postponed: readonly Digest[];
}

export const NO_ENDS: Ends = {
  deleted: [],
  gone: [],
  kept: [],
  failed: [],
  skipped: [],
  restored: [],
  undeletable: [],
  postponed: [],
};

/** The lists as the map that the action has. */
export function fatesFrom(ends: Partial<Ends>): Map<Digest, Fate> {
  const { deleted, gone, kept, failed, skipped, restored, undeletable } = { ...NO_ENDS, ...ends };
  return new Map<Digest, Fate>([
    ...deleted.map((digest) => [digest, { kind: 'deleted' }] as const),
    ...restored.map((digest) => [digest, { kind: 'restored' }] as const),
    ...gone.map((digest) => [digest, { kind: 'gone' }] as const),
    ...kept.map(({ digest, reason }) => [digest, { kind: 'kept', reason }] as const),
    ...failed.map(({ digest, why }) => [digest, { kind: 'failed', why }] as const),
    ...skipped.map(({ digest, why }) => [digest, { kind: 'skipped', why }] as const),
    ...undeletable.map(({ digest, why }) => [digest, { kind: 'undeletable', why }] as const),
    ...(ends.postponed ?? []).map((digest) => [digest, { kind: 'postponed', until: 0 }] as const),
  ]);
}

/** What a sweep came to, with lists in place of the map. */
export function endsOf({ fates, ...rest }: Outcome): Ends & Omit<Outcome, 'fates'> {
  const each = <T>(end: (digest: Digest, fate: Fate) => T | undefined) =>
    [...fates].flatMap(([digest, fate]) => end(digest, fate) ?? []);
  const digests = (kind: Fate['kind']) =>
    each((digest, fate) => (fate.kind === kind ? digest : undefined));
  const explained = (kind: 'failed' | 'skipped' | 'undeletable') =>
    each((digest, fate) => (fate.kind === kind ? { digest, why: fate.why } : undefined));
  return {
    deleted: digests('deleted'),
    gone: digests('gone'),
    kept: each((digest, fate) =>
      fate.kind === 'kept' ? { digest, reason: fate.reason } : undefined,
    ),
    failed: explained('failed'),
    skipped: explained('skipped'),
    restored: digests('restored'),
    undeletable: explained('undeletable'),
    postponed: digests('postponed'),
    ...rest,
  };
}
