/**
 * The rules gap-blocks and cut-anywhere over HTTP, with two repositories: a gap keeps its repository whole and not the
 * other one, and a registry that stops answering, at any request, leaves every tag pullable.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action, SeenRequest } from '../support/servers/memory/script.js';
import { builtEstates, estates, runs, shown } from '../support/builders/arbitraries.js';
import { GRACE, type Built } from '../support/builders/random-estate.js';
import { actionOf, type FaultKind } from '../support/scenes/faults.js';
import { judge, type Rules } from '../support/scenes/model.js';
import { run, type Ran } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';
import { candidatesOf, play, setUp, type Placed, type Play } from '../support/scenes/stage.js';

jest.setTimeout(3_600_000);
silence();

const FAULTY = 'team/faulty';
const SOUND = 'team/sound';
const LOGIN = { kind: 'basic', username: 'me', password: 'secret-word' } as const;

let plain: MemoryRegistry;
let withReferrers: MemoryRegistry;
let withTokens: MemoryRegistry;

beforeAll(async () => {
  plain = await startMemoryRegistry();
  withReferrers = await startMemoryRegistry({ referrersApi: true, tagPageSize: 1 });
  withTokens = await startMemoryRegistry({ auth: { ...LOGIN, kind: 'token' } });
});

afterAll(async () => {
  await Promise.all([plain, withReferrers, withTokens].map((server) => server.stop()));
});

interface Case {
  readonly server: MemoryRegistry;
  readonly placed: readonly Placed[];
  readonly concurrency: number;
}

async function act(
  { server, placed, concurrency }: Case,
  script: (request: SeenRequest, n: number, isSweeping: boolean) => Action | undefined,
): Promise<{ ran: Ran; stage: Play; orphans: (repository: string) => readonly number[] }> {
  const rules: Rules = {
    danglingReferrers: 'keep',
    spareYoung: true,
    referrersApi: server === withReferrers,
  };
  setUp(server, placed);
  let isSweeping = false;
  const stage = play(server, placed, rules, {
    act: (request, n) => script(request, n, isSweeping),
  });
  const ran = await run({
    url: server.url,
    candidates: candidatesOf(placed),
    repositories: placed.map(({ repository }) => repository),
    gracePeriod: GRACE,
    concurrency,
    credentials: server === withTokens ? LOGIN : { kind: 'none' },
    onSweep: () => {
      isSweeping = true;
      stage.onSweep();
    },
  });
  stage.end(ran.plans);
  return {
    ran,
    stage,
    orphans: (repository) => {
      const built = placed.find((each) => each.repository === repository)?.built;
      const found = built === undefined ? [] : judge(built, stage.view(repository), rules).orphans;
      return [...found].sort((a, b) => a - b);
    },
  };
}

const pairs = (size: number): fc.Arbitrary<readonly Placed[]> =>
  fc.tuple(builtEstates(size), builtEstates(size)).map(([faulty, sound]) => [
    { repository: FAULTY, built: faulty },
    { repository: SOUND, built: sound },
  ]);

/** Any answer but the one asked for. A repository's first question for referrers is another matter: it
 *  asks whether there is such an API, and "no" is an answer. */
const GAPS: readonly FaultKind[] = [
  'reset',
  'truncate',
  'html',
  'html-404',
  'plain-404',
  'empty-404',
  'wrong-body',
  401,
  403,
  429,
  500,
  502,
  503,
];

describe('a run with gaps', () => {
  it('gap-blocks: deletes nothing in a repository with a gap, and cleans the others', async () => {
    await fc.assert(
      fc.asyncProperty(
        pairs(8),
        fc.constantFrom(...GAPS),
        fc.oneof(fc.constant(0), fc.nat(12)),
        fc.boolean(),
        fc.constantFrom(1, 3),
        fc.boolean(),
        async (placed, kind, unlucky, passes, concurrency, api) => {
          // The unlucky resource is the n-th that is read of the faulty repository, by GET; 0 is its list
          // of tags. What passes is over when the sweep begins.
          const paths: string[] = [];
          const hits: string[] = [];
          let firstQuestion: string | undefined;
          const { ran, stage, orphans } = await act(
            { server: api ? withReferrers : plain, placed, concurrency },
            (request, _, isSweeping) => {
              const { route, method, path } = request;
              if (
                method !== 'GET' ||
                !('repository' in route) ||
                route.repository !== FAULTY ||
                (route.kind === 'referrers' && (!api || path === (firstQuestion ??= path)))
              ) {
                return undefined;
              }
              if (!paths.includes(path)) {
                paths.push(path);
              }
              if (paths.indexOf(path) !== unlucky || (passes && isSweeping)) {
                return undefined;
              }
              hits.push(path);
              return actionOf(kind, request);
            },
          );
          expect(stage.wrongs).toEqual([]);
          expect(stage.deleted(SOUND)).toEqual(orphans(SOUND));
          const hit = hits.length > 0;
          expect(ran.green).toBe(!hit);
          expect(stage.deleted(FAULTY)).toEqual(hit ? [] : orphans(FAULTY));
          expect(hit && stage.askedToDelete.has(FAULTY)).toBe(false);
        },
      ),
      runs(60),
    );
  });

  it('gap-blocks: has a gap only in the repository for which a token is refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        pairs(5),
        fc.constantFrom<FaultKind[]>(401, 403, 500, 'html', 'reset'),
        async (placed, kind) => {
          const { ran, stage, orphans } = await act(
            { server: withTokens, placed, concurrency: 2 },
            (request) =>
              request.route.kind === 'token' && request.path.includes(encodeURIComponent(FAULTY))
                ? actionOf(kind, request)
                : undefined,
          );
          expect(stage.wrongs).toEqual([]);
          expect(ran.green).toBe(false);
          expect([...stage.askedToDelete]).not.toContain(FAULTY);
          expect(stage.deleted(SOUND)).toEqual(orphans(SOUND));
        },
      ),
      runs(10),
    );
  });
});

describe('a run with a referrers API', () => {
  /** What a registry without the referrers API may answer, and anything before a registry that has it. */
  const NONE: readonly FaultKind[] = ['html', 'html-404', 'plain-404', 'empty-404'];

  /** Nobody names what is no image: most of the indexes that describe one are known to the API alone. */
  const hidden = (size: number): fc.Arbitrary<Built> =>
    estates(size).map((estate) =>
      shown({
        ...estate,
        nodes: estate.nodes.map((node) => ({ ...node, candidate: node.form === 'image' })),
      }),
    );

  it('in-use-stays: deletes nothing that only the API shows to be in use, where the API is denied to one survey', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(hidden(10), hidden(10)),
        fc.constantFrom(...NONE),
        fc.constantFrom('each survey', 'a sweep', 1),
        fc.constantFrom(1, 3),
        async ([faulty, sound], kind, denied, concurrency) => {
          const placed = [
            { repository: FAULTY, built: faulty },
            { repository: SOUND, built: sound },
          ];
          let questions = 0;
          let denials = 0;
          const { ran, stage, orphans } = await act(
            { server: withReferrers, placed, concurrency },
            (request, _, isSweeping) => {
              if (request.route.kind !== 'referrers') {
                return undefined;
              }
              questions += 1;
              const isDenied =
                denied === 'each survey'
                  ? !isSweeping
                  : denied === 'a sweep'
                    ? isSweeping
                    : questions === denied;
              denials += isDenied ? 1 : 0;
              return isDenied ? actionOf(kind, request) : undefined;
            },
          );
          expect(stage.wrongs).toEqual([]);
          for (const repository of [FAULTY, SOUND]) {
            const [goes, may] = [stage.deleted(repository), orphans(repository)];
            expect(goes.filter((id) => !may.includes(id))).toEqual([]);
          }
          // Whoever has heard of the API does not believe later that there is none.
          expect(ran.green && denied === 'a sweep' && denials > 0).toBe(false);
        },
      ),
      runs(30),
    );
  });
});

describe('a run that is cut off after any request', () => {
  it('cut-anywhere: leaves every tag pullable', async () => {
    await fc.assert(
      fc.asyncProperty(
        pairs(6),
        fc.constantFrom(1, 3),
        fc.boolean(),
        async (placed, concurrency, api) => {
          const server = api ? withReferrers : plain;
          const whole = await act({ server, placed, concurrency }, () => undefined);
          expect(whole.ran.green).toBe(true);
          for (let last = 0; last < whole.stage.count(); last += 1) {
            // With 'done', the request after the last answer is carried out, and nobody hears of it.
            const { ran, stage } = await act({ server, placed, concurrency }, (_, n) =>
              n <= last
                ? undefined
                : n === last + 1 && last % 2 === 0
                  ? doneUnheard()
                  : { kind: 'reset' },
            );
            expect({ last, wrongs: stage.wrongs, green: ran.green }).toEqual({
              last,
              wrongs: [],
              green: false,
            });
          }
        },
      ),
      runs(5),
    );
  });
});

function doneUnheard(): Action {
  return { kind: 'rewrite', rewrite: () => ({ status: 504, headers: {}, body: Buffer.alloc(0) }) };
}
