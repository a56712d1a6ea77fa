/**
 * After a sweep: proves that kept manifests and tags are still there. Restores what was deleted at the moment when a
 * push began to use it, with all that has to live as long as it does.
 */
import type { Digest } from '../oci/digest.js';
import type { Pusher, Restorer } from '../registry/registry.js';
import { buildGraph, compare, reach } from '../plan/graph.js';
import type { Inventory } from '../plan/inventory.js';
import type { Outcome } from '../plan/fate.js';
import type { SavedCopy } from './saved-copy.js';
import { restoreRepository } from './restore-repository.js';
import { undoAt } from './server-undo.js';
import { verifyRepository, type VerifyOptions } from './verify.js';

interface Swept {
  /** all that the sweep's rechecks saw; what is missing in it was missing before the first delete */
  readonly inventory: Inventory;
  /** those that the sweep deleted, found deleted, or may have deleted */
  readonly tried: ReadonlySet<Digest>;
  /** those among them that a later recheck saw in use again: their tags there are expected */
  readonly usedAgain: ReadonlySet<Digest>;
  readonly lost: readonly SavedCopy[];
}

export interface HealOptions extends VerifyOptions {
  readonly pusher: Pick<Pusher, 'pushManifest'>;
  /** the registry's own undo, which is tried before a push; absent where it has none */
  readonly restorer?: Restorer;
}

/** A restored manifest may need more, which another push has begun to use meanwhile. */
const MOST_ROUNDS = 3;

export interface HealResult extends Pick<Outcome, 'broken' | 'verified' | 'unverified'> {
  readonly restored: readonly Digest[];
  /** what each listed tag points at in the end; absent when not all of it could be read */
  readonly tags: ReadonlyMap<string, Digest> | undefined;
}

/** @returns in `broken` also those that had to be restored with others, and could not be */
export async function heal(
  { inventory, tried, usedAgain, lost }: Swept,
  options: HealOptions,
): Promise<HealResult> {
  const graph = buildGraph(inventory);
  const undo = undoAt(options.restorer, inventory.repository, options.clock);
  const restored = new Set<Digest>();
  /** manifests whose tags were deleted with them */
  const gone = new Set([...tried].filter((digest) => !usedAgain.has(digest)));
  /** those that may be restored */
  const restorable = new Set(tried);
  /** why something could not be restored, by its name in `broken` */
  const failures = new Map<string, string>();
  for (let round = 1; ; round += 1) {
    const verified = await verifyRepository(inventory, gone, options);
    const ours =
      round > MOST_ROUNDS ? [] : verified.missing.filter((digest) => restorable.has(digest));
    const needed = new Set([...ours, ...reach(graph, ours).keys()]);
    const result = await restoreRepository(
      inventory.repository,
      lost
        .filter(({ digest }) => needed.has(digest) && restorable.has(digest))
        // People have moved or removed the tags that pointed at it once.
        .map((each) => ({ ...each, formerTags: [] })),
      { ...options, undo, absent: inventory.absent },
    );
    result.restored.forEach((digest) => restored.add(digest));
    for (const digest of [...result.restored, ...result.standing]) {
      restorable.delete(digest);
      gone.delete(digest);
      failures.delete(`manifest ${digest}`);
    }
    result.failed.forEach(({ digest, why }) => failures.set(`manifest ${digest}`, why));
    result.failedTags.forEach(({ tag, why }) => failures.set(`tag ${tag}`, why));
    if (result.restored.length + result.standing.length === 0) {
      return {
        restored: [...restored],
        broken: withFailures(verified.broken, failures),
        verified: verified.isComplete ? verified.asked : undefined,
        unverified: !verified.isComplete,
        tags: verified.tags,
      };
    }
  }
}

/** A tag that is not broken names something else now: a push has moved it. */
function withFailures(
  broken: Outcome['broken'],
  failures: ReadonlyMap<string, string>,
): Outcome['broken'] {
  const found = new Map(broken.map(({ what, why }) => [what, why]));
  for (const [what, failure] of failures) {
    const why = found.get(what) ?? 'it was deleted with a manifest that came into use meanwhile';
    if (found.has(what) || what.startsWith('manifest ')) {
      found.set(what, `${why}, and it could not be restored: ${failure}`);
    }
  }
  return [...found].map(([what, why]) => ({ what, why })).sort((a, b) => compare(a.what, b.what));
}
