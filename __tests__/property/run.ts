/**
 * One run of the program against a registry: all that main does between inputs and outputs, with the
 * clock, the credentials and the candidates given by the test.
 */
import { createLog, harmless } from '../../src/action/log.js';
import type { Plan } from '../../src/cleanup/plan.js';
import { selectRepositories } from '../../src/cleanup/selection.js';
import type { Credentials } from '../../src/http/credentials.js';
import { createSecretStore } from '../../src/http/redact.js';
import { createTransport } from '../../src/http/transport.js';
import type { Digest } from '../../src/oci/digest.js';
import { repositoryLines } from '../../src/report/lines.js';
import type { Run } from '../../src/report/run.js';
import { inCodeSpan } from '../../src/report/markdown.js';
import { problems, sentence } from '../../src/report/totals.js';
import { runStages } from '../../src/stages.js';
import { fakeClock } from '../http/fake-clock.js';
import { NOW } from './estate.js';

export interface RunOptions {
  readonly url: string;
  readonly candidates: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** plain names or globs; none: the catalog */
  readonly repositories?: readonly string[];
  readonly dryRun?: boolean;
  readonly gracePeriod?: number;
  readonly danglingReferrers?: 'keep' | 'delete';
  readonly concurrency?: number;
  readonly credentials?: Credentials;
  /** called when every survey is done and the first sweep begins */
  readonly onSweep?: () => void;
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

export async function run(options: RunOptions): Promise<Ran> {
  const { dryRun = false, gracePeriod = 0, danglingReferrers = 'keep', concurrency = 1 } = options;
  const registry = new URL(options.url);
  const secrets = createSecretStore();
  const redact = (text: string) => secrets.redact(text);
  const log = createLog(redact);
  const transport = createTransport({
    registry,
    credentials: options.credentials ?? { kind: 'none' },
    insecure: false,
    concurrency,
    userAgent: 'registry-manifest-cleanup',
    mask: (secret) => {
      secrets.add(secret);
      secrets.add(inCodeSpan(secret));
    },
    // A dead server must end a test, not hang it; nothing here waits that long.
    timeouts: { idle: 20_000, idleDelete: 20_000, body: 20_000 },
    clock: fakeClock({ auto: true }, NOW),
    random: () => 0.5,
    onExchange: ({ method, url, result }) => {
      log.debug(
        `${method} ${url} → ${result.kind === 'answer' ? String(result.status) : result.failure}`,
      );
    },
  });
  let stage = 0;
  try {
    const settings = {
      registry,
      selection: selectRepositories(options.repositories ?? []),
      concurrency,
      dryRun,
      gracePeriod,
      danglingReferrers,
    };
    const { candidates } = options;
    const intake = { candidates, understood: 0, notUnderstood: 0, examples: [] };
    const result = await runStages(settings, intake, {
      transport,
      quote: (text) => harmless(secrets.redact(text)).slice(0, 300),
      now: () => NOW,
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
  }
}
