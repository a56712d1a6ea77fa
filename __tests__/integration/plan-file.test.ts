/**
 * Look first, then do exactly that: a dry-run writes its plan, the registry is changed under it, and the plan is
 * carried out. The registry's own directory says what was deleted; report, log and summary must all say the same.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { digits } from '../../src/text/words.js';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { type ActionRun, clean } from '../support/clients/run-action.js';
import {
  cosign,
  digestTag,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
  withChildren,
  names,
} from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { push, putManifest, send, type Destination } from '../support/clients/push.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import { deletedIn, expectGreen, quoted } from '../support/clients/outcome.js';
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
const current = (repository: string) => image(`current ${repository}`);
const FRESH = new Date().toISOString();

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
          words: 'pushed or built within the grace period of 1 day',
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
  'plan-exact: a plan for a registry that has changed since',
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

    it('lists the manifests that a run would delete, and no others', () => {
      const listed = all.flatMap(([repository, { left, deleted, what }]) => {
        const entries = [...left.map(({ content }) => content), ...deleted];
        const edited = what.includes('edited') ? present(everyWay[repository]).stays : [];
        const isListed = ({ digest }: Content) => digest !== current(repository).digest;
        return names(repository, ...entries.filter(isListed), ...edited);
      });
      expect(listedIn(plan)).toEqual(new Set([...listed, ...names('way/excluded', excluded)]));
      expect(plan.registry).toBe(registry.url);
    });

    describe.each(all.map(([repository, way]) => ({ repository, ...way })))(
      '$repository: $what',
      ({ repository, left, deleted, stays }) => {
        it('each entry is deleted or kept, on disk', () => {
          const isKept = repository !== 'way/gone';
          expect(byRepository(registry.manifests()).get(repository) ?? new Set()).toEqual(
            new Set([...(isKept ? [current(repository)] : []), ...stays].map(of)),
          );
        });

        it('each entry is in the report', () => {
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

        it('each entry is in the log', () => {
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

        it('each kept entry is in the summary', () => {
          const rows = planSection(applied).split('\n');
          for (const { content, words } of left) {
            const name = quoted(`${repository}@${digits(content.digest)}`);
            expect(rows).toContainEqual(
              expect.stringMatching(new RegExp(`^\\| \`${name}\` \\| .*${quoted(words)}`)),
            );
          }
          const section = planSection(applied);
          expect(deleted.filter(({ digest }) => section.includes(digits(digest)))).toEqual([]);
        });

        it('each entry was shown by a dry-run before', () => {
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

    it('deletes the remaining entries and nothing else, and the job is green', () => {
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

    it('keeps another orphan with all its children', () => {
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

    it('is for its own repositories alone, as far as `repositories` has them', () => {
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

    it('is remembered in the ledger like any other run', async () => {
      const { users } = apart(registry.manifests());
      const known = [...users].filter((name) => /^way\/(?!excluded)/.test(name));
      expect(await remembered(registry)).toEqual(byRepository(known));
    });

    it('finds all absent when it is carried out once more', async () => {
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
