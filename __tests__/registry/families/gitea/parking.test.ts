/** Blobs that are kept before a delete. That the real server keeps them is shown on it. */
import { describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../../src/oci/digest.js';
import { digestOf } from '../../../../src/oci/digest.js';
import { openGitea, startScript } from '../../../support/scenes/gitea-script.js';

const blob = digestOf(Buffer.from('layer'));

describe('A blob that is to stay', () => {
  it('is mounted from its image into itself', async () => {
    const gitea = await startScript(() => ({ status: 201 }));
    await openGitea(gitea.url).parking?.park('acme/sub/app', blob);
    const [sent = ''] = gitea.sent();
    const [method, path = ''] = sent.split(' ');
    const url = new URL(path, gitea.url);
    expect([method, url.pathname]).toEqual(['POST', '/v2/acme/sub/app/blobs/uploads/']);
    expect(Object.fromEntries(url.searchParams)).toEqual({ mount: blob, from: 'acme/sub/app' });
    expect(gitea.seen).toHaveLength(1);
  });

  it.each<[string, number, string]>([
    ['starts an upload', 202, 'starts an upload'],
    ['says that it went well without having done it', 200, 'keep the blob'],
    ['has no room', 403, 'keep the blob'],
    ['has no such route', 404, 'keep the blob'],
  ])('rejects where the server %s', async (_, status, words) => {
    const gitea = await startScript(() => ({ status, body: {} }));
    const parked = openGitea(gitea.url).parking?.park('acme/app', blob);
    await expect(parked).rejects.toThrow(words);
    await expect(parked).rejects.toThrow(blob);
  });

  it.each<[string, string, string]>([
    ['an empty digest', 'acme/app', ''],
    ['a digest with a query', 'acme/app', `${blob}&from=x`],
    ['an empty repository', '', blob],
    ['a path with dots', 'acme/../app', blob],
  ])('is not asked for by %s', async (_, repository, digest) => {
    const gitea = await startScript(() => ({ status: 201 }));
    const parked = openGitea(gitea.url).parking?.park(repository, digest as Digest);
    await expect(parked).rejects.toThrow('nothing was sent');
    expect(gitea.seen).toEqual([]);
  });

  it('stays a day', async () => {
    const gitea = await startScript();
    expect(openGitea(gitea.url).parking?.window).toBe(24 * 60 * 60 * 1000);
  });
});
