/**
 * The ledger at work: the bundled action on every real registry there is, with no input that names a digest.
 * What an earlier run saw in use and nothing uses any more goes. Each registry's own directory is the judge.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as v from 'valibot';

import { image, APP } from '../support/builders/build.js';
import { expectQuiet } from '../support/clients/outcome.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startGate, type Fate, type PassingRequest } from '../support/servers/gate.js';
import { apart, entriesOf, LEDGER, remembered } from '../support/clients/ledger.js';
import { startMemoryRegistry } from '../support/servers/memory/registry.js';
import { seed as seedState, send, type Destination } from '../support/clients/push.js';
import { realRegistries, type RealRegistryKind } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { pull, skopeo } from '../support/clients/pull.js';
import {
  FRESH,
  type Version,
  cleanApp,
  expectAtRest,
  make,
  named,
  release,
} from '../support/scenes/versions.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

async function tagsOf(at: Destination, repository = APP): Promise<string[]> {
  const answer = await send(at, { method: 'GET', path: `/v2/${repository}/tags/list` });
  return v.parse(v.object({ tags: v.array(v.string()) }), JSON.parse(answer.body.toString())).tags;
}

/** The tag of the entry about `APP`, as docs/ledger.md has it. */
const entryTag = new RegExp(
  `^ledger-v1\\.${createHash('sha256').update(APP).digest('hex').slice(0, 32)}\\.[0-9a-f]{64}$`,
);

async function started(kind: RealRegistryKind): Promise<RealRegistry> {
  return stopAfterTest(await kind.start());
}

async function gated(
  registry: Pick<Destination, 'url'>,
  ...options: Parameters<typeof startGate> extends [string, ...infer Rest] ? Rest : never
) {
  return stopAfterTest(await startGate(registry.url, ...options));
}

describe.each(realRegistries)('$name', (kind) => {
  const { name, found, hasCatalog, hasReferrersApi } = kind;
  const fresh = { created: FRESH, hasReferrersApi };

  describeWith(name, found, 'the ledger', () => {
    describe.each(['single image', 'index with a shared child', 'signed image'])(
      'with a tag that moves, %s,',
      (what) => {
        const [one, two, three] = ['v1', 'v2', 'v3'].map((each) => make(what, each, fresh)) as [
          Version,
          Version,
          Version,
        ];
        const others = ['a', 'b', 'c', 'd'].map((tag) => ({
          tag,
          version: make('single image', `other ${tag}`, fresh),
        }));
        const staying = others.map(({ version }) => version);
        let registry: RealRegistry;

        beforeAll(async () => {
          registry = await kind.start();
          for (const { tag, version } of others) {
            await release(registry, version, { tag });
          }
        });

        afterAll(() => registry.stop());

        /** One manifest with one tag, on disk and over HTTP, that knows what these versions consist of. */
        async function expectLedger(...versions: Version[]): Promise<void> {
          const { ledger } = apart(registry.manifests());
          const entries = await entriesOf(registry);
          expect(entries).toEqual([expect.objectContaining({ repository: APP })]);
          expect(entries[0]?.tag).toMatch(entryTag);
          expect(ledger).toEqual(new Set(entries.map(({ digest }) => `${LEDGER}@${digest}`)));
          const known = [...(entries[0]?.digests ?? [])].map((digest) => `${APP}@${digest}`);
          expect(new Set(known)).toEqual(named([...versions, ...staying]));
        }

        // The tests of this block follow each other as the runs of a workflow do.
        it('is begun by the first run, which deletes nothing', async () => {
          await release(registry, one);
          const before = registry.manifests();
          const run = await cleanApp(registry, kind.inputs);
          expectQuiet(run, { 'orphans-found': '0', 'deleted-count': '0' });
          expect(run.log).toContain(`This run began a ledger in \`${LEDGER}\``);
          expect(apart(registry.manifests()).users).toEqual(before);
          expect(apart(registry.manifests()).ledger.size).toBe(1);
        });

        it('names exactly the version before as orphan, however young, in the job that pushed', async () => {
          await release(registry, two);
          const run = await cleanApp(registry, kind.inputs);
          const left = named([two, ...staying]);
          const gone = [...named([one])].filter((each) => !left.has(each));
          expectQuiet(run, { 'failed-count': '0' });
          expect(apart(registry.manifests()).users).toEqual(left);
          const deleted = JSON.parse(run.outputs['deleted-digests'] ?? '') as string[];
          expect(deleted.sort()).toEqual(gone.sort());
          await expectLedger(two);
        });

        describeWith('skopeo', skopeo, 'a kept image', () => {
          it('is pulled whole', async () => {
            expect(await pull(registry, 'latest')).toBe(two.main.digest);
          });
        });

        it('costs a run without news one request for each tag, and writes nothing', async () => {
          const gate = await gated(registry);
          const [before, entries] = [registry.manifests(), await entriesOf(registry)];
          const run = await cleanApp(gate, kind.inputs);
          expectQuiet(run, { 'orphans-found': '0' });
          expect(registry.manifests()).toEqual(before);
          expect(await entriesOf(registry)).toEqual(entries);
          expect(gate.requests.filter(({ method }) => !/^(?:GET|HEAD)$/.test(method))).toEqual([]);
          const tags = await tagsOf(registry);
          expect(gate.requests.length).toBeLessThanOrEqual(tags.length + 6);
        });

        it('serves a nightly run over everything, which does not clean it', async () => {
          await release(registry, three);
          const run = await cleanApp(registry, {
            ...kind.inputs,
            repositories: hasCatalog ? '' : APP,
          });
          expectQuiet(run, { 'failed-count': '0' });
          expect(run.report).toMatchObject({ repositories: [{ repository: APP }] });
          expect(apart(registry.manifests()).users).toEqual(named([three, ...staying]));
          await expectLedger(three);
        });
      },
    );

    it('lets the next run finish what a killed one began', async () => {
      const registry = await started(kind);
      const isDelete = ({ method, path: asked }: PassingRequest, repository: string) =>
        method === 'DELETE' && asked.startsWith(`/v2/${repository}/`);
      const isEntry = ({ method, path: asked }: PassingRequest) =>
        method === 'PUT' && asked.startsWith(`/v2/${LEDGER}/manifests/`);
      /** Where runs are killed, by the repository that they clean: at the nth request of that kind. */
      const kills: Record<string, { fate: Fate; at: typeof isDelete; nth: number }> = {
        'team/written': { fate: 'lose', at: isEntry, nth: 1 },
        // The first of all is the question whether deletes are taken.
        'team/about-to-delete': { fate: 'reset', at: isDelete, nth: 2 },
        'team/begun': { fate: 'lose', at: isDelete, nth: 2 },
        'team/amidst': { fate: 'lose', at: isDelete, nth: 4 },
      };
      const repositories = Object.keys(kills);
      const all = { ...kind.inputs, repositories: repositories.join('\n') };
      const [one, two] = ['v1', 'v2'].map((each) => make('signed index', each, fresh)) as [
        Version,
        Version,
      ];
      const both = (versions: readonly Version[]) =>
        new Set(repositories.flatMap((each) => [...named(versions, each)]));

      await Promise.all(repositories.map((repository) => release(registry, one, { repository })));
      expectQuiet(await cleanApp(registry, all));
      await Promise.all(repositories.map((repository) => release(registry, two, { repository })));
      await Promise.all(
        Object.entries(kills).map(async ([repository, { fate, at, nth }]) => {
          const killer = new AbortController();
          let met = 0;
          const gate = await gated(registry, {
            decide: (request) => {
              met += at(request, repository) ? 1 : 0;
              return met === nth ? fate : 'pass';
            },
            onBroken: () => {
              killer.abort();
            },
          });
          const run = await cleanApp(
            gate,
            { ...kind.inputs, repositories: repository },
            {
              killer: killer.signal,
            },
          );
          expect({ repository, exitCode: run.exitCode }).toEqual({ repository, exitCode: null });
        }),
      );
      const halfway = apart(registry.manifests()).users;
      const indexes = repositories.filter((each) => halfway.has(`${each}@${one.main.digest}`));
      expect(indexes).toEqual(['team/written', 'team/about-to-delete']);
      expect([...both([two])].filter((each) => !halfway.has(each))).toEqual([]);
      expect(halfway.size).toBeGreaterThan(both([two]).size);

      expectQuiet(await cleanApp(registry, all), { 'failed-count': '0' });
      expect(apart(registry.manifests()).users).toEqual(both([two]));
      expect([...(await remembered(registry)).keys()].sort()).toEqual([...repositories].sort());
      expect(apart(registry.manifests()).ledger.size).toBe(repositories.length);
      await expectAtRest(registry, all, both([two]));
    });

    it('may lie in the very repository that is cleaned', async () => {
      const registry = await started(kind);
      const here = { ...kind.inputs, 'ledger-repository': APP };
      const [one, two] = ['v1', 'v2'].map((each) => make('signed image', each, fresh)) as [
        Version,
        Version,
      ];
      await release(registry, one);
      expectQuiet(await cleanApp(registry, here), { 'deleted-count': '0' });
      await release(registry, two);
      expectQuiet(await cleanApp(registry, here), { 'failed-count': '0' });
      const entries = await entriesOf(registry, APP);
      expect(entries).toEqual([expect.objectContaining({ repository: APP })]);
      expect(entries[0]?.tag).toMatch(entryTag);
      const own = `${APP}@${entries[0]?.digest ?? ''}`;
      expect(registry.manifests()).toEqual(named([two]).add(own));

      const home = mkdtempSync(path.join(tmpdir(), 'listing-'));
      try {
        const listing = path.join(home, 'listing.txt');
        writeFileSync(listing, [...registry.manifests()].join('\n'));
        expect(readFileSync(listing, 'utf8')).toContain(own);
        const run = await cleanApp(registry, { ...here, 'digests-file': listing });
        expectQuiet(run, { 'orphans-found': '0', 'deleted-count': '0' });
        expect(registry.manifests()).toEqual(named([two]).add(own));
        expect(await entriesOf(registry, APP)).toEqual(entries);
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    });
  });
});

describe('the ledger of 10,000 tags', () => {
  it('costs a run without news no more than 1 % beside a HEAD for each tag', async () => {
    const TAGS = 4000;
    const registry = stopAfterTest(await startMemoryRegistry());
    for (let n = 0; n < TAGS; n += 1) {
      seedState(registry.state, APP, image(`build ${String(n)}`), `build-${String(n)}`);
    }
    expectQuiet(await cleanApp(registry), { 'kept-count': String(TAGS) });
    registry.requests.length = 0;
    expectQuiet(await cleanApp(registry), { 'kept-count': String(TAGS), 'orphans-found': '0' });
    expect(registry.requests.length).toBeGreaterThanOrEqual(TAGS);
    expect(registry.requests.length).toBeLessThanOrEqual(TAGS * 1.01);
    const others = registry.requests.filter(({ method }) => method !== 'HEAD');
    expect(others.length).toBeLessThan(10);
    expect(new Set(others.map(({ method }) => method))).toEqual(new Set(['GET']));
  });
});
