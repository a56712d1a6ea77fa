/** The family on a real Gitea, whose database and storage are the judges. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import type { Credentials } from '../../../../src/http/credentials.js';
import { parseDigest } from '../../../../src/oci/digest.js';
import {
  attestation,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  referrer,
  type Content,
} from '../../../support/builders/build.js';
import { push, putManifest } from '../../../support/clients/push.js';
import { openGitea } from '../../../support/scenes/gitea-script.js';
import { runRestore } from '../../../support/scenes/restore-run.js';
import { run, type Ran, type RunOptions } from '../../../support/scenes/run.js';
import { describeWith } from '../../../support/servers/describe-with.js';
import { findGitea, startGitea, type Gitea } from '../../../support/servers/gitea.js';
import { startRelay } from '../../../support/servers/relay.js';
import { stopAfterTest } from '../../../support/servers/stop-after-test.js';

const program = findGitea();
/** More than a page. */
const MANY = 60;

describeWith('gitea', program, 'Gitea', () => {
  let gitea: Gitea;
  let login: Credentials;
  let images = 0;

  beforeAll(async () => {
    if (program === undefined) {
      throw new Error('these tests are skipped without it');
    }
    gitea = await startGitea(program);
    login = { kind: 'basic', username: 'bot', password: gitea.bot.token };
  }, 120_000);

  afterAll(async () => {
    await gitea.stop();
  });

  /** An image that no other test knows. */
  function fresh(): string {
    images += 1;
    return `bot/image-${String(images)}`;
  }

  const loginOf = (username: string, password: string): Credentials => ({
    kind: 'basic',
    username,
    password,
  });
  const blobsOf = ({ blobs }: Content) => [...blobs.keys()].map(parseDigest);
  const open = (credentials = login) => openGitea(gitea.url, { credentials });
  const list = async (repository: string) => open().lister?.manifests(repository);
  const left = async (repository: string) =>
    new Set(
      [...(await gitea.manifests())]
        .filter((name) => name.startsWith(`${repository}@`))
        .map((name) => name.slice(repository.length + 1)),
    );
  const tagsIn = async (repository: string) =>
    [...(await gitea.tags()).keys()].filter((name) => name.startsWith(`${repository}:`)).sort();
  const set = (...contents: readonly { readonly digest: string }[]) =>
    new Set(contents.map(({ digest }) => digest));

  function clean(repository: string, more: Partial<RunOptions> = {}): Promise<Ran> {
    return run({
      url: gitea.url,
      credentials: login,
      repositories: [repository],
      candidates: new Map(),
      concurrency: 8,
      ...more,
    });
  }

  it('is recognised by its answers, and lists without a ledger', async () => {
    const app = fresh();
    await push(gitea, app, image('one'), 'v1');
    const { run: done, complaints } = await clean(app, { ledgerRepository: 'auto' });
    expect(complaints).toEqual([]);
    expect(done?.ledger).toBeUndefined();
  });

  it('lists an image exactly, where others have names that are alike', async () => {
    const app = fresh();
    const [one, other] = [image('one'), image('other')];
    await push(gitea, `${app}/a_b`, one, 'v1');
    for (const alike of [`${app}/axb`, `${app}/a_b-2`, `${app}/sub/a_b`, `${app}/a_b/deep`]) {
      await push(gitea, alike, other, 'v1');
    }
    expect(new Set((await list(`${app}/a_b`))?.keys())).toEqual(set(one));
    expect(new Set((await list(`${app}/a_b/deep`))?.keys())).toEqual(set(other));
    expect(await list(app)).toEqual(new Map());
  });

  it('lists one manifest for a digest and its tags, which are in lower case', async () => {
    const app = fresh();
    const one = image('one');
    await push(gitea, app, one);
    await push(gitea, app, one, 'V1.0', 'latest');
    const listing = await list(app);
    expect([...(listing?.keys() ?? [])]).toEqual([one.digest]);
    expect([...(listing?.get(one.digest)?.tags ?? [])].sort()).toEqual(['latest', 'v1.0']);
  });

  it('deletes the version of a digest, and leaves a tag that nobody named', async () => {
    const app = fresh();
    const one = image('one');
    await push(gitea, app, one);
    await push(gitea, app, one, 'v1', 'v2');
    const { deleter, reader } = open();
    expect(await deleter.deleteManifest(app, one.digest, { tags: ['v1'] })).toBe('deleted');
    expect(await tagsIn(app)).toEqual([`${app}:v2`]);
    expect(await reader.isThere(app, one.digest)).toBe(true);
    expect(await deleter.deleteManifest(app, one.digest, { tags: ['v2'] })).toBe('deleted');
    expect(await left(app)).toEqual(new Set());
    expect(await deleter.deleteManifest(app, one.digest, { tags: ['v2'] })).toBe('gone');
  });

  it('keeps all other packages when the last version of one is deleted', async () => {
    const app = fresh();
    const [one, other] = [image('one'), image('other')];
    await push(gitea, app, one);
    await push(gitea, `${app}/other`, other);
    expect(await open().deleter.deleteManifest(app, one.digest)).toBe('deleted');
    expect(await left(`${app}/other`)).toEqual(set(other));
  });

  it('is cleaned in one run of all that nothing needs, and a second run finds nothing', async () => {
    const app = fresh();
    const [kept, old, child] = [image('kept'), image('old'), image('child')];
    const [former, current] = [index([image('former child')]), index([child])];
    const attested = attestation('of the child', child);
    const list = index([child, attested], { annotations: { name: 'attested' } });
    const orphan = image('by digest');
    const signature = cosign('sig', orphan);
    const kepts = [cosign('sig', kept), referrer('sbom of kept', kept)] as const;
    const lost = referrer('sbom of the orphan', orphan);
    await push(gitea, app, old, 'latest');
    await push(gitea, app, kept, 'latest');
    await push(gitea, app, former, 'multi');
    await push(gitea, app, current, 'multi');
    await push(gitea, app, list, 'attested');
    await push(gitea, app, orphan);
    await push(gitea, app, signature, digestTag(orphan.digest, 'sig'));
    await push(gitea, app, lost);
    await push(gitea, app, fallbackIndex([lost]), digestTag(orphan.digest));
    await push(gitea, app, kepts[0], digestTag(kept.digest, 'sig'));
    await push(gitea, app, kepts[1]);
    const { complaints, green } = await clean(app);
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(await left(app)).toEqual(set(kept, current, child, list, attested, ...kepts));
    expect(await tagsIn(app)).toEqual(
      ['attested', 'latest', 'multi', digestTag(kept.digest, 'sig')].map((tag) => `${app}:${tag}`),
    );
    const { run: second } = await clean(app);
    expect(second?.repositories.flatMap(({ plan }) => plan.orphans)).toEqual([]);
  }, 60_000);

  it('lists to the end though versions are deleted while it is read', async () => {
    const app = fresh();
    const many = Array.from({ length: MANY }, (_, n) => image(`many ${String(n)}`));
    for (const each of many) {
      await push(gitea, app, each);
    }
    const relay = stopAfterTest(await startRelay(gitea));
    const { deleter } = open();
    const gone = many.slice(-10);
    let isDone = false;
    relay.intercept(async ({ path: asked }) => {
      if (!isDone && /[?&]page=2/.test(asked)) {
        isDone = true;
        // All of them are on the first page, which was read.
        for (const { digest } of gone) {
          await deleter.deleteManifest(app, digest);
        }
      }
      return undefined;
    });
    const { lister } = openGitea(relay.url, { credentials: login });
    const listing = await lister?.manifests(app);
    expect(isDone).toBe(true);
    expect(new Set(listing?.keys())).toEqual(set(...many.slice(0, -10)));
  }, 120_000);

  it('is cleaned over several pages of its list', async () => {
    const app = fresh();
    const kept = image('kept');
    await push(gitea, app, kept, 'latest');
    for (let n = 0; n < MANY; n += 1) {
      await push(gitea, app, image(`orphan ${String(n)}`));
    }
    const { complaints } = await clean(app);
    expect(complaints).toEqual([]);
    expect(await left(app)).toEqual(set(kept));
  }, 180_000);

  it('takes a manifest back whose blobs were parked, and none whose blobs were not', async () => {
    const app = fresh();
    const [parked, other] = [image('parked'), image('other')];
    const { parking, deleter, reader } = open();
    await push(gitea, app, parked);
    await push(gitea, app, other);
    for (const blob of blobsOf(parked)) {
      await parking?.park(app, blob);
    }
    await deleter.deleteManifest(app, parked.digest);
    await deleter.deleteManifest(app, other.digest);
    for (const blob of blobsOf(parked)) {
      expect(await reader.hasBlob(app, blob)).toBe(true);
    }
    await putManifest(gitea, app, parked, parked.digest);
    expect(await left(app)).toEqual(set(parked));
    await expect(putManifest(gitea, app, other, other.digest)).rejects.toThrow('404');
  });

  it('does not park a blob that it does not have', async () => {
    const app = fresh();
    await push(gitea, app, image('one'), 'v1');
    const parked = open().parking?.park(app, image('other').digest);
    await expect(parked).rejects.toThrow('starts an upload');
  });

  it('has everything again after a run with `restore-from`, tags included', async () => {
    const app = fresh();
    const orphan = index([image('a'), image('b')]);
    const signature = cosign('sig', orphan);
    await push(gitea, app, image('kept'), 'latest');
    await push(gitea, app, orphan);
    await push(gitea, app, signature, digestTag(orphan.digest, 'sig'));
    const before = [await left(app), await tagsIn(app)];
    const backupDirectory = await mkdtemp(path.join(tmpdir(), 'gitea-backup-'));
    try {
      expect((await clean(app, { backupDirectory })).complaints).toEqual([]);
      expect((await left(app)).size).toBe(1);
      const options = { url: gitea.url, credentials: login, restoreFrom: backupDirectory };
      expect((await runRestore(options)).complaints).toEqual([]);
      expect([await left(app), await tagsIn(app)]).toEqual(before);
    } finally {
      await rm(backupDirectory, { recursive: true, force: true });
    }
  });

  it('lists all images of an owner that a pattern names, and the catalog lists those of all', async () => {
    await gitea.organisation('team');
    const one = image('one');
    await push(gitea, 'team/app', one, 'v1');
    await push(gitea, 'team/sub/deep', one, 'v1', 'v2');
    const registry = openGitea(gitea.url, { credentials: login, namespaces: ['team'] });
    expect(await registry.repositories()).toEqual({
      repositories: ['team/app', 'team/sub/deep'],
      unnameable: 0,
      isPartial: true,
    });
    const { repositories } = await open().repositories();
    expect(repositories).toEqual(expect.arrayContaining(['team/app', 'team/sub/deep']));
  });

  it('tells of an owner that it does not know, in a list and in a run', async () => {
    const said = 'the server knows no user or organization `nobody-here`';
    await expect(list('nobody-here/app')).rejects.toThrow(said);
    await expect(open().reader.tags('nobody-here/app')).rejects.toThrow(said);
    const { complaints } = await clean('nobody-here/app');
    expect(complaints.join('\n')).toContain(said);
  });

  it('tells of a token that may only read, in a dry-run and before the first delete', async () => {
    const app = fresh();
    await push(gitea, app, image('kept'), 'latest');
    await push(gitea, app, image('orphan'));
    const credentials = loginOf('bot', await gitea.token(['read:package']));
    const dry = await clean(app, { credentials, dryRun: true });
    expect(dry.run?.repositories[0]?.refusal).toEqual({
      kind: 'no-rights',
      why: expect.stringContaining('it lacks the scope `write:package`'),
    });
    const real = await clean(app, { credentials });
    expect(real.complaints.join('\n')).toContain('[right-missing]');
    expect((await left(app)).size).toBe(2);
  });

  it('tells of an account that may not write the packages of the owner, before the first delete', async () => {
    const app = fresh();
    const orphan = image('orphan');
    await push(gitea, app, image('kept'), 'latest');
    await push(gitea, app, orphan);
    await gitea.user('reader');
    const credentials = loginOf('reader', await gitea.token(['write:package'], 'reader'));
    const { complaints } = await clean(app, { credentials });
    expect(complaints.join('\n')).toContain('an account that may write the packages of this owner');
    expect((await left(app)).size).toBe(2);
    const { deleter, pusher, parking } = open(credentials);
    await expect(deleter.deleteManifest(app, orphan.digest)).rejects.toMatchObject({
      kind: 'forbidden',
    });
    await expect(pusher.pushBlob(app, Buffer.from('x'))).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const [blob] = blobsOf(orphan);
    await expect(blob && parking?.park(app, blob)).rejects.toMatchObject({ kind: 'forbidden' });
  });

  it('answers only those who log in, and the run says what to give', async () => {
    const app = fresh();
    await push(gitea, app, image('kept'), 'latest');
    const { complaints, green } = await clean(app, { credentials: { kind: 'none' } });
    expect(green).toBe(false);
    expect(complaints.join('\n')).toMatch(/Give `username` and `password`.*`write:package`/);
  });

  it('refuses a wrong password, and the run says so', async () => {
    const app = fresh();
    await push(gitea, app, image('kept'), 'latest');
    const { complaints } = await clean(app, { credentials: loginOf('bot', 'wrong') });
    expect(complaints.join('\n')).toContain('check username and password');
  });
});
