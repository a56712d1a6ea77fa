/**
 * The stages in order: inputs, registry, survey (inventory, graph, plan), sweep and verify, report. A
 * dry-run is the same without the sweep. The one place that ends the run.
 */
import * as core from '@actions/core';
import pMap from 'p-map';

import { readSettings } from './action/inputs.js';
import { createLog, harmless, type Log } from './action/log.js';
import { startProgress, type ProgressLine } from './action/progress.js';
import { publish, writeReport } from './action/publish.js';
import { runContext } from './action/run-context.js';
import type { Settings } from './action/settings.js';
import { readIntake } from './candidates/intake.js';
import { surveyRepository, type SurveyOptions } from './cleanup/survey.js';
import { sweepRepository } from './cleanup/sweep.js';
import { readDockerCredentials } from './http/docker-config.js';
import { createSecretStore } from './http/redact.js';
import { createTransport, type Transport } from './http/transport.js';
import type { Digest } from './oci/digest.js';
import { createReader } from './registry/reader.js';
import { createWriter } from './registry/writer.js';
import { chooseRepositories } from './registry/choice.js';
import { repositoryLines } from './report/lines.js';
import type { RepositoryRun, Run } from './report/run.js';
import { headline } from './report/sections/headline.js';
import { problems, sentence, totals } from './report/totals.js';
import { count } from './report/words.js';

/** Annotations beyond this many are not shown by GitHub anyway; the summary has them all. */
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
    const mask = (secret: string) => {
      core.setSecret(secret);
      secrets.add(secret);
    };
    const quote = (text: string) => harmless(secrets.redact(text)).slice(0, QUOTE);
    const transport = await connect(settings, mask, log);
    const progress = startProgress(
      () => transport.stats().requests,
      (line) => {
        log.info(line);
      },
    );
    try {
      return await clean(settings, transport, progress, log, quote);
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
  mask: (secret: string) => void,
  log: Log,
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
    onExchange: ({ method, url, result, milliseconds, attempt }) => {
      const answer = result.kind === 'answer' ? String(result.status) : result.failure;
      const again = attempt > 1 ? `, attempt ${String(attempt)}` : '';
      log.debug(`${method} ${url} → ${answer} in ${String(milliseconds)} ms${again}`);
    },
  });
}

async function clean(
  settings: Settings,
  transport: Transport,
  progress: ProgressLine,
  log: Log,
  quote: (text: string) => string,
): Promise<boolean> {
  const { registry, concurrency, dryRun, gracePeriod, danglingReferrers } = settings;
  const startedAt = Date.now();
  const intake = await readIntake({
    digests: settings.digests,
    files: settings.digestsFiles,
    registryHost: registry.host,
  });
  const reader = createReader(transport.send, registry, quote);
  await reader.ping();
  const choice = await chooseRepositories(reader, settings.selection, intake.candidates.keys());
  const howMany = count(choice.repositories.length, 'repository', 'repositories');
  log.info(
    `${registry.origin}: ${howMany} to look at${dryRun ? ' (dry-run: nothing will be deleted)' : ''}`,
  );
  log.info(
    'This registry has no route that lists untagged manifests: only what a tag, an input or another ' +
      'manifest names can be seen',
  );

  const options: SurveyOptions = {
    reader,
    concurrency,
    progress,
    policy: { gracePeriod, danglingReferrers, now: startedAt },
  };
  const candidates = (repository: string) => intake.candidates.get(repository) ?? new Set<Digest>();
  progress.begin('Reading tags and manifests');
  const failures: string[] = [];
  /** A fault of our own in one repository must not stop the others, nor the report of what was done. */
  const contain = async <T>(repository: string, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failures.push(`${repository}: this action failed by a fault of its own: ${quote(why)}`);
      return undefined;
    }
  };
  const read = await pMap(
    choice.repositories,
    (repository) =>
      contain(repository, surveyRepository(repository, candidates(repository), options)),
    { concurrency },
  );
  const surveys = read.filter((survey) => survey !== undefined);

  // Every plan is complete before the first delete.
  const writer = createWriter(transport.send, registry, quote);
  const toSweep = dryRun ? [] : surveys.filter(({ plan }) => plan.orphans.length > 0);
  progress.begin('Deleting orphan manifests');
  const outcomes = await pMap(
    toSweep,
    (survey) => {
      const { repository } = survey.plan;
      const sweep = sweepRepository(survey, candidates(repository), { ...options, writer });
      return contain(repository, sweep);
    },
    { concurrency },
  );

  const outcomeOf = new Map(
    outcomes
      .filter((outcome) => outcome !== undefined)
      .map((outcome) => [outcome.repository, outcome]),
  );
  const repositories = surveys.map(({ inventory, plan }): RepositoryRun => {
    const outcome = outcomeOf.get(plan.repository);
    const isEmpty = inventory.tags.size + inventory.manifests.size + inventory.gaps.length === 0;
    const warnings = isEmpty
      ? ['it has no tags, and none of the digests named for it exists. Is its name right?']
      : [];
    return { inventory, plan, ...(outcome === undefined ? {} : { outcome }), warnings };
  });
  const context = runContext();
  const run: Run = {
    registry: registry.origin,
    dryRun,
    gracePeriod,
    danglingReferrers,
    startedAt,
    finishedAt: Date.now(),
    requests: transport.stats().requests,
    repositories,
    everyRepositoryScanned: choice.isComplete,
    unnameableRepositories: choice.unnameable,
    intake,
    ignoredCandidates: [...intake.candidates]
      .filter(([repository]) => !choice.repositories.includes(repository))
      .reduce((sum, [, digests]) => sum + digests.size, 0),
    untaggedListing: 'none',
    failures,
    ...(context === undefined ? {} : { run: context }),
  };
  return report(run, settings, log);
}

async function report(run: Run, settings: Settings, log: Log): Promise<boolean> {
  for (const repository of run.repositories) {
    log.group(repository.inventory.repository, repositoryLines(repository, run));
    repository.warnings.forEach((warning) => {
      log.warning(`${repository.inventory.repository}: ${warning}`);
    });
  }
  const failures: string[] = [];
  if (settings.reportFile !== undefined) {
    try {
      await writeReport(run, settings.reportFile);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      failures.push(`the report could not be written to the path that report-file names: ${why}`);
    }
  }
  const complete = { ...run, failures: [...run.failures, ...failures] };
  await publish(complete);
  const found = problems(complete);
  found.slice(0, MOST_ANNOTATIONS).forEach((problem) => {
    log.error(sentence(problem));
  });
  if (found.length > MOST_ANNOTATIONS) {
    log.error(`${String(found.length - MOST_ANNOTATIONS)} more problems are in the job summary`);
  }
  log.info(headline(complete, totals(complete)));
  return found.length === 0;
}
