/**
 * A registry on stage: estates are set up in it, a script of faults and changes plays during a run, and
 * everything that a DELETE may do wrong is noted at the moment when it happens.
 */
import type { Plan } from '../../../src/plan/plan.js';
import type { MemoryRegistry } from '../servers/memory/registry.js';
import type { Action, SeenRequest } from '../servers/memory/script.js';
import type { Timed } from '../builders/arbitraries.js';
import { change, settle, type Built, type Id } from '../builders/random-estate.js';
import { actionOf, type Fault } from './faults.js';
import { isWhole, judge, parentsOf, viewOf, type Rules, type View } from './model.js';

export interface Placed {
  readonly repository: string;
  readonly built: Built;
}

/** A registry as a stage needs it, with any API. */
export interface Theatre extends Pick<MemoryRegistry, 'state' | 'requests' | 'intercept'> {
  /** what the registry itself lists there now */
  readonly listed?: (placed: Placed) => Pick<View, 'candidates' | 'pushedAt' | 'changedAt'>;
}

export interface Script {
  /** what others do to the first repository, until the second look at it begins */
  readonly changes?: readonly Timed[];
  /** by the number of the request (distinct method and path) that they hit */
  readonly faults?: readonly Fault[];
  /** where the run keeps its memory: what it deletes there is its own */
  readonly ledger?: string;
  /** in the last resort; `n` counts this run's requests from 1 */
  readonly act?: (request: SeenRequest, n: number) => Action | undefined;
}

export interface Play {
  /** to be called when the surveys are over */
  readonly onSweep: () => void;
  /** what went wrong, in words; empty when all is well */
  readonly wrongs: readonly string[];
  /** the numbers deleted, by repository */
  readonly deleted: (repository: string) => Id[];
  /** repositories for which a DELETE was asked, carried out or not */
  readonly askedToDelete: ReadonlySet<string>;
  /** as it was when the second look began, or is now if there was none */
  readonly view: (repository: string) => View;
  /** as it is now */
  readonly now: (repository: string) => View;
  /** requests of this run so far */
  readonly count: () => number;
  /** Looks at every tag once more, after the run, and judges what it deleted. */
  readonly end: (plans: readonly Plan[]) => void;
}

/** A manifest for which a DELETE came. */
interface Condemned {
  readonly placed: Placed;
  readonly id: Id;
  /** the repository at the second look */
  readonly view: View;
  /** what was there when the DELETE came */
  readonly standing: ReadonlySet<Id>;
}

/** Clears the registry and puts these estates in. */
export function setUp(registry: Theatre, estates: readonly Placed[]): void {
  registry.intercept();
  registry.requests.length = 0;
  registry.state.repositories.clear();
  registry.state.blobs.clear();
  for (const { repository, built } of estates) {
    settle(registry.state, repository, built);
  }
}

export function play(
  registry: Theatre,
  estates: readonly Placed[],
  rules: Rules,
  script: Script = {},
): Play {
  const { state } = registry;
  const wrongs: string[] = [];
  const askedToDelete = new Set<string>();
  const deleted = new Map<string, Id[]>();
  const frozen = new Map<string, View>();
  const probed = new Set<string>();
  const condemned: Condemned[] = [];
  const wholeTags = new Map<string, readonly string[]>();
  const waiting = [...(script.changes ?? [])].sort((a, b) => a.before - b.before);
  const fault = faultScript(script.faults ?? []);
  let sweeping = false;
  let n = 0;

  const named = (repository: string): Placed => {
    const placed = estates.find((each) => each.repository === repository);
    if (placed === undefined) {
      throw new Error(`no estate in ${repository}`);
    }
    return placed;
  };
  const now = (placed: Placed): View => ({
    ...viewOf(placed.built, state.repositories.get(placed.repository)),
    ...registry.listed?.(placed),
  });
  const whole = (placed: Placed, { tags, present }: View) =>
    [...tags].filter(([, id]) => isWhole(placed.built, present, id)).map(([tag]) => tag);

  /** Every tag that still stands and could be pulled before can be pulled. */
  const checkTags = (placed: Placed, when: string) => {
    const view = now(placed);
    const good = whole(placed, view);
    for (const tag of wholeTags.get(placed.repository) ?? []) {
      if (view.tags.has(tag) && !good.includes(tag)) {
        wrongs.push(`${when}, tag ${tag} of ${placed.repository} can't be pulled any more`);
      }
    }
  };

  const freeze = (placed: Placed) => {
    const view = now(placed);
    frozen.set(placed.repository, view);
    wholeTags.set(placed.repository, whole(placed, view));
  };

  registry.intercept((request) => {
    n += 1;
    const { route, method } = request;
    const placed = estates.find(
      ({ repository }) => 'repository' in route && route.repository === repository,
    );
    const isFirst = placed === estates[0];
    const [first] = estates;
    if (first !== undefined && !frozen.has(first.repository)) {
      while (waiting[0] !== undefined && (waiting[0].before <= n || (sweeping && isFirst))) {
        change(state, first.repository, first.built, waiting[0].change);
        waiting.shift();
      }
    }
    if (placed !== undefined && sweeping && !frozen.has(placed.repository)) {
      freeze(placed);
    }
    if ('repository' in route && route.repository === script.ledger) {
      return undefined;
    }
    if (method === 'DELETE') {
      if (placed === undefined || route.kind !== 'manifest') {
        wrongs.push(`${method} ${request.path} is no manifest of ours`);
        return undefined;
      }
      const { repository, built } = placed;
      if (!sweeping && !built.idOf.has(route.reference)) {
        // Before its first change a run asks, with a digest that nothing has, whether deletes are taken.
        probed.add(route.reference);
        if (probed.size > 1) {
          wrongs.push(`${request.path}: it was asked already whether deletes are taken`);
        }
        return script.act?.(request, n) ?? fault(request);
      }
      askedToDelete.add(repository);
      const view = frozen.get(repository);
      const id = built.idOf.get(route.reference);
      if (view === undefined || id === undefined) {
        wrongs.push(`${request.path} was deleted before the second look, or is unknown`);
      } else {
        condemned.push({ placed, id, view, standing: now(placed).present });
      }
      checkTags(placed, `before the delete of ${String(id)}`);
    }
    const action = script.act?.(request, n) ?? fault(request);
    if (method === 'DELETE' && placed !== undefined && 'reference' in route) {
      const id = placed.built.idOf.get(route.reference) ?? -1;
      if (state.repositories.get(placed.repository)?.manifests.has(route.reference) === true) {
        deleted.set(placed.repository, [...(deleted.get(placed.repository) ?? []), id]);
      }
    }
    return action;
  });

  return {
    onSweep: () => {
      sweeping = true;
    },
    wrongs,
    // A DELETE may have been answered by a fault and not carried out: what's still there isn't deleted.
    deleted: (repository) =>
      [...new Set(deleted.get(repository) ?? [])]
        .filter((id) => {
          const placed = estates.find((each) => each.repository === repository);
          return placed !== undefined && !now(placed).present.has(id);
        })
        .sort((a, b) => a - b),
    askedToDelete,
    view: (repository) => frozen.get(repository) ?? now(named(repository)),
    now: (repository) => now(named(repository)),
    count: () => n,
    end: (plans) => {
      estates.forEach((placed) => {
        checkTags(placed, 'after the run');
      });
      for (const { placed, id, view, standing } of condemned) {
        const { repository, built } = placed;
        // An orphan of the survey is known at the recheck, from every source.
        const planned = plans
          .filter((plan) => plan.repository === repository)
          .flatMap(({ orphans }) => orphans.flatMap(({ digest }) => built.idOf.get(digest) ?? []));
        const candidates = new Set([...view.candidates, ...planned]);
        const { orphans, seen } = judge(built, { ...view, candidates }, rules);
        if (!orphans.has(id)) {
          wrongs.push(`${String(id)} was deleted from ${repository}, and it is no orphan`);
        }
        for (const parent of parentsOf(built, id)) {
          if (seen.has(parent) && standing.has(parent)) {
            wrongs.push(`${String(id)} was to go while ${String(parent)} still held it`);
          }
        }
      }
    },
  };
}

/** Hits the k-th new method and path, of all or of the deletes, as often as the fault says. */
export function faultScript(
  faults: readonly Fault[],
): (request: SeenRequest) => Action | undefined {
  const seen: string[] = [];
  const times = new Map<string, number>();
  return (request) => {
    const key = `${request.method} ${request.path}`;
    if (!seen.includes(key)) {
      seen.push(key);
    }
    const place = {
      all: seen.indexOf(key) + 1,
      deletes: seen.filter((each) => each.startsWith('DELETE')).indexOf(key) + 1,
    };
    const fault = faults.find(({ at, among }) => at === place[among]);
    const before = times.get(key) ?? 0;
    times.set(key, before + 1);
    return fault === undefined || before >= fault.times ? undefined : actionOf(fault.kind, request);
  };
}

/** The digests that a run is told of, by repository. */
export function candidatesOf(estates: readonly Placed[]): Map<string, Built['candidates']> {
  return new Map(estates.map(({ repository, built }) => [repository, built.candidates]));
}
