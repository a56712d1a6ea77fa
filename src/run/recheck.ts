/**
 * The reads of one repository right before a sweep's deletes. Each builds on those before it, and on the deletes
 * between them. They decide nothing and delete nothing.
 */
import type { Past } from '../plan/past.js';
import type { SavedManifest } from './backup/backup.js';
import type { Digest } from '../oci/digest.js';
import { compare } from '../plan/graph.js';
import type { Inventory } from '../plan/inventory.js';
import type { Plan } from '../plan/plan.js';
import { digestsWith, isGone, type Fates } from '../plan/fate.js';
import type { Survey } from '../plan/survey.js';
import type { SurveyOptions } from './survey-options.js';
import { surveyRepository } from './survey.js';

/** A manifest that may be deleted, in the form in which it is saved first. */
export type OrphanCopy = Omit<SavedManifest, 'registry' | 'savedAt'>;

export class Recheck {
  readonly #survey: Survey;
  readonly #candidates: Iterable<Digest>;
  readonly #options: SurveyOptions;
  /** the result of the last read, without the manifests that were deleted since */
  #last: Inventory;
  /** the joined results of all reads without a gap; `undefined` before the first of them */
  seen: Inventory | undefined;

  /** @param survey the one that the plan was made from, with the same candidates */
  constructor(survey: Survey, candidates: Iterable<Digest>, options: SurveyOptions) {
    this.#survey = survey;
    this.#candidates = candidates;
    this.#options = options;
    this.#last = survey.inventory;
  }

  /** Tags may have moved since, and pushes come in: the plan is made again from a fresh survey. */
  async read(fates: Fates): Promise<Survey> {
    const { plan, inventory } = this.#survey;
    const candidates = inSight(this.#candidates, plan, fates);
    const fresh = await surveyRepository(plan.repository, candidates, this.#options, {
      manifests: this.#last.manifests,
      past: withGone(inventory.past, fates, this.#options.policy.now),
      earlier: { ...this.#last, gone: new Set(digestsWith(fates, 'deleted', 'gone')) },
    });
    if (fresh.inventory.gaps.length === 0) {
      this.seen = this.seen === undefined ? fresh.inventory : joined(this.seen, fresh.inventory);
    }
    return fresh;
  }

  /** Keeps this read for the next one, without the manifests that were deleted. */
  finish({ inventory }: Pick<Survey, 'inventory'>, fates: Fates): void {
    this.#last = without(inventory, fates);
  }
}

/** The tags that point at each manifest, sorted. */
export function tagsIn(inventory: Pick<Inventory, 'tags'>): ReadonlyMap<Digest, readonly string[]> {
  const tags = new Map<Digest, string[]>();
  for (const [tag, digest] of [...inventory.tags].sort(([a], [b]) => compare(a, b))) {
    tags.set(digest, [...(tags.get(digest) ?? []), tag]);
  }
  return tags;
}

/** With their tags of now. A tag that names nothing any more is still theirs: the delete may have taken it. */
export function retagged(condemned: readonly OrphanCopy[], inventory: Inventory): OrphanCopy[] {
  const tagsOf = tagsIn(inventory);
  return condemned.map((each) => {
    const left = each.tags.filter((tag) => !inventory.tags.has(tag));
    return { ...each, tags: [...left, ...(tagsOf.get(each.digest) ?? [])].sort(compare) };
  });
}

/**
 * The digests that a recheck asks for: those to delete, those that go before them, and those that could not be deleted.
 * Without its index, a child would be deleted before it. Asking for others that are gone would be in vain.
 */
function inSight(
  candidates: Iterable<Digest>,
  { orphans }: Plan,
  fates: Fates,
): ReadonlySet<Digest> {
  const waiting = orphans.filter(({ digest }) => !fates.has(digest));
  const before = new Set(waiting.flatMap(({ after }) => after));
  const named = [...candidates, ...orphans.map(({ digest }) => digest)];
  return new Set(named.filter((digest) => before.has(digest) || !isGone(fates.get(digest))));
}

/** All that a plan may delete, with the tags that it has now. */
export function condemnedOf({ inventory, plan, bodies }: Survey): OrphanCopy[] {
  const tagsOf = tagsIn(inventory);
  return plan.orphans.map(({ digest, reason }) => {
    const tags = tagsOf.get(digest) ?? [];
    const formerTags = [...(inventory.formerTags.get(digest) ?? [])]
      .filter((tag) => !tags.includes(tag))
      .sort(compare);
    const past = inventory.past.get(digest);
    return {
      repository: plan.repository,
      digest,
      mediaType: inventory.manifests.get(digest)?.mediaType ?? '',
      id: inventory.listing?.get(digest)?.id,
      tags,
      ...(formerTags.length === 0 ? {} : { formerTags }),
      ...(past?.everInUse === true ? { unusedSince: past.since } : {}),
      reason,
      bytes: Buffer.from(bodies.get(digest) ?? ''),
    };
  });
}

/** The inventory without the manifests that were deleted, and their tags. */
function without(inventory: Inventory, fates: Fates): Inventory {
  return {
    ...inventory,
    manifests: new Map([...inventory.manifests].filter(([digest]) => !isGone(fates.get(digest)))),
    tags: new Map([...inventory.tags].filter(([, digest]) => !isGone(fates.get(digest)))),
  };
}

/** Remembers that deleted manifests lived here: their signatures don't belong to images elsewhere. */
function withGone(past: Inventory['past'], fates: Fates, now: number): Inventory['past'] {
  const gone = digestsWith(fates, 'deleted', 'gone').filter((digest) => !past.has(digest));
  const before: Past = { firstSeen: now, everInUse: false, status: 'leaving', since: now };
  return new Map([...past, ...gone.map((digest) => [digest, before] as const)]);
}

/**
 * The joined results of two reads of a sweep. A manifest that the first one missed was missing before the sweep. If only
 * a later one misses it, the sweep may have deleted it.
 */
function joined(first: Inventory, later: Inventory): Inventory {
  const tags = new Map([...first.tags, ...later.tags]);
  const manifests = new Map([...first.manifests, ...later.manifests]);
  // A later read no longer hears of deleted referrers, and they may have to be restored with their subject.
  const referrers = new Map(first.referrers);
  for (const [subject, listed] of later.referrers) {
    referrers.set(subject, [...new Set([...(referrers.get(subject) ?? []), ...listed])]);
  }
  return {
    ...first,
    tags,
    manifests,
    referrers,
    absent: new Set([...first.absent].filter((digest) => !manifests.has(digest))),
    brokenTags: first.brokenTags.filter((tag) => !tags.has(tag)),
  };
}
