/**
 * What a run leaves that was killed at its deletes, and what it could not see: pushes that met a DELETE, and indexes
 * that share a child with what was deleted. On real registries; a relay holds the requests back.
 */
import { readFileSync } from 'node:fs';

import { beforeEach, describe, expect, it } from '@jest/globals';

import { jsonAnswer } from '../support/clients/client.js';
import { digestAt } from '../support/clients/manifests.js';
import { hurried } from '../support/clients/hurry.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { run, type Ran, type RunOptions } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { SeenRequest } from '../support/servers/memory/script.js';
import { push, send } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';
import { startRelayed } from '../support/scenes/relayed.js';

silence();

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
const APP = 'team/app';
const LEDGER = 'ledger/of-this-test';
const shared = image('shared');
const old = index([shared]);
const current = image('current');
const other = image('other');
/** Pushed over the child of `old`: clients do not send again what is there. */
const late = index([shared, other]);
const RESTORED = 'It was restored from the ledger';

const isDelete =
  (content: Content) =>
  ({ method, route }: SeenRequest): boolean =>
    method === 'DELETE' && route.kind === 'manifest' && route.reference === content.digest;

describe.each(realRegistries)('$name', (kind) => {
  describeWith(kind.name, kind.found, 'needed-returns: a run that was killed', () => {
    let registry: RealRegistry;
    let relay: Relay;

    beforeEach(async () => {
      ({ registry, relay } = await startRelayed(kind));
    });

    const isThere = async (reference: string) =>
      (await digestAt(registry, APP, reference)) !== undefined;

    const act = (killer?: AbortSignal): Promise<ActionRun> =>
      runAction(
        {
          'registry-url': relay.url,
          repositories: APP,
          'ledger-repository': LEDGER,
          'grace-period': '0',
          'max-deletes': '100%',
          ...kind.inputs,
        },
        { ...hurried, ...(killer === undefined ? {} : { killer }) },
      );
    const clean = (more: Partial<RunOptions> = {}): Promise<Ran> =>
      run({
        url: relay.url,
        repositories: [APP],
        candidates: new Map(),
        ledgerRepository: LEDGER,
        ...more,
      });

    /** `old` was in use when a run came by, and has lost its tag. */
    async function moveTag(): Promise<void> {
      await push(registry, APP, old, 'latest');
      expect((await clean()).green).toBe(true);
      await push(registry, APP, current, 'latest');
    }

    /** The run is killed when it has sent the DELETE of the shared child; the push comes right before that. */
    async function killAtDelete(isCarriedOut: boolean): Promise<void> {
      const killer = new AbortController();
      relay.intercept(async (request) => {
        if (!isDelete(shared)(request)) {
          return undefined;
        }
        await push(registry, APP, late, 'v2');
        if (isCarriedOut) {
          return { kind: 'pass', after: () => killer.abort() };
        }
        killer.abort();
        return { kind: 'hang' };
      });
      expect((await act(killer.signal)).exitCode).toBeNull();
      relay.intercept();
    }

    it('is followed by one that restores a manifest that a push has begun to use, and is red', async () => {
      await moveTag();
      await killAtDelete(true);
      expect([await isThere('v2'), await isThere(shared.digest)]).toEqual([true, false]);

      const dry = await clean({ dryRun: true });
      expect(dry.complaints.join('\n')).toContain('A real run restores it from the ledger');
      expect(await isThere(shared.digest)).toBe(false);

      const next = await act();
      expect(next.exitCode).toBe(1);
      for (const text of [next.log, next.summary, JSON.stringify(next.report)]) {
        expect(text).toContain(RESTORED);
      }
      expect(await isThere(shared.digest)).toBe(true);
      expect((await clean()).complaints).toEqual([]);
      expect(await isThere(shared.digest)).toBe(true);
    });

    it('is followed by one that says so if it can’t restore it', async () => {
      await moveTag();
      await killAtDelete(true);
      relay.intercept(({ method, route }) =>
        method === 'PUT' && route.kind === 'manifest' && route.repository === APP
          ? { kind: 'answer', status: 403 }
          : undefined,
      );
      const { exitCode, log } = await act();
      expect(exitCode).toBe(1);
      expect(log).toMatch(
        new RegExp(`manifest ${shared.digest} is needed and gone: .* Push that image again`),
      );
      const heading = "since it can't be restored from the ledger";
      expect(log).toContain(heading);
      expect(DOCS).toContain(`### \`${heading}`);
      expect(DOCS).toContain(`### \`${RESTORED}`);
      relay.intercept();
      expect((await clean()).complaints.join('\n')).toContain(RESTORED);
      expect(await isThere(shared.digest)).toBe(true);
    });

    it('may still have its DELETE carried out: the next one waits for it, and restores', async () => {
      await moveTag();
      await killAtDelete(false);
      const waits: number[] = [];
      const next = await clean({
        onSleep: async (milliseconds) => {
          waits.push(milliseconds);
          // Only now the registry comes to it.
          await fetch(`${registry.url}/v2/${APP}/manifests/${shared.digest}`, { method: 'DELETE' });
        },
      });
      expect(waits).toEqual([30_000]);
      expect(next.complaints.join('\n')).toContain(RESTORED);
      expect(await isThere(shared.digest)).toBe(true);
      expect((await clean()).complaints).toEqual([]);
    });

    it('is awaited once, and never after a run that came to its end', async () => {
      await moveTag();
      await killAtDelete(false);
      const waits: number[] = [];
      const onSleep = async (milliseconds: number) => {
        waits.push(milliseconds);
      };
      expect((await clean({ onSleep })).green).toBe(true);
      expect((await clean({ onSleep })).green).toBe(true);
      expect(waits).toEqual([30_000]);
      expect(await isThere(shared.digest)).toBe(true);
    });

    it('leaves a tag that the next one makes whole again', async () => {
      await push(registry, APP, current, 'latest');
      await push(registry, APP, old, 'v1');
      expect((await clean()).green).toBe(true);
      await push(registry, APP, current, 'v1');
      const killer = new AbortController();
      relay.intercept((request) => {
        if (!isDelete(old)(request)) {
          return undefined;
        }
        return { kind: 'pass', after: () => killer.abort() };
      });
      expect((await act(killer.signal)).exitCode).toBeNull();
      // As if a push of a new tag had met the DELETE: the tag is listed, and resolves with its manifest only.
      let isListed = true;
      relay.intercept(({ method, route }) => {
        if (method === 'PUT' && route.kind === 'manifest' && route.reference === old.digest) {
          isListed = false;
          return { kind: 'pass', after: () => push(registry, APP, old, 'v9') };
        }
        return isListed && method === 'GET' && route.kind === 'tags' && route.repository === APP
          ? jsonAnswer({ name: APP, tags: ['latest', 'v1', 'v9'] })
          : undefined;
      });
      const next = await clean();
      expect(next.complaints.join('\n')).toContain(RESTORED);
      expect([await isThere('v9'), await isThere(shared.digest)]).toEqual([true, true]);
      expect((await clean()).complaints).toEqual([]);
      expect(await isThere('v9')).toBe(true);
    });
  });

  describeWith(kind.name, kind.found, 'needed-returns: an index that no run saw', () => {
    let registry: RealRegistry;

    beforeEach(async () => {
      registry = stopAfterTest(await kind.start());
    });

    it('gets back the child that was deleted, with its signature, once something in use needs it', async () => {
      const clean = () =>
        run({
          url: registry.url,
          repositories: [APP],
          candidates: new Map(),
          ledgerRepository: LEDGER,
        });
      const signature = cosign('sig', shared);
      const tag = digestTag(shared.digest, 'sig');
      await push(registry, APP, old, 'latest');
      await push(registry, APP, signature, tag);
      expect((await clean()).green).toBe(true);
      await push(registry, APP, late);
      await push(registry, APP, current, 'latest');
      const swept = await clean();
      expect(swept.complaints).toEqual([]);
      expect(swept.run?.repositories[0]?.fates.get(shared.digest)).toEqual({ kind: 'deleted' });

      // A client pushes what has it as a child, and does not look further than that.
      const { bytes: body, mediaType } = index([late]);
      const pushed = await send(registry, {
        method: 'PUT',
        path: `/v2/${APP}/manifests/v2`,
        headers: { 'content-type': mediaType },
        body,
      });
      expect(pushed.status).toBe(201);
      const { complaints, run: repaired } = await clean();
      expect(complaints.join('\n')).toContain(RESTORED);
      expect(repaired?.repositories[0]?.repair?.restored).toEqual(
        [shared.digest, signature.digest].sort(),
      );
      expect((await clean()).complaints).toEqual([]);
      expect(await digestAt(registry, APP, tag)).toBe(signature.digest);
    });
  });
});
