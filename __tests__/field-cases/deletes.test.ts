/**
 * Deletes that are answered and not carried out, on real registries behind a relay that answers in their place: as
 * people reported it of registries, of proxies in front of them, and of accounts without rights.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';

import { restoreRepository } from '../../src/run/restore-repository.js';
import { openRegistry } from '../../src/registry/families/families.js';
import { runAction } from '../support/clients/run-action.js';
import { connect, run, type Ran } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { errorAnswer } from '../support/clients/client.js';
import { deleteManifest, digestAt } from '../support/clients/manifests.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { Action, Interceptor } from '../support/servers/memory/script.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';
import { startRelayed } from '../support/scenes/relayed.js';
import { endsOf } from '../support/builders/fates.js';

silence();

const APP = 'team/app';
const old = image('field old');
const list = index([old]);
const current = image('field current');
const sig = cosign('sig', old);
const tag = digestTag(old.digest, 'sig');

const LIES: readonly [string, Action, string][] = [
  ['200', { kind: 'answer', status: 200 }, 'the registry took the DELETE'],
  ['202', { kind: 'answer', status: 202 }, 'the registry took the DELETE'],
  ['204', { kind: 'answer', status: 204 }, 'the registry took the DELETE'],
  ['200 with errors', errorAnswer(200, 'DENIED', 'no'), 'answered 200 (DENIED no)'],
  [
    '404 MANIFEST_UNKNOWN',
    errorAnswer(404, 'MANIFEST_UNKNOWN', 'no'),
    'answered the DELETE with 404',
  ],
  ['404 NAME_UNKNOWN', errorAnswer(404, 'NAME_UNKNOWN', 'no'), 'answered the DELETE with 404'],
];

describe.each(realRegistries)('$name', (kind) => {
  describeWith(kind.name, kind.found, 'evidence: a DELETE that is not carried out', () => {
    let registry: RealRegistry;
    let relay: Relay;

    beforeEach(async () => {
      ({ registry, relay } = await startRelayed(kind));
    });

    const isThere = async (reference: string) =>
      (await digestAt(registry, APP, reference)) !== undefined;

    /** Answers every DELETE in the cleaned repository so, and lets none through. */
    const lying =
      (action: Action): Interceptor =>
      ({ method, route }) =>
        method === 'DELETE' && route.kind === 'manifest' && route.repository === APP
          ? action
          : undefined;

    const clean = (...candidates: readonly Content[]): Promise<Ran> =>
      run({
        url: relay.url,
        repositories: [APP],
        candidates: new Map([[APP, new Set(candidates.map(({ digest }) => digest))]]),
        ledgerRepository: 'ledger/of-this-test',
      });

    it.each(LIES)('has failed, and is remembered: %s', async (_, action, why) => {
      await push(registry, APP, list, 'latest');
      await push(registry, APP, current, 'latest');
      relay.intercept(lying(action));
      const { run: first, complaints } = await clean(list);
      expect(first?.repositories.map(endsOf)[0]).toMatchObject({
        deleted: [],
        gone: [],
        failed: [{ digest: list.digest }],
        skipped: [{ digest: old.digest }],
      });
      expect(complaints.join('\n')).toContain(why);
      expect(await isThere(old.digest)).toBe(true);
      // Nothing names them any more, but for the ledger.
      relay.intercept();
      const second = await clean();
      expect(second.complaints).toEqual([]);
      expect(second.run?.repositories.map(endsOf)[0]?.deleted).toEqual([list.digest, old.digest]);
      expect([await isThere(list.digest), await isThere(old.digest)]).toEqual([false, false]);
      expect((await clean()).plans.flatMap(({ orphans }) => orphans)).toEqual([]);
    });

    it('is reported in log, summary, outputs and report, with what to do', async () => {
      await push(registry, APP, old, 'latest');
      await push(registry, APP, current, 'latest');
      relay.intercept(lying(errorAnswer(404, 'NAME_UNKNOWN', 'no')));
      const done = await runAction({
        'registry-url': relay.url,
        repositories: APP,
        digests: `${APP}@${old.digest}`,
        ...kind.inputs,
      });
      expect(done.exitCode).toBe(1);
      for (const text of [done.log, done.summary]) {
        expect(text).toContain('answered the DELETE with 404, and the manifest is still there');
        expect(text).toMatch(/of an account that may/);
      }
      expect(done.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
      expect(done.report).toMatchObject({
        totals: { deleted: 0, gone: 0, failed: 1, freedBytes: 0 },
      });
      expect(await isThere(old.digest)).toBe(true);
    });

    it('costs an honest registry one HEAD for each', async () => {
      await push(registry, APP, list, 'latest');
      await push(registry, APP, current, 'latest');
      const asked: string[] = [];
      let isDeleting = false;
      relay.intercept(({ method, route }) => {
        isDeleting ||= method === 'DELETE';
        const isOrphan =
          route.kind === 'manifest' &&
          [list.digest, old.digest].some((one) => one === route.reference);
        if (isDeleting && isOrphan && method !== 'DELETE') {
          asked.push(`${method} ${route.reference}`);
        }
        return undefined;
      });
      expect((await clean(list)).complaints).toEqual([]);
      // olareg answers HEAD with a 404 in plain text, and one GET tells what that means.
      const more = kind.name === 'olareg' ? [`GET ${list.digest}`] : [];
      expect(asked).toEqual([`HEAD ${list.digest}`, ...more, `HEAD ${old.digest}`]);
    });

    it('has failed for a signature whose tag still serves it', async () => {
      await push(registry, APP, old, 'latest');
      await push(registry, APP, sig, tag);
      await push(registry, APP, current, 'latest');
      let isDeleted = false;
      relay.intercept(({ method, route }) => {
        const isSig = route.kind === 'manifest' && route.reference === sig.digest;
        isDeleted ||= isSig && method === 'DELETE';
        return isSig && isDeleted
          ? method === 'DELETE'
            ? { kind: 'answer', status: 202 }
            : errorAnswer(404, 'MANIFEST_UNKNOWN', 'no')
          : undefined;
      });
      const done = await runAction({
        'registry-url': relay.url,
        repositories: APP,
        digests: `${APP}@${old.digest}`,
        ...kind.inputs,
      });
      expect(done.exitCode).toBe(1);
      expect(done.log).toContain(`its tag ${tag} still serves it`);
      expect(done.outputs).toMatchObject({ 'deleted-count': '1', 'failed-count': '1' });
    });

    describe('a restore', () => {
      const client = () => {
        const { transport, quote } = connect({ url: relay.url });
        const settings = { registry: new URL(relay.url), registryType: 'auto' };
        const { reader, pusher } = openRegistry(settings, { ...transport, quote });
        return { transport, reader, pusher };
      };
      const saved = ({ digest, mediaType, bytes }: Content, ...tags: string[]) => ({
        digest,
        mediaType,
        bytes,
        tags,
      });
      const restore = async (...lost: readonly ReturnType<typeof saved>[]) => {
        const { transport, ...options } = client();
        try {
          return await restoreRepository(APP, lost, { ...options, concurrency: 2 });
        } finally {
          transport.close();
        }
      };

      it('is red for an index whose child is absent, and pushes nothing', async () => {
        await push(registry, APP, list);
        await deleteManifest(registry, APP, list.digest);
        await deleteManifest(registry, APP, old.digest);
        expect(await restore(saved(list, 'v1'))).toMatchObject({
          restored: [],
          failed: [{ digest: list.digest, why: expect.stringContaining(old.digest) }],
          failedTags: [{ tag: 'v1' }],
        });
        expect([await isThere(list.digest), await isThere('v1')]).toEqual([false, false]);
        expect(await restore(saved(list, 'v1'), saved(old))).toMatchObject({
          failed: [],
          tags: ['v1'],
        });
      });

      it('leaves a tag where a push has set it since the survey', async () => {
        await push(registry, APP, old);
        await deleteManifest(registry, APP, old.digest);
        let asked = 0;
        relay.intercept(({ method, path }) =>
          method === 'GET' && path.endsWith('/manifests/v1')
            ? {
                kind: 'pass',
                after: async () => {
                  asked += 1;
                  if (asked === 1) {
                    await push(registry, APP, current, 'v1');
                  }
                },
              }
            : undefined,
        );
        expect(await restore(saved(old, 'v1'))).toMatchObject({
          restored: [old.digest],
          failedTags: [{ tag: 'v1', why: expect.stringContaining(current.digest) }],
        });
        expect(await digestAt(registry, APP, 'v1')).toBe(current.digest);
      });
    });
  });
});
