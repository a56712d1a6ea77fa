/**
 * The stages in order: registry, survey (inventory, graph, plan), brakes, sweep and verify. A dry-run is the
 * same without the sweep. It knows nothing of GitHub, and gets its transport, clock and progress from outside.
 */
import { inspect } from 'node:util';

import pMap from 'p-map';

import type { Clock } from '../http/clock.js';
import { closing } from '../http/stop.js';
import type { Transport } from '../http/transport.js';
import { entryTagPrefix } from '../memory/ledger/artifact.js';
import { withoutEntries } from '../memory/ledger/hiding.js';
import { openLedger } from '../memory/ledger/ledger.js';
import { LISTING_MEMORY } from '../memory/listing.js';
import type { Memory, Settled } from '../memory/memory.js';
import { observeSweep } from '../memory/observation.js';
import type { Digest } from '../oci/digest.js';
import type { Outcome } from '../plan/fate.js';
import type { Survey } from '../plan/survey.js';
import { findRegistry, openRegistry, type Found } from '../registry/families/families.js';
import type { Registry } from '../registry/registry.js';
import type { Progress } from './attempts.js';
import { openBackup, type Backup } from './backup/backup.js';
import { chooseApproved, chooseRepositories } from './choose.js';
import { compareClocks, type Clocks } from './clocks.js';
import { allowed, refuseDeletes } from './refusals.js';
import { runOf } from './result.js';
import type { Run } from './run.js';
import type { Named, CleanSettings } from './settings.js';
import { surveyAll, type Contain } from './surveys.js';
import type { SurveyOptions } from './survey-options.js';
import { sweepRepository, type SweepOptions } from './sweep.js';
import type { Printable } from '../text/printable.js';
import { coded } from '../text/code.js';

/** The repository of the ledger, unless the user names another one. */
const LEDGER_REPOSITORY = 'manifest-cleanup-ledger';

export interface RunTools {
  readonly transport: Pick<
    Transport,
    'send' | 'stats' | 'granted' | 'greeting' | 'basic' | 'quota' | 'clock'
  >;
  readonly progress: Progress & {
    /** a stage begins, and with it a new count */
    begin(what: string): void;
  };
  /** makes text of the registry safe to print */
  readonly quote: (text: string) => Printable;
  readonly clock: Clock;
  /** tells the run to stop; the reason is a word such as SIGTERM */
  readonly stop: AbortSignal;
  /** called once, when the repositories are known */
  readonly onChosen?: (repositories: readonly string[], registry: Registry) => void;
}

/**
 * Cleans one registry.
 *
 * @throws RequestFailure when the registry doesn't answer, or its catalog can't be read. Failures in one
 *   repository are part of the result
 */
export async function cleanRegistry(
  settings: CleanSettings,
  named: Named,
  tools: RunTools,
): Promise<Run> {
  const { transport, quote, clock } = tools;
  const startedAt = clock.now();
  const found = await findRegistry(settings, { ...transport, quote });
  const clocks = compareClocks(startedAt, clock.now(), found.time);
  return new Cleaning(settings, named, tools, found).run(startedAt, clocks);
}

class Cleaning {
  readonly #settings: CleanSettings;
  readonly #named: Named;
  readonly #tools: RunTools;
  readonly #registry: Registry;
  /** for requests that end the run in good order: still sent after a stop */
  readonly #closing: Registry;
  readonly #backup: Backup;
  readonly #failures: string[] = [];

  constructor(settings: CleanSettings, named: Named, tools: RunTools, { family }: Found) {
    this.#settings = settings;
    this.#named = named;
    this.#tools = tools;
    const { transport, quote } = tools;
    const wires = { ...transport, quote };
    this.#registry = openRegistry(settings, wires, family);
    const { send } = transport;
    this.#closing = openRegistry(settings, { ...wires, send: closing(send) }, family);
    this.#backup = openBackup(settings.backupDirectory);
  }

  async run(startedAt: number, clocks: Clocks): Promise<Run> {
    const { clock, progress, stop } = this.#tools;
    const { dryRun, maxDeletes, concurrency, selection } = this.#settings;
    const { intake, approval } = this.#named;
    const ledger = ledgerOf(this.#settings, this.#registry);
    const memory =
      ledger === undefined
        ? LISTING_MEMORY
        : await openLedger({ registry: this.#closing, ledger, now: clocks.stamp });
    const choice =
      approval === undefined
        ? await chooseRepositories(this.#registry, selection, intake.candidates.keys())
        : chooseApproved(approval.repositories.keys(), selection);
    const isNamed = selection.names !== undefined;
    const chosen = choice.repositories.filter(
      (repository) => !memory.isItself(repository, isNamed),
    );
    this.#tools.onChosen?.(chosen, this.#registry);
    const options = this.#surveyOptions(ledger, clocks.now);

    progress.begin('Reading tags and manifests');
    const read = await surveyAll(chosen, {
      survey: options,
      candidates: this.#candidates,
      memory,
      pusher: dryRun ? undefined : this.#registry.pusher,
      isApproved: approval !== undefined,
      contain: this.#contain,
      stop,
    });
    this.#failures.push(
      ...read.vanished.map((repository) => whyVanished(repository, String(ledger))),
    );
    if (read.unread > 0) {
      const rest = `before it came to ${read.unread} of ${chosen.length} repositories`;
      this.#failures.push(whyStopped(stop, rest));
    }

    // Every plan is complete before the first delete.
    const { rights } = this.#registry;
    const refusing = { maxDeletes, dryRun, rights, concurrency, stop };
    const refusals = await refuseDeletes(read.surveys, read.refusals, refusing);
    const toSweep = dryRun ? [] : allowed(read.surveys, refusals);
    if (!dryRun) {
      progress.begin('Deleting orphan manifests');
    }
    const outcomes = await this.#sweepAll(toSweep, options, memory, read.settled);
    if (stop.aborted && read.unread === 0) {
      this.#failures.push(whyStopped(stop, 'before it was done'));
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

  readonly #candidates = (repository: string): ReadonlySet<Digest> => {
    const { intake, approval } = this.#named;
    return new Set([
      ...(intake.candidates.get(repository) ?? []),
      ...(approval?.repositories.get(repository) ?? []),
    ]);
  };

  #surveyOptions(ledger: string | undefined, now: number): SurveyOptions {
    const { gracePeriod, unusedFor, danglingReferrers, keepUntagged, protection, concurrency } =
      this.#settings;
    const { progress, clock } = this.#tools;
    return {
      reader: withoutEntries(this.#registry.reader, ledger),
      lister: this.#registry.lister,
      concurrency,
      progress,
      clock,
      policy: {
        gracePeriod,
        unusedFor,
        danglingReferrers,
        keepUntagged,
        protection,
        approved: this.#named.approval?.repositories,
        takesChildren: this.#registry.deleter.takesChildren,
        now,
      },
    };
  }

  /** A fault of this program in one repository must not stop the others, nor the report. */
  readonly #contain: Contain = async (repository, work) => {
    try {
      return await work;
    } catch (error) {
      const fault = this.#tools.quote(inspect(error));
      this.#failures.push(
        coded(
          `${repository}: this action failed by a fault of its own: ${fault}`,
          'internal-fault',
        ),
      );
      return undefined;
    }
  };

  async #sweepAll(
    toSweep: readonly Survey[],
    options: SurveyOptions,
    memory: Memory,
    settled: ReadonlyMap<string, Settled>,
  ): Promise<ReadonlyMap<string, Outcome>> {
    const { clock, stop } = this.#tools;
    const { verify, registry, concurrency } = this.#settings;
    const { lister } = this.#closing;
    const sweeping: SweepOptions = {
      ...options,
      deleter: this.#registry.deleter,
      pusher: this.#registry.pusher,
      // A stopped run still confirms its deletes: otherwise nobody would know.
      isThere: (repository, digest) => this.#closing.reader.isThere(repository, digest),
      list: lister?.confirmsDeletes === true ? (name) => lister.manifests(name) : undefined,
      budget: this.#registry.budget,
      restorer: this.#registry.restorer,
      parking: this.#registry.parking,
      save: (manifests) => {
        const [origin, savedAt] = [registry.origin, clock.now()];
        return this.#backup.save(manifests.map((each) => ({ ...each, registry: origin, savedAt })));
      },
      verify,
      stop,
      contain: this.#contain,
    };
    const outcomes = new Map<string, Outcome>();
    const sweep = async (found: Survey) => {
      const { repository } = found.plan;
      if (stop.aborted) {
        return;
      }
      const outcome = await sweepRepository(found, this.#candidates(repository), sweeping);
      outcomes.set(repository, outcome);
      const state = settled.get(repository);
      if (state === undefined) {
        return;
      }
      const seen = observeSweep(found, outcome.fates);
      if (seen.absent.size + seen.standing.size > 0) {
        await memory.swept(state, seen);
      }
    };
    await pMap(toSweep, (found) => this.#contain(found.plan.repository, sweep(found)), {
      concurrency,
    });
    return outcomes;
  }
}

/** @param when how far the run had come */
export function whyStopped({ reason }: AbortSignal, when: string): string {
  return coded(
    `the run was told to stop (${String(reason)}) ${when}. Run it again to finish its work`,
    'run-stopped',
  );
}

/** @returns the repository of the ledger; `undefined` where there is none */
function ledgerOf({ ledger }: CleanSettings, { lister }: Registry): string | undefined {
  if (ledger.kind === 'named') {
    return ledger.repository;
  }
  return ledger.kind === 'auto' && lister === undefined ? LEDGER_REPOSITORY : undefined;
}

/** @param ledger its repository */
function whyVanished(repository: string, ledger: string): string {
  return coded(
    `${repository}: an earlier run saw manifests there, and now the registry shows none of them and no tag. May these ` +
      'credentials still read it? The ledger keeps what it remembers. If the repository was emptied on purpose, delete ' +
      `the tag \`${entryTagPrefix(repository)}…\` in ${ledger}`,
    'repository-vanished',
  );
}
