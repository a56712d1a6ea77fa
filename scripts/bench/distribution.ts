/**
 * Measures the action on a real docker-registry: a scan beside a bare loop that sends the very same
 * requests, and a sweep. Prints the results, and at full size writes them to docs/performance.md.
 *
 *     npm run bench -- [--repositories 20] [--tags 500] [--orphans 100] [--rounds 3]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import {
  onDisk,
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../../__tests__/support/servers/docker-registry.js';
import {
  findDockerRegistry,
  type RegistryProgram,
} from '../../__tests__/support/servers/programs.js';
import { MANIFEST_ACCEPT } from '../../src/oci/media-types.js';
import { countBy, followAccessLog, type Asked } from './access-log.js';
import { measuredHere, writeResults } from './document.js';
import { createStopwatch, type Stopwatch } from './measure.js';
import type { Job } from './replay.js';
import { renderResults, type Scan, type Sweep } from './results.js';
import { seed, type Size } from './seed.js';

const FULL: Size = { repositories: 20, tags: 500, orphans: 100 };
/** The default of the action. */
const CONCURRENCY = 16;

/** @throws Error for what isn't a whole number */
function readArguments(args: readonly string[]): { readonly size: Size; readonly rounds: number } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { repositories: text, tags: text, orphans: text, rounds: text },
  });
  const whole = (name: keyof typeof values, otherwise: number): number => {
    const value = Number(values[name] ?? otherwise);
    if (!Number.isInteger(value) || value < 1) {
      throw new Error(`--${name} takes a whole number, 1 or more`);
    }
    return value;
  };
  const size: Size = {
    repositories: whole('repositories', FULL.repositories),
    tags: whole('tags', FULL.tags),
    orphans: whole('orphans', FULL.orphans),
  };
  if (size.orphans > size.tags) {
    throw new Error('--orphans takes at most as many as --tags: each tag leaves one behind');
  }
  return { size, rounds: whole('rounds', 3) };
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

interface Bench {
  readonly registry: DockerRegistry;
  readonly stopwatch: Stopwatch;
  readonly asked: () => Asked[];
  /** path of the storage listing */
  readonly listing: string;
  readonly size: Size;
}

function inputs({ registry, listing }: Bench, gracePeriod: string, dryRun: boolean) {
  return {
    'registry-url': registry.host,
    'digests-file': listing,
    // What is measured is the scan: the same every time, independent of earlier runs.
    'ledger-repository': 'off',
    'grace-period': gracePeriod,
    'dry-run': String(dryRun),
    concurrency: String(CONCURRENCY),
  };
}

/** What the action sent, as the bare loop is to send it. */
function jobOf({ registry }: Bench, asked: readonly Asked[]): Job {
  const headers = { 'accept-encoding': 'identity', 'user-agent': 'registry-manifest-cleanup' };
  return {
    url: registry.url,
    concurrency: CONCURRENCY,
    requests: asked.map(({ method, path }) => ({
      method,
      path,
      headers: path.includes('/manifests/') ? { ...headers, accept: MANIFEST_ACCEPT } : headers,
    })),
  };
}

async function measureScan(bench: Bench, gracePeriod: string, rounds: number): Promise<Scan> {
  const { stopwatch, asked, size } = bench;
  const scan = async (): Promise<Awaited<ReturnType<Stopwatch['action']>>> => {
    const measured = await stopwatch.action(inputs(bench, gracePeriod, true));
    if (measured.orphans !== size.repositories * size.orphans) {
      throw new Error(`the scan found ${String(measured.orphans)} orphans`);
    }
    return measured;
  };
  tell(`Scan with grace-period: ${gracePeriod}, once to see what it sends`);
  asked();
  await scan();
  const sent = asked();
  const expected = countBy(sent, ({ status }) => status);
  const job = jobOf(bench, sent);
  const measured: Scan['rounds'][number][] = [];
  for (let round = 1; round <= rounds; round += 1) {
    tell(`  round ${String(round)} of ${String(rounds)}`);
    const action = await scan();
    measured.push({ action, bare: await stopwatch.replay(job, expected) });
  }
  const { repositories, tags, orphans } = size;
  const configs = gracePeriod === '0' ? 0 : orphans;
  const floor = Math.ceil(repositories / 1000) + repositories * (1 + tags + orphans + configs);
  return { gracePeriod, floor, logged: sent.length, rounds: measured };
}

async function measureSweep(bench: Bench): Promise<Sweep> {
  const { registry, stopwatch, asked, size } = bench;
  tell('Sweep');
  asked();
  const measured = await stopwatch.action(inputs(bench, '0', false));
  const byMethod = countBy(asked(), ({ method }) => method);
  const left = onDisk(registry.directory).size;
  if (left !== size.repositories * size.tags) {
    throw new Error(`the sweep left ${String(left)} manifests on disk`);
  }
  return { measured, deleted: measured.deleted, byMethod };
}

/** @throws Error that says what to do when there is none */
function findProgram(): RegistryProgram {
  const program = findDockerRegistry();
  if (program === undefined) {
    throw new Error('docker-registry is missing. Install it: apt-get install docker-registry');
  }
  return program;
}

function versionOf(program: RegistryProgram): string {
  const [command, ...parameters] = program.command(tmpdir());
  const text = execFileSync(command, [...parameters, '--version'], { encoding: 'utf8' });
  return `docker-registry ${/(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? text.trim()}`;
}

export async function benchDistribution(args: readonly string[]): Promise<void> {
  const { size, rounds } = readArguments(args);
  const program = findProgram();
  const directory = mkdtempSync(join(tmpdir(), 'manifest-cleanup-bench-'));
  const registry = await startDockerRegistry(program);
  try {
    tell(`Seeding ${registry.url}`);
    await seed(registry, size);
    const listing = join(directory, 'manifests.txt');
    const revisions = storageListing(registry.directory).filter((path) =>
      path.includes('/_manifests/revisions/'),
    );
    writeFileSync(listing, `${revisions.join('\n')}\n`);
    const stopwatch = createStopwatch(directory);
    const bench: Bench = { registry, stopwatch, asked: followAccessLog(registry), listing, size };
    const scans = [await measureScan(bench, '0', rounds), await measureScan(bench, '24h', rounds)];
    const sweep = await measureSweep(bench);
    const results = renderResults({
      machine: `${measuredHere()}; ${versionOf(program)}`,
      size,
      scans,
      sweep,
    });
    process.stdout.write(`${results}\n`);
    if (JSON.stringify(size) === JSON.stringify(FULL)) {
      writeResults('measurements', results);
      tell('Written to docs/performance.md.');
    }
  } finally {
    await registry.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
