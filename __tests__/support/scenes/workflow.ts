/**
 * The workflows of examples/ and README.md, carried out by a runner of our own, from their first step to their last: with
 * commands in a shell, the bundled action as a process, and directories in place of GitHub's artifacts.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { parse } from 'yaml';

import { clockBehind } from '../clients/clock.js';
import { runAction, type ActionRun } from '../clients/run-action.js';
import { PASSWORD, USERNAME } from '../servers/docker-registry.js';
import { present } from '../servers/real-registries.js';

export type Values = Readonly<Record<string, string>>;

export interface Step {
  readonly id?: string;
  readonly if?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Values;
  readonly with?: Readonly<Record<string, unknown>>;
}

export interface Job {
  readonly needs?: string;
  readonly if?: string;
  readonly environment?: string;
  readonly outputs?: Values;
  readonly steps: readonly Step[];
}

export interface Workflow {
  readonly on?: {
    readonly workflow_dispatch?: {
      readonly inputs?: Readonly<Record<string, { readonly default?: unknown }>>;
    } | null;
  };
  readonly env?: Values;
  readonly jobs: Readonly<Record<string, Job>>;
}

type Result = 'success' | 'failure' | 'skipped';

/** What `${{ … }}` may name: contexts, and what is in them. */
type Contexts = Readonly<Record<string, unknown>>;

/** What is outside the workflow, and what happens there. */
export interface World {
  /** stands for `registry.example.com` */
  readonly registryUrl: string;
  /** stands for the directory /var/lib/registry */
  readonly storage?: string;
  /** the files of the GitHub repository; a checkout takes them as they are then */
  readonly files?: ReadonlyMap<string, string>;
  /** what docker/build-push-action pushes */
  readonly build?: () => Promise<void>;
  /** asked by each job with an environment */
  readonly approve?: () => Promise<boolean> | boolean;
  /** what was chosen in the form, over its defaults */
  readonly inputs?: Values;
  readonly secrets?: Values;
  /** the inputs that the action gets, for those that a step gives */
  readonly given?: (inputs: Values) => Values;
  /** for commands and for the action, over what the runner has */
  readonly env?: Values;
  /** by how many days the clocks of the runners are behind */
  readonly daysAgo?: number;
  /** kills the action, and not the job */
  readonly killer?: AbortSignal;
}

export interface RunOfWorkflow {
  readonly id: string;
  readonly results: Values;
  /** of the action, in order */
  readonly actions: readonly ActionRun[];
}

/** GitHub, as far as the examples need it. Its runs count on, and it keeps their artifacts in one directory. */
export interface GitHub {
  /** Runs a workflow job after job, each on a machine of its own. */
  readonly run: (workflow: Workflow, world: World) => Promise<RunOfWorkflow>;
  /** where the files of an artifact are */
  readonly artifactOf: (run: string, name: string) => string;
  readonly remove: () => void;
}

export function startGitHub(): GitHub {
  const home = mkdtempSync(path.join(tmpdir(), 'workflows-'));
  let runs = 0;
  return {
    run: (workflow, world) => {
      runs += 1;
      return runWorkflow(workflow, { home, id: String(runs), world, actions: [] });
    },
    artifactOf: (run, name) => artifactOf(home, run, name),
    remove: () => {
      rmSync(home, { recursive: true, force: true });
    },
  };
}

const artifactOf = (home: string, run: string, name: string): string =>
  path.join(home, 'artifacts', run, name);

export const textOf = (file: string): string =>
  readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

export const exampleOf = (name: string): Workflow => parse(textOf(`examples/${name}`)) as Workflow;

/** Each block of code of this language in the section of README.md that has this heading. */
export function blocksOf(heading: string, language: string): string[] {
  const [, section = ''] = textOf('README.md').split(`\n## ${heading}\n`);
  const [text = ''] = section.split('\n## ');
  const blocks = text.matchAll(new RegExp(`^( *)\`\`\`${language}\n([^]*?)^ *\`\`\`$`, 'gm'));
  return [...blocks].map(([, indent = '', block = '']) =>
    block.replace(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

/** The step without this input. */
export function withoutInput(step: Step, name: string): Step {
  const given = Object.entries(step.with ?? {}).filter(([each]) => each !== name);
  return { ...step, ...(step.with === undefined ? {} : { with: Object.fromEntries(given) }) };
}

function valueOf(expression: string, contexts: Contexts): string {
  const value = expression
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Contexts | undefined)?.[key], contexts);
  if (value !== undefined && typeof value !== 'string') {
    throw new Error(`${expression} isn't text`);
  }
  return value ?? '';
}

export function fill(template: string, contexts: Contexts): string {
  return template.replace(/\$\{\{ ([\w.-]+) \}\}/g, (_, name: string) => valueOf(name, contexts));
}

/** The little of GitHub's language that conditions in the examples speak; anything else is an error. */
function holds(condition: string | undefined, hasFailed: boolean, contexts: Contexts): boolean {
  const inner = condition?.replace(/^\$\{\{ (.*) \}\}$/, '$1') ?? 'success()';
  const clauses = inner.split(' && ');
  const says = (clause: string): boolean => {
    const [, name, operator, text] = /^([\w.-]+) (==|!=) '(.*)'$/.exec(clause) ?? [];
    if (name !== undefined) {
      return (valueOf(name, contexts) === text) === (operator === '==');
    }
    if (clause === 'always()' || clause === '!cancelled()') {
      return true;
    }
    if (clause === 'success()') {
      return !hasFailed;
    }
    throw new Error(`this runner does not know the condition ${clause}`);
  };
  // Without a word about it, nothing goes on after a failure.
  const isSilent = !/always\(\)|cancelled\(\)|success\(\)/.test(inner);
  return clauses.every(says) && !(isSilent && hasFailed);
}

interface Here {
  readonly home: string;
  readonly id: string;
  readonly world: World;
  readonly actions: ActionRun[];
}

async function runWorkflow({ on, env = {}, jobs }: Workflow, here: Here): Promise<RunOfWorkflow> {
  const { id, world, actions } = here;
  const form = Object.entries(on?.workflow_dispatch?.inputs ?? {});
  const inputs = Object.fromEntries(
    form.map(([name, { default: value = '' }]) => [name, world.inputs?.[name] ?? String(value)]),
  );
  const github = { run_attempt: '1', token: 'the-token-of-the-job', ref: 'refs/heads/main' };
  const secrets = {
    REGISTRY_USERNAME: USERNAME,
    REGISTRY_PASSWORD: PASSWORD,
    ...world.secrets,
  };
  const results: Record<string, Result> = {};
  const outputs: Record<string, { outputs: Values }> = {};
  for (const [name, job] of Object.entries(jobs)) {
    const contexts = { env, inputs, github, secrets, needs: outputs };
    const isBlocked = job.needs !== undefined && results[job.needs] !== 'success';
    if (isBlocked || !holds(job.if, isBlocked, contexts)) {
      results[name] = 'skipped';
    } else if (job.environment !== undefined && (await world.approve?.()) !== true) {
      results[name] = 'failure';
    } else {
      const ran = await runJob(job, contexts, here);
      results[name] = ran.result;
      outputs[name] = { outputs: ran.outputs };
    }
  }
  return { id, results, actions };
}

async function runJob(
  job: Job,
  outside: Contexts,
  here: Here,
): Promise<{ result: Result; outputs: Values }> {
  const { home, world, actions } = here;
  const machine = mkdtempSync(path.join(home, 'machine-'));
  const [workspace, temp, config] = ['workspace', 'temp', 'docker'].map((name) => {
    const directory = path.join(machine, name);
    mkdirSync(directory);
    return directory;
  }) as [string, string, string];
  const steps: Record<string, { outputs: Values }> = {};
  const contexts = { ...outside, runner: { temp }, steps };
  const state = { hasFailed: false };

  const filled = (values: Readonly<Record<string, unknown>> = {}): Values =>
    Object.fromEntries(
      Object.entries(values).map(([key, value]) => [
        key,
        fill(String(value), contexts).replaceAll('registry.example.com', world.registryUrl),
      ]),
    );

  const take = async (step: Step): Promise<Values> => {
    const given = filled(step.with);
    const [action = ''] = (step.uses ?? '').split('@');
    switch (action) {
      case '':
        execFileSync(
          'bash',
          [
            '-e',
            '-c',
            fill(step.run ?? '', contexts).replaceAll(
              '/var/lib/registry',
              world.storage ?? '/nowhere',
            ),
          ],
          {
            cwd: workspace,
            env: { ...process.env, RUNNER_TEMP: temp, ...world.env, ...filled(step.env) },
            stdio: 'pipe',
          },
        );
        return {};
      case 'docker/setup-buildx-action':
        return {};
      case 'actions/checkout':
        for (const [name, content] of world.files ?? []) {
          mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
          writeFileSync(path.join(workspace, name), content);
        }
        return {};
      case 'docker/login-action': {
        const auth = Buffer.from(`${given['username'] ?? ''}:${given['password'] ?? ''}`);
        const { host } = new URL(given['registry'] ?? '');
        const auths = { [host]: { auth: auth.toString('base64') } };
        writeFileSync(path.join(config, 'config.json'), JSON.stringify({ auths }));
        return {};
      }
      case 'docker/build-push-action':
        await present(world.build)();
        return {};
      case 'actions/upload-artifact':
        upload(here, workspace, given);
        return {};
      case 'actions/download-artifact':
        download(here, workspace, given);
        return {};
      case 'registry-manifest-cleanup/registry-manifest-cleanup': {
        const enter = `process.chdir(${JSON.stringify(workspace)});`;
        const run = await runAction(world.given?.(given) ?? given, {
          env: { DOCKER_CONFIG: config, RUNNER_TEMP: temp, ...world.env },
          nodeArguments: clockBehind(world.daysAgo ?? 0, enter),
          ...(world.killer === undefined ? {} : { killer: world.killer }),
        });
        actions.push(run);
        if (run.exitCode !== 0) {
          state.hasFailed = true;
        }
        return run.outputs;
      }
      default:
        throw new Error(`this runner does not know the action ${action}`);
    }
  };

  for (const [n, step] of job.steps.entries()) {
    if (holds(step.if, state.hasFailed, contexts)) {
      steps[step.id ?? String(n)] = { outputs: await take(step) };
    }
  }
  const outputs = Object.entries(job.outputs ?? {}).map(
    ([name, value]) => [name, fill(value, contexts)] as const,
  );
  return { result: state.hasFailed ? 'failure' : 'success', outputs: Object.fromEntries(outputs) };
}

/** As actions/upload-artifact has it: the content of a directory, or one file by its name. */
function upload({ home, id }: Here, workspace: string, given: Values): void {
  const from = path.resolve(workspace, given['path'] ?? '');
  const to = artifactOf(home, id, given['name'] ?? '');
  if (existsSync(from)) {
    const isDirectory = statSync(from).isDirectory();
    cpSync(from, isDirectory ? to : path.join(to, path.basename(from)), { recursive: true });
  } else if (given['if-no-files-found'] !== 'ignore') {
    throw new Error(`nothing to upload at ${from}`);
  }
}

/** As actions/download-artifact has it: of another run only with a token. */
function download({ home, id }: Here, workspace: string, given: Values): void {
  const other = given['run-id'];
  if (other !== undefined && given['github-token'] === undefined) {
    throw new Error('the artifacts of another run take a token');
  }
  const from = artifactOf(home, other ?? id, given['name'] ?? '');
  cpSync(from, path.resolve(workspace, given['path'] ?? ''), { recursive: true });
}
