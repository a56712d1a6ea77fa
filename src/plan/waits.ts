/**
 * How long a manifest has been there, and out of use: the two waits before it may be deleted, and its age for people.
 * Pure.
 */
import type { Births } from './births.js';
import type { Inventory } from './inventory.js';
import { lastUseOf, type Past } from './past.js';
import type { KeepReason } from './reasons.js';
import type { Digest } from '../oci/digest.js';
import { tellsTime } from '../text/words.js';

/** In milliseconds; `now` since the epoch. */
export interface Waits {
  /** a manifest known to be younger is kept. 0 switches the question off */
  readonly gracePeriod: number;
  /** a manifest that is known to have been in use is kept until it was unused for so long. 0 switches that off */
  readonly unusedFor: number;
  /** the time that ages are measured against, the same for the whole run */
  readonly now: number;
}

/**
 * Whether a manifest was in use until a short while ago, or may have been. Two looks that are so far apart have to find
 * it unused, so the look that is the first to do so is not enough. Where the registry tells when a manifest last changed,
 * losing a tag is a change (docs/adr/0009).
 */
export function recentUseOf(
  digest: Digest,
  { past, listing }: Inventory,
  { now, unusedFor }: Waits,
): KeepReason | undefined {
  const use = lastUseOf(past.get(digest), now);
  const times = [use?.until, listing?.get(digest)?.changedAt].filter((time) => time !== undefined);
  const since = Math.max(...times);
  return since > now - unusedFor
    ? { kind: 'recently-used', since, tags: use?.tags ?? [] }
    : undefined;
}

/**
 * Why a manifest is too young to be judged, if it is. When it was pushed, the registry's list tells best. One that a run
 * saw in use was pushed completely. For another that a run saw, the first look is the age that is sure. What no run saw
 * has only its config.
 */
export function youthOf(
  digest: Digest,
  { past, listing }: Inventory,
  births: Births,
  { now, gracePeriod }: Waits,
): KeepReason | undefined {
  const before = listing?.get(digest)?.pushedAt === undefined ? past.get(digest) : undefined;
  if (before !== undefined && tellsAge(before)) {
    const { everInUse, firstSeen } = before;
    return !everInUse && firstSeen > now - gracePeriod ? { kind: 'new', firstSeen } : undefined;
  }
  const created = births(digest);
  return created !== undefined && created > now - gracePeriod
    ? { kind: 'young', created }
    : undefined;
}

/**
 * Whether the ledger tells the age. It doesn't for a manifest that was old enough before, by its config, and could not
 * be deleted or was gone for a while; nor for one that was deleted and came back, perhaps with a push that is not over.
 */
export function tellsAge({ everInUse, status }: Past): boolean {
  return everInUse || (status !== 'leaving' && status !== 'deleted');
}

/** The oldest thing that is known of a manifest, in epoch milliseconds. It is for people, and decides nothing. */
export interface Age {
  /** by the registry's list, by its config or that of what it contains or describes, or by the ledger */
  readonly kind: 'pushed' | 'built' | 'first-seen';
  readonly at: number;
}

/** @param birth as `birthsIn` gives it */
export function ageOf(
  digest: Digest,
  { listing, past }: Pick<Inventory, 'listing' | 'past'>,
  birth: number | undefined,
  now: number,
): Age | undefined {
  const [pushed, seen] = [listing?.get(digest)?.pushedAt, past.get(digest)?.firstSeen];
  if (pushed !== undefined) {
    return { kind: 'pushed', at: pushed };
  }
  if (birth !== undefined && tellsTime(birth, now)) {
    return { kind: 'built', at: birth };
  }
  return seen === undefined ? undefined : { kind: 'first-seen', at: seen };
}
