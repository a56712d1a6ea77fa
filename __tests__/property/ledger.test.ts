/**
 * The ledger under everything that can happen to it: runs that read and write it at once, request by request,
 * are killed between any two of them, while others push, untag and delete. What a run has recorded and what
 * is still there is never forgotten; and the next quiet run finds every orphan that any run has seen.
 */
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import type { Digest } from '../../src/oci/digest.js';
import { image, index, referrer, type Content } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { SeenRequest } from '../support/servers/memory/script.js';
import { repositoryOf } from '../support/servers/memory/state.js';
import { seed } from '../support/clients/push.js';
import { runs } from '../support/builders/arbitraries.js';
import { NOW } from '../support/builders/inventories.js';
import { interleave, type Actor, type Step } from '../support/scenes/interleave.js';
import { run, type RunOptions } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';

jest.setTimeout(3_600_000);
silence();

const APP = 'team/app';
const LEDGER = 'manifest-cleanup-ledger';
const MINUTE = 60_000;

const [one, two, three, shared] = [image('one'), image('two'), image('three'), image('shared')];
const sbom = referrer('sbom', one);
const CONTENTS: readonly Content[] = [
  one,
  two,
  three,
  index([shared, two]),
  index([shared, three]),
  sbom,
];
const TAGS = ['latest', 'stable'];

/** What somebody does to the repository. */
type Deed =
  | { readonly kind: 'push'; readonly content: Content; readonly tag: string | undefined }
  | { readonly kind: 'untag'; readonly tag: string }
  /** by another tool: a manifest that nothing uses, or together with its tags */
  | { readonly kind: 'delete' | 'remove'; readonly content: Content };

const DEEDS: readonly Deed[] = [
  ...CONTENTS.flatMap((content) => TAGS.map((tag): Deed => ({ kind: 'push', content, tag }))),
  ...CONTENTS.map((content): Deed => ({ kind: 'push', content, tag: undefined })),
  ...TAGS.map((tag): Deed => ({ kind: 'untag', tag })),
  ...[...CONTENTS, shared].map((content): Deed => ({ kind: 'delete', content })),
  ...[one, two, three].map((content): Deed => ({ kind: 'remove', content })),
];

const nat = fc.nat({ max: 1000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 60, arbitrary: fc.record({ kind: fc.constant('request' as const), pick: nat }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'start' as const }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('user' as const), pick: nat }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('kill' as const),
      pick: nat,
      when: fc.constantFrom('before' as const, 'after' as const),
    }),
  },
);

/** Bursts, so that one run gets far while another stands still: that is when memories grow old. */
const schedule: fc.Arbitrary<Step[]> = fc
  .array(fc.tuple(step, fc.nat({ max: 12 })), { minLength: 10, maxLength: 60 })
  .map((steps) => [
    { kind: 'user', pick: 0 },
    { kind: 'start' },
    { kind: 'start' },
    ...steps.flatMap(([each, times]): Step[] =>
      each.kind === 'request' ? Array.from({ length: times + 1 }, () => each) : [each],
    ),
  ]);

/** The same by phases: runs that stand still for long just where it hurts. */
const slow: fc.Arbitrary<Step[]> = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('phase' as const), pick: nat }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('user' as const), pick: nat }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'start' as const }) },
    ),
    { minLength: 6, maxLength: 30 },
  )
  .map((steps) => {
    const phase: Step = { kind: 'phase', pick: 0 };
    // One run has been here before, so that there is something to rely on.
    return [
      { kind: 'user', pick: 0 },
      { kind: 'start' },
      ...Array.from({ length: 8 }, () => phase),
      { kind: 'start' },
      { kind: 'start' },
      ...steps,
    ];
  });

/** By their place, which keeps a counterexample short. */
const deed = (test: (each: Deed) => boolean) => DEEDS.findIndex(test);
const LATEST_AND_GONE = [one, two].map((content) => [
  deed((each) => each.kind === 'push' && each.content === content && each.tag === 'latest'),
  deed((each) => each.kind === 'remove' && each.content === content),
]);

/** A few deeds that are done again and again meet each other more often than many. */
const world = fc.record({
  deeds: fc.oneof(
    fc.constant(DEEDS.map((_, place) => place)),
    fc.uniqueArray(fc.nat({ max: DEEDS.length - 1 }), { minLength: 2, maxLength: 4 }),
    fc.constantFrom(...LATEST_AND_GONE),
  ),
  /** between the starts of two runs; at the same time, they may write the very same */
  tick: fc.constantFrom(0, MINUTE),
  steps: fc.oneof(schedule, slow),
});

let plain: MemoryRegistry;
let api: MemoryRegistry;

beforeAll(async () => {
  plain = await startMemoryRegistry();
  api = await startMemoryRegistry({ referrersApi: true, digestHeader: false, tagPageSize: 2 });
});

afterAll(async () => {
  await Promise.all([plain.stop(), api.stop()]);
});

/** Keeps count of what the ledger owes: what a run has recorded, in the life in which that run saw it. */
class Accounts {
  readonly wrongs: string[] = [];
  readonly #registry: MemoryRegistry;
  readonly #hasDigestHeader: boolean;
  /** how often a digest came into being; 0 while it never was there */
  readonly #lives = new Map<string, number>();
  #present = new Set<string>();
  /** by run: the life in which it saw a digest at its first look */
  readonly #seen = new Map<string, Map<string, number>>();
  /** the life of a digest that some run has recorded */
  readonly #owed = new Map<string, number>();

  constructor(registry: MemoryRegistry, hasDigestHeader: boolean) {
    this.#registry = registry;
    this.#hasDigestHeader = hasDigestHeader;
  }

  get #app() {
    return repositoryOf(this.#registry.state, APP);
  }

  /** Everything that the entries in the ledger know, read by the test's own means. */
  remembered(): Set<string> {
    const { tags, manifests } = repositoryOf(this.#registry.state, LEDGER);
    const known = new Set<string>();
    for (const digest of tags.values()) {
      const manifest = manifests.get(digest);
      const { layers } = JSON.parse(manifest?.bytes.toString() ?? '{"layers":[]}') as {
        layers: { digest: string }[];
      };
      for (const layer of layers) {
        const blob = this.#registry.state.blobs.get(layer.digest);
        const entry = JSON.parse(gunzipSync(blob ?? Buffer.alloc(0)).toString()) as {
          manifests: { digest: string; status: string }[];
        };
        // A manifest that is remembered as deleted is no candidate: nobody would find it.
        entry.manifests
          .filter(({ status }) => status !== 'deleted')
          .forEach((each) => known.add(each.digest));
      }
    }
    return known;
  }

  #life(digest: string): number | undefined {
    return this.#present.has(digest) ? this.#lives.get(digest) : undefined;
  }

  /** To be called after every single thing that happened. */
  look(actor?: Actor, request?: SeenRequest): void {
    const before = this.#present;
    this.#present = new Set(this.#app.manifests.keys());
    for (const digest of this.#present) {
      if (!before.has(digest)) {
        this.#lives.set(digest, (this.#lives.get(digest) ?? 0) + 1);
      }
    }
    if (actor !== undefined && request !== undefined) {
      this.#note(actor, request);
    }
    this.check(request === undefined ? 'a push or a kill' : `${request.method} ${request.path}`);
  }

  /** What a run is told of at its first look, and what it has recorded by then. */
  #note(actor: Actor, { method, route }: SeenRequest): void {
    const seen = this.#seen.get(actor.name) ?? new Map<string, number>();
    this.#seen.set(actor.name, seen);
    if (
      route.kind === 'manifest' &&
      route.repository === APP &&
      !actor.swept &&
      method !== 'DELETE'
    ) {
      const named = this.#app.tags.get(route.reference);
      const digest = named ?? route.reference;
      const life = this.#life(digest);
      // Without a digest header, the answer to HEAD for a tag doesn't tell what it points at.
      const isTold = named === undefined || method === 'GET' || this.#hasDigestHeader;
      if (life !== undefined && isTold) {
        seen.set(digest, life);
      }
    }
    const isWrite = method === 'PUT' && route.kind === 'manifest' && route.repository === LEDGER;
    if (isWrite || actor.swept || actor.ran?.green === true) {
      seen.forEach((life, digest) =>
        this.#owed.set(digest, Math.max(life, this.#owed.get(digest) ?? 0)),
      );
    }
  }

  check(when: string): void {
    const known = this.remembered();
    for (const [digest, life] of this.#owed) {
      if (this.#life(digest) === life && !known.has(digest)) {
        this.wrongs.push(`after ${when}, ${digest} is there and forgotten`);
        this.#owed.delete(digest);
      }
    }
  }

  /** Owed, there, and so to be found by the next run. */
  known(): string[] {
    return [...this.#owed]
      .filter(([digest, life]) => this.#life(digest) === life)
      .map(([each]) => each);
  }
}

function act(registry: MemoryRegistry, deed: Deed): void {
  const { state } = registry;
  const app = repositoryOf(state, APP);
  switch (deed.kind) {
    case 'push':
      seed(state, APP, deed.content, ...(deed.tag === undefined ? [] : [deed.tag]));
      break;
    case 'untag':
      app.tags.delete(deed.tag);
      break;
    case 'remove':
      [...app.tags].forEach(([tag, digest]) => {
        if (digest === deed.content.digest) {
          app.tags.delete(tag);
        }
      });
      act(registry, { kind: 'delete', content: deed.content });
      break;
    case 'delete': {
      // Nobody deletes an image in use with a tool that he trusts.
      const { digest } = deed.content;
      const parents = CONTENTS.filter(({ children }) =>
        children.some((child) => child.digest === digest),
      );
      if (
        ![...app.tags.values()].includes(digest) &&
        !parents.some((each) => app.manifests.has(each.digest))
      ) {
        app.manifests.delete(digest);
      }
    }
  }
}

describe('the ledger', () => {
  it.each(['plain', 'api'] as const)(
    'ledger-remembers: keeps every recorded manifest that exists, through runs at once and kills (%s)',
    async (which) => {
      const registry = which === 'plain' ? plain : api;
      let n = 0;
      const options = (tick: number): RunOptions => {
        n += tick;
        return {
          url: registry.url,
          candidates: new Map<string, ReadonlySet<Digest>>(),
          repositories: [APP],
          ledgerRepository: LEDGER,
          now: NOW + n,
        };
      };
      await fc.assert(
        fc.asyncProperty(world, async ({ deeds, tick, steps }) => {
          registry.intercept();
          registry.state.repositories.clear();
          registry.state.blobs.clear();
          // A repository that lost every tag is refused; here it never is empty.
          seed(registry.state, APP, image('anchor'), 'anchor');
          const accounts = new Accounts(registry, which === 'plain');
          const actors = await interleave(
            {
              registry,
              options: () => options(tick),
              user: (pick) => {
                const chosen = DEEDS[deeds[pick % deeds.length] ?? -1];
                if (chosen !== undefined) {
                  act(registry, chosen);
                }
              },
              after: (actor, request) => {
                accounts.look(actor, request);
              },
            },
            steps,
          );
          accounts.check('all of it');
          expect(accounts.wrongs).toEqual([]);
          // Meeting others makes no run red.
          const red = actors
            .filter(({ alive }) => alive)
            .flatMap(({ ran }) => ran?.complaints ?? []);
          expect(red.filter((complaint) => complaint.startsWith(LEDGER))).toEqual([]);

          // One quiet run finds all that any of them has seen, and leaves one compact state.
          const known = accounts.known();
          const app = repositoryOf(registry.state, APP);
          const tagged = new Map(app.tags);
          const quiet = await run(options(MINUTE));
          expect(quiet.complaints).toEqual([]);
          const kept = new Set(
            quiet.plans.flatMap(({ keep }) => keep.map(({ digest }) => String(digest))),
          );
          expect(known.filter((digest) => app.manifests.has(digest) && !kept.has(digest))).toEqual(
            [],
          );
          expect(new Map(app.tags)).toEqual(tagged);
          const ledger = repositoryOf(registry.state, LEDGER);
          expect(ledger.manifests.size).toBeLessThanOrEqual(1);
          expect(ledger.tags.size).toBe(ledger.manifests.size);

          // A manifest that others deleted is dropped when it was found absent twice. Then there is nothing to write.
          await run(options(MINUTE));
          const before = [...ledger.tags];
          const idle = await run(options(MINUTE));
          expect(idle.complaints).toEqual([]);
          expect(idle.plans.flatMap(({ orphans }) => orphans)).toEqual([]);
          expect([...ledger.tags]).toEqual(before);
          // A manifest that something in use names is taken to be there, which costs no request.
          const named = CONTENTS.filter(({ digest }) => app.manifests.has(digest)).flatMap(
            (each) => [
              ...each.children.map(({ digest }) => digest),
              ...(each === sbom ? [one.digest] : []),
            ],
          );
          const gone = [...accounts.remembered()].filter((each) => !app.manifests.has(each));
          expect(gone.filter((each) => !named.some((digest) => digest === each))).toEqual([]);
        }),
        // Without shrinking, which would play for many minutes; FC_SEED repeats what failed.
        { ...runs(45), endOnFailure: true },
      );
    },
  );
});
