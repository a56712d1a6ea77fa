/**
 * The workflows of examples/ from their first step to their last: a runner of its own carries out their files,
 * with the bundled action, a real docker-registry, and directories in place of GitHub's artifacts. What the
 * registry's own directory has at the end is the judge.
 */
import { existsSync, readFileSync } from 'node:fs';

import { afterAll, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';

import { digestOf } from '../../src/oci/digest.js';
import { MANIFEST_ACCEPT } from '../../src/oci/media-types.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startDockerRegistry, storageListing } from '../support/servers/docker-registry.js';
import { startGate, type Gate, type PassingRequest } from '../support/servers/gate.js';
import { apart, LEDGER } from '../support/clients/ledger.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import {
  exampleOf,
  startGitHub,
  type RunOfWorkflow,
  type World,
} from '../support/scenes/workflow.js';

jest.setTimeout(120_000);

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
  const github = startGitHub();
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
    github.remove();
  });

  beforeEach(() => {
    onRequest = () => undefined;
    files = new Map([['deploy/app.yaml', 'image: registry.example.com/team/app:latest\n']]);
  });

  const run = (file: string, world: Partial<World> = {}) =>
    github.run(exampleOf(file), { registryUrl: gate.url, files, ...world });

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

  /** A run that keeps everything and remembers what it sees, so that what lost its tag is out of use from then on. */
  async function look(daysAgo: number): Promise<void> {
    const [step] = present(exampleOf('look-first.yml').jobs['plan']).steps.filter(
      ({ with: inputs }) => inputs?.['protect'] === '**',
    );
    const [login] = present(exampleOf('look-first.yml').jobs['plan']).steps.filter(({ uses }) =>
      uses?.startsWith('docker/login-action'),
    );
    const steps = [present(login), present(step)];
    const looked = await github.run(
      { jobs: { look: { steps } } },
      { registryUrl: gate.url, daysAgo },
    );
    expectGreen(looked);
  }

  // The tests of this block follow each other as the weeks of a team do. A week or more is between two runs that are to
  // delete what the first of them found out of use: the examples keep it for that long.
  it('look-first.yml writes a plan, and asks nobody where nothing would be deleted', async () => {
    await release('team/app', v1);
    await release('team/api', v1);
    const first = await run('look-first.yml', {
      daysAgo: 100,
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
    // It may be in the plan a week after the run that finds it out of use.
    await look(93);
    const { results } = await run('look-first.yml', { daysAgo: 86, approve: () => false });
    expect(results).toEqual({ plan: 'success', approve: 'failure', apply: 'skipped' });
    expect(manifests()).toEqual(before);
    expect(tags()).toEqual(links);
  });

  it('plan-exact, restore-whole: look-first.yml deletes the approved manifests and nothing else, and undo.yml restores them', async () => {
    const [before, links] = [manifests(), tags()];
    // While the reviewers look, one old version gets a tag, the other is pinned in part, a third comes up.
    const approved = await run('look-first.yml', {
      daysAgo: 79,
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
    expect(summary).toMatch(new RegExp(`team/api@${v1.main.digest.slice(7, 19)}.*\`rollback\``));
    expect(summary).toMatch(/team\/app@[0-9a-f]{12}`.*`deploy\/tools\/job\.yaml`/);

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
    await look(30);
    const cleaned = await run('scheduled.yml', { daysAgo: 20 });
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
    const killed = await run('scheduled.yml', { daysAgo: 19.9, killer: killer.signal });
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
    const cleaned = await run('scheduled.yml', { daysAgo: 19.8 });
    expectGreen(cleaned);
    expect(manifests()).toEqual(
      new Set([...named('team/app', v2, v3), ...named('team/api', v1, v2)]),
    );
  });

  it('restore-whole: after-push.yml keeps the image before while a file pins it, and undo.yml restores it', async () => {
    const others = named('team/api', v1, v2);
    files.set('deploy/before.yaml', `image: registry.example.com/team/app@${v3.main.digest}\n`);
    const pinned = await run('after-push.yml', {
      daysAgo: 19.7,
      build: () => release('team/app', v1),
    });
    expectGreen(pinned);
    expect(manifests()).toEqual(new Set([...named('team/app', v1, v2, v3), ...others]));
    expect(existsSync(github.artifactOf(pinned.id, 'registry-backup-1'))).toBe(false);

    files.delete('deploy/before.yaml');
    const pushed = await run('after-push.yml', {
      daysAgo: 19.6,
      build: () => release('team/app', v2),
    });
    expectGreen(pushed);
    expect(manifests()).toEqual(new Set([...named('team/app', v2), ...others]));
    const undone = await run('undo.yml', { inputs: { 'run-id': pushed.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect(manifests()).toEqual(new Set([...named('team/app', v1, v2, v3), ...others]));
    expect(tags().get('team/app:latest')).toBe(v2.main.digest);
  });

  it('restore-whole: by-hand.yml leaves no backup as a dry-run, and one that undo.yml takes when it deletes', async () => {
    const [before, links] = [manifests(), tags()];
    await look(17);
    const looked = await run('by-hand.yml', { daysAgo: 9 });
    expectGreen(looked);
    expect(existsSync(github.artifactOf(looked.id, 'registry-backup-1'))).toBe(false);
    expect(existsSync(github.artifactOf(looked.id, 'cleanup-report'))).toBe(true);
    expect(manifests()).toEqual(before);

    const cleaned = await run('by-hand.yml', { daysAgo: 9, inputs: { 'dry-run': 'false' } });
    expectGreen(cleaned);
    expect(manifests()).toEqual(new Set([...named('team/app', v2), ...named('team/api', v1, v2)]));
    const undone = await run('undo.yml', { inputs: { 'run-id': cleaned.id, 'dry-run': 'false' } });
    expectGreen(undone);
    expect([manifests(), tags()]).toEqual([before, links]);
  });

  it('by-hand.yml keeps a digest that a file pins, as the others do, and takes a limit from its form', async () => {
    await look(8);
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
