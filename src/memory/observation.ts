/** The news of a survey or a sweep for the ledger's memory. Pure. */
import { buildGraph, reach, type Edge } from '../plan/graph.js';
import type { Inventory } from '../plan/inventory.js';
import { digestsWith, type Fates } from '../plan/fate.js';
import type { Survey } from '../plan/survey.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { parseDigestTag } from '../oci/reference.js';

export interface Observation {
  /** what is there */
  readonly standing: ReadonlyMap<Digest, Manifest>;
  /** what each tag points at */
  readonly tags: ReadonlyMap<string, Digest>;
  /** the bytes, as text, of what was fetched */
  readonly bodies: ReadonlyMap<Digest, string>;
  /** reached from an ordinary tag */
  readonly inUse: ReadonlySet<Digest>;
  /** about to be deleted */
  readonly leaving: ReadonlySet<Digest>;
  /** what the registry says it does not have */
  readonly absent: ReadonlySet<Digest>;
  /**
   * Must not be forgotten although it is gone: what is described by something that stands without being in use,
   * since such a signature can go only because its subject is remembered to have lived here; and what something in use
   * needs, since its bytes tell what else is needed.
   */
  readonly wanted: ReadonlySet<Digest>;
  /** false when something could not be read: then not being reached says nothing */
  readonly isComplete: boolean;
}

/** The observation of a survey. */
export function observe({ inventory, plan, bodies }: Survey): Observation {
  const inUse = usedIn(inventory);
  return {
    standing: inventory.manifests,
    tags: inventory.tags,
    bodies,
    inUse,
    leaving: new Set(plan.orphans.map(({ digest }) => digest)),
    absent: inventory.absent,
    wanted: new Set([
      ...describedIn(inventory, inUse),
      ...[...inUse].filter((digest) => inventory.ghosts.has(digest)),
    ]),
    isComplete: inventory.gaps.length === 0,
  };
}

/**
 * The observation of a finished sweep. Manifests that it deleted, or found deleted, are absent. Those that came into
 * use are not leaving any more. Those that it could not delete still are: they were old enough.
 */
export function observeSweep({ inventory }: Pick<Survey, 'inventory'>, fates: Fates): Observation {
  const absent = new Set(digestsWith(fates, 'deleted', 'gone'));
  const left: Inventory = {
    ...inventory,
    manifests: new Map([...inventory.manifests].filter(([digest]) => !absent.has(digest))),
    tags: new Map([...inventory.tags].filter(([, digest]) => !absent.has(digest))),
  };
  const stays = new Set(digestsWith(fates, 'restored', 'kept'));
  return {
    standing: new Map([...inventory.manifests].filter(([digest]) => stays.has(digest))),
    tags: new Map(),
    bodies: new Map(),
    inUse: new Set(),
    leaving: new Set(),
    absent,
    wanted: describedIn(left, usedIn(left)),
    isComplete: false,
  };
}

/** Everything that an ordinary tag leads to. */
function usedIn(inventory: Inventory): Set<Digest> {
  const graph = buildGraph(inventory);
  const roots = [...graph.rootTags.keys()];
  // A layer of something in use may have the bytes of a manifest that nobody ever used as one.
  const asManifests = (edges: readonly Edge[]) => edges.filter(({ kind }) => kind !== 'blob');
  const edges = new Map([...graph.edges].map(([digest, each]) => [digest, asManifests(each)]));
  return new Set([...roots, ...reach({ ...graph, edges }, roots).keys()]);
}

function describedIn(
  { manifests, tags }: Pick<Inventory, 'manifests' | 'tags'>,
  inUse: ReadonlySet<Digest>,
): Set<Digest> {
  const abouts = [
    ...[...manifests.values()].map(({ digest, subject }) => [digest, subject] as const),
    ...[...tags].map(([tag, digest]) => [digest, parseDigestTag(tag)?.names] as const),
  ];
  return new Set(
    abouts.flatMap(([digest, about]) => (about === undefined || inUse.has(digest) ? [] : [about])),
  );
}
