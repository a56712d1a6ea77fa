/**
 * Proxies before real registries as people have them: one with old entries, one that speaks TLS and does not say so, and
 * one that has a word of its own for what is unknown.
 */
import { readFileSync } from 'node:fs';

import { beforeEach, describe, expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image, index, APP, names } from '../support/builders/build.js';
import { createAuthority } from '../support/servers/certificate.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { Answer } from '../support/servers/memory/answer.js';
import { apart } from '../support/clients/ledger.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { startRelay, type Relay, type RelayOptions } from '../support/servers/relay.js';

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

const [first, second, third] = [image('proxy 1'), image('proxy 2'), image('proxy 3')];
for (const kind of realRegistries) {
  describeWith(kind.name, kind.found, `a run through a proxy before ${kind.name}`, () => {
    let registry: RealRegistry;

    beforeEach(async () => {
      registry = stopAfterTest(await kind.start());
    });

    async function before(options?: RelayOptions): Promise<Relay> {
      return stopAfterTest(await startRelay(registry, options));
    }

    const clean = ({ url }: Relay, inputs: Readonly<Record<string, string>> = {}) =>
      runAction({
        'registry-url': url,
        repositories: APP,
        'grace-period': '0',
        'max-deletes': '100%',
        ...kind.inputs,
        ...inputs,
      });

    describe('that answers from its cache', () => {
      /**
       * Answers what it has seen before, with its age.
       *
       * @param obeys what a request says of caches
       */
      function cache(relay: Relay, obeys: boolean): void {
        const known = new Map<string, Answer>();
        relay.intercept(({ method, path, headers }) => {
          const isCached = method === 'GET' || method === 'HEAD';
          const entry = `${method} ${path}`;
          const old = known.get(entry);
          if (isCached && old !== undefined && !(obeys && headers['cache-control'])) {
            return { kind: 'answer', ...old, headers: { ...old.headers, age: '300' } };
          }
          return isCached && path.includes(`/${APP}/`)
            ? {
                kind: 'rewrite',
                rewrite: (answer) => {
                  known.set(entry, answer);
                  return answer;
                },
              }
            : undefined;
        });
      }

      /** `latest` was just set to what `rc` was, and `rc` to something new. */
      async function promote(relay: Relay): Promise<ActionRun> {
        await push(registry, APP, first, 'latest');
        await push(registry, APP, second, 'rc');
        expect((await clean(relay)).exitCode).toBe(0);
        await push(registry, APP, second, 'latest');
        await push(registry, APP, third, 'rc');
        return clean(relay);
      }

      it('deletes nothing because of old answers, in red', async () => {
        const relay = await before();
        cache(relay, false);
        const run = await promote(relay);
        expect(run.exitCode).toBe(1);
        expect(run.log).toContain('the answer came from a cache (`Age: 300`) and may be old');
        expect(run.log).toContain('Switch caching off for `/v2/` in the proxy');
        expect(DOCS.includes('### `the answer came from a cache`')).toBe(true);
        expect(apart(registry.manifests()).users).toEqual(
          new Set(names(APP, first, second, third)),
        );
      });

      it('deletes only the orphan where the proxy obeys no-cache', async () => {
        const relay = await before();
        cache(relay, true);
        const run = await promote(relay);
        expect(run.log).not.toContain('::error');
        expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
        expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, second, third)));
      });
    });

    it('deletes nothing where HEAD of a tag answers with a child of the index that GET returns', async () => {
      const relay = await before();
      const [old, current] = [index([first, second]), index([second, third])];
      await push(registry, APP, old, 'latest');
      expect((await clean(relay)).exitCode).toBe(0);
      await push(registry, APP, current, 'latest');
      relay.intercept(({ method, path }) =>
        method === 'HEAD' && path.endsWith('/manifests/latest')
          ? {
              kind: 'rewrite',
              rewrite: (answer) => ({
                ...answer,
                headers: { ...answer.headers, 'docker-content-digest': third.digest },
              }),
            }
          : undefined,
      );
      const run = await clean(relay);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain(`HEAD says that it points at ${third.digest}`);
      expect(run.log).toContain('let it pass requests under `/v2/` through unchanged');
      expect(DOCS.includes('### `HEAD says that it points at`')).toBe(true);
      expect(apart(registry.manifests()).users).toEqual(
        new Set(names(APP, old, current, first, second, third)),
      );
    });

    describe('that answers NOT_FOUND for an unknown digest', () => {
      it('leaves no gap for an absent digest, child or tag', async () => {
        const relay = await before();
        const body = JSON.stringify({
          errors: [{ code: 'NOT_FOUND', message: `artifact ${APP} not found` }],
        });
        relay.intercept(() => ({
          kind: 'rewrite',
          rewrite: (answer) =>
            answer.status === 404 && answer.body.includes('_UNKNOWN')
              ? {
                  status: 404,
                  headers: { 'content-type': 'application/json; charset=utf-8' },
                  body: Buffer.from(body),
                }
              : answer,
        }));
        const broken = index([image('proxy part'), third]);
        await push(registry, APP, broken, 'broken');
        await push(registry, APP, second, 'rc');
        await push(registry, APP, first);
        await fetch(`${registry.url}/v2/${APP}/manifests/${third.digest}`, { method: 'DELETE' });
        const digests = [first, image('proxy absent')].map(({ digest }) => `${APP}@${digest}`);
        const run = await clean(relay, { digests: digests.join('\n') });
        expect(run.log).not.toContain("couldn't be read");
        expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
        // olareg keeps the children of an index, even when that is deleted.
        const more = kind.name === 'olareg' ? [third] : [];
        expect(apart(registry.manifests()).users).toEqual(
          new Set(names(APP, second, broken, image('proxy part'), ...more)),
        );
        // A repository that is not there.
        const nowhere = await clean(relay, { repositories: 'team/nowhere' });
        expect(nowhere.exitCode).toBe(0);
      });
    });

    describe('that speaks TLS', () => {
      const { pem: cert, keyPem: key } = createAuthority().issue('proxy');
      const tls = { cert, key };

      async function fill(): Promise<void> {
        await push(registry, APP, first, 'latest');
        await push(registry, APP, second);
      }
      const inputs = { insecure: 'true', digests: `${APP}@${second.digest}` };

      // olareg names a path without a host, and nothing is wrong there.
      if (kind.name !== 'olareg') {
        it('sends nothing in clear where the proxy does not say so, and names the header', async () => {
          await fill();
          const relay = await before({ tls });
          const written: string[] = [];
          relay.intercept(({ method, path }) => {
            if (['PUT', 'PATCH'].includes(method)) {
              written.push(path);
            }
            return undefined;
          });
          const run = await clean(relay, inputs);
          expect(run.exitCode).toBe(1);
          expect(run.log).toContain('Location of an upload');
          expect(run.log).toContain('is not followed');
          expect(run.log).toContain('`X-Forwarded-Proto: https`');
          expect(DOCS.includes('### `is not followed`')).toBe(true);
          expect(written).toEqual([]);
          // The orphan is gone all the same, and no ledger is there.
          expect(registry.manifests()).toEqual(new Set(names(APP, first)));
        });
      }

      it('writes the ledger where the proxy says so', async () => {
        await fill();
        const relay = await before({ tls, headers: { 'x-forwarded-proto': 'https' } });
        const run = await clean(relay, inputs);
        expect(run.log).not.toContain('::error');
        expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
        expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, first)));
        expect(registry.manifests().size).toBe(2);
      });
    });
  });
}
