/**
 * The demo's registry: a small shop's repositories after some months of work, with what is to stay and
 * what is to go written down by hand. Nothing here asks the code under test what it would decide.
 */
import {
  attestation,
  buildCache,
  cosign,
  digestTag,
  helmChart,
  image,
  index,
  LINUX_AMD64,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../../__tests__/support/builders/build.js';
import { push, type Destination } from '../../__tests__/support/clients/push.js';

export interface Push {
  readonly repository: string;
  readonly content: Content;
  readonly tags: readonly string[];
}

export interface Estate {
  /** in this order: a later push of a tag moves it */
  readonly pushes: readonly Push[];
  /** `repository@digest` → why it goes; every other manifest stays */
  readonly orphans: ReadonlyMap<string, string>;
}

const MARCH = '2025-03-04T09:12:00Z';
const JUNE = '2025-06-17T14:40:00Z';
const HOUR = 3_600_000;

/** @param now epoch milliseconds; one of the images was built two hours before */
export function estate(now: number): Estate {
  const pushes: Push[] = [];
  const orphans = new Map<string, string>();
  const put = (repository: string, content: Content, ...tags: readonly string[]): void => {
    pushes.push({ repository, content, tags });
  };
  const goes = (repository: string, content: Content, why: string): void => {
    orphans.set(`${repository}@${content.digest}`, why);
  };
  const amd64 = (name: string, created: string): Content =>
    image(name, { created, platform: LINUX_AMD64, base: ['debian'], layers: 2 });
  const arm64 = (name: string, created: string): Content =>
    image(name, { created, platform: LINUX_ARM64, base: ['debian arm64'], layers: 2 });

  // Two platforms and a provenance; `latest` moved on, and only the amd64 image was built anew.
  const shared = arm64('web arm64', MARCH);
  const webMarch = amd64('web amd64, March', MARCH);
  const webJune = amd64('web amd64, June', JUNE);
  const provenance = attestation('web', webMarch);
  const march = index([webMarch, shared, provenance]);
  put('shop/web', march, 'latest');
  put('shop/web', index([webJune, shared, attestation('web', webJune)]), '1.5', 'latest');
  goes('shop/web', march, 'latest moved to 1.5');
  goes('shop/web', webMarch, 'only that index held it');
  goes('shop/web', provenance, 'only that index held it');

  // A signed release that stays, and a signed build whose tag moved to an unsigned one.
  const release = amd64('api 2.0', MARCH);
  const build = amd64('api, build 411', JUNE);
  const signature = cosign('sig', build);
  const sbom = referrer('api, build 411', build);
  put('shop/api', release, '2.0');
  put('shop/api', cosign('sig', release), digestTag(release.digest, 'sig'));
  put('shop/api', build, 'main');
  put('shop/api', signature, digestTag(build.digest, 'sig'));
  put('shop/api', sbom);
  put('shop/api', referrer('api 2.0', release));
  put('shop/api', amd64('api, build 412', JUNE), 'main');
  goes('shop/api', build, 'main moved to build 412');
  goes('shop/api', signature, 'it signed build 411');
  goes('shop/api', sbom, 'it described build 411');

  // Untagged too, but built two hours ago: somebody may be about to use it.
  const young = amd64('worker, today', new Date(now - 2 * HOUR).toISOString());
  put('shop/worker', amd64('worker 3.1', JUNE), '3.1');
  put('shop/worker', young);

  const caches = ['March', 'June'].map((month) => buildCache(month, 'manifest', ['debian']));
  const [oldCache, newCache] = caches;
  if (oldCache !== undefined && newCache !== undefined) {
    put('shop/cache', oldCache, 'worker');
    put('shop/cache', newCache, 'worker');
    goes('shop/cache', oldCache, 'the next build wrote a new cache');
  }

  const firstChart = helmChart('shop', '0.4.0-rc');
  put('charts/shop', firstChart, '0.4.0');
  put('charts/shop', helmChart('shop', '0.4.0'), '0.4.0');
  goes('charts/shop', firstChart, 'the version was pushed again');

  // An index of indexes; the inner one of yesterday is in today's as well.
  const stable = index([amd64('base stable', MARCH), arm64('base stable', MARCH)]);
  const edgeImage = amd64('base edge, March', MARCH);
  const edge = index([edgeImage]);
  const nested = index([stable, edge]);
  put('platform/base', nested, 'all');
  put('platform/base', index([stable, index([amd64('base edge, June', JUNE)])]), 'all');
  goes('platform/base', nested, 'all moved');
  goes('platform/base', edge, 'only that index held it');
  goes('platform/base', edgeImage, 'only that index held it');

  // Pinned by a tag that is its own digest, as people do to keep an image: an ordinary tag.
  const pinned = amd64('postgres', MARCH);
  put('platform/postgres', pinned, digestTag(pinned.digest));
  // A signature that lives apart from its image.
  put('platform/signatures', cosign('sig', pinned), digestTag(pinned.digest, 'sig'));

  return { pushes, orphans };
}

export async function fill(registry: Destination, { pushes }: Estate): Promise<void> {
  for (const { repository, content, tags } of pushes) {
    await push(registry, repository, content, ...tags);
  }
}
