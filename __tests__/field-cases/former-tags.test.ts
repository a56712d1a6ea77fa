/**
 * A tag that is lost, or only seems to have moved on, and what it pointed at is deleted because of that: the backup knows
 * the tag, and a restore brings it back, if it points at nothing by then. On real registries.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { deleteManifest, digestAt } from '../support/clients/manifests.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { silence } from '../support/scenes/captured-output.js';
import { image, index } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

silence();

const APP = 'team/app';
const whole = index([image('amd64'), image('arm64')]);
const part = image('somewhere else');
const anchor = image('anchor');

for (const kind of realRegistries) {
  describeWith(
    kind.name,
    kind.found,
    `the former tag of a deleted manifest on ${kind.name}`,
    () => {
      let registry: RealRegistry;
      let backup: string;

      beforeEach(async () => {
        registry = stopAfterTest(await kind.start());
        backup = mkdtempSync(path.join(tmpdir(), 'former-tags-'));
        await push(registry, APP, anchor, 'anchor');
        await push(registry, APP, whole, 'latest');
        expect((await act()).exitCode).toBe(0);
        await push(registry, APP, part, 'latest');
        const swept = await act({ 'backup-dir': backup });
        expect(swept.outputs).toMatchObject({ 'deleted-count': '3', 'failed-count': '0' });
      });

      afterEach(() => {
        rmSync(backup, { recursive: true });
      });

      const act = (more: Readonly<Record<string, string>> = {}): Promise<ActionRun> =>
        runAction({
          'registry-url': registry.url,
          repositories: APP,
          'grace-period': '0',
          'max-deletes': '100%',
          ...kind.inputs,
          ...more,
        });
      const restore = () =>
        runAction({ 'registry-url': registry.url, 'restore-from': backup, ...kind.inputs });
      const latest = () => digestAt(registry, APP, 'latest');

      it('comes back with it where it points at nothing', async () => {
        await deleteManifest(registry, APP, part.digest);
        expect(await latest()).toBeUndefined();
        const back = await restore();
        expect(back.log).not.toContain('::error');
        expect(back.exitCode).toBe(0);
        expect(back.log).toContain('tag latest points at its manifest again');
        expect(await latest()).toBe(whole.digest);
      });

      it('stays where it points elsewhere, and that is no failure', async () => {
        const back = await restore();
        expect(back.exitCode).toBe(0);
        expect(await latest()).toBe(part.digest);
      });
    },
  );
}
