/**
 * The main job on a real registry: the estate is pushed to docker-registry, the bundled action cleans it
 * from a storage listing, and the registry's own directory says what was deleted and kept.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import {
  onDisk,
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { estate, going, pushEstate, staying } from '../support/builders/estate.js';
import { describeWith } from '../support/servers/describe-with.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { findDockerRegistry } from '../support/servers/programs.js';

const program = findDockerRegistry();
const home = mkdtempSync(path.join(tmpdir(), 'estate-'));
const everything = estate(Date.now());

/** `method path` of the manifests, tags and blobs that were asked for, from the registry's own log. */
function requestsSince(registry: DockerRegistry, start: number): string[] {
  return [
    ...registry
      .log()
      .slice(start)
      .matchAll(/"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/g),
  ].map(([, method, url]) => `${method ?? ''} ${url ?? ''}`);
}

describeWith('docker-registry', program, 'a run on an estate of docker-registry', () => {
  let registry: DockerRegistry;
  const listing = path.join(home, 'listing.txt');

  beforeAll(async () => {
    if (program !== undefined) {
      registry = await startDockerRegistry(program);
      await pushEstate(registry, everything);
      writeFileSync(listing, storageListing(registry.directory).join('\n'));
    }
  }, 60_000);

  afterAll(async () => {
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const clean = (inputs: Record<string, string> = {}) =>
    runAction({ 'registry-url': registry.url, 'digests-file': listing, ...inputs });

  // The tests of this file follow each other as the runs of a workflow do.
  it('dry-run-reads: deletes nothing in a dry-run, and sends only GET and HEAD', async () => {
    const before = onDisk(registry.directory);
    const start = registry.log().length;
    const run = await clean({ 'dry-run': 'true' });
    expect(run.exitCode).toBe(0);
    expect(onDisk(registry.directory)).toEqual(before);
    const requests = requestsSince(registry, start);
    expect(requests.length).toBeGreaterThan(before.size);
    expect(requests.filter((request) => !/^(?:GET|HEAD) /.test(request))).toEqual([]);
    expect(run.outputs).toMatchObject({
      'orphans-found': String(going(everything).size),
      'deleted-count': '0',
      'deleted-digests': '[]',
    });
    for (const digest of going(everything)) {
      expect(run.summary).toContain(digest.split('@')[1]);
    }
  });

  it('in-use-stays: leaves on disk exactly the manifests that must stay', async () => {
    const run = await clean();
    expect(run.log).not.toContain('::error');
    expect(apart(onDisk(registry.directory)).users).toEqual(staying(everything));
    expect(run.exitCode).toBe(0);
    const deleted = JSON.parse(run.outputs['deleted-digests'] ?? '') as string[];
    expect(new Set(deleted)).toEqual(going(everything));
    expect(run.outputs).toMatchObject({
      'orphans-found': String(deleted.length),
      'deleted-count': String(deleted.length),
      'failed-count': '0',
    });
  });

  it('remembers the manifests that stay, in one entry for each repository that has any', async () => {
    const left = byRepository(staying(everything));
    expect(await remembered(registry)).toEqual(left);
    expect(apart(onDisk(registry.directory)).ledger.size).toBe(left.size);
  });

  it('second-run-empty: finds nothing to delete in a second run, and writes nothing', async () => {
    const before = onDisk(registry.directory);
    const start = registry.log().length;
    const run = await clean();
    expect(run.exitCode).toBe(0);
    expect(run.outputs).toMatchObject({ 'orphans-found': '0', 'deleted-count': '0' });
    const requests = requestsSince(registry, start);
    expect(requests.filter((request) => !/^(?:GET|HEAD) /.test(request))).toEqual([]);
    expect(onDisk(registry.directory)).toEqual(before);
    expect(apart(before).users).toEqual(staying(everything));
  });
});
