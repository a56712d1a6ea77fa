/** The workflows of examples/: each step of the action is run as GitHub would, on a real registry. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';

import { APP } from '../support/builders/build.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { expectQuiet } from '../support/clients/outcome.js';
import { describeWith } from '../support/servers/describe-with.js';
import { PASSWORD, startDockerRegistry, USERNAME } from '../support/servers/docker-registry.js';
import { apart, entriesOf } from '../support/clients/ledger.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { FRESH, type Version, make, named, release } from '../support/scenes/versions.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

interface Workflow {
  readonly on: {
    readonly workflow_dispatch?: {
      readonly inputs: Readonly<Record<string, { readonly default?: unknown }>>;
    };
  };
  readonly env?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly steps: readonly {
          readonly uses?: string;
          readonly with?: Record<string, string>;
        }[];
      }
    >
  >;
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
  async function runExample(file: string, chosen: Record<string, string> = {}): Promise<ActionRun> {
    const text = readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8');
    const { on, env = {}, jobs } = parse(text) as Workflow;
    const form = Object.entries(on.workflow_dispatch?.inputs ?? {}).map(
      ([name, { default: value = '' }]) => [name, chosen[name] ?? String(value)] as const,
    );
    const context: Record<string, Readonly<Record<string, string>>> = {
      env,
      inputs: Object.fromEntries(form),
      runner: { temp: home },
    };
    const steps = Object.values(jobs).flatMap((job) => job.steps);
    const step = steps.find(({ uses = '' }) => uses.startsWith('registry-manifest-cleanup/'));
    const inputs = Object.entries(present(step?.with)).map(([name, value]) => [
      name,
      value
        .replace(/\$\{\{ (\w+)\.([\w-]+) \}\}/g, (_, of: string, key: string) =>
          present(context[of]?.[key]),
        )
        .replaceAll('registry.example.com', registry.url),
    ]);
    const enter = `process.chdir(${JSON.stringify(home)})`;
    return runAction(Object.fromEntries(inputs) as Record<string, string>, {
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
