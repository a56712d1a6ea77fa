/**
 * Putting a backup back while others push, and without all that it needs: on real registries, with the bundled action. A
 * tag stays where somebody has set it, and the run is red.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { digestAt } from '../support/clients/manifests.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { cosign, digestTag, image, index, APP } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { SeenRequest } from '../support/servers/memory/script.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';
import { startRelayed } from '../support/scenes/relayed.js';

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

const [old, current, child] = [image('back old'), image('back current'), image('back child')];
const [signature, newer] = [cosign('sig', old), cosign('att', old)];
const list = index([old, child]);
const TAG = digestTag(old.digest, 'sig');

for (const kind of realRegistries) {
  describeWith(kind.name, kind.found, `a restore from a backup on ${kind.name}`, () => {
    let registry: RealRegistry;
    let relay: Relay;
    let backup: string;

    beforeEach(async () => {
      ({ registry, relay } = await startRelayed(kind));
      backup = mkdtempSync(path.join(tmpdir(), 'putting-back-'));
      await push(registry, APP, current, 'latest');
    });

    afterEach(() => {
      rmSync(backup, { recursive: true, force: true });
    });

    const act = (inputs: Readonly<Record<string, string>>): Promise<ActionRun> =>
      runAction({ 'registry-url': relay.url, ...kind.inputs, ...inputs });

    /** Deletes these and saves them; nothing but their names leads to them. */
    async function lose(...digests: readonly string[]): Promise<void> {
      const run = await act({
        repositories: APP,
        digests: digests.map((digest) => `${APP}@${digest}`).join('\n'),
        'backup-dir': backup,
        'grace-period': '0',
      });
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
    }
    const restore = () => act({ 'restore-from': backup });

    const pointsAt = (reference: string) => digestAt(registry, APP, reference);

    /** Somebody pushes another signature of the same image, once, after such a request was answered. */
    function meanwhile(isMeant: (request: SeenRequest) => boolean): void {
      let isDone = false;
      relay.intercept((request) => {
        if (isDone || !request.path.endsWith(`/manifests/${TAG}`) || !isMeant(request)) {
          return undefined;
        }
        isDone = true;
        return { kind: 'pass', after: () => push(registry, APP, newer, TAG) };
      });
    }

    it.each<[string, string, (request: SeenRequest) => boolean]>([
      ['after the first look', 'now, and was left there', ({ method }) => method === 'GET'],
      [
        'in the moment of the push',
        'during the restore, and it was left there',
        ({ method }) => method === 'PUT',
      ],
    ])('leaves a tag that somebody sets %s, in red', async (_, words, isMeant) => {
      await push(registry, APP, old);
      await push(registry, APP, signature, TAG);
      await lose(old.digest);
      expect(await pointsAt(TAG)).toBeUndefined();
      meanwhile(isMeant);
      const run = await restore();
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain(`${APP}:${TAG} could not be restored`);
      expect(run.log).toContain(newer.digest);
      for (const text of [run.log, run.summary, DOCS]) {
        expect(text.includes(words)).toBe(true);
      }
      expect(await pointsAt(TAG)).toBe(newer.digest);
      expect(await pointsAt(old.digest)).toBe(old.digest);
      expect(await pointsAt(signature.digest)).toBe(signature.digest);
      expect(await pointsAt('latest')).toBe(current.digest);
    });

    it('pushes no index whose child is neither there nor in the backup, in red', async () => {
      await push(registry, APP, list);
      await push(registry, APP, child, 'child');
      await lose(list.digest);
      // By somebody else, so that no backup has it.
      await fetch(`${registry.url}/v2/${APP}/manifests/${child.digest}`, { method: 'DELETE' });
      const look = await act({ 'restore-from': backup, 'dry-run': 'true' });
      expect(look.exitCode).toBe(1);
      expect(look.log).toContain(`${APP}@${list.digest} can't be restored: ${child.digest}`);
      const run = await restore();
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain(`${APP}@${list.digest} could not be restored`);
      expect(run.log).toContain(
        `${child.digest}, which it lists, is neither there nor in the backup: it was gone before`,
      );
      expect(DOCS.includes('### `is neither there nor in the backup`')).toBe(true);
      expect(await pointsAt(list.digest)).toBeUndefined();
      expect(await pointsAt(old.digest)).toBe(old.digest);
      expect(await pointsAt('latest')).toBe(current.digest);
      // With the child pushed again, all of it comes back.
      await push(registry, APP, child, 'child');
      expect((await restore()).exitCode).toBe(0);
      expect(await pointsAt(list.digest)).toBe(list.digest);
    });
  });
}
