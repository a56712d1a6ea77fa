/** How little is read: each version once at most, and next to nothing where a ledger remembers. */
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
  digestsOf,
  listsAt,
  manifestReads,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import type { Ran } from '../../../support/scenes/run.js';
import type { GhcrOptions } from '../../../support/servers/ghcr/options.js';

const LEDGER = 'acme/ledger';

function built(name: string): Content {
  const [amd, arm] = [image(`${name} amd`), image(`${name} arm`, { platform: LINUX_ARM64 })];
  return index([amd, arm, attestation(`${name} statement`, amd)]);
}

const kept = Array.from({ length: 40 }, (_, n) => built(`kept ${String(n)}`));
const orphans = Array.from({ length: 30 }, (_, n) => built(`orphan ${String(n)}`));

/** 280 versions, which are three pages: 40 tagged indexes of three, and 30 without a tag. */
async function filled(options: GhcrOptions = {}, unused = orphans) {
  const ghcr = await startScene(options);
  kept.forEach((content, n) => seed(ghcr.state, REPOSITORY, content, `v${String(n)}`));
  unused.forEach((content) => seed(ghcr.state, REPOSITORY, content));
  return ghcr;
}

type Scene = Awaited<ReturnType<typeof filled>>;

function forget(ghcr: Scene): void {
  ghcr.requests.length = 0;
  ghcr.apiRequests.length = 0;
}

const planned = ({ run: done }: Ran) => (done === undefined ? NaN : totals(done).planned);

describe('A cold dry-run', () => {
  it('reads each version once, and asks the API for the owner, each page, and two of them again', async () => {
    const ghcr = await filled();
    const ran = await cleanScene(ghcr, { dryRun: true });
    expect(ran.complaints).toEqual([]);
    expect(planned(ran)).toBe(120);
    expect(ghcr.apiRequests).toHaveLength(1 + 3 + 2);
    const reads = manifestReads(ghcr);
    expect(reads.size).toBe(280);
    expect(Math.max(...reads.values())).toBe(1);
    expect(ghcr.requests.length).toBeLessThanOrEqual(280 + 10);
    expect(ghcr.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual([]);
  });

  it('reads only what tags name, and what nothing names, where nothing is to be deleted', async () => {
    const ghcr = await filled({}, []);
    const ran = await cleanScene(ghcr, { dryRun: true });
    expect(ran.complaints).toEqual([]);
    expect(planned(ran)).toBe(0);
    expect(new Set(manifestReads(ghcr).keys())).toEqual(digestsOf(...kept));
    expect(ghcr.apiRequests).toHaveLength(1 + 2 + 2);
  });
});

describe('A second run', () => {
  it('reads the manifests of tags only, once the orphans are gone', async () => {
    const ghcr = await filled();
    expect((await cleanScene(ghcr)).complaints).toEqual([]);
    expect(standing(ghcr).size).toBe(160);
    forget(ghcr);
    expect((await cleanScene(ghcr)).complaints).toEqual([]);
    expect(manifestReads(ghcr).size).toBe(40);
    expect(deletesAt(ghcr)).toEqual([]);
    expect(listsAt(ghcr)).toHaveLength(2 + 2);
  });

  it('reads next to nothing where a ledger remembers', async () => {
    const ghcr = await filled();
    const first = await cleanScene(ghcr, { ledgerRepository: LEDGER });
    expect(first.complaints).toEqual([]);
    expect(standing(ghcr).size).toBe(160);
    forget(ghcr);
    const second = await cleanScene(ghcr, { ledgerRepository: LEDGER });
    expect(second.complaints).toEqual([]);
    expect(manifestReads(ghcr).size).toBeLessThanOrEqual(10);
  });
});

describe('A ledger', () => {
  it('is pushed before the first DELETE, though its package is not there yet', async () => {
    const ghcr = await filled();
    let denied = 0;
    ghcr.intercept(({ path }) => {
      const asked = decodeURIComponent(path);
      // A package that isn't there is denied like one that the account may not see.
      if (
        asked.includes(`${LEDGER}:pull`) &&
        !asked.includes('push') &&
        standing(ghcr, LEDGER).size === 0
      ) {
        denied += 1;
        return { kind: 'answer', status: 403, body: '{"errors":[{"code":"DENIED"}]}' };
      }
      return undefined;
    });
    const before: number[] = [];
    ghcr.apiIntercept(({ route }) => {
      if (route?.kind === 'delete') {
        before.push(standing(ghcr, LEDGER).size);
      }
      return undefined;
    });
    const { complaints } = await cleanScene(ghcr, { ledgerRepository: LEDGER });
    expect(complaints).toEqual([]);
    expect(denied).toBeGreaterThan(0);
    expect(before[0]).toBeGreaterThan(0);
    expect(standing(ghcr).size).toBe(160);
  });

  it('keeps no replaced entry: these are deleted by the API, and never by the registry', async () => {
    const ghcr = await filled();
    const sizes: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      seed(ghcr.state, REPOSITORY, image(`fresh ${String(n)}`));
      const { complaints } = await cleanScene(ghcr, { ledgerRepository: LEDGER });
      expect(complaints).toEqual([]);
      sizes.push(standing(ghcr, LEDGER).size);
      await ghcr.clock.sleep(48 * 60 * 60_000);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2);
    expect(deletesAt(ghcr).some((url) => url.includes('/container/ledger/'))).toBe(true);
    expect(ghcr.requests.filter(({ method }) => method === 'DELETE')).toEqual([]);
  });

  it('is not written by a dry-run', async () => {
    const ghcr = await filled();
    const { complaints } = await cleanScene(ghcr, { ledgerRepository: LEDGER, dryRun: true });
    expect(complaints).toEqual([]);
    expect(standing(ghcr, LEDGER).size).toBe(0);
    const writes = [...ghcr.requests, ...ghcr.apiRequests].filter(
      ({ method }) => method !== 'GET' && method !== 'HEAD',
    );
    expect(writes).toEqual([]);
  });
});
