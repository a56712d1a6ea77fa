/**
 * Shows what the ledger costs at scale, on the in-memory registry: the first run, a run without news, and a
 * run after a tag has moved in every hundredth repository. Prints a table in Markdown.
 *
 *     npm run scale -- [--repositories 10000] [--tags 100]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import * as v from 'valibot';

import { runAction } from '../__tests__/support/clients/run-action.js';
import type { Answer, Order } from './bench/crowd.js';
import { PRELOAD, Usage } from './bench/measure.js';

const EVERY = 100;
/** The registry's, in MiB: it holds all manifests, and is not what is measured. */
const REGISTRY_HEAP = 16_000;

const { values } = parseArgs({
  options: { repositories: { type: 'string' }, tags: { type: 'string' } },
});
const repositories = Number(values.repositories ?? 10_000);
const tags = Number(values.tags ?? 100);

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function ask(crowd: ChildProcess, order: Order): Promise<Answer> {
  crowd.send(order);
  const [answer] = (await once(crowd, 'message')) as [Answer];
  return answer;
}

const count = (number: number): string => number.toLocaleString('en');
const megabytes = (bytes: number): string => `${count(Math.round(bytes / 1e6))} MB`;

const home = mkdtempSync(join(tmpdir(), 'scale-'));
const [preload, usage] = [join(home, 'preload.mjs'), join(home, 'usage.json')];
writeFileSync(preload, PRELOAD);
const crowd = fork(fileURLToPath(new URL('bench/crowd.ts', import.meta.url)), {
  execArgv: ['--import', 'tsx', `--max-old-space-size=${String(REGISTRY_HEAP)}`],
});
try {
  tell(`Filling ${count(repositories)} repositories with ${count(tags)} images each`);
  const { url, manifests } = await ask(crowd, { kind: 'fill', repositories, tags });
  const rows: string[] = [];
  const measure = async (title: string): Promise<void> => {
    tell(title);
    const start = performance.now();
    const { exitCode, outputs, log } = await runAction(
      { 'registry-url': url, 'report-file': '' },
      { nodeArguments: ['--import', preload], env: { BENCH_USAGE: usage } },
    );
    const seconds = (performance.now() - start) / 1000;
    if (exitCode !== 0) {
      throw new Error(`the action exited ${String(exitCode)}:\n${log.slice(-2000)}`);
    }
    const { requests, ledger } = await ask(crowd, { kind: 'tally' });
    const { memory, cpu } = v.parse(Usage, JSON.parse(readFileSync(usage, 'utf8')));
    const of = (method: string) => requests[method] ?? 0;
    rows.push(
      `| ${[
        title,
        `${count(Math.round(seconds))} s`,
        `${count(Math.round(cpu / 1000))} s`,
        megabytes(memory),
        ...['GET', 'HEAD'].map((method) => count(of(method))),
        count(of('POST') + of('PUT')),
        count(of('DELETE')),
        outputs['deleted-count'] ?? '',
        `${count(ledger.entries)}, ${megabytes(ledger.bytes)}`,
      ].join(' | ')} |`,
    );
  };
  await measure('First run');
  await measure('Nothing new');
  await ask(crowd, { kind: 'move', every: EVERY });
  await measure(`A tag moved in every ${String(EVERY)}th repository`);
  process.stdout.write(
    `${count(manifests)} manifests in ${count(repositories)} repositories:\n\n` +
      '| Run | Time | Processor | Peak memory | GET | HEAD | POST, PUT | DELETE | Deleted | Ledger |\n' +
      '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n' +
      `${rows.join('\n')}\n`,
  );
} finally {
  crowd.kill();
  rmSync(home, { recursive: true, force: true });
}
