/** The words and tables of the results, as Markdown that reads as well in a terminal. Pure. */
import prettyBytes from 'pretty-bytes';

import type { Measured } from './measure.js';
import type { Size } from './seed.js';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** bytes */
  readonly memory: number;
  readonly node: string;
  readonly system: string;
  readonly registry: string;
  /** ISO 8601 */
  readonly date: string;
}

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
  readonly machine: Machine;
  readonly size: Size;
  readonly scans: readonly Scan[];
  readonly sweep: Sweep;
}

export function renderResults({ machine, size, scans, sweep }: Results): string {
  const { repositories, tags, orphans } = size;
  return [
    `Measured on ${machine.date} on ${machine.processor}, ${count(machine.cores)} cores, ` +
      `${prettyBytes(machine.memory, { binary: true })} of memory, ${machine.system}, Node ${machine.node}; ` +
      `${machine.registry}, on the same machine. ${count(repositories)} repositories of ${count(tags)} tags ` +
      `and ${count(orphans)} orphans each: ${count(repositories * tags)} tags and ` +
      `${count(repositories * orphans)} orphans in all.`,
    ...scans.map((scan) => renderScan(scan)),
    renderSweep(sweep),
  ].join('\n\n');
}

function renderScan({ gracePeriod, floor, logged, rounds }: Scan): string {
  const action = median(rounds.map((round) => round.action));
  const bare = median(rounds.map((round) => round.bare));
  const over = action.requests - floor;
  const ratios = (key: 'process' | 'work'): string =>
    rounds.map((round) => (round.action[key] / round.bare[key]).toFixed(2)).join(', ');
  const line = (
    title: string,
    show: (measured: Measured) => string,
    key: keyof Measured,
  ): string[] => [title, show(action), show(bare), (action[key] / bare[key]).toFixed(2)];
  const table = [
    ['', 'Action', 'Bare loop', 'Ratio'],
    line('Requests', (one) => count(one.requests), 'requests'),
    line('Wall time of the work', (one) => seconds(one.work), 'work'),
    line('Wall time of the whole process', (one) => seconds(one.process), 'process'),
    line('Processor time of the process', (one) => seconds(one.cpu), 'cpu'),
    [
      'Requests a second of work',
      ...[action, bare].map((one) => count(rate(one))),
      (rate(action) / rate(bare)).toFixed(2),
    ],
    line('Peak memory', (one) => prettyBytes(one.memory), 'memory'),
  ];
  return [
    `### Scan with \`grace-period: ${gracePeriod}\``,
    '',
    `The floor is ${count(floor)} requests; the action sent ${count(action.requests)} (${count(over)} more), and ` +
      `the registry's access log has ${count(logged)}. Medians of ${count(rounds.length)} rounds:`,
    '',
    renderTable(table),
    '',
    `Ratio of each round, work: ${ratios('work')}; whole process: ${ratios('process')}.`,
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

function renderTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  const widths = head.map((_, column) =>
    Math.max(...[head, rule, ...rows].map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, n) => (n === 0 ? (row[n] ?? '').padEnd(width) : (row[n] ?? '').padStart(width))).join(' | ')} |`;
  return [head, rule, ...rows].map(line).join('\n');
}

/** Each number by itself: the median of the times need not be the round with the median memory. */
function median(all: readonly Measured[]): Measured {
  const of = (key: keyof Measured): number => {
    const sorted = all.map((one) => one[key]).sort((a, b) => a - b);
    const [low = 0, high = 0] = [sorted.length - 1, sorted.length].map((n) => sorted[n >> 1]);
    return (low + high) / 2;
  };
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

function count(value: number): string {
  return value.toLocaleString('en');
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
