/**
 * The stages in order: registry, survey (inventory, graph, plan), sweep and verify. A dry-run is the same
 * without the sweep. Knows nothing of GitHub: what it reads, waits for and prints with is passed in.
 */
import pMap from 'p-map';

import type { Settings } from './action/settings.js';
import type { Intake } from './candidates/candidate.js';
import { surveyRepository, type Progress, type SurveyOptions } from './cleanup/survey.js';
import { sweepRepository } from './cleanup/sweep.js';
import type { Transport } from './http/transport.js';
import type { Digest } from './oci/digest.js';
import { chooseRepositories } from './registry/choice.js';
import { createReader } from './registry/reader.js';
import { createWriter } from './registry/writer.js';
import type { RepositoryRun, Run } from './report/run.js';

export type StageSettings = Pick<
  Settings,
  'registry' | 'selection' | 'concurrency' | 'dryRun' | 'gracePeriod' | 'danglingReferrers'
>;

export interface StageTools {
  readonly transport: Pick<Transport, 'send' | 'stats'>;
  readonly progress: Progress & {
    /** a stage begins, and with it a new count */
    begin(what: string): void;
  };
  /** makes text of the registry safe to print */
  readonly quote: (text: string) => string;
  /** epoch milliseconds */
  readonly now: () => number;
  /** told once, when it is known which repositories are looked at */
  readonly onChosen?: (repositories: readonly string[]) => void;
}

/**
 * Cleans one registry.
 *
 * @throws RequestFailure when the registry can't be spoken to, or its catalog can't be read. What goes
 *   wrong in a repository is in the run that is returned
 */
export async function runStages(
  settings: StageSettings,
  intake: Intake,
  { transport, progress, quote, now, onChosen }: StageTools,
): Promise<Run> {
  const { registry, concurrency, dryRun, gracePeriod, danglingReferrers } = settings;
  const startedAt = now();
  const reader = createReader(transport.send, registry, quote);
  await reader.ping();
  const choice = await chooseRepositories(reader, settings.selection, intake.candidates.keys());
  onChosen?.(choice.repositories);

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

  const policy = { gracePeriod, danglingReferrers, now: startedAt };
  const options: SurveyOptions = { reader, concurrency, progress, policy };
  const candidates = (repository: string) => intake.candidates.get(repository) ?? new Set<Digest>();
  progress.begin('Reading tags and manifests');
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
  const swept = await pMap(
    toSweep,
    (survey) => {
      const { repository } = survey.plan;
      const sweep = sweepRepository(survey, candidates(repository), { ...options, writer });
      return contain(repository, sweep);
    },
    { concurrency },
  );
  const outcomes = new Map(
    swept
      .filter((outcome) => outcome !== undefined)
      .map((outcome) => [outcome.repository, outcome]),
  );

  const repositories = surveys.map(({ inventory, plan }): RepositoryRun => {
    const outcome = outcomes.get(plan.repository);
    const isEmpty = inventory.tags.size + inventory.manifests.size + inventory.gaps.length === 0;
    const warnings = isEmpty
      ? ['it has no tags, and none of the digests named for it exists. Is its name right?']
      : [];
    return { inventory, plan, ...(outcome === undefined ? {} : { outcome }), warnings };
  });
  const chosen = new Set(choice.repositories);
  return {
    registry: registry.origin,
    dryRun,
    gracePeriod,
    danglingReferrers,
    startedAt,
    finishedAt: now(),
    requests: transport.stats().requests,
    repositories,
    everyRepositoryScanned: choice.isComplete && failures.length === 0,
    unnameableRepositories: choice.unnameable,
    intake,
    ignoredCandidates: [...intake.candidates]
      .filter(([repository]) => !chosen.has(repository))
      .reduce((sum, [, digests]) => sum + digests.size, 0),
    untaggedListing: 'none',
    failures,
  };
}
