/**
 * The stages in order: registry, survey (inventory, graph, plan), brakes, sweep and verify. A dry-run is the
 * same without the sweep. Knows nothing of GitHub: what it reads, waits for and prints with is passed in.
 */
import { inspect } from 'node:util';

import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { closing } from '../http/stop.js';
import type { Transport } from '../http/transport.js';
import { withoutEntries } from '../memory/ledger/hiding.js';
import { openLedger } from '../memory/ledger/ledger.js';
import { LISTING_MEMORY } from '../memory/listing.js';
import type { Memory, Settled } from '../memory/memory.js';
import { observeSweep } from '../memory/observation.js';
import type { Digest } from '../oci/digest.js';
import type { Outcome } from '../plan/fate.js';
import type { Survey } from '../plan/survey.js';
import { openRegistry } from '../registry/families/families.js';
import type { Registry } from '../registry/registry.js';
import type { Progress } from './attempts.js';
import { openBackup, type Backup } from './backup/backup.js';
import { chooseApproved, chooseRepositories, type Choice } from './choose.js';
import { compareClocks } from './clocks.js';
import { allowed, refuseDeletes } from './refusals.js';
import { runOf } from './result.js';
import type { Run } from './run.js';
import type { Named, StageSettings } from './settings.js';
import { surveyAll, type Surveys } from './surveys.js';
import type { SurveyOptions } from './survey-types.js';
import { sweepRepository, type SweepOptions } from './sweep.js';
import { whyStopped, whyVanished } from './warnings.js';
import type { Printable } from '../text/printable.js';
import { coded } from '../text/code.js';

/** Where the ledger lies unless the user names another repository. */
const LEDGER_REPOSITORY = 'manifest-cleanup-ledger';

export interface StageTools {
  readonly transport: Pick<Transport, 'send' | 'stats' | 'granted'>;
  readonly progress: Progress & {
    /** a stage begins, and with it a new count */
    begin(what: string): void;
  };
  /** makes text of the registry safe to print */
  readonly quote: (text: string) => Printable;
  readonly clock: Clock;
  /** tells the run to stop; the reason is a word such as SIGTERM */
  readonly stop: AbortSignal;
  /** told once, when it is known which repositories are looked at */
  readonly onChosen?: (repositories: readonly string[], registry: Registry) => void;
}

/**
 * Cleans one registry.
 *
 * @throws RequestFailure when the registry can't be spoken to, or its catalog can't be read. What goes
 *   wrong in a repository is in the run that is returned
 */
export async function runStages(
  settings: StageSettings,
  named: Named,
  tools: StageTools,
): Promise<Run> {
  return new Cleaning(settings, named, tools).run();
}

class Cleaning {
  readonly #settings: StageSettings;
  readonly #named: Named;
  readonly #tools: StageTools;
  readonly #registry: Registry;
  /** for what ends the run in good order: it still answers when the run was told to stop */
  readonly #closing: Registry;
  readonly #backup: Backup;
  readonly #failures: string[] = [];

  constructor(settings: StageSettings, named: Named, tools: StageTools) {
    this.#settings = settings;
    this.#named = named;
    this.#tools = tools;
    const { transport, quote } = tools;
    const { send, granted } = transport;
    this.#registry = openRegistry(settings, { send, granted, quote });
    this.#closing = openRegistry(settings, { send: closing(send), granted, quote });
    this.#backup = openBackup(settings.backupDirectory);
  }

  async run(): Promise<Run> {
    const { clock, progress, stop } = this.#tools;
    const { dryRun, maxDeletes, concurrency } = this.#settings;
    const startedAt = clock.now();
    const registryTime = await this.#registry.reader.ping();
    const clocks = compareClocks(startedAt, clock.now(), registryTime);
    const ledgerRepository = ledgerOf(this.#settings, this.#registry);
    const memory =
      ledgerRepository === undefined
        ? LISTING_MEMORY
        : await openLedger({
            registry: this.#closing,
            ledger: ledgerRepository,
            now: clocks.stamp,
          });
    const choice = await this.#choose();
    const isNamed = this.#settings.selection.names !== undefined;
    const chosen = choice.repositories.filter(
      (repository) => !memory.isItself(repository, isNamed),
    );
    this.#tools.onChosen?.(chosen, this.#registry);
    const options = this.#surveyOptions(ledgerRepository, clocks.now);

    progress.begin('Reading tags and manifests');
    const read = await surveyAll(chosen, {
      survey: options,
      candidates: (repository) => this.#candidates(repository),
      memory,
      pusher: dryRun ? undefined : this.#registry.pusher,
      isApproved: this.#named.approval !== undefined,
      contain: (repository, work) => this.#contain(repository, work),
      stop,
    });
    this.#tellUnread(read, chosen.length, ledgerRepository);

    // Every plan is complete before the first delete.
    const refusals = await refuseDeletes(read.surveys, read.refusals, {
      maxDeletes,
      dryRun,
      rights: this.#registry.rights,
      concurrency,
      stop,
    });
    const toSweep = dryRun ? [] : allowed(read.surveys, refusals);
    progress.begin('Deleting orphan manifests');
    const outcomes = await this.#sweepAll(toSweep, options, memory, read.settled);
    if (stop.aborted && read.unread === 0) {
      this.#failures.push(whyStopped(this.#tools.stop, 'before it was done'));
    }
    return runOf({
      ...read,
      settings: this.#settings,
      named: this.#named,
      registry: this.#registry,
      choice,
      chosen,
      memory,
      clocks,
      backup: this.#backup,
      refusals,
      outcomes,
      failures: this.#failures,
      requests: this.#tools.transport.stats().requests,
      startedAt,
      finishedAt: clock.now(),
    });
  }

  async #choose(): Promise<Choice> {
    const { intake, approval } = this.#named;
    const { selection } = this.#settings;
    return approval === undefined
      ? chooseRepositories(this.#registry, selection, intake.candidates.keys())
      : chooseApproved(approval.repositories.keys(), selection);
  }

  #candidates(repository: string): ReadonlySet<Digest> {
    const { intake, approval } = this.#named;
    return new Set([
      ...(intake.candidates.get(repository) ?? []),
      ...(approval?.repositories.get(repository) ?? []),
    ]);
  }

  #surveyOptions(ledgerRepository: string | undefined, now: number): SurveyOptions {
    const { gracePeriod, danglingReferrers, keepUntagged, protection, concurrency } =
      this.#settings;
    const { progress, clock } = this.#tools;
    return {
      reader: withoutEntries(this.#registry.reader, ledgerRepository),
      lister: this.#registry.lister,
      concurrency,
      progress,
      clock,
      policy: {
        gracePeriod,
        danglingReferrers,
        keepUntagged,
        protection,
        approved: this.#named.approval?.repositories,
        now,
      },
    };
  }

  /** A fault of our own in one repository must not stop the others, nor the report of what was done. */
  async #contain<T>(repository: string, work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      this.#failures.push(
        coded(
          `${repository}: this action failed by a fault of its own: ${this.#tools.quote(inspect(error))}`,
          'internal-fault',
        ),
      );
      return undefined;
    }
  }

  #tellUnread(
    { vanished, unread }: Pick<Surveys, 'vanished' | 'unread'>,
    chosen: number,
    ledgerRepository: string | undefined,
  ): void {
    vanished.forEach((repository) =>
      this.#failures.push(whyVanished(repository, ledgerRepository ?? '')),
    );
    if (unread > 0) {
      const repositories = `${String(unread)} of ${String(chosen)} repositories`;
      this.#failures.push(whyStopped(this.#tools.stop, `before it came to ${repositories}`));
    }
  }

  async #sweepAll(
    toSweep: readonly Survey[],
    options: SurveyOptions,
    memory: Memory,
    settled: ReadonlyMap<string, Settled>,
  ): Promise<ReadonlyMap<string, Outcome>> {
    const { clock, stop } = this.#tools;
    const { verify, registry, concurrency } = this.#settings;
    const sweeping: Omit<SweepOptions, 'contain'> = {
      ...options,
      deleter: this.#registry.deleter,
      pusher: this.#registry.pusher,
      // What was deleted is still confirmed when the run was told to stop: otherwise nobody would know.
      isThere: (repository, digest) => this.#closing.reader.isThere(repository, digest),
      save: (manifests) =>
        this.#backup.save(
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
      const outcome = await sweepRepository(found, this.#candidates(repository), {
        ...sweeping,
        contain: (work) => this.#contain(repository, work),
      });
      const state = settled.get(repository);
      if (state !== undefined) {
        const seen = observeSweep(found, outcome.fates);
        if (seen.absent.size + seen.standing.size > 0) {
          await this.#contain(repository, memory.swept(state, seen));
        }
      }
      return [repository, outcome] as const;
    };
    const swept = await pMap(
      toSweep,
      (found) => this.#contain(found.plan.repository, sweep(found)),
      { concurrency },
    );
    return new Map(swept.filter((each) => each !== undefined));
  }
}

/** @returns where the ledger lies; `undefined` where there is none */
function ledgerOf({ ledger }: StageSettings, { lister }: Registry): string | undefined {
  switch (ledger.kind) {
    case 'off':
      return undefined;
    case 'auto':
      return lister === undefined ? LEDGER_REPOSITORY : undefined;
    case 'named':
      return ledger.repository;
  }
}
