/**
 * The workflows of examples/ and README.md: their steps are run as GitHub would, on a real registry, or on the simulator
 * of GHCR.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { parse } from 'yaml';

import { workflowsIn } from '../../scripts/docs.js';
import { digestOf } from '../../src/oci/digest.js';
import { APP } from '../support/builders/build.js';
import type { ActionRun } from '../support/clients/run-action.js';
import { deletedIn, expectGreen, expectQuiet } from '../support/clients/outcome.js';
import { push, seed } from '../support/clients/push.js';
import { describeWith } from '../support/servers/describe-with.js';
import { read } from '../support/servers/ghcr/client.js';
import { startGhcr, type Ghcr } from '../support/servers/ghcr/ghcr.js';
import { JOB_TOKEN } from '../support/servers/ghcr/options.js';
import { basicHeader } from '../support/servers/memory/auth.js';
import { PASSWORD, startDockerRegistry, USERNAME } from '../support/servers/docker-registry.js';
import { apart, entriesOf } from '../support/clients/ledger.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { FRESH, type Version, make, named, release } from '../support/scenes/versions.js';
import {
  blocksOf,
  evaluated,
  exampleOf,
  formOf,
  type Inputs,
  type Job,
  runSteps,
  type Step,
  textOf,
  type Workplace,
} from '../support/scenes/workflow.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

/** Built long ago: no grace period keeps it. */
const OLD = '2025-01-01T00:00:00Z';

const versionsOf = (created: string, ...names: string[]): Version[] =>
  names.map((name) => make('signed index', name, { created, hasReferrersApi: false }));

const without = (all: ReadonlySet<string>, others: ReadonlySet<string>): Set<string> =>
  new Set([...all].filter((each) => !others.has(each)));

/** What a job finds on a runner of GitHub, once the registry's login and a checkout are done. */
class Machine {
  readonly home = mkdtempSync(path.join(tmpdir(), 'examples-'));

  private readonly registry: RealRegistry;

  constructor(registry: RealRegistry) {
    this.registry = registry;
    // What docker/login-action leaves behind.
    const auth = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
    const login = { auths: { [registry.host]: { auth } } };
    writeFileSync(path.join(this.home, 'config.json'), JSON.stringify(login));
    // What actions/checkout does.
    mkdirSync(path.join(this.home, 'deploy'));
    const pinned = `registry.example.com/elsewhere@sha256:${'0'.repeat(64)}`;
    writeFileSync(path.join(this.home, 'deploy', 'app.yaml'), `image: ${pinned}\n`);
  }

  /** @param daysAgo how far the clock of the machine is behind */
  place(context: Workplace['context'] = {}, daysAgo = 0): Workplace {
    const { home, registry } = this;
    const back = `const D = Date; globalThis.Date = class extends D {
      constructor(...given) { super(...(given.length > 0 ? given : [Date.now()])); }
      static now() { return D.now() - ${String(daysAgo * 86_400_000)}; }
    };`;
    const temp = path.join(home, 'temp');
    const secrets = { REGISTRY_USERNAME: USERNAME, REGISTRY_PASSWORD: PASSWORD };
    return {
      directory: home,
      artifacts: path.join(home, 'artifacts'),
      context: { runner: { temp }, github: { ref: 'main', run_attempt: '1' }, secrets, ...context },
      here: (text) =>
        text
          .replaceAll('registry.example.com', registry.url)
          .replaceAll('/var/lib/registry', registry.directory),
      options: {
        env: { DOCKER_CONFIG: home },
        nodeArguments:
          daysAgo === 0 ? [] : ['--import', `data:text/javascript,${encodeURIComponent(back)}`],
      },
    };
  }

  /** @param chosen what was chosen in the form, over its defaults */
  async runExample(file: string, chosen: Inputs = {}, daysAgo = 0): Promise<ActionRun> {
    const workflow = exampleOf(file);
    const context = { env: workflow.env ?? {}, inputs: formOf(workflow, chosen) };
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
    const [run, ...others] = await runSteps(steps, this.place(context, daysAgo));
    expect(others).toEqual([]);
    return present(run);
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

describeWith('docker-registry', dockerRegistry, 'the workflows of examples/', () => {
  const [one, two] = versionsOf(FRESH, 'v1', 'v2') as [Version, Version];
  let registry: RealRegistry;
  let machine: Machine;

  beforeAll(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    machine = new Machine(registry);
  });

  afterAll(async () => {
    await registry.stop();
    machine.remove();
  });

  // The tests of this block follow each other as the days of a team do.
  it('delete the image before, in the job that pushed (after-push.yml)', async () => {
    await release(registry, one);
    expectQuiet(await machine.runExample('after-push.yml'), { 'deleted-count': '0' });
    await release(registry, two);
    expectQuiet(await machine.runExample('after-push.yml'), { 'failed-count': '0' });
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toHaveLength(1);
  });

  it('clean everything that lost its tag more than a week ago (scheduled.yml)', async () => {
    const others = ['team/api', 'ops/tools'];
    await Promise.all(others.map((repository) => release(registry, one, { repository })));
    // The clocks of the machine and of the registry differ, which is a warning.
    expectGreen(await machine.runExample('scheduled.yml', {}, 9), { 'deleted-count': '0' });
    await Promise.all(others.map((repository) => release(registry, two, { repository })));
    expectGreen(await machine.runExample('scheduled.yml', {}, 8), { 'failed-count': '0' });
    expectQuiet(await machine.runExample('scheduled.yml'), { 'failed-count': '0' });
    const left = [APP, ...others].flatMap((repository) => [...named([two], repository)]);
    expect(apart(registry.manifests()).users).toEqual(new Set(left));
    expect(await entriesOf(registry)).toHaveLength(3);
  });

  it('show what would be deleted and change nothing, until the box is cleared (by-hand.yml)', async () => {
    // One that no run has seen, and that the form names.
    const [before] = versionsOf(OLD, 'v0') as [Version];
    await release(registry, before);
    await release(registry, two);
    const [manifests, entries] = [registry.manifests(), await entriesOf(registry)];
    const gone = without(named([before]), named([two]));
    const form = { digests: `${APP}@${before.main.digest}` };
    const shown = await machine.runExample('by-hand.yml', form);
    expectQuiet(shown, { 'orphans-found': String(gone.size), 'deleted-count': '0' });
    expect(shown.outputs['report-file']).toMatch(/\/cleanup-report\.json$/);
    expect(registry.manifests()).toEqual(manifests);
    expect(await entriesOf(registry)).toEqual(entries);

    const done = await machine.runExample('by-hand.yml', { ...form, 'dry-run': 'false' });
    expectQuiet(done, { 'deleted-count': String(gone.size) });
    expect(deletedIn(done)).toEqual(gone);
  });
});

describeWith('docker-registry', dockerRegistry, 'a first clean-up', () => {
  const making = { created: OLD, hasReferrersApi: false };
  const signed = versionsOf(OLD, 'v1', 'v2', 'v3');
  const plain = ['v1', 'v2', 'v3'].map((each) => make('index with a shared child', each, making));
  const pushed = [
    [APP, signed],
    ['team/api', plain],
  ] as const;
  const all = new Set(pushed.flatMap(([name, versions]) => [...named(versions, name)]));
  const kept = new Set(pushed.flatMap(([name, versions]) => [...named(versions.slice(2), name)]));
  const orphans = without(all, kept);
  const [first] = signed as [Version];
  let registry: RealRegistry;
  let machine: Machine;

  /** Years of pushes, which no run has seen. Nothing but a listing tells of what they replaced. */
  beforeEach(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    machine = new Machine(registry);
    for (const [repository, versions] of pushed) {
      for (const version of versions) {
        await release(registry, version, { repository });
      }
    }
    expect(registry.manifests()).toEqual(all);
  });

  afterEach(async () => {
    await registry.stop();
    machine.remove();
  });

  it('finds all orphans in its first dry-run, with the commands and steps of the README', async () => {
    const heading = 'Quick start on Distribution';
    const [list = ''] = blocksOf(heading, 'sh');
    const [block = ''] = blocksOf(heading, 'yaml');
    const steps = [{ run: list }, ...(parse(block) as Step[])];

    // A run without the list, which the README spares its reader, sees only what the tags of signatures name.
    const blind = steps.map((step) => withoutInput(step, 'digests-file'));
    const [little] = await runSteps(blind, machine.place());
    expect(Number(present(little).outputs['orphans-found'])).toBeLessThan(orphans.size);

    const [shown, ...others] = await runSteps(steps, machine.place());
    expect(others).toEqual([]);
    expectQuiet(present(shown), {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(registry.manifests()).toEqual(all);

    // The same without `dry-run`, as the README goes on.
    const real = steps.map((step) => withoutInput(step, 'dry-run'));
    const [done] = await runSteps(real, machine.place());
    expectQuiet(present(done), { 'deleted-count': String(orphans.size) });
    expect(apart(registry.manifests()).users).toEqual(kept);
  });

  it('lists the same over ssh, with the step that first-cleanup.yml has in a comment', async () => {
    const programs = path.join(machine.home, 'bin');
    mkdirSync(programs);
    // The last argument is what a shell gets on the other machine.
    const ssh = '#!/usr/bin/env bash\ngrep -q KEY "$2" && exec bash -c "${@: -1}"\n';
    writeFileSync(path.join(programs, 'ssh'), ssh, { mode: 0o755 });
    const place = machine.place({
      secrets: { REGISTRY_SSH_KEY: 'A KEY', REGISTRY_SSH_KNOWN_HOSTS: 'registry.example.com …' },
    });
    const PATH = `${programs}:${process.env['PATH'] ?? ''}`;
    await runSteps(overSsh(), { ...place, env: { PATH, RUNNER_TEMP: machine.home } });
    const listing = path.join(place.artifacts, 'registry-listing', 'manifests.txt');
    const named = readFileSync(listing, 'utf8').matchAll(
      /\/repositories\/(.*)\/_manifests\/revisions\/(\w+)\/(\w+)\/link\n/g,
    );
    expect(
      new Set([...named].map(([, name, algorithm, hex]) => `${name}@${algorithm}:${hex}`)),
    ).toEqual(all);
  });

  it('lists, shows, waits for an approval and deletes exactly that (first-cleanup.yml)', async () => {
    const { jobs } = exampleOf('first-cleanup.yml');
    expect(Object.keys(jobs)).toEqual(['list', 'plan', 'approve', 'apply']);
    const { list, plan, approve, apply } = jobs as Record<string, Job>;
    const run = (...some: (Job | undefined)[]) =>
      runSteps(
        some.flatMap((job) => present(job).steps),
        machine.place(),
      );

    const [shown] = await run(list, plan);
    expectQuiet(present(shown), {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(registry.manifests()).toEqual(all);

    // Meanwhile a tag comes back to one of them.
    await push(registry, APP, first.main, 'rollback');
    const inUse = new Set([...kept, ...named([first])]);
    const [done] = await run(approve, apply);
    expectQuiet(present(done), { 'deleted-count': String(without(orphans, inUse).size) });
    expect(apart(registry.manifests()).users).toEqual(inUse);
  });
});

/** The step of first-cleanup.yml that is commented out, instead of the one before it. */
function overSsh(): Step[] {
  const text = textOf('examples/first-cleanup.yml');
  const [commented = ''] = /^ +# - env:\n(?: +# {3,}.*\n)+/m.exec(text) ?? [];
  const [step] = parse(commented.replace(/^ +# /gm, '')) as [Step];
  const [, ...others] = present(exampleOf('first-cleanup.yml').jobs['list']).steps;
  return [step, ...others];
}

function withoutInput(step: Step, name: string): Step {
  const given = Object.entries(step.with ?? {}).filter(([each]) => each !== name);
  return { ...step, ...(step.with === undefined ? {} : { with: Object.fromEntries(given) }) };
}

describe('a workflow on GHCR', () => {
  const ACTOR = 'octocat';
  const PACKAGE = 'acme/shop';
  const [before, current] = versionsOf(FRESH, 'v1', 'v2') as [Version, Version];
  const orphans = without(named([before], PACKAGE), named([current], PACKAGE));
  let ghcr: Ghcr;
  let temp: string;

  beforeEach(async () => {
    temp = mkdtempSync(path.join(tmpdir(), 'examples-'));
    ghcr = await startGhcr({ accounts: [{ login: 'Acme', type: 'Organization' }] });
    for (const { main, about } of [before, current]) {
      seed(ghcr.state, PACKAGE, main, 'latest');
      about.forEach(({ content, tags }) => {
        seed(ghcr.state, PACKAGE, content, ...tags);
      });
    }
  });

  afterEach(async () => {
    await ghcr.stop();
    rmSync(temp, { recursive: true, force: true });
  });

  /**
   * Runs the steps as GitHub would in the repository Acme/Shop, with the simulator for ghcr.io.
   *
   * @param form the context `inputs`
   */
  async function runJobs(jobs: readonly Job[], form: Inputs = {}): Promise<ActionRun> {
    const context = {
      inputs: form,
      runner: { temp: path.join(temp, 'temp') },
      github: { token: JOB_TOKEN, run_attempt: '1' },
    };
    const { inputs } = parse(textOf('action.yml')) as {
      readonly inputs: Readonly<Record<string, { readonly default?: string }>>;
    };
    const defaults = Object.entries(inputs).flatMap(([name, { default: value }]) =>
      value === undefined ? [] : [[name, evaluated(value, context)] as const],
    );
    const [run, ...others] = await runSteps(
      jobs.flatMap(({ steps }) => steps),
      {
        directory: temp,
        artifacts: path.join(temp, 'artifacts'),
        context,
        here: (text) => text,
        inputs: (given) => {
          expect(given['registry-url']).toBe('ghcr.io');
          return {
            ...Object.fromEntries(defaults),
            ...given,
            'registry-url': ghcr.url,
            'registry-type': 'ghcr',
            'api-url': ghcr.api,
          };
        },
        options: { env: { GITHUB_REPOSITORY: 'Acme/Shop', GITHUB_ACTOR: ACTOR } },
      },
    );
    expect(others).toEqual([]);
    return present(run);
  }

  /** By hand with the choices of the form, else as a schedule or a push does, which give no inputs. */
  function runExample(chosen?: Inputs): Promise<ActionRun> {
    const workflow = exampleOf('ghcr.yml');
    const form = formOf(workflow, chosen ?? {});
    const none = Object.fromEntries(Object.keys(form).map((name) => [name, '']));
    return runJobs(Object.values(workflow.jobs), chosen === undefined ? none : form);
  }

  const manifests = () =>
    new Set(
      [...present(ghcr.state.repositories.get(PACKAGE)).manifests.keys()].map(
        (digest) => `${PACKAGE}@${digest}`,
      ),
    );

  /** Reads what a pull would: the manifest, and all that it names. */
  async function pull(reference: string): Promise<string> {
    const answer = await read(ghcr, PACKAGE, `manifests/${reference}`);
    expect([reference, answer.status]).toEqual([reference, 200]);
    const bytes = Buffer.from(await answer.arrayBuffer());
    interface Named {
      readonly digest: string;
    }
    const {
      manifests: children = [],
      config,
      layers = [],
    } = JSON.parse(bytes.toString()) as {
      readonly manifests?: Named[];
      readonly config?: Named;
      readonly layers?: Named[];
    };
    for (const { digest } of children) {
      expect(await pull(digest)).toBe(digest);
    }
    for (const { digest } of [...(config === undefined ? [] : [config]), ...layers]) {
      const blob = await read(ghcr, PACKAGE, `blobs/${digest}`);
      expect(digestOf(Buffer.from(await blob.arrayBuffer()))).toBe(digest);
    }
    return digestOf(bytes);
  }

  it('deletes all orphans of the package of the repository, and nothing else (ghcr.yml)', async () => {
    const logins: string[] = [];
    ghcr.intercept(({ path: asked, headers }) => {
      if (asked.startsWith('/token')) {
        logins.push(headers.authorization ?? 'none');
      }
      return undefined;
    });
    const done = await runExample();
    expectQuiet(done, { 'failed-count': '0', 'remaining-count': '0' });
    expect(deletedIn(done)).toEqual(orphans);
    expect(new Set(logins)).toEqual(new Set([basicHeader(ACTOR, JOB_TOKEN)]));
    ghcr.intercept();

    expect(manifests()).toEqual(named([current], PACKAGE));
    const tags = [...present(ghcr.state.repositories.get(PACKAGE)).tags];
    expect(tags.length).toBeGreaterThan(1);
    for (const [tag, digest] of tags) {
      expect(await pull(tag)).toBe(digest);
    }

    expectQuiet(await runExample(), { 'orphans-found': '0', 'deleted-count': '0' });
    expect(manifests()).toEqual(named([current], PACKAGE));
  });

  it('shows what would be deleted, until the box of the form is cleared (ghcr.yml)', async () => {
    const all = manifests();
    const shown = await runExample({});
    expectQuiet(shown, { 'orphans-found': String(orphans.size), 'deleted-count': '0' });
    expect(manifests()).toEqual(all);
    expect(ghcr.apiRequests.filter(({ method }) => method !== 'GET')).toEqual([]);

    const form = { 'dry-run': 'false', 'max-deletes': String(orphans.size - 1) };
    const refused = await runExample(form);
    expect([refused.exitCode, manifests()]).toEqual([1, all]);
    expectGreen(await runExample({ ...form, 'max-deletes': '100%' }), {
      'deleted-count': String(orphans.size),
    });
    expect(manifests()).toEqual(named([current], PACKAGE));
  });

  it('finds all orphans in its first dry-run, with the workflow of the README', async () => {
    const all = manifests();
    const [text = ''] = workflowsIn(textOf('README.md'));
    const { jobs } = parse(text) as { readonly jobs: Readonly<Record<string, Job>> };
    expectQuiet(await runJobs(Object.values(jobs)), {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(manifests()).toEqual(all);

    // The same without `dry-run`, as the README goes on.
    const real = Object.values(jobs).map(({ steps }) => ({
      steps: steps.map((step) => withoutInput(step, 'dry-run')),
    }));
    expectQuiet(await runJobs(real), { 'deleted-count': String(orphans.size) });
    expect(manifests()).toEqual(named([current], PACKAGE));
  });
});
