/** What a run does with what earlier runs saw: it waits, restores, warns and refuses. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { image, index, type Content } from '../support/builders/build.js';
import { errorAnswer, when } from '../support/clients/client.js';
import { seed } from '../support/clients/push.js';
import { run, type Ran, type RunOptions } from '../support/scenes/run.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { repositoryOf, setTag } from '../support/servers/memory/state.js';

const APP = 'team/app';
const LEDGER = 'manifest-cleanup-ledger';
const kept = image('kept');
const orphan = image('orphan');

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  seed(registry.state, APP, kept, 'v1');
  seed(registry.state, APP, orphan, 'latest');
});

afterEach(() => registry.stop());

const clean = (more: Partial<RunOptions> = {}): Promise<Ran> =>
  run({
    url: registry.url,
    repositories: [APP],
    candidates: new Map(),
    ledgerRepository: 'auto',
    ...more,
  });

const app = () => repositoryOf(registry.state, APP);
const has = ({ digest }: Content) => app().manifests.has(digest);

/** The tag of the orphan moves, so that the next run deletes what an earlier one saw in use. */
async function deleteOrphan(): Promise<void> {
  await clean();
  setTag(app(), 'latest', kept.digest);
  await clean();
}

describe('a ledger that is used if the registry needs it', () => {
  it('lies in a repository of its own', async () => {
    await clean();
    expect(registry.state.repositories.get(LEDGER)?.tags.size).toBe(1);
  });

  it('lies in the repository that the user names', async () => {
    await clean({ ledgerRepository: 'ours/memory' });
    expect(registry.state.repositories.get('ours/memory')?.tags.size).toBe(1);
    expect(registry.state.repositories.has(LEDGER)).toBe(false);
  });

  it('is reported if it can not be written, and the repository is cleaned all the same', async () => {
    await clean();
    setTag(app(), 'latest', kept.digest);
    registry.intercept(when(/^PUT .*manifest-cleanup-ledger/, errorAnswer(403, 'DENIED')));
    const { run: done } = await clean();
    expect(done?.ledger).toMatchObject({ written: 0, warnings: [expect.stringContaining('403')] });
    expect(has(orphan)).toBe(false);
  });

  it('leads a later run to a manifest that lost its tag, with the bytes that it remembers', async () => {
    await deleteOrphan();
    expect(has(orphan)).toBe(false);
    expect(has(kept)).toBe(true);
  });
});

describe('a repository in which nothing is left', () => {
  it('makes the run red, and the ledger keeps what it remembers', async () => {
    await clean();
    registry.state.repositories.delete(APP);
    const { green, complaints } = await clean();
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain(
      `${APP}: an earlier run saw manifests there, and now the registry shows none of them`,
    );
  });
});

describe('a tag that moved to a part of its former index', () => {
  it('is a warning, and the whole is kept', async () => {
    const multi = index([kept]);
    seed(registry.state, APP, multi, 'multi');
    await clean();
    setTag(app(), 'multi', kept.digest);
    const { run: done } = await clean();
    expect(has(multi)).toBe(true);
    expect(done?.repositories[0]?.warnings.join('\n')).toContain(
      `the tag multi pointed at ${multi.digest}`,
    );
  });
});

describe('a manifest that an earlier run was about to delete', () => {
  it('makes the run wait and read again if it is in use', async () => {
    await clean();
    setTag(app(), 'latest', kept.digest);
    registry.intercept(when(/^DELETE .*team\/app/, { kind: 'reset' }));
    await clean();
    registry.intercept();
    expect(has(orphan)).toBe(true);
    setTag(app(), 'latest', orphan.digest);
    const waits: number[] = [];
    const { green } = await clean({
      onSleep: async (milliseconds) => {
        waits.push(milliseconds);
      },
    });
    expect(green).toBe(true);
    expect(waits).toEqual([30_000]);
    expect(has(orphan)).toBe(true);
  });
});

describe('evidence: an old answer about a tag', () => {
  it('makes the run red, though a manifest that was about to be deleted is in use', async () => {
    setTag(app(), 'other', kept.digest);
    await clean();
    setTag(app(), 'latest', kept.digest);
    registry.intercept(when(/^DELETE .*team\/app/, { kind: 'reset' }));
    await clean();
    setTag(app(), 'latest', orphan.digest);
    let isOld = true;
    registry.intercept(
      when(/^HEAD .*team\/app\/manifests\/other/, () => {
        const headers = { 'Docker-Content-Digest': kept.digest, Age: '30' };
        return isOld ? { kind: 'answer', status: 200, headers } : undefined;
      }),
    );
    const { green } = await clean({
      onSleep: async () => {
        isOld = false;
      },
    });
    expect(green).toBe(false);
    expect(has(orphan)).toBe(true);
  });
});

describe('a manifest that an earlier run deleted and an index now lists', () => {
  beforeEach(async () => {
    await deleteOrphan();
    const { digest, mediaType, bytes } = index([orphan]);
    app().manifests.set(digest, { mediaType, bytes });
    setTag(app(), 'multi', digest);
  });

  it('is restored by the next run, which is red', async () => {
    const { green, complaints } = await clean();
    expect(has(orphan)).toBe(true);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain('was needed and gone');
  });

  it('is only reported by a dry-run', async () => {
    const { green } = await clean({ dryRun: true });
    expect(has(orphan)).toBe(false);
    expect(green).toBe(false);
  });
});
