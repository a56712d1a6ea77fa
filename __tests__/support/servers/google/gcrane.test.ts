/** Google's own client, against the simulated registry: it reads what we serve, and our refusals are its own. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { OCI_INDEX, OCI_MANIFEST } from '../../../../src/oci/media-types.js';
import { image, index, OLD } from '../../builders/build.js';
import { seed } from '../../clients/push.js';
import { describeWith } from '../describe-with.js';
import { findGcrane } from '../go-programs.js';
import { basicHeader } from '../memory/auth.js';
import {
  startGoogleRegistry,
  type GoogleRegistry,
  type GoogleRegistryOptions,
} from './registry.js';

const NAME = 'project/repo/app';
const [one, two] = [image('one'), image('two')];
const pair = index([image('amd'), image('arm')]);

const KEY = '{"type":"service_account"}';

const gcrane = findGcrane();

/** The client's home: a Docker config at most. */
let home: string;
let registry: GoogleRegistry;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'gcrane-'));
});

afterEach(async () => {
  await registry.stop();
  rmSync(home, { recursive: true });
});

async function start(options: GoogleRegistryOptions = {}): Promise<void> {
  registry = await startGoogleRegistry(options);
}

/** @returns what it wrote to stdout. Rejects with what it wrote to stderr when it fails. */
async function run(...parameters: readonly string[]): Promise<string> {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: home, DOCKER_CONFIG: home };
  return (await promisify(execFile)(gcrane ?? '', parameters, { env })).stdout;
}

/** Leaves the key where `docker login` would. */
function login(): void {
  const [, auth] = basicHeader('_json_key', KEY).split(' ');
  const config = { auths: { [registry.host]: { auth } } };
  writeFileSync(path.join(home, 'config.json'), JSON.stringify(config));
}

function at(reference = '', name = NAME): string {
  return `${registry.host}/${name}${reference}`;
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

describeWith('gcrane', gcrane, "Google's own client", () => {
  it('reads digests, types, tags and times of all manifests', async () => {
    await start();
    seed(registry.state, NAME, one, 'v1', 'latest');
    seed(registry.state, NAME, pair);
    registry.setUploadTime(NAME, one.digest, 1_700_000_000_123);
    const list = JSON.parse(await run('ls', '--json', at())) as Record<string, unknown>;
    const untagged = (mediaType: string, timeCreatedMs: number) =>
      expect.objectContaining({
        mediaType,
        timeCreatedMs: String(timeCreatedMs),
        timeUploadedMs: String(Date.parse(OLD)),
      });
    expect(list).toEqual({
      name: NAME,
      child: [],
      tags: ['latest', 'v1'],
      manifest: {
        [one.digest]: {
          imageSizeBytes: expect.stringMatching(/^\d+$/),
          mediaType: OCI_MANIFEST,
          tag: ['latest', 'v1'],
          timeCreatedMs: String(Date.parse(OLD)),
          timeUploadedMs: '1700000000123',
        },
        [pair.digest]: untagged(OCI_INDEX, 0),
        [pair.children[0]?.digest ?? '']: untagged(OCI_MANIFEST, Date.parse(OLD)),
        [pair.children[1]?.digest ?? '']: untagged(OCI_MANIFEST, Date.parse(OLD)),
      },
    });
  });

  it('collects exactly the untagged manifests of a repository and of those below it', async () => {
    await start();
    seed(registry.state, NAME, one, 'v1');
    seed(registry.state, NAME, two);
    seed(registry.state, `${NAME}/below`, pair, 'v1');
    const [amd, arm] = pair.children;
    const expected = [
      at(`@${two.digest}`),
      at(`/below@${amd?.digest ?? ''}`),
      at(`/below@${arm?.digest ?? ''}`),
    ];
    expect(lines(await run('gc', '-r', at('', 'project/repo')))).toEqual(expected.sort());
  });

  it('copies a repository with its tags and its untagged manifests', async () => {
    await start();
    seed(registry.state, NAME, one, 'v1', 'v2');
    seed(registry.state, NAME, two);
    await run('cp', '-r', at(), at('', 'project/copy/app'));
    const copy = registry.state.repositories.get('project/copy/app');
    expect(new Map([...(copy?.tags ?? [])].sort())).toEqual(
      new Map([
        ['v1', one.digest],
        ['v2', one.digest],
      ]),
    );
    expect(new Set(copy?.manifests.keys())).toEqual(new Set([one.digest, two.digest]));
  });

  it('deletes a tag and keeps its manifest', async () => {
    await start();
    seed(registry.state, NAME, one, 'v1', 'v2');
    await run('delete', at(':v1'));
    expect(registry.state.repositories.get(NAME)?.tags).toEqual(new Map([['v2', one.digest]]));
    expect(registry.manifests()).toEqual(new Set([`${NAME}@${one.digest}`]));
  });

  it('is refused the manifest of a tag, and a child of an index', async () => {
    await start();
    seed(registry.state, NAME, one, 'v1');
    seed(registry.state, NAME, pair);
    const before = registry.manifests();
    await expect(run('delete', at(`@${one.digest}`))).rejects.toThrow(
      'GOOGLE_MANIFEST_DANGLING_TAG: Manifest is still referenced by tag: v1',
    );
    await expect(run('delete', at(`@${pair.children[0]?.digest ?? ''}`))).rejects.toThrow(
      'GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE: Manifest is still referenced by one or more parent',
    );
    expect(registry.manifests()).toEqual(before);
    await run('delete', at(`@${pair.digest}`));
    expect(registry.manifests()).not.toContain(`${NAME}@${pair.digest}`);
  });

  it('is refused without credentials, and exchanges those of its Docker config', async () => {
    await start({ auth: { keyJson: KEY } });
    seed(registry.state, NAME, one);
    await expect(run('gc', at())).rejects.toThrow('DENIED: Unauthenticated request.');
    login();
    expect(lines(await run('gc', at()))).toEqual([at(`@${one.digest}`)]);
    await run('delete', at(`@${one.digest}`));
    expect(registry.manifests()).toEqual(new Set());
  });

  it('says which right its account lacks', async () => {
    await start({ auth: { keyJson: KEY, may: (action) => action !== 'delete' } });
    seed(registry.state, NAME, one);
    login();
    await expect(run('delete', at(`@${one.digest}`))).rejects.toThrow(
      'DENIED: Permission "artifactregistry.repositories.deleteArtifacts" denied',
    );
    expect(registry.manifests().size).toBe(1);
  });
});
