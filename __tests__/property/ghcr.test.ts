/**
 * The rules of a whole run on GHCR, simulated: random packages, pushes, moved tags and faults on both of its faces, lists
 * that lag and pages that shift. All that is assumed of the real one is drawn at random. The model judges each DELETE at
 * the moment when it arrives.
 */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import { digestsWith } from '../../src/plan/fate.js';
import { image } from '../support/builders/build.js';
import { builtEstates, changes, runs } from '../support/builders/arbitraries.js';
import { GRACE, type Built, type Id } from '../support/builders/random-estate.js';
import { seed } from '../support/clients/push.js';
import { silence } from '../support/scenes/captured-output.js';
import {
  actionOf,
  deleteFaults,
  faults,
  KINDS,
  LIES,
  PASSING_AT_GITHUB,
  type FaultKind,
} from '../support/scenes/faults.js';
import {
  CALM,
  startGhcrStage,
  weathers,
  type GhcrStage,
  type Weather,
} from '../support/scenes/ghcr-stage.js';
import { judge, type Rules } from '../support/scenes/model.js';
import { run, type Ran } from '../support/scenes/run.js';
import { play, type Play, type Script } from '../support/scenes/stage.js';
import { repositoryOf } from '../support/servers/memory/state.js';

jest.setTimeout(3_600_000);
silence();

const NAME = 'acme/app';
const ALL_KINDS: readonly FaultKind[] = [...KINDS, 'secondary', 'secondary-unsaid'];

interface Setting {
  readonly danglingReferrers: 'keep' | 'delete';
  readonly gracePeriod: number;
  readonly unusedFor: number;
  readonly concurrency: number;
  readonly weather: Weather;
}

const settings: fc.Arbitrary<Setting> = fc.record({
  danglingReferrers: fc.constantFrom('keep', 'delete'),
  gracePeriod: fc.constantFrom(0, GRACE),
  unusedFor: fc.constantFrom(0, GRACE),
  concurrency: fc.constantFrom(1, 3),
  weather: fc.oneof(fc.constant(CALM), weathers),
});

function rulesOf({ danglingReferrers, gracePeriod, unusedFor }: Setting): Rules {
  return { danglingReferrers, spareYoung: gracePeriod > 0, unusedFor, referrersApi: false };
}

const open: GhcrStage[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map(({ ghcr }) => ghcr.stop()));
});

interface Acted {
  readonly ran: Ran;
  readonly stage: Play;
  /** what the model takes for orphans at the second look, or in the end if there was none */
  readonly orphans: readonly Id[];
}

/** A package of its own, in which runs follow each other. */
async function withPackage<T>(
  built: Built,
  setting: Setting,
  work: (
    act: (script?: Script, dryRun?: boolean) => Promise<Acted>,
    stage: GhcrStage,
  ) => Promise<T>,
): Promise<T> {
  const placed = [{ repository: NAME, built }];
  const { danglingReferrers, gracePeriod, unusedFor, concurrency, weather } = setting;
  const theatre = await startGhcrStage(weather, placed);
  open.push(theatre);
  const act = async (script: Script = {}, dryRun = false): Promise<Acted> => {
    const stage = play(theatre, placed, rulesOf(setting), script);
    const ran = await run({
      ...theatre.options,
      repositories: [NAME],
      candidates: new Map(),
      danglingReferrers,
      gracePeriod,
      unusedFor,
      concurrency,
      onSweep: stage.onSweep,
      dryRun,
    });
    stage.end(ran.plans);
    const { orphans } = judge(built, stage.view(NAME), rulesOf(setting));
    return { ran, stage, orphans: [...orphans].sort((a, b) => a - b) };
  };
  try {
    return await work(act, theatre);
  } finally {
    open.splice(open.indexOf(theatre), 1);
    await theatre.ghcr.stop();
  }
}

/** The orphans of a run's plan. */
function numbersIn(built: Built, { plans }: Ran): Id[] {
  return plans
    .flatMap(({ orphans }) => orphans)
    .map(({ digest }) => built.idOf.get(digest) ?? -1)
    .sort((a, b) => a - b);
}

describe('a run on GHCR', () => {
  it('in-use-stays, second-run-empty: deletes exactly the orphans, and leaves a second run none', async () => {
    await fc.assert(
      fc.asyncProperty(builtEstates(12), settings, (built, setting) =>
        withPackage(built, setting, async (act) => {
          const first = await act();
          expect(first.ran.complaints).toEqual([]);
          expect(first.stage.wrongs).toEqual([]);
          expect(first.stage.deleted(NAME)).toEqual(first.orphans);
          const second = await act();
          expect(second.ran.complaints).toEqual([]);
          expect(numbersIn(built, second.ran)).toEqual([]);
          expect(second.stage.askedToDelete.size).toBe(0);
        }),
      ),
      runs(30),
    );
  });

  it('in-use-stays: deletes nothing that a push or a moved tag has brought back by the recheck', async () => {
    const cases = builtEstates(12).chain((built) =>
      fc.tuple(fc.constant(built), changes(built, 30), settings),
    );
    await fc.assert(
      fc.asyncProperty(cases, ([built, script, setting]) =>
        withPackage(built, setting, async (act) => {
          const { stage } = await act({ changes: script });
          expect(stage.wrongs).toEqual([]);
        }),
      ),
      runs(30),
    );
  });

  it('in-use-stays, red-or-right: misses no version where pages shift while they are read', async () => {
    const shifts = fc.array(
      fc.record({ page: fc.integer({ min: 1, max: 40 }), kind: fc.constantFrom('push', 'delete') }),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(
        builtEstates(12),
        settings,
        fc.constantFrom(2, 4),
        shifts,
        (built, setting, largestPage, script) => {
          const weather = { ...setting.weather, largestPage };
          return withPackage(built, { ...setting, weather }, async (act, { ghcr, state }) => {
            // What others push and delete meanwhile belongs to nothing else, and is the newest: all rows below it move.
            const others = Array.from({ length: 6 }, (_, n) => image(`other ${String(n)}`));
            const repository = repositoryOf(state, NAME);
            others.forEach((other, n) => {
              seed(state, NAME, other, `other-${String(n)}`);
            });
            ghcr.versions(NAME);
            let pages = 0;
            ghcr.onPage(() => {
              pages += 1;
              for (const { page, kind } of script) {
                if (page === pages && kind === 'push') {
                  const name = `pushed-${String(pages)}`;
                  seed(state, NAME, image(name), name);
                } else if (page === pages) {
                  repository.manifests.delete(others.pop()?.digest ?? '');
                  repository.tags.delete(`other-${String(others.length)}`);
                }
              }
            });
            const { ran, stage, orphans } = await act();
            expect(stage.wrongs).toEqual([]);
            expect(ran.green ? stage.deleted(NAME) : orphans).toEqual(orphans);
          });
        },
      ),
      runs(30),
    );
  });

  it('in-use-stays, red-or-right: is right or red through all faults', async () => {
    const cases = builtEstates(10).chain((built) =>
      fc.tuple(
        fc.constant(built),
        fc.oneof(fc.constant([]), changes(built, 30)),
        faults(ALL_KINDS, [1, 2, 3, 100]),
        settings,
      ),
    );
    await fc.assert(
      fc.asyncProperty(cases, ([built, moves, broken, setting]) =>
        withPackage(built, setting, async (act) => {
          const { ran, stage, orphans } = await act({ changes: moves, faults: broken });
          expect(stage.wrongs).toEqual([]);
          const isDue = ran.green && moves.length === 0;
          expect(isDue ? stage.deleted(NAME) : orphans).toEqual(orphans);
        }),
      ),
      runs(45),
    );
  });

  it('evidence, red-or-right: believes no DELETE that failed or lied', async () => {
    const cases = builtEstates(10).chain((built) =>
      fc.tuple(
        fc.constant(built),
        deleteFaults([...ALL_KINDS, ...LIES]),
        faults(PASSING_AT_GITHUB, [1]),
        settings,
      ),
    );
    await fc.assert(
      fc.asyncProperty(cases, ([built, lies, others, setting]) =>
        withPackage(built, setting, async (act) => {
          const { ran, stage, orphans } = await act({ faults: [...lies, ...others] });
          expect(stage.wrongs).toEqual([]);
          expect(ran.green ? stage.deleted(NAME) : orphans).toEqual(orphans);
          const told = ran.run?.repositories.flatMap(({ fates }) =>
            digestsWith(fates, 'deleted', 'gone'),
          );
          const { present } = stage.now(NAME);
          expect(told?.filter((digest) => present.has(built.idOf.get(digest) ?? -1))).toEqual([]);
        }),
      ),
      runs(45),
    );
  });

  it('red-or-right: has the same result with faults that pass, a 500 for a DELETE that worked among them', async () => {
    await fc.assert(
      fc.asyncProperty(
        builtEstates(10),
        faults(PASSING_AT_GITHUB, [1]),
        settings,
        (built, broken, setting) =>
          withPackage(built, setting, async (act) => {
            const { ran, stage, orphans } = await act({ faults: broken });
            expect(stage.wrongs).toEqual([]);
            expect(ran.complaints).toEqual([]);
            expect(stage.deleted(NAME)).toEqual(orphans);
          }),
      ),
      runs(30),
    );
  });

  it('gap-blocks: deletes nothing while a manifest or the list can not be read', async () => {
    const cases = builtEstates(10).chain((built) =>
      fc.tuple(
        fc.constant(built),
        fc.option(fc.nat(built.contents.length - 1), { nil: undefined }),
        fc.constantFrom<FaultKind>('html', 'wrong-body', 'reset', 500, 403, 'secondary-unsaid'),
        settings,
      ),
    );
    await fc.assert(
      fc.asyncProperty(cases, ([built, id, kind, setting]) =>
        withPackage(built, setting, async (act, theatre) => {
          const target = id === undefined ? undefined : built.contents[id]?.digest;
          const tags = theatre.state.repositories.get(NAME)?.tags ?? new Map<string, string>();
          const { ran, stage, orphans } = await act({
            act: (request) => {
              const { route, path } = request;
              const isList = target === undefined && path.includes('/versions?');
              const isIt =
                route.kind === 'manifest' &&
                target !== undefined &&
                [route.reference, tags.get(route.reference)].includes(target);
              return isList || isIt ? actionOf(kind, request) : undefined;
            },
          });
          const isThere = id === undefined || stage.now(NAME).present.has(id);
          expect(stage.wrongs).toEqual([]);
          expect(isThere ? stage.askedToDelete.size : 0).toBe(0);
          expect(isThere && orphans.length > 0 ? ran.green : false).toBe(false);
        }),
      ),
      runs(25),
    );
  });

  it('dry-run-reads, order-free: plans the same by a dry-run, which only reads, in any order of the lists', async () => {
    await fc.assert(
      fc.asyncProperty(builtEstates(10), settings, (built, setting) =>
        withPackage(built, setting, async (act, { ghcr }) => {
          const { ran, orphans } = await act({}, true);
          expect(numbersIn(built, ran)).toEqual(orphans);
          const methods = [...ghcr.requests, ...ghcr.apiRequests].map(({ method }) => method);
          expect(methods.filter((method) => !['GET', 'HEAD'].includes(method))).toEqual([]);
        }),
      ),
      runs(20),
    );
  });
});
