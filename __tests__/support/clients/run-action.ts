/**
 * Runs the bundled action as GitHub's runner does: `node dist/index.js` with inputs as INPUT_* variables
 * and files for outputs and summary. The child inherits nothing else that could help it.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const BUNDLE = fileURLToPath(new URL('../../../dist/index.js', import.meta.url));

export interface ActionRun {
  /** null when a signal ended the process */
  readonly exitCode: number | null;
  /** stdout and stderr, without the commands that tell the runner what to mask */
  readonly log: string;
  /** Markdown */
  readonly summary: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** the parsed JSON report; undefined when the run wrote none */
  readonly report: unknown;
}

export interface RunOptions {
  /** another Node than the one that runs this */
  readonly node?: string;
  readonly nodeArguments?: readonly string[];
  /** added to the child's environment */
  readonly env?: Readonly<Record<string, string>>;
  /** the script to run; default the committed bundle */
  readonly script?: string;
  /** called with each piece of output as it comes */
  readonly onOutput?: (text: string) => void;
  /** kills the process with SIGKILL */
  readonly killer?: AbortSignal;
  /** called when the process has been started, with what sends it a signal */
  readonly onStart?: (send: (signal: NodeJS.Signals) => void) => void;
}

/**
 * @param inputs by the names of action.yml; unless they say otherwise, with a `report-file`, and without the wait of
 *   `unused-for`, which would take a second run a day later
 */
export async function runAction(
  inputs: Readonly<Record<string, string>>,
  options: RunOptions = {},
): Promise<ActionRun> {
  const directory = await mkdtemp(join(tmpdir(), 'manifest-cleanup-run-'));
  const file = (name: string) => join(directory, name);
  const files = { output: file('output'), summary: file('summary'), report: file('report.json') };
  try {
    await writeFile(files.output, '');
    await writeFile(files.summary, '');
    const given = { 'report-file': files.report, 'unused-for': '0', ...inputs };
    const child = spawn(
      options.node ?? process.execPath,
      [...(options.nodeArguments ?? []), options.script ?? BUNDLE],
      {
        cwd: directory,
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: directory,
          RUNNER_TEMP: directory,
          GITHUB_ACTIONS: 'true',
          GITHUB_OUTPUT: files.output,
          GITHUB_STEP_SUMMARY: files.summary,
          ...Object.fromEntries(
            Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
          ),
          ...options.env,
        },
      },
    );
    options.killer?.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
    options.onStart?.((signal) => child.kill(signal));
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        log += text;
        options.onOutput?.(text);
      });
    }
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    expectLinks(log);
    const report = await readFile(given['report-file'], 'utf8').catch(() => undefined);
    return {
      exitCode,
      log: log.replace(/^::add-mask::.*\n/gm, ''),
      summary: await readFile(files.summary, 'utf8'),
      outputs: parseOutputs(await readFile(files.output, 'utf8')),
      report: report === undefined ? undefined : (JSON.parse(report) as unknown),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** In every run of every test, each warning and error leads to the docs. */
function expectLinks(log: string): void {
  const messages = log.match(/^::(?:warning|error)::.*$/gm) ?? [];
  const bare = messages.filter((text) => !/\/docs\/troubleshooting\.md#[a-z-]+$/.test(text));
  if (bare.length > 0) {
    throw new Error(`messages without a link to the docs:\n${bare.join('\n')}`);
  }
}

/** A run on this registry, with the other inputs as they are given. */
export function clean(
  { url }: { readonly url: string },
  inputs: Readonly<Record<string, string>> = {},
  options: RunOptions = {},
): Promise<ActionRun> {
  return runAction({ 'registry-url': url, ...inputs }, options);
}

/** As `clean`, without a grace period. */
export function cleanAtOnce(
  registry: { readonly url: string },
  inputs: Readonly<Record<string, string>> = {},
): Promise<ActionRun> {
  return clean(registry, { 'grace-period': '0', ...inputs });
}

/** GITHUB_OUTPUT's format: `name<<delimiter`, the value's lines, the delimiter. */
function parseOutputs(text: string): Record<string, string> {
  const outputs: Record<string, string> = {};
  for (const [, name, , value] of text.matchAll(/^([^\n<]+)<<(\S+)\n([^]*?)\n\2$/gm)) {
    if (name !== undefined && value !== undefined) {
      outputs[name] = value;
    }
  }
  return outputs;
}
