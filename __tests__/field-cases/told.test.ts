/**
 * What goes wrong in the middle of a run, on real registries behind a relay: the bundled action says what happened, where,
 * and what to do, and nothing in use is lost.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT } from '../../src/oci/media-types.js';
import { runAction, type ActionRun, type RunOptions } from '../bundle/run-action.js';
import { silence } from '../property/silence.js';
import { cosign, digestTag, image } from '../registries/build.js';
import { describeWith } from '../registries/describe-with.js';
import type { Action, Interceptor } from '../registries/memory/script.js';
import { push } from '../registries/push.js';
import { realRegistries } from '../registries/real-registries.js';
import type { RealRegistry } from '../registries/real-registry.js';
import { startRelay, type Relay } from '../registries/relay.js';

silence();

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
const APP = 'team/app';
const old = image('told old');
const kept = image('told kept');
const other = image('told other');

const json = (status: number, body: object, headers: Record<string, string> = {}): Action => ({
  kind: 'answer',
  status,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

for (const kind of realRegistries) {
  describeWith(kind.name, kind.found, `a run on ${kind.name} tells`, () => {
    let registry: RealRegistry;
    let relay: Relay;
    let backup: string;

    beforeEach(async () => {
      registry = await kind.start();
      relay = await startRelay(registry);
      backup = mkdtempSync(path.join(tmpdir(), 'told-'));
      await push(registry, APP, old);
      await push(registry, APP, kept, 'v1');
    });

    afterEach(async () => {
      await relay.stop();
      await registry.stop();
      rmSync(backup, { recursive: true });
    });

    const act = (
      inputs: Record<string, string> = {},
      options: RunOptions = {},
    ): Promise<ActionRun> =>
      runAction(
        {
          'registry-url': relay.url,
          repositories: APP,
          digests: `${APP}@${old.digest}`,
          'grace-period': '0',
          'backup-dir': backup,
          ...kind.inputs,
          ...inputs,
        },
        options,
      );
    const restore = () =>
      runAction({ 'registry-url': relay.url, 'restore-from': backup, ...kind.inputs });
    const digestOf = async (reference: string) => {
      const { headers } = await fetch(`${registry.url}/v2/${APP}/manifests/${reference}`, {
        headers: { accept: MANIFEST_ACCEPT },
      });
      return headers.get('docker-content-digest');
    };
    const expectTold = (run: ActionRun, ...words: string[]) => {
      expect(run.exitCode).toBe(1);
      for (const word of words) {
        expect(run.log).toContain(word);
      }
    };
    const isTags: (request: Parameters<Interceptor>[0]) => boolean = ({ route }) =>
      route.kind === 'tags' && route.repository === APP;

    it('of a tag that is gone from the list after the deletes, and still answers by its name', async () => {
      let isDeleted = false;
      relay.intercept((request) => {
        isDeleted ||= request.method === 'DELETE' && request.path.endsWith(old.digest);
        return isDeleted && isTags(request) ? json(200, { name: APP, tags: [] }) : undefined;
      });
      const run = await act();
      expectTold(run, 'tag v1 no longer resolves', 'not in the list of tags any more');
      expect(DOCS).toContain('not in the list of tags any more');
      expect(await digestOf('v1')).toBe(kept.digest);
    });

    it('of a list of tags that never ends', async () => {
      relay.intercept((request) =>
        isTags(request)
          ? json(200, { name: APP, tags: ['v1'] }, { Link: `<${request.path}>; rel="next"` })
          : undefined,
      );
      const run = await act();
      expectTold(run, 'do not end');
      expect(await digestOf(old.digest)).toBe(old.digest);
    });

    it('nothing of a catalog that times out with 1,000 names a page and answers with 100', async () => {
      const asked: string[] = [];
      relay.intercept(({ path: asks }) => {
        if (!asks.startsWith('/v2/_catalog')) {
          return undefined;
        }
        asked.push(asks);
        return asks.includes('n=1000')
          ? { kind: 'html', status: 504 }
          : json(200, { repositories: [APP] });
      });
      const run = await act({ repositories: '' });
      expect(run.exitCode).toBe(0);
      expect(run.outputs).toMatchObject({ 'deleted-count': '1' });
      expect(asked.at(-1)).toContain('n=100');
    });

    /** The signature of what goes goes with it, and so does its tag. */
    async function signed(): Promise<string> {
      const tag = digestTag(old.digest, 'sig');
      await push(registry, APP, cosign('sig', old), tag);
      expect((await act()).outputs).toMatchObject({ 'deleted-count': '2', 'failed-count': '0' });
      return tag;
    }

    it('of a restored tag that names something else by now, and leaves it there', async () => {
      const tag = await signed();
      await push(registry, APP, other, tag);
      expectTold(await restore(), `it names ${other.digest} by now, and was left there`);
      expect(DOCS).toContain('### `by now, and was left there`');
      expect([await digestOf(tag), await digestOf(old.digest)]).toEqual([other.digest, old.digest]);
    });

    it('of a restored tag that a push sets between the look and the push of it', async () => {
      const tag = await signed();
      let looks = 0;
      relay.intercept(({ method, path: asks }) => {
        looks += method === 'GET' && asks.endsWith(`/manifests/${tag}`) ? 1 : 0;
        return looks === 1 && asks.endsWith(`/manifests/${tag}`)
          ? { kind: 'pass', after: () => push(registry, APP, other, tag) }
          : undefined;
      });
      expectTold(await restore(), `it names ${other.digest} by now, and was left there`);
      expect(await digestOf(tag)).toBe(other.digest);
    });

    it('of a restored tag that a push sets right after it', async () => {
      const tag = await signed();
      relay.intercept(({ method, path: asks }) =>
        method === 'PUT' && asks.endsWith(`/manifests/${tag}`)
          ? { kind: 'pass', after: () => push(registry, APP, other, tag) }
          : undefined,
      );
      expectTold(await restore(), `somebody set it to ${other.digest} while it was put back`);
      expect(DOCS).toContain('while it was put back');
      expect(await digestOf(tag)).toBe(other.digest);
    });

    it('of a restored manifest that the registry takes and does not have', async () => {
      expect((await act()).exitCode).toBe(0);
      expect(await digestOf(old.digest)).toBeNull();
      relay.intercept(({ method, route }) =>
        method === 'PUT' && route.kind === 'manifest' ? { kind: 'answer', status: 201 } : undefined,
      );
      expectTold(await restore(), 'the registry took it, and says that it does not have it');
      relay.intercept();
      expect((await restore()).exitCode).toBe(0);
      expect(await digestOf(old.digest)).toBe(old.digest);
    });

    it('of a delete that it had no time to confirm', async () => {
      let stop: () => void = () => undefined;
      relay.intercept(({ method, path: asks }) => {
        if (method !== 'DELETE' || !asks.endsWith(old.digest)) {
          return undefined;
        }
        stop();
        return { kind: 'answer', status: 202 };
      });
      const run = await act(
        {},
        {
          onStart: (signal) => {
            stop = () => {
              signal('SIGTERM');
            };
          },
        },
      );
      expectTold(run, 'the run ended before it could see that the manifest is gone');
      expect(DOCS).toContain('the run ended before it could see that the manifest is gone');
      expect(run.outputs).toMatchObject({ 'deleted-count': '0' });
      expect(await digestOf(old.digest)).toBe(old.digest);
    });
  });
}
