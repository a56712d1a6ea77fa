/**
 * Look first, then do exactly that: a dry-run writes its plan, the registry is changed under it, and the plan is
 * carried out. The registry's own directory says what was deleted; report, log and summary must all say the same.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import * as v from 'valibot';

import { digestOf } from '../../src/oci/digest.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import {
  cosign,
  digestTag,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import type { MemoryRegistryOptions } from '../support/servers/memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { push, putManifest, seed, send, type Destination } from '../support/clients/push.js';
import {
  distribution3,
  dockerRegistry,
  present,
  realRegistries,
} from '../support/servers/real-registries.js';

// Many processes, one after the other, on a machine that others use, too.
jest.setTimeout(60_000);

const home = mkdtempSync(path.join(tmpdir(), 'plan-file-'));
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

const file = (name: string) => path.join(home, name);
const FRESH = new Date().toISOString();
const HOUR = 60 * 60 * 1000;

const ajv = new Ajv2020({ strict: true, allErrors: true });
addFormatsModule.default(ajv);
const schema = (name: string) =>
  ajv.compile(
    JSON.parse(readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')) as object,
  );
const isPlan = schema('plan-file.schema.json');
const isReport = schema('report.schema.json');

const Plan = v.looseObject({
  registry: v.string(),
  repositories: v.array(
    v.looseObject({
      repository: v.string(),
      manifests: v.array(v.looseObject({ digest: v.string() })),
    }),
  ),
});
type Plan = v.InferOutput<typeof Plan>;

const Report = v.object({
  requests: v.number(),
  appliedPlan: v.optional(v.object({ createdAt: v.string(), ignored: v.number() })),
  repositories: v.array(
    v.object({
      repository: v.string(),
      orphans: v.array(v.object({ digest: v.string(), fate: v.string() })),
      left: v.optional(
        v.array(
          v.object({
            digest: v.string(),
            why: v.string(),
            reason: v.optional(v.looseObject({ kind: v.string() })),
          }),
        ),
      ),
      kept: v.array(v.object({ digest: v.string(), reason: v.looseObject({ kind: v.string() }) })),
      gaps: v.array(v.object({ what: v.string(), why: v.string() })),
    }),
  ),
});

const clean = ({ url }: Pick<Destination, 'url'>, inputs: Record<string, string> = {}) =>
  runAction({ 'registry-url': url, ...inputs });

/** Lets a dry-run write its plan, which is returned and lies in the file. */
async function planned(
  registry: Pick<Destination, 'url'>,
  name: string,
  inputs: Record<string, string>,
): Promise<Plan> {
  const run = await clean(registry, { ...inputs, 'dry-run': 'true', 'plan-file': file(name) });
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject({ 'plan-file': file(name), 'deleted-count': '0' });
  return read(name);
}

function read(name: string): Plan {
  const plan: unknown = JSON.parse(readFileSync(file(name), 'utf8'));
  expect([isPlan(plan), isPlan.errors]).toEqual([true, null]);
  return v.parse(Plan, plan);
}

/** `repository@digest` of all that a plan lists. */
const namesOf = ({ repositories }: Plan) =>
  new Set(
    repositories.flatMap(({ repository, manifests }) =>
      manifests.map(({ digest }) => `${repository}@${digest}`),
    ),
  );

function reportOf({ report }: ActionRun): v.InferOutput<typeof Report> {
  expect([isReport(report), isReport.errors]).toEqual([true, null]);
  return v.parse(Report, report);
}

/** What the report says of one repository. */
function reported(run: ActionRun, repository: string) {
  const found = reportOf(run).repositories.find((each) => each.repository === repository);
  return present(found);
}

/** Of the summary, what stands under the heading `### The plan`. */
function planSection({ summary }: ActionRun): string {
  return /^### The plan\n([^]*?)(?=^### |\s*$(?![^]))/m.exec(summary)?.[1] ?? '';
}

function expectGreen(run: ActionRun, outputs: Record<string, string>): void {
  expect(run.log).not.toContain('::error');
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject(outputs);
}

const deletedIn = ({ outputs }: ActionRun) =>
  new Set(JSON.parse(outputs['deleted-digests'] ?? '') as string[]);

const names = (repository: string, ...contents: readonly Content[]) =>
  contents.map(({ digest }) => `${repository}@${digest}`);

function withChildren(content: Content): Content[] {
  return [content, ...content.children.flatMap(withChildren)];
}

/** Deletes a manifest as somebody else would. */
async function remove(at: Destination, repository: string, { digest }: Content): Promise<void> {
  const path = `/v2/${repository}/manifests/${digest}`;
  expect((await send(at, { method: 'DELETE', path })).status).toBe(202);
}

/** `method path` of what a registry was asked since its log was so long. */
function requestsSince(registry: DockerRegistry, start: number): string[] {
  return [
    ...registry
      .log()
      .slice(start)
      .matchAll(/"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/g),
  ].map(([, method, url]) => `${method ?? ''} ${url ?? ''}`);
}

/** Left of a plan, and what report, log and summary say of it. */
interface Left {
  readonly content: Content;
  readonly why: 'kept' | 'absent' | 'unread';
  /** of the report */
  readonly reason?: object;
  /** of log and summary */
  readonly words: string;
}

/** One way in which a repository changes between the plan and the run that carries it out. */
interface Way {
  readonly what: string;
  /** pushed before the plan is made, without tags */
  readonly orphans: readonly Content[];
  /** done before the plan is made, after that */
  readonly prepare?: (to: DockerRegistry, repository: string) => Promise<unknown>;
  readonly change: (to: DockerRegistry, repository: string) => Promise<unknown>;
  /** by hand, in the file of the plan */
  readonly edit?: (plan: string) => string;
  readonly left: readonly Left[];
  readonly deleted: readonly Content[];
  /** on disk in the end, beside the image that always had a tag */
  readonly stays: readonly Content[];
}

const of = ({ digest }: Content) => digest;
const current = (repository: string) => image(`current ${repository}`);
const parentOf = (child: Content) => index([child, image('new part', { platform: LINUX_ARM64 })]);

function ways(): Record<string, Way> {
  const made = (name: string) => [image(`${name} 1`), image(`${name} 2`)] as [Content, Content];
  const tagged = made('tagged');
  const parted = made('parted');
  const described = made('described');
  const subject = made('subject');
  const pinned = made('pinned');
  const filed = made('filed');
  const parent = parentOf(parted[0]);
  const sbom = referrer('sbom', described[0]);
  const about = referrer('about', subject[0]);
  const freshPart = image('fresh part', { created: FRESH });
  const incomplete = index([freshPart, image('old part', { platform: LINUX_ARM64 })]);
  const young = made('young');
  const taken = made('taken');
  const gone = made('gone');
  const sharing = made('sharing');
  const unlisted = index([sharing[0], image('unlisted part', { platform: LINUX_ARM64 })]);
  const edited = made('edited');
  const nested = index([index([image('nested 1'), image('nested 2')]), image('nested 3')]);
  const signature = cosign('sig', nested);

  return {
    'way/tagged': {
      what: 'an entry was tagged',
      orphans: tagged,
      change: (to, repository) => putManifest(to, repository, tagged[0], 'rollback'),
      left: [
        {
          content: tagged[0],
          why: 'kept',
          reason: { kind: 'tagged', tags: ['rollback'] },
          words: '`rollback`',
        },
      ],
      deleted: [tagged[1]],
      stays: [tagged[0]],
    },
    'way/parted': {
      what: 'an index with an entry in it was pushed under a tag',
      orphans: parted,
      change: (to, repository) => push(to, repository, parent, 'v2'),
      left: [
        {
          content: parted[0],
          why: 'kept',
          reason: { kind: 'child', of: of(parent) },
          words: 'part of a kept index',
        },
      ],
      deleted: [parted[1]],
      stays: withChildren(parent),
    },
    'way/described': {
      what: 'the subject of an entry was tagged',
      orphans: [...described, sbom],
      change: (to, repository) => putManifest(to, repository, described[0], 'v2'),
      left: [
        {
          content: described[0],
          why: 'kept',
          reason: { kind: 'tagged', tags: ['v2'] },
          words: '`v2`',
        },
        {
          content: sbom,
          why: 'kept',
          reason: { kind: 'referrer', of: of(described[0]) },
          words: 'refers to a kept manifest',
        },
      ],
      deleted: [described[1]],
      stays: [described[0], sbom],
    },
    'way/subject': {
      what: 'something about an entry was pushed under a tag',
      orphans: subject,
      change: (to, repository) => push(to, repository, about, 'sbom'),
      left: [
        {
          content: subject[0],
          why: 'kept',
          reason: { kind: 'subject', of: of(about) },
          words: 'a kept manifest refers to it',
        },
      ],
      deleted: [subject[1]],
      stays: [subject[0], about],
    },
    'way/pinned': {
      what: 'an entry is protected by `protect`',
      orphans: pinned,
      change: async () => undefined,
      left: [
        {
          content: pinned[0],
          why: 'kept',
          reason: { kind: 'protected', input: true, files: [] },
          words: 'protected by `protect`',
        },
      ],
      deleted: [pinned[1]],
      stays: [pinned[0]],
    },
    'way/filed': {
      what: 'an entry is protected by a file',
      orphans: filed,
      change: async () => {
        writeFileSync(file('deploy.yaml'), `image: registry/way/filed@${of(filed[0])}\n`);
      },
      left: [
        {
          content: filed[0],
          why: 'kept',
          reason: {
            kind: 'protected',
            input: false,
            files: [expect.stringMatching(/deploy\.yaml$/)],
          },
          words: 'deploy.yaml',
        },
      ],
      deleted: [filed[1]],
      stays: [filed[0]],
    },
    'way/young': {
      what: 'a part of an entry, made just now, was pushed',
      orphans: [...young, incomplete],
      prepare: (to, repository) => remove(to, repository, freshPart),
      change: (to, repository) => push(to, repository, freshPart),
      left: [
        {
          content: incomplete,
          why: 'kept',
          reason: { kind: 'young', created: FRESH },
          words: 'built within the grace period of 1 day',
        },
        {
          content: present(incomplete.children[1]),
          why: 'kept',
          reason: { kind: 'child', of: of(incomplete) },
          words: 'part of a kept index',
        },
      ],
      deleted: young,
      stays: withChildren(incomplete),
    },
    'way/taken': {
      what: 'an entry was deleted by somebody else',
      orphans: taken,
      change: (to, repository) => remove(to, repository, taken[0]),
      left: [{ content: taken[0], why: 'absent', words: 'already gone' }],
      deleted: [taken[1]],
      stays: [],
    },
    'way/gone': {
      what: 'the repository is gone',
      orphans: gone,
      change: async ({ directory }, repository) => {
        const repositories = path.join(directory, 'docker/registry/v2/repositories');
        rmSync(path.join(repositories, repository), { recursive: true });
      },
      left: gone.map((content) => ({ content, why: 'absent', words: 'already gone' })),
      deleted: [],
      stays: [],
    },
    'way/sharing': {
      what: 'another orphan came, with an entry in it',
      orphans: sharing,
      change: (to, repository) => push(to, repository, unlisted),
      left: [
        {
          content: sharing[0],
          why: 'kept',
          reason: { kind: 'child', of: of(unlisted) },
          words: 'part of a kept index',
        },
      ],
      deleted: [sharing[1]],
      stays: withChildren(unlisted),
    },
    'way/edited': {
      what: 'the digest of an entry was edited to that of a manifest with a tag',
      orphans: edited,
      change: async () => undefined,
      edit: (plan) => plan.replace(of(edited[0]), of(current('way/edited'))),
      left: [
        {
          content: current('way/edited'),
          why: 'kept',
          reason: { kind: 'tagged', tags: ['latest', 'v1'] },
          words: '`latest`, `v1`',
        },
      ],
      deleted: [edited[1]],
      stays: [edited[0]],
    },
    'way/unchanged': {
      what: 'nothing changed',
      orphans: [nested],
      prepare: (to, repository) => push(to, repository, signature, digestTag(nested.digest, 'sig')),
      change: async () => undefined,
      left: [],
      deleted: [...withChildren(nested), signature],
      stays: [],
    },
  };
}

describeWith(
  'docker-registry',
  dockerRegistry,
  'a plan, and a registry that changes under it',
  () => {
    const everyWay = ways();
    const all = Object.entries(everyWay);
    const excluded = image('excluded');
    const unseen = image('unseen');
    let registry: DockerRegistry;
    let plan: Plan;
    let shown: ActionRun;
    let applied: ActionRun;
    let requests: readonly string[];
    let before: ReadonlySet<string>;
    let afterShown: { manifests: ReadonlySet<string>; requests: readonly string[] };

    /** With all that changed since the plan was made. */
    const apply = (inputs: Record<string, string> = {}) =>
      clean(registry, {
        'apply-plan': file('edited.json'),
        repositories: '!way/excluded',
        protect: present(everyWay['way/pinned']?.orphans[0]).digest,
        'protect-files': file('deploy.yaml'),
        // Orphans, too, that are not in the plan, and a repository that is not.
        digests: [
          ...withChildren(parentOf(image('x'))).map(({ digest }) => `other/app@${digest}`),
          ...names('other/app', unseen),
          ...names('way/sharing', ...present(everyWay['way/sharing']).stays),
          ...names('way/edited', ...present(everyWay['way/edited']).stays),
        ].join('\n'),
        ...inputs,
      });

    beforeAll(async () => {
      registry = await startDockerRegistry(present(dockerRegistry));
      for (const [repository, { orphans, prepare }] of all) {
        await push(registry, repository, current(repository), 'v1', 'latest');
        for (const orphan of orphans) {
          await push(registry, repository, orphan);
        }
        await prepare?.(registry, repository);
      }
      await push(registry, 'way/excluded', excluded);
      const listing = file('listing.txt');
      writeFileSync(listing, storageListing(registry.directory).join('\n'));
      plan = await planned(registry, 'plan.json', { 'digests-file': listing });

      let text = readFileSync(file('plan.json'), 'utf8');
      for (const [repository, { change, edit }] of all) {
        await change(registry, repository);
        text = edit?.(text) ?? text;
      }
      writeFileSync(file('edited.json'), text);
      await push(registry, 'other/app', unseen);
      before = registry.manifests();

      let start = registry.log().length;
      shown = await apply({ 'dry-run': 'true' });
      afterShown = { manifests: registry.manifests(), requests: requestsSince(registry, start) };
      start = registry.log().length;
      applied = await apply();
      requests = requestsSince(registry, start);
    }, 60_000);

    afterAll(async () => {
      await registry.stop();
    });

    it('lists what a run would delete, and nothing of what stays', () => {
      const listed = all.flatMap(([repository, { left, deleted, what }]) => {
        const entries = [...left.map(({ content }) => content), ...deleted];
        const edited = what.includes('edited') ? present(everyWay[repository]).stays : [];
        const isListed = ({ digest }: Content) => digest !== current(repository).digest;
        return names(repository, ...entries.filter(isListed), ...edited);
      });
      expect(namesOf(plan)).toEqual(new Set([...listed, ...names('way/excluded', excluded)]));
      expect(plan.registry).toBe(registry.url);
    });

    describe.each(all.map(([repository, way]) => ({ repository, ...way })))(
      '$repository: $what',
      ({ repository, left, deleted, stays }) => {
        it('is deleted or left, on disk', () => {
          const isKept = repository !== 'way/gone';
          expect(byRepository(registry.manifests()).get(repository) ?? new Set()).toEqual(
            new Set([...(isKept ? [current(repository)] : []), ...stays].map(of)),
          );
        });

        it('is reported', () => {
          const { left: said = [], orphans } = reported(applied, repository);
          const expected = left
            .map(({ content, why, reason }) => ({
              digest: content.digest,
              why,
              ...(reason === undefined ? {} : { reason }),
            }))
            .sort((a, b) => (a.digest < b.digest ? -1 : 1));
          expect(said).toEqual(expected);
          expect(new Map(orphans.map(({ digest, fate }) => [digest, fate]))).toEqual(
            new Map(deleted.map(({ digest }) => [digest, 'deleted'])),
          );
        });

        it('is logged', () => {
          const lines = applied.log.split('\n');
          for (const { content, words } of left) {
            expect(lines).toContainEqual(
              expect.stringMatching(new RegExp(`^left ${content.digest}: .*${quoted(words)}`)),
            );
          }
          for (const { digest } of deleted) {
            expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^deleted ${digest} `)));
          }
        });

        it('is in the summary', () => {
          const rows = planSection(applied).split('\n');
          for (const { content, words } of left) {
            const name = quoted(`${repository}@${content.digest}`);
            expect(rows).toContainEqual(
              expect.stringMatching(new RegExp(`^\\| \`${name}\` \\| .*${quoted(words)}`)),
            );
          }
          const section = planSection(applied);
          expect(deleted.filter(({ digest }) => section.includes(digest))).toEqual([]);
        });

        it('was shown by a dry-run before', () => {
          const of = (run: ActionRun) => reported(run, repository);
          expect(of(shown).left).toEqual(of(applied).left);
          expect(of(shown).orphans).toEqual(
            of(applied).orphans.map(({ digest }) => ({ digest, fate: 'planned' })),
          );
        });
      },
    );

    it('changes nothing in a dry-run, which only asks', () => {
      expect(afterShown.manifests).toEqual(before);
      expect(afterShown.requests.filter((line) => !/^(?:GET|HEAD) /.test(line))).toEqual([]);
      expect(afterShown.requests.length).toBeGreaterThan(all.length);
    });

    it('deletes what is left of the plan and nothing else, and the job is green', () => {
      const gone = all.flatMap(([repository, { deleted }]) => names(repository, ...deleted));
      expect(deletedIn(applied)).toEqual(new Set(gone));
      expect(apart(registry.manifests()).users).toEqual(
        new Set([...before].filter((name) => !gone.includes(name))),
      );
      expectGreen(applied, { 'deleted-count': String(gone.length), 'failed-count': '0' });
      expectGreen(shown, { 'orphans-found': String(gone.length), 'deleted-count': '0' });
      expect(planSection(applied).match(/^\| `/gm)).toHaveLength(
        all.reduce((sum, [, { left }]) => sum + left.length, 0),
      );
    });

    it('keeps another orphan with all that it holds', () => {
      const { stays } = present(everyWay['way/sharing']);
      const kept = reported(applied, 'way/sharing').kept.filter(({ reason }) =>
        ['not-in-plan', 'child'].includes(reason.kind),
      );
      expect(kept).toContainEqual({ digest: stays[0]?.digest, reason: { kind: 'not-in-plan' } });
      expect(new Set(kept.map(({ digest }) => digest))).toEqual(new Set(stays.map(of)));
      expect(reported(applied, 'way/edited').kept).toContainEqual({
        digest: present(everyWay['way/edited']).stays[0]?.digest,
        reason: { kind: 'not-in-plan' },
      });
    });

    it('looks at the repositories of the plan alone, as far as `repositories` has them', () => {
      const places = requests.map(
        (line) => /^\S+ \/v2\/(.*?)\/?(?:(?:manifests|tags|blobs|referrers)\/.*)?$/.exec(line)?.[1],
      );
      expect(new Set(places)).toEqual(
        new Set(['', 'manifest-cleanup-ledger', ...all.map(([repository]) => repository)]),
      );
      expect(reportOf(applied).appliedPlan).toMatchObject({ ignored: 1 });
      expect(planSection(applied)).toContain(
        '1 manifest of it is in repositories that `repositories` leaves out',
      );
      expect(registry.manifests()).toContain(`way/excluded@${excluded.digest}`);
    });

    it('is remembered in the ledger as any other look', async () => {
      const { users } = apart(registry.manifests());
      const known = [...users].filter((name) => /^way\/(?!excluded)/.test(name));
      expect(await remembered(registry)).toEqual(byRepository(known));
    });

    it('finds all gone when it is carried out once more', async () => {
      const left = registry.manifests();
      const run = await apply();
      expectGreen(run, { 'deleted-count': '0', 'orphans-found': '0' });
      expect(apart(registry.manifests()).users).toEqual(apart(left).users);
      for (const [repository, { deleted }] of all) {
        const absent = (reported(run, repository).left ?? []).filter(({ why }) => why === 'absent');
        expect(absent.map(({ digest }) => digest)).toEqual(expect.arrayContaining(deleted.map(of)));
      }
    });
  },
);

const quoted = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const layerOf = ({ blobs }: Content) => present([...blobs.keys()].at(-1));

describeWith('docker-registry', dockerRegistry, 'a plan, and what can not be read', () => {
  const repositories = ['broken/tag', 'broken/entry', 'whole/app'];
  const made = repositories.map((name) => [image(`${name} 1`), image(`${name} 2`)]);
  const [inGap, edited, whole] = made as [Content[], Content[], Content[]];
  const layer = layerOf(current('broken/entry'));
  let registry: DockerRegistry;
  let applied: ActionRun;

  beforeAll(async () => {
    registry = await startDockerRegistry(present(dockerRegistry));
    for (const [n, repository] of repositories.entries()) {
      await push(registry, repository, current(repository), 'v1');
      for (const orphan of present(made[n])) {
        await push(registry, repository, orphan);
      }
    }
    writeFileSync(file('listing.txt'), storageListing(registry.directory).join('\n'));
    const inputs = { 'digests-file': file('listing.txt'), 'ledger-repository': 'off' };
    await planned(registry, 'plan.json', inputs);
    const text = readFileSync(file('plan.json'), 'utf8');
    writeFileSync(file('edited.json'), text.replace(present(edited[0]).digest, layer));
    // The bytes of a manifest that has a tag are no longer what its digest says.
    const hex = current('broken/tag').digest.slice('sha256:'.length);
    const blob = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    writeFileSync(path.join(registry.directory, blob), '{"schemaVersion":2}');
    applied = await clean(registry, {
      'apply-plan': file('edited.json'),
      'ledger-repository': 'off',
    });
  });

  afterAll(async () => {
    await registry.stop();
  });

  it('deletes nothing beside a tag that can not be read', () => {
    const { left, gaps, orphans } = reported(applied, 'broken/tag');
    expect(gaps).toEqual([{ what: 'tag v1', why: expect.any(String) }]);
    expect(orphans).toEqual([]);
    expect(left).toEqual(
      inGap
        .map(({ digest }) => ({ digest, why: 'kept', reason: { kind: 'gap' } }))
        .sort((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
    expect([...registry.manifests()]).toEqual(
      expect.arrayContaining(names('broken/tag', ...inGap)),
    );
  });

  it('deletes no layer for an entry that was edited to its digest, and what the plan has beside it', async () => {
    const { left = [], gaps } = reported(applied, 'broken/entry');
    expect(gaps).toEqual([]);
    expect(new Map(left.map(({ digest, why }) => [digest, why]))).toEqual(
      new Map([[layer, 'absent']]),
    );
    const now = [...registry.manifests()];
    expect(now).toEqual(expect.arrayContaining(names('broken/entry', ...edited.slice(0, 1))));
    expect(now).not.toContain(`broken/entry@${edited[1]?.digest ?? ''}`);
    const path = `/v2/broken/entry/blobs/${layer}`;
    expect((await send(registry, { method: 'HEAD', path })).status).toBe(200);
    expect(registry.log()).not.toContain(`DELETE /v2/broken/entry/manifests/${layer}`);
  });

  it('says so, and makes the job red, while other repositories are cleaned', () => {
    expect(applied.exitCode).toBe(1);
    expect(deletedIn(applied)).toEqual(
      new Set([...names('whole/app', ...whole), ...names('broken/entry', ...edited.slice(1))]),
    );
    expect(applied.log).toMatch(/^::error::broken\/tag: tag v1 couldn't be read/m);
    expect(planSection(applied)).toContain("something in its repository couldn't be read");
  });
});

describeWith('distribution-3', distribution3, 'an entry that was edited to a layer', () => {
  it('is left as gone, and the rest of the plan is carried out', async () => {
    const kind = present(realRegistries.find(({ name }) => name === 'distribution-3'));
    const registry = await kind.start();
    try {
      const [one, two] = [image('one'), image('two')];
      await push(registry, 'team/app', current('team/app'), 'v1');
      await push(registry, 'team/app', one);
      await push(registry, 'team/app', two);
      const digests = names('team/app', one, two).join('\n');
      await planned(registry, 'plan.json', { digests });
      const layer = layerOf(current('team/app'));
      const text = readFileSync(file('plan.json'), 'utf8').replace(one.digest, layer);
      writeFileSync(file('edited.json'), text);
      const run = await clean(registry, { 'apply-plan': file('edited.json') });
      expectGreen(run, { 'deleted-count': '1' });
      expect(reported(run, 'team/app').left).toEqual([{ digest: layer, why: 'absent' }]);
      expect(apart(registry.manifests()).users).toEqual(
        new Set(names('team/app', current('team/app'), one)),
      );
      const path = `/v2/team/app/blobs/${layer}`;
      expect((await send(registry, { method: 'HEAD', path })).status).toBe(200);
    } finally {
      await registry.stop();
    }
  });
});

describe('a run that carries out a plan (in memory)', () => {
  const APP = 'team/app';
  const running: MemoryRegistry[] = [];

  async function start(options?: MemoryRegistryOptions): Promise<MemoryRegistry> {
    const registry = await startMemoryRegistry(options);
    running.push(registry);
    seed(registry.state, APP, image('current'), 'v1');
    return registry;
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((registry) => registry.stop()));
  });

  const manifestsIn = ({ state }: MemoryRegistry, repository = APP) =>
    new Set(state.repositories.get(repository)?.manifests.keys());
  const days = (n: number) => new Date(Date.now() - n * 24 * HOUR).toISOString();

  it('leaves what a longer grace period has as too young', async () => {
    const registry = await start();
    const [young, old] = [image('young', { created: days(3) }), image('old')];
    [young, old].forEach((orphan) => {
      seed(registry.state, APP, orphan);
    });
    const digests = names(APP, young, old).join('\n');
    const plan = await planned(registry, 'plan.json', { digests });
    expect(namesOf(plan)).toEqual(new Set(names(APP, young, old)));
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
      'built within the grace period of 7 days (built 3 days ago)',
    );
    expect(manifestsIn(registry)).toEqual(new Set([image('current'), young].map(of)));
  });

  it('leaves what `keep-untagged` keeps by now, the newest of all orphans', async () => {
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

  it('leaves what only the referrers API shows to be in use', async () => {
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

  it('leaves what `dangling-referrers: keep` keeps by now', async () => {
    const registry = await start();
    const signature = referrer('about nothing', image('elsewhere'));
    seed(registry.state, APP, signature);
    const digests = names(APP, signature).join('\n');
    const plan = await planned(registry, 'plan.json', { digests, 'dangling-referrers': 'delete' });
    expect(namesOf(plan)).toEqual(new Set(names(APP, signature)));
    const apply = { 'apply-plan': file('plan.json'), 'ledger-repository': 'off' };
    const run = await clean(registry, apply);
    expectGreen(run, { 'deleted-count': '0' });
    expect(reported(run, APP).left).toMatchObject([{ reason: { kind: 'dangling-referrer' } }]);
    const again = await clean(registry, { ...apply, 'dangling-referrers': 'delete' });
    expectGreen(again, { 'deleted-count': '1' });
  });

  it('may be edited to less, and then does less', async () => {
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

  it('may be empty, and then nothing is asked but whether there is a registry', async () => {
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

  it('says how many entries are of the repository of the ledger, which is not looked at', async () => {
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

  describe('and refuses it before any request where', () => {
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

  it('names a time that is no time before anything is deleted', async () => {
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
