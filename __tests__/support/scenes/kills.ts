/**
 * `kill -9` at any request of a run of the bundled action, before or after that is carried out, and what has to be true
 * of what it leaves: nothing is broken, the next run ends where an undisturbed one does, and what the killed run saved
 * gives back all that was there before it, byte for byte.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

import { expect } from '@jest/globals';

import { runAction, type ActionRun } from '../clients/run-action.js';
import type { Action } from '../servers/memory/script.js';
import {
  copyOfState,
  parseBody,
  repositoryOf,
  type RegistryState,
} from '../servers/memory/state.js';

/** What users have there: type and bytes by digest, and what each tag names. */
export function contentsOf(state: RegistryState, repository: string): unknown {
  const { manifests, tags } = repositoryOf(state, repository);
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
function memoryIn(state: RegistryState, ledger: string): string[][] {
  const { tags, manifests } = repositoryOf(state, ledger);
  return [...tags.values()].map((digest) => {
    const layer = parseBody(manifests.get(digest)?.bytes ?? Buffer.from('{}')).layers?.[0];
    const text = gunzipSync(state.blobs.get(layer?.digest ?? '') ?? Buffer.alloc(0)).toString();
    const entry = JSON.parse(text) as { manifests: { digest: string; status: string }[] };
    return entry.manifests.map((each) => `${each.digest} ${each.status}`).sort();
  });
}

/** What a pull of anything there would miss: manifests, children of any index, blobs. */
function brokenIn(state: RegistryState, repository: string): string[] {
  const { tags, manifests, blobs } = repositoryOf(state, repository);
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

/** A registry into which one state after the other is put. */
export interface KillServer<S> {
  /** what every run is told of it */
  readonly inputs: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** what is there now; on a real server, what the last snapshot found */
  readonly state: RegistryState;
  /** all that is there now */
  readonly snapshot: () => S | Promise<S>;
  /** Puts that in, perhaps from another server. */
  readonly load: (snapshot: S) => void | Promise<void>;
  /** Sees the requests of all its faces; without an argument it behaves again. */
  readonly intercept: (
    interceptor?: (
      method: string,
      path: string,
    ) => Action | undefined | Promise<Action | undefined>,
  ) => void;
  /** Resolves when all that was sent before has been carried out. */
  readonly settle: () => Promise<void>;
}

export interface Kill {
  /** from 1 */
  readonly n: number;
  /** the requests that are counted, where their order differs from run to run; absent: all */
  readonly among?: RegExp;
  readonly when: 'before' | 'after';
}

/**
 * A kill right before each request of a run, and one right after each that may have changed something. A read that was
 * carried out leaves the same as one that was not sent, since nobody heard its answer.
 */
export function killsAtAll(requests: readonly string[]): Kill[] {
  return requests.flatMap((request, earlier): Kill[] => {
    const n = earlier + 1;
    const before: Kill = { n, when: 'before' };
    return /^(?:GET|HEAD) /.test(request) ? [before] : [before, { n, when: 'after' }];
  });
}

export interface Played<S> {
  readonly run: ActionRun;
  /** what the run left */
  readonly state: RegistryState;
  readonly snapshot: S;
  /** the requests of the run, in order */
  readonly requests: readonly string[];
}

/** @param from what the run finds there; absent: what is there */
export async function playRun<S>(
  server: KillServer<S>,
  from: S | undefined,
  inputs: Readonly<Record<string, string>>,
  kill?: Kill,
): Promise<Played<S>> {
  if (from !== undefined) {
    await server.load(from);
  }
  const requests: string[] = [];
  let counted = 0;
  const killer = new AbortController();
  server.intercept(async (method, asked) => {
    const request = `${method} ${asked}`;
    requests.push(request);
    if (kill === undefined || !isCounted(kill, request)) {
      return undefined;
    }
    counted += 1;
    if (counted !== kill.n) {
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
  const { env = {} } = server;
  const running = runAction({ ...server.inputs, ...inputs }, { killer: killer.signal, env });
  const run = await running;
  server.intercept();
  // What the process had sent beside the one at which it died is carried out before the state is looked at.
  await server.settle();
  const snapshot = await server.snapshot();
  return { run, state: copyOfState(server.state), snapshot, requests };
}

function isCounted({ among }: Kill, request: string): boolean {
  return among?.test(request) ?? true;
}

export interface KillingOptions {
  readonly repository: string;
  /** the repository of the ledger, if there is one */
  readonly ledger?: string;
  readonly inputs: Readonly<Record<string, string>>;
}

/** Kills of one run, from one state. Directories of backups are removed by `clear`. */
export class Killing<S> {
  readonly #options: KillingOptions;
  readonly #directories: string[] = [];
  /** what came of each state and backup that a kill left: from the same, the same comes again */
  readonly #judged = new Map<string, Promise<string[]>>();

  constructor(options: KillingOptions) {
    this.#options = options;
  }

  /** for the backup of one run */
  directory(): string {
    const made = mkdtempSync(path.join(tmpdir(), 'kill-'));
    this.#directories.push(made);
    return path.join(made, 'backup');
  }

  clear(): void {
    this.#directories.splice(0).forEach((each) => {
      rmSync(each, { recursive: true, force: true });
    });
  }

  users(state: RegistryState): unknown {
    return contentsOf(state, this.#options.repository);
  }

  memory(state: RegistryState): string[][] {
    const { ledger } = this.#options;
    return ledger === undefined ? [] : memoryIn(state, ledger);
  }

  /** Judges all of these kills, as many at a time as there are servers. @returns what went wrong */
  async judgeAll(
    servers: readonly KillServer<S>[],
    kills: readonly Kill[],
    before: Pick<Played<S>, 'state' | 'snapshot'>,
    undisturbed: Pick<Played<S>, 'state'>,
  ): Promise<string[]> {
    const open = [...kills];
    const wrongs: string[] = [];
    const work = async (server: KillServer<S>) => {
      for (let kill = open.shift(); kill !== undefined; kill = open.shift()) {
        wrongs.push(...(await this.#judge(server, kill, before, undisturbed)));
      }
    };
    await Promise.all(servers.map(work));
    return wrongs;
  }

  /**
   * @param before what the run finds there
   * @param undisturbed the same run, not killed
   * @returns what went wrong
   */
  async #judge(
    server: KillServer<S>,
    kill: Kill,
    before: Pick<Played<S>, 'state' | 'snapshot'>,
    undisturbed: Pick<Played<S>, 'state'>,
  ): Promise<string[]> {
    const backup = this.directory();
    const inputs = { ...this.#options.inputs, 'backup-dir': backup };
    const killed = await playRun(server, before.snapshot, inputs, kill);
    const { run, state, requests } = killed;
    const blobs = [...repositoryOf(state, this.#options.repository).blobs].sort();
    const left = [this.users(state), blobs, this.memory(state), savedIn(backup)];
    const key = createHash('sha256').update(JSON.stringify(left)).digest('hex');
    const found =
      this.#judged.get(key) ?? this.#aftermath(server, killed, backup, before, undisturbed);
    this.#judged.set(key, found);
    const wrongs = run.exitCode === null ? await found : ['it was not killed', ...(await found)];
    const { n, when } = kill;
    const request = requests.filter((each) => isCounted(kill, each))[n - 1];
    return wrongs.map((wrong) => `${when} request ${String(n)}, ${String(request)}: ${wrong}`);
  }

  /** What comes after a killed run, from the state and the backup that it left. @returns what went wrong */
  async #aftermath(
    server: KillServer<S>,
    left: Played<S>,
    backup: string,
    before: Pick<Played<S>, 'state'>,
    undisturbed: Pick<Played<S>, 'state'>,
  ): Promise<string[]> {
    const { repository, inputs } = this.#options;
    const wrongs: string[] = [];
    const check = (what: string, test: () => void) => {
      try {
        test();
      } catch (error) {
        wrongs.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    check('right after the kill', () => {
      expect(brokenIn(left.state, repository)).toEqual([]);
      expect(this.users(left.state)).toMatchObject(this.users(undisturbed.state) as object);
    });
    if (wrongs.length > 0) {
      // A real server takes no pushes of what is broken, so nothing more can be tried from there.
      return wrongs;
    }
    const more = { ...inputs, 'backup-dir': this.directory() };
    const next = await playRun(server, left.snapshot, more);
    check('after the next run', () => {
      expect(next.run.log).not.toContain('::error');
      expect(next.run.exitCode).toBe(0);
      expect(this.users(next.state)).toEqual(this.users(undisturbed.state));
      expect(brokenIn(next.state, repository)).toEqual([]);
      // What is gone is leaving for a run longer, or not, by which of the two found it so.
      const lasting = (state: RegistryState) =>
        this.memory(state).map((entry) =>
          entry.filter((each) => !/ (leaving|deleted)$/.test(each)),
        );
      expect(lasting(next.state)).toEqual(lasting(undisturbed.state));
    });
    if (savedIn(backup).length === 0) {
      check('without a backup', () => {
        expect(this.users(left.state)).toEqual(this.users(before.state));
      });
      return wrongs;
    }
    const back = await playRun(server, left.snapshot, { 'restore-from': backup });
    check('after the restore', () => {
      expect(back.run.log).not.toContain('::error');
      expect(back.run.exitCode).toBe(0);
      expect(this.users(back.state)).toEqual(this.users(before.state));
      expect(brokenIn(back.state, repository)).toEqual([]);
    });
    return wrongs;
  }
}

const OWN = /"(?:savedAt|registry|repository)":"[^"]*",/g;

/** The files and lines of a backup, without its times and the names that are each server's own. */
function savedIn(backup: string): string[] {
  try {
    const files = readdirSync(backup, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name).slice(backup.length));
    const lines = readFileSync(path.join(backup, 'index.jsonl'), 'utf8').split('\n');
    return [...files, ...lines.map((line) => line.replace(OWN, ''))].sort();
  } catch {
    return [];
  }
}
