/**
 * The brakes: the bundled action refuses what looks wrong, says what it found and what to do, and deletes nothing
 * there; and whoever meant it gets it done. Each registry's own directory, or memory, is the judge.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import * as v from 'valibot';

import { hurried } from '../support/clients/hurry.js';
import { clean, type ActionRun } from '../support/clients/run-action.js';
import { image, type Content, names } from '../support/builders/build.js';
import { deletedIn, quoted } from '../support/clients/outcome.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { apart, byRepository, entriesOf, remembered } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import type { Action } from '../support/servers/memory/script.js';
import { push, seed, type Destination } from '../support/clients/push.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';

// Many processes, one after the other, on a machine that others use, too.
jest.setTimeout(60_000);

const APP = 'team/app';
const home = mkdtempSync(path.join(tmpdir(), 'brakes-'));
const file = (name: string) => path.join(home, name);

afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

const errorsOf = ({ log }: ActionRun) =>
  [...log.matchAll(/^::error::(.*)$/gm)].map(([, message = '']) => message);
const warningsOf = ({ log }: ActionRun) =>
  [...log.matchAll(/^::warning::(.*)$/gm)].map(([, message = '']) => message);

function expectGreen(run: ActionRun, outputs: Record<string, string> = {}): void {
  expect(errorsOf(run)).toEqual([]);
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject(outputs);
}

/** A real run that refused, in so many words, and did no more than these outputs say. */
function expectRed(run: ActionRun, refusals: readonly string[], outputs: Record<string, string>) {
  expect(errorsOf(run)).toEqual(refusals.map((words) => expect.stringContaining(words)));
  expect(run.exitCode).toBe(1);
  expect(run.outputs).toMatchObject(outputs);
  expectInSummary(run, '### Problems', refusals);
}

/** A dry-run that says what a real run would refuse, and is green. */
function expectWarned(run: ActionRun, refusals: readonly string[], who = 'a real run'): void {
  const said = refusals.map((words) =>
    expect.stringMatching(new RegExp(`^${who} would refuse this: ${quoted(words)}`)),
  );
  expect(warningsOf(run)).toEqual(said);
  expectInSummary(run, '### What would hold a real run back', refusals);
  expectGreen(run, { 'deleted-count': '0', 'failed-count': '0' });
}

/** Whatever stands there as code. */
function expectInSummary({ summary }: ActionRun, heading: string, said: readonly string[]): void {
  const plain = (text: string) => text.replaceAll('`', '');
  const section = plain(summary.slice(summary.indexOf(heading)).split('\n### ')[0] ?? '');
  for (const words of said) {
    expect(section).toContain(plain(words));
  }
}

const Report = v.object({
  repositories: v.array(
    v.object({
      repository: v.string(),
      orphans: v.array(v.object({ digest: v.string(), fate: v.string() })),
      refusal: v.optional(v.looseObject({ kind: v.string() })),
    }),
  ),
});

function reported({ report }: ActionRun, repository: string) {
  const { repositories } = v.parse(Report, report);
  const found = present(repositories.find((each) => each.repository === repository));
  return { refusal: found.refusal, fates: new Set(found.orphans.map(({ fate }) => fate)) };
}

function made(name: string, count: number): Content[] {
  return Array.from({ length: count }, (_, n) => image(`${name} ${String(n)}`));
}

/** Orphans, and images that have a tag each. */
interface Filling {
  readonly orphans: readonly Content[];
  readonly kept: readonly Content[];
}

function filling(repository: string, orphans: number, kept: number): Filling {
  return {
    orphans: made(`${repository} orphan`, orphans),
    kept: made(`${repository} kept`, kept),
  };
}

async function fill(to: Destination, repository: string, { orphans, kept }: Filling) {
  await Promise.all([
    ...orphans.map((orphan) => push(to, repository, orphan)),
    ...kept.map((content, n) => push(to, repository, content, `v${String(n)}`)),
  ]);
}

function seedWith({ state }: MemoryRegistry, repository: string, { orphans, kept }: Filling) {
  orphans.forEach((orphan) => {
    seed(state, repository, orphan);
  });
  kept.forEach((content, n) => {
    seed(state, repository, content, `v${String(n)}`);
  });
}

describeWith('docker-registry', dockerRegistry, 'brakes-hold: more deletes than may be', () => {
  const fillings: Record<string, Filling> = {
    'much/lost': filling('much/lost', 30, 10),
    'much/just': filling('much/just', 21, 20),
    'fine/half': filling('fine/half', 21, 21),
    'fine/few': filling('fine/few', 20, 1),
    'fine/small': filling('fine/small', 1, 3),
  };
  const of = (which: 'orphans' | 'kept', prefix = '') =>
    Object.entries(fillings).flatMap(([repository, filled]) =>
      repository.startsWith(prefix) ? names(repository, ...filled[which]) : [],
    );
  const late = image('late');
  let registry: DockerRegistry;
  const users = () => apart(registry.manifests()).users;

  /** A dry-run says what a real run would refuse; both see what the storage listing names. */
  const run = (inputs: Record<string, string>) => {
    writeFileSync(file('listing.txt'), storageListing(registry.directory).join('\n'));
    return clean(registry, { 'digests-file': file('listing.txt'), ...inputs });
  };

  beforeAll(async () => {
    registry = await startDockerRegistry(present(dockerRegistry));
    await Promise.all(
      Object.entries(fillings).map(([name, filled]) => fill(registry, name, filled)),
    );
  }, 60_000);

  afterAll(async () => {
    await registry.stop();
  });

  const refused = [
    'much/just: nothing is deleted here: 21 of the 41 manifests that are known would be deleted, more than half, which is the limit unless `max-deletes` says otherwise',
    'much/lost: nothing is deleted here: 30 of the 40 manifests that are known would be deleted, more than half, which is the limit unless `max-deletes` says otherwise',
  ];

  // The tests of this block follow each other as the runs of a workflow do.
  it('are shown by a dry-run, which is green and changes nothing', async () => {
    const before = registry.manifests();
    const shown = await run({ 'dry-run': 'true' });
    expectWarned(shown, refused);
    expect(shown.outputs['orphans-found']).toBe(String(of('orphans').length));
    expect(shown.summary).toContain('A real run would leave 51 orphans');
    expect(reported(shown, 'much/lost').fates).toEqual(new Set(['refused']));
    expect(reported(shown, 'fine/small').fates).toEqual(new Set(['planned']));
    expect(registry.manifests()).toEqual(before);
  });

  it('are refused in a repository that would lose more than half, and twenty, by default', async () => {
    const done = await run({});
    expectRed(done, refused, { 'deleted-count': '42', 'failed-count': '51' });
    for (const message of errorsOf(done)) {
      expect(message).toMatch(/raise `max-deletes`.*`plan-file`.*`apply-plan`/);
    }
    expect(deletedIn(done)).toEqual(new Set(of('orphans', 'fine/')));
    expect(users()).toEqual(new Set([...of('kept'), ...of('orphans', 'much/')]));
    expect(reported(done, 'much/lost')).toEqual({
      refusal: {
        kind: 'share',
        orphans: 30,
        manifests: 40,
        percent: 50,
        text: expect.stringContaining('30 of the 40'),
      },
      fates: new Set(['refused']),
    });
  });

  it('are remembered, and refused again when nothing names them but the ledger', async () => {
    expect(await remembered(registry)).toEqual(byRepository(users()));
    const again = await clean(registry);
    expectRed(again, refused, { 'deleted-count': '0', 'failed-count': '51' });
    expect(await remembered(registry)).toEqual(byRepository(users()));
    expect(users()).toEqual(new Set([...of('kept'), ...of('orphans', 'much/')]));
  });

  const found = 'nothing is deleted in this run: it found 52 orphans, and `max-deletes` allows 51';

  it('stop the whole run where a number is given', async () => {
    await push(registry, 'fine/small', late);
    const before = users();
    expectWarned(await run({ 'max-deletes': '51', 'dry-run': 'true' }), [found]);
    const done = await run({ 'max-deletes': '51' });
    // Said once, though it holds for three repositories.
    expectRed(done, [found], { 'deleted-count': '0', 'failed-count': '52' });
    expect(errorsOf(done)[0]).toMatch(/raise `max-deletes`/);
    expect(users()).toEqual(before);
    expect(reported(done, 'fine/small').refusal).toMatchObject({ kind: 'count', orphans: 52 });
  });

  it('are none where the number, or share, is as large as that', async () => {
    const done = await run({ 'max-deletes': '52' });
    // That the runs before saw them for the first time does not make them young: they were to go.
    expectGreen(done, { 'deleted-count': '52', 'failed-count': '0' });
    expect(users()).toEqual(new Set(of('kept')));
  });
});

describe('brakes-hold: limits (in memory)', () => {
  async function start(fillings: Record<string, Filling>): Promise<MemoryRegistry> {
    const registry = stopAfterTest(await startMemoryRegistry());
    Object.entries(fillings).forEach(([repository, filled]) => {
      seedWith(registry, repository, filled);
    });
    return registry;
  }

  const manifestsIn = ({ state }: MemoryRegistry, repository = APP) =>
    new Set(state.repositories.get(repository)?.manifests.keys());
  const digestsOf = (contents: readonly Content[]) => new Set(contents.map(({ digest }) => digest));

  const app = filling(APP, 1, 1);
  const all = { digests: names(APP, ...app.orphans).join('\n') };

  it.each([
    ['49.999999%', false],
    ['50%', true],
    ['0%', false],
    ['0', false],
    ['1', true],
  ])(
    'hold as `max-deletes: %s` says, where one of two manifests would be deleted',
    async (limit, isAllowed) => {
      const registry = await start({ [APP]: app });
      const done = await clean(registry, { ...all, 'max-deletes': limit });
      expect(done.exitCode).toBe(isAllowed ? 0 : 1);
      expect(manifestsIn(registry)).toEqual(
        digestsOf(isAllowed ? app.kept : [...app.kept, ...app.orphans]),
      );
    },
  );

  it('count no orphan of a repository that could not be read, and none goes there', async () => {
    const web = filling('team/web', 3, 1);
    const registry = await start({ [APP]: app, 'team/web': web });
    registry.intercept(({ route }) =>
      route.kind === 'manifest' && route.repository === 'team/web' && route.reference === 'v0'
        ? { kind: 'html' }
        : undefined,
    );
    const digests = [...names(APP, ...app.orphans), ...names('team/web', ...web.orphans)].join(
      '\n',
    );
    const done = await clean(registry, { digests, 'max-deletes': '1' });
    expectRed(done, ["team/web: tag v0 couldn't be read"], { 'deleted-count': '1' });
    expect(manifestsIn(registry)).toEqual(digestsOf(app.kept));
    expect(manifestsIn(registry, 'team/web')).toEqual(digestsOf([...web.kept, ...web.orphans]));
  });

  describe('with a plan that somebody has seen', () => {
    const lost = filling(APP, 30, 10);
    const inputs = {
      digests: names(APP, ...lost.orphans).join('\n'),
      'plan-file': file('plan.json'),
    };
    const refused = `${APP}: nothing is deleted here: 30 of the 40 manifests that are known would be deleted`;

    async function planned() {
      const registry = await start({ [APP]: lost });
      const made = await clean(registry, { ...inputs, 'dry-run': 'true' });
      expectWarned(made, [refused], 'a run without the plan');
      expect(made.summary).toMatch(
        /^## The plan lists 30 orphan manifests in 1 repository; a run without it would delete none of them\n/,
      );
      expect(made.log).toContain(`the plan of 30 manifests was written to ${file('plan.json')}`);
      expect(readFileSync(file('plan.json'), 'utf8')).toContain(
        '"refusal":"nothing is deleted here: 30 of the 40 manifests',
      );
      return registry;
    }

    it('no longer hold it up', async () => {
      const registry = await planned();
      const done = await clean(registry, { 'apply-plan': file('plan.json') });
      expectGreen(done, { 'deleted-count': '30' });
      expect(manifestsIn(registry)).toEqual(digestsOf(lost.kept));
    });

    it('hold it up where they are given all the same', async () => {
      const registry = await planned();
      const apply = { 'apply-plan': file('plan.json') };
      const before = manifestsIn(registry);
      for (const limit of ['29', '74%']) {
        const done = await clean(registry, { ...apply, 'max-deletes': limit });
        expectRed(done, ['`max-deletes` allows'], { 'deleted-count': '0', 'failed-count': '30' });
        expect(errorsOf(done)).toEqual([
          expect.stringContaining('If the plan is right, raise `max-deletes`, or leave it out'),
        ]);
        expect(done.log).toMatch(
          /apply-plan: the plan in .*plan\.json, made .* ago, lists 30 manif/,
        );
        expect(manifestsIn(registry)).toEqual(before);
      }
      const dry = await clean(registry, { ...apply, 'max-deletes': '29', 'dry-run': 'true' });
      expectWarned(dry, ['nothing is deleted in this run: it found 30 orphans']);
      expectGreen(await clean(registry, { ...apply, 'max-deletes': '75%' }), {
        'deleted-count': '30',
      });
    });
  });
});

/** What is said of a repository that lost all its tags. */
const noTags = (repository: string, count: number) =>
  `${repository}: nothing is deleted here: no tag is left, and the ledger remembers ${String(count)} manifests that tags led to`;

describeWith(
  'docker-registry',
  dockerRegistry,
  'brakes-hold: a repository that was emptied',
  () => {
    const app = filling(APP, 0, 3);
    const moved = image('moved');
    let registry: DockerRegistry;
    const users = () => apart(registry.manifests()).users;

    const tagsOf = () =>
      path.join(registry.directory, 'docker/registry/v2/repositories', APP, '_manifests/tags');
    const hide = () => {
      renameSync(tagsOf(), path.join(registry.directory, 'hidden'));
    };

    beforeAll(async () => {
      registry = await startDockerRegistry(present(dockerRegistry));
      await fill(registry, APP, app);
      await push(registry, 'team/web', image('web 1'), 'latest');
      expectGreen(await clean(registry));
    });

    afterAll(async () => {
      await registry.stop();
    });

    // The tests of this block follow each other.
    it('is refused in this run and in the next ones, while others are cleaned', async () => {
      hide();
      const before = [...users()].filter((name) => name.startsWith(APP));
      const known = await remembered(registry);
      expectWarned(await clean(registry, { 'dry-run': 'true' }), [noTags(APP, 3)]);
      for (const n of [2, 3, 4]) {
        await push(registry, 'team/web', image(`web ${String(n)}`), 'latest');
        const done = await clean(registry);
        expectRed(done, [noTags(APP, 3)], { 'deleted-count': '1', 'failed-count': '3' });
        expect(errorsOf(done)[0]).toMatch(/If the tags were removed on purpose.*`apply-plan`/);
        expect(reported(done, APP)).toMatchObject({
          refusal: { kind: 'no-tags', remembered: 3 },
          fates: new Set(['refused']),
        });
        expect(deletedIn(done)).toEqual(new Set(names('team/web', image(`web ${String(n - 1)}`))));
        expect([...users()].filter((name) => name.startsWith(APP))).toEqual(before);
        expect((await remembered(registry)).get(APP)).toEqual(known.get(APP));
      }
    });

    it('is as before when its tags are back', async () => {
      renameSync(path.join(registry.directory, 'hidden'), tagsOf());
      const [before, entries] = [registry.manifests(), await entriesOf(registry)];
      expectGreen(await clean(registry), { 'orphans-found': '0' });
      expect(registry.manifests()).toEqual(before);
      expect(await entriesOf(registry)).toEqual(entries);
      await push(registry, APP, moved, 'v0');
      const done = await clean(registry);
      expectGreen(done, { 'deleted-count': '1' });
      expect(deletedIn(done)).toEqual(new Set(names(APP, ...app.kept.slice(0, 1))));
    });

    it('is refused still when a plan of it was held up', async () => {
      hide();
      const before = [...users()].filter((name) => name.startsWith(APP));
      const planFile = file('held-up.json');
      expectRed(await clean(registry), [noTags(APP, 3)], { 'deleted-count': '0' });
      await clean(registry, { 'dry-run': 'true', 'plan-file': planFile });
      const held = await clean(registry, { 'apply-plan': planFile, 'max-deletes': '1' });
      expectRed(held, ['it found 3 orphans, and `max-deletes` allows 1'], { 'deleted-count': '0' });
      for (let again = 0; again < 2; again += 1) {
        expectRed(await clean(registry), [noTags(APP, 3)], { 'deleted-count': '0' });
        expect([...users()].filter((name) => name.startsWith(APP))).toEqual(before);
      }
      renameSync(path.join(registry.directory, 'hidden'), tagsOf());
      // The plan that was held up condemned them just now: a run waits for its deletes, should there be any.
      expectGreen(await clean(registry, {}, hurried), { 'orphans-found': '0' });
    });

    it('is cleaned on purpose by a plan that is carried out, and the next run is green', async () => {
      rmSync(tagsOf(), { recursive: true });
      const left = [moved, ...app.kept.slice(1)];
      const planFile = file('plan.json');
      expectRed(await clean(registry), [noTags(APP, 3)], { 'deleted-count': '0' });
      const dry = await clean(registry, { 'dry-run': 'true', 'plan-file': planFile });
      expectWarned(dry, [noTags(APP, 3)], 'a run without the plan');
      expect(readFileSync(planFile, 'utf8')).toContain(
        '"refusal":"nothing is deleted here: no tag',
      );
      const shown = await clean(registry, { 'dry-run': 'true', 'apply-plan': planFile });
      expectGreen(shown, { 'orphans-found': '3' });
      expect(warningsOf(shown)).toEqual([]);

      const done = await clean(registry, { 'apply-plan': planFile });
      expectGreen(done, { 'deleted-count': '3' });
      expect(deletedIn(done)).toEqual(new Set(names(APP, ...left)));
      expect([...users()].filter((name) => name.startsWith(APP))).toEqual([]);
      for (let again = 0; again < 2; again += 1) {
        expectGreen(await clean(registry), { 'orphans-found': '0' });
      }
      expect([...(await remembered(registry)).keys()]).toEqual(['team/web']);
    });

    it('is like any other when something is pushed to it again', async () => {
      await push(registry, APP, image('again 1'), 'latest');
      expectGreen(await clean(registry));
      await push(registry, APP, image('again 2'), 'latest');
      expectGreen(await clean(registry), { 'deleted-count': '1' });
      expect(users()).toContain(names(APP, image('again 2'))[0]);
    });
  },
);

describe('brakes-hold: a list of tags that is suddenly empty (in memory)', () => {
  const app = filling(APP, 0, 3);
  const others = [image('web 1'), image('web 2')] as const;
  /** A registry that a run has seen, and in which a tag of another repository has moved since. */
  async function start(): Promise<MemoryRegistry> {
    const registry = stopAfterTest(await startMemoryRegistry());
    seedWith(registry, APP, app);
    seed(registry.state, 'team/web', others[0], 'latest');
    expectGreen(await clean(registry));
    seed(registry.state, 'team/web', others[1], 'latest');
    return registry;
  }

  /** The registry answers so when it is asked for the tags of `APP`. */
  function lie(registry: MemoryRegistry, body: string | undefined, isLie = () => true): void {
    const headers = { 'content-type': 'application/json' };
    registry.intercept(({ route }) =>
      route.kind !== 'tags' || route.repository !== APP || !isLie()
        ? undefined
        : body === undefined
          ? {
              kind: 'answer',
              status: 404,
              headers,
              body: '{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}',
            }
          : { kind: 'answer', status: 200, headers, body },
    );
  }

  const EMPTY = `{"name":"${APP}","tags":[]}`;
  const manifestsIn = ({ state }: MemoryRegistry, repository = APP) =>
    new Set(state.repositories.get(repository)?.manifests.keys());
  const digestsOf = (contents: readonly Content[]) => new Set(contents.map(({ digest }) => digest));

  it.each([
    ['empty', EMPTY],
    ['null', `{"name":"${APP}","tags":null}`],
    ['unknown', undefined],
    ['of tags that have no manifest', `{"name":"${APP}","tags":["v7","v8"]}`],
    ['of digest tags', `{"name":"${APP}","tags":["sha256-${'0'.repeat(64)}.sig"]}`],
  ])('is refused as long as it is %s, and then all is as before', async (_, body) => {
    const registry = await start();
    const [entry] = (await entriesOf(registry)).filter(({ repository }) => repository === APP);
    lie(registry, body);
    for (const deleted of ['1', '0']) {
      const done = await clean(registry);
      expectRed(done, [noTags(APP, 3)], { 'deleted-count': deleted, 'failed-count': '3' });
      expect(manifestsIn(registry)).toEqual(digestsOf(app.kept));
    }
    expect(manifestsIn(registry, 'team/web')).toEqual(digestsOf([others[1]]));
    registry.intercept();
    expectGreen(await clean(registry), { 'orphans-found': '0' });
    expect(await entriesOf(registry)).toContainEqual(entry);
    expect(manifestsIn(registry)).toEqual(digestsOf(app.kept));
  });

  it('counts for a limit of the run: then nothing is deleted anywhere', async () => {
    const registry = await start();
    lie(registry, EMPTY);
    const done = await clean(registry, { 'max-deletes': '3' });
    expectRed(done, [noTags(APP, 3), 'it found 4 orphans, and `max-deletes` allows 3'], {
      'deleted-count': '0',
      'failed-count': '4',
    });
    expect(manifestsIn(registry, 'team/web')).toEqual(digestsOf(others));
  });

  it.each<[string, Record<string, string>]>([
    ['everything is protected', { protect: '**' }],
    ['the newest are kept', { 'keep-untagged': '3' }],
  ])('is not remembered by a run in which %s either', async (_, inputs) => {
    const registry = await start();
    lie(registry, EMPTY);
    expectGreen(await clean(registry, inputs));
    expectRed(await clean(registry), [noTags(APP, 3)], { 'failed-count': '3' });
    expect(manifestsIn(registry)).toEqual(digestsOf(app.kept));
  });

  it('is not remembered by a run that carries out an older plan', async () => {
    const registry = await start();
    const moved = image('moved');
    seed(registry.state, APP, moved, 'v0');
    const planFile = file('better.json');
    expectGreen(
      await clean(registry, {
        'dry-run': 'true',
        'plan-file': planFile,
        repositories: APP,
      }),
      { 'orphans-found': '1' },
    );
    lie(registry, EMPTY);
    const applied = await clean(registry, { 'apply-plan': planFile });
    // A plan asks for no tags, and does not go beyond what it says.
    expectGreen(applied, { 'deleted-count': '1' });
    const left = digestsOf([moved, ...app.kept.slice(1)]);
    expect(manifestsIn(registry)).toEqual(left);

    const done = await clean(registry);
    expectRed(done, [noTags(APP, 2)], { 'deleted-count': '1' });
    expect(deletedIn(done)).toEqual(new Set(names('team/web', others[0])));
    expect(manifestsIn(registry)).toEqual(left);
  });

  describe('with a plan of it that is not carried out', () => {
    const planFile = file('held-up.json');
    const apply = { 'apply-plan': planFile };

    /** A registry without the tags of `APP`, and a plan that takes all of it. */
    async function planned(): Promise<MemoryRegistry> {
      const registry = await start();
      lie(registry, EMPTY);
      const inputs = { 'dry-run': 'true', 'plan-file': planFile, repositories: APP };
      expectWarned(await clean(registry, inputs), [noTags(APP, 3)], 'a run without the plan');
      return registry;
    }

    /** Nothing that a run without a plan does, and as often as you like. */
    async function expectHeld(registry: MemoryRegistry, left: readonly Content[]) {
      for (const inputs of [{}, { protect: '**' }, {}] as Record<string, string>[]) {
        const done = await clean(registry, { repositories: APP, ...inputs });
        if (inputs['protect'] === undefined) {
          const refused = noTags(APP, left.length).replace(/ manifests? that.*/, '');
          expectRed(done, [refused], { 'deleted-count': '0' });
        }
        expect(manifestsIn(registry)).toEqual(digestsOf(left));
      }
    }

    it('is not remembered where `max-deletes` holds it up, and the plan goes on', async () => {
      const registry = await planned();
      expectRed(await clean(registry, { ...apply, 'max-deletes': '1' }), ['it found 3 orphans'], {
        'deleted-count': '0',
      });
      await expectHeld(registry, app.kept);
      expectGreen(await clean(registry, apply), { 'deleted-count': '3' });
      expectGreen(await clean(registry, { repositories: APP }), { 'orphans-found': '0' });
    });

    /** Until the next lie: no tag in the list, and this answer to deletes of these. */
    function refuse(registry: MemoryRegistry, answer: Action, isRefused: (at: string) => boolean) {
      registry.intercept(({ method, route }) => {
        if (route.kind === 'tags' && route.repository === APP) {
          return { kind: 'answer', status: 200, body: EMPTY };
        }
        return method === 'DELETE' &&
          route.kind === 'manifest' &&
          route.repository === APP &&
          isRefused(route.reference)
          ? answer
          : undefined;
      });
    }

    it('is not remembered where the registry takes no deletes', async () => {
      const registry = await planned();
      const body = '{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}';
      refuse(registry, { kind: 'answer', status: 405, body }, () => true);
      expectRed(await clean(registry, apply), ['refuses deletes'], { 'deleted-count': '0' });
      lie(registry, EMPTY);
      await expectHeld(registry, app.kept);
    });

    it('is not remembered where it was carried out in part, and the plan goes on', async () => {
      const registry = await planned();
      const [first, ...left] = app.kept;
      const isLeft = (at: string) => left.some(({ digest }) => digest === at);
      refuse(registry, { kind: 'answer', status: 400, body: '' }, isLeft);
      const half = await clean(registry, apply);
      expect(half.exitCode).toBe(1);
      expect(deletedIn(half)).toEqual(new Set(names(APP, present(first))));
      lie(registry, EMPTY);
      await expectHeld(registry, left);
      expectGreen(await clean(registry, apply), { 'deleted-count': '2' });
      expectGreen(await clean(registry, { repositories: APP }), { 'orphans-found': '0' });
    });

    it('is forgotten when the tags are back', async () => {
      const registry = await planned();
      expectRed(await clean(registry, { ...apply, 'max-deletes': '1' }), ['it found 3 orphans'], {
        'deleted-count': '0',
      });
      registry.intercept();
      // It waits for the deletes of the plan that was held up, should there be any.
      expectGreen(await clean(registry, { repositories: APP }, hurried), { 'orphans-found': '0' });
      expect(manifestsIn(registry)).toEqual(digestsOf(app.kept));
    });
  });

  it('adds no deletes where it is empty only at the recheck', async () => {
    const registry = await start();
    const moved = image('moved');
    seed(registry.state, APP, moved, 'v0');
    let lists = 0;
    lie(registry, EMPTY, () => {
      lists += 1;
      return lists === 2;
    });
    const done = await clean(registry, { repositories: APP });
    expect(lists).toBeGreaterThanOrEqual(2);
    expect(deletedIn(done)).toEqual(new Set(names(APP, ...app.kept.slice(0, 1))));
    expect(manifestsIn(registry)).toEqual(digestsOf([moved, ...app.kept.slice(1)]));
    // The ledger has what the first look saw, and so nothing is lost.
    expectGreen(await clean(registry, { repositories: APP }), { 'orphans-found': '0' });
  });

  it('is refused without a ledger, too, for one manifest and for every `max-deletes`', async () => {
    const registry = await start();
    lie(registry, EMPTY);
    const digests = names(APP, ...app.kept).join('\n');
    const inputs = { digests, 'ledger-repository': 'off', 'max-deletes': '100%' };
    const before = manifestsIn(registry);
    const dryRun = await clean(registry, { ...inputs, 'dry-run': 'true' });
    expectWarned(dryRun, [`${APP}: nothing is deleted here: no tag is left, and the list of tags`]);
    const refused = [`${APP}: nothing is deleted here: no tag is left, and the list of tags`];
    expectRed(await clean(registry, inputs), refused, { 'deleted-count': '0' });
    expect(manifestsIn(registry)).toEqual(before);
  });
});
