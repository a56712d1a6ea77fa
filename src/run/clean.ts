/**
 * The stages in order: registry, survey (inventory, graph, plan), brakes, sweep and verify. A dry-run is the
 * same without the sweep. Knows nothing of GitHub: what it reads, waits for and prints with is passed in.
 */
import pMap from 'p-map';

import type { Progress } from './attempts.js';
import type { Survey } from '../plan/survey.js';
import type { Settings } from './settings.js';
import { openBackup } from './backup/backup.js';
import type { Intake } from './candidates/candidate.js';
import type { Approval } from '../plan/approval.js';
import type { Refusal } from '../plan/brakes.js';
import { fatesWithoutSweep, type Outcome } from '../plan/fate.js';
import type { Repair } from './repair.js';
import type { SurveyOptions } from './survey-types.js';
import { sweepRepository, type SweepOptions } from './sweep.js';
import type { Clock } from '../http/clock.js';
import { closing } from '../http/stop.js';
import type { Transport } from '../http/transport.js';
import { withoutEntries } from '../memory/ledger/hiding.js';
import { openLedger } from '../memory/ledger/ledger.js';
import { observeSweep } from '../memory/ledger/observation.js';
import type { Digest } from '../oci/digest.js';
import { unmatched } from '../plan/protection.js';
import { chooseApproved, chooseRepositories } from './choose.js';
import { createPresence } from '../registry/distribution/presence.js';
import { compareClocks } from './clocks.js';
import { createPusher } from '../registry/distribution/pusher.js';
import { createReader } from '../registry/distribution/reader.js';
import { createWriter } from '../registry/distribution/writer.js';
import { allowed, refuseDeletes } from './refusals.js';
import type { RepositoryRun, Run } from './run.js';
import { surveyAll } from './surveys.js';
import { notFound, unmet } from '../plan/unmet.js';
import { warningsOf, whyVanished } from './warnings.js';

export type StageSettings = Pick<
  Settings,
  | 'registry'
  | 'selection'
  | 'concurrency'
  | 'dryRun'
  | 'gracePeriod'
  | 'danglingReferrers'
  | 'keepUntagged'
  | 'protection'
  | 'maxDeletes'
  | 'verify'
  | 'backupDirectory'
  | 'planFile'
  | 'ledgerRepository'
>;

/** What the inputs name, read from their files. */
export interface Named {
  readonly intake: Intake;
  /** the plan that is to be carried out */
  readonly approval?: Approval;
  /** what `protect-files` named; it is in the settings' protection, too */
  readonly pinned: Omit<Run['pinned'], 'unmet'>;
}

export interface StageTools {
  readonly transport: Pick<Transport, 'send' | 'stats' | 'granted'>;
  readonly progress: Progress & {
    /** a stage begins, and with it a new count */
    begin(what: string): void;
  };
  /** makes text of the registry safe to print */
  readonly quote: (text: string) => string;
  readonly clock: Clock;
  /** tells the run to stop; the reason is a word such as SIGTERM */
  readonly stop: AbortSignal;
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
  { intake, approval, pinned }: Named,
  { transport, progress, quote, clock, stop, onChosen }: StageTools,
): Promise<Run> {
  const { registry, concurrency, dryRun, gracePeriod, danglingReferrers } = settings;
  const { keepUntagged, protection, maxDeletes, verify, ledgerRepository } = settings;
  const startedAt = clock.now();
  const { send } = transport;
  const reader = createReader(send, registry, quote);
  const writer = createWriter(send, registry, quote);
  const pusher = createPusher(send, registry, quote);
  const registryTime = await reader.ping();
  const clocks = compareClocks(startedAt, clock.now(), registryTime);
  const ledger =
    ledgerRepository === undefined
      ? undefined
      : await openLedger({
          reader: createReader(closing(send), registry, quote),
          writer: createWriter(closing(send), registry, quote),
          pusher: createPusher(closing(send), registry, quote),
          ledger: ledgerRepository,
          now: clocks.stamp,
        });
  const choice =
    approval === undefined
      ? await chooseRepositories(reader, settings.selection, intake.candidates.keys())
      : chooseApproved(approval.repositories.keys(), settings.selection);
  const isNamed = settings.selection.names !== undefined;
  const chosen = choice.repositories.filter(
    (repository) => ledger?.isItself(repository, isNamed) !== true,
  );
  onChosen?.(chosen);

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

  const options: SurveyOptions = {
    reader: withoutEntries(reader, ledgerRepository),
    concurrency,
    progress,
    clock,
    policy: {
      gracePeriod,
      danglingReferrers,
      keepUntagged,
      protection,
      ...(approval === undefined ? {} : { approved: approval.repositories }),
      now: clocks.now,
    },
  };
  const candidates = (repository: string) =>
    new Set<Digest>([
      ...(intake.candidates.get(repository) ?? []),
      ...(approval?.repositories.get(repository) ?? []),
    ]);
  progress.begin('Reading tags and manifests');
  const { surveys, repairs, settled, vanished, unread, ...looked } = await surveyAll(chosen, {
    survey: options,
    candidates,
    ledger,
    pusher: dryRun ? undefined : pusher,
    isApproved: approval !== undefined,
    contain,
    stop,
  });
  vanished.forEach((repository) => failures.push(whyVanished(repository, ledgerRepository ?? '')));
  if (unread > 0) {
    failures.push(
      `the run was told to stop (${String(stop.reason)}) before it came to ${unread} of ${chosen.length} ` +
        'repositories. Run it again to finish its work',
    );
  }

  // Every plan is complete before the first delete.
  const refusals = await refuseDeletes(surveys, looked.refusals, {
    maxDeletes,
    dryRun,
    transport,
    writer,
    concurrency,
    stop,
  });

  const backup = openBackup(settings.backupDirectory);
  const sweeping: Omit<SweepOptions, 'contain'> = {
    ...options,
    writer,
    pusher,
    // What was deleted is still confirmed when the run was told to stop: otherwise nobody would know.
    isThere: createPresence(closing(send), registry, quote),
    save: (manifests) =>
      backup.save(
        manifests.map((each) => ({ ...each, registry: registry.origin, savedAt: clock.now() })),
      ),
    verify,
    stop,
  };
  const sweep = async (found: Survey) => {
    const { repository } = found.plan;
    if (stop.aborted) {
      return undefined;
    }
    const outcome = await sweepRepository(found, candidates(repository), {
      ...sweeping,
      contain: (work) => contain(repository, work),
    });
    const state = settled.get(repository);
    if (ledger && state !== undefined) {
      const seen = observeSweep(found, outcome.fates);
      if (seen.absent.size + seen.standing.size > 0) {
        await contain(repository, ledger.recordSweep(state, seen));
      }
    }
    return [repository, outcome] as const;
  };
  const toSweep = dryRun ? [] : allowed(surveys, refusals);
  progress.begin('Deleting orphan manifests');
  const swept = await pMap(toSweep, (found) => contain(found.plan.repository, sweep(found)), {
    concurrency,
  });
  const outcomes = new Map(swept.filter((each) => each !== undefined));
  if (stop.aborted && unread === 0) {
    failures.push(
      `the run was told to stop (${String(stop.reason)}) before it was done. Run it again to finish its work`,
    );
  }

  const repositories = surveys.map((survey) =>
    repositoryRun(survey, { dryRun, outcomes, refusals, repairs, approval }),
  );
  // Those in which this action failed are missing as well.
  const notRead = chosen.length - surveys.length;
  const news = ledger?.news();
  const everyRepositoryScanned = choice.isComplete && notRead === 0;
  return {
    settings,
    pinned: { ...pinned, unmet: unmet(protection, surveys) },
    ...(backup.isUsed ? { backup: backup.directory } : {}),
    ...(approval === undefined
      ? {}
      : {
          applied: {
            createdAt: approval.createdAt,
            ignored: outside(approval.repositories, chosen),
          },
        }),
    startedAt,
    finishedAt: clock.now(),
    requests: transport.stats().requests,
    repositories,
    unread: notRead,
    everyRepositoryScanned,
    unnameableRepositories: choice.unnameable,
    intake,
    ignoredCandidates: outside(intake.candidates, choice.repositories),
    untaggedListing: 'none',
    ledger: news,
    warnings: [
      ...(clocks.warning === undefined ? [] : [clocks.warning]),
      ...choice.warnings,
      // In a run that left some out, an entry may well be meant for one of those.
      ...(everyRepositoryScanned
        ? [
            ...unmatched(protection, registry.host, choice.repositories).map(
              (name) =>
                `\`protect\` names \`${name}\`, which matches no repository of this registry`,
            ),
            ...notFound(protection, surveys),
          ]
        : []),
    ],
    failures: [...(news?.failures ?? []), ...failures],
  };
}

function repositoryRun(
  survey: Survey,
  by: {
    readonly dryRun: boolean;
    readonly outcomes: ReadonlyMap<string, Outcome>;
    readonly refusals: ReadonlyMap<string, Refusal>;
    readonly repairs: ReadonlyMap<string, Repair>;
    readonly approval: Approval | undefined;
  },
): RepositoryRun {
  const { inventory, plan } = survey;
  const { repository } = plan;
  const refusal = by.refusals.get(repository);
  const outcome = by.outcomes.get(repository) ?? {
    fates: fatesWithoutSweep(plan, { dryRun: by.dryRun, isRefused: refusal !== undefined }),
    broken: [],
    unverified: false,
  };
  const repair = by.repairs.get(repository);
  const approved = by.approval?.repositories.get(repository);
  return {
    inventory,
    plan,
    ...outcome,
    refusal,
    repair,
    approved,
    warnings: warningsOf(survey),
  };
}

/** How many digests are named for other repositories than these. */
function outside(
  named: Iterable<[string, ReadonlySet<Digest>]>,
  repositories: readonly string[],
): number {
  const wanted = new Set(repositories);
  return [...named]
    .filter(([repository]) => !wanted.has(repository))
    .reduce((sum, [, digests]) => sum + digests.size, 0);
}
