/**
 * Runs made up for the report's tests: a clean one, a dry-run that could see little, one with trouble, the first
 * of all, one in which every brake held, for real, as a dry-run, and as one that wrote its plan, and one that
 * carried out a plan; and one that the registry's quota ended, on a registry that frees space by itself.
 */
import type { DeleteReason, KeepReason } from '../../../src/plan/reasons.js';
import { ADVICE } from '../../../src/registry/families/distribution.js';
import type { RepositoryRefusal } from '../../../src/plan/brakes.js';
import type { Inventory } from '../../../src/plan/inventory.js';
import { fatesWithoutSweep, type Fate, type Outcome } from '../../../src/plan/fate.js';
import type { Kept, Orphan, Plan } from '../../../src/plan/plan.js';
import type { LedgerNews } from '../../../src/memory/memory.js';
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import type {
  Descriptor,
  ImageManifest,
  IndexManifest,
  Manifest,
  ManifestDescriptor,
  Platform,
} from '../../../src/oci/manifest.js';
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { PROTECT } from '../../../src/plan/protection.js';
import type { Advice } from '../../../src/registry/registry.js';
import type { RepositoryRun, Run } from '../../../src/run/run.js';
import type { RunSettings } from '../../../src/run/settings.js';
import { fatesFrom, type Ends } from './fates.js';

export const NOW = Date.UTC(2026, 10, 23, 3, 0, 0);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** The digest of a name: what the tests call `d('app:v1')`. */
export function d(name: string): Digest {
  return digestOf(Buffer.from(name));
}

export function blob(name: string, size: number, mediaType = LAYER): Descriptor {
  return { mediaType, digest: d(`blob ${name}`), size };
}

export function image(
  name: string,
  layers: readonly Descriptor[] = [],
  more: Partial<ImageManifest> = {},
): ImageManifest {
  return {
    kind: 'image',
    digest: d(name),
    mediaType: OCI_MANIFEST,
    size: 500,
    config: blob(`config of ${name}`, 1_500, OCI_CONFIG),
    layers,
    ...more,
  };
}

export function child(name: string, more: Partial<ManifestDescriptor> = {}): ManifestDescriptor {
  return { mediaType: OCI_MANIFEST, digest: d(name), size: 500, ...more };
}

export function index(
  name: string,
  children: readonly ManifestDescriptor[],
  more: Partial<IndexManifest> = {},
): IndexManifest {
  return {
    kind: 'index',
    digest: d(name),
    mediaType: OCI_INDEX,
    size: 900,
    children,
    others: [],
    ...more,
  };
}

export function platform(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export function inventory(repository: string, more: Partial<Inventory> = {}): Inventory {
  return {
    repository,
    tags: new Map(),
    manifests: new Map(),
    absent: new Set(),
    ghosts: new Map(),
    brokenTags: [],
    referrers: new Map(),
    facts: new Map(),
    past: new Map(),
    formerTags: new Map(),
    gaps: [],
    ...more,
  };
}

export function byDigest(...manifests: readonly Manifest[]): Map<Digest, Manifest> {
  return new Map(manifests.map((manifest) => [manifest.digest, manifest]));
}

export function orphan(
  name: string,
  reason: DeleteReason = { kind: 'unreachable' },
  created?: number,
): Orphan {
  return {
    digest: d(name),
    reason,
    after: [],
    ...(created === undefined ? {} : { age: { kind: 'built', at: created } }),
  };
}

export function kept(name: string, reason: KeepReason): Kept {
  return { digest: d(name), reason };
}

export function plan(repository: string, more: Partial<Plan> = {}): Plan {
  return { repository, keep: [], orphans: [], ...more };
}

/** What a sweep did, as lists; nothing, unless told. */
export function outcome({
  broken = [],
  unverified = false,
  ...ends
}: Partial<Ends & Omit<Outcome, 'fates'>> = {}): Outcome {
  return { fates: fatesFrom(ends), broken, unverified };
}

/** A repository that no sweep came to, as in a dry-run, or where something refuses all deletes. */
export function unswept(
  repository: Omit<RepositoryRun, keyof Outcome>,
  dryRun = false,
): RepositoryRun {
  const isRefused = repository.refusal !== undefined;
  return {
    ...repository,
    ...outcome(),
    fates: fatesWithoutSweep(repository.plan, { dryRun, isRefused }),
  };
}

/** The same run, had it been a dry-run. */
export function dry(made: Run): Run {
  return {
    ...made,
    settings: { ...made.settings, dryRun: true },
    repositories: made.repositories.map((each) => unswept(each, true)),
  };
}

/** What a made-up run is told apart from others by: its settings beside the rest. */
export type RunParts = Partial<Run & RunSettings>;

export function run(
  repositories: readonly RepositoryRun[],
  {
    registry = new URL('https://registry.example.com'),
    dryRun = false,
    gracePeriod = DAY,
    unusedFor = DAY,
    danglingReferrers = 'keep',
    keepUntagged = 0,
    maxDeletes,
    planFile,
    ...more
  }: RunParts = {},
): Run {
  const made: Run = {
    settings: {
      registry,
      dryRun,
      gracePeriod,
      unusedFor,
      danglingReferrers,
      keepUntagged,
      maxDeletes,
      planFile,
    },
    pinned: { files: 0, digests: 0, unmet: 0 },
    startedAt: NOW - 12_000,
    finishedAt: NOW,
    requests: 421,
    repositories,
    unread: 0,
    everyRepositoryScanned: true,
    unnameableRepositories: 0,
    intake: { candidates: new Map(), understood: 0, notUnderstood: 0, examples: [] },
    ignoredCandidates: 0,
    untaggedListing: 'none',
    family: 'Distribution',
    advice: ADVICE,
    warnings: [],
    failures: [],
    ...more,
  };
  return dryRun ? dry(made) : made;
}

/** That of a second run in which nothing changed, unless told. */
export function ledger(more: Partial<LedgerNews> = {}): LedgerNews {
  return {
    repository: 'manifest-cleanup-ledger',
    existed: true,
    isReadable: true,
    written: 0,
    remembered: 9,
    warnings: [],
    failures: [],
    ...more,
  };
}

/** An image whose tag moved on, in a repository of its own; `bytes` are in its one layer. */
export function moved(name: string, bytes: number, created: number): RepositoryRun {
  const shared = blob('base', 30_000_000);
  return {
    inventory: inventory(name, {
      tags: new Map([['latest', d(`${name} new`)]]),
      manifests: byDigest(
        image(`${name} new`, [shared, blob(`${name} new`, bytes)]),
        image(`${name} old`, [shared, blob(`${name} old`, bytes)]),
      ),
      facts: new Map([[d(`${name} old`), { created, platform: platform('linux/amd64') }]]),
    }),
    plan: plan(name, {
      keep: [kept(`${name} new`, { kind: 'tagged', tags: ['latest'] })],
      orphans: [orphan(`${name} old`, { kind: 'unreachable' }, created)],
    }),
    ...outcome({ deleted: [d(`${name} old`)] }),
    warnings: [],
  };
}

/** A multi-platform image of yesterday with attestation and signature, replaced by today's. */
function multiPlatform(): RepositoryRun {
  const name = 'team/web';
  const attestation = {
    platform: platform('unknown/unknown'),
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': d('old amd64'),
    },
  };
  const signatureTag = `sha256-${d('old index').slice(7)}.sig`;
  const created = NOW - 100 * DAY;
  return {
    inventory: inventory(name, {
      tags: new Map([
        ['v2', d('new index')],
        ['latest', d('new index')],
        [signatureTag, d('old signature')],
      ]),
      manifests: byDigest(
        index('new index', [child('new amd64', { platform: platform('linux/amd64') })]),
        image('new amd64', [blob('base', 30_000_000), blob('web new', 200_000_000)]),
        index('old index', [
          child('old amd64', { platform: platform('linux/amd64') }),
          child('old arm64', { platform: platform('linux/arm64/v8') }),
          child('old attestation', attestation),
        ]),
        image('old amd64', [blob('base', 30_000_000), blob('web amd64', 600_000_000)]),
        image('old arm64', [blob('base arm', 28_000_000), blob('web arm64', 590_000_000)]),
        image('old attestation', [blob('provenance', 30_000, 'application/vnd.in-toto+json')]),
        image('old signature', [
          blob('payload', 240, 'application/vnd.dev.cosign.simplesigning.v1+json'),
        ]),
        image('young', [blob('young', 1_000)]),
      ),
    }),
    plan: plan(name, {
      keep: [
        kept('new index', { kind: 'tagged', tags: ['latest', 'v2'] }),
        kept('new amd64', { kind: 'child', of: d('new index') }),
        kept('young', { kind: 'young', created: NOW - 3 * HOUR }),
      ],
      orphans: [
        orphan('old index', { kind: 'unreachable' }, created),
        orphan('old amd64', { kind: 'child', of: d('old index') }, created),
        orphan('old arm64', { kind: 'child', of: d('old index') }, created),
        orphan('old attestation', { kind: 'child', of: d('old index') }),
        orphan('old signature', { kind: 'digest-tag', tag: signatureTag, of: d('old index') }),
      ],
    }),
    ...outcome({
      deleted: ['old index', 'old amd64', 'old arm64', 'old attestation', 'old signature'].map(d),
    }),
    warnings: [],
  };
}

function nothingToDo(name: string): RepositoryRun {
  return {
    inventory: inventory(name, {
      tags: new Map([['1.0', d(`${name} 1.0`)]]),
      manifests: byDigest(image(`${name} 1.0`, [blob('base', 30_000_000)])),
    }),
    plan: plan(name, { keep: [kept(`${name} 1.0`, { kind: 'tagged', tags: ['1.0'] })] }),
    ...outcome(),
    warnings: [],
  };
}

export function cleanRun(): Run {
  const candidates = new Map([
    ['team/web', new Set(['old index', 'young', 'long gone'].map(d))],
    ['team/api', new Set([d('team/api old')])],
  ]);
  const web = multiPlatform();
  return run(
    [
      {
        ...web,
        inventory: { ...web.inventory, absent: new Set([d('long gone')]) },
      },
      nothingToDo('tools/lint'),
      moved('team/api', 150_000_000, NOW - 12 * DAY),
    ],
    {
      intake: { candidates, understood: 4, notUnderstood: 0, examples: [] },
      ledger: ledger({ written: 2 }),
      run: {
        url: 'https://github.com/team/ops/actions/runs/1',
        repository: 'team/ops',
        workflow: 'Nightly clean-up',
        event: 'schedule',
      },
    },
  );
}

export function blindDryRun(): Run {
  return run([nothingToDo('team/api'), nothingToDo('team/web')], {
    registry: new URL('http://localhost:5000'),
    dryRun: true,
    startedAt: NOW - 640,
    requests: 6,
    ledger: ledger({ existed: false, remembered: 0 }),
  });
}

/** The first run of all, without any input that names manifests. */
export function firstRun(): Run {
  return run([nothingToDo('team/api'), nothingToDo('team/web')], {
    ledger: ledger({ existed: false, remembered: 0, written: 2 }),
  });
}

export function troubledRun(): Run {
  const broken = moved('team/broken', 80_000_000, NOW - 900 * DAY);
  const api = moved('team/api', 150_000_000, NOW - 40 * DAY);
  const web = multiPlatform();
  return run(
    [
      {
        ...api,
        ...outcome({
          failed: [
            {
              digest: d('team/api old'),
              why: 'DELETE https://registry.example.com/v2/team/api/manifests/… answered 401: the user lacks the scope repository:team/api:delete.',
            },
          ],
        }),
      },
      {
        ...broken,
        inventory: {
          ...broken.inventory,
          manifests: new Map([
            ...broken.inventory.manifests,
            ...byDigest(image('pushed by digest'), image('an entry')),
          ]),
        },
        plan: {
          ...broken.plan,
          keep: [
            ...broken.plan.keep,
            kept('pushed by digest', { kind: 'new', firstSeen: NOW - 3 * HOUR }),
            kept('an entry', { kind: 'ledger' }),
          ],
        },
        ...outcome({
          deleted: [d('team/broken old')],
          broken: [
            {
              what: 'tag latest',
              why: 'the registry answers 404 MANIFEST_UNKNOWN. Push the image again.',
            },
          ],
        }),
        warnings: ['the catalog lists it twice'],
      },
      {
        ...web,
        inventory: {
          ...web.inventory,
          brokenTags: ['v0'],
          gaps: [
            { what: 'tag v1', why: 'the registry answered 500 five times. Look at its log.' },
            { what: 'the list of tags', why: 'its second page was cut off.' },
          ],
        },
        plan: plan('team/web', {
          keep: [...web.plan.keep, ...web.plan.orphans.map(({ digest }) => gap(digest))],
        }),
        ...outcome(),
      },
    ],
    {
      everyRepositoryScanned: false,
      ignoredCandidates: 7,
      intake: {
        candidates: new Map([['team/api', new Set([d('team/api old')])]]),
        understood: 1_203,
        notUnderstood: 2,
        examples: [
          { where: 'digests.txt line 7', text: 'sha256:1234' },
          { where: 'digests.txt line 9', text: '<script>alert(1)</script> | @octocat' },
        ],
      },
      ledger: ledger({
        warnings: [
          "manifest-cleanup-ledger: this run can't write to the ledger, and what it saw is not remembered: the " +
            'registry refused to start an upload to manifest-cleanup-ledger: 403 (DENIED).',
        ],
      }),
      failures: [
        'The catalog could not be read: 403 from https://registry.example.com/v2/_catalog.',
      ],
    },
  );
}

function gap(digest: Digest): Kept {
  return { digest, reason: { kind: 'gap' } };
}

/** A repository of so many manifests without a tag, in which nothing is deleted for this reason. */
export function refusing(name: string, orphans: number, refusal: RepositoryRefusal): RepositoryRun {
  const names = Array.from({ length: orphans }, (_, at) => `${name} ${String(at + 1)}`);
  const created = NOW - 30 * DAY;
  return unswept({
    inventory: inventory(name, {
      manifests: byDigest(...names.map((each) => image(each, [blob(each, 20_000_000)]))),
    }),
    plan: plan(name, {
      orphans: names.map((each) => orphan(each, { kind: 'unreachable' }, created)),
    }),
    refusal,
    warnings: [],
  });
}

/** What files of the workspace and inputs keep, beside what a tag does. */
function pinned(name: string): RepositoryRun {
  const names = ['in production', 'by hand', 'everywhere', 'rolled back', 'gone'];
  return {
    inventory: inventory(name, {
      tags: new Map([['latest', d('newest')]]),
      manifests: byDigest(...['newest', ...names].map((each) => image(each, [blob(each, 9_000)]))),
    }),
    plan: plan(name, {
      keep: [
        kept('newest', { kind: 'tagged', tags: ['latest'] }),
        kept('in production', { kind: 'protected', by: ['deploy/production/web.yaml'] }),
        kept('by hand', { kind: 'protected', by: [PROTECT] }),
        kept('everywhere', {
          kind: 'protected',
          by: [PROTECT, ...['a', 'b', 'c'].map((each) => `deploy/${each}/compose.yaml`)],
        }),
        kept('rolled back', { kind: 'recent' }),
      ],
      orphans: [orphan('gone')],
    }),
    ...outcome({ deleted: [d('gone')], unverified: true }),
    warnings: [],
  };
}

/** A real run in which every brake held, a push came in between, and the job was cancelled at the end. */
export function guardedRun(): Run {
  const web = multiPlatform();
  return run(
    [
      {
        ...web,
        ...outcome({
          deleted: ['old index', 'old arm64', 'old attestation', 'old signature'].map(d),
          restored: [d('old amd64')],
        }),
      },
      refusing('team/emptied', 2, { kind: 'no-tags', remembered: 12 }),
      refusing('team/halved', 3, { kind: 'share', orphans: 3, manifests: 3, percent: 33.5 }),
      pinned('team/app'),
    ],
    {
      keepUntagged: 1,
      maxDeletes: { kind: 'share', percent: 33.5, exempt: 0 },
      pinned: { files: 4, digests: 31, unmet: 28 },
      backup: '/home/runner/work/_temp/manifest-backup',
      ledger: ledger({ written: 2 }),
      failures: [
        'the run was told to stop (SIGTERM) before it was done. Run it again to finish its work',
      ],
    },
  );
}

/** The same as a dry-run, which adds what the token server said. */
export function guardedDryRun(): Run {
  const { backup: _, failures: __, ...real } = guardedRun();
  const why =
    "these credentials can't delete in team/locked: asked for `repository:team/locked:pull,delete`, the token server " +
    'grants only `pull` there. Give `username` and `password` of an account that may delete';
  return dry({
    ...real,
    failures: [],
    ledger: ledger(),
    repositories: [...real.repositories, refusing('team/locked', 1, { kind: 'no-rights', why })],
  });
}

/** The same dry-run, which wrote its plan for somebody to approve. */
export function planningDryRun(): Run {
  const made = guardedDryRun();
  return { ...made, settings: { ...made.settings, planFile: 'plan.json' } };
}

/** A run that carried out a plan of the day before, after which much had changed. */
export function appliedRun(): Run {
  const web = multiPlatform();
  const left = ['moved back', 'pulled in', 'rebuilt', 'shipped', 'lost', 'hidden'];
  const orphans = web.plan.orphans.slice(0, 4);
  return run(
    [
      {
        ...web,
        inventory: {
          ...web.inventory,
          manifests: new Map([
            ...web.inventory.manifests,
            ...byDigest(...left.slice(0, 4).map((name) => image(name))),
          ]),
          absent: new Set([d('lost')]),
        },
        plan: plan('team/web', {
          keep: [
            ...web.plan.keep,
            kept('moved back', { kind: 'tagged', tags: ['stable', 'v1', 'v1.2', 'v1.2.3'] }),
            kept('pulled in', { kind: 'child', of: d('new index') }),
            kept('rebuilt', { kind: 'young', created: NOW - HOUR }),
            kept('shipped', { kind: 'protected', by: ['deploy/web.yaml'] }),
            kept('old signature', { kind: 'not-in-plan' }),
          ],
          orphans,
        }),
        ...outcome({ deleted: orphans.map(({ digest }) => digest) }),
        approved: new Set([...orphans.map(({ digest }) => digest), ...left.map(d)]),
      },
    ],
    {
      applied: { createdAt: NOW - 12_000 - DAY, ignored: 3 },
      backup: '/home/runner/work/_temp/manifest-backup',
      everyRepositoryScanned: false,
      ledger: ledger({ written: 1 }),
    },
  );
}

/** The advice of a registry that frees space by itself. */
const SELF_FREEING: Advice = {
  allowDeletes: 'nothing to allow',
  freeDisk: 'GHCR does so by itself.',
  keepBlobs: 'Push what broke again, or run with `restore-from` the backup, soon.',
  restore: 'as long as GitHub has their layers',
};

export const UNDELETABLE =
  'GHCR refuses to delete version 101 of acme/web: it is the last tagged version of the package. Delete the package ' +
  'in its settings [undeletable]';

/**
 * A run that the registry's quota ended, half an hour before the next window. The registry refused one index for good,
 * whose parts stay with it.
 */
export function quotaRun(): Run {
  const web = multiPlatform();
  const parts = ['old amd64', 'old arm64', 'old attestation'].map(d);
  const api = moved('acme/api', 150_000_000, NOW - 40 * DAY);
  const later = ['later 1', 'later 2'];
  const postponed = { kind: 'postponed', until: NOW + HOUR / 2 } as const;
  return run(
    [
      {
        ...web,
        inventory: { ...web.inventory, repository: 'acme/web' },
        plan: { ...web.plan, repository: 'acme/web' },
        ...outcome(),
        fates: new Map<Digest, Fate>([
          [d('old index'), { kind: 'undeletable', why: UNDELETABLE }],
          ...parts.map((digest): [Digest, Fate] => [
            digest,
            { kind: 'kept', reason: { kind: 'child', of: d('old index') } },
          ]),
          [d('old signature'), { kind: 'deleted' }],
        ]),
      },
      {
        ...api,
        inventory: {
          ...api.inventory,
          manifests: new Map([
            ...api.inventory.manifests,
            ...byDigest(...later.map((name) => image(name))),
          ]),
        },
        plan: {
          ...api.plan,
          orphans: [...api.plan.orphans, ...later.map((name) => orphan(name))],
        },
        fates: new Map<Digest, Fate>([
          ...api.fates,
          ...later.map((name): [Digest, Fate] => [d(name), postponed]),
        ]),
      },
    ],
    {
      registry: new URL('https://ghcr.io'),
      family: 'GHCR',
      untaggedListing: 'complete',
      advice: SELF_FREEING,
      backup: '/home/runner/work/_temp/manifest-backup',
      restorableUntil: NOW + 30 * DAY,
    },
  );
}

const ENDS = ['deleted', 'gone', 'spared', 'failed', 'skipped', 'skipped too', 'forgotten'];
/** A repository with an orphan of every fate of a real run, and one that has none. */
export const everyEnd: RepositoryRun = {
  inventory: inventory('a', {
    tags: new Map([['v1', d('kept')]]),
    manifests: byDigest(image('kept'), ...ENDS.map((name) => image(name))),
  }),
  plan: plan('a', {
    keep: [kept('kept', { kind: 'tagged', tags: ['v1'] })],
    orphans: ENDS.map((name) => orphan(name)),
  }),
  ...outcome({
    deleted: [d('deleted')],
    gone: [d('gone')],
    kept: [{ digest: d('spared'), reason: { kind: 'tagged', tags: ['v2'] } }],
    failed: [{ digest: d('failed'), why: 'answered 500.' }],
    skipped: ['skipped', 'skipped too'].map((name) => ({ digest: d(name), why: 'called off' })),
    broken: [{ what: 'tag v1', why: 'answered 404.' }],
  }),
  warnings: [],
};
