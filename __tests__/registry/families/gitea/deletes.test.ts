/** The deletes of versions: exactly those that are named, and nothing larger. */
import { describe, expect, it } from '@jest/globals';

import { TooLate } from '../../../../src/http/stop.js';
import type { Digest } from '../../../../src/oci/digest.js';
import { image } from '../../../support/builders/build.js';
import { openGitea, refusal, startScript } from '../../../support/scenes/gitea-script.js';

const [orphan, other] = [image('orphan'), image('other')];
const APP = 'acme/app';

const at = (version: string) =>
  `DELETE /api/v1/packages/acme/container/app/${encodeURIComponent(version)}`;
const deletesIn = (sent: readonly string[]) => sent.filter((line) => line.startsWith('DELETE'));
const missing = refusal(404, 'GetVersionByNameAndVersion: package does not exist');

describe('A name that a delete is to be sent for', () => {
  it.each<[string, string, string, readonly string[]]>([
    ['an empty digest', APP, '', []],
    ['a digest without its algorithm', APP, orphan.digest.slice(7), []],
    ['a short digest', APP, 'sha256:abc', []],
    ['a digest with a slash', APP, `${orphan.digest}/files`, []],
    ['a path in place of a digest', APP, '../app', []],
    ['a digest with a line break', APP, `${orphan.digest}\n`, []],
    ['an empty tag', APP, orphan.digest, ['']],
    ['a tag with a slash', APP, orphan.digest, ['v1', 'a/b']],
    ['two dots as a tag', APP, orphan.digest, ['..']],
    ['an empty repository', '', orphan.digest, []],
    ['an owner alone', 'acme', orphan.digest, []],
    ['an owner and a slash', 'acme/', orphan.digest, []],
    ['a path with dots', 'acme/../app', orphan.digest, []],
    ['a query', 'acme/app?x=', orphan.digest, []],
  ])('stops it before anything is sent: %s', async (_, repository, digest, tags) => {
    const gitea = await startScript();
    const { deleter } = openGitea(gitea.url);
    const deleted = deleter.deleteManifest(repository, digest as Digest, { tags });
    await expect(deleted).rejects.toThrow(/nothing was sent|isn't an image of Gitea/);
    expect(gitea.seen).toEqual([]);
  });
});

describe('A delete', () => {
  it('names the version of the digest, and no other', async () => {
    const gitea = await startScript();
    const { deleter } = openGitea(gitea.url);
    await expect(deleter.deleteManifest(APP, orphan.digest)).resolves.toBe('deleted');
    expect(gitea.sent()).toEqual([at(orphan.digest)]);
  });

  it('has the slashes of an image in one part of the address', async () => {
    const gitea = await startScript();
    const { deleter } = openGitea(gitea.url);
    await deleter.deleteManifest('acme/sub/deep', orphan.digest);
    expect(gitea.sent()).toEqual([
      `DELETE /api/v1/packages/acme/container/sub%2Fdeep/${encodeURIComponent(orphan.digest)}`,
    ]);
  });

  it('goes to the API that the user names, behind its path', async () => {
    const gitea = await startScript();
    const { deleter } = openGitea('http://127.0.0.1:1', {
      apiUrl: new URL(`${gitea.url}git/api/v1/`),
    });
    await deleter.deleteManifest(APP, orphan.digest);
    expect(gitea.sent()[0]).toMatch(/^DELETE \/git\/api\/v1\/packages\/acme\/container\/app\//);
  });

  it('takes the tags that still point at the digest, after the digest', async () => {
    const gitea = await startScript();
    gitea.tags.set('old', orphan.digest).set('moved', other.digest);
    const { deleter } = openGitea(gitea.url);
    const tags = ['old', 'moved', 'vanished'];
    await expect(deleter.deleteManifest(APP, orphan.digest, { tags })).resolves.toBe('deleted');
    expect(deletesIn(gitea.sent())).toEqual([at(orphan.digest), at('old')]);
  });

  it('is one of the tag alone where the digest has no version of its own', async () => {
    const gitea = await startScript(({ path }) => (path.includes('sha256') ? missing : undefined));
    gitea.tags.set('old', orphan.digest);
    const { deleter } = openGitea(gitea.url);
    const deleted = deleter.deleteManifest(APP, orphan.digest, { tags: ['old'] });
    await expect(deleted).resolves.toBe('deleted');
    expect(deletesIn(gitea.sent())).toEqual([at(orphan.digest), at('old')]);
  });

  it('finds a manifest gone where no version of it is there', async () => {
    const gitea = await startScript(({ method }) => (method === 'DELETE' ? missing : undefined));
    gitea.tags.set('old', orphan.digest);
    const { deleter } = openGitea(gitea.url);
    const deleted = deleter.deleteManifest(APP, orphan.digest, { tags: ['old'] });
    await expect(deleted).resolves.toBe('gone');
  });

  it('is not sent once it is late', async () => {
    const gitea = await startScript();
    const { deleter } = openGitea(gitea.url);
    const deleted = deleter.deleteManifest(APP, orphan.digest, { isLate: () => true });
    await expect(deleted).rejects.toThrow(TooLate);
    expect(gitea.seen).toEqual([]);
  });

  it('asks again before each tag whether it is late', async () => {
    const gitea = await startScript();
    gitea.tags.set('old', orphan.digest);
    const { deleter } = openGitea(gitea.url);
    const isLate = () => gitea.seen.some(({ method }) => method === 'DELETE');
    const deleted = deleter.deleteManifest(APP, orphan.digest, { tags: ['old'], isLate });
    await expect(deleted).rejects.toThrow(TooLate);
    expect(deletesIn(gitea.sent())).toEqual([at(orphan.digest)]);
  });

  it.each([
    [401, 'invalid username, password or token', 'unauthorized', 'Check `username` and `password`'],
    [403, 'token does not have at least one of required scope(s)', 'forbidden', '`write:package`'],
    [403, 'user should have specific permission', 'forbidden', 'write the packages of this owner'],
    [404, 'user redirect does not exist [name: acme]', 'unexpected', 'no user or organization'],
    [404, 'not found', 'hidden', 'Check the name'],
    [409, 'something else', 'unexpected', '409'],
  ])('that is refused with %i "%s" says what to do', async (status, message, kind, words) => {
    const gitea = await startScript(() => refusal(status, message));
    const { deleter } = openGitea(gitea.url);
    const what = 'delete the one';
    const refused = deleter.deleteManifest(APP, orphan.digest, { what });
    await expect(refused).rejects.toThrow(words);
    await expect(refused).rejects.toMatchObject({ kind });
    await expect(refused).rejects.toThrow(what);
    expect(gitea.seen).toHaveLength(1);
  });

  it.each<[string, number, string]>([
    ['a page', 404, '<!DOCTYPE html><html></html>'],
    ['a text', 404, 'Not found.\n'],
    ['a page that says it went well', 200, '<!DOCTYPE html><html></html>'],
  ])('is not believed gone because of %s', async (_, status, body) => {
    const gitea = await startScript(() => ({ status, body }));
    const { deleter } = openGitea(gitea.url);
    await expect(deleter.deleteManifest(APP, orphan.digest)).rejects.toThrow('could not delete');
  });

  it('does not follow an owner that was renamed', async () => {
    const gitea = await startScript(({ method, path }) =>
      method === 'DELETE' && path.includes('/acme/')
        ? { status: 307, headers: { Location: path.replace('acme', 'renamed') } }
        : undefined,
    );
    const { deleter } = openGitea(gitea.url);
    await expect(deleter.deleteManifest(APP, orphan.digest)).rejects.toThrow();
    expect(gitea.sent()).toEqual([at(orphan.digest)]);
  });

  it('is not sent without a login, and says what to give', async () => {
    const gitea = await startScript();
    const { deleter } = openGitea(gitea.url, { credentials: { kind: 'none' } });
    const deleted = deleter.deleteManifest(APP, orphan.digest);
    await expect(deleted).rejects.toThrow(/Give `username` and `password`.*`write:package`/);
    expect(gitea.seen).toEqual([]);
  });
});
