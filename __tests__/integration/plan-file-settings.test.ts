/** A plan that is carried out with other settings, edited by hand, or refused. On a registry in memory. */
import { writeFileSync } from 'node:fs';

import { describe, expect, it, jest } from '@jest/globals';

import { clean } from '../support/clients/run-action.js';
import { digestOf } from '../../src/oci/digest.js';
import {
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
  names,
} from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { remembered } from '../support/clients/ledger.js';
import type { MemoryRegistryOptions } from '../support/servers/memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { seed } from '../support/clients/push.js';
import { expectGreen, quoted } from '../support/clients/outcome.js';
import {
  type Plan,
  listedIn,
  planSection,
  reportOf,
  reported,
  planFiles,
} from '../support/scenes/plan-file.js';

// Many processes, one after the other, on a machine that others use, too.
jest.setTimeout(60_000);

const { file, planned } = planFiles();
const of = ({ digest }: Content) => digest;
const HOUR = 60 * 60 * 1000;

describe('plan-exact: a run that carries out a plan (in memory)', () => {
  const APP = 'team/app';
  async function start(options?: MemoryRegistryOptions): Promise<MemoryRegistry> {
    const registry = stopAfterTest(await startMemoryRegistry(options));
    seed(registry.state, APP, image('current'), 'v1');
    return registry;
  }

  const manifestsIn = ({ state }: MemoryRegistry, repository = APP) =>
    new Set(state.repositories.get(repository)?.manifests.keys());
  const days = (n: number) => new Date(Date.now() - n * 24 * HOUR).toISOString();

  it('keeps a manifest that is too young for a longer grace period', async () => {
    const registry = await start();
    const [young, old] = [image('young', { created: days(3) }), image('old')];
    [young, old].forEach((orphan) => {
      seed(registry.state, APP, orphan);
    });
    const digests = names(APP, young, old).join('\n');
    const plan = await planned(registry, 'plan.json', { digests });
    expect(listedIn(plan)).toEqual(new Set(names(APP, young, old)));
    const run = await clean(registry, { 'apply-plan': file('plan.json'), 'grace-period': '7d' });
    expectGreen(run, { 'deleted-count': '1' });
    expect(reported(run, APP).left).toEqual([
      {
        digest: young.digest,
        why: 'kept',
        reason: { kind: 'young', created: expect.any(String) },
      },
    ]);
    expect(planSection(run)).toContain(
      'pushed or built within the grace period of 7 days (3 days ago)',
    );
    expect(manifestsIn(registry)).toEqual(new Set([image('current'), young].map(of)));
  });

  it('keeps the newest of all orphans where `keep-untagged` is set since', async () => {
    const registry = await start();
    const orphans = [9, 7, 5].map((age) => image(`${String(age)} days`, { created: days(age) }));
    const [oldest, middle, newest] = orphans as [Content, Content, Content];
    orphans.forEach((orphan) => {
      seed(registry.state, APP, orphan);
    });
    const list = names(APP, ...orphans).join('\n');
    await planned(registry, 'plan.json', { digests: list });
    const run = await clean(registry, { 'apply-plan': file('plan.json'), 'keep-untagged': '2' });
    expectGreen(run, { 'deleted-count': '1' });
    expect(new Set(reported(run, APP).left)).toEqual(
      new Set(
        [middle, newest].map(({ digest }) => ({ digest, why: 'kept', reason: { kind: 'recent' } })),
      ),
    );
    expect(run.log).toContain(`deleted ${oldest.digest}`);
    expect(planSection(run)).toContain('one of the newest orphans, which `keep-untagged` keeps');
    expect(manifestsIn(registry)).toEqual(new Set([image('current'), middle, newest].map(of)));
  });

  it('keeps a manifest that only the referrers API shows to be in use', async () => {
    const registry = await start({ referrersApi: true });
    const [part, alone] = [image('part'), image('alone')];
    const orphans = [part, alone];
    orphans.forEach((orphan) => {
      seed(registry.state, APP, orphan);
    });
    await planned(registry, 'plan.json', { digests: names(APP, ...orphans).join('\n') });
    // Without a tag, named by no input: an index about the image with the tag, and the entry is a part of it.
    const about = index([part], { subject: image('current') });
    seed(registry.state, APP, about);
    const run = await clean(registry, { 'apply-plan': file('plan.json') });
    expectGreen(run, { 'deleted-count': '1' });
    expect(reported(run, APP).left).toEqual([
      { digest: part.digest, why: 'kept', reason: { kind: 'child', of: about.digest } },
    ]);
    expect(manifestsIn(registry)).toEqual(new Set([image('current'), part, about].map(of)));
  });

  it('keeps a dangling referrer where `dangling-referrers: keep` is set since', async () => {
    const registry = await start();
    const signature = referrer('about nothing', image('elsewhere'));
    seed(registry.state, APP, signature);
    const digests = names(APP, signature).join('\n');
    const plan = await planned(registry, 'plan.json', { digests, 'dangling-referrers': 'delete' });
    expect(listedIn(plan)).toEqual(new Set(names(APP, signature)));
    const apply = { 'apply-plan': file('plan.json'), 'ledger-repository': 'off' };
    const run = await clean(registry, apply);
    expectGreen(run, { 'deleted-count': '0' });
    expect(reported(run, APP).left).toMatchObject([{ reason: { kind: 'dangling-referrer' } }]);
    const again = await clean(registry, { ...apply, 'dangling-referrers': 'delete' });
    expectGreen(again, { 'deleted-count': '1' });
  });

  it('deletes less where the plan was edited to less', async () => {
    const registry = await start();
    const list = index([image('amd64'), image('arm64', { platform: LINUX_ARM64 })]);
    const [amd64, arm64] = list.children as [Content, Content];
    const others = [image('one'), image('two')] as const;
    [list, ...others].forEach((orphan) => {
      seed(registry.state, APP, orphan);
    });
    seed(registry.state, 'team/web', image('web'));
    const all = [...names(APP, list, amd64, arm64, ...others), ...names('team/web', image('web'))];
    const plan = await planned(registry, 'plan.json', { digests: all.join('\n') });
    const without: readonly string[] = [list, others[0]].map(of);
    const smaller = {
      ...plan,
      repositories: plan.repositories
        .filter(({ repository }) => repository === APP)
        .map(({ manifests, ...rest }) => ({
          ...rest,
          manifests: manifests.filter(({ digest }) => !without.includes(digest)).reverse(),
        })),
    };
    writeFileSync(file('smaller.json'), JSON.stringify(smaller));
    const run = await clean(registry, {
      'apply-plan': file('smaller.json'),
      digests: names(APP, list).join('\n'),
    });
    expectGreen(run, { 'deleted-count': '1' });
    expect(manifestsIn(registry)).toEqual(
      new Set([image('current'), list, amd64, arm64, others[0]].map(of)),
    );
    expect(manifestsIn(registry, 'team/web').size).toBe(1);
    expect(registry.requests.filter(({ method }) => method === 'DELETE')).not.toHaveLength(0);
  });

  it('asks only whether there is a registry where the plan is empty', async () => {
    const registry = await start();
    await planned(registry, 'plan.json', { 'ledger-repository': 'off' });
    registry.requests.length = 0;
    const run = await clean(registry, {
      'apply-plan': file('plan.json'),
      'ledger-repository': 'off',
    });
    expectGreen(run, { 'deleted-count': '0' });
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /v2/']);
  });

  it('says how many entries are of the ledger’s repository, which it does not read', async () => {
    const registry = await start();
    const orphan = image('orphan');
    seed(registry.state, APP, orphan);
    // A ledger that holds something, so that it is known for one.
    expectGreen(await clean(registry), {});
    const plan = await planned(registry, 'plan.json', { digests: names(APP, orphan).join('\n') });
    const [entry] = manifestsIn(registry, 'manifest-cleanup-ledger');
    const hostile = {
      ...plan,
      repositories: [
        ...plan.repositories,
        { repository: 'manifest-cleanup-ledger', manifests: [{ digest: entry }] },
      ],
    };
    writeFileSync(file('hostile.json'), JSON.stringify(hostile));
    const run = await clean(registry, { 'apply-plan': file('hostile.json') });
    expectGreen(run, { 'deleted-count': '1' });
    expect(reportOf(run).appliedPlan).toMatchObject({ ignored: 1 });
    expect([...(await remembered(registry)).keys()]).toEqual([APP]);
  });

  describe('refuses the plan before any request where', () => {
    const orphan = image('orphan');
    const other = digestOf(Buffer.from('other'));

    it.each<[string, (plan: Plan, report: unknown) => unknown, string]>([
      [
        'it is of another registry',
        (plan) => ({ ...plan, registry: 'https://registry.example.com' }),
        'the plan is of "https://registry.example.com", and `registry-url` is http://',
      ],
      [
        'its version is unknown',
        (plan) => ({ ...plan, planVersion: 2 }),
        'the plan is of version 2, and this action understands version 1',
      ],
      [
        'a digest was edited to none',
        (plan) => edited(plan, { digest: `${orphan.digest.slice(0, -1)}G` }),
        "at repositories.0.manifests.0.digest, it isn't the digest of a manifest",
      ],
      [
        'a digest was edited to a tag',
        (plan) => edited(plan, { digest: 'v1' }),
        "at repositories.0.manifests.0.digest, it isn't the digest of a manifest",
      ],
      [
        'a repository was edited to something else',
        (plan) => edited(plan, { digest: other }, '../team/app'),
        "at repositories.0.repository, it isn't the name of a repository",
      ],
      ['it is the report', (_plan, report) => report, "the file isn't a plan of this action"],
      ['it is no plan at all', () => [names(APP, orphan)], "the file isn't a plan of this action"],
    ])('%s', async (_, change, words) => {
      const registry = await start();
      seed(registry.state, APP, orphan);
      const digests = names(APP, orphan).join('\n');
      const plan = await planned(registry, 'plan.json', { digests });
      const { report } = await clean(registry, { digests, 'dry-run': 'true' });
      writeFileSync(file('changed.json'), JSON.stringify(change(plan, report)));
      registry.requests.length = 0;
      const run = await clean(registry, { 'apply-plan': file('changed.json') });
      expect(run.exitCode).toBe(1);
      expect(run.log).toMatch(
        new RegExp(`^::error::apply-plan: .*${quoted(words)}.*\\. .*[Mm]ake a new plan`, 'm'),
      );
      expect(registry.requests).toEqual([]);
      expect(manifestsIn(registry)).toEqual(new Set([image('current'), orphan].map(of)));
    });

    function edited(plan: Plan, manifest: { digest: string }, repository: string = APP): Plan {
      return { ...plan, repositories: [{ repository, manifests: [manifest] }] };
    }

    it('its JSON is cut off', async () => {
      const registry = await start();
      writeFileSync(file('cut.json'), '{"planVersion": 1, ');
      const run = await clean(registry, { 'apply-plan': file('cut.json') });
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain("apply-plan: the file isn't valid JSON");
      expect(registry.requests).toEqual([]);
    });
  });

  it('names an invalid time before anything is deleted', async () => {
    const registry = await start();
    const orphan = image('orphan');
    seed(registry.state, APP, orphan);
    const plan = await planned(registry, 'plan.json', { digests: names(APP, orphan).join('\n') });
    writeFileSync(
      file('plan.json'),
      JSON.stringify({ ...plan, createdAt: '2026-01-02T03:04:05+05' }),
    );
    const run = await clean(registry, { 'apply-plan': file('plan.json') });
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain("at createdAt, it isn't a valid time");
    expect(manifestsIn(registry)).toContain(orphan.digest);
  });
});
