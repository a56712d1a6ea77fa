/** What nobody has tried at the real GHCR: a run is right whichever way it answers. */
import { describe, expect, it } from '@jest/globals';

import { cosign, digestTag, image, index, referrer } from '../../../support/builders/build.js';
import { DAY, NOW } from '../../../support/builders/inventories.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  digestsOf,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import {
  PERSONAL_TOKEN,
  type Assumptions,
  type GhcrOptions,
} from '../../../support/servers/ghcr/options.js';

const tagged = Array.from({ length: 52 }, (_, n) => image(`tagged ${String(n)}`));
const multi = index([image('amd'), index([image('nested arm')])]);
const signature = cosign('sig', multi);
const sbom = referrer('sbom', multi);
const orphans = [
  ...Array.from({ length: 40 }, (_, n) => image(`orphan ${String(n)}`)),
  index([image('orphan amd'), image('orphan arm')]),
];

async function filled(options: GhcrOptions) {
  const ghcr = await startScene(options);
  tagged.forEach((content, n) =>
    seed(ghcr.state, REPOSITORY, content, `v${String(n)}`, `w${String(n)}`),
  );
  seed(ghcr.state, REPOSITORY, multi, 'multi');
  seed(ghcr.state, REPOSITORY, signature, digestTag(multi.digest, 'sig'));
  seed(ghcr.state, REPOSITORY, sbom);
  const kept = standing(ghcr);
  orphans.forEach((content) => seed(ghcr.state, REPOSITORY, content));
  return { ghcr, kept };
}

const VARIANTS: readonly Partial<Assumptions>[] = [
  {},
  { tagsMoveUpdatedAt: false },
  { listOrder: 'updated' },
  { tagOrder: 'newest-first' },
  { routesTakeOtherKind: true },
  { strictAcceptByDigest: false },
  { referrers: 'manifest-unknown' },
  { referrers: 'redirect' },
  { referrers: 'empty' },
  { registryTokenLifetime: 1000 },
  { registryTokensAreBound: false },
  { headIsDownload: true },
  { catalog: 'page-not-found' },
  { largestTagPage: 50 },
  { largestTagPage: 50, afterGoneTag: 'empty' },
  { largestTagPage: 100, largerTagPage: 'refused' },
  { versionCount: 'all' },
  { repush: 'same-id' },
  { lastTaggedStays: 'in-public-packages' },
];

describe('A whole run', () => {
  it.each(VARIANTS.map((assume) => [JSON.stringify(assume), assume] as const))(
    'deletes the orphans and nothing else, assuming %s',
    async (_, assume) => {
      const { ghcr, kept } = await filled({ assume });
      const { complaints } = await cleanScene(ghcr, {
        concurrency: 4,
        githubToken: PERSONAL_TOKEN,
      });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(kept);
      const second = await cleanScene(ghcr, { concurrency: 4, githubToken: PERSONAL_TOKEN });
      expect(second.complaints).toEqual([]);
      expect(second.plans.flatMap(({ orphans: found }) => found)).toEqual([]);
    },
  );

  it.each<GhcrOptions['listLags']>([
    { deletes: { lists: 3 } },
    { deletes: { lists: 9 } },
    { pushes: { lists: 5 }, deletes: { ms: 5000 }, tags: { lists: 5 } },
  ])('ends green where lists lag by %j', async (listLags) => {
    const { ghcr, kept } = await filled({ ...(listLags === undefined ? {} : { listLags }) });
    const { complaints } = await cleanScene(ghcr, { concurrency: 4, githubToken: PERSONAL_TOKEN });
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(kept);
  });
});

describe("The registry's token", () => {
  // Docker's token specification: a minute, where the server doesn't say.
  it.each(['challenged', 'denied'] as const)(
    'is renewed before it is %s',
    async (staleRegistryToken) => {
      const assume = { registryTokenLifetime: 60_000, staleRegistryToken };
      const { ghcr, kept } = await filled({ assume });
      ghcr.apiIntercept(async ({ route }) => {
        if (route?.kind === 'delete') {
          await ghcr.clock.sleep(3000);
        }
        return undefined;
      });
      const { complaints } = await cleanScene(ghcr, { githubToken: PERSONAL_TOKEN });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(kept);
    },
  );
});

describe('A version that lately', () => {
  it.each([
    ['was created', 'grace-period', { gracePeriod: DAY }, NOW - DAY / 2],
    ['changed', 'unused-for', { unusedFor: DAY }, NOW - 9 * DAY],
  ])('%s is kept by %s, with its parts', async (_, __, wait, created) => {
    const ghcr = await startScene();
    seed(ghcr.state, REPOSITORY, tagged[0] ?? multi, 'v1');
    seed(ghcr.state, REPOSITORY, multi);
    orphans.forEach((content) => seed(ghcr.state, REPOSITORY, content));
    ghcr.setTimes(REPOSITORY, multi.digest, { created, updated: NOW - DAY / 2 });
    const { complaints } = await cleanScene(ghcr, wait);
    expect(complaints).toEqual([]);
    const parts = multi.children.flatMap((child) => [child, ...child.children]);
    expect(standing(ghcr)).toEqual(digestsOf(tagged[0] ?? multi, multi, ...parts));
  });
});
