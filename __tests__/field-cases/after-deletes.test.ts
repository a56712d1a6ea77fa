/**
 * What is seen, or can't be seen, after a DELETE was sent: the bundled action, on real registries behind a relay that
 * answers in their place.
 */
import { readFileSync } from 'node:fs';

import { beforeEach, expect, it } from '@jest/globals';

import { runAction, type ActionRun, type RunOptions } from '../support/clients/run-action.js';
import { image, APP, names } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { Action, Interceptor } from '../support/servers/memory/script.js';
import { apart } from '../support/clients/ledger.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';
import { startRelayed } from '../support/scenes/relayed.js';
import { hurried } from '../support/clients/hurry.js';

const DOCS = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

const [orphan, kept, other] = [image('after orphan'), image('after kept'), image('after other')];

for (const kind of realRegistries) {
  describeWith(kind.name, kind.found, `after a DELETE on ${kind.name}`, () => {
    let registry: RealRegistry;
    let relay: Relay;

    beforeEach(async () => {
      ({ registry, relay } = await startRelayed(kind));
      await push(registry, APP, kept, 'latest');
      await push(registry, APP, other, 'other');
      await push(registry, APP, orphan);
    });

    const clean = (options: RunOptions = hurried): Promise<ActionRun> =>
      runAction(
        {
          'registry-url': relay.url,
          repositories: APP,
          digests: `${APP}@${orphan.digest}`,
          'grace-period': '0',
          ...kind.inputs,
        },
        options,
      );

    const isOfOrphan = (path: string) => path.endsWith(`/${APP}/manifests/${orphan.digest}`);

    /** @param answer to what is asked for once the DELETE has come */
    function afterDelete(answer: Interceptor, toDelete?: Action): void {
      let isSent = false;
      relay.intercept((request) => {
        if (request.method === 'DELETE' && isOfOrphan(request.path)) {
          isSent = true;
          return toDelete;
        }
        return isSent ? answer(request) : undefined;
      });
    }

    function expectTold(run: ActionRun, heading: string, ...words: string[]): void {
      expect(run.exitCode).toBe(1);
      for (const word of [heading, ...words]) {
        expect(run.log).toContain(word);
      }
      expect(DOCS.includes(heading)).toBe(true);
    }

    it('a tag that is no longer listed is reported, though it still answers', async () => {
      afterDelete(({ path }) =>
        path.includes(`/${APP}/tags/list`)
          ? {
              kind: 'rewrite',
              rewrite: (answer) => ({
                ...answer,
                body: Buffer.from(JSON.stringify({ name: APP, tags: ['other'] })),
              }),
            }
          : undefined,
      );
      const run = await clean();
      expectTold(
        run,
        'not in the list of tags any more',
        `${APP}: tag latest no longer resolves after the clean-up`,
        'is that an old answer of a cache?',
      );
      expect(run.outputs).toMatchObject({ 'deleted-count': '1' });
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other)));
    });

    it.each([200, 202, 204])(
      'an answer of %d and nothing more is reported as not deleted',
      async (status) => {
        afterDelete(() => undefined, { kind: 'answer', status });
        const run = await clean();
        expectTold(
          run,
          'the registry took the DELETE, and the manifest is still there',
          orphan.digest,
          'Does the registry allow deletes',
        );
        expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
        expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other, orphan)));
      },
    );

    it.each([200, 202])(
      'an answer of %d with an error in the body is reported as that error',
      async (status) => {
        const body = '{"errors":[{"code":"DENIED","message":"retained by a rule"}]}';
        afterDelete(() => undefined, { kind: 'answer', status, body });
        const run = await clean();
        expect(run.exitCode).toBe(1);
        expect(run.log).toContain(`${String(status)} (DENIED retained by a rule)`);
        expect(run.log).toContain(orphan.digest);
        expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
        expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other, orphan)));
      },
    );

    it('a question that is refused is reported as not known', async () => {
      const body = '{"errors":[{"code":"DENIED","message":"no"}]}';
      afterDelete(({ path }) =>
        isOfOrphan(path) ? { kind: 'answer', status: 403, body } : undefined,
      );
      const run = await clean();
      expectTold(
        run,
        'no read can tell whether it worked',
        `check whether ${APP}@${orphan.digest} is still there`,
      );
      expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other)));
    });

    it('a run that is told to stop does not count deletes that it did not confirm', async () => {
      let stop = (): void => undefined;
      afterDelete(
        ({ path, method }) => {
          if (method === 'HEAD' && isOfOrphan(path)) {
            stop();
          }
          return undefined;
        },
        { kind: 'answer', status: 202 },
      );
      const run = await clean({
        onStart: (send) => {
          stop = () => {
            send('SIGTERM');
          };
        },
      });
      expectTold(
        run,
        'the run ended before it could see that the manifest is gone',
        orphan.digest,
        'The next run checks it',
      );
      expect(run.outputs).toMatchObject({ 'deleted-count': '0' });
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other, orphan)));
      relay.intercept();
      expect(await clean()).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, kept, other)));
    });
  });
}
