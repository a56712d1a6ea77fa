/** The quota of requests: a run stops before it is used up, and a later run goes on. */
import { describe, expect, it } from '@jest/globals';

import { totals } from '../../../../src/report/totals.js';
import {
  attestation,
  image,
  index,
  LINUX_ARM64,
  type Content,
} from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  REPOSITORY,
  standing,
  startScene,
  unhurried,
  warningsOf,
} from '../../../support/scenes/ghcr.js';
import type { Ran } from '../../../support/scenes/run.js';
import type { GhcrOptions } from '../../../support/servers/ghcr/options.js';

const HOUR = 60 * 60_000;

/** An index of two platforms, each with an attestation: five versions. */
function built(name: string): Content {
  const [amd, arm] = [image(`${name} amd`), image(`${name} arm`, { platform: LINUX_ARM64 })];
  return index([
    amd,
    arm,
    attestation(`${name} amd statement`, amd),
    attestation(`${name} arm statement`, arm),
  ]);
}

const keptIndexes = Array.from({ length: 100 }, (_, n) => built(`kept ${String(n)}`));
const orphanIndexes = Array.from({ length: 300 }, (_, n) => built(`orphan ${String(n)}`));

/** 2,000 versions, 1,500 of them orphans. */
const WHOLE = { kept: keptIndexes, orphans: orphanIndexes };
/** 300 versions, 200 of them orphans. */
const SMALL = { kept: keptIndexes.slice(0, 20), orphans: orphanIndexes.slice(0, 40) };

async function filled(options: GhcrOptions = {}, { kept, orphans } = SMALL) {
  const ghcr = await startScene({ validates: false, ...options });
  kept.forEach((content, n) => seed(ghcr.state, REPOSITORY, content, `v${String(n)}`));
  orphans.forEach((content) => seed(ghcr.state, REPOSITORY, content));
  return ghcr;
}

type Scene = Awaited<ReturnType<typeof filled>>;

function postponedBy({ run: done }: Ran): number {
  return done === undefined ? NaN : totals(done).postponed;
}

/** What is there without one of its parts, and tags that point at nothing. */
function brokenIn(ghcr: Scene): string[] {
  const there = standing(ghcr);
  const halves = [...keptIndexes, ...orphanIndexes].filter(
    ({ digest, children }) =>
      there.has(digest) && children.some((child) => !there.has(child.digest)),
  );
  const tags = [...(ghcr.state.repositories.get(REPOSITORY)?.tags ?? [])];
  const lost = tags.filter(([, digest]) => !there.has(digest)).map(([tag]) => tag);
  return [...halves.map(({ digest }) => digest), ...lost];
}

describe('A quota of 1,000 requests', () => {
  it('ends the first run at the reserve, and three runs later all orphans are gone', async () => {
    const ghcr = await filled({}, WHOLE);
    expect(standing(ghcr).size).toBe(2000);
    const left: number[] = [];
    const quotas: number[] = [];
    const warnings: string[] = [];
    for (let n = 0; n < 4; n += 1) {
      const ran = await cleanScene(ghcr, { concurrency: 8, clock: unhurried(ghcr) });
      expect(ran.complaints).toEqual([]);
      expect(brokenIn(ghcr)).toEqual([]);
      left.push(postponedBy(ran));
      quotas.push(ghcr.quota.get().remaining);
      warnings.push(...warningsOf(ran));
      expect(standing(ghcr).size - 500).toBe(left.at(-1));
      await ghcr.clock.sleep(HOUR);
    }
    expect(Math.min(...quotas)).toBeGreaterThanOrEqual(100);
    // Little is left unused.
    expect(quotas[0]).toBeLessThan(210);
    const words = left
      .filter((count) => count > 0)
      .map(
        (count) => `${String(count)} orphans are left: GHCR's quota of requests is used up until`,
      );
    expect(words.length).toBeGreaterThan(0);
    expect(warnings).toEqual(words.map((each) => expect.stringContaining(each)));
    expect(left[0]).toBeGreaterThan(600);
    expect(left.at(-1)).toBe(0);
    expect(ghcr.apiRequests.filter(({ status }) => status >= 400)).toEqual([]);
  });

  it('is shared with others, whose requests count as well', async () => {
    const ghcr = await filled();
    let deletes = 0;
    ghcr.apiIntercept(({ route }) => {
      deletes += route?.kind === 'delete' ? 1 : 0;
      if (route?.kind === 'delete' && deletes === 50) {
        ghcr.quota.set({ remaining: 160 });
      }
      return undefined;
    });
    const ran = await cleanScene(ghcr, { concurrency: 8, clock: unhurried(ghcr) });
    expect(ran.complaints).toEqual([]);
    expect(ghcr.quota.get().remaining).toBeGreaterThanOrEqual(100);
    expect(deletesAt(ghcr).length).toBeLessThan(120);
    expect(postponedBy(ran)).toBe(200 - deletesAt(ghcr).length);
    expect(brokenIn(ghcr)).toEqual([]);
  });
});

describe.each([403, 429] as const)('A quota that is used up (%d)', (primaryStatus) => {
  it('makes a run red from its beginning, says until when, and nothing is deleted', async () => {
    const ghcr = await filled({ assume: { primaryStatus } });
    ghcr.quota.set({ remaining: 0, reset: ghcr.clock.now() + HOUR });
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toMatch(
      new RegExp(
        `GitHub answered ${String(primaryStatus)} .*is used up until 01:00 UTC: run this again after that \\[quota-used-up\\]`,
      ),
    );
    expect(deletesAt(ghcr)).toEqual([]);
    expect(ghcr.apiRequests.length).toBeLessThan(5);
  });

  it('in the middle of the deletes leaves no index half deleted', async () => {
    const ghcr = await filled({ assume: { primaryStatus } });
    let deletes = 0;
    ghcr.apiIntercept(({ route }) => {
      deletes += route?.kind === 'delete' ? 1 : 0;
      if (route?.kind === 'delete' && deletes === 50) {
        ghcr.quota.set({ remaining: 0 });
      }
      return undefined;
    });
    await cleanScene(ghcr, { concurrency: 8, clock: unhurried(ghcr) });
    expect(brokenIn(ghcr)).toEqual([]);
    expect(deletesAt(ghcr).length).toBeLessThan(70);
  });

  it('is none for a dry-run that fits in what is left', async () => {
    const ghcr = await filled({ assume: { primaryStatus } });
    ghcr.quota.set({ remaining: 30 });
    const { complaints, run: done } = await cleanScene(ghcr, { dryRun: true });
    expect(complaints).toEqual([]);
    expect(done === undefined ? 0 : totals(done).planned).toBe(200);
  });
});

describe('A quota that is near the reserve', () => {
  it('lets a run delete nothing, which is green with a warning', async () => {
    const ghcr = await filled();
    ghcr.quota.set({ remaining: 110 });
    const ran = await cleanScene(ghcr);
    expect(ran.complaints).toEqual([]);
    expect(warningsOf(ran)).toEqual([expect.stringContaining('200 orphans are left')]);
    expect(deletesAt(ghcr)).toEqual([]);
  });
});
