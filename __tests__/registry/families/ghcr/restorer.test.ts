/** GitHub's own restore of versions, and whole restores of what a run has deleted. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from '@jest/globals';

import { selectRepositories } from '../../../../src/plan/selection.js';
import { restoreProblems } from '../../../../src/report/restore.js';
import { restoreBackup } from '../../../../src/run/restore.js';
import { cosign, digestTag, image, index } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  idOf,
  openScene,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import { connect } from '../../../support/scenes/run.js';
import { JOB_TOKEN, type GhcrOptions } from '../../../support/servers/ghcr/options.js';

const DAY = 24 * 60 * 60_000;
const kept = image('kept');
const pair = index([image('amd'), image('arm')]);
const signature = cosign('sig', pair);
const SIGNED = digestTag(pair.digest, 'sig');

const directories: string[] = [];

afterEach(async () => {
  await Promise.all(
    directories.splice(0).map((each) => rm(each, { recursive: true, force: true })),
  );
});

async function filled(options: GhcrOptions = {}) {
  const ghcr = await startScene(options);
  seed(ghcr.state, REPOSITORY, kept, 'v1');
  seed(ghcr.state, REPOSITORY, pair);
  seed(ghcr.state, REPOSITORY, signature, SIGNED);
  return ghcr;
}

type Scene = Awaited<ReturnType<typeof filled>>;

const tagsIn = ({ state }: Scene) =>
  Object.fromEntries(state.repositories.get(REPOSITORY)?.tags ?? []);

/** A repository whose orphans a run has deleted, with the run's backup. */
async function cleaned(options: GhcrOptions = {}) {
  const ghcr = await filled(options);
  const before = { digests: standing(ghcr), tags: tagsIn(ghcr) };
  const backup = await mkdtemp(join(tmpdir(), 'backup-'));
  directories.push(backup);
  const { complaints } = await cleanScene(ghcr, { backupDirectory: backup });
  expect(complaints).toEqual([]);
  expect(standing(ghcr).size).toBe(1);
  return { ghcr, before, backup };
}

async function restore(ghcr: Scene, restoreFrom: string, dryRun = false) {
  const credentials = { kind: 'basic', username: 'actor', password: JOB_TOKEN } as const;
  const { transport, quote } = connect({ url: ghcr.url, credentials, clock: ghcr.clock });
  const nothing = () => undefined;
  try {
    const run = await restoreBackup(
      {
        registry: new URL(ghcr.url),
        registryType: 'ghcr',
        apiUrl: new URL(ghcr.api),
        githubToken: JOB_TOKEN,
        selection: selectRepositories([]),
        concurrency: 1,
        dryRun,
        restoreFrom,
      },
      {
        transport,
        quote,
        progress: { begin: nothing, expect: nothing, done: nothing },
        stop: new AbortController().signal,
      },
    );
    return { problems: restoreProblems(run), restored: run.repositories[0] };
  } finally {
    transport.close();
  }
}

describe('A restore of one version', () => {
  it.each([true, false])(
    'brings the manifest back, and its tags as GitHub has it (%p)',
    async (restoreBringsTags) => {
      const ghcr = await filled({ assume: { restoreBringsTags } });
      const { deleter, restorer } = openScene(ghcr);
      const id = idOf(ghcr, signature);
      await deleter.deleteManifest(REPOSITORY, signature.digest);
      expect(standing(ghcr).has(signature.digest)).toBe(false);
      await restorer?.restore(REPOSITORY, id);
      expect(standing(ghcr).has(signature.digest)).toBe(true);
      expect(tagsIn(ghcr)[SIGNED]).toBe(restoreBringsTags ? signature.digest : undefined);
    },
  );

  it('rejects after thirty days, and the dry-run does not promise it', async () => {
    const ghcr = await filled();
    const { deleter, restorer } = openScene(ghcr);
    const id = idOf(ghcr, pair);
    await deleter.deleteManifest(REPOSITORY, pair.digest);
    expect(await restorer?.isRestorable(REPOSITORY, id)).toBe(true);
    expect(restorer?.window).toBe(30 * DAY);
    await ghcr.clock.sleep(30 * DAY + 1);
    expect(await openScene(ghcr).restorer?.isRestorable(REPOSITORY, id)).toBe(false);
    await expect(restorer?.restore(REPOSITORY, id)).rejects.toMatchObject({
      kind: 'hidden',
      message: expect.stringContaining(`could not restore the version ${id} of ${REPOSITORY}`),
    });
  });

  it('rejects where the digest was pushed again since', async () => {
    const ghcr = await filled();
    const { deleter, restorer } = openScene(ghcr);
    const id = idOf(ghcr, pair);
    await deleter.deleteManifest(REPOSITORY, pair.digest);
    seed(ghcr.state, REPOSITORY, pair);
    await expect(restorer?.restore(REPOSITORY, id)).rejects.toThrow('404');
  });

  it('rejects with what a job needs that is not an admin', async () => {
    const ghcr = await filled({
      tokens: [{ kind: 'job', value: JOB_TOKEN, right: () => 'write' }],
    });
    const { restorer } = openScene(ghcr);
    await expect(restorer?.restore(REPOSITORY, idOf(ghcr, pair))).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('Manage Actions access'),
    });
  });

  it('finds all that can be restored in several pages, and asks for them once', async () => {
    const ghcr = await filled();
    const many = Array.from({ length: 130 }, (_, n) => image(`many ${String(n)}`));
    many.forEach((content) => seed(ghcr.state, REPOSITORY, content));
    expect((await cleanScene(ghcr)).complaints).toEqual([]);
    const { restorer } = openScene(ghcr);
    const ids = [...many, pair, signature].map((content) => idOf(ghcr, content));
    ghcr.apiRequests.length = 0;
    const found = new Set<boolean | undefined>();
    for (const id of ids) {
      found.add(await restorer?.isRestorable(REPOSITORY, id));
    }
    const lists = ghcr.apiRequests.filter(({ url }) => url.includes('state=deleted'));
    expect(lists).toHaveLength(2);
    expect(found).toEqual(new Set([true]));
    expect(await restorer?.isRestorable(REPOSITORY, idOf(ghcr, kept))).toBe(false);
  });
});

describe('A restore of all that a run has deleted', () => {
  it.each([true, false])(
    'brings back every manifest and tag by GitHub itself (with tags: %p)',
    async (restoreBringsTags) => {
      const { ghcr, before, backup } = await cleaned({ assume: { restoreBringsTags } });
      const promised = await restore(ghcr, backup, true);
      expect(promised.problems).toEqual([]);
      expect(promised.restored?.byServer).toHaveLength(4);
      expect(standing(ghcr).size).toBe(1);
      const { problems, restored } = await restore(ghcr, backup);
      expect(problems).toEqual([]);
      expect(restored?.byServer).toHaveLength(4);
      expect(standing(ghcr)).toEqual(before.digests);
      expect(tagsIn(ghcr)).toEqual(before.tags);
      expect(
        ghcr.requests.filter(({ method, path }) => method === 'PUT' && path.includes('sha256:')),
      ).toEqual([]);
    },
  );

  it.each<[string, GhcrOptions, number]>([
    ['refuses it after thirty days', {}, 31 * DAY],
    ['restores nothing for this token', {}, 0],
  ])('brings them back by a push where GitHub %s', async (_, options, later) => {
    const { ghcr, before, backup } = await cleaned(options);
    await ghcr.clock.sleep(later);
    if (later === 0) {
      ghcr.apiIntercept(({ method }) =>
        method === 'POST' ? { kind: 'answer', status: 404, body: '{"message":"x"}' } : undefined,
      );
    }
    const { problems, restored } = await restore(ghcr, backup);
    expect(problems).toEqual([]);
    expect(restored?.byServer).toEqual([]);
    expect(restored?.restored).toHaveLength(4);
    expect(standing(ghcr)).toEqual(before.digests);
    expect(tagsIn(ghcr)).toEqual(before.tags);
  });

  it('leaves a second one nothing to do', async () => {
    const { ghcr, backup } = await cleaned();
    await restore(ghcr, backup);
    const { problems, restored } = await restore(ghcr, backup);
    expect(problems).toEqual([]);
    expect(restored?.standing).toHaveLength(4);
  });
});
