/**
 * Measures the bundled action on a simulated GHCR with latencies and GitHub's documented limits: a package that nobody
 * ever cleaned, and the same package after a clean-up, without a ledger and with one. Prints the results and which of
 * the bounds hold, fails if one doesn't, and at full size writes them to docs/performance.md.
 *
 *     npm run bench -- ghcr [--tagged 500] [--orphans 1500] [--minutes 6] [--quota 15000]
 *                           [--registry-latency 100] [--rest-latency 300]
 *
 * `--minutes` is for how long the real run deletes: all orphans would take 43, and only the rate is measured.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { JOB_TOKEN } from '../../__tests__/support/servers/ghcr/options.js';
import { measuredHere, writeResults } from './document.js';
import { boundsOf, renderGhcr, type Run, type Runs } from './ghcr-results.js';
import { OWNER, VERSIONS_OF_INDEX, type Order, type Tally } from './ghcr-server.js';
import { count } from './markdown.js';
import { createStopwatch, type Stopwatch } from './measure.js';

const FULL = {
  tagged: 500,
  orphans: 1500,
  minutes: 6,
  quota: 15_000,
  'registry-latency': 100,
  'rest-latency': 300,
};

type Settings = typeof FULL;

const LEDGER = { 'ledger-repository': 'acme/app-ledger' };
/** Three of four versions are orphans: without it a real run refuses. */
const ALL = { 'max-deletes': '100%' };
/** Milliseconds: the server is asked so often how far a run is. */
const POLL = 500;
const MINUTE = 60_000;

/** @throws Error for what isn't a whole number */
function readSettings(args: readonly string[]): Settings {
  const names = Object.keys(FULL) as (keyof Settings)[];
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  });
  const entries = names.map((name) => {
    const value = Number(values[name] ?? FULL[name]);
    const least = name.endsWith('-latency') ? 0 : 1;
    if (!Number.isInteger(value) || value < least) {
      throw new Error(`--${name} takes a whole number, ${String(least)} or more`);
    }
    return [name, value] as const;
  });
  return Object.fromEntries(entries) as Settings;
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

interface Server {
  ask(order: Order): Promise<Tally>;
  stop(): void;
}

async function startServer(settings: Settings): Promise<Server> {
  const child: ChildProcess = fork(fileURLToPath(new URL('ghcr-server.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
  });
  const ask = async (order: Order): Promise<Tally> => {
    child.send(order);
    const [tally] = (await once(child, 'message')) as [Tally];
    return tally;
  };
  const { tagged, orphans, quota } = settings;
  await ask({
    kind: 'start',
    estate: { tagged, orphans },
    quota,
    registryLatency: settings['registry-latency'],
    restLatency: settings['rest-latency'],
  });
  return { ask, stop: () => child.kill() };
}

interface Step {
  readonly title: string;
  readonly inputs: Readonly<Record<string, string>>;
  /** minutes of deletes after which the run is told to stop, as a cancelled job is */
  readonly minutes?: number;
  /** @throws Error when this isn't so */
  readonly orphans: number;
}

async function measure(server: Server, stopwatch: Stopwatch, step: Step): Promise<Run> {
  const { title, inputs, minutes, orphans } = step;
  tell(title);
  const { registry, api } = await server.ask({ kind: 'reset' });
  const stop = new AbortController();
  const running = stopwatch.action(
    {
      'registry-url': registry,
      'registry-type': 'ghcr',
      'api-url': api,
      'github-token': JOB_TOKEN,
      ...inputs,
    },
    { env: { GITHUB_REPOSITORY: `${OWNER}/app`, GITHUB_ACTOR: OWNER }, stop: stop.signal },
  );
  if (minutes !== undefined) {
    await stopIn(server, minutes * MINUTE, running, stop);
  }
  const measured = await running;
  const isMeasured = stop.signal.aborted && minutes !== undefined && minutes >= 1;
  const tally = await server.ask({ kind: 'tally', ...(isMeasured ? { minutes } : {}) });
  if (measured.orphans !== orphans || measured.deleted > tally.deletes) {
    throw new Error(
      `the run found ${String(measured.orphans)} orphans instead of ${String(orphans)}, and says that it deleted ` +
        `${String(measured.deleted)}, where the server deleted ${String(tally.deletes)}`,
    );
  }
  const { process: wall, cpu, memory } = measured;
  return { title, tally, wall, cpu, memory };
}

/** Tells the run to stop when it has been deleting for so many milliseconds. Resolves by then, or when the run has ended. */
async function stopIn(
  server: Server,
  time: number,
  running: Promise<unknown>,
  stop: AbortController,
): Promise<void> {
  const ended = running.then(
    () => true,
    () => true,
  );
  const pause = () => new Promise<false>((resolve) => setTimeout(resolve, POLL, false));
  while (!(await Promise.race([ended, pause()]))) {
    const { deletingFor = 0 } = await server.ask({ kind: 'tally' });
    if (deletingFor > time) {
      stop.abort();
      return;
    }
  }
}

/** @param stopwatch measures all runs, one after the other */
async function measureAll(settings: Settings, stopwatch: Stopwatch): Promise<Runs> {
  const orphans = settings.orphans * VERSIONS_OF_INDEX;
  const withServer = async <T>(measured: (server: Server) => Promise<T>): Promise<T> => {
    const server = await startServer(settings);
    try {
      return await measured(server);
    } finally {
      server.stop();
    }
  };
  const withoutLedger = await withServer(async (server) => {
    const dryRun = await measure(server, stopwatch, {
      title: 'Dry-run, cold',
      inputs: { 'dry-run': 'true', ...ALL },
      orphans,
    });
    const realRun = await measure(server, stopwatch, {
      title: `Real run, told to stop after ${String(settings.minutes)} minutes of deletes`,
      inputs: ALL,
      minutes: settings.minutes,
      orphans,
    });
    await server.ask({ kind: 'clean' });
    const secondRun = await measure(server, stopwatch, {
      title: 'Second run, after a clean-up',
      inputs: {},
      orphans: 0,
    });
    return { dryRun, realRun, secondRun };
  });
  const withLedger = await withServer(async (server) => {
    const firstWithLedger = await measure(server, stopwatch, {
      title: 'With a ledger: first run, told to stop after its first deletes',
      inputs: { ...LEDGER, ...ALL },
      minutes: 0,
      orphans,
    });
    const dryRunWithLedger = await measure(server, stopwatch, {
      title: '… dry-run after that',
      inputs: { ...LEDGER, ...ALL, 'dry-run': 'true' },
      orphans: orphans - firstWithLedger.tally.deletes,
    });
    await server.ask({ kind: 'clean' });
    const findsGone = await measure(server, stopwatch, {
      title: '… run that finds all orphans gone, deleted by others',
      inputs: LEDGER,
      orphans: 0,
    });
    const secondWithLedger = await measure(server, stopwatch, {
      title: '… second run, after a clean-up',
      inputs: LEDGER,
      orphans: 0,
    });
    return { firstWithLedger, dryRunWithLedger, findsGone, secondWithLedger };
  });
  return { ...withoutLedger, ...withLedger };
}

export async function benchGhcr(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  const { tagged, orphans, quota } = settings;
  const versions = (tagged + orphans) * VERSIONS_OF_INDEX;
  const directory = mkdtempSync(join(tmpdir(), 'manifest-cleanup-bench-'));
  try {
    const [before] = loadavg();
    const runs = await measureAll(settings, createStopwatch(directory));
    const load = [before, loadavg()[0]].map((each) => (each ?? 0).toFixed(1));
    const introduction =
      `${measuredHere()}, with the simulator on the same machine, and a load average of ${load.join(' before and ')} ` +
      `after it. ${count(versions)} versions: ${count(tagged)} tagged indexes and ${count(orphans)} orphan ones, each ` +
      `of 2 platforms and 2 attestations. ${count(settings['registry-latency'])} ms for each answer of the registry, ` +
      `${count(settings['rest-latency'])} ms for each of the REST API, 900 points a minute, and a quota of ` +
      `${count(quota)} requests an hour.`;
    const isLike = (...names: (keyof Settings)[]) =>
      names.every((name) => settings[name] === FULL[name]);
    const isPeers = isLike('tagged', 'orphans', 'registry-latency', 'rest-latency');
    const bounds = boundsOf(runs, settings, versions, isPeers);
    const results = renderGhcr(introduction, runs, bounds);
    process.stdout.write(`${results}\n`);
    if (isPeers && isLike('minutes', 'quota')) {
      writeResults('measurements of GHCR', results);
      tell('Written to docs/performance.md.');
    }
    if (bounds.some(({ holds }) => !holds)) {
      process.exitCode = 1;
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
