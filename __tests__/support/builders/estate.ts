/**
 * The estate that the action is judged by: what teams leave in a registry, and for each manifest whether
 * it must stay or go with default settings when every manifest is a candidate (a storage listing as
 * `digests-file`). The expectations are written down by hand from the design's "How it decides"; nothing
 * here computes reachability.
 */
import type { Digest } from '../../../src/oci/digest.js';
import * as build from './build.js';
import type { Content } from './build.js';
import type { RegistryState } from '../servers/memory/state.js';
import { push, seed, type Destination } from '../clients/push.js';

export interface Expectation {
  readonly repository: string;
  readonly digest: Digest;
  readonly expect: 'stay' | 'go';
  readonly why: string;
}

export interface Estate {
  /** in this order: a later push moves the tag of an earlier one */
  readonly pushes: readonly {
    readonly repository: string;
    readonly content: Content;
    readonly tags: readonly string[];
  }[];
  /** one for each manifest */
  readonly expectations: readonly Expectation[];
}

const HOUR = 60 * 60 * 1000;

/** @param now the time of the run (epoch milliseconds): one orphan is an hour old */
export function estate(now: number): Estate {
  const book = new Book();
  movedTags(book.repository('team/app'), now);
  dockerTypes(book.repository('team/legacy'));
  indexes(book.repository('team/multi'));
  signatures(book.repository('team/signed'));
  referrers(book.repository('team/described'));
  ordinaryDigestTags(book.repository('team/pinned'));
  danglingSignatures(book.repository('team/signatures'), book.repository('team/signed-elsewhere'));
  caches(book.repository('team/app/cache'));
  charts(book.repository('charts/app'));
  digestsOnly(book.repository('team/untagged'));
  deepNames(book);
  return book.close();
}

/** `repository@digest` of what must be on disk after a run. */
export function staying({ expectations }: Estate): Set<string> {
  return new Set(expectations.filter(({ expect }) => expect === 'stay').map(key));
}

/** `repository@digest` of what a run must delete. */
export function going({ expectations }: Estate): Set<string> {
  return new Set(expectations.filter(({ expect }) => expect === 'go').map(key));
}

/** Repositories side by side; within one the order of the pushes holds. */
export async function pushEstate(to: Destination, { pushes }: Estate): Promise<void> {
  const repositories = new Set(pushes.map(({ repository }) => repository));
  await Promise.all(
    [...repositories].map(async (name) => {
      for (const { content, tags } of pushes.filter(({ repository }) => repository === name)) {
        await push(to, name, content, ...tags);
      }
    }),
  );
}

export function seedEstate(state: RegistryState, { pushes }: Estate): void {
  for (const { repository, content, tags } of pushes) {
    seed(state, repository, content, ...tags);
  }
}

function movedTags(repository: Page, now: number): void {
  repository.go(build.image('app 1.0'), 'latest moved on, and it has no other tag', 'latest');
  repository.stay(
    build.image('app 1.1'),
    'latest moved on, but v1.1 still names it',
    'v1.1',
    'latest',
  );
  repository.stay(build.image('app 1.2', { base: ['debian'] }), 'tagged', 'latest', 'stable');
  repository.go(
    build.image('app nightly', { base: ['debian'] }),
    'pushed by digest, used by nothing',
  );
  repository.go(build.image('app undated', { created: null }), 'no `created` proves nothing');
  repository.go(
    build.image('app reproducible', { created: '1970-01-01T00:00:00Z' }),
    'a `created` of 1970 is old',
  );
  repository.go(build.image('app untyped old', { typed: false }), 'nightly moved on', 'nightly');
  repository.stay(build.image('app untyped new', { typed: false }), 'tagged', 'nightly');
  const created = new Date(now - HOUR).toISOString();
  repository.stay(build.image('app building', { created }), 'younger than the grace period');
}

function dockerTypes(repository: Page): void {
  const family = 'docker';
  const arm = build.image('legacy arm', { family, platform: build.LINUX_ARM64 });
  const before = build.image('legacy 1', { family });
  const after = build.image('legacy 2', { family });
  repository.go(build.image('legacy 0', { family }), 'the tag moved to a list', 'latest');
  repository.go(build.index([before, arm], { family }), 'the tag moved to the next list', 'latest');
  repository.stay(build.index([after, arm], { family }), 'tagged', 'latest');
  repository.go(before, 'only the deleted list has it');
  repository.stay(arm, 'both lists have it');
  repository.stay(after, 'child of the tagged list');
}

function indexes(repository: Page): void {
  const [amd, arm, riscv] = ['amd64', 'arm64', 'riscv64'].map((architecture) =>
    build.image(`multi ${architecture}`, { platform: { os: 'linux', architecture } }),
  ) as [Content, Content, Content];
  const provenance = build.attestation('multi', amd);
  const live = build.index([amd, arm, provenance]);
  const nested = build.index([live, riscv]);
  repository.stay(nested, 'tagged', 'nested');
  repository.stay(live, 'child of the nested index');
  repository.stay(amd, 'grandchild of the nested index');
  repository.stay(arm, 'grandchild of the nested index');
  repository.stay(riscv, 'child of the nested index');
  repository.stay(provenance, 'attestation in an index that stays');

  const stale = build.image('multi stale');
  const staleProvenance = build.attestation('multi stale', stale);
  const inner = build.index([stale, staleProvenance, arm]);
  repository.go(build.index([inner, riscv]), 'the tag moved', 'edge');
  repository.go(inner, 'only an orphan has it');
  repository.go(stale, 'grandchild of an orphan');
  repository.go(staleProvenance, 'attestation of an image that goes');
  repository.stay(build.index([arm, riscv], { typed: false }), 'tagged', 'edge');

  // Docker's buildx mixes types when it adds to an index that another tool made.
  const mixedChild = build.image('multi mixed', { family: 'docker' });
  repository.stay(build.index([mixedChild, arm]), 'tagged', 'mixed');
  repository.stay(mixedChild, 'Docker child of an OCI index');
  repository.go(build.index([], { annotations: { was: 'empty' } }), 'an empty index without a tag');
}

function signatures(repository: Page): void {
  const live = build.image('signed live');
  const dead = build.image('signed dead');
  repository.go(dead, 'the tag moved', 'latest');
  repository.stay(live, 'tagged', 'latest');
  for (const role of ['sig', 'att', 'sbom'] as const) {
    const kept = build.cosign(role, live);
    const gone = build.cosign(role, dead);
    repository.stay(kept, `${role} of an image that stays`, build.digestTag(live.digest, role));
    repository.go(gone, `${role} of an image that goes`, build.digestTag(dead.digest, role));
  }
  const keptSbom = build.cosign('sbom', live);
  const goneSbom = build.cosign('sbom', dead);
  const [keptTag, goneTag] = [keptSbom, goneSbom].map((of) =>
    build.digestTag(of.digest, 'sig'),
  ) as [string, string];
  repository.stay(build.cosign('sig', keptSbom), 'signature of an SBOM that stays', keptTag);
  repository.go(build.cosign('sig', goneSbom), 'signature of an SBOM that goes', goneTag);

  const both = build.helmChart('stands under two digest tags', '1.0.0');
  const second = build.image('signed dead too');
  repository.go(second, 'no tag');
  repository.stay(
    both,
    'one of its two digest tags names an image that stays',
    build.digestTag(build.image('signed live too').digest, 'att'),
    build.digestTag(second.digest, 'att'),
  );
  repository.stay(build.image('signed live too'), 'tagged', 'v2');
}

function referrers(repository: Page): void {
  const live = build.image('described live');
  const dead = build.image('described dead');
  repository.stay(live, 'tagged', 'latest');
  repository.go(dead, 'no tag');

  const liveSbom = build.referrer('sbom', live);
  const deadSbom = build.referrer('sbom', dead);
  repository.stay(liveSbom, 'its subject stays');
  repository.go(deadSbom, 'its subject goes');
  repository.stay(build.referrer('signature', liveSbom), 'its subject is a referrer that stays');
  repository.go(build.referrer('signature', deadSbom), 'its subject is a referrer that goes');
  repository.stay(build.index([], { subject: live }), 'an index whose subject stays');
  repository.stay(
    build.referrer('dangling', build.image('nowhere to be found')),
    'its subject is not in this repository',
  );

  // As oras and others push where there is no referrers API.
  const [one, two] = [live, dead].map((subject) => build.referrer('by fallback', subject)) as [
    Content,
    Content,
  ];
  repository.stay(one, 'its subject stays');
  repository.go(two, 'its subject goes');
  repository.stay(
    build.fallbackIndex([liveSbom, one]),
    'names one that stays',
    build.digestTag(live.digest),
  );
  repository.go(
    build.fallbackIndex([deadSbom, two]),
    'names one that goes',
    build.digestTag(dead.digest),
  );

  const kept = build.image('described by a tagged report');
  repository.stay(build.referrer('report', kept, 'text/html'), 'tagged', 'report');
  repository.stay(kept, 'subject of a tagged manifest');
}

/** `sha256-<hex>` tags that are nobody's referrers index. */
function ordinaryDigestTags(repository: Page): void {
  const pinned = build.image('pinned by its own digest');
  repository.stay(pinned, 'tagged with its own digest, to keep it', build.digestTag(pinned.digest));

  const named = build.image('pinned namesake');
  repository.go(named, 'the tag with its digest is an image, not an index of its referrers');
  repository.stay(build.image('pinned odd tag'), 'an ordinary tag', build.digestTag(named.digest));

  const child = build.image('pinned child');
  const other = build.image('pinned other');
  repository.go(other, 'the tag with its digest is an index of something else');
  repository.stay(build.index([child]), 'an ordinary tag', build.digestTag(other.digest));
  repository.stay(child, 'child of an index that stays');

  const emptied = build.image('pinned without referrers');
  repository.go(emptied, 'no tag');
  repository.go(
    build.index([], { annotations: { all: 'removed' } }),
    'a referrers index without entries goes with the image that it names',
    build.digestTag(emptied.digest),
  );
}

/** COSIGN_REPOSITORY: signatures live apart from their images. */
function danglingSignatures(signatures: Page, images: Page): void {
  const elsewhere = build.image('signed elsewhere');
  images.stay(elsewhere, 'tagged', 'v1');
  const lost = build.image('in another registry');
  for (const signed of [elsewhere, lost]) {
    signatures.stay(
      build.cosign('sig', signed),
      'signs an image that is not in this repository',
      build.digestTag(signed.digest, 'sig'),
    );
  }
  const report = build.referrer('report', lost);
  signatures.stay(report, 'its subject is not in this repository');
  signatures.stay(
    build.fallbackIndex([report]),
    'names an image that is not in this repository',
    build.digestTag(lost.digest),
  );
}

function caches(repository: Page): void {
  repository.stay(build.image('cached app', { base: ['alpine'] }), 'tagged', 'v1');
  // The older form lists layers: one is the image's own, and must stay linked when the cache goes.
  repository.go(build.buildCache('main 1', 'index', ['alpine']), 'the tag moved', 'main');
  repository.stay(build.buildCache('main 2', 'index', ['alpine']), 'tagged', 'main');
  repository.go(build.buildCache('branch 1', 'manifest', ['alpine']), 'the tag moved', 'branch');
  repository.stay(build.buildCache('branch 2', 'manifest'), 'tagged', 'branch');
}

function charts(repository: Page): void {
  repository.go(build.helmChart('app', '1.0.0-rc1'), 'the tag moved', '1.0.0');
  repository.stay(build.helmChart('app', '1.0.0'), 'tagged', '1.0.0');
}

/** Beside the one tag without which nothing may go at all. */
function digestsOnly(repository: Page): void {
  repository.stay(build.image('untagged not'), 'tagged', 'v1');
  const child = build.image('untagged child');
  repository.go(build.image('untagged'), 'no tag');
  repository.go(build.index([child]), 'no tag');
  repository.go(child, 'child of an orphan');
}

/** Repositories within repositories, and the same manifests in several of them. */
function deepNames(book: Book): void {
  const shared = build.image('in many places');
  const deep = book.repository('org/team/project/service-a/component_1/edge.x');
  deep.stay(shared, 'tagged', 'v1');
  deep.go(build.image('deep old'), 'the tag moved', 'main');
  deep.stay(build.image('deep new'), 'tagged', 'main');
  const project = book.repository('org/team/project');
  project.go(shared, 'tagged in another repository only');
  project.stay(build.image('project'), 'tagged', 'v1');
  book.repository('org/2048/game').stay(shared, 'tagged', 'v1');
}

function key({ repository, digest }: { repository: string; digest: Digest }): string {
  return `${repository}@${digest}`;
}

interface Page {
  stay(content: Content, why: string, ...tags: readonly string[]): void;
  go(content: Content, why: string, ...tags: readonly string[]): void;
}

/** Collects pushes and expectations; a mistake in the estate itself is an error. */
class Book {
  readonly #pushes: { repository: string; content: Content; tags: readonly string[] }[] = [];
  readonly #expectations = new Map<string, Expectation>();

  repository(repository: string): Page {
    const write =
      (expect: 'stay' | 'go') =>
      (content: Content, why: string, ...tags: readonly string[]): void => {
        const { digest } = content;
        const name = key({ repository, digest });
        if (this.#expectations.has(name)) {
          throw new Error(`two expectations for ${name}: ${why}`);
        }
        this.#expectations.set(name, { repository, digest, expect, why });
        this.#pushes.push({ repository, content, tags });
      };
    return { stay: write('stay'), go: write('go') };
  }

  close(): Estate {
    for (const { repository, content } of this.#pushes) {
      for (const { digest } of content.children) {
        if (!this.#expectations.has(key({ repository, digest }))) {
          throw new Error(`no expectation for ${key({ repository, digest })}`);
        }
      }
    }
    return { pushes: this.#pushes, expectations: [...this.#expectations.values()] };
  }
}
