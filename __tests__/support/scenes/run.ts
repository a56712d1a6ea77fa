/**
 * One run of the program against a registry: all that main does between inputs and outputs, with the
 * clock, the credentials and the candidates given by the test.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createLog, type Log } from '../../../src/action/log.js';
import type { Plan } from '../../../src/plan/plan.js';
import { selectRepositories } from '../../../src/plan/selection.js';
import type { Credentials } from '../../../src/http/credentials.js';
import type { Clock } from '../../../src/http/clock.js';
import { createSecretStore } from '../../../src/http/redact.js';
import { createTransport, type Transport } from '../../../src/http/transport.js';
import type { Digest } from '../../../src/oci/digest.js';
import { repositoryLines } from '../../../src/report/lines.js';
import type { Run } from '../../../src/run/run.js';
import type { LedgerChoice } from '../../../src/run/settings.js';
import { NEWEST_PAGES } from '../../../src/text/pages.js';
import { printable, type Printable } from '../../../src/text/printable.js';
import type { Protection } from '../../../src/plan/protection.js';
import { NO_PROTECTION } from '../builders/protections.js';
import { problems, sentence } from '../../../src/report/problems.js';
import { cleanRegistry } from '../../../src/run/clean.js';
import { fakeClock } from './fake-clock.js';
import { NOW } from '../builders/inventories.js';

export interface RunOptions {
  readonly url: string;
  readonly candidates: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** plain names or globs; none: the catalog */
  readonly repositories?: readonly string[];
  readonly dryRun?: boolean;
  readonly gracePeriod?: number;
  /** default: the first look that finds a manifest unused is enough */
  readonly unusedFor?: number;
  readonly danglingReferrers?: 'keep' | 'delete';
  readonly concurrency?: number;
  readonly credentials?: Credentials;
  /** default: found by the address, which makes it plain Distribution */
  readonly registryType?: string;
  readonly apiUrl?: URL;
  readonly githubToken?: string;
  readonly namespaces?: readonly string[];
  /** for the transport and the run; default: time passes only while the transport waits */
  readonly clock?: Clock;
  /** default: none */
  readonly ledgerRepository?: string;
  /** tells the requests of several runs apart */
  readonly userAgent?: string;
  /** epoch milliseconds; default NOW */
  readonly now?: number;
  /** called when every survey is done and the first sweep begins */
  readonly onSweep?: () => void;
  readonly keepUntagged?: number;
  /** default: nothing is protected */
  readonly protection?: Protection;
  /** called when the run waits; no time passes */
  readonly onSleep?: (milliseconds: number) => Promise<void>;
  /** where the run saves what it deletes, and who gives it removes it; default: one of its own */
  readonly backupDirectory?: string;
}

export interface Ran {
  /** absent when the run ended with an error */
  readonly run?: Run;
  readonly plans: readonly Plan[];
  /** takes the run's secrets out of a text, as main does with summary and report */
  readonly redact: (text: string) => string;
  /** whether the job would be green */
  readonly green: boolean;
  /** what makes it red */
  readonly complaints: readonly string[];
}

/** As the input `ledger-repository` is read; absent: off. */
export function ledgerChoice(repository: string | undefined): LedgerChoice {
  switch (repository) {
    case undefined:
      return { kind: 'off' };
    case 'auto':
      return { kind: 'auto' };
    default:
      return { kind: 'named', repository };
  }
}

/** What a run talks to a registry with, and how what it says is made safe to print. */
export interface Connection {
  readonly transport: Transport;
  readonly log: Log;
  readonly redact: (text: string) => string;
  readonly quote: (text: string) => Printable;
}

export function connect({
  url,
  credentials = { kind: 'none' },
  concurrency = 1,
  userAgent = 'registry-manifest-cleanup',
  clock = fakeClock({ auto: true }, NOW),
}: Pick<RunOptions, 'url' | 'credentials' | 'concurrency' | 'userAgent' | 'clock'>): Connection {
  const secrets = createSecretStore();
  const redact = (text: string) => secrets.redact(text);
  const log = createLog(redact, NEWEST_PAGES);
  const transport = createTransport({
    registry: new URL(url),
    credentials,
    insecure: false,
    concurrency,
    userAgent,
    mask: (secret) => {
      secrets.add(secret);
    },
    // A dead server must end a test, not hang it; nothing here waits that long.
    timeouts: { idle: 20_000, idleDelete: 20_000, body: 20_000 },
    clock,
    random: () => 0.5,
    onExchange: ({ method, url: sent, result }) => {
      log.debug(
        `${method} ${sent} → ${result.kind === 'answer' ? String(result.status) : result.failure}`,
      );
    },
  });
  return { transport, log, redact, quote: (text) => printable(redact(text), 300) };
}

export async function run(options: RunOptions): Promise<Ran> {
  const { dryRun = false, gracePeriod = 0, danglingReferrers = 'keep', concurrency = 1 } = options;
  const { keepUntagged = 0, protection = NO_PROTECTION } = options;
  const registry = new URL(options.url);
  const { transport, log, redact, quote } = connect(options);
  let stage = 0;
  const backupDirectory = options.backupDirectory ?? (await mkdtemp(join(tmpdir(), 'backup-')));
  try {
    const settings = {
      registry,
      registryType: options.registryType ?? 'auto',
      apiUrl: options.apiUrl,
      githubToken: options.githubToken,
      namespaces: options.namespaces ?? [],
      selection: selectRepositories(options.repositories ?? []),
      concurrency,
      dryRun,
      gracePeriod,
      unusedFor: options.unusedFor ?? 0,
      danglingReferrers,
      keepUntagged,
      protection,
      verify: true,
      backupDirectory,
      ledger: ledgerChoice(options.ledgerRepository),
    };
    const { candidates } = options;
    const intake = { candidates, understood: 0, notUnderstood: 0, examples: [] };
    const named = { intake, pinned: { files: 0, digests: 0 } };
    const result = await cleanRegistry(settings, named, {
      transport,
      stop: new AbortController().signal,
      quote,
      clock: options.clock ?? {
        now: () => options.now ?? NOW,
        sleep: options.onSleep ?? (async () => undefined),
      },
      progress: {
        expect: () => undefined,
        done: () => undefined,
        begin: () => {
          stage += 1;
          if (stage === 2) {
            options.onSweep?.();
          }
        },
      },
    });
    for (const repository of result.repositories) {
      log.group(repository.inventory.repository, repositoryLines(repository, result));
    }
    const complaints = problems(result).map(sentence);
    complaints.forEach((complaint) => {
      log.error(complaint);
    });
    const plans = result.repositories.map(({ plan }) => plan);
    return { run: result, plans, redact, green: complaints.length === 0, complaints };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log.error(message);
    return { plans: [], redact, green: false, complaints: [message] };
  } finally {
    transport.close();
    if (options.backupDirectory === undefined) {
      await rm(backupDirectory, { recursive: true, force: true });
    }
  }
}
