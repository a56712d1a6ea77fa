/**
 * The workflows of examples/ from their first step to their last: a runner of its own carries out their files,
 * with the bundled action, a real docker-registry, and directories in place of GitHub's artifacts. What the
 * registry's own directory has at the end is the judge.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';

import { digestOf } from '../../src/oci/digest.js';
import { MANIFEST_ACCEPT } from '../../src/oci/media-types.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  PASSWORD,
  startDockerRegistry,
  storageListing,
  USERNAME,
} from '../support/servers/docker-registry.js';
import { startGate, type Gate, type PassingRequest } from '../support/servers/gate.js';
import { apart, LEDGER } from '../support/clients/ledger.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

jest.setTimeout(120_000);

type Values = Readonly<Record<string, string>>;

interface Step {
  readonly id?: string;
  readonly if?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly needs?: string;
  readonly if?: string;
  readonly environment?: string;
  readonly outputs?: Values;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: {
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

/** What happens outside the workflow, and what came of it. */
interface World {
  readonly registryUrl: string;
  /** the files of the GitHub repository; a checkout takes them as they are then */
  readonly files: Map<string, string>;
  /** what docker/build-push-action pushes */
  readonly build?: () => Promise<void>;
  /** asked by each job with an environment */
  readonly approve?: () => Promise<boolean> | boolean;
  /** what was chosen in the form, over its defaults */
  readonly inputs?: Values;
  /** kills the action, and not the job */
  readonly killer?: AbortSignal;
}

interface RunOfWorkflow {
  readonly id: string;
  readonly results: Values;
  /** of the action, in order */
  readonly actions: readonly ActionRun[];
}

const home = mkdtempSync(path.join(tmpdir(), 'workflows-'));
let runs = 0;

/** Where an artifact of a run is kept. */
const artifactOf = (run: string, name: string) => path.join(home, 'artifacts', run, name);

function valueOf(expression: string, contexts: Contexts): string {
  const value = expression
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Contexts | undefined)?.[key], contexts);
  if (value !== undefined && typeof value !== 'string') {
    throw new Error(`${expression} is no text`);
  }
  return value ?? '';
}

function fill(template: string, contexts: Contexts): string {
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

/** Runs an example as GitHub would, job after job. */
async function runExample(file: string, world: World): Promise<RunOfWorkflow> {
  const text = readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8');
  const { on, env = {}, jobs } = parse(text) as Workflow;
  runs += 1;
  const id = String(runs);
  const form = Object.entries(on.workflow_dispatch?.inputs ?? {});
  const inputs = Object.fromEntries(
    form.map(([name, { default: value = '' }]) => [name, world.inputs?.[name] ?? String(value)]),
  );
  const github = { run_attempt: '1', token: 'the-token-of-the-job', ref: 'refs/heads/main' };
  const secrets = { REGISTRY_USERNAME: USERNAME, REGISTRY_PASSWORD: PASSWORD };
  const actions: ActionRun[] = [];
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
      const ran = await runJob(job, contexts, { id, world, actions });
      results[name] = ran.result;
      outputs[name] = { outputs: ran.outputs };
    }
  }
  return { id, results, actions };
}

interface Here {
  readonly id: string;
  readonly world: World;
  readonly actions: ActionRun[];
}

async function runJob(
  job: Job,
  outside: Contexts,
  { id, world, actions }: Here,
): Promise<{ result: Result; outputs: Values }> {
  const machine = mkdtempSync(path.join(home, 'machine-'));
  const [workspace, temp, config] = ['workspace', 'temp', 'docker'].map((name) => {
    const directory = path.join(machine, name);
    mkdirSync(directory);
    return directory;
  }) as [string, string, string];
  const steps: Record<string, { outputs: Values }> = {};
  const contexts = { ...outside, runner: { temp }, steps };
  const state = { hasFailed: false };

  const take = async (step: Step): Promise<Values> => {
    const given = Object.fromEntries(
      Object.entries(step.with ?? {}).map(([key, value]) => [
        key,
        fill(String(value), contexts).replaceAll('registry.example.com', world.registryUrl),
      ]),
    );
    const [action = ''] = (step.uses ?? '').split('@');
    switch (action) {
      case '':
      case 'docker/setup-buildx-action':
        return {};
      case 'actions/checkout':
        for (const [name, content] of world.files) {
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
        upload(id, workspace, given);
        return {};
      case 'actions/download-artifact':
        download(id, workspace, given);
        return {};
      case 'registry-manifest-cleanup/registry-manifest-cleanup': {
        const enter = `process.chdir(${JSON.stringify(workspace)})`;
        const run = await runAction(given, {
          env: { DOCKER_CONFIG: config, RUNNER_TEMP: temp },
          nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(enter)}`],
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
function upload(run: string, workspace: string, given: Values): void {
  const from = path.resolve(workspace, given['path'] ?? '');
  const to = artifactOf(run, given['name'] ?? '');
  if (existsSync(from)) {
    const isDirectory = statSync(from).isDirectory();
    cpSync(from, isDirectory ? to : path.join(to, path.basename(from)), { recursive: true });
  } else if (given['if-no-files-found'] !== 'ignore') {
    throw new Error(`nothing to upload at ${from}`);
  }
}

/** As actions/download-artifact has it: of another run only with a token. */
function download(run: string, workspace: string, given: Values): void {
  const other = given['run-id'];
  if (other !== undefined && given['github-token'] === undefined) {
    throw new Error('the artifacts of another run take a token');
  }
  const from = artifactOf(other ?? run, given['name'] ?? '');
  cpSync(from, path.resolve(workspace, given['path'] ?? ''), { recursive: true });
}

/** An index with a signed image in it. */
interface Version {
  readonly main: Content;
  readonly signature: Content;
}

function version(name: string): Version {
  const main = index([image(`${name} amd64`), image(`${name} arm64`)]);
  return { main, signature: cosign('sig', main) };
}

const PUSHED: Readonly<Record<string, Version>> = Object.fromEntries(
  ['v1', 'v2', 'v3'].map((name) => [name, version(name)]),
);
const [v1, v2, v3] = Object.values(PUSHED) as [Version, Version, Version];

/** `repository@digest` of all that these versions consist of. */
function named(repository: string, ...versions: readonly Version[]): string[] {
  return versions.flatMap(({ main, signature }) =>
    [main, ...main.children, signature].map(({ digest }) => `${repository}@${digest}`),
  );
}

const LINK = /\/repositories\/(.+)\/_manifests\/tags\/([^/]+)\/current\/link$/;

describeWith('docker-registry', dockerRegistry, 'the workflows of examples/, step by step', () => {
  let registry: RealRegistry;
  let gate: Gate;
  let onRequest: (request: PassingRequest) => void;
  let files: Map<string, string>;

  beforeAll(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    gate = await startGate(registry.url, {
      decide: (request) => {
        onRequest(request);
        return 'pass';
      },
    });
  });

  afterAll(async () => {
    await gate.stop();
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  beforeEach(() => {
    onRequest = () => undefined;
    files = new Map([['deploy/app.yaml', 'image: registry.example.com/team/app:latest\n']]);
  });

  const run = (file: string, world: Partial<World> = {}) =>
    runExample(file, { registryUrl: gate.url, files, ...world });

  async function release(repository: string, { main, signature }: Version): Promise<void> {
    await push(registry, repository, main, 'latest');
    await push(registry, repository, signature, digestTag(main.digest, 'sig'));
  }

  /** What users have on disk. */
  const manifests = () => apart(registry.manifests()).users;

  /** Which manifest each of their tags names, on disk. */
  function tags(): Map<string, string> {
    const found = new Map<string, string>();
    for (const file of storageListing(registry.directory)) {
      const [, repository = '', tag = ''] = LINK.exec(file) ?? [];
      if (repository !== '' && repository !== LEDGER) {
        found.set(`${repository}:${tag}`, readFileSync(file, 'utf8'));
      }
    }
    return new Map([...found].sort());
  }

  /** Of these, those that are not served with their own bytes, and with the type that they were pushed with. */
  async function notServed(names: Iterable<string>): Promise<string[]> {
    const types = new Map(
      Object.values(PUSHED)
        .flatMap(({ main, signature }) => [main, ...main.children, signature])
        .map(({ digest, mediaType }) => [String(digest), mediaType]),
    );
    const wrong: string[] = [];
    for (const name of names) {
      const [repository = '', digest = ''] = name.split('@');
      const { headers, body } = await send(registry, {
        method: 'GET',
        path: `/v2/${repository}/manifests/${digest}`,
        headers: { accept: MANIFEST_ACCEPT },
      });
      if (digestOf(body) !== digest || headers['content-type'] !== types.get(digest)) {
        wrong.push(name);
      }
    }
    return wrong;
  }

  function expectGreen({ results, actions }: RunOfWorkflow): void {
    for (const { log } of actions) {
      expect(log).not.toContain('::error');
    }
    expect(Object.values(results)).not.toContain('failure');
  }

  // The tests of this block follow each other as the weeks of a team do.
  it('look-first.yml writes a plan, and asks nobody where nothing would be deleted', async () => {
    await release('team/app', v1);
    await release('team/api', v1);
    const first = await run('look-first.yml', {
      approve: () => {
        throw new Error('nobody is to be asked');
      },
    });
    expectGreen(first);
    expect(first.results).toEqual({ plan: 'success', approve: 'skipped', apply: 'skipped' });
    expect(registry.manifests().size).toBeGreaterThan(manifests().size);
  });

  it('plan-exact: look-first.yml deletes nothing when the reviewers say no', async () => {
    await release('team/app', v2);
    await release('team/api', v2);
    const [before, links] = [manifests(), tags()];
    const { results } = await run('look-first.yml', { approve: () => false });
    expect(results).toEqual({ plan: 'success', approve: 'failure', apply: 'skipped' });
    expect(manifests()).toEqual(before);
    expect(tags()).toEqual(links);
  });

  it('plan-exact, restore-whole: look-first.yml deletes the approved manifests and nothing else, and undo.yml restores them', async () => {
    const [before, links] = [manifests(), tags()];
    // While the reviewers look, one old version gets a tag, the other is pinned in part, a third comes up.
    const approved = await run('look-first.yml', {
      approve: async () => {
        expect(manifests()).toEqual(before);
        await putManifest(registry, 'team/api', v1.main, 'rollback');
        await release('team/app', v3);
        files.set('deploy/tools/job.yaml', `image: x@${present(v1.main.children[0]).digest}\n`);
        return true;
      },
    });
    expectGreen(approved);
    expect(approved.results).toEqual({ plan: 'success', approve: 'success', apply: 'success' });
    const left = [
      ...named('team/app', v2, v3),
      `team/app@${present(v1.main.children[0]).digest}`,
      ...named('team/api', v1, v2),
    ];
    expect(manifests()).toEqual(new Set(left));
    const summary = present(approved.actions.at(-1)).summary;
    expect(summary).toMatch(new RegExp(`team/api@${v1.main.digest}.*\`rollback\``));
    expect(summary).toMatch(/team\/app@sha256:.*`deploy\/tools\/job\.yaml`/);

    const undone = await run('undo.yml', { inputs: { 'run-id': approved.id, 'dry-run': 'false' } });
    expectGreen(undone);
    const all = new Set([...before, ...left]);
    expect(manifests()).toEqual(all);
    expect(await notServed(all)).toEqual([]);
    // What has moved on since is left where it is.
    expect(tags()).toEqual(
      new Map(
        [
          ...links,
          ['team/api:rollback', v1.main.digest] as const,
          ['team/app:latest', v3.main.digest] as const,
          [`team/app:${digestTag(v3.main.digest, 'sig')}`, v3.signature.digest] as const,
        ].sort(),
      ),
    );
  });

  it('restore-whole: scheduled.yml is undone by undo.yml to the last byte and tag, after a dry-run', async () => {
    const [before, links] = [manifests(), tags()];
    const cleaned = await run('scheduled.yml');
    expectGreen(cleaned);
    expect(manifests()).toEqual(new Set([...named('team/app', v3), ...named('team/api', v1, v2)]));

    const after = [manifests(), tags()];
    const looked = await run('undo.yml', { inputs: { 'run-id': cleaned.id } });
    expectGreen(looked);
    expect([manifests(), tags()]).toEqual(after);
    const lost = [...before].filter((each) => !manifests().has(each));
    expect(lost).not.toHaveLength(0);
    for (const each of lost) {
      expect(present(looked.actions[0]).log).toContain(present(each.split('@')[1]));
    }

    const undone = await run('undo.yml', { inputs: { 'run-id': cleaned.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect([manifests(), tags()]).toEqual([before, links]);
    expect(await notServed(before)).toEqual([]);
    expect(present(undone.actions[0]).outputs).toMatchObject({
      'restored-count': String(lost.length),
      'failed-count': '0',
    });
    for (const each of lost) {
      expect(present(undone.actions[0]).summary).toContain(each);
    }
  });

  it('restore-whole: scheduled.yml leaves its backup also when it is killed, and undo.yml restores it', async () => {
    const [before, links] = [manifests(), tags()];
    const killer = new AbortController();
    const isDelete = ({ method, path: asked }: PassingRequest) =>
      method === 'DELETE' && asked.startsWith('/v2/team/app/manifests/');
    let deletes = 0;
    onRequest = (request) => {
      // The first is the question whether deletes are taken.
      deletes += isDelete(request) ? 1 : 0;
      if (deletes === 3) {
        killer.abort();
      }
    };
    const killed = await run('scheduled.yml', { killer: killer.signal });
    expect(killed.results).toEqual({ clean: 'failure' });
    expect(killed.actions.map(({ exitCode }) => exitCode)).toEqual([null]);
    expect(manifests().size).toBeLessThan(before.size);

    const undone = await run('undo.yml', { inputs: { 'run-id': killed.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect([manifests(), tags()]).toEqual([before, links]);
    expect(await notServed(before)).toEqual([]);
  });

  it('scheduled.yml takes restored manifests without a tag for orphans again, and a pinned digest keeps them', async () => {
    files.set('deploy/before.yaml', `image: registry.example.com/team/app@${v2.main.digest}\n`);
    const cleaned = await run('scheduled.yml');
    expectGreen(cleaned);
    expect(manifests()).toEqual(
      new Set([...named('team/app', v2, v3), ...named('team/api', v1, v2)]),
    );
  });

  it('restore-whole: after-push.yml keeps the image before while a file pins it, and undo.yml restores it', async () => {
    const others = named('team/api', v1, v2);
    files.set('deploy/before.yaml', `image: registry.example.com/team/app@${v3.main.digest}\n`);
    const pinned = await run('after-push.yml', { build: () => release('team/app', v1) });
    expectGreen(pinned);
    expect(manifests()).toEqual(new Set([...named('team/app', v1, v2, v3), ...others]));
    expect(existsSync(artifactOf(pinned.id, 'registry-backup-1'))).toBe(false);

    files.delete('deploy/before.yaml');
    const pushed = await run('after-push.yml', { build: () => release('team/app', v2) });
    expectGreen(pushed);
    expect(manifests()).toEqual(new Set([...named('team/app', v2), ...others]));
    const undone = await run('undo.yml', { inputs: { 'run-id': pushed.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect(manifests()).toEqual(new Set([...named('team/app', v1, v2, v3), ...others]));
    expect(tags().get('team/app:latest')).toBe(v2.main.digest);
  });

  it('restore-whole: by-hand.yml leaves no backup as a dry-run, and one that undo.yml takes when it deletes', async () => {
    const [before, links] = [manifests(), tags()];
    const looked = await run('by-hand.yml');
    expectGreen(looked);
    expect(existsSync(artifactOf(looked.id, 'registry-backup-1'))).toBe(false);
    expect(existsSync(artifactOf(looked.id, 'cleanup-report'))).toBe(true);
    expect(manifests()).toEqual(before);

    const cleaned = await run('by-hand.yml', { inputs: { 'dry-run': 'false' } });
    expectGreen(cleaned);
    expect(manifests()).toEqual(new Set([...named('team/app', v2), ...named('team/api', v1, v2)]));
    const undone = await run('undo.yml', { inputs: { 'run-id': cleaned.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect([manifests(), tags()]).toEqual([before, links]);
  });

  it('by-hand.yml keeps a digest that a file pins, as the others do, and takes a limit from its form', async () => {
    files.set('deploy/before.yaml', `image: registry.example.com/team/app@${v1.main.digest}\n`);
    const [limit, orphans] = ['2', String(named('team/app', v3).length)];
    const looked = await run('by-hand.yml', { inputs: { 'max-deletes': limit } });
    expectGreen(looked);
    expect(present(looked.actions[0]).outputs).toMatchObject({ 'orphans-found': orphans });
    expect(present(looked.actions[0]).log).toContain('::warning::a real run would refuse this');

    const cleaned = await run('by-hand.yml', {
      inputs: { 'dry-run': 'false', 'max-deletes': '100%' },
    });
    expectGreen(cleaned);
    expect(manifests()).toEqual(
      new Set([...named('team/app', v1, v2), ...named('team/api', v1, v2)]),
    );
  });
});
