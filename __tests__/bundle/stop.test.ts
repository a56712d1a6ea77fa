/**
 * The bundled action when its job is cancelled, at each stage: nothing more is deleted, what was under way is
 * told as it ended, everything is written down, and a second run leaves what an undisturbed one would.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { image, index, LINUX_ARM64 } from '../support/builders/build.js';
import { LEDGER, remembered } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action, SeenRequest } from '../support/servers/memory/script.js';
import { seed } from '../support/clients/push.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';

type Signal = 'SIGINT' | 'SIGTERM';

/** Milliseconds: the runner sends its second signal 7.5 seconds after the first. */
const SOON = 2_500;
const IN_TIME = 7_000;
/** When a process that does not end is killed, so that none is left behind. */
const LATE = 20_000;
const CONCURRENCY = 4;
/** How slow the registry is once the signal was sent: enough to see each request that is one too many. */
const SLOW = 300;

const REPOSITORIES = ['team/one', 'team/two'];
const kept = index([image('stop kept'), image('stop kept', { platform: LINUX_ARM64 })]);
const lists = [1, 2].map((n) =>
  index([image(`stop list ${n}`), image(`stop list ${n}`, { platform: LINUX_ARM64 })]),
);
const singles = Array.from({ length: 8 }, (_, n) => image(`stop single ${n}`));
const orphans = [...singles, ...lists.flatMap((list) => [list, ...list.children])];
const orphanDigests = new Set<string>(orphans.map(({ digest }) => digest));

let registry: MemoryRegistry;
let home: string;

/** A registry in which two repositories have lost the tags of the same manifests. */
async function filled(): Promise<MemoryRegistry> {
  const started = await startMemoryRegistry();
  for (const repository of REPOSITORIES) {
    seed(started.state, repository, kept, 'latest');
    for (const orphan of [...singles, ...lists]) {
      seed(started.state, repository, orphan);
    }
  }
  return started;
}

const inputs = (at = registry): Record<string, string> => ({
  'registry-url': at.url,
  digests: REPOSITORIES.flatMap((repository) =>
    orphans.map(({ digest }) => `${repository}@${digest}`),
  ).join('\n'),
  concurrency: String(CONCURRENCY),
  'max-deletes': '100%',
  'backup-dir': join(home, 'backup'),
});

interface Left {
  readonly manifests: ReadonlyMap<string, ReadonlySet<string>>;
  readonly tags: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly remembered: ReadonlyMap<string, ReadonlySet<string>>;
}

async function leftIn(at: MemoryRegistry): Promise<Left> {
  const users = [...at.state.repositories].filter(([name]) => name !== LEDGER);
  return {
    manifests: new Map(users.map(([name, { manifests }]) => [name, new Set(manifests.keys())])),
    tags: new Map(users.map(([name, { tags }]) => [name, new Map(tags)])),
    remembered: await remembered(at),
  };
}

const standing = (at = registry) =>
  REPOSITORIES.flatMap((repository) =>
    [...(at.state.repositories.get(repository)?.manifests.keys() ?? [])].map(
      (digest) => `${repository}@${digest}`,
    ),
  );

/** What an undisturbed run leaves. */
let whole: Left;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'stop-'));
  const other = await filled();
  const run = await runAction(inputs(other));
  expect(run.exitCode).toBe(0);
  whole = await leftIn(other);
  await other.stop();
  rmSync(home, { recursive: true });
});

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'stop-'));
  registry = await filled();
});

afterEach(async () => {
  await registry.stop();
  rmSync(home, { recursive: true, force: true });
});

interface Stopped {
  readonly run: ActionRun;
  /** milliseconds from the signal to the end of the process */
  readonly took: number;
  /** `METHOD path` of what came after the action had taken note of the signal */
  readonly after: readonly string[];
}

interface Script {
  /** Sends any signal, at any time. */
  readonly send: (signal: Signal) => void;
  /** Sends the signal, once; resolves when the action has taken note of it. */
  readonly stop: () => Promise<void>;
  /** resolves then, too, whoever sent it */
  readonly stopped: Promise<void>;
}

/** Runs the action against the registry, which does what the script says until the end. */
async function stopped(
  signal: Signal,
  script: (request: SeenRequest, tools: Script) => Promise<Action | undefined>,
  more: Record<string, string> = {},
): Promise<Stopped> {
  const after: string[] = [];
  let log = '';
  let at: number | undefined;
  let send: (signal: Signal) => void = () => undefined;
  let tell: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const isTold = () => log.includes(`told to stop (${signal})`);
  const stop = () => {
    if (at === undefined) {
      at = Date.now();
      send(signal);
    }
    return told;
  };
  registry.intercept((request) => {
    if (isTold()) {
      after.push(`${request.method} ${request.path}`);
    }
    return script(request, { send, stop, stopped: told });
  });
  const run = await runAction(
    { ...inputs(), ...more },
    {
      killer: AbortSignal.timeout(LATE),
      onStart: (kill) => {
        send = kill;
      },
      onOutput: (text) => {
        log += text;
        if (isTold()) {
          tell();
        }
      },
    },
  );
  registry.intercept();
  return { run, took: Date.now() - (at ?? 0), after };
}

const isRead = ({ method, route }: SeenRequest) =>
  method === 'GET' && route.kind === 'manifest' && orphanDigests.has(route.reference);

/** Of a manifest that is there: what a run asks first, whether deletes are taken, is something else. */
const isDelete = ({ method, route }: SeenRequest) =>
  method === 'DELETE' && route.kind === 'manifest' && orphanDigests.has(route.reference);

/** Holds the requests that match until as many are under way as can be; then comes the signal. */
function whenFull(
  matches: (request: SeenRequest) => boolean,
  held: (request: SeenRequest) => Action = () => ({ kind: 'pass', delay: SLOW }),
) {
  let count = 0;
  return async (request: SeenRequest, { stop, stopped }: Script): Promise<Action | undefined> => {
    if (!matches(request)) {
      return undefined;
    }
    count += 1;
    await (count === CONCURRENCY ? stop() : stopped);
    return held(request);
  };
}

const isWrite = (line: string) => !/^(?:GET|HEAD) /.test(line);
const isOfLedger = (line: string) => line.includes(`/v2/${LEDGER}/`);
const deletes = (lines: readonly string[]) => lines.filter((line) => line.startsWith('DELETE '));
/** of anything but the run's own ledger */
const changes = (lines: readonly string[]) =>
  lines.filter((line) => isWrite(line) && !isOfLedger(line));

function expectTold({ run }: Stopped, signal: Signal): void {
  expect(run.exitCode).toBe(1);
  expect(run.log).toContain(`::warning::told to stop (${signal})`);
  expect(run.log).toMatch(new RegExp(`^::error::the run was told to stop \\(${signal}\\)`, 'm'));
  expect(run.summary).toContain(`the run was told to stop (${signal})`);
  const { failures } = run.report as { failures: string[] };
  expect(failures).toEqual([expect.stringContaining(`told to stop (${signal})`)]);
}

/** The backup's index has each of these, and the bytes are there. */
function expectSaved(names: Iterable<string>): void {
  const lines = readFileSync(join(home, 'backup', 'index.jsonl'), 'utf8')
    .trimEnd()
    .split('\n');
  const entries = lines.map((line) => JSON.parse(line) as { repository: string; digest: string });
  const saved = new Set(entries.map(({ repository, digest }) => `${repository}@${digest}`));
  expect([...names].filter((name) => !saved.has(name))).toEqual([]);
  const files = new Set(readdirSync(join(home, 'backup', 'manifests', 'sha256')));
  expect(entries.filter(({ digest }) => !files.has(digest.slice('sha256:'.length)))).toEqual([]);
}

const deletedIn = ({ run }: Stopped) =>
  new Set(JSON.parse(run.outputs['deleted-digests'] ?? '') as string[]);

/** What is no longer there. */
function missing(): Set<string> {
  const there = new Set(standing());
  return new Set(
    REPOSITORIES.flatMap((repository) =>
      orphans.map(({ digest }) => `${repository}@${digest}`).filter((name) => !there.has(name)),
    ),
  );
}

async function expectFinished(more: Record<string, string> = {}): Promise<void> {
  const run = await runAction({ ...inputs(), ...more });
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(0);
  expect(await leftIn(registry)).toEqual(whole);
}

describe.each<Signal>(['SIGINT', 'SIGTERM'])(
  'stop-clean: a run that is told to stop by %s',
  (signal) => {
    it('deletes nothing while it reads, and reports the repositories that it did not read', async () => {
      const end = await stopped(signal, whenFull(isRead));
      expectTold(end, signal);
      expect(end.took).toBeLessThan(SOON);
      expect(end.after.filter((line) => !isOfLedger(line))).toEqual([]);
      expect(missing().size).toBe(0);
      expect(end.run.outputs).toMatchObject({ 'deleted-count': '0', 'deleted-digests': '[]' });
      await expectFinished();
    });

    it('awaits the deletes that are under way, and sends no other', async () => {
      const end = await stopped(signal, whenFull(isDelete));
      expectTold(end, signal);
      expect(end.took).toBeLessThan(SOON);
      expect(changes(end.after)).toEqual([]);
      expect(deletes(end.after.filter((line) => !isOfLedger(line)))).toEqual([]);
      expect(missing().size).toBe(CONCURRENCY);
      expect(deletedIn(end)).toEqual(missing());
      expect(end.run.outputs).toMatchObject({
        'deleted-count': String(CONCURRENCY),
        'failed-count': String(2 * orphans.length - CONCURRENCY),
      });
      expect(end.run.summary).toMatch(/\d+ orphans not deleted/);
      expectSaved(missing());
      // From the ledger alone.
      await expectFinished({ digests: '' });
    });
  },
);

const isKept = ({ route }: SeenRequest) =>
  route.kind === 'manifest' && (route.reference === 'latest' || route.reference === kept.digest);

it('stop-clean: a run that is told to stop says that it did not verify, and reports nothing as broken', async () => {
  let deleted = 0;
  const end = await stopped('SIGINT', async (request, { stop }) => {
    deleted += Number(isDelete(request));
    if (deleted < 2 * orphans.length || isDelete(request) || !isKept(request)) {
      return undefined;
    }
    await stop();
    return { kind: 'pass', delay: SLOW };
  });
  expect(deleted).toBe(2 * orphans.length);
  expectTold(end, 'SIGINT');
  expect(end.took).toBeLessThan(SOON);
  expect(changes(end.after)).toEqual([]);
  expect(deletedIn(end)).toEqual(missing());
  expect(end.run.log).toContain('before it could check that the kept manifests are still there');
  expect(end.run.summary).not.toContain('An image broke');
  expectSaved(missing());
  await expectFinished({ digests: '' });
});

describe('stop-clean: a registry that asked for a pause of a minute', () => {
  const wait: Action = {
    kind: 'answer',
    status: 429,
    headers: { 'Retry-After': '60' },
    body: '{"errors":[{"code":"TOOMANYREQUESTS"}]}',
  };

  it('gets a delete once, which is reported as refused', async () => {
    const asked: string[] = [];
    const end = await stopped('SIGTERM', async (request, { stop }) => {
      if (!isDelete(request)) {
        return undefined;
      }
      asked.push(request.path);
      // When all of them sleep.
      setTimeout(() => void stop(), SLOW);
      return wait;
    });
    expectTold(end, 'SIGTERM');
    expect(end.took).toBeLessThan(SOON);
    expect(new Set(asked).size).toBe(asked.length);
    expect(changes(end.after)).toEqual([]);
    expect(missing().size).toBe(0);
    expect(end.run.outputs).toMatchObject({ 'deleted-count': '0' });
    expect(end.run.log).toMatch(/couldn't be deleted: .* 429 \(TOOMANYREQUESTS\)/);
    await expectFinished({ digests: '' });
  });

  it('is not awaited while it is read', async () => {
    const end = await stopped('SIGINT', async ({ route }, { stop }) => {
      if (route.kind !== 'tags' || route.repository === LEDGER) {
        return undefined;
      }
      setTimeout(() => void stop(), SLOW);
      return wait;
    });
    expectTold(end, 'SIGINT');
    expect(end.took).toBeLessThan(SOON);
    expect(end.after.filter((line) => !isOfLedger(line))).toEqual([]);
    await expectFinished();
  });
});

it('stop-clean: a dry-run that is told to stop sends nothing more, and writes nothing', async () => {
  const end = await stopped('SIGINT', whenFull(isRead), { 'dry-run': 'true' });
  expectTold(end, 'SIGINT');
  expect(end.took).toBeLessThan(SOON);
  expect(end.after).toEqual([]);
  expect(registry.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual(
    [],
  );
  expect(registry.state.repositories.has(LEDGER)).toBe(false);
});

it('stop-clean: a restore that is told to stop reports what it restored, and a second run restores the rest', async () => {
  await runAction(inputs());
  const before = missing();
  expect(before.size).toBe(2 * orphans.length);
  const restoring = { 'restore-from': join(home, 'backup'), digests: '' };
  const isPush = ({ method, route }: SeenRequest) => method === 'PUT' && route.kind === 'manifest';
  const end = await stopped('SIGINT', whenFull(isPush), restoring);
  expect(end.run.exitCode).toBe(1);
  expect(end.took).toBeLessThan(SOON);
  expect(end.after).toEqual([]);
  expect(before.size - missing().size).toBe(CONCURRENCY);
  expect(end.run.log).toContain('::error::');
  expect(end.run.summary).toContain('told to stop');
  const failed = Number(end.run.outputs['failed-count']);
  const restored = Number(end.run.outputs['restored-count']);
  expect(failed + restored).toBeGreaterThan(0);
  const again = await runAction({ ...inputs(), ...restoring });
  expect(again.log).not.toContain('::error');
  expect(again.exitCode).toBe(0);
  expect(missing()).toEqual(new Set());
});

describe('stop-clean: a registry that never answers again', () => {
  /** Two deletes are answered, and then as many are held as can be; with them comes the signal. */
  const hanging = (
    hangs: (request: SeenRequest) => boolean,
    more: (tools: Script) => void = () => undefined,
  ) => {
    let deletes = 0;
    return async (request: SeenRequest, tools: Script): Promise<Action | undefined> => {
      deletes += Number(isDelete(request));
      if (deletes <= 2) {
        return undefined;
      }
      if (deletes === CONCURRENCY + 2 && isDelete(request)) {
        void tools.stop();
        more(tools);
      }
      return hangs(request) ? { kind: 'hang' } : undefined;
    };
  };

  it('is given up, and nothing unknown is reported; a second signal changes nothing', async () => {
    let hasStopped = false;
    const end = await stopped(
      'SIGINT',
      hanging(
        (request) => isDelete(request) || hasStopped,
        ({ send }) => {
          hasStopped = true;
          setTimeout(send, 1_000, 'SIGTERM');
        },
      ),
    );
    expect(end.run.exitCode).toBe(1);
    expect(end.took).toBeLessThan(IN_TIME);
    expect(changes(end.after)).toEqual([]);
    // Two were answered, and nobody could see any more that they are gone.
    expect(deletedIn(end)).toEqual(new Set());
    expect(missing().size).toBe(2);
    const { log, summary, report } = end.run;
    expect(log).toContain('no read can tell whether it worked: ');
    expect(log.match(/::warning::told to stop/g)).toHaveLength(1);
    expect(log).toContain('no answer soon enough after the run was told to stop');
    expect(summary).toContain('the run was told to stop (SIGINT)');
    const { failures } = report as { failures: string[] };
    expect(failures).toContainEqual(expect.stringContaining('told to stop (SIGINT)'));
    expectSaved(missing());
    await expectFinished({ digests: '' });
  });

  it('gets its ledger up to date where only its deletes hang', async () => {
    const end = await stopped('SIGTERM', hanging(isDelete));
    expectTold(end, 'SIGTERM');
    expect(end.took).toBeLessThan(IN_TIME);
    expect(changes(end.after)).toEqual([]);
    expect(deletedIn(end)).toEqual(missing());
    expect(missing().size).toBe(2);
    const known = await remembered(registry);
    const left = [...missing()].filter((name) => {
      const [repository = '', digest = ''] = name.split('@');
      return known.get(repository)?.has(digest);
    });
    expect(left).toEqual([]);
    expectSaved(missing());
    await expectFinished({ digests: '' });
  });
});

it('stop-clean: a run is red when it is told to stop while it writes its report, with everything done', async () => {
  // The toolkit writes the summary with this function, and nothing else does.
  const late = `
    import fs from 'node:fs';
    const { appendFile } = fs.promises;
    fs.promises.appendFile = async (...what) => {
      process.kill(process.pid, 'SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 100));
      return appendFile(...what);
    };`;
  const run = await runAction(inputs(), {
    nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(late)}`],
    killer: AbortSignal.timeout(LATE),
  });
  expect(run.log).toContain('::warning::told to stop (SIGTERM)');
  expect(run.summary).toContain('Deleted 28 orphan manifests');
  expect(run.exitCode).toBe(1);
  expect(await leftIn(registry)).toEqual(whole);
});

it('stop-clean: a run is red when it is told to stop after its last line', async () => {
  // When nothing is left to do; the handlers of signals alone must not keep it from coming to that.
  const late = `
    process.once('beforeExit', () => {
      process.kill(process.pid, 'SIGTERM');
      setTimeout(() => undefined, 100);
    });`;
  const run = await runAction(inputs(), {
    nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(late)}`],
    killer: AbortSignal.timeout(LATE),
  });
  expect(run.log).toContain('::warning::told to stop (SIGTERM)');
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(1);
  expect(await leftIn(registry)).toEqual(whole);
});

it('stop-clean: a run says that nothing was done when it is told to stop before it knows the registry', async () => {
  const end = await stopped('SIGTERM', async ({ route }, { stop }) => {
    if (route.kind === 'base') {
      await stop();
    }
    return undefined;
  });
  expect(end.run.exitCode).toBe(1);
  expect(end.took).toBeLessThan(SOON);
  expect(end.run.log).toContain(
    '::error::the run was told to stop (SIGTERM) before it began, and nothing was done',
  );
  expect(end.after.filter(isWrite)).toEqual([]);
});

it('stop-clean: a run ends at once when it is told to stop before its first request', async () => {
  const listing = join(home, 'digests');
  writeFileSync(listing, '');
  // While it reads its inputs.
  const early = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { openSync } = fs;
    fs.openSync = (path, ...more) => {
      if (path === ${JSON.stringify(listing)}) {
        process.kill(process.pid, 'SIGINT');
        for (;;);
      }
      return openSync(path, ...more);
    };
    syncBuiltinESMExports();`;
  const run = await runAction(
    { ...inputs(), 'digests-file': listing },
    {
      nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(early)}`],
      killer: AbortSignal.timeout(LATE),
    },
  );
  expect(run.log).not.toContain('told to stop');
  expect(run.exitCode).toBe(null);
  expect(registry.requests).toEqual([]);
});
