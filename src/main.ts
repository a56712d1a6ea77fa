/** One run from the inputs to the report, and the one place that ends it. */
import * as core from '@actions/core';

import { readSettings } from './action/inputs.js';
import { createLog, harmless, type Log } from './action/log.js';
import { startProgress } from './action/progress.js';
import { publish, writeReport } from './action/publish.js';
import { runContext } from './action/run-context.js';
import type { Settings } from './action/settings.js';
import { readIntake } from './candidates/intake.js';
import { readDockerCredentials } from './http/docker-config.js';
import { createSecretStore } from './http/redact.js';
import { createTransport, type ExchangeEvent, type Transport } from './http/transport.js';
import { repositoryLines } from './report/lines.js';
import { inCodeSpan } from './report/markdown.js';
import { deletedDigests } from './report/outputs.js';
import type { Run } from './report/run.js';
import { headline } from './report/sections/headline.js';
import { problems, sentence, totals } from './report/totals.js';
import { count } from './report/words.js';
import { runStages } from './stages.js';

/** GitHub shows ten annotations of a step, and the summary has them all. */
const MOST_ANNOTATIONS = 10;
/** Long enough for every sentence of a registry that is worth reading. */
const QUOTE = 300;

/**
 * Runs the action once.
 *
 * @returns whether everything that was asked for was done
 */
export async function main(): Promise<boolean> {
  const secrets = createSecretStore();
  const log = createLog((text) => secrets.redact(text));
  try {
    const settings = readSettings();
    const transport = await connect(settings, log, (secret) => {
      core.setSecret(secret);
      secrets.add(secret);
      secrets.add(inCodeSpan(secret));
    });
    const progress = startProgress(
      () => transport.stats().requests,
      (line) => {
        log.info(line);
      },
    );
    try {
      const intake = await readIntake({
        digests: settings.digests,
        files: settings.digestsFiles,
        registryHost: settings.registry.host,
      });
      const run = await runStages(settings, intake, {
        transport,
        progress,
        quote: (text) => harmless(secrets.redact(text)).slice(0, QUOTE),
        now: () => Date.now(),
        onChosen: (repositories) => {
          announce(settings, repositories, log);
        },
      });
      return await report(run, settings, log, (text) => secrets.redact(text));
    } finally {
      progress.stop();
      transport.close();
    }
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
    log.debug(error instanceof Error ? (error.stack ?? '') : '');
    return false;
  }
}

async function connect(
  settings: Settings,
  log: Log,
  mask: (secret: string) => void,
): Promise<Transport> {
  const { registry, login, insecure, ca, concurrency } = settings;
  const credentials =
    login === undefined
      ? await readDockerCredentials(registry, process.env)
      : ({ kind: 'basic', ...login } as const);
  return createTransport({
    registry,
    credentials,
    insecure,
    ...(ca === undefined ? {} : { ca }),
    concurrency,
    userAgent: 'registry-manifest-cleanup',
    mask,
    // Not even made when nobody sees them: there is one for each of a million requests.
    ...(core.isDebug() ? { onExchange: tellTo(log) } : {}),
  });
}

function tellTo(log: Log): (event: ExchangeEvent) => void {
  return ({ method, url, result, milliseconds, attempt }) => {
    const answer = result.kind === 'answer' ? String(result.status) : result.failure;
    const again = attempt > 1 ? `, attempt ${String(attempt)}` : '';
    log.debug(`${method} ${url} → ${answer} in ${String(milliseconds)} ms${again}`);
  };
}

function announce(settings: Settings, repositories: readonly string[], log: Log): void {
  const howMany = count(repositories.length, 'repository', 'repositories');
  const mode = settings.dryRun ? ' (dry-run: nothing will be deleted)' : '';
  log.info(`${settings.registry.origin}: ${howMany} to look at${mode}`);
  log.info(
    'This registry has no route that lists untagged manifests: only what a tag, an input or another ' +
      'manifest names can be seen',
  );
}

/** Everything that people and later steps get to see; returns whether the job is green. */
async function report(
  finished: Run,
  settings: Settings,
  log: Log,
  redact: (text: string) => string,
): Promise<boolean> {
  const context = runContext();
  const read: Run = { ...finished, ...(context === undefined ? {} : { run: context }) };
  for (const repository of read.repositories) {
    const { repository: name } = repository.inventory;
    log.group(name, repositoryLines(repository, read));
    repository.warnings.forEach((warning) => {
      log.warning(`${name}: ${warning}`);
    });
  }
  const unwritten = settings.reportFile && (await tryReport(read, settings.reportFile, redact));
  const run: Run = unwritten ? { ...read, failures: [...read.failures, unwritten] } : read;
  await publish(run, redact);
  const { cut } = deletedDigests(run);
  if (cut > 0) {
    log.warning(
      `the output deleted-digests is cut: GitHub drops outputs that are too long, so ${count(cut, 'digest')} ` +
        'are not in it. The report-file has them all',
    );
  }
  const found = problems(run);
  found.slice(0, MOST_ANNOTATIONS).forEach((problem) => {
    log.error(sentence(problem));
  });
  if (found.length > MOST_ANNOTATIONS) {
    log.info(`${count(found.length - MOST_ANNOTATIONS, 'more problem')} in the job summary`);
  }
  log.info(headline(run, totals(run)));
  return found.length === 0;
}

/** @returns why the report could not be written, if so */
async function tryReport(
  run: Run,
  file: string,
  redact: (text: string) => string,
): Promise<string | undefined> {
  try {
    await writeReport(run, file, redact);
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return `the report could not be written where report-file says: ${why}`;
  }
}
