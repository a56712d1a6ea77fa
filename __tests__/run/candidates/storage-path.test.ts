import { describe, expect, it } from '@jest/globals';

import { readStoragePath } from '../../../src/run/candidates/storage-path.js';
import { digest } from '../../support/builders/candidates.js';

const A = digest('a');
const HEX = 'a'.repeat(64);
const V2 = '/var/lib/registry/docker/registry/v2';
const REVISION = `_manifests/revisions/sha256/${HEX}`;

describe('readStoragePath', () => {
  it.each([
    ['find', `${V2}/repositories/team/app/${REVISION}/link`, 'team/app'],
    ['find, a directory', `${V2}/repositories/team/app/${REVISION}`, 'team/app'],
    ['ls -F', `${V2}/repositories/team/app/${REVISION}/`, 'team/app'],
    ['ls -R, a heading', `${V2}/repositories/team/app/${REVISION}:`, 'team/app'],
    [
      'ls -l',
      `-rw-r--r-- 1 root root 71 Nov 23 09:05 ${V2}/repositories/app/${REVISION}/link`,
      'app',
    ],
    [
      'aws s3 ls --recursive',
      `2026-11-23 09:05:19         71 docker/registry/v2/repositories/a/b/c/d/${REVISION}/link`,
      'a/b/c/d',
    ],
    [
      'gsutil ls -l',
      `        71  2026-11-23T09:05:19Z  gs://bucket/docker/registry/v2/repositories/app/${REVISION}/link`,
      'app',
    ],
    [
      'an inventory in CSV',
      `"bucket","x/docker/registry/v2/repositories/app/${REVISION}/link","71"`,
      'app',
    ],
    ['a path with spaces', `/my data/docker/registry/v2/repositories/app/${REVISION}/link`, 'app'],
    [
      'Windows',
      `D:\\docker\\registry\\v2\\repositories\\app\\${REVISION.replaceAll('/', '\\')}\\link`,
      'app',
    ],
    ['a listing made in v2/', `repositories/team/app/${REVISION}/link`, 'team/app'],
    ['a listing made in repositories/', `./team/app/${REVISION}/link`, 'team/app'],
    [
      'a tag’s history',
      `${V2}/repositories/app/_manifests/tags/v1/index/sha256/${HEX}/link`,
      'app',
    ],
    [
      'a name with `repositories`',
      `${V2}/repositories/team/repositories/web/${REVISION}/link`,
      'team/repositories/web',
    ],
    [
      'a root with `repositories`',
      `/srv/repositories${V2}/repositories/app/${REVISION}/link`,
      'app',
    ],
    [
      'a log of the collector',
      `time="2026-11-23T09:05:19Z" level=info msg="deleting manifest: /docker/registry/v2/repositories/app/${REVISION}" go.version=go1.19.8`,
      'app',
    ],
  ])('%s names a manifest', (_, line, repository) => {
    expect(readStoragePath(line)).toEqual({ kind: 'manifest', repository, digest: A });
  });

  it('a path with a sha512 digest names a manifest', () => {
    const hex = 'b'.repeat(128);
    expect(
      readStoragePath(`${V2}/repositories/app/_manifests/revisions/sha512/${hex}/link`),
    ).toEqual({ kind: 'manifest', repository: 'app', digest: `sha512:${hex}` });
  });

  it.each([
    V2,
    `${V2}/repositories`,
    `${V2}/repositories/team/app`,
    `${V2}/repositories/team/app/_layers`,
    `${V2}/repositories/team/app/_layers/sha256/${HEX}/link`,
    `repositories/team/app/_layers/sha256/${HEX}/link`,
    `./team/app/_layers/sha256/${HEX}`,
    `${V2}/repositories/team/app/_uploads/7d5b/hashstates/sha256/0`,
    `${V2}/repositories/team/app/_manifests`,
    `${V2}/repositories/team/app/_manifests/revisions`,
    `${V2}/repositories/team/app/_manifests/revisions/sha256`,
    `${V2}/repositories/team/app/_manifests/tags/v1`,
    `${V2}/repositories/team/app/_manifests/tags/v1/current/link`,
    `${V2}/repositories/team/app/_manifests/tags/v1/index/sha256`,
    `${V2}/blobs/sha256/aa/${HEX}/data`,
    `blobs/sha256/aa/${HEX}/data`,
  ])('%s is known, and names no manifest', (line) => {
    expect(readStoragePath(line)).toEqual({ kind: 'known' });
  });

  it.each([
    `${V2}/repositories/Team/app/${REVISION}/link`,
    `${V2}/repositories/${REVISION}/link`,
    `/elsewhere/team/app/${REVISION}/link`,
    `${V2}/repositories/app/${REVISION}0/link`,
    `${V2}/repositories/app/${REVISION.slice(0, -1)}/link`,
    `${V2}/repositories/app/_manifests/revisions/sha384/${HEX}/link`,
  ])('%s is malformed', (line) => {
    expect(readStoragePath(line)).toEqual({ kind: 'malformed' });
  });

  it.each(['', 'team/app', 'a_layers/b', '/home/me/notes.txt'])(
    '%j is not a path of the storage',
    (line) => {
      expect(readStoragePath(line)).toBeUndefined();
    },
  );
});
