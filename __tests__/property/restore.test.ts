/**
 * A run can be undone: for every repository, plan, fault and cut, `restore-from` its backup gives back every byte and
 * every tag that was there before it. On the registry in memory, and on real ones, which have the last word on what they take.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { onRealGrounds } from '../support/scenes/real-grounds.js';
import fc from 'fast-check';

import { RequestFailure } from '../../src/http/message.js';
import type { Restorer } from '../../src/registry/registry.js';
import { openBackup } from '../../src/run/backup/backup.js';
import { readProtect } from '../../src/plan/protection.js';
import { NO_PROTECTION } from '../support/builders/protections.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Interceptor, SeenRequest } from '../support/servers/memory/script.js';
import { repositoryOf } from '../support/servers/memory/state.js';
import { undoOf, withUndo } from '../support/servers/memory/undo.js';
import { present } from '../support/servers/real-registries.js';
import { builtEstates, changes, runs, type Timed } from '../support/builders/arbitraries.js';
import { change, GRACE, settle, type Built } from '../support/builders/random-estate.js';
import { faults, KINDS, type Fault } from '../support/scenes/faults.js';
import {
  lookInto,
  memoryGround,
  type Ground,
  type Look,
} from '../support/scenes/estate-registry.js';
import { run, type RunOptions } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';
import { faultScript, setUp } from '../support/scenes/stage.js';
import { runRestore } from '../support/scenes/restore-run.js';

jest.setTimeout(3_600_000);
silence();

const LOGIN = { username: 'me', password: 'secret-word' } as const;

const OPTIONS = {
  plain: {},
  referrers: { referrersApi: true, tagPageSize: 2 },
  undigested: { digestHeader: false },
  // Tokens that wear out after a few requests, so that they expire in the middle of everything.
  token: { auth: { kind: 'token', ...LOGIN, maxUses: 12 } },
} as const;

/** What comes between a run and its end. */
interface Trouble {
  readonly faults: readonly Fault[];
  /** at one request the connection dies, and it stays dead */
  readonly cut?: {
    /** from 1, among all requests or those with this method */
    readonly at: number;
    readonly among: 'all' | 'DELETE' | 'PUT';
    /** whether that request was carried out */
    readonly when: 'before' | 'after';
  };
}

function troubles(method: 'DELETE' | 'PUT'): fc.Arbitrary<Trouble> {
  const cut = (among: 'all' | typeof method, max: number) =>
    fc.record({
      at: fc.integer({ min: 1, max }),
      among: fc.constant(among),
      when: fc.constantFrom('before' as const, 'after' as const),
    });
  const none = fc.constant([]);
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ faults: none }) },
    { weight: 2, arbitrary: fc.record({ faults: faults(KINDS, [1, 2, 3, 100]) }) },
    { weight: 1, arbitrary: fc.record({ faults: none, cut: cut('all', 60) }) },
    { weight: 4, arbitrary: fc.record({ faults: none, cut: cut(method, 6) }) },
  );
}

interface Setting {
  /** how a run comes to know of orphans */
  readonly knows: 'candidates' | 'ledger' | 'both';
  readonly danglingReferrers: 'keep' | 'delete';
  readonly gracePeriod: number;
  readonly keepUntagged: number;
  /** numbers of manifests, of which only those count that there are */
  readonly protect: readonly number[];
  readonly concurrency: number;
}

const settings: fc.Arbitrary<Setting> = fc.record({
  knows: fc.constantFrom('candidates', 'ledger', 'both'),
  danglingReferrers: fc.constantFrom('keep', 'delete'),
  gracePeriod: fc.constantFrom(0, GRACE),
  keepUntagged: fc.constantFrom(0, 0, 0, 1),
  protect: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.nat({ max: 11 }), { maxLength: 2 }) },
  ),
  concurrency: fc.constantFrom(1, 3),
});

/** A repository, a run and what befalls it, and what befalls the first try to take it back. */
interface Case {
  readonly built: Built;
  readonly setting: Setting;
  readonly sweep: Trouble;
  readonly back: Trouble;
}

function cases(size: number): fc.Arbitrary<Case> {
  return fc.record({
    built: builtEstates(size),
    setting: settings,
    sweep: troubles('DELETE'),
    back: troubles('PUT'),
  });
}

function scriptOf({ faults: some, cut }: Trouble): Interceptor {
  const fault = faultScript(some);
  let left = cut?.at ?? Infinity;
  return (request) => {
    if (left <= 0) {
      return { kind: 'reset' };
    }
    left -= cut?.among === 'all' || cut?.among === request.method ? 1 : 0;
    return left > 0 ? fault(request) : { kind: cut?.when === 'after' ? 'lose' : 'reset' };
  };
}

function isWrite({ method, route }: SeenRequest): boolean {
  return !['GET', 'HEAD'].includes(method) && route.kind !== 'token';
}

/**
 * What no registry takes back: an index that held, already before, something that was not there. Nor what holds
 * such an index, if that went, too.
 */
function hopeless(built: Built, before: Look, after: Look): Set<string> {
  const found = new Set<string>();
  built.estate.nodes.forEach(({ form, children, mentions }, id) => {
    const digest = built.contents[id]?.digest ?? '';
    const held = [...children, ...mentions].map((each) => built.contents[each]?.digest ?? '');
    const lacks = held.some((each) => !(each in before.manifests) || found.has(each));
    if (form === 'index' && lacks && digest in before.manifests && !(digest in after.manifests)) {
      found.add(digest);
    }
  });
  return found;
}

function without({ manifests, tags }: Look, digests: ReadonlySet<string>): Look {
  return {
    manifests: Object.fromEntries(
      Object.entries(manifests).filter(([digest]) => !digests.has(digest)),
    ),
    tags: Object.fromEntries(Object.entries(tags).filter(([, digest]) => !digests.has(digest))),
  };
}

/** @returns whether there was anything to give back */
async function expectRestored(
  ground: Ground,
  repository: string,
  { built, setting, sweep, back }: Case,
): Promise<boolean> {
  const { knows, protect, ...plan } = setting;
  const named = protect.flatMap((id) => built.contents[id]?.digest ?? []);
  const { host } = new URL(ground.url);
  const options: RunOptions = {
    url: ground.url,
    credentials: { kind: 'basic', ...LOGIN },
    repositories: [repository],
    candidates: new Map(knows === 'ledger' ? [] : [[repository, built.candidates]]),
    ...(knows === 'candidates' ? {} : { ledgerRepository: `${repository}-ledger` }),
    ...plan,
    protection:
      named.length === 0
        ? NO_PROTECTION
        : readProtect(named.join('\n'), host, (entry) => {
            throw new Error(`not understood: ${entry}`);
          }),
  };
  const backup = await mkdtemp(join(tmpdir(), 'restore-'));
  try {
    ground.intercept();
    await ground.lay(repository, built, knows !== 'candidates');
    if (knows !== 'candidates') {
      expect(await run(options)).toMatchObject({ complaints: [] });
      await ground.abandon(repository, built);
    }
    const before = await ground.look(repository, built);

    ground.intercept(scriptOf(sweep));
    await run({ ...options, backupDirectory: backup });
    ground.intercept();
    const after = await ground.look(repository, built);
    if (!existsSync(join(backup, 'index.jsonl'))) {
      expect(after).toEqual(before);
      return false;
    }

    const gone = hopeless(built, before, after);
    const expected = without(before, gone);
    const again = { ...options, restoreFrom: backup };
    ground.intercept(scriptOf(back));
    const first = await runRestore(again);
    ground.intercept();
    // Right or red; and what is said to be back is back, however red the rest is.
    const now = await ground.look(repository, built);
    expect(first.complaints.length === 0 ? now : before).toEqual(before);
    for (const digest of first.run?.repositories.flatMap(({ restored }) => restored) ?? []) {
      expect(now.manifests[digest]).toBe(before.manifests[digest]);
    }

    const second = await runRestore(again);
    expect(await ground.look(repository, built)).toEqual(expected);
    const failed = second.run?.repositories.flatMap((each) => each.failed) ?? [];
    const failedTags = second.run?.repositories.flatMap((each) => each.failedTags) ?? [];
    expect(new Set(failed.map(({ digest }) => digest))).toEqual(gone);
    expect(new Set(failedTags.map(({ tag }) => tag))).toEqual(
      new Set(Object.keys(before.tags).filter((tag) => !(tag in expected.tags))),
    );
    expect(second.complaints).toHaveLength(failed.length + failedTags.length);

    const taken: string[] = [];
    ground.intercept((request) =>
      isWrite(request)
        ? {
            kind: 'rewrite',
            rewrite: (own) => {
              if (own.status < 400) {
                taken.push(`${request.method} ${request.path}`);
              }
              return own;
            },
          }
        : undefined,
    );
    const third = await runRestore(again);
    expect(taken).toEqual([]);
    expect(third.run?.repositories.flatMap(({ restored }) => restored)).toEqual([]);
    expect(third.complaints).toEqual(second.complaints);
    expect(await ground.look(repository, built)).toEqual(expected);

    return Object.keys(before.manifests).some((digest) => !(digest in after.manifests));
  } finally {
    ground.intercept();
    await rm(backup, { recursive: true, force: true });
  }
}

/** Others push and move tags until the second look begins: what they had made of it by then is to come back. */
async function expectRestoredAfter(
  registry: MemoryRegistry,
  built: Built,
  script: readonly Timed[],
  { danglingReferrers, gracePeriod, concurrency }: Setting,
): Promise<void> {
  const { state, url } = registry;
  const repository = 'team/app';
  const look = () => lookInto(state, repository);
  setUp(registry, [{ repository, built }]);
  const waiting = [...script].sort((a, b) => a.before - b.before);
  let n = 0;
  let sweeping = false;
  let before: Look | undefined;
  registry.intercept(({ route }) => {
    n += 1;
    if (before === undefined) {
      const isSecond = sweeping && 'repository' in route && route.repository === repository;
      while (waiting[0] !== undefined && (waiting[0].before <= n || isSecond)) {
        change(state, repository, built, waiting[0].change);
        waiting.shift();
      }
      before = isSecond ? look() : undefined;
    }
    return undefined;
  });
  const backup = await mkdtemp(join(tmpdir(), 'restore-'));
  try {
    const options = { url, danglingReferrers, gracePeriod, concurrency };
    await run({
      ...options,
      repositories: [repository],
      candidates: new Map([[repository, built.candidates]]),
      backupDirectory: backup,
      onSweep: () => {
        sweeping = true;
      },
    });
    registry.intercept();
    const after = look();
    if (before === undefined || !existsSync(join(backup, 'index.jsonl'))) {
      return;
    }
    await runRestore({ ...options, restoreFrom: backup });
    const { manifests, tags } = without(before, hopeless(built, before, after));
    const now = look();
    expect(now.manifests).toEqual(manifests);
    expect(now.tags).toMatchObject(tags);
  } finally {
    await rm(backup, { recursive: true, force: true });
  }
}

/** What a registry with an undo of its own loses, and how well that undo works. */
interface Loss {
  readonly built: Built;
  /** of each, by number and in turn: whether it is lost, has an id in the backup, and is refused */
  readonly lost: readonly boolean[];
  readonly named: readonly boolean[];
  readonly refused: readonly boolean[];
  /** whether the blobs are gone, too: then only the undo can restore an image */
  readonly blobsGone: boolean;
  readonly withTags: boolean;
  readonly lag: number;
  /** whether a restore that is carried out gets no answer */
  readonly loses: boolean;
  /** the first restore is killed at this request or restore, counted together */
  readonly cut: number;
  readonly when: 'before' | 'after';
  readonly concurrency: number;
}

const switches = fc.array(fc.boolean(), { minLength: 1, maxLength: 12 });

const losses: fc.Arbitrary<Loss> = fc
  .record({
    built: builtEstates(12),
    lost: switches,
    named: fc.oneof(fc.constant([true]), switches),
    refused: fc.oneof(fc.constant([false]), switches),
    blobsGone: fc.boolean(),
    withTags: fc.boolean(),
    lag: fc.constantFrom(0, 0, 2, Infinity),
    loses: fc.boolean(),
    cut: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 60 })),
    when: fc.constantFrom('before', 'after'),
    concurrency: fc.constantFrom(1, 3),
  })
  .map((one) => ({ ...one, loses: one.loses && one.lag === 0 }));

/**
 * The manifests that have to come back: those that the undo restores, and those that can be pushed. No index without
 * its children.
 */
function dueOf(
  { built, blobsGone }: Loss,
  before: Look,
  lost: ReadonlySet<string>,
  isServed: (digest: string) => boolean,
): Set<string> {
  const due = new Set<string>();
  const digestOf = (id: number) => built.contents[id]?.digest ?? '';
  const comes = (digest: string) =>
    digest in before.manifests && (!lost.has(digest) || due.has(digest));
  // Numbers refer to smaller ones only.
  built.estate.nodes.forEach(({ form, children, mentions }, id) => {
    const digest = digestOf(id);
    const [parts, others] = form === 'index' ? [children, mentions] : [[], []];
    const isWhole =
      parts.map(digestOf).every(comes) &&
      others
        .map(digestOf)
        .every((each) => comes(each) || (isServed(digest) && !(each in before.manifests)));
    if (lost.has(digest) && isWhole && (isServed(digest) || !blobsGone)) {
      due.add(digest);
    }
  });
  return due;
}

/** @returns how many manifests came back by the registry's own undo */
async function expectUndone(
  registry: MemoryRegistry,
  loss: Loss,
  use: (restorer: Restorer) => void,
) {
  const { built, blobsGone, cut, when, concurrency, ...how } = loss;
  const { state, url } = registry;
  const repository = 'team/app';
  registry.intercept();
  state.repositories.clear();
  state.blobs.clear();
  settle(state, repository, built);
  const app = repositoryOf(state, repository);
  const before = lookInto(state, repository);
  const turn = (all: readonly boolean[], digest: string) =>
    all[(built.idOf.get(digest) ?? 0) % all.length] === true;
  const undo = undoOf(registry, repository, {
    withTags: how.withTags,
    lag: how.lag,
    refuses: (digest) => turn(how.refused, digest),
    loses: () => how.loses,
  });
  const forms = new Set(['image', 'artifact', 'index']);
  const lost = built.contents.filter(
    ({ digest }, id) =>
      app.manifests.has(digest) &&
      turn(how.lost, digest) &&
      forms.has(String(built.estate.nodes[id]?.form)),
  );
  const gone = new Set<string>(lost.map(({ digest }) => digest));
  const isNamed = (digest: string) => turn(how.named, digest);
  const due = dueOf(
    loss,
    before,
    gone,
    (digest) => isNamed(digest) && !turn(how.refused, digest) && how.lag < 5,
  );

  const lacking = hopeless(built, before, { manifests: {}, tags: {} });

  const backup = await mkdtemp(join(tmpdir(), 'undo-'));
  try {
    await openBackup(backup).save(
      lost.map(({ digest, mediaType, bytes }) => ({
        registry: url,
        repository,
        digest,
        mediaType,
        bytes,
        ...(isNamed(digest) ? { id: undo.idOf(digest) } : {}),
        tags: Object.keys(before.tags)
          .filter((tag) => before.tags[tag] === digest)
          .sort(),
        savedAt: 0,
        reason: { kind: 'unreachable' },
      })),
    );
    gone.forEach((digest) => app.manifests.delete(digest));
    [...app.tags].filter(([, digest]) => gone.has(digest)).forEach(([tag]) => app.tags.delete(tag));
    if (blobsGone) {
      app.blobs.clear();
    }
    if (lost.length === 0) {
      return 0;
    }
    const again = { url, concurrency, restoreFrom: backup };
    const restoredBy = ({ run: ran }: Awaited<ReturnType<typeof runRestore>>) =>
      ran?.repositories.flatMap(({ restored }) => restored.map(String)) ?? [];

    use(undo.restorer);
    registry.requests.length = 0;
    const promise = await runRestore({ ...again, dryRun: true });
    expect(restoredBy(promise)).toEqual(expect.arrayContaining([...due]));
    expect(registry.requests.filter(({ method }) => !['GET', 'HEAD'].includes(method))).toEqual([]);
    expect(undo.asked).toEqual([]);

    let left = cut;
    const step = () => {
      left -= 1;
      return left > 0 ? 'lives' : left === 0 ? when : 'before';
    };
    const dead = () => new RequestFailure('the run was killed', 'registry-unreachable');
    use({
      ...undo.restorer,
      restore: async (name, id) => {
        const state = step();
        if (state === 'before') {
          throw dead();
        }
        await undo.restorer.restore(name, id);
        if (state === 'after') {
          throw dead();
        }
      },
    });
    registry.intercept((request) => {
      const state = step();
      const own = state === 'before' ? undefined : undo.interceptor(request);
      return state === 'lives' ? own : { kind: state === 'after' ? 'lose' : 'reset' };
    });
    const first = await runRestore(again);
    const now = lookInto(state, repository);
    expect(first.complaints.length === 0 ? now : before).toEqual(before);
    for (const digest of restoredBy(first)) {
      expect(now.manifests[digest]).toBe(before.manifests[digest]);
    }

    use(undo.restorer);
    registry.intercept(undo.interceptor);
    const second = await runRestore(again);
    const end = lookInto(state, repository);
    expect(before.manifests).toMatchObject(end.manifests);
    expect(before.tags).toMatchObject(end.tags);
    expect(Object.keys(end.manifests)).toEqual(expect.arrayContaining([...due]));
    const failed = second.run?.repositories.flatMap((each) => each.failed) ?? [];
    const missing = [...gone].filter((digest) => !(digest in end.manifests));
    expect(failed.map(({ digest }) => digest)).toEqual(missing.sort());
    const failedTags = second.run?.repositories.flatMap((each) => each.failedTags) ?? [];
    const untagged = Object.keys(before.tags).filter((tag) => !(tag in end.tags));
    expect(failedTags.map(({ tag }) => tag)).toEqual(untagged.sort());
    expect(second.complaints).toHaveLength(failed.length + failedTags.length);
    // An index that lacked an entry before can be restored, and its tag can't be pushed.
    const hopeful = untagged.filter((tag) => !lacking.has(before.tags[tag] ?? ''));
    expect(missing).toEqual(expect.arrayContaining(hopeful.map((tag) => before.tags[tag])));
    return [first, second]
      .flatMap((each) => each.run?.repositories ?? [])
      .flatMap(({ byServer }) => byServer).length;
  } finally {
    registry.intercept();
    await rm(backup, { recursive: true, force: true });
  }
}

describe('a restore at a registry with an undo of its own', () => {
  it('restore-whole: gives back what the undo or a push can, through kills, refusals and lags', async () => {
    const registry = await startMemoryRegistry();
    let restorer: Restorer | undefined;
    const end = withUndo(registry.url, () => present(restorer));
    let met = 0;
    try {
      await fc.assert(
        fc.asyncProperty(losses, async (loss) => {
          met += await expectUndone(registry, loss, (one) => {
            restorer = one;
          });
        }),
        runs(50),
      );
      expect(met).toBeGreaterThan(0);
    } finally {
      end();
      await registry.stop();
    }
  });
});

describe('a sweep and its restore', () => {
  describe.each(Object.keys(OPTIONS) as (keyof typeof OPTIONS)[])('in memory (%s)', (name) => {
    let ground: Ground;

    beforeAll(async () => {
      ground = await memoryGround(OPTIONS[name]);
    });

    afterAll(() => ground.stop());

    it('restore-whole: give back every byte and every tag, through all faults', async () => {
      let met = 0;
      await fc.assert(
        fc.asyncProperty(cases(12), async (one) => {
          met += (await expectRestored(ground, 'team/app', one)) ? 1 : 0;
        }),
        runs(25),
      );
      // Where nothing is ever deleted, nothing is shown.
      expect(met).toBeGreaterThan(0);
    });
  });

  it('restore-whole: give back what others had made of it by the recheck', async () => {
    const registry = await startMemoryRegistry();
    const moved = builtEstates(12).chain((built) =>
      fc.record({ built: fc.constant(built), script: changes(built, 40), setting: settings }),
    );
    try {
      await fc.assert(
        fc.asyncProperty(moved, async ({ built, script, setting }) => {
          await expectRestoredAfter(registry, built, script, setting);
        }),
        runs(25),
      );
    } finally {
      await registry.stop();
    }
  });

  onRealGrounds((next) => {
    it('restore-whole: give back every byte and every tag, through all faults', async () => {
      await fc.assert(
        fc.asyncProperty(cases(8), async (one) => {
          const { ground, repository } = next();
          await expectRestored(ground, repository, one);
        }),
        runs(10),
      );
    });
  });
});
