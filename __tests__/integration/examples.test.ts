/**
 * The workflows of examples/ and README.md: their steps are run as GitHub would, on a real registry, or on the simulator
 * of GHCR.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import { startDockerRegistry } from '../support/servers/docker-registry.js';
import { apart, entriesOf } from '../support/clients/ledger.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { FRESH, type Version, make, named, release } from '../support/scenes/versions.js';
import {
  blocksOf,
  exampleOf,
  fill,
  startGitHub,
  type Step,
  textOf,
  type Values,
  withoutInput,
  type Workflow,
  type World,
} from '../support/scenes/workflow.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

/** Built long ago: no grace period keeps it. */
const OLD = '2025-01-01T00:00:00Z';

const versionsOf = (created: string, ...names: string[]): Version[] =>
  names.map((name) => make('signed index', name, { created, hasReferrersApi: false }));

const without = (all: ReadonlySet<string>, others: ReadonlySet<string>): Set<string> =>
  new Set([...all].filter((each) => !others.has(each)));

const github = startGitHub();

afterAll(() => {
  github.remove();
});

/** What the files of the GitHub repository pin is not in the registry. */
const FILES = new Map([
  ['deploy/app.yaml', `image: registry.example.com/elsewhere@sha256:${'0'.repeat(64)}\n`],
]);

/** The one run of the action in a workflow on this registry. */
async function onlyRun(
  registry: RealRegistry,
  workflow: Workflow,
  world: Partial<World> = {},
): Promise<ActionRun> {
  const place = { registryUrl: registry.url, storage: registry.directory, files: FILES };
  const { actions } = await github.run(workflow, { ...place, ...world });
  expect(actions).toHaveLength(1);
  return present(actions[0]);
}

/** A workflow of these steps alone. */
const workflowOf = (steps: readonly Step[]): Workflow => ({ jobs: { job: { steps } } });

describeWith('docker-registry', dockerRegistry, 'the workflows of examples/', () => {
  const [one, two] = versionsOf(FRESH, 'v1', 'v2') as [Version, Version];
  let registry: RealRegistry;

  beforeAll(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
  });

  afterAll(async () => {
    await registry.stop();
  });

  const runExample = (file: string, world: Partial<World> = {}): Promise<ActionRun> => {
    const build = () => Promise.resolve();
    return onlyRun(registry, exampleOf(file), { build, ...world });
  };

  // The tests of this block follow each other as the days of a team do.
  it('delete the image before, in the job that pushed (after-push.yml)', async () => {
    const first = await runExample('after-push.yml', { build: () => release(registry, one) });
    expectQuiet(first, { 'deleted-count': '0' });
    const second = await runExample('after-push.yml', { build: () => release(registry, two) });
    expectQuiet(second, { 'failed-count': '0' });
    expect(apart(registry.manifests()).users).toEqual(named([two]));
    expect(await entriesOf(registry)).toHaveLength(1);
  });

  it('clean everything that lost its tag more than a week ago (scheduled.yml)', async () => {
    const others = ['team/api', 'ops/tools'];
    await Promise.all(others.map((repository) => release(registry, one, { repository })));
    // The clocks of the runner and of the registry differ, which is a warning.
    expectGreen(await runExample('scheduled.yml', { daysAgo: 9 }), { 'deleted-count': '0' });
    await Promise.all(others.map((repository) => release(registry, two, { repository })));
    expectGreen(await runExample('scheduled.yml', { daysAgo: 8 }), { 'failed-count': '0' });
    expectQuiet(await runExample('scheduled.yml'), { 'failed-count': '0' });
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
    const shown = await runExample('by-hand.yml', { inputs: form });
    expectQuiet(shown, { 'orphans-found': String(gone.size), 'deleted-count': '0' });
    expect(shown.outputs['report-file']).toMatch(/\/cleanup-report\.json$/);
    expect(registry.manifests()).toEqual(manifests);
    expect(await entriesOf(registry)).toEqual(entries);

    const done = await runExample('by-hand.yml', { inputs: { ...form, 'dry-run': 'false' } });
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

  /** Years of pushes, which no run has seen. Nothing but a listing tells of what they replaced. */
  beforeEach(async () => {
    registry = await startDockerRegistry(present(dockerRegistry), { auth: 'htpasswd' });
    for (const [repository, versions] of pushed) {
      for (const version of versions) {
        await release(registry, version, { repository });
      }
    }
    expect(registry.manifests()).toEqual(all);
  });

  afterEach(async () => {
    await registry.stop();
  });

  it('finds all orphans in its first dry-run, with the commands and steps of the README', async () => {
    const heading = 'Quick start on Distribution';
    const [list = ''] = blocksOf(heading, 'sh');
    const [block = ''] = blocksOf(heading, 'yaml');
    const steps = [{ run: list }, ...(parse(block) as Step[])];

    // A run without the list, which the README spares its reader, sees only what the tags of signatures name.
    const blind = steps.map((step) => withoutInput(step, 'digests-file'));
    const little = await onlyRun(registry, workflowOf(blind));
    expect(Number(little.outputs['orphans-found'])).toBeLessThan(orphans.size);

    const shown = await onlyRun(registry, workflowOf(steps));
    expectQuiet(shown, {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(registry.manifests()).toEqual(all);

    // The same without `dry-run`, as the README goes on.
    const real = steps.map((step) => withoutInput(step, 'dry-run'));
    const done = await onlyRun(registry, workflowOf(real));
    expectQuiet(done, { 'deleted-count': String(orphans.size) });
    expect(apart(registry.manifests()).users).toEqual(kept);
  });

  it('lists the same over ssh, with the step that first-cleanup.yml has in a comment', async () => {
    // The last argument is what a shell gets on the other machine.
    const ssh = '#!/usr/bin/env bash\ngrep -q KEY "$2" && exec bash -c "${@: -1}"\n';
    const programs = mkdtempSync(path.join(tmpdir(), 'examples-'));
    writeFileSync(path.join(programs, 'ssh'), ssh, { mode: 0o755 });
    const { id } = await github.run(workflowOf(overSsh()), {
      registryUrl: registry.url,
      storage: registry.directory,
      secrets: { REGISTRY_SSH_KEY: 'A KEY', REGISTRY_SSH_KNOWN_HOSTS: 'a line' },
      env: { PATH: `${programs}:${process.env['PATH'] ?? ''}` },
    });
    rmSync(programs, { recursive: true });
    const listing = path.join(github.artifactOf(id, 'registry-listing'), 'manifests.txt');
    const named = readFileSync(listing, 'utf8').matchAll(
      /\/repositories\/(.*)\/_manifests\/revisions\/(\w+)\/(\w+)\/link\n/g,
    );
    expect(
      new Set([...named].map(([, name, algorithm, hex]) => `${name}@${algorithm}:${hex}`)),
    ).toEqual(all);
  });

  it('lists, shows, waits for an approval and deletes exactly that (first-cleanup.yml)', async () => {
    const asked: string[] = [];
    const { results, actions } = await github.run(exampleOf('first-cleanup.yml'), {
      registryUrl: registry.url,
      storage: registry.directory,
      files: FILES,
      approve: async () => {
        expect(registry.manifests()).toEqual(all);
        // While the reviewers look, a tag comes back to one of them.
        await push(registry, APP, first.main, 'rollback');
        asked.push('approve');
        return true;
      },
    });
    expect(asked).toEqual(['approve']);
    expect(results).toEqual({
      list: 'success',
      plan: 'success',
      approve: 'success',
      apply: 'success',
    });
    const [shown, done] = actions as [ActionRun, ActionRun];
    expectQuiet(shown, { 'orphans-found': String(orphans.size), 'deleted-count': '0' });
    const inUse = new Set([...kept, ...named([first])]);
    expectQuiet(done, { 'deleted-count': String(without(orphans, inUse).size) });
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

describe('a workflow on GHCR', () => {
  const ACTOR = 'octocat';
  const PACKAGE = 'acme/shop';
  const [before, current] = versionsOf(FRESH, 'v1', 'v2') as [Version, Version];
  const orphans = without(named([before], PACKAGE), named([current], PACKAGE));
  let ghcr: Ghcr;

  beforeEach(async () => {
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
  });

  /**
   * Runs a workflow as GitHub would in the repository Acme/Shop, with the simulator for ghcr.io.
   *
   * @param inputs what was chosen in the form, over its defaults
   */
  async function runHere(workflow: Workflow, inputs: Values = {}): Promise<ActionRun> {
    const { inputs: known } = parse(textOf('action.yml')) as {
      readonly inputs: Readonly<Record<string, { readonly default?: string }>>;
    };
    const context = { github: { token: JOB_TOKEN } };
    const defaults = Object.entries(known).flatMap(([name, { default: value }]) =>
      value === undefined ? [] : [[name, fill(value, context)] as const],
    );
    const { actions } = await github.run(workflow, {
      registryUrl: ghcr.url,
      inputs,
      given: (given) => {
        expect(given['registry-url']).toBe('ghcr.io');
        return {
          ...Object.fromEntries(defaults),
          ...given,
          'registry-url': ghcr.url,
          'registry-type': 'ghcr',
          'api-url': ghcr.api,
        };
      },
      env: { GITHUB_REPOSITORY: 'Acme/Shop', GITHUB_ACTOR: ACTOR },
    });
    expect(actions).toHaveLength(1);
    return present(actions[0]);
  }

  /** By hand with the choices of the form, else as a schedule or a push does, which give no inputs. */
  function runExample(chosen?: Values): Promise<ActionRun> {
    const workflow = exampleOf('ghcr.yml');
    return runHere(workflow, chosen ?? { 'dry-run': '', 'max-deletes': '' });
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
    const workflow = parse(text) as Workflow;
    expectQuiet(await runHere(workflow), {
      'orphans-found': String(orphans.size),
      'deleted-count': '0',
    });
    expect(manifests()).toEqual(all);

    // The same without `dry-run`, as the README goes on.
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
    const real = workflowOf(steps.map((step) => withoutInput(step, 'dry-run')));
    expectQuiet(await runHere(real), { 'deleted-count': String(orphans.size) });
    expect(manifests()).toEqual(named([current], PACKAGE));
  });
});
