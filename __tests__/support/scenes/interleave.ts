/**
 * Several runs against one registry, request by request: each request waits until the schedule lets it
 * through, and between any two of them a run may be killed or somebody may push. A killed run is one of whose
 * requests none reaches the registry any more: nothing else of a dead process can matter.
 */
import type { MemoryRegistry } from '../servers/memory/registry.js';
import type { Action, SeenRequest } from '../servers/memory/script.js';
import { run, type Ran, type RunOptions } from './run.js';

/** One step of a schedule. `pick` chooses among those who can take it. */
export type Step =
  | { readonly kind: 'start' }
  | { readonly kind: 'request'; readonly pick: number }
  /** all requests of a run up to where it turns to something else: from reading to writing, say */
  | { readonly kind: 'phase'; readonly pick: number }
  /** `before` or `after` its present request was carried out */
  | { readonly kind: 'kill'; readonly pick: number; readonly when: 'before' | 'after' }
  | { readonly kind: 'user'; readonly pick: number };

export interface Actor {
  readonly name: string;
  /** false once it was killed */
  alive: boolean;
  /** when its surveys are over and recorded, and its first sweep begins */
  swept: boolean;
  /** set when it has ended */
  ran?: Ran;
  waiting?: Waiting;
}

interface Waiting {
  readonly request: SeenRequest;
  readonly go: (action: Action | undefined) => void;
}

export interface Play {
  readonly registry: MemoryRegistry;
  readonly options: () => RunOptions;
  /** what others do, by number */
  readonly user: (pick: number) => void;
  /** called after each thing that happened; `request` was answered to `actor` */
  readonly after: (actor?: Actor, request?: SeenRequest) => void;
}

const PREFIX = 'run-';

/** What a run is about; `undefined` when it has ended. */
function phaseOf(waiting: Waiting | undefined): string | undefined {
  if (waiting === undefined) {
    return undefined;
  }
  const { method, route } = waiting.request;
  const isRead = method === 'GET' || method === 'HEAD';
  const where = 'repository' in route ? route.repository : '';
  return `${isRead ? 'reads' : method === 'DELETE' ? 'deletes' : 'writes'} ${where}`;
}

/** Plays the schedule, then lets the runs that still live finish, in turn. @returns all that were started */
export async function interleave(
  { registry, options, user, after }: Play,
  schedule: readonly Step[],
): Promise<Actor[]> {
  const actors: Actor[] = [];
  const ends: Promise<void>[] = [];
  let changed: () => void = () => undefined;

  registry.intercept(async (request) => {
    const actor = actors.find(({ name }) => name === request.headers['user-agent']);
    if (actor === undefined) {
      return undefined;
    }
    if (!actor.alive) {
      return { kind: 'reset' };
    }
    return new Promise<Action | undefined>((resolve) => {
      actor.waiting = { request, go: resolve };
      changed();
    });
  });

  const start = () => {
    const actor: Actor = { name: `${PREFIX}${String(actors.length)}`, alive: true, swept: false };
    actors.push(actor);
    ends.push(
      run({
        ...options(),
        userAgent: actor.name,
        concurrency: 1,
        onSweep: () => {
          actor.swept = true;
        },
      }).then((ran) => {
        actor.ran = ran;
        changed();
      }),
    );
  };

  /** Until every living run either waits for its turn or has ended. */
  const settled = async () => {
    const isBusy = ({ alive, ran, waiting }: Actor) =>
      alive && ran === undefined && waiting === undefined;
    while (actors.some(isBusy)) {
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };

  const ready = () => actors.filter(({ alive, waiting }) => alive && waiting !== undefined);

  /** Lets a request through; what the registry did is done when `after` is called. */
  const release = async (actor: Actor, action: 'pass' | 'lose' | 'reset') => {
    const { waiting } = actor;
    if (waiting === undefined) {
      return;
    }
    delete actor.waiting;
    if (action === 'pass') {
      await new Promise<void>((resolve) => {
        waiting.go({ kind: 'pass', after: resolve });
      });
      after(actor, waiting.request);
      return;
    }
    actor.alive = false;
    waiting.go({ kind: action });
    // Carried out by the time that the next request is looked at: the server does it at once.
    await new Promise((resolve) => setImmediate(resolve));
    after();
  };

  const take = async (step: Step): Promise<void> => {
    if (step.kind === 'start') {
      start();
    } else if (step.kind === 'user') {
      user(step.pick);
      after();
    } else {
      const able = ready();
      const actor = able[step.pick % Math.max(1, able.length)];
      if (actor !== undefined && step.kind === 'phase') {
        const phase = phaseOf(actor.waiting);
        while (actor.waiting !== undefined && phaseOf(actor.waiting) === phase) {
          await release(actor, 'pass');
          await settled();
        }
      } else if (actor !== undefined) {
        const fate = step.kind !== 'kill' ? 'pass' : step.when === 'after' ? 'lose' : 'reset';
        await release(actor, fate);
      }
    }
  };

  for (const step of schedule) {
    await settled();
    await take(step);
  }
  for (;;) {
    await settled();
    const [next] = ready();
    if (next === undefined) {
      break;
    }
    await release(next, 'pass');
  }
  await Promise.all(ends);
  registry.intercept();
  return actors;
}
