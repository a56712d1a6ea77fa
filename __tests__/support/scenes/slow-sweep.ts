/** A sweep that takes its time, on a fake clock: so there are later rechecks. */
import { fakeClock, type FakeClock } from '../scenes/fake-clock.js';
import { image, type Content } from '../builders/build.js';
import type { Action, Interceptor } from '../servers/memory/script.js';
import { NOW } from '../builders/inventories.js';
import { digests, startScene, type Looking, type Scene } from './survey.js';
import { current, old, carryOut } from '../scenes/sweeping.js';

export const SECOND = 1_000;
export const orphans = Array.from({ length: 5 }, (_, n) => image(`orphan ${String(n)}`)).sort(
  (a, b) => (a.digest < b.digest ? -1 : 1),
);
export const [first = old, second = old, third = old] = orphans;

export interface Times {
  /** milliseconds that a look takes, and a delete */
  readonly look?: number;
  readonly deleting?: number;
  /** called when the nth look begins, from 1 */
  readonly onLook?: (n: number, scene: Scene) => Action | undefined;
  /** called when the nth delete was carried out, from 1 */
  readonly onDeleted?: (n: number, scene: Scene) => void;
  readonly answer?: (digest: string) => Action | undefined;
  /** sees what is neither the beginning of a look nor a delete */
  readonly others?: Interceptor;
}

export interface Slow {
  readonly scene: Scene;
  readonly clock: FakeClock;
  readonly run: (more?: Partial<Looking>) => ReturnType<typeof carryOut>;
}

/** A registry that takes its time, on a fake clock. One request at a time, so that the order is certain. */
export async function slow(times: Times, ...contents: readonly Content[]): Promise<Slow> {
  const scene = await startScene();
  scene.put(current, 'v1');
  contents.forEach((content) => {
    scene.put(content);
  });
  const clock = fakeClock({ auto: true }, NOW);
  const survey = await scene.look(contents);
  scene.registry.requests.length = 0;
  script(scene, clock, times);
  const run = (more: Partial<Looking> = {}) =>
    carryOut(survey, digests(contents), scene.options({ concurrency: 1, clock, ...more }));
  return { scene, clock, run };
}

export function script(scene: Scene, clock: FakeClock, times: Times): void {
  const { look = 0, deleting = 0, onLook, onDeleted, answer, others } = times;
  let looks = 0;
  let deleted = 0;
  scene.registry.intercept((request) => {
    const { method, path: where } = request;
    if (where.includes('/tags/list')) {
      looks += 1;
      void clock.advance(look);
      return onLook?.(looks, scene);
    }
    if (method !== 'DELETE') {
      return others?.(request);
    }
    void clock.advance(deleting);
    return (
      answer?.(where.split('/').at(-1) ?? '') ?? {
        kind: 'pass',
        after: () => {
          deleted += 1;
          onDeleted?.(deleted, scene);
        },
      }
    );
  });
}

/** The looks, the last of which is the proof, and the deletes: `look`, or a digest. */
export function steps({ registry }: Scene): string[] {
  return registry.requests.flatMap(({ method, path: where }) => {
    if (where.includes('/tags/list')) {
      return ['look'];
    }
    return method === 'DELETE' ? [where.split('/').at(-1) ?? ''] : [];
  });
}

export const [a = '', b = '', c = '', d = '', e = ''] = digests(orphans);
