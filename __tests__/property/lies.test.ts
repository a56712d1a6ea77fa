/**
 * The rule evidence for a registry, or something before it, whose answers about tags are not true: the HEAD of any tag may
 * name another manifest, none, or say that there is none, and any read of a tag or of the list of tags may be an old
 * answer that says so. With a ledger, since without one no tag is asked for with HEAD.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import { isDigest } from '../../src/oci/digest.js';
import { LEDGER } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action, SeenRequest } from '../support/servers/memory/script.js';
import { repositoryOf } from '../support/servers/memory/state.js';
import { builtEstates, changes, runs, type Timed } from '../support/builders/arbitraries.js';
import { change, type Built } from '../support/builders/random-estate.js';
import { run, type Ran, type RunOptions } from '../support/scenes/run.js';
import { candidatesOf, play, setUp, type Play } from '../support/scenes/stage.js';
import { silence } from '../support/scenes/captured-output.js';
import { digestsWith } from '../../src/plan/fate.js';

jest.setTimeout(3_600_000);
silence();

const NAME = 'team/app';
/** The model knows neither of grace periods for what the ledger remembers nor of subjects that once lived here. */
const RULES = { danglingReferrers: 'delete', spareYoung: false, referrersApi: false } as const;

let plain: MemoryRegistry;
let undigested: MemoryRegistry;

beforeAll(async () => {
  plain = await startMemoryRegistry();
  undigested = await startMemoryRegistry({ digestHeader: false });
});

afterAll(() => Promise.all([plain.stop(), undigested.stop()]));

interface Case {
  readonly built: Built;
  /** between the run that remembers and the one that is lied to */
  readonly before: readonly Timed[];
  /** during that one */
  readonly during: readonly Timed[];
  readonly concurrency: number;
}

const cases: fc.Arbitrary<Case> = builtEstates(10).chain((built) =>
  fc.record({
    built: fc.constant(built),
    before: changes(built, 1),
    during: fc.oneof(fc.constant([]), changes(built, 30)),
    concurrency: fc.constantFrom(1, 3),
  }),
);

/** One run that remembers what is there, and one after the changes, during which `lie` is asked about each request. */
async function lied(
  server: MemoryRegistry,
  { built, before, during, concurrency }: Case,
  lie: (request: SeenRequest) => Action | undefined,
): Promise<{ readonly ran: Ran; readonly stage: Play }> {
  const placed = [{ repository: NAME, built }];
  setUp(server, placed);
  const options: RunOptions = {
    url: server.url,
    repositories: [NAME],
    candidates: candidatesOf(placed),
    danglingReferrers: RULES.danglingReferrers,
    gracePeriod: 0,
    ledgerRepository: LEDGER,
    concurrency,
  };
  expect((await run(options)).complaints).toEqual([]);
  before.forEach((each) => {
    change(server.state, NAME, built, each.change);
  });
  const stage = play(server, placed, RULES, { changes: during, act: lie, ledger: LEDGER });
  const ran = await run({ ...options, onSweep: stage.onSweep });
  stage.end(ran.plans);
  return { ran, stage };
}

/** What a run says that it deleted, and is there. */
function toldFalsely({ built }: Case, { ran, stage }: { ran: Ran; stage: Play }) {
  const { present } = stage.now(NAME);
  const told = ran.run?.repositories.flatMap(({ fates }) => digestsWith(fates, 'deleted', 'gone'));
  return told?.filter((digest) => present.has(built.idOf.get(digest) ?? -1));
}

const tagOf = ({ route }: SeenRequest): string | undefined =>
  route.kind === 'manifest' && route.repository === NAME && !isDigest(route.reference)
    ? route.reference
    : undefined;

describe('a run with a ledger', () => {
  it('evidence: loses nothing by HEADs of tags that lie, and is green only if its orphans are deleted', async () => {
    const lies = fc.array(
      fc.record({
        /** the n-th HEAD of a tag */
        at: fc.integer({ min: 1, max: 20 }),
        times: fc.constantFrom(1, 100),
        what: fc.oneof(fc.constantFrom('absent', 'silent' as const), fc.nat({ max: 9 })),
      }),
      { minLength: 1, maxLength: 4 },
    );
    let told = 0;
    await fc.assert(
      fc.asyncProperty(cases, lies, fc.boolean(), async (each, all, isDigested) => {
        const server = isDigested ? plain : undigested;
        let heads = 0;
        const lie = (request: SeenRequest): Action | undefined => {
          if (request.method !== 'HEAD' || tagOf(request) === undefined) {
            return undefined;
          }
          heads += 1;
          const found = all.find(({ at, times }) => heads >= at && heads < at + times);
          if (found === undefined) {
            return undefined;
          }
          told += 1;
          const { what } = found;
          if (what === 'absent') {
            return { kind: 'answer', status: 404 };
          }
          const digests = [...repositoryOf(server.state, NAME).manifests.keys()];
          const other = what === 'silent' ? undefined : digests[what % digests.length];
          return {
            kind: 'rewrite',
            rewrite: ({ headers, ...own }) => {
              const { 'Docker-Content-Digest': _, ...rest } = headers;
              return {
                ...own,
                headers: other === undefined ? rest : { ...rest, 'Docker-Content-Digest': other },
              };
            },
          };
        };
        const end = await lied(server, each, lie);
        expect(end.stage.wrongs).toEqual([]);
        expect(toldFalsely(each, end)).toEqual([]);
        // The orphans of the run are gone, or came into use and are reported so.
        const left = (end.ran.run?.repositories ?? []).flatMap(({ plan, fates }) => {
          const kept = new Set(digestsWith(fates, 'kept'));
          return plan.orphans
            .map(({ digest }) => digest)
            .filter((digest) => !kept.has(digest))
            .filter((digest) => end.stage.now(NAME).present.has(each.built.idOf.get(digest) ?? -1));
        });
        expect(end.ran.green ? left : []).toEqual([]);
      }),
      runs(75),
    );
    expect(told).toBeGreaterThan(20);
  });

  it('evidence: loses nothing by old answers that say so, and is red for each', async () => {
    const old = fc.record({
      at: fc.integer({ min: 1, max: 25 }),
      times: fc.constantFrom(1, 2, 100),
      says: fc.constantFrom<Record<string, string>>(
        { Age: '30' },
        { 'X-Cache': 'HIT' },
        { 'CF-Cache-Status': 'HIT' },
      ),
    });
    let told = 0;
    await fc.assert(
      fc.asyncProperty(cases, old, async (each, { at, times, says }) => {
        const server = plain;
        const placed = [{ repository: NAME, built: each.built }];
        setUp(server, placed);
        const { tags, manifests } = repositoryOf(server.state, NAME);
        // Answers that a cache may still have.
        const yesterday = {
          tags: new Map(tags),
          bodies: new Map<string, Extract<Action, { kind: 'answer' }>>(
            [...manifests].map(([digest, { mediaType, bytes }]) => [
              digest,
              {
                kind: 'answer',
                status: 200,
                headers: { 'Content-Type': mediaType, 'Docker-Content-Digest': digest },
                body: bytes,
              },
            ]),
          ),
        };
        let reads = 0;
        let served = 0;
        const lie = (request: SeenRequest): Action | undefined => {
          const { route, method } = request;
          const tag = tagOf(request);
          const isList = route.kind === 'tags' && route.repository === NAME;
          if (!['GET', 'HEAD'].includes(method) || (tag === undefined && !isList)) {
            return undefined;
          }
          reads += 1;
          if (reads < at || reads >= at + times) {
            return undefined;
          }
          const body = yesterday.bodies.get(yesterday.tags.get(tag ?? '') ?? '');
          if (!isList && body === undefined) {
            return undefined;
          }
          served += 1;
          const headers = { 'Content-Type': 'application/json', ...says };
          const tags = JSON.stringify({ name: NAME, tags: [...yesterday.tags.keys()] });
          return isList
            ? { kind: 'answer', status: 200, headers, body: tags }
            : body && { ...body, headers: { ...body.headers, ...says } };
        };
        const end = await lied(server, each, lie);
        told += served;
        expect(end.stage.wrongs).toEqual([]);
        expect(toldFalsely(each, end)).toEqual([]);
        expect(served > 0 && end.ran.green).toBe(false);
      }),
      runs(75),
    );
    expect(told).toBeGreaterThan(20);
  });
});
