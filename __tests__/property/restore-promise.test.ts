/**
 * A dry-run of `restore-from` promises what the real run then does: for random backups, and registries that have lost
 * children, blobs and tags which no backup has.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, jest } from '@jest/globals';
import { onRealGrounds } from '../support/scenes/real-grounds.js';
import fc from 'fast-check';

import type { Restorer } from '../../src/registry/registry.js';
import { openBackup } from '../../src/run/backup/backup.js';
import type { RestoreRan } from '../support/scenes/restore-run.js';
import { runRestore } from '../support/scenes/restore-run.js';
import { send, type Destination } from '../support/clients/push.js';
import { startMemoryRegistry } from '../support/servers/memory/registry.js';
import { repositoryOf } from '../support/servers/memory/state.js';
import { undoOf, withUndo, type Undo } from '../support/servers/memory/undo.js';
import { present } from '../support/servers/real-registries.js';
import { builtEstates, runs } from '../support/builders/arbitraries.js';
import { settle, type Built } from '../support/builders/random-estate.js';
import {
  lookInto,
  memoryGround,
  type Ground,
  type Look,
} from '../support/scenes/estate-registry.js';
import { silence } from '../support/scenes/captured-output.js';

jest.setTimeout(3_600_000);
silence();

/** What the registry has lost, and what of it the backup has. Switches are by number, and in turn. */
interface Loss {
  readonly built: Built;
  /** whether a manifest is gone, and whether the backup has it */
  readonly lost: readonly boolean[];
  readonly saved: readonly boolean[];
  /** whether a blob is gone */
  readonly collected: readonly boolean[];
  /** whether a tag of a manifest that stands is gone, though the backup has it */
  readonly untagged: readonly boolean[];
  readonly concurrency: number;
}

const often = (isSo: boolean) =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant([isSo]) },
    { weight: 2, arbitrary: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }) },
  );

function losses(size: number): fc.Arbitrary<Loss> {
  return fc.record({
    built: builtEstates(size),
    lost: often(true),
    saved: often(true),
    collected: often(false),
    untagged: often(false),
    concurrency: fc.constantFrom(1, 3),
  });
}

const turn = (all: readonly boolean[], n: number) => all[n % all.length] === true;

const FORMS = new Set(['image', 'artifact', 'index']);

/** What no run can know before it tries: whether a registry takes, or restores, a type that nobody knows. */
function isPlain({ estate, contents }: Built, digest: string, byServer: boolean): boolean {
  const node = estate.nodes[contents.findIndex((content) => content.digest === digest)];
  return FORMS.has(String(node?.form)) && !(byServer && node?.mentions.length !== 0);
}

interface Lost {
  readonly manifests: ReadonlySet<string>;
  readonly blobs: ReadonlySet<string>;
  readonly tags: ReadonlySet<string>;
}

/** Writes the backup. @returns what is to be taken from the registry */
async function prepare(
  { built, ...loss }: Loss,
  before: Look,
  url: string,
  [repository, backup]: readonly [string, string],
  idOf?: (digest: string) => string,
): Promise<Lost> {
  const there = built.contents.filter(
    ({ digest }) => digest in before.manifests && isPlain(built, digest, idOf !== undefined),
  );
  const manifests = new Set(
    there.flatMap(({ digest }, n) => (turn(loss.lost, n) ? [digest as string] : [])),
  );
  const inBackup = there.filter((_, n) => turn(loss.saved, n));
  const tagsOf = (digest: string) =>
    Object.keys(before.tags).filter((tag) => before.tags[tag] === digest);
  await openBackup(backup).save(
    inBackup.map(({ digest, mediaType, bytes }) => ({
      registry: url,
      repository,
      digest,
      mediaType,
      bytes,
      ...(idOf === undefined ? {} : { id: idOf(digest) }),
      tags: tagsOf(digest).sort(),
      savedAt: 0,
      reason: { kind: 'unreachable' },
    })),
  );
  const blobs = built.contents.flatMap((content) => [...content.blobs.keys()]);
  return {
    manifests,
    blobs: new Set([...new Set(blobs)].filter((_, n) => turn(loss.collected, n))),
    tags: new Set(
      inBackup
        .flatMap(({ digest }) => (manifests.has(digest) ? [] : tagsOf(digest)))
        .filter((_, n) => turn(loss.untagged, n)),
    ),
  };
}

/** What a run says of each manifest and tag. Why the undo failed is known in other words before it is tried. */
function saidBy({ run }: RestoreRan) {
  const words = <T extends { readonly why: string }>(one: T) => ({
    ...one,
    why: one.why.replace(/^.*(?=It can't be pushed either)/, ''),
  });
  return run?.repositories.map(({ failed, failedTags, ...rest }) => ({
    ...rest,
    failed: failed.map(words),
    failedTags: failedTags.map(words),
  }));
}

/** @returns how many manifests came back */
async function expectPromiseKept(
  url: string,
  backup: string,
  { concurrency }: Loss,
  { look, isWritten }: { look: () => Promise<Look>; isWritten: () => boolean },
): Promise<number> {
  const options = { url, concurrency, restoreFrom: backup };
  const before = await look();
  const promise = await runRestore({ ...options, dryRun: true });
  expect(isWritten()).toBe(false);
  expect(await look()).toEqual(before);
  const real = await runRestore(options);
  expect(saidBy(promise)).toEqual(saidBy(real));
  expect(promise.complaints).toHaveLength(real.complaints.length);
  const back = real.run?.repositories.flatMap(({ restored }) => restored) ?? [];
  expect(Object.keys((await look()).manifests)).toEqual(expect.arrayContaining(back));
  return back.length;
}

async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'promise-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function expectPromise(ground: Ground, repository: string, loss: Loss): Promise<number> {
  const { built } = loss;
  const to: Destination = { url: ground.url };
  ground.intercept();
  await ground.lay(repository, built, false);
  const take = (path: string) => send(to, { method: 'DELETE', path: `/v2/${repository}/${path}` });
  return inDirectory(async (backup) => {
    const before = await ground.look(repository, built);
    const lost = await prepare(loss, before, ground.url, [repository, backup]);
    for (const digest of lost.manifests) {
      await take(`manifests/${digest}`);
    }
    for (const digest of lost.blobs) {
      await take(`blobs/${digest}`);
    }
    let writes = 0;
    const asked: string[] = [];
    ground.intercept(({ method, path }) => {
      writes += ['GET', 'HEAD'].includes(method) ? 0 : 1;
      asked.push(`${method} ${path}`);
      return undefined;
    });
    const isWritten = () => {
      const blobs = asked.filter((each) => each.includes('/blobs/'));
      expect(blobs).toEqual([...new Set(blobs)]);
      return writes > 0;
    };
    try {
      return await expectPromiseKept(ground.url, backup, loss, {
        look: () => ground.look(repository, built),
        isWritten,
      });
    } finally {
      ground.intercept();
    }
  });
}

describe('a dry-run of a restore', () => {
  describe.each([
    ['plain', {}],
    ['undigested', { digestHeader: false }],
  ] as const)('in memory (%s)', (_, options) => {
    it('restore-promised: promises what the real run restores, and names what it can not', async () => {
      const ground = await memoryGround(options);
      let met = 0;
      try {
        await fc.assert(
          fc.asyncProperty(losses(12), async (loss) => {
            met += await expectPromise(ground, 'team/app', loss);
          }),
          runs(60),
        );
        expect(met).toBeGreaterThan(0);
      } finally {
        await ground.stop();
      }
    });
  });

  it('restore-promised: promises what a registry with an undo of its own gives back, too', async () => {
    const registry = await startMemoryRegistry();
    const { state, url } = registry;
    const repository = 'team/app';
    let restorer: Restorer | undefined;
    const end = withUndo(url, () => present(restorer));
    let met = 0;
    const undoing = fc.record({
      refused: often(false),
      named: often(true),
      withTags: fc.boolean(),
      lag: fc.constantFrom(0, 2),
    });
    try {
      await fc.assert(
        fc.asyncProperty(losses(12), undoing, async (loss, { refused, named, withTags, lag }) => {
          const { built } = loss;
          state.repositories.clear();
          state.blobs.clear();
          settle(state, repository, built);
          const app = repositoryOf(state, repository);
          const numberOf = (digest: string) => built.idOf.get(digest) ?? 0;
          const undo: Undo = undoOf(registry, repository, {
            withTags,
            lag,
            refuses: (digest) => turn(refused, numberOf(digest)),
          });
          restorer = undo.restorer;
          await inDirectory(async (backup) => {
            const lost = await prepare(
              loss,
              lookInto(state, repository),
              url,
              [repository, backup],
              (digest) => (turn(named, numberOf(digest)) ? undo.idOf(digest) : '404'),
            );
            lost.manifests.forEach((digest) => app.manifests.delete(digest));
            lost.blobs.forEach((digest) => app.blobs.delete(digest));
            [...app.tags]
              .filter(([tag, digest]) => lost.tags.has(tag) || lost.manifests.has(digest))
              .forEach(([tag]) => app.tags.delete(tag));
            registry.requests.length = 0;
            registry.intercept(undo.interceptor);
            met += await expectPromiseKept(url, backup, loss, {
              look: () => Promise.resolve(lookInto(state, repository)),
              isWritten: () =>
                undo.asked.length > 0 ||
                registry.requests.some(({ method }) => !['GET', 'HEAD'].includes(method)),
            });
          });
        }),
        runs(60),
      );
      expect(met).toBeGreaterThan(0);
    } finally {
      end();
      await registry.stop();
    }
  });

  onRealGrounds((next) => {
    it('restore-promised: promises what the real run restores, and names what it can not', async () => {
      await fc.assert(
        fc.asyncProperty(losses(8), async (loss) => {
          const { ground, repository } = next();
          await expectPromise(ground, repository, loss);
        }),
        runs(10),
      );
    });
  });
});
