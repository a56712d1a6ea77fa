/**
 * The workflows of examples/: each step of the action is run as GitHub would, on a real registry, or on the simulator of
 * GHCR.
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

import { digestOf } from '../../src/oci/digest.js';
import { APP } from '../support/builders/build.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { deletedIn, expectGreen, expectQuiet } from '../support/clients/outcome.js';
import { seed } from '../support/clients/push.js';
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

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

type Inputs = Readonly<Record<string, string>>;

interface Job {
  readonly steps: readonly { readonly uses?: string; readonly with?: Record<string, unknown> }[];
}

interface Workflow {
  readonly on: {
    readonly workflow_dispatch?: {
      readonly inputs: Readonly<Record<string, { readonly default?: unknown }>>;
    };
  };
  readonly env?: Inputs;
  readonly jobs: Readonly<Record<string, Job>>;
}

const textOf = (file: string): string =>
  readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

const workflowOf = (file: string): Workflow => parse(textOf(`examples/${file}`)) as Workflow;

/** The inputs of the form that starts a workflow by hand: what was chosen, and else their defaults. */
function formOf({ on }: Workflow, chosen: Inputs): Inputs {
  const form = Object.entries(on.workflow_dispatch?.inputs ?? {});
  return Object.fromEntries(
    form.map(([name, { default: value = '' }]) => [name, chosen[name] ?? String(value)]),
  );
}

/** The text with what GitHub would put in place of its expressions. */
function evaluated(text: string, context: Readonly<Record<string, Inputs>>): string {
  return text.replace(/\$\{\{ (\w+)\.([\w-]+) \}\}/g, (_, of: string, key: string) =>
    present(context[of]?.[key]),
  );
}

/** The inputs that the step of the action gets. */
function inputsOf(jobs: readonly Job[], context: Readonly<Record<string, Inputs>>): Inputs {
  const steps = jobs.flatMap((job) => job.steps);
  const step = steps.find(({ uses = '' }) => uses.startsWith('registry-manifest-cleanup/'));
  return Object.fromEntries(
    Object.entries(present(step?.with)).map(([name, value]) => [
      name,
      evaluated(String(value), context),
    ]),
  );
}

describeWith('docker-registry', dockerRegistry, 'the workflows of examples/', () => {
  const making = { created: FRESH, hasReferrersApi: false };
  const [one, two] = ['v1', 'v2'].map((each) => make('signed index', each, making)) as [
    Version,
    Version,
  ];
  let home: string;
  let registry: RealRegistry;

  beforeAll(async () => {
    home = mkdtempSync(path.join(tmpdir(), 'examples-'));
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    // What docker/login-action leaves behind.
    const auth = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
    writeFileSync(
      path.join(home, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth } } }),
    );
    // What actions/checkout does.
    mkdirSync(path.join(home, 'deploy'));
    const pinned = `registry.example.com/elsewhere@sha256:${'0'.repeat(64)}`;
    writeFileSync(path.join(home, 'deploy', 'app.yaml'), `image: ${pinned}\n`);
  });

  afterAll(async () => {
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  /**
   * Runs the step of the action as GitHub would, with this registry for the one of the example.
   *
   * @param chosen what was chosen in the form, over its defaults
   */
  async function runExample(file: string, chosen: Inputs = {}): Promise<ActionRun> {
    const workflow = workflowOf(file);
    const { env = {}, jobs } = workflow;
    const inputs = inputsOf(Object.values(jobs), {
      env,
      inputs: formOf(workflow, chosen),
      runner: { temp: home },
    });
    const here = Object.entries(inputs).map(([name, value]) => [
      name,
      value.replaceAll('registry.example.com', registry.url),
    ]);
    const enter = `process.chdir(${JSON.stringify(home)})`;
    return runAction(Object.fromEntries(here) as Record<string, string>, {
      env: { DOCKER_CONFIG: home },
      nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(enter)}`],
    });
  }

  // The tests of this block follow each other as the days of a team do.
  it('delete the image before, in the job that pushed (after-push.yml)', async () => {
    await release(registry, one);
    expectQuiet(await runExample('after-push.yml'), { 'deleted-count': '0' });
    await release(registry, two);
    expectQuiet(await runExample('after-push.yml'), { 'failed-count': '0' });
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toHaveLength(1);
  });

  it('clean everything that lost its tag since the night before (scheduled.yml)', async () => {
    const others = ['team/api', 'ops/tools'];
    await Promise.all(others.map((repository) => release(registry, one, { repository })));
    expectQuiet(await runExample('scheduled.yml'), { 'deleted-count': '0' });
    await Promise.all(others.map((repository) => release(registry, two, { repository })));
    expectQuiet(await runExample('scheduled.yml'), { 'failed-count': '0' });
    const left = [APP, ...others].flatMap((repository) => [...named([two], repository)]);
    expect(apart(registry.manifests()).users).toEqual(new Set(left));
    expect(await entriesOf(registry)).toHaveLength(3);
  });

  it('show what would be deleted and change nothing, until the box is cleared (by-hand.yml)', async () => {
    await release(registry, one);
    const [before, entries] = [registry.manifests(), await entriesOf(registry)];
    const gone = [...named([two])].filter((each) => !named([one]).has(each));
    const shown = await runExample('by-hand.yml');
    expectQuiet(shown, { 'orphans-found': String(gone.length), 'deleted-count': '0' });
    expect(shown.outputs['report-file']).toMatch(/\/cleanup-report\.json$/);
    expect(registry.manifests()).toEqual(before);
    expect(await entriesOf(registry)).toEqual(entries);

    const done = await runExample('by-hand.yml', { 'dry-run': 'false' });
    expectQuiet(done, { 'deleted-count': String(gone.length) });
    const deleted = JSON.parse(done.outputs['deleted-digests'] ?? '') as string[];
    expect(deleted.sort()).toEqual(gone.sort());
  });
});

describe('a workflow on GHCR', () => {
  const ACTOR = 'octocat';
  const PACKAGE = 'acme/shop';
  const making = { created: FRESH, hasReferrersApi: false };
  const [before, current] = ['v1', 'v2'].map((each) => make('signed index', each, making)) as [
    Version,
    Version,
  ];
  const orphans = new Set(
    [...named([before], PACKAGE)].filter((each) => !named([current], PACKAGE).has(each)),
  );
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
   * Runs the step of the action as GitHub would in the repository Acme/Shop, with the simulator for ghcr.io.
   *
   * @param form the context `inputs`
   */
  function runStep(jobs: readonly Job[], form: Inputs = {}): Promise<ActionRun> {
    const context = { inputs: form, runner: { temp }, github: { token: JOB_TOKEN } };
    const { inputs } = parse(textOf('action.yml')) as Pick<
      Workflow['on']['workflow_dispatch'] & object,
      'inputs'
    >;
    const defaults = Object.entries(inputs)
      .filter(([, { default: value }]) => value !== undefined)
      .map(([name, { default: value }]) => [name, evaluated(String(value), context)] as const);
    const given = inputsOf(jobs, context);
    expect(given['registry-url']).toBe('ghcr.io');
    return runAction(
      {
        ...Object.fromEntries(defaults),
        ...given,
        'registry-url': ghcr.url,
        'registry-type': 'ghcr',
        'api-url': ghcr.api,
      },
      { env: { GITHUB_REPOSITORY: 'Acme/Shop', GITHUB_ACTOR: ACTOR } },
    );
  }

  /** By hand with the choices of the form, else as a schedule or a push does, which give no inputs. */
  function runExample(chosen?: Inputs): Promise<ActionRun> {
    const workflow = workflowOf('ghcr.yml');
    const form = formOf(workflow, chosen ?? {});
    const none = Object.fromEntries(Object.keys(form).map((name) => [name, '']));
    return runStep(Object.values(workflow.jobs), chosen === undefined ? none : form);
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

  it('shows what would be deleted, as the quick start of the README', async () => {
    const all = manifests();
    const [, start = ''] = textOf('README.md').split('## Quick start on GHCR\n');
    const [, block = ''] = /```yaml\n([^]*?)```/.exec(start) ?? [];
    const jobs = Object.values(parse(block) as Readonly<Record<string, Job>>);
    expectQuiet(await runStep(jobs), {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(manifests()).toEqual(all);
  });
});
