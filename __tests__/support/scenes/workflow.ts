/**
 * Workflows of examples/ and README.md, run step by step as GitHub's runner would: commands in a shell, artifacts as
 * directories, and the action as a process of its own. What actions/checkout and docker/login-action do, the test has
 * done before.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { parse } from 'yaml';

import { runAction, type ActionRun, type RunOptions } from '../clients/run-action.js';
import { present } from '../servers/real-registries.js';

export interface Step {
  readonly id?: string;
  readonly run?: string;
  readonly env?: Inputs;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

export interface Job {
  readonly steps: readonly Step[];
}

export interface Workflow {
  readonly on: {
    readonly workflow_dispatch?: {
      readonly inputs: Readonly<Record<string, { readonly default?: unknown }>>;
    };
  };
  readonly env?: Inputs;
  readonly jobs: Readonly<Record<string, Job>>;
}

export type Inputs = Readonly<Record<string, string>>;

/** What expressions such as `runner.temp` stand for: names, and names within names. */
export interface Context {
  readonly [name: string]: string | Context;
}

/** The place where steps run, and how it differs from the one that a workflow is written for. */
export interface Workplace {
  /** the working directory of the job */
  readonly directory: string;
  /** where artifacts are kept, in a directory each */
  readonly artifacts: string;
  readonly context: Context;
  /** of commands, over the environment of this process */
  readonly env?: Inputs;
  /** the text here for a text of the workflow */
  readonly here: (text: string) => string;
  /** the inputs that the action gets, for those that the step gives */
  readonly inputs?: (given: Inputs) => Inputs;
  readonly options?: RunOptions;
}

export const textOf = (file: string): string =>
  readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

export const exampleOf = (name: string): Workflow => parse(textOf(`examples/${name}`)) as Workflow;

/** Each block of code of this language in a section of README.md, which has this heading. */
export function blocksOf(heading: string, language: string): string[] {
  const [, section = ''] = textOf('README.md').split(`\n## ${heading}\n`);
  const [text = ''] = section.split('\n## ');
  const blocks = text.matchAll(new RegExp(`^( *)\`\`\`${language}\n([^]*?)^ *\`\`\`$`, 'gm'));
  return [...blocks].map(([, indent = '', block = '']) =>
    block.replace(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

/** The inputs of the form that starts a workflow by hand: what was chosen, and else their defaults. */
export function formOf({ on }: Workflow, chosen: Inputs): Inputs {
  const form = Object.entries(on.workflow_dispatch?.inputs ?? {});
  return Object.fromEntries(
    form.map(([name, { default: value = '' }]) => [name, chosen[name] ?? String(value)]),
  );
}

/** The text with what GitHub would put in place of its expressions. */
export function evaluated(text: string, context: Context): string {
  return text.replace(/\$\{\{ ([\w.-]+) \}\}/g, (expression, names: string) => {
    const value = names
      .split('.')
      .reduce<string | Context | undefined>(
        (within, name) => (typeof within === 'object' ? within[name] : undefined),
        context,
      );
    if (typeof value !== 'string') {
      throw new Error(`The test has nothing for ${expression}.`);
    }
    return value;
  });
}

/**
 * Runs all steps in their order, whatever their `if` says.
 * @returns the runs of the action, in their order
 */
export async function runSteps(
  all: readonly Step[],
  place: Workplace,
): Promise<readonly ActionRun[]> {
  const runs: ActionRun[] = [];
  const steps: Record<string, Context> = {};
  const context = { ...place.context, steps };
  for (const step of all) {
    const inputs = Object.fromEntries(
      Object.entries(step.with ?? {}).map(([name, value]) => [
        name,
        place.here(evaluated(String(value), context)),
      ]),
    );
    const [action = ''] = (step.uses ?? '').split('@');
    if (step.run !== undefined) {
      const command = place.here(evaluated(step.run, context));
      const given = Object.entries(step.env ?? {}).map(([name, value]) => [
        name,
        evaluated(value, context),
      ]);
      execFileSync('bash', ['-e', '-c', command], {
        cwd: place.directory,
        env: { ...process.env, ...place.env, ...(Object.fromEntries(given) as Inputs) },
        stdio: 'pipe',
      });
    } else if (action === 'actions/upload-artifact') {
      upload(inputs, place);
    } else if (action === 'actions/download-artifact') {
      const artifact = path.join(place.artifacts, present(inputs['name']));
      cpSync(artifact, present(inputs['path']), { recursive: true });
    } else if (action.startsWith('registry-manifest-cleanup/')) {
      const run = await runHere(place.inputs?.(inputs) ?? inputs, place);
      runs.push(run);
      if (step.id !== undefined) {
        steps[step.id] = { outputs: run.outputs };
      }
    } else if (!/^(?:actions\/checkout|docker\/)/.test(action)) {
      throw new Error(`The test can't do what ${action} does.`);
    }
  }
  return runs;
}

/** Keeps a file or the files of a directory. */
function upload(given: Inputs, { directory, artifacts }: Workplace): void {
  const from = path.resolve(directory, present(given['path']));
  const isDirectory = path.extname(from) === '';
  if (existsSync(from)) {
    const to = path.join(artifacts, present(given['name']));
    cpSync(from, isDirectory ? to : path.join(to, path.basename(from)), { recursive: true });
  } else if (given['if-no-files-found'] === 'error') {
    throw new Error(`There is no ${from} to upload.`);
  }
}

function runHere(inputs: Inputs, { directory, options }: Workplace): Promise<ActionRun> {
  const enter = `process.chdir(${JSON.stringify(directory)})`;
  return runAction(inputs, {
    ...options,
    nodeArguments: [
      '--import',
      `data:text/javascript,${encodeURIComponent(enter)}`,
      ...(options?.nodeArguments ?? []),
    ],
  });
}
