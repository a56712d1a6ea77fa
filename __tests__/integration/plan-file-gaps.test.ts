/** A plan that is carried out where something can't be read, or is a layer. On real registries. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';

import { type ActionRun, clean } from '../support/clients/run-action.js';
import { image, type Content, names } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import {
  startDockerRegistry,
  storageListing,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { apart } from '../support/clients/ledger.js';
import { push, send } from '../support/clients/push.js';
import {
  distribution3,
  dockerRegistry,
  present,
  realRegistries,
} from '../support/servers/real-registries.js';
import { deletedIn, expectGreen } from '../support/clients/outcome.js';
import { planSection, reported, planFiles } from '../support/scenes/plan-file.js';

// Many processes, one after the other, on a machine that others use, too.
jest.setTimeout(60_000);

const { file, planned } = planFiles();
const current = (repository: string) => image(`current ${repository}`);
const layerOf = ({ blobs }: Content) => present([...blobs.keys()].at(-1));

describeWith(
  'docker-registry',
  dockerRegistry,
  'plan-exact: a plan that is carried out beside a gap',
  () => {
    const repositories = ['broken/tag', 'broken/entry', 'whole/app'];
    const made = repositories.map((name) => [image(`${name} 1`), image(`${name} 2`)]);
    const [inGap, edited, whole] = made as [Content[], Content[], Content[]];
    const layer = layerOf(current('broken/entry'));
    let registry: DockerRegistry;
    let applied: ActionRun;

    beforeAll(async () => {
      registry = await startDockerRegistry(present(dockerRegistry));
      for (const [n, repository] of repositories.entries()) {
        await push(registry, repository, current(repository), 'v1');
        for (const orphan of present(made[n])) {
          await push(registry, repository, orphan);
        }
      }
      writeFileSync(file('listing.txt'), storageListing(registry.directory).join('\n'));
      const inputs = { 'digests-file': file('listing.txt'), 'ledger-repository': 'off' };
      await planned(registry, 'plan.json', inputs);
      const text = readFileSync(file('plan.json'), 'utf8');
      writeFileSync(file('edited.json'), text.replace(present(edited[0]).digest, layer));
      // The bytes of a manifest that has a tag are no longer what its digest says.
      const hex = current('broken/tag').digest.slice('sha256:'.length);
      const blob = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
      writeFileSync(path.join(registry.directory, blob), '{"schemaVersion":2}');
      applied = await clean(registry, {
        'apply-plan': file('edited.json'),
        'ledger-repository': 'off',
      });
    });

    afterAll(async () => {
      await registry.stop();
    });

    it('deletes nothing beside a tag that can’t be read', () => {
      const { left, gaps, orphans } = reported(applied, 'broken/tag');
      expect(gaps).toEqual([{ what: 'tag v1', why: expect.any(String) }]);
      expect(orphans).toEqual([]);
      expect(left).toEqual(
        inGap
          .map(({ digest }) => ({ digest, why: 'kept', reason: { kind: 'gap' } }))
          .sort((a, b) => (a.digest < b.digest ? -1 : 1)),
      );
      expect([...registry.manifests()]).toEqual(
        expect.arrayContaining(names('broken/tag', ...inGap)),
      );
    });

    it('deletes no layer for an entry that was edited to its digest, but the other entries', async () => {
      const { left = [], gaps } = reported(applied, 'broken/entry');
      expect(gaps).toEqual([]);
      expect(new Map(left.map(({ digest, why }) => [digest, why]))).toEqual(
        new Map([[layer, 'absent']]),
      );
      const now = [...registry.manifests()];
      expect(now).toEqual(expect.arrayContaining(names('broken/entry', ...edited.slice(0, 1))));
      expect(now).not.toContain(`broken/entry@${edited[1]?.digest ?? ''}`);
      const path = `/v2/broken/entry/blobs/${layer}`;
      expect((await send(registry, { method: 'HEAD', path })).status).toBe(200);
      expect(registry.log()).not.toContain(`DELETE /v2/broken/entry/manifests/${layer}`);
    });

    it('makes the job red, which says so, while other repositories are cleaned', () => {
      expect(applied.exitCode).toBe(1);
      expect(deletedIn(applied)).toEqual(
        new Set([...names('whole/app', ...whole), ...names('broken/entry', ...edited.slice(1))]),
      );
      expect(applied.log).toMatch(/^::error::broken\/tag: tag v1 couldn't be read/m);
      expect(planSection(applied)).toContain("something in its repository couldn't be read");
    });
  },
);

describeWith(
  'distribution-3',
  distribution3,
  'plan-exact: an entry that was edited to a layer',
  () => {
    it('is reported as absent, and the rest of the plan is carried out', async () => {
      const kind = present(realRegistries.find(({ name }) => name === 'distribution-3'));
      const registry = await kind.start();
      try {
        const [one, two] = [image('one'), image('two')];
        await push(registry, 'team/app', current('team/app'), 'v1');
        await push(registry, 'team/app', one);
        await push(registry, 'team/app', two);
        const digests = names('team/app', one, two).join('\n');
        await planned(registry, 'plan.json', { digests });
        const layer = layerOf(current('team/app'));
        const text = readFileSync(file('plan.json'), 'utf8').replace(one.digest, layer);
        writeFileSync(file('edited.json'), text);
        const run = await clean(registry, { 'apply-plan': file('edited.json') });
        expectGreen(run, { 'deleted-count': '1' });
        expect(reported(run, 'team/app').left).toEqual([{ digest: layer, why: 'absent' }]);
        expect(apart(registry.manifests()).users).toEqual(
          new Set(names('team/app', current('team/app'), one)),
        );
        const path = `/v2/team/app/blobs/${layer}`;
        expect((await send(registry, { method: 'HEAD', path })).status).toBe(200);
      } finally {
        await registry.stop();
      }
    });
  },
);
