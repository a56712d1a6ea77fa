/** A survey of a registry that lists its manifests: the list and what is read have to agree. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { image, index, type Content } from '../../support/builders/build.js';
import { errorAnswer, when } from '../../support/clients/client.js';
import { seed } from '../../support/clients/push.js';
import { run, type Ran, type RunOptions } from '../../support/scenes/run.js';
import { startGoogleRegistry, type GoogleRegistry } from '../../support/servers/google/registry.js';
import { withFields, withoutManifests } from '../../support/servers/google/tag-list.js';

const APP = 'project/team/app';
const kept = image('kept');
const orphan = image('orphan');

const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(ended.splice(0).map((end) => end()));
});

async function start(): Promise<GoogleRegistry> {
  const registry = await startGoogleRegistry();
  ended.push(() => registry.stop());
  seed(registry.state, APP, kept, 'latest');
  seed(registry.state, APP, orphan);
  return registry;
}

const clean = ({ url }: GoogleRegistry, more: Partial<RunOptions> = {}): Promise<Ran> =>
  run({ url, registryType: 'google', repositories: [APP], candidates: new Map(), ...more });

const has = ({ state }: GoogleRegistry, { digest }: Content) =>
  state.repositories.get(APP)?.manifests.has(digest) === true;

const lists = ({ requests }: GoogleRegistry) =>
  requests.filter(({ path }) => path.includes('tags/list')).length;

/** Does something once, after so many requests that match. */
function after(registry: GoogleRegistry, times: number, pattern: RegExp, change: () => void): void {
  let seen = 0;
  registry.intercept((request) => {
    if (pattern.test(`${request.method} ${request.path}`)) {
      seen += 1;
      if (seen === times + 1) {
        change();
      }
    }
    return undefined;
  });
}

describe('the list of manifests', () => {
  it('is read once by a survey and once by a recheck where nothing changes, as are the tags', async () => {
    const registry = await start();
    expect((await clean(registry)).green).toBe(true);
    expect(has(registry, orphan)).toBe(false);
    // A survey, a recheck, and what verifies the tags in the end.
    expect(lists(registry)).toBe(5);
  });

  it('is read again where a push came after it, and the run is green', async () => {
    const registry = await start();
    const pushed = image('pushed');
    after(registry, 1, /tags\/list/, () => {
      seed(registry.state, APP, pushed, 'v2');
    });
    const { green, complaints } = await clean(registry);
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(has(registry, pushed)).toBe(true);
    expect(has(registry, orphan)).toBe(false);
  });

  it('is read again where something was deleted after it, and the run is green', async () => {
    const registry = await start();
    const other = image('other');
    seed(registry.state, APP, other);
    after(registry, 1, /tags\/list/, () => {
      registry.state.repositories.get(APP)?.manifests.delete(other.digest);
    });
    const { green, complaints } = await clean(registry);
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(has(registry, orphan)).toBe(false);
  });

  it('is a gap if each read lists a manifest that the registry does not know', async () => {
    const registry = await start();
    const ghost = image('ghost');
    registry.editList((list) => ({
      ...list,
      manifest: { ...list.manifest, [ghost.digest]: list.manifest?.[kept.digest] },
    }));
    const { green, complaints } = await clean(registry);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain(`it has ${ghost.digest}`);
    expect(has(registry, orphan)).toBe(true);
  });

  it('is a gap if each read lacks a manifest that the registry serves', async () => {
    const registry = await start();
    registry.editList(withoutManifests(kept.digest));
    const { green, complaints } = await clean(registry);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain(`it lacks ${kept.digest}, which the registry serves`);
    expect(has(registry, orphan)).toBe(true);
  });

  it('proves that a manifest of the ledger is there, which is not asked for again', async () => {
    const registry = await start();
    const more = { ledgerRepository: 'project/memory', gracePeriod: 24 * 60 * 60 * 1000, now: 0 };
    await clean(registry, more);
    registry.requests.length = 0;
    const { run: done } = await clean(registry, more);
    expect(done?.repositories[0]?.inventory.manifests.has(orphan.digest)).toBe(true);
    expect(registry.requests.filter(({ path }) => path.endsWith(orphan.digest))).toEqual([]);
  });

  it('is a gap where it can be read at first and not again', async () => {
    const registry = await start();
    const ghost = image('ghost');
    registry.editList((list) => ({
      ...list,
      manifest: { ...list.manifest, [ghost.digest]: list.manifest?.[kept.digest] },
    }));
    let seen = 0;
    registry.intercept(
      when(/tags\/list/, () => {
        seen += 1;
        return seen > 2 ? errorAnswer(403, 'DENIED') : undefined;
      }),
    );
    const { green } = await clean(registry);
    expect(green).toBe(false);
    expect(has(registry, orphan)).toBe(true);
  });
});

describe('the tags of a listed manifest', () => {
  it('keep it where the list of tags leaves them out', async () => {
    const registry = await start();
    registry.editList((list) => ({ ...list, tags: [] }));
    const { run: done } = await clean(registry, { dryRun: true });
    const plan = done?.repositories[0]?.plan;
    expect(plan?.keep).toContainEqual({
      digest: kept.digest,
      reason: { kind: 'tagged', tags: ['latest'] },
    });
    expect(plan?.orphans.map(({ digest }) => digest)).toEqual([orphan.digest]);
  });

  it('keep it where the list of manifests leaves them out', async () => {
    const registry = await start();
    registry.editList(withFields(kept.digest, { tag: [] }));
    const { run: done } = await clean(registry, { dryRun: true });
    expect(done?.repositories[0]?.plan.keep).toContainEqual({
      digest: kept.digest,
      reason: { kind: 'tagged', tags: ['latest'] },
    });
  });
});

describe('a recheck', () => {
  it('sees an index that was pushed without a tag, and keeps what it lists', async () => {
    const registry = await start();
    const multi = index([orphan]);
    const { green, run: done } = await clean(registry, {
      gracePeriod: 1,
      onSweep: () => {
        seed(registry.state, APP, multi);
        registry.setUploadTime(APP, multi.digest, Date.UTC(2030, 0, 1));
      },
    });
    expect(green).toBe(true);
    expect(has(registry, orphan)).toBe(true);
    expect([...(done?.repositories[0]?.fates.values() ?? [])]).toEqual([
      { kind: 'kept', reason: { kind: 'child', of: multi.digest } },
    ]);
  });
});

describe('a push time', () => {
  it('decides the grace period, whatever a config says, and no config is read', async () => {
    const registry = await start();
    registry.setUploadTime(APP, orphan.digest, Date.UTC(2025, 11, 31, 23));
    const { run: done } = await clean(registry, { gracePeriod: 24 * 60 * 60 * 1000 });
    expect(done?.repositories[0]?.plan.orphans).toEqual([]);
    expect(has(registry, orphan)).toBe(true);
    expect(registry.requests.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });
});
