/**
 * `kill -9` at every single request of a run, once before it is carried out and once after: no tag that stays is
 * ever broken, the next run ends where an undisturbed one does, and what the killed run saved gives back all that
 * was there before it, byte for byte.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';

import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { LEDGER } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import {
  emptyState,
  parseBody,
  repositoryOf,
  type RegistryState,
} from '../support/servers/memory/state.js';
import { seed, send } from '../support/clients/push.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';

// Hundreds of processes on a small machine that others use, too.
jest.setTimeout(300_000);

const APP = 'team/app';
/** So many processes at a time, each with a registry of its own. */
const BENCHES = 2;

const shared = image('shared', { platform: LINUX_ARM64 });
const first = index([image('first'), shared]);
const second = index([image('second'), shared]);
const stable = image('stable');
const lone = image('lone');
const nested = index([index([image('inner')])]);
const former = image('former');
/** It lists an image under a type that nobody knows: that has to be there before it, all the same. */
const odd = index([
  { ...lone, descriptor: { ...lone.descriptor, mediaType: 'application/vnd.example.thing' } },
]);

/** A signature of cosign's, and an SBOM as clients of registries without a referrers API push it. */
function about(state: RegistryState, content: Content): void {
  seed(state, APP, cosign('sig', content), digestTag(content.digest, 'sig'));
  seed(state, APP, fallbackIndex([referrer('sbom', content)]), digestTag(content.digest));
}

/** What a run saw and remembers. */
function yesterday(): RegistryState {
  const state = emptyState();
  seed(state, APP, first, 'latest');
  about(state, first);
  seed(state, APP, stable, 'stable');
  seed(state, APP, cosign('sig', stable), digestTag(stable.digest, 'sig'));
  seed(state, APP, former, 'former');
  seed(state, APP, cosign('sig', former), digestTag(former.digest, 'sig'));
  return state;
}

/** What happened since. */
function today(before: RegistryState): RegistryState {
  const state = clone(before);
  seed(state, APP, second, 'latest');
  about(state, second);
  const { manifests, tags } = repositoryOf(state, APP);
  // By another tool, which left the signature.
  manifests.delete(former.digest);
  tags.delete('former');
  // Pushed by digest, and seen by no run.
  seed(state, APP, odd);
  seed(state, APP, nested);
  return state;
}

/** `digests`: what the ledger can't know of. The fewer requests a run has, the sooner all are tried. */
const INPUTS = {
  repositories: APP,
  'grace-period': '0',
  digests: [odd, lone, nested].map(({ digest }) => `${APP}@${digest}`).join('\n'),
};
const ORPHANS = 11;

function clone({ repositories, blobs }: RegistryState): RegistryState {
  return {
    repositories: new Map(
      [...repositories].map(([name, each]) => [
        name,
        {
          ...each,
          tags: new Map(each.tags),
          manifests: new Map(each.manifests),
          blobs: new Set(each.blobs),
        },
      ]),
    ),
    blobs: new Map(blobs),
  };
}

/** What users have there: type and bytes by digest, and what each tag names. */
function usersIn(state: RegistryState): unknown {
  const { manifests, tags } = repositoryOf(state, APP);
  return {
    manifests: Object.fromEntries(
      [...manifests].map(([digest, { mediaType, bytes }]) => [
        digest,
        `${mediaType} ${bytes.toString()}`,
      ]),
    ),
    tags: Object.fromEntries(tags),
  };
}

/** What each entry of the ledger says of which manifest: its digest and status. */
function memoryIn(state: RegistryState): string[][] {
  const { tags, manifests } = repositoryOf(state, LEDGER);
  return [...tags.values()].map((digest) => {
    const layer = parseBody(manifests.get(digest)?.bytes ?? Buffer.from('{}')).layers?.[0];
    const text = gunzipSync(state.blobs.get(layer?.digest ?? '') ?? Buffer.alloc(0)).toString();
    const entry = JSON.parse(text) as { manifests: { digest: string; status: string }[] };
    return entry.manifests.map((each) => `${each.digest} ${each.status}`).sort();
  });
}

/** What a pull of anything there would miss: manifests, children of any index, blobs. */
function brokenIn(state: RegistryState): string[] {
  const { tags, manifests, blobs } = repositoryOf(state, APP);
  const wrongs: string[] = [];
  for (const [tag, digest] of tags) {
    if (!manifests.has(digest)) {
      wrongs.push(`tag ${tag} names ${digest}, which is gone`);
    }
  }
  for (const [digest, { bytes }] of manifests) {
    const { config = {}, layers = [], manifests: entries } = parseBody(bytes);
    const lost = (entries ?? [config, ...layers]).filter(({ digest: named = '' }) =>
      entries === undefined ? !blobs.has(named) || !state.blobs.has(named) : !manifests.has(named),
    );
    wrongs.push(...lost.map((each) => `${digest} lacks ${String(each.digest)}`));
  }
  return wrongs;
}

interface Kill {
  /** from 1 */
  readonly n: number;
  readonly when: 'before' | 'after';
}

interface Played {
  readonly run: ActionRun;
  /** what the run left */
  readonly state: RegistryState;
  /** the requests of the run, in order */
  readonly requests: readonly string[];
}

/** A registry of its own, into which one state after the other is put. */
class Bench {
  readonly #registry: MemoryRegistry;

  constructor(registry: MemoryRegistry) {
    this.#registry = registry;
  }

  async play(
    state: RegistryState,
    inputs: Readonly<Record<string, string>>,
    kill?: Kill,
  ): Promise<Played> {
    const registry = this.#registry;
    const { repositories, blobs } = clone(state);
    registry.state.repositories.clear();
    registry.state.blobs.clear();
    repositories.forEach((each, name) => registry.state.repositories.set(name, each));
    blobs.forEach((each, digest) => registry.state.blobs.set(digest, each));
    const requests: string[] = [];
    const killer = new AbortController();
    registry.intercept(async ({ method, path: asked }) => {
      requests.push(`${method} ${asked}`);
      if (requests.length !== kill?.n) {
        return undefined;
      }
      const end = async () => {
        killer.abort();
        await running;
      };
      if (kill.when === 'after') {
        return { kind: 'pass', after: end };
      }
      await end();
      return { kind: 'reset' };
    });
    const running = runAction(
      { 'registry-url': registry.url, ...inputs },
      { killer: killer.signal },
    );
    const run = await running;
    registry.intercept();
    // What the process had sent beside the one at which it died is carried out before this is answered.
    await send(registry, { method: 'GET', path: '/v2/' });
    return { run, state: clone(registry.state), requests };
  }

  stop(): Promise<void> {
    return this.#registry.stop();
  }
}

let benches: Bench[];
let before: RegistryState;
let undisturbed: Played;
const directories: string[] = [];

function directory(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'kill-'));
  directories.push(made);
  return path.join(made, 'backup');
}

beforeAll(async () => {
  benches = await Promise.all(
    Array.from({ length: BENCHES }, async () => new Bench(await startMemoryRegistry())),
  );
  const [bench] = benches as [Bench];
  const seen = await bench.play(yesterday(), INPUTS);
  expect(seen.run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '0' } });
  before = today(seen.state);
  undisturbed = await bench.play(before, { ...INPUTS, 'backup-dir': directory() });
  expect(undisturbed.run).toMatchObject({
    exitCode: 0,
    outputs: { 'deleted-count': String(ORPHANS) },
  });
});

afterAll(async () => {
  await Promise.all(benches.map((bench) => bench.stop()));
  directories.forEach((each) => {
    rmSync(each, { recursive: true, force: true });
  });
});

/** What a backup holds, without the times. */
function savedIn(backup: string): string[] {
  try {
    const files = readdirSync(backup, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name).slice(backup.length));
    const lines = readFileSync(path.join(backup, 'index.jsonl'), 'utf8').split('\n');
    return [...files, ...lines.map((line) => line.replace(/"savedAt":"[^"]*",/, ''))].sort();
  } catch {
    return [];
  }
}

/** What comes after a killed run, from the state and the backup that it left. @returns what went wrong */
async function aftermath(bench: Bench, left: RegistryState, backup: string): Promise<string[]> {
  const wrongs: string[] = [];
  const check = (what: string, test: () => void) => {
    try {
      test();
    } catch (error) {
      wrongs.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  check('right after the kill', () => {
    expect(brokenIn(left)).toEqual([]);
    expect(usersIn(left)).toMatchObject(usersIn(undisturbed.state) as object);
  });
  const next = await bench.play(left, { ...INPUTS, 'backup-dir': directory() });
  check('after the next run', () => {
    expect(next.run.log).not.toContain('::error');
    expect(next.run.exitCode).toBe(0);
    expect(usersIn(next.state)).toEqual(usersIn(undisturbed.state));
    // What is gone is leaving for a run longer, or not, by which of the two found it so.
    const lasting = (state: RegistryState) =>
      memoryIn(state).map((entry) => entry.filter((each) => !/ (leaving|deleted)$/.test(each)));
    expect(lasting(next.state)).toEqual(lasting(undisturbed.state));
  });
  if (savedIn(backup).length === 0) {
    check('without a backup', () => {
      expect(usersIn(left)).toEqual(usersIn(before));
    });
    return wrongs;
  }
  const back = await bench.play(left, { 'restore-from': backup });
  check('after the restore', () => {
    expect(back.run.log).not.toContain('::error');
    expect(back.run.exitCode).toBe(0);
    expect(usersIn(back.state)).toEqual(usersIn(before));
  });
  return wrongs;
}

/** What came of each state and backup that a kill left: from the same, the same comes again. */
const judged = new Map<string, Promise<string[]>>();

async function judge(bench: Bench, kill: Kill): Promise<string[]> {
  const backup = directory();
  const { run, state, requests } = await bench.play(
    before,
    { ...INPUTS, 'backup-dir': backup },
    kill,
  );
  const left = [usersIn(state), memoryIn(state), savedIn(backup)];
  const key = createHash('sha256').update(JSON.stringify(left)).digest('hex');
  const found = judged.get(key) ?? aftermath(bench, state, backup);
  judged.set(key, found);
  const wrongs = run.exitCode === null ? await found : ['it was not killed', ...(await found)];
  const { n, when } = kill;
  return wrongs.map(
    (wrong) => `${when} request ${String(n)}, ${String(requests[n - 1])}: ${wrong}`,
  );
}

it.each(['before', 'after'] as const)(
  'kill-recovers: a run that is killed right %s any of its requests breaks nothing, and can be completed or restored',
  async (when) => {
    const kills = undisturbed.requests.map((_, earlier): Kill => ({ n: earlier + 1, when }));
    const wrongs: string[] = [];
    const work = async (bench: Bench) => {
      for (let kill = kills.shift(); kill !== undefined; kill = kills.shift()) {
        wrongs.push(...(await judge(bench, kill)));
      }
    };
    await Promise.all(benches.map(work));
    expect(wrongs).toEqual([]);
  },
);

it('kill-recovers: a run that was not killed can be restored', async () => {
  const [bench] = benches as [Bench];
  const backup = undisturbed.run.outputs['backup-dir'] ?? '';
  const { run, state } = await bench.play(undisturbed.state, { 'restore-from': backup });
  expect(run).toMatchObject({ exitCode: 0, outputs: { 'restored-count': String(ORPHANS) } });
  expect(usersIn(state)).toEqual(usersIn(before));
});
