/** Gitea starts, its judge sees what it stores, and it does what the family relies on. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { image, index, referrer, type Content } from '../builders/build.js';
import { push, putManifest, send, type Destination, type Exchange } from '../clients/push.js';
import { pullWhole } from '../clients/pull.js';
import { describeWith } from './describe-with.js';
import { findGitea, startGitea, type Gitea } from './gitea.js';
import { basicHeader } from './memory/auth.js';
import { present } from './real-registries.js';
import { leftovers } from './unstarted.js';

const program = findGitea();

describeWith('gitea', program, 'Gitea', () => {
  let gitea: Gitea;

  beforeAll(async () => {
    gitea = await startGitea(present(program));
  });

  afterAll(async () => {
    await gitea.stop();
    await expect(send(gitea, { method: 'GET', path: '/v2/' })).rejects.toThrow(
      /ECONNREFUSED|hang up/,
    );
  });

  const at = (method: string, path: string, as: Destination = gitea): Promise<Exchange> =>
    send(as, { method, path, headers: { accept: MANIFEST_ACCEPT } });
  const statusOf = async (method: string, path: string, as?: Destination) =>
    (await at(method, path, as)).status;
  const versionOf = (name: string, version: string) =>
    `/api/v1/packages/bot/container/${name}/${version}`;
  const mount = (digest: string, from: string, to: string) =>
    statusOf('POST', `/v2/bot/${to}/blobs/uploads/?mount=${digest}&from=bot/${from}`);
  const digestsIn = async (name: string) =>
    [...(await gitea.manifests())].flatMap((each) => {
      const [repository, digest = ''] = each.split('@');
      return repository === `bot/${name}` ? [digest] : [];
    });
  const names = (...contents: Content[]) => contents.map(({ digest }) => digest).sort();

  it('tells its version, and that it is not Forgejo', async () => {
    const { body } = await at('GET', '/api/v1/version');
    expect(JSON.parse(body.toString('utf8'))).toEqual({ version: '1.26.0' });
    expect(await statusOf('GET', '/api/forgejo/v1/version')).toBe(404);
  });

  it('stores what is pushed, and its judge sees manifests, blobs and tags', async () => {
    const [child, single] = [image('stored child'), image('stored')];
    const list = index([child]);
    await push(gitea, 'bot/stored', list, 'list');
    await push(gitea, 'bot/stored', single);
    expect((await digestsIn('stored')).sort()).toEqual(names(child, list, single));
    const blobs = await gitea.blobs();
    for (const digest of [...child.blobs.keys(), ...single.blobs.keys()]) {
      expect(blobs).toContain(`bot/stored@${digest}`);
    }
    expect((await gitea.tags()).get('bot/stored:list')).toBe(list.digest);
    expect(await pullWhole(gitea, 'bot/stored', 'list')).toEqual([]);
  });

  it('deletes the old version when a tag moves, with its manifest, but not the children of an index', async () => {
    const [child, before, after] = [image('moved child'), image('moved 1'), image('moved 2')];
    const list = index([child]);
    for (const content of [before, list, after]) {
      await push(gitea, 'bot/moved', content, 'latest');
    }
    expect((await digestsIn('moved')).sort()).toEqual(names(child, after));
  });

  it('keeps a tag with the same digest when the version of that digest is deleted', async () => {
    const content = image('twice');
    await push(gitea, 'bot/twice', content, 'latest', content.digest);
    expect(await statusOf('DELETE', versionOf('twice', content.digest))).toBe(204);
    expect(await statusOf('DELETE', versionOf('twice', content.digest))).toBe(404);
    expect(await digestsIn('twice')).toEqual([content.digest]);
    expect(await pullWhole(gitea, 'bot/twice', 'latest')).toEqual([]);
  });

  it('takes every tag along when a manifest is deleted by its digest on /v2', async () => {
    const content = image('all at once');
    await push(gitea, 'bot/whole', content, 'one', 'two', content.digest);
    expect(await statusOf('DELETE', `/v2/bot/whole/manifests/${content.digest}`)).toBe(202);
    expect(await digestsIn('whole')).toEqual([]);
  });

  it('deletes a child of an index that stays', async () => {
    const child = image('broken child');
    const list = index([child]);
    await push(gitea, 'bot/broken', list, 'latest');
    expect(await statusOf('DELETE', versionOf('broken', child.digest))).toBe(204);
    expect(await digestsIn('broken')).toEqual([list.digest]);
    expect(await pullWhole(gitea, 'bot/broken', 'latest')).toEqual([`manifest ${child.digest}`]);
  });

  it('takes no manifest again after its delete, because its blobs went with it', async () => {
    const content = image('final');
    await push(gitea, 'bot/final', image('final neighbour'), 'latest');
    await push(gitea, 'bot/final', content);
    await at('DELETE', versionOf('final', content.digest));
    const blobs = [...content.blobs.keys()];
    for (const digest of blobs) {
      expect(await statusOf('HEAD', `/v2/bot/final/blobs/${digest}`)).toBe(404);
      expect(await gitea.blobs()).not.toContain(`bot/final@${digest}`);
    }
    await expect(putManifest(gitea, 'bot/final', content, content.digest)).rejects.toThrow(
      /404 instead of 201.*BLOB_UNKNOWN/,
    );
  });

  it('takes a manifest again whose blobs were mounted into the same image before its delete', async () => {
    const content = image('parked');
    await push(gitea, 'bot/parked', content);
    for (const digest of content.blobs.keys()) {
      expect(await mount(digest, 'parked', 'parked')).toBe(201);
    }
    expect(await statusOf('DELETE', versionOf('parked', content.digest))).toBe(204);
    expect(await digestsIn('parked')).toEqual([]);
    for (const digest of content.blobs.keys()) {
      expect(await statusOf('HEAD', `/v2/bot/parked/blobs/${digest}`)).toBe(200);
      expect(await gitea.blobs()).toContain(`bot/parked@${digest}`);
    }
    await putManifest(gitea, 'bot/parked', content, content.digest);
    expect(await pullWhole(gitea, 'bot/parked', content.digest)).toEqual([]);
  });

  it('refuses an index in an index, and an index without its children', async () => {
    const nested = index([index([image('nested')])]);
    await expect(push(gitea, 'bot/refused', nested, 'latest')).rejects.toThrow(/400 instead/);
    const lone = index([image('never pushed')]);
    await expect(putManifest(gitea, 'bot/refused', lone, 'latest')).rejects.toThrow(
      /404 instead of 201.*MANIFEST_BLOB_UNKNOWN/,
    );
  });

  it('takes a referrer without its subject, and has no referrers API', async () => {
    const subject = image('subject that is not there');
    const report = referrer('report', subject);
    await push(gitea, 'bot/described', report);
    expect(await digestsIn('described')).toEqual([report.digest]);
    expect(await statusOf('GET', `/v2/bot/described/referrers/${subject.digest}`)).toBe(404);
  });

  it('removes a whole package when the version is empty', async () => {
    await push(gitea, 'bot/emptied', image('emptied'), 'latest');
    expect(await statusOf('DELETE', versionOf('emptied', ''))).toBe(204);
    expect(await digestsIn('emptied')).toEqual([]);
  });

  it('lets a token list and not delete whose only scope is read:package', async () => {
    const content = image('guarded');
    await push(gitea, 'bot/guarded', content);
    const token = await gitea.token(['read:package']);
    const reader = { url: gitea.url, authorization: basicHeader('bot', token) };
    expect(await statusOf('GET', '/api/v1/packages/bot?type=container', reader)).toBe(200);
    const refusal = await at('DELETE', versionOf('guarded', content.digest), reader);
    expect(refusal.status).toBe(403);
    expect(refusal.body.toString('utf8')).toContain('write:package');
    const direct = await at('DELETE', `/v2/bot/guarded/manifests/${content.digest}`, reader);
    expect(direct.status).toBe(401);
    expect(direct.headers['www-authenticate']).toBe('Basic realm="Gitea Package API"');
    expect(await digestsIn('guarded')).toEqual([content.digest]);
  });

  it('has other users and organisations, each with packages of its own', async () => {
    await gitea.user('eve');
    await gitea.organisation('acme');
    const token = await gitea.token(['write:package'], 'eve');
    const eve = { url: gitea.url, authorization: basicHeader('eve', token) };
    const content = image('of others');
    await push(eve, 'eve/app', content, 'v1');
    await push(gitea, 'acme/app', content, 'v1');
    const manifests = await gitea.manifests();
    expect(manifests).toContain(`eve/app@${content.digest}`);
    expect(manifests).toContain(`acme/app@${content.digest}`);
    await expect(push(eve, 'acme/app', image('of a stranger'), 'v2')).rejects.toThrow(/401/);
  });

  it('leaves nothing behind when it can not start', async () => {
    const left = await leftovers(async () => {
      await expect(startGitea({ ...present(program), binary: '/bin/false' })).rejects.toThrow(
        /did not start/,
      );
    });
    expect(left).toEqual([]);
  });
});
