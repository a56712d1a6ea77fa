/** What the benchmark of GHCR found: a table beside the peer's, and which bounds hold. Pure. */
import prettyBytes from 'pretty-bytes';

import type { Estate, Tally } from './ghcr-server.js';
import { count, renderTable, seconds } from './markdown.js';

export interface Run {
  readonly title: string;
  readonly tally: Tally;
  /** milliseconds from the start of the process to its end */
  readonly wall: number;
  /** milliseconds of processor time */
  readonly cpu: number;
  /** peak of the resident set, in bytes */
  readonly memory: number;
}

export interface Runs {
  readonly dryRun: Run;
  /** stopped after some minutes of deletes */
  readonly realRun: Run;
  /** after a clean-up to its end */
  readonly secondRun: Run;
  /** with a ledger, and stopped soon after its first delete */
  readonly firstWithLedger: Run;
  /** with a ledger, while the orphans are there */
  readonly dryRunWithLedger: Run;
  /** with a ledger that knows orphans which somebody else has deleted */
  readonly findsGone: Run;
  /** with a ledger, after a clean-up to its end */
  readonly secondWithLedger: Run;
}

export interface Bound {
  readonly what: string;
  /** after "at most" or "at least" */
  readonly limit: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** Milliseconds: the cold dry-run of dataaxiom/ghcr-cleanup-action, with the same latencies. */
const PEER_WALL = 123_000;

/** @param isPeers whether estate and latencies are those of the peer's figures: a time is compared to nothing else */
export function boundsOf(
  runs: Runs,
  { tagged }: Estate,
  versions: number,
  isPeers: boolean,
): Bound[] {
  const { dryRun, realRun, secondRun, secondWithLedger } = runs;
  const most = (what: string, limit: number, measured: number): Bound => ({
    what,
    limit: `at most ${count(limit)}`,
    measured: count(measured),
    holds: measured <= limit,
  });
  const quarter = PEER_WALL / 4;
  const time: Bound = {
    what: "Wall time of the cold dry-run, a quarter of the peer's",
    limit: `below ${seconds(quarter)}`,
    measured: seconds(dryRun.wall),
    holds: dryRun.wall < quarter,
  };
  const rate = realRun.tally.deletesAMinute;
  const deletes: Bound = {
    what: 'Deletes a minute',
    limit: 'at least 170',
    measured: count(rate ?? 0),
    holds: (rate ?? 0) >= 170,
  };
  const refusals = listOf(runs).reduce((sum, { tally }) => sum + tally.refusals, 0);
  return [
    most(
      'REST requests of the cold dry-run',
      3 + Math.ceil(versions / 100),
      dryRun.tally.restRequests,
    ),
    most('Registry requests of the cold dry-run', versions + 20, dryRun.tally.registryRequests),
    ...(isPeers ? [time] : []),
    ...(rate === undefined ? [] : [deletes]),
    most('Answers that a limit was reached, in all runs', 0, refusals),
    most('Manifests that the second run reads', tagged + 10, secondRun.tally.manifestReads),
    most('… with a ledger', 10, secondWithLedger.tally.manifestReads),
  ];
}

/** @param introduction one or more sentences */
export function renderGhcr(introduction: string, runs: Runs, bounds: readonly Bound[]): string {
  const head = [
    'Run',
    'REST',
    'Registry',
    'Manifests read',
    'Wall time',
    'Processor',
    'Memory',
    'Deleted',
    '… a minute',
  ];
  const rows = listOf(runs).map(({ title, tally, wall, cpu, memory }) => [
    title,
    count(tally.restRequests),
    count(tally.registryRequests),
    count(tally.manifestReads),
    seconds(wall, 1),
    seconds(cpu, 1),
    prettyBytes(memory, { maximumFractionDigits: 0 }),
    count(tally.deletes),
    tally.deletesAMinute === undefined ? '' : tally.deletesAMinute.toFixed(1),
  ]);
  const verdicts = bounds.map(({ what, limit, measured, holds }) => [
    what,
    limit,
    measured,
    holds ? 'yes' : 'NO',
  ]);
  return [
    introduction,
    renderTable([head, ...rows]),
    'The bounds that the benchmark checks:',
    renderTable([['', 'Bound', 'Measured', 'Holds'], ...verdicts]),
  ].join('\n\n');
}

/** In the order of the table. */
function listOf(runs: Runs): Run[] {
  return [
    runs.dryRun,
    runs.realRun,
    runs.secondRun,
    runs.firstWithLedger,
    runs.dryRunWithLedger,
    runs.findsGone,
    runs.secondWithLedger,
  ];
}
