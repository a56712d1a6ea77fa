/**
 * The reads of one repository right before a sweep's deletes: what each takes over from those before it, and from the
 * deletes between them. Decides nothing and deletes nothing.
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

/** A manifest that may be deleted, as it is to be saved first. */
export type Condemned = Omit<SavedManifest, 'registry' | 'savedAt'>;

export class Recheck {
  readonly #survey: Survey;
  readonly #candidates: Iterable<Digest>;
  readonly #options: SurveyOptions;
  /** what the last read saw, without what was deleted since */
  #last: Inventory;
  /** all that the reads without a gap saw, together; `undefined` before the first of them */
  seen: Inventory | undefined;

  /** @param survey what the plan was made of, by the same candidates */
  constructor(survey: Survey, candidates: Iterable<Digest>, options: SurveyOptions) {
    this.#survey = survey;
    this.#candidates = candidates;
    this.#options = options;
    this.#last = survey.inventory;
  }

  /** Tags may have moved since, and pushes come in: the plan is made again with what is there now. */
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

  /** Takes what is left of a read after its deletes for the next one. */
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

/** With the tags that point at them now. One that names nothing any more is theirs still: it may have gone along. */
export function retagged(condemned: readonly Condemned[], inventory: Inventory): Condemned[] {
  const tagsOf = tagsIn(inventory);
  return condemned.map((each) => {
    const left = each.tags.filter((tag) => !inventory.tags.has(tag));
    return { ...each, tags: [...left, ...(tagsOf.get(each.digest) ?? [])].sort(compare) };
  });
}

/**
 * The digests that a recheck asks for: those to delete, those that go before them, and those that could not be deleted.
 * The child of an index out of sight would go before that index. What else is gone would be asked for in vain.
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
export function condemnedOf({ inventory, plan, bodies }: Survey): Condemned[] {
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
      tags,
      ...(formerTags.length === 0 ? {} : { formerTags }),
      ...(past?.everInUse === true ? { unusedSince: past.since } : {}),
      reason,
      bytes: Buffer.from(bodies.get(digest) ?? ''),
    };
  });
}

/** What is left of an inventory after these deletes. */
function without(inventory: Inventory, fates: Fates): Inventory {
  return {
    ...inventory,
    manifests: new Map([...inventory.manifests].filter(([digest]) => !isGone(fates.get(digest)))),
    tags: new Map([...inventory.tags].filter(([, digest]) => !isGone(fates.get(digest)))),
  };
}

/** What was deleted lived here: a signature that is to follow it is none of an image elsewhere. */
function withGone(past: Inventory['past'], fates: Fates, now: number): Inventory['past'] {
  const gone = digestsWith(fates, 'deleted', 'gone').filter((digest) => !past.has(digest));
  const before: Past = { firstSeen: now, everInUse: false, status: 'leaving', since: now };
  return new Map([...past, ...gone.map((digest) => [digest, before] as const)]);
}

/**
 * What the reads of a sweep saw, together. What was missing at the first of them was missing before; what a
 * later one misses, the sweep may have deleted.
 */
function joined(first: Inventory, later: Inventory): Inventory {
  const tags = new Map([...first.tags, ...later.tags]);
  const manifests = new Map([...first.manifests, ...later.manifests]);
  // A later read no longer hears of what was deleted, and that may have to come back with its subject.
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
