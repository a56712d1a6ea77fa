/** The words and tables of the results, as Markdown that reads as well in a terminal. Pure. */
import prettyBytes from 'pretty-bytes';

import { count, renderTable, seconds } from './markdown.js';
import type { Measured } from './measure.js';
import type { Size } from './seed.js';

export interface Scan {
  readonly gracePeriod: string;
  /** the fewest requests that can do it */
  readonly floor: number;
  /** by the registry's access log */
  readonly logged: number;
  /** by round; the two of a round ran one right after the other */
  readonly rounds: readonly { readonly action: Measured; readonly bare: Measured }[];
}

export interface Sweep {
  readonly measured: Measured;
  readonly deleted: number;
  /** by the registry's access log */
  readonly byMethod: Readonly<Record<string, number>>;
}

export interface Results {
  /** the sentence begins with it */
  readonly machine: string;
  readonly size: Size;
  readonly scans: readonly Scan[];
  readonly sweep: Sweep;
}

export function renderResults({ machine, size, scans, sweep }: Results): string {
  const { repositories, tags, orphans } = size;
  return [
    `${machine}, on the same machine. ${count(repositories)} repositories of ${count(tags)} tags ` +
      `and ${count(orphans)} orphans each: ${count(repositories * tags)} tags and ` +
      `${count(repositories * orphans)} orphans in all.`,
    ...scans.map((scan) => renderScan(scan)),
    renderSweep(sweep),
  ].join('\n\n');
}

function renderScan({ gracePeriod, floor, logged, rounds }: Scan): string {
  const action = medians(rounds.map((round) => round.action));
  const bare = medians(rounds.map((round) => round.bare));
  const over = action.requests - floor;
  // Within a round, for what else the machine does then slows down both.
  const ratios = (value: (measured: Measured) => number): number[] =>
    rounds.map((round) => value(round.action) / value(round.bare));
  const line = (
    title: string,
    value: (measured: Measured) => number,
    show: (value: number) => string,
  ): string[] => [title, show(value(action)), show(value(bare)), median(ratios(value)).toFixed(2)];
  const each = (value: (measured: Measured) => number): string =>
    ratios(value)
      .map((ratio) => ratio.toFixed(2))
      .join(', ');
  const table = [
    ['', 'Action', 'Bare loop', 'Ratio'],
    line('Requests', ({ requests }) => requests, count),
    line('Wall time of the work', ({ work }) => work, seconds),
    line('Wall time of the whole process', ({ process }) => process, seconds),
    line('Processor time of the process', ({ cpu }) => cpu, seconds),
    line('Requests a second of work', rate, count),
    line(
      'Peak memory',
      ({ memory }) => memory,
      (bytes) => prettyBytes(bytes),
    ),
  ];
  return [
    `### Scan with \`grace-period: ${gracePeriod}\``,
    '',
    `The floor is ${count(floor)} requests; the action sent ${count(action.requests)} (${count(over)} more), and ` +
      `the registry's access log has ${count(logged)}. Medians of ${count(rounds.length)} rounds, the ratios too:`,
    '',
    renderTable(table),
    '',
    `Ratio of each round, work: ${each(({ work }) => work)}; whole process: ${each(({ process }) => process)}.`,
  ].join('\n');
}

function renderSweep({ measured, deleted, byMethod }: Sweep): string {
  const methods = Object.entries(byMethod).sort(([a], [b]) => (a < b ? -1 : 1));
  const table = [
    ['', 'Action'],
    ['Manifests deleted', count(deleted)],
    ...methods.map(([method, sent]) => [`${method} requests`, count(sent)]),
    ['Wall time of the work', seconds(measured.work)],
    ['Wall time of the whole process', seconds(measured.process)],
    ['Processor time of the process', seconds(measured.cpu)],
    ['Requests a second of work', count(rate(measured))],
    ['Peak memory', prettyBytes(measured.memory)],
  ];
  return ['### Scan and sweep with `grace-period: 0`', '', 'One run:', '', renderTable(table)].join(
    '\n',
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = 0, high = 0] = [sorted.length - 1, sorted.length].map((n) => sorted[n >> 1]);
  return (low + high) / 2;
}

/** Each number by itself: the median of the times need not be the round with the median memory. */
function medians(all: readonly Measured[]): Measured {
  const of = (key: keyof Measured): number => median(all.map((one) => one[key]));
  return {
    process: of('process'),
    work: of('work'),
    requests: of('requests'),
    cpu: of('cpu'),
    memory: of('memory'),
  };
}

function rate({ requests, work }: Measured): number {
  return Math.round((requests / work) * 1000);
}
