/** Runs the action, or the bare loop, as a process of its own and measures it from outside and within. */
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import * as v from 'valibot';

import { BUNDLE, runAction } from '../../__tests__/support/clients/run-action.js';
import type { Job } from './replay.js';

export interface Measured {
  /** milliseconds from the start of the process to its end */
  readonly process: number;
  /** milliseconds of the work alone: the run by its report, or the loop */
  readonly work: number;
  readonly requests: number;
  /** milliseconds of processor time */
  readonly cpu: number;
  /** peak of the resident set, in bytes */
  readonly memory: number;
}

const Report = v.object({
  requests: v.number(),
  startedAt: v.string(),
  finishedAt: v.string(),
  totals: v.object({ orphansFound: v.number(), deleted: v.number() }),
});
const Replayed = v.object({ milliseconds: v.number(), statuses: v.record(v.string(), v.number()) });
export const Usage = v.object({ cpu: v.number(), memory: v.number() });

export interface ActionOptions {
  /** added to the environment */
  readonly env?: Readonly<Record<string, string>>;
  /** sends SIGTERM, as a cancelled job gets: the run is then allowed to fail */
  readonly stop?: AbortSignal;
}

export interface Stopwatch {
  /** @throws Error with the log when the action failed */
  action(
    inputs: Readonly<Record<string, string>>,
    options?: ActionOptions,
  ): Promise<Measured & { readonly orphans: number; readonly deleted: number }>;
  /** @throws Error when the answers were not those that the job expects */
  replay(job: Job, expected: Readonly<Record<string, number>>): Promise<Measured>;
}

/**
 * Loaded into the measured process; tells at its end, in BENCH_USAGE, what it used (`Usage`). On Linux the kernel's own maxRSS would
 * not do: it survives exec, and so is at least that of the process that started this one.
 */
export const PRELOAD = `
import { readFileSync, writeFileSync } from 'node:fs';
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  let kibibytes = process.resourceUsage().maxRSS;
  try {
    kibibytes = Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {}
  const usage = { cpu: (user + system) / 1000, memory: kibibytes * 1024 };
  writeFileSync(process.env.BENCH_USAGE, JSON.stringify(usage));
});
`;

/** @param directory exists, and is this stopwatch's alone */
export function createStopwatch(directory: string): Stopwatch {
  const file = (name: string): string => join(directory, name);
  const [preload, replay, job, usage] = ['preload.mjs', 'replay.mjs', 'job.json', 'usage.json'].map(
    file,
  ) as [string, string, string, string];
  writeFileSync(preload, PRELOAD);
  // Compiled beforehand, so that no compiler's time is in the loop's.
  const source = readFileSync(fileURLToPath(new URL('replay.ts', import.meta.url)), 'utf8');
  const { ES2022 } = ts.ScriptTarget;
  const compilerOptions = { module: ts.ModuleKind.ES2022, target: ES2022 };
  writeFileSync(replay, ts.transpileModule(source, { compilerOptions }).outputText);

  // A copy: a build in the middle of the benchmark must not change what is measured.
  cpSync(dirname(BUNDLE), file('dist'), { recursive: true });
  const script = file('dist/index.js');

  const env = { BENCH_USAGE: usage };
  const used = (): v.InferOutput<typeof Usage> =>
    v.parse(Usage, JSON.parse(readFileSync(usage, 'utf8')));

  return {
    async action(inputs, { env: more, stop } = {}) {
      const start = performance.now();
      const run = await runAction(inputs, {
        script,
        nodeArguments: ['--import', preload],
        env: { ...env, ...more },
        onStart: (send) => {
          stop?.addEventListener('abort', () => {
            send('SIGTERM');
          });
        },
      });
      const end = performance.now();
      if (run.exitCode !== 0 && stop?.aborted !== true) {
        throw new Error(`the action exited ${String(run.exitCode)}:\n${run.log.slice(-2000)}`);
      }
      const { requests, startedAt, finishedAt, totals } = v.parse(Report, run.report);
      return {
        process: end - start,
        work: Date.parse(finishedAt) - Date.parse(startedAt),
        requests,
        ...used(),
        orphans: totals.orphansFound,
        deleted: totals.deleted,
      };
    },

    async replay(list, expected) {
      writeFileSync(job, JSON.stringify(list));
      const start = performance.now();
      const output = await outputOf(['--import', preload, replay, job], env);
      const end = performance.now();
      const { milliseconds, statuses } = v.parse(Replayed, JSON.parse(output));
      if (JSON.stringify(statuses) !== JSON.stringify(expected)) {
        const [got, wanted] = [statuses, expected].map((each) => JSON.stringify(each));
        throw new Error(`the bare loop was answered ${got ?? ''}, and not ${wanted ?? ''}`);
      }
      return {
        process: end - start,
        work: milliseconds,
        requests: list.requests.length,
        ...used(),
      };
    },
  };
}

async function outputOf(
  parameters: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn(process.execPath, parameters, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    throw new Error(`the bare loop exited ${String(code)}`);
  }
  return output;
}
