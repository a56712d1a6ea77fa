/** Twenty runs at once on one ledger, some of which are killed, while tags move: on every real registry. */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import * as v from 'valibot';

import type { ActionRun } from '../support/clients/run-action.js';
import { OLD, type Content, APP } from '../support/builders/build.js';
import { expectQuiet } from '../support/clients/outcome.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startGate, type Fate } from '../support/servers/gate.js';
import { apart, entriesOf } from '../support/clients/ledger.js';
import { send, type Destination } from '../support/clients/push.js';
import {
  present,
  realRegistries,
  type RealRegistryKind,
} from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { pull, skopeo } from '../support/clients/pull.js';
import {
  FRESH,
  KINDS,
  type Version,
  cleanApp,
  expectAtRest,
  make,
  named,
  release,
} from '../support/scenes/versions.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

describe.each(realRegistries)(`$name`, (kind) => {
  const { name, found } = kind;

  describeWith(name, found, 'the ledger', () => {
    describe('after twenty runs at once, some of which are killed,', () => {
      let registry: RealRegistry;
      let after: Aftermath;

      beforeAll(async () => {
        registry = await kind.start();
        after = await storm(kind, registry);
      });

      afterAll(() => registry.stop());

      it('remembers everything that they saw', () => {
        const { seed, seen, expected, quiet } = after;
        const left = [...apart(registry.manifests()).users];
        const forgotten = left.filter((each) => seen.has(each) && !expected.has(each));
        expect({ seed, forgotten }).toEqual({ seed, forgotten: [] });
        expectQuiet(quiet);
      });

      it('costs nothing that is in use', async () => {
        const { seed, tags, expected } = after;
        const there = registry.manifests();
        const lost = [...expected].filter((each) => !there.has(each));
        for (const [tag, { main, about }] of tags) {
          lost.push(...(await missing(registry, main, tag)));
          for (const { content, tags: names } of about) {
            lost.push(...(await missing(registry, content, ...names)));
          }
        }
        expect({ seed, lost }).toEqual({ seed, lost: [] });
      });

      describeWith('skopeo', skopeo, 'an image in use', () => {
        it('is pulled whole', async () => {
          for (const [tag, { main }] of after.tags) {
            expect({ tag, digest: await pull(registry, tag) }).toEqual({
              tag,
              digest: main.digest,
            });
          }
        });
      });

      it('is one entry of all that is in use, and a run without news leaves it as it is', async () => {
        const { seed, expected } = after;
        const entries = await entriesOf(registry);
        expect({ seed, entries: entries.length }).toEqual({ seed, entries: 1 });
        expect(apart(registry.manifests()).ledger.size).toBe(1);
        await expectAtRest(registry, kind.inputs, expected);
      });

      it('leaves every run green that was not killed', () => {
        const { seed, killed, red } = after;
        expect({ seed, red }).toEqual({ seed, red: [] });
        expect(killed).toBeGreaterThanOrEqual(4);
      });
    });
  });
});

/** What a storm of runs left behind. */
interface Aftermath {
  /** for the failure's message: the same makes the same plan, though not the same race */
  readonly seed: number;
  /** what each tag is to name */
  readonly tags: ReadonlyMap<string, Version>;
  /** `repository@digest` of all that these consist of */
  readonly expected: ReadonlySet<string>;
  /** what some run that ended well says that it saw */
  readonly seen: ReadonlySet<string>;
  readonly killed: number;
  /** the logs of those that lived and ended badly */
  readonly red: readonly string[];
  /** the run after all others */
  readonly quiet: ActionRun;
}

const Report = v.object({
  repositories: v.array(
    v.object({
      repository: v.string(),
      orphans: v.array(v.object({ digest: v.string() })),
      kept: v.array(v.object({ digest: v.string() })),
    }),
  ),
});

function seenBy({ report }: ActionRun): string[] {
  return v
    .parse(Report, report)
    .repositories.flatMap(({ repository, orphans, kept }) =>
      [...orphans, ...kept].map(({ digest }) => `${repository}@${digest}`),
    );
}

const RUNS = 20;

/** Which runs are killed and where, and when tags move: each at so many requests of all runs together. */
const stormPlan = fc.noBias(
  fc.record({
    victims: fc.array(
      fc.record({
        fate: fc.constantFrom<Fate>('reset', 'lose'),
        at: fc.oneof(
          { weight: 1, arbitrary: fc.record({ what: fc.constant('any'), nth: fc.nat(11) }) },
          { weight: 3, arbitrary: fc.record({ what: fc.constant('write'), nth: fc.nat(8) }) },
        ),
      }),
      { minLength: 7, maxLength: 7 },
    ),
    moves: fc.array(
      fc.record({ tag: fc.constantFrom(...Object.keys(KINDS)), after: fc.nat(700) }),
      { minLength: 8, maxLength: 8 },
    ),
  }),
);

/**
 * One run sees the first versions; every tag moves; then many runs at once, all let in at the same moment,
 * while tags move on and some runs are killed at a request of theirs; then one run in peace.
 */
async function storm(kind: RealRegistryKind, registry: RealRegistry): Promise<Aftermath> {
  const seed = Date.now() % 2 ** 31;
  // So many versions come and go that most of what is known is to go.
  const inputs = { ...kind.inputs, 'max-deletes': '100%' };
  const [plan] = fc.sample(stormPlan, { seed, numRuns: 1 });
  const { victims, moves } = present(plan);
  const numbers = new Map<string, number>();
  const tags = new Map<string, Version>();
  const move = async (what: string): Promise<void> => {
    const number = numbers.get(what) ?? 0;
    // No run has to have seen the later ones in use: they are old enough to go all the same.
    const created = number === 0 ? FRESH : OLD;
    const version = make(what, String(number), { ...kind, created });
    const tag = what.replaceAll(' ', '-');
    await release(registry, version, { tag });
    numbers.set(what, number + 1);
    tags.set(tag, version);
  };
  const everything = Object.keys(KINDS);
  for (const what of everything) {
    await move(what);
  }
  const first = await cleanApp(registry, inputs);
  const seen = new Set(seenBy(first));
  for (const what of everything) {
    await move(what);
  }

  const waiting = [...moves].sort((a, b) => a.after - b.after);
  let moving = Promise.resolve();
  let passed = 0;
  let arrived = 0;
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const run = async (victim: (typeof victims)[number] | undefined): Promise<ActionRun> => {
    const killer = new AbortController();
    let met = 0;
    const gate = await startGate(registry.url, {
      onBroken: () => {
        killer.abort();
      },
      decide: async ({ method, n }) => {
        if (n === 1) {
          arrived += 1;
          if (arrived === RUNS) {
            open();
          }
          await opened;
        }
        passed += 1;
        for (let next = waiting[0]; next && next.after <= passed; next = waiting[0]) {
          const { tag } = next;
          waiting.shift();
          moving = moving.then(() => move(tag));
        }
        if (victim === undefined || (victim.at.what === 'write' && /GET|HEAD/.test(method))) {
          return 'pass';
        }
        met += 1;
        return met === victim.at.nth + 1 ? victim.fate : 'pass';
      },
    });
    try {
      return await cleanApp(gate, inputs, { killer: killer.signal });
    } finally {
      await gate.stop();
    }
  };
  const runs = await Promise.all(Array.from({ length: RUNS }, (_, n) => run(victims[n])));
  await moving;
  const lived = runs.filter(({ exitCode }) => exitCode !== null);
  for (const each of lived.filter(({ exitCode }) => exitCode === 0)) {
    seenBy(each).forEach((digest) => seen.add(digest));
  }
  return {
    seed,
    tags,
    expected: named([...tags.values()]),
    seen,
    killed: runs.length - lived.length,
    red: lived.filter(({ exitCode }) => exitCode !== 0).map(({ log }) => log),
    quiet: await cleanApp(registry, inputs),
  };
}

/** What a pull would miss of this content, asked for by its tags, or by its digest when it has none. */
async function missing(
  at: Destination,
  content: Content,
  ...tags: readonly string[]
): Promise<string[]> {
  const { digest, bytes, mediaType, blobs, children } = content;
  const lost: string[] = [];
  for (const reference of tags.length === 0 ? [digest] : tags) {
    const headers = { accept: mediaType };
    const asked = `/v2/${APP}/manifests/${reference}`;
    const answer = await send(at, { method: 'GET', path: asked, headers });
    if (!answer.body.equals(bytes)) {
      lost.push(reference);
    }
  }
  for (const blob of blobs.keys()) {
    const { status } = await send(at, { method: 'HEAD', path: `/v2/${APP}/blobs/${blob}` });
    if (status !== 200) {
      lost.push(blob);
    }
  }
  for (const child of children) {
    lost.push(...(await missing(at, child)));
  }
  return lost;
}
