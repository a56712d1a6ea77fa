/**
 * The rules of a whole run, over HTTP: random estates in a registry that pushes, moved tags and faults change
 * under the program's hands. The model judges each DELETE at the moment when it arrives.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { builtEstates, changes, runs } from '../support/builders/arbitraries.js';
import { GRACE, type Built, type Id } from '../support/builders/random-estate.js';
import { deleteFaults, faults, KINDS, LIES, PASSING } from '../support/scenes/faults.js';
import { judge, type Rules } from '../support/scenes/model.js';
import { run, type Ran, type RunOptions } from '../support/scenes/run.js';
import {
  candidatesOf,
  faultScript,
  play,
  setUp,
  type Placed,
  type Play,
  type Script,
} from '../support/scenes/stage.js';
import { silence } from '../support/scenes/captured-output.js';
import { digestsWith } from '../../src/plan/fate.js';

jest.setTimeout(3_600_000);
silence();

const NAME = 'team/app';

interface Setting {
  readonly danglingReferrers: 'keep' | 'delete';
  readonly gracePeriod: number;
  readonly concurrency: number;
  readonly server: keyof typeof OPTIONS;
}

const OPTIONS = {
  plain: {},
  referrers: { referrersApi: true, tagPageSize: 2 },
  undigested: { digestHeader: false },
  // Tokens that wear out after a few requests, so that they expire in the middle of everything.
  token: { auth: { kind: 'token', username: 'me', password: 'secret-word', maxUses: 12 } },
} as const;

const settings: fc.Arbitrary<Setting> = fc.record({
  danglingReferrers: fc.constantFrom('keep', 'delete'),
  gracePeriod: fc.constantFrom(0, GRACE),
  concurrency: fc.constantFrom(1, 3),
  server: fc.constantFrom('plain', 'referrers', 'undigested', 'token'),
});

const servers = new Map<string, MemoryRegistry>();

beforeAll(async () => {
  for (const [name, options] of Object.entries(OPTIONS)) {
    servers.set(name, await startMemoryRegistry(options));
  }
});

afterAll(async () => {
  await Promise.all([...servers.values()].map((server) => server.stop()));
});

function serverOf({ server }: Setting): MemoryRegistry {
  const found = servers.get(server);
  if (found === undefined) {
    throw new Error(`no server ${server}`);
  }
  return found;
}

function rulesOf({ danglingReferrers, gracePeriod, server }: Setting): Rules {
  return { danglingReferrers, spareYoung: gracePeriod > 0, referrersApi: server === 'referrers' };
}

function optionsOf(
  setting: Setting,
  placed: readonly Placed[],
  more: Partial<RunOptions>,
): RunOptions {
  const { danglingReferrers, gracePeriod, concurrency, server } = setting;
  return {
    url: serverOf(setting).url,
    repositories: placed.map(({ repository }) => repository),
    candidates: candidatesOf(placed),
    danglingReferrers,
    gracePeriod,
    concurrency,
    ...(server === 'token'
      ? { credentials: { kind: 'basic', username: 'me', password: 'secret-word' } as const }
      : {}),
    ...more,
  };
}

/** Sets the estate up unless it goes on from what the last run left, and runs once. */
async function act(
  built: Built,
  setting: Setting,
  script: Script = {},
  goOn = false,
  dryRun = false,
): Promise<{
  readonly ran: Ran;
  readonly stage: Play;
  readonly orphans: readonly Id[];
  readonly kept: ReadonlySet<Id>;
  readonly seen: ReadonlySet<Id>;
}> {
  const server = serverOf(setting);
  const placed = [{ repository: NAME, built }];
  if (!goOn) {
    setUp(server, placed);
  }
  server.requests.length = 0;
  const stage = play(server, placed, rulesOf(setting), script);
  const ran = await run(optionsOf(setting, placed, { onSweep: stage.onSweep, dryRun }));
  stage.end(ran.plans);
  const { orphans, kept, seen } = judge(built, stage.view(NAME), rulesOf(setting));
  return { ran, stage, kept, seen, orphans: [...orphans].sort((a, b) => a - b) };
}

/** The orphans of a run's plan. */
function numbersIn(built: Built, { plans }: Ran): Id[] {
  return plans
    .flatMap(({ orphans }) => orphans)
    .map(({ digest }) => built.idOf.get(digest) ?? -1)
    .sort((a, b) => a - b);
}

describe('a run over HTTP', () => {
  it('in-use-stays, second-run-empty: deletes exactly the orphans, and leaves a second run none', async () => {
    await fc.assert(
      fc.asyncProperty(builtEstates(12), settings, async (built, setting) => {
        const first = await act(built, setting);
        expect(first.ran.complaints).toEqual([]);
        expect(first.stage.wrongs).toEqual([]);
        expect(first.stage.deleted(NAME)).toEqual(first.orphans);
        const second = await act(built, setting, {}, true);
        expect(second.ran.green).toBe(true);
        // An orphan index may have been all that showed a kept manifest of an unknown type, and so what
        // that one protects: a client can't know of it any more.
        const isInSight = [...first.kept].every((id) => second.seen.has(id));
        expect(numbersIn(built, second.ran)).toEqual(isInSight ? [] : second.orphans);
        expect(second.stage.askedToDelete.size === 0 || !isInSight).toBe(true);
      }),
      runs(45),
    );
  });

  it('in-use-stays: deletes nothing that a push or a moved tag has brought back by the recheck', async () => {
    const cases = builtEstates(12).chain((built) =>
      fc.tuple(fc.constant(built), changes(built, 40), settings),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([built, script, setting]) => {
        const { ran, stage } = await act(built, setting, { changes: script });
        expect(stage.wrongs).toEqual([]);
        // A moved digest tag may put a new orphan before an old one: then the old one stays for the next
        // run, and the job is red. Nothing else is wrong with a registry that changes.
        expect(ran.complaints.filter((each) => !each.includes('has to go before it'))).toEqual([]);
        const next = await act(built, setting, {}, true);
        expect(next.ran.complaints).toEqual([]);
        expect(next.stage.deleted(NAME)).toEqual(next.orphans);
      }),
      runs(45),
    );
  });

  it('in-use-stays, red-or-right: is right or red through all faults', async () => {
    const cases = builtEstates(10).chain((built) =>
      fc.tuple(fc.constant(built), changes(built, 30), faults(KINDS, [1, 2, 3, 100]), settings),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([built, moves, broken, setting]) => {
        const script = {
          changes: moves,
          // Without a digest header nothing tells that other bytes came for a tag.
          faults: broken.filter(
            ({ kind }) => kind !== 'wrong-body' || setting.server !== 'undigested',
          ),
        };
        const { ran, stage, orphans } = await act(built, setting, script);
        expect(stage.wrongs).toEqual([]);
        const isDue = ran.green && moves.length === 0;
        expect(isDue ? stage.deleted(NAME) : orphans).toEqual(orphans);
      }),
      runs(75),
    );
  });

  it('cut-anywhere, red-or-right: sends failing and slow deletes in order, and takes none for done', async () => {
    await fc.assert(
      fc.asyncProperty(
        builtEstates(10),
        deleteFaults(KINDS),
        settings,
        async (built, broken, setting) => {
          const hit = faultScript(broken);
          const { ran, stage, orphans } = await act(built, setting, {
            act: (request) =>
              hit(request) ??
              (request.method === 'DELETE' ? { kind: 'pass', delay: 2 } : undefined),
          });
          expect(stage.wrongs).toEqual([]);
          expect(ran.green ? stage.deleted(NAME) : orphans).toEqual(orphans);
        },
      ),
      runs(60),
    );
  });

  it('evidence: loses nothing by deletes that lie, and is not green', async () => {
    const cases = builtEstates(10).chain((built) =>
      fc.tuple(
        fc.constant(built),
        fc.oneof(fc.constant([]), changes(built, 30)),
        deleteFaults(LIES),
        faults(PASSING, [1]),
        settings,
      ),
    );
    await fc.assert(
      fc.asyncProperty(cases, async ([built, moves, lies, others, setting]) => {
        const script = { changes: moves, faults: [...lies, ...others] };
        const { ran, stage, orphans } = await act(built, setting, script);
        expect(stage.wrongs).toEqual([]);
        const isDue = ran.green && moves.length === 0;
        expect(isDue ? stage.deleted(NAME) : orphans).toEqual(orphans);
        // Manifests that are reported as deleted are gone.
        const told = ran.run?.repositories.flatMap(({ fates }) =>
          digestsWith(fates, 'deleted', 'gone'),
        );
        const { present } = stage.now(NAME);
        expect(told?.filter((digest) => present.has(built.idOf.get(digest) ?? -1))).toEqual([]);
      }),
      runs(75),
    );
  });

  it('red-or-right: has the same result with faults that pass', async () => {
    await fc.assert(
      fc.asyncProperty(
        builtEstates(10),
        faults(PASSING, [1]),
        settings,
        async (built, broken, setting) => {
          const { ran, stage, orphans } = await act(built, setting, { faults: broken });
          expect(stage.wrongs).toEqual([]);
          expect(ran.complaints).toEqual([]);
          expect(stage.deleted(NAME)).toEqual(orphans);
        },
      ),
      runs(35),
    );
  });

  it.each(['survey', 'recheck'] as const)(
    'red-or-right: loses nothing by a list of tags that lags at the %s',
    async (reading) => {
      await fc.assert(
        fc.asyncProperty(
          builtEstates(12),
          settings,
          fc.nat(0xffff),
          async (built, setting, mask) => {
            const hidden = (tag: string) =>
              ((mask >> (Buffer.from(tag).reduce((sum, byte) => sum + byte, 0) % 16)) & 1) === 1;
            let sweeping = false;
            const script: Script = {
              act: ({ route }) =>
                route.kind === 'tags' && sweeping === (reading === 'recheck')
                  ? { kind: 'rewrite', rewrite: (own) => withoutTags(own, hidden) }
                  : undefined,
            };
            const server = serverOf(setting);
            const placed = [{ repository: NAME, built }];
            setUp(server, placed);
            const stage = play(server, placed, rulesOf(setting), script);
            const ran = await run(
              optionsOf(setting, placed, {
                onSweep: () => {
                  stage.onSweep();
                  sweeping = true;
                },
              }),
            );
            stage.end(ran.plans);
            expect(stage.wrongs).toEqual([]);
          },
        ),
        runs(20),
      );
    },
  );

  it('dry-run-reads: plans the same as a dry-run, which sends GET, HEAD and token requests only', async () => {
    await fc.assert(
      fc.asyncProperty(builtEstates(10), settings, async (built, setting) => {
        const { ran, orphans } = await act(built, setting, {}, false, true);
        expect(numbersIn(built, ran)).toEqual(orphans);
        const odd = serverOf(setting).requests.filter(
          ({ method, path }) =>
            !['GET', 'HEAD'].includes(method) && !(method === 'POST' && path.startsWith('/token')),
        );
        expect(odd).toEqual([]);
      }),
      runs(20),
    );
  });
});

interface Listing {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

function withoutTags(own: Listing, hidden: (tag: string) => boolean): Listing {
  const body: unknown = JSON.parse(own.body.toString('utf8'));
  const tags: unknown =
    typeof body === 'object' && body !== null ? Reflect.get(body, 'tags') : null;
  if (!Array.isArray(tags)) {
    return own;
  }
  const left = tags.filter((tag: unknown) => typeof tag === 'string' && !hidden(tag));
  return { ...own, body: Buffer.from(JSON.stringify({ name: NAME, tags: left })) };
}
