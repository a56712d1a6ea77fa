/**
 * The estate on the other real registries: the bundled action gets every manifest that was pushed as a
 * candidate, and each registry's own directory says what was deleted and kept.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import { image, index, referrer, type Content } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startDistribution3 } from '../support/servers/distribution.js';
import { estate, going, pushEstate, staying, type Estate } from '../support/builders/estate.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { startOlareg, type OlaregOptions } from '../support/servers/olareg.js';
import { push, putManifest, send } from '../support/clients/push.js';
import {
  distribution3,
  listsLayers,
  olareg,
  present,
  realRegistries,
} from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

const whole = estate(Date.now());

/** The estate has tests of its own on docker-registry. */
const subjects = realRegistries.filter(({ name }) => name !== 'docker-registry');

function without({ pushes, expectations }: Estate, refused: ReadonlySet<Content>): Estate {
  const digests = new Set([...refused].map(({ digest }) => digest));
  return {
    pushes: pushes.filter(({ content }) => !refused.has(content)),
    expectations: expectations.filter(({ digest }) => !digests.has(digest)),
  };
}

describe.each(subjects)('$name', ({ name, found, start, refuses, ...subject }) => {
  const refused = new Set(
    whole.pushes.map(({ content }) => content).filter((content) => refuses(content)),
  );
  const everything = without(whole, refused);

  describeWith(name, found, 'an estate', () => {
    const home = mkdtempSync(path.join(tmpdir(), 'registries-'));
    const listing = path.join(home, 'digests.txt');
    const all = new Set([...staying(everything), ...going(everything)]);
    const repositories = [...new Set(everything.pushes.map((pushed) => pushed.repository))];
    let registry: RealRegistry;

    beforeAll(async () => {
      registry = await start();
      await pushEstate(registry, everything);
      writeFileSync(listing, [...all].join('\n'));
    });

    afterAll(async () => {
      await registry.stop();
      rmSync(home, { recursive: true, force: true });
    });

    const clean = (inputs: Record<string, string> = {}) =>
      runAction({
        'registry-url': registry.url,
        'digests-file': listing,
        ...(subject.hasCatalog ? {} : { repositories: repositories.join('\n') }),
        ...subject.inputs,
        ...inputs,
      });

    // The tests of this block follow each other as the runs of a workflow do.
    it('is stored whole', () => {
      expect(registry.manifests()).toEqual(all);
    });

    it('loses nothing in a dry-run', async () => {
      const run = await clean({ 'dry-run': 'true' });
      expect(run.exitCode).toBe(0);
      expect(registry.manifests()).toEqual(all);
      expect(run.outputs).toMatchObject({
        'orphans-found': String(going(everything).size),
        'deleted-count': '0',
      });
    });

    it('is left with exactly the manifests that must stay', async () => {
      const run = await clean();
      expect(run.log).not.toContain('::error');
      expect(apart(registry.manifests()).users).toEqual(staying(everything));
      expect(run.exitCode).toBe(0);
      const deleted = JSON.parse(run.outputs['deleted-digests'] ?? '') as string[];
      expect(new Set(deleted)).toEqual(going(everything));
      expect(run.outputs).toMatchObject({ 'failed-count': '0' });
    });

    it('has the kept manifests in the ledger, in one entry for each repository that has any', async () => {
      const left = byRepository(staying(everything));
      expect(await remembered(registry)).toEqual(left);
      expect(apart(registry.manifests()).ledger.size).toBe(left.size);
    });

    it('loses nothing in a second run, which writes nothing', async () => {
      const before = registry.manifests();
      const run = await clean();
      expect(run.exitCode).toBe(0);
      expect(run.outputs).toMatchObject({ 'orphans-found': '0', 'deleted-count': '0' });
      expect(registry.manifests()).toEqual(before);
      expect(apart(before).users).toEqual(staying(everything));
    });
  });

  describeWith(name, found, 'where deletes are switched off', () => {
    it('the orphan stays, and the run says so', async () => {
      const orphan = image('off 1');
      const registry = stopAfterTest(await start({ deletes: false }));
      await push(registry, 'team/app', orphan, 'latest');
      await push(registry, 'team/app', image('off 2'), 'latest');
      const run = await runAction({
        'registry-url': registry.url,
        repositories: 'team/app',
        digests: `team/app@${orphan.digest}`,
      });
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain('Deleting is switched off there');
      expect(run.log).toContain(subject.theSwitch);
      expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
      expect(registry.manifests()).toContain(`team/app@${orphan.digest}`);
    });
  });
});

describeWith('distribution-3', distribution3, 'Distribution 3, unlike 2.8,', () => {
  const caches = whole.pushes.filter(({ content }) => listsLayers(content));

  async function started(options?: { readonly deletes: boolean }): Promise<RealRegistry> {
    return stopAfterTest(await startDistribution3(present(distribution3), options));
  }

  it('takes no build cache in the older form, which lists layers', async () => {
    const registry = await started();
    expect(caches).not.toHaveLength(0);
    for (const { content, repository, tags } of caches) {
      await expect(push(registry, repository, content, ...tags)).rejects.toThrow(
        'MANIFEST_BLOB_UNKNOWN',
      );
    }
    expect(registry.manifests()).toEqual(new Set());
  });

  it('knows no manifest under the digest of a layer, and deletes no layer through it', async () => {
    const registry = await started();
    const app = image('layers');
    await push(registry, 'team/app', app, 'latest');
    for (const digest of app.blobs.keys()) {
      const manifest = `/v2/team/app/manifests/${digest}`;
      expect(await send(registry, { method: 'DELETE', path: manifest })).toMatchObject({
        status: 404,
      });
      const blob = `/v2/team/app/blobs/${digest}`;
      expect(await send(registry, { method: 'HEAD', path: blob })).toMatchObject({ status: 200 });
    }
  });

  it('only untags when it is asked to delete a tag', async () => {
    const registry = await started();
    const app = image('untagged');
    await push(registry, 'team/app', app, 'latest');
    const answer = await send(registry, {
      method: 'DELETE',
      path: '/v2/team/app/manifests/latest',
    });
    expect(answer.status).toBe(202);
    expect(registry.manifests()).toEqual(new Set([`team/app@${app.digest}`]));
  });
});

describeWith('olareg', olareg, 'olareg, unlike Distribution,', () => {
  async function started(options?: OlaregOptions): Promise<RealRegistry> {
    return stopAfterTest(await startOlareg(present(olareg), options));
  }

  it('has no catalog: the run asks for `repositories`', async () => {
    const registry = await started();
    const run = await runAction({ 'registry-url': registry.url });
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain('404 without a body');
    expect(run.log).toContain('name the repositories in `repositories`');
    expect(run.log).not.toContain('Is `registry-url` right');
  });

  it('says that it is read-only, and asks for no other credentials', async () => {
    const writable = await started();
    const orphan = image('read-only');
    await push(writable, 'team/app', orphan);
    const kept = image('read-only kept');
    await push(writable, 'team/app', kept, 'latest');
    const registry = await started({ readOnly: true, directory: writable.directory });
    const run = await runAction({
      'registry-url': registry.url,
      repositories: 'team/app',
      digests: `team/app@${orphan.digest}`,
    });
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain('says that its storage is read-only');
    expect(run.log.match(/^::warning::manifest-cleanup-ledger: .*$/gm)).toHaveLength(1);
    expect(run.log).not.toContain('The credentials lack the scope');
    expect(registry.manifests()).toEqual(
      new Set([`team/app@${orphan.digest}`, `team/app@${kept.digest}`]),
    );
  });

  it('forgets the child of an index that is deleted, unless another index has it', async () => {
    const registry = await started();
    const [shared, alone] = [image('shared'), image('alone')];
    const [gone, kept] = [index([shared, alone]), index([shared])];
    await push(registry, 'team/app', gone);
    await push(registry, 'team/app', kept, 'latest');
    const run = await runAction({
      'registry-url': registry.url,
      repositories: 'team/app',
      digests: `team/app@${gone.digest}`,
    });
    expect(run.exitCode).toBe(0);
    const left = new Set([kept, shared].map(({ digest }) => `team/app@${digest}`));
    expect(apart(registry.manifests()).users).toEqual(left);
    expect(await remembered(registry)).toEqual(byRepository(left));
  });

  it('serves none of the referrers that are deleted at the same time, and has none when it stops', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'olareg-referrers-'));
    try {
      const registry = await started({ directory });
      const [live, dead] = [image('stays'), image('goes')];
      const referrers = Array.from({ length: 12 }, (_, n) => referrer(String(n), dead));
      await push(registry, 'team/app', live, 'latest');
      for (const content of [dead, ...referrers]) {
        await push(registry, 'team/app', content);
      }
      const gone = [dead, ...referrers];
      const run = await runAction({
        'registry-url': registry.url,
        repositories: 'team/app',
        digests: gone.map(({ digest }) => `team/app@${digest}`).join('\n'),
      });
      expect(run.exitCode).toBe(0);
      const statuses = await Promise.all(
        gone.map(async ({ digest, mediaType }) => {
          const manifest = `/v2/team/app/manifests/${digest}`;
          const headers = { accept: mediaType };
          return (await send(registry, { method: 'GET', path: manifest, headers })).status;
        }),
      );
      expect(new Set(statuses)).toEqual(new Set([404]));
      const left = new Set([`team/app@${live.digest}`]);
      expect(await remembered(registry)).toEqual(byRepository(left));
      await registry.stop();
      const { users, ledger } = apart(registry.manifests());
      expect(users).toEqual(left);
      expect(ledger.size).toBe(1);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('serves the kept manifests, and nothing else, after a restart', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'olareg-restart-'));
    try {
      const before = await started({ directory });
      const [live, dead] = [image('live'), image('dead')];
      const [liveSbom, deadSbom] = [referrer('live', live), referrer('dead', dead)];
      for (const content of [live, dead, liveSbom, deadSbom]) {
        await push(before, 'team/app', content);
      }
      await putManifest(before, 'team/app', live, 'latest');
      const digests = [live, dead, liveSbom, deadSbom].map(({ digest }) => `team/app@${digest}`);
      const run = await runAction({
        'registry-url': before.url,
        repositories: 'team/app',
        digests: digests.join('\n'),
      });
      expect(run.exitCode).toBe(0);
      await before.stop();
      const after = await started({ directory });
      const statuses = await Promise.all(
        [live, liveSbom, dead, deadSbom].map(async ({ digest, mediaType }) => {
          const answer = await send(after, {
            method: 'GET',
            path: `/v2/team/app/manifests/${digest}`,
            headers: { accept: mediaType },
          });
          return answer.status;
        }),
      );
      expect(statuses).toEqual([200, 200, 404, 404]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
