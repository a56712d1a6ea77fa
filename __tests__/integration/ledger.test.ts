/**
 * The ledger at work: the bundled action on every real registry there is, with no input that names a digest.
 * What an earlier run saw in use and nothing uses any more goes, whatever other runs do at the same time and
 * wherever they are killed. Each registry's own directory is the judge.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import * as v from 'valibot';
import { parse } from 'yaml';

import { digestOf } from '../../src/oci/digest.js';
import { runAction, type ActionRun, type RunOptions } from '../support/clients/run-action.js';
import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  OLD,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistryOptions,
} from '../support/servers/docker-registry.js';
import { startGate, type Fate, type PassingRequest } from '../support/servers/gate.js';
import { apart, byRepository, entriesOf, LEDGER, remembered } from '../support/clients/ledger.js';
import { startMemoryRegistry } from '../support/servers/memory/registry.js';
import { findSkopeo } from '../support/servers/programs.js';
import { push, seed as seedState, send, type Destination } from '../support/clients/push.js';
import {
  dockerRegistry,
  present,
  realRegistries,
  type RealRegistryKind,
} from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

const APP = 'team/app';
/** Within every grace period: only what an earlier run saw in use may go. */
const FRESH = new Date().toISOString();
const skopeo = findSkopeo();

/** What a client pushes for one version: what the tag is to name, and then what describes it. */
interface Version {
  readonly main: Content;
  readonly about: readonly { readonly content: Content; readonly tags: readonly string[] }[];
}

interface Making {
  readonly created: string;
  readonly hasReferrersApi: boolean;
}

/** A signature of cosign's, and an SBOM with its subject, pushed as the registry needs it. */
function aboutOf(of: Content, { hasReferrersApi }: Making): Version['about'] {
  const sbom = referrer('sbom', of);
  return [
    { content: cosign('sig', of), tags: [digestTag(of.digest, 'sig')] },
    hasReferrersApi
      ? { content: sbom, tags: [] }
      : { content: fallbackIndex([sbom]), tags: [digestTag(of.digest)] },
  ];
}

/** An index whose second child is the same in all versions. */
function multi(name: string, { created }: Making): Content {
  const arm = image('shared by all', { created, platform: LINUX_ARM64 });
  return index([image(`${name} amd64`, { created }), arm]);
}

/** What is pushed, by what it is; the same name gives the same version. */
const KINDS: Readonly<Record<string, (name: string, making: Making) => Version>> = {
  'single image': (name, { created }) => ({ main: image(name, { created }), about: [] }),
  'index with a shared child': (name, making) => ({ main: multi(name, making), about: [] }),
  'signed image': (name, making) => {
    const main = image(name, { created: making.created });
    return { main, about: aboutOf(main, making) };
  },
  'signed index': (name, making) => {
    const main = multi(name, making);
    const [amd] = main.children as [Content, Content];
    return { main, about: [...aboutOf(main, making), ...aboutOf(amd, making)] };
  },
};

function make(what: string, name: string, making: Making): Version {
  return present(KINDS[what])(`${what} ${name}`, making);
}

async function release(
  to: Destination,
  { main, about }: Version,
  { repository = APP, tag = 'latest' } = {},
): Promise<void> {
  await push(to, repository, main, tag);
  for (const { content, tags } of about) {
    await push(to, repository, content, ...tags);
  }
}

function withChildren(content: Content): Content[] {
  return [content, ...content.children.flatMap(withChildren)];
}

function contentsOf({ main, about }: Version): Content[] {
  return [main, ...about.map(({ content }) => content)].flatMap(withChildren);
}

/** `repository@digest` of all that these versions consist of. */
function named(versions: readonly Version[], repository = APP): Set<string> {
  return new Set(versions.flatMap(contentsOf).map(({ digest }) => `${repository}@${digest}`));
}

const clean = (
  { url }: Pick<Destination, 'url'>,
  inputs: Record<string, string> = {},
  options: RunOptions = {},
) => runAction({ 'registry-url': url, repositories: APP, ...inputs }, options);

function expectGreen(run: ActionRun, outputs: Record<string, string> = {}): void {
  expect(run.log).not.toMatch(/^::(?:error|warning)/m);
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject(outputs);
}

/**
 * The next run may still drop what it finds gone; then the ledger has exactly this, and a further run leaves
 * it as it is.
 */
async function expectAtRest(
  registry: RealRegistry,
  inputs: Record<string, string>,
  known: ReadonlySet<string>,
): Promise<void> {
  expectGreen(await clean(registry, inputs), { 'orphans-found': '0' });
  expect(await remembered(registry)).toEqual(byRepository(known));
  const entries = await entriesOf(registry);
  expectGreen(await clean(registry, inputs), { 'orphans-found': '0' });
  expect(await entriesOf(registry)).toEqual(entries);
}

const warningsOf = ({ log }: ActionRun) => log.match(/^::warning.*$/gm) ?? [];

async function tagsOf(at: Destination, repository = APP): Promise<string[]> {
  const answer = await send(at, { method: 'GET', path: `/v2/${repository}/tags/list` });
  return v.parse(v.object({ tags: v.array(v.string()) }), JSON.parse(answer.body.toString())).tags;
}

/** The tag of the entry about `APP`, as docs/ledger.md has it. */
const entryTag = new RegExp(
  `^ledger-v1\\.${createHash('sha256').update(APP).digest('hex').slice(0, 32)}\\.[0-9a-f]{64}$`,
);

/** Pulls with another client than our own, and says the digest of what came. */
function pull({ host }: RealRegistry, tag: string): string {
  const to = mkdtempSync(path.join(tmpdir(), 'pulled-'));
  try {
    const from = `docker://${host}/${APP}:${tag}`;
    const options = ['--all', '--preserve-digests', '--src-tls-verify=false'];
    execFileSync(present(skopeo), ['copy', ...options, from, `dir:${to}`], { stdio: 'pipe' });
    return digestOf(readFileSync(path.join(to, 'manifest.json')));
  } finally {
    rmSync(to, { recursive: true, force: true });
  }
}

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

async function started(kind: RealRegistryKind): Promise<RealRegistry> {
  const registry = await kind.start();
  cleanups.push(() => registry.stop());
  return registry;
}

async function gated(
  registry: Pick<Destination, 'url'>,
  ...options: Parameters<typeof startGate> extends [string, ...infer Rest] ? Rest : never
) {
  const gate = await startGate(registry.url, ...options);
  cleanups.push(() => gate.stop());
  return gate;
}

describe.each(realRegistries)('$name', (kind) => {
  const { name, found, hasCatalog, hasReferrersApi } = kind;
  const fresh = { created: FRESH, hasReferrersApi };

  describeWith(name, found, 'the ledger', () => {
    describe.each(['single image', 'index with a shared child', 'signed image'])(
      'of a tag that moves, %s',
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
          const run = await clean(registry, kind.inputs);
          expectGreen(run, { 'orphans-found': '0', 'deleted-count': '0' });
          expect(run.log).toContain(`This run began a ledger in \`${LEDGER}\``);
          expect(apart(registry.manifests()).users).toEqual(before);
          expect(apart(registry.manifests()).ledger.size).toBe(1);
        });

        it('gives exactly the version before away, however young, in the job that pushed', async () => {
          await release(registry, two);
          const run = await clean(registry, kind.inputs);
          const left = named([two, ...staying]);
          const gone = [...named([one])].filter((each) => !left.has(each));
          expectGreen(run, { 'failed-count': '0' });
          expect(apart(registry.manifests()).users).toEqual(left);
          const deleted = JSON.parse(run.outputs['deleted-digests'] ?? '') as string[];
          expect(deleted.sort()).toEqual(gone.sort());
          await expectLedger(two);
        });

        describeWith('skopeo', skopeo, 'what stays', () => {
          it('is pulled whole', () => {
            expect(pull(registry, 'latest')).toBe(two.main.digest);
          });
        });

        it('costs a run without news one request for each tag, and writes nothing', async () => {
          const gate = await gated(registry);
          const [before, entries] = [registry.manifests(), await entriesOf(registry)];
          const run = await clean(gate, kind.inputs);
          expectGreen(run, { 'orphans-found': '0' });
          expect(registry.manifests()).toEqual(before);
          expect(await entriesOf(registry)).toEqual(entries);
          expect(gate.requests.filter(({ method }) => !/^(?:GET|HEAD)$/.test(method))).toEqual([]);
          const tags = await tagsOf(registry);
          expect(gate.requests.length).toBeLessThanOrEqual(tags.length + 6);
        });

        it('serves a nightly run over everything, too, and is not offered to it', async () => {
          await release(registry, three);
          const run = await clean(registry, {
            ...kind.inputs,
            repositories: hasCatalog ? '' : APP,
          });
          expectGreen(run, { 'failed-count': '0' });
          expect(run.report).toMatchObject({ repositories: [{ repository: APP }] });
          expect(apart(registry.manifests()).users).toEqual(named([three, ...staying]));
          await expectLedger(three);
        });
      },
    );

    describe('of twenty runs at once, some of which are killed', () => {
      let registry: RealRegistry;
      let after: Aftermath;

      beforeAll(async () => {
        registry = await kind.start();
        after = await storm(kind, registry);
      });

      afterAll(() => registry.stop());

      it('has forgotten nothing that they saw', () => {
        const { seed, seen, expected, quiet } = after;
        const left = [...apart(registry.manifests()).users];
        const forgotten = left.filter((each) => seen.has(each) && !expected.has(each));
        expect({ seed, forgotten }).toEqual({ seed, forgotten: [] });
        expectGreen(quiet);
      });

      it('has cost nothing that is in use', async () => {
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

      describeWith('skopeo', skopeo, 'what is in use', () => {
        it('is pulled whole', () => {
          for (const [tag, { main }] of after.tags) {
            expect({ tag, digest: pull(registry, tag) }).toEqual({ tag, digest: main.digest });
          }
        });
      });

      it('is one entry, of what is in use, and a run without news leaves it as it is', async () => {
        const { seed, expected } = after;
        const entries = await entriesOf(registry);
        expect({ seed, entries: entries.length }).toEqual({ seed, entries: 1 });
        expect(apart(registry.manifests()).ledger.size).toBe(1);
        await expectAtRest(registry, kind.inputs, expected);
      });

      it('turned none of those red that lived', () => {
        const { seed, killed, red } = after;
        expect({ seed, red }).toEqual({ seed, red: [] });
        expect(killed).toBeGreaterThanOrEqual(4);
      });
    });

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
      expectGreen(await clean(registry, all));
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
          const run = await clean(
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

      expectGreen(await clean(registry, all), { 'failed-count': '0' });
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
      expectGreen(await clean(registry, here), { 'deleted-count': '0' });
      await release(registry, two);
      expectGreen(await clean(registry, here), { 'failed-count': '0' });
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
        const run = await clean(registry, { ...here, 'digests-file': listing });
        expectGreen(run, { 'orphans-found': '0', 'deleted-count': '0' });
        expect(registry.manifests()).toEqual(named([two]).add(own));
        expect(await entriesOf(registry, APP)).toEqual(entries);
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
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
  const first = await clean(registry, inputs);
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
      return await clean(gate, inputs, { killer: killer.signal });
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
    quiet: await clean(registry, inputs),
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

describeWith('docker-registry', dockerRegistry, 'the ledger and the rights of an account', () => {
  const making = { created: OLD, hasReferrersApi: false };
  const [one, two] = ['v1', 'v2'].map((each) => make('single image', each, making)) as [
    Version,
    Version,
  ];
  const login = { username: USERNAME, password: PASSWORD };

  async function start(options: DockerRegistryOptions): Promise<RealRegistry> {
    const registry = await startDockerRegistry(present(dockerRegistry), options);
    cleanups.push(() => registry.stop());
    return registry;
  }

  it.each([
    { lacks: 'push rights', grants: `repository:${LEDGER}:pull` },
    { lacks: 'any rights', grants: undefined },
  ])(
    'is named in one warning where the account has not $lacks, and the rest is done',
    async ({ grants }) => {
      const registry = await start({
        auth: 'token',
        grant: (scope) => (scope.startsWith(`repository:${LEDGER}:`) ? grants : scope),
      });
      await release(registry, one);
      await release(registry, two);
      const run = await clean(registry, { ...login, digests: [...named([one])].join('\n') });
      expect(warningsOf(run)).toEqual([
        expect.stringMatching(new RegExp(`^::warning::${LEDGER}: .*ledger`)),
      ]);
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
      expect(run.outputs).toMatchObject({ 'deleted-count': '1', 'failed-count': '0' });
      expect(registry.manifests()).toEqual(named([two]));
    },
  );

  it('says what to do about push rights that are missing', async () => {
    const registry = await start({
      auth: 'token',
      grant: (scope) => scope.replace(/^(repository:manifest-cleanup-ledger):.*/, '$1:pull'),
    });
    await release(registry, one);
    const run = await clean(registry, login);
    const [warning, ...more] = warningsOf(run);
    expect(more).toEqual([]);
    expect(warning).toMatch(/`repository:manifest-cleanup-ledger:(?:pull,push|push,pull)`/);
    expect(warning).toContain('give it them');
    expect(warning).toContain('name a repository that it can push to in `ledger-repository`');
    expect(warning).toContain('`ledger-repository: off`');
    expect(run.exitCode).toBe(0);
    expect(run.summary).toContain(LEDGER);
  });

  it('is of use to an account that can only read it', async () => {
    let isLimited = false;
    const registry = await start({
      auth: 'token',
      grant: (scope) =>
        isLimited && scope.startsWith(`repository:${LEDGER}:`)
          ? `repository:${LEDGER}:pull`
          : scope,
    });
    await release(registry, one);
    expectGreen(await clean(registry, login));
    const entries = await entriesOf(registry);
    await release(registry, two);
    isLimited = true;
    const run = await clean(registry, login);
    expect(warningsOf(run)).toHaveLength(1);
    expect(run.exitCode).toBe(0);
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toEqual(entries);
  });

  it('does not grow where nothing changes and its old entries can not be deleted', async () => {
    const registry = await start({ deletes: false });
    await release(registry, one);
    await clean(registry);
    await release(registry, two, { tag: 'next' });
    await clean(registry);
    const entries = await entriesOf(registry);
    expect(entries).toHaveLength(2);
    for (let again = 0; again < 2; again += 1) {
      const run = await clean(registry);
      expect(warningsOf(run)).toEqual([expect.stringContaining('entries of the ledger')]);
      expect(run.exitCode).toBe(0);
      expect(await entriesOf(registry)).toEqual(entries);
    }
  });

  it('has few entries, however often what is to go can not be deleted', async () => {
    const registry = await start({ deletes: false });
    const sizes: number[] = [];
    await release(registry, one);
    await clean(registry);
    await release(registry, two);
    for (let again = 0; again < 10; again += 1) {
      const run = await clean(registry);
      expect(run.outputs).toMatchObject({ 'orphans-found': '1', 'failed-count': '1' });
      sizes.push((await entriesOf(registry)).length);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
    expect(sizes.at(-1)).toBe(sizes.at(-2));
    expect(apart(registry.manifests()).users).toEqual(named([one, two]));
  });
});

interface Workflow {
  readonly on: {
    readonly workflow_dispatch?: {
      readonly inputs: Readonly<Record<string, { readonly default?: unknown }>>;
    };
  };
  readonly env?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly steps: readonly {
          readonly uses?: string;
          readonly with?: Record<string, string>;
        }[];
      }
    >
  >;
}

describeWith('docker-registry', dockerRegistry, 'the workflows of examples/', () => {
  const making = { created: FRESH, hasReferrersApi: false };
  const [one, two] = ['v1', 'v2'].map((each) => make('signed index', each, making)) as [
    Version,
    Version,
  ];
  let home: string;
  let registry: RealRegistry;

  beforeAll(async () => {
    home = mkdtempSync(path.join(tmpdir(), 'examples-'));
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    // What docker/login-action leaves behind.
    const auth = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
    writeFileSync(
      path.join(home, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth } } }),
    );
    // What actions/checkout does.
    mkdirSync(path.join(home, 'deploy'));
    const pinned = `registry.example.com/elsewhere@sha256:${'0'.repeat(64)}`;
    writeFileSync(path.join(home, 'deploy', 'app.yaml'), `image: ${pinned}\n`);
  });

  afterAll(async () => {
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  /**
   * Runs the step of the action as GitHub would, with this registry for the one of the example.
   *
   * @param chosen what was chosen in the form, over its defaults
   */
  async function runExample(file: string, chosen: Record<string, string> = {}): Promise<ActionRun> {
    const text = readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8');
    const { on, env = {}, jobs } = parse(text) as Workflow;
    const form = Object.entries(on.workflow_dispatch?.inputs ?? {}).map(
      ([name, { default: value = '' }]) => [name, chosen[name] ?? String(value)] as const,
    );
    const context: Record<string, Readonly<Record<string, string>>> = {
      env,
      inputs: Object.fromEntries(form),
      runner: { temp: home },
    };
    const steps = Object.values(jobs).flatMap((job) => job.steps);
    const step = steps.find(({ uses = '' }) => uses.startsWith('registry-manifest-cleanup/'));
    const inputs = Object.entries(present(step?.with)).map(([name, value]) => [
      name,
      value
        .replace(/\$\{\{ (\w+)\.([\w-]+) \}\}/g, (_, of: string, key: string) =>
          present(context[of]?.[key]),
        )
        .replaceAll('registry.example.com', registry.url),
    ]);
    const enter = `process.chdir(${JSON.stringify(home)})`;
    return runAction(Object.fromEntries(inputs) as Record<string, string>, {
      env: { DOCKER_CONFIG: home },
      nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(enter)}`],
    });
  }

  // The tests of this block follow each other as the days of a team do.
  it('delete the image before, in the job that pushed (after-push.yml)', async () => {
    await release(registry, one);
    expectGreen(await runExample('after-push.yml'), { 'deleted-count': '0' });
    await release(registry, two);
    expectGreen(await runExample('after-push.yml'), { 'failed-count': '0' });
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toHaveLength(1);
  });

  it('clean everything that lost its tag since the night before (scheduled.yml)', async () => {
    const others = ['team/api', 'ops/tools'];
    await Promise.all(others.map((repository) => release(registry, one, { repository })));
    expectGreen(await runExample('scheduled.yml'), { 'deleted-count': '0' });
    await Promise.all(others.map((repository) => release(registry, two, { repository })));
    expectGreen(await runExample('scheduled.yml'), { 'failed-count': '0' });
    const left = [APP, ...others].flatMap((repository) => [...named([two], repository)]);
    expect(apart(registry.manifests()).users).toEqual(new Set(left));
    expect(await entriesOf(registry)).toHaveLength(3);
  });

  it('show what would go and change nothing, until the box is cleared (by-hand.yml)', async () => {
    await release(registry, one);
    const [before, entries] = [registry.manifests(), await entriesOf(registry)];
    const gone = [...named([two])].filter((each) => !named([one]).has(each));
    const shown = await runExample('by-hand.yml');
    expectGreen(shown, { 'orphans-found': String(gone.length), 'deleted-count': '0' });
    expect(shown.outputs['report-file']).toMatch(/\/cleanup-report\.json$/);
    expect(registry.manifests()).toEqual(before);
    expect(await entriesOf(registry)).toEqual(entries);

    const done = await runExample('by-hand.yml', { 'dry-run': 'false' });
    expectGreen(done, { 'deleted-count': String(gone.length) });
    const deleted = JSON.parse(done.outputs['deleted-digests'] ?? '') as string[];
    expect(deleted.sort()).toEqual(gone.sort());
  });
});

describe('the ledger of 10,000 tags', () => {
  it('costs a run without news no more than 1 % beside a HEAD for each tag', async () => {
    const TAGS = 10_000;
    const registry = await startMemoryRegistry();
    cleanups.push(() => registry.stop());
    for (let n = 0; n < TAGS; n += 1) {
      seedState(registry.state, APP, image(`build ${String(n)}`), `build-${String(n)}`);
    }
    expectGreen(await clean(registry), { 'kept-count': String(TAGS) });
    registry.requests.length = 0;
    expectGreen(await clean(registry), { 'kept-count': String(TAGS), 'orphans-found': '0' });
    expect(registry.requests.length).toBeGreaterThanOrEqual(TAGS);
    expect(registry.requests.length).toBeLessThanOrEqual(TAGS * 1.01);
    const others = registry.requests.filter(({ method }) => method !== 'HEAD');
    expect(others.length).toBeLessThan(10);
    expect(new Set(others.map(({ method }) => method))).toEqual(new Set(['GET']));
  });
});
