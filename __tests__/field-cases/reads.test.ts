/**
 * What people reported of tags and lists that were not the registry's own word of the moment, on real registries
 * behind a relay that changes single answers. The disk is the judge.
 */
import { expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image, index, type Content } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { Answer } from '../support/servers/memory/answer.js';
import type { Interceptor } from '../support/servers/memory/script.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import { startRelayed } from '../support/scenes/relayed.js';

const APP = 'team/app';
const [first, second, third] = ['first', 'second', 'third'].map((name) =>
  image(`reads ${name}`),
) as [Content, Content, Content];

const distributions = realRegistries.filter(({ hasCatalog }) => hasCatalog);

for (const { name, found, start } of distributions) {
  describeWith(name, found, 'evidence: reads that are not of this moment', () => {
    async function open() {
      const { registry, relay } = await startRelayed({ start });
      const clean = (inputs: Readonly<Record<string, string>> = {}): Promise<ActionRun> =>
        runAction({ 'registry-url': relay.url, 'grace-period': '0', ...inputs });
      const users = () =>
        new Set([...registry.manifests()].filter((each) => each.startsWith(`${APP}@`)));
      return { registry, relay, clean, users };
    }

    const rewriting =
      (isMeant: RegExp, rewrite: (answer: Answer) => Answer): Interceptor =>
      ({ path }) =>
        isMeant.test(path) ? { kind: 'rewrite', rewrite } : undefined;

    // The relay hands names on in small letters; another spelling would be a second header of that name.
    const withHeaders = (headers: Record<string, string>) => (answer: Answer) => ({
      ...answer,
      headers: { ...answer.headers, ...headers },
    });

    it.each([
      ['a tag with `Age`', /manifests\/latest$/, { Age: '42' }, 'Age: 42'],
      [
        'a tag with a cache hit',
        /manifests\/latest$/,
        { 'X-Cache-Status': 'HIT' },
        'x-cache-status',
      ],
      ['a list with a cache hit', /team\/app\/tags\/list/, { 'X-Cache': 'HIT' }, 'x-cache'],
    ])('are a gap: %s', async (_, path, headers, sign) => {
      const { registry, relay, clean, users } = await open();
      await push(registry, APP, first, 'latest');
      await push(registry, APP, second, 'rc');
      expect((await clean()).exitCode).toBe(0);
      await push(registry, APP, third, 'rc');
      const before = users();
      relay.intercept(rewriting(path, withHeaders(headers)));
      const done = await clean();
      expect(done.exitCode).toBe(1);
      expect(done.log).toContain(`the answer came from a cache (\`${sign}`);
      expect(users()).toEqual(before);
      relay.intercept();
      const after = await clean();
      expect(after.exitCode).toBe(0);
      expect(after.outputs['deleted-count']).toBe('1');
    });

    it('ask every cache on the way for the registry itself', async () => {
      const { registry, relay, clean } = await open();
      await push(registry, APP, first, 'latest');
      const asked: (string | undefined)[] = [];
      relay.intercept(({ path, headers }) => {
        if (/tags\/list|manifests\/latest$|_catalog/.test(path)) {
          asked.push(headers['cache-control']);
        }
        return undefined;
      });
      expect((await clean()).exitCode).toBe(0);
      expect(asked.length).toBeGreaterThan(2);
      expect(new Set(asked)).toEqual(new Set(['no-cache']));
    });

    it('are a gap where the registry redirects a tag to another origin', async () => {
      const { registry, relay, clean, users } = await open();
      await push(registry, APP, first, 'latest');
      const Location = `${registry.url}/v2/${APP}/manifests/latest`;
      relay.intercept(({ path }) =>
        path.endsWith('/manifests/latest')
          ? { kind: 'answer', status: 307, headers: { Location } }
          : undefined,
      );
      const before = users();
      const done = await clean({ digests: `${APP}@${second.digest}` });
      expect(done.exitCode).toBe(1);
      expect(done.log).toContain(
        `the answer came from ${registry.url}, to which the registry redirects`,
      );
      expect(users()).toEqual(before);
    });

    it('lose nothing where HEAD gives the digest of a child, and GET the index', async () => {
      const { registry, relay, clean, users } = await open();
      const list = index([first, second]);
      await push(registry, APP, list, 'v1');
      expect((await clean()).exitCode).toBe(0);
      const before = users();
      const told = { 'docker-content-digest': first.digest };
      relay.intercept(({ method, path }) =>
        method === 'HEAD' && path.endsWith('/manifests/v1')
          ? { kind: 'rewrite', rewrite: withHeaders(told) }
          : undefined,
      );
      const done = await clean({ 'max-deletes': '100%' });
      expect(done.log).toMatch(/the tag v1 pointed at sha256:.*a part of it/);
      expect(done.outputs['deleted-count']).toBe('0');
      expect(users()).toEqual(before);
    });

    it('keep an index whose tag is answered with a part of it', async () => {
      const { registry, relay, clean, users } = await open();
      const list = index([first, second]);
      await push(registry, APP, list, 'v1');
      await push(registry, APP, third, 'v2');
      expect((await clean()).exitCode).toBe(0);
      const before = users();
      relay.intercept(({ path }) =>
        path.endsWith('/manifests/v1')
          ? {
              kind: 'rewrite',
              rewrite: (answer) => ({
                ...answer,
                headers: {
                  ...answer.headers,
                  'docker-content-digest': first.digest,
                  'content-type': first.mediaType,
                },
                body: first.bytes,
              }),
            }
          : undefined,
      );
      for (const night of [1, 2]) {
        const done = await clean({ 'max-deletes': '100%' });
        expect([night, done.exitCode]).toEqual([night, 0]);
        expect(done.log).toMatch(
          /::warning::team\/app: the tag v1 pointed at sha256:.*a part of it/,
        );
        expect(users()).toEqual(before);
      }
    });

    it('name the tag that no tag may be, and keep a digest in the list of tags', async () => {
      const { registry, relay, clean, users } = await open();
      await push(registry, APP, first, 'latest');
      await push(registry, APP, second);
      const tags = (list: readonly string[]) =>
        rewriting(/team\/app\/tags\/list/, (answer) => ({
          ...answer,
          body: Buffer.from(JSON.stringify({ name: APP, tags: list })),
        }));
      relay.intercept(tags(['latest', 'no tag']));
      const refused = await clean({ digests: `${APP}@${second.digest}` });
      expect(refused.exitCode).toBe(1);
      expect(refused.log).toContain('holds the name "no tag"');
      relay.intercept(tags(['latest', second.digest]));
      const kept = await clean({ digests: `${APP}@${second.digest}` });
      expect(kept.exitCode).toBe(0);
      expect(users().size).toBe(2);
    });

    it.each<[string, Omit<Answer, 'headers'>]>([
      ['null', { status: 200, body: Buffer.from('{"tags":null}') }],
      ['an empty list', { status: 200, body: Buffer.from('{"tags":[]}') }],
      ['NAME_UNKNOWN', { status: 404, body: Buffer.from('{"errors":[{"code":"NAME_UNKNOWN"}]}') }],
    ])(
      'delete nothing on a first run with a listing that is shown %s for tags',
      async (_, answer) => {
        const { registry, relay, clean, users } = await open();
        for (const [n, content] of [first, second, third].entries()) {
          await push(registry, APP, content, `v${String(n)}`);
        }
        const digests = [...users()].join('\n');
        relay.intercept(
          rewriting(/team\/app\/tags\/list/, ({ headers }) => ({ ...answer, headers })),
        );
        const done = await clean({ digests, 'max-deletes': '100%' });
        expect(done.exitCode).toBe(1);
        expect(done.log).toContain('no tag is left, and the list of tags may be wrong');
        expect(done.log).toContain("`max-deletes` doesn't lift this");
        expect(users().size).toBe(3);
      },
    );

    it('forget nothing in nights in which the repository is answered 404', async () => {
      const { registry, relay, clean, users } = await open();
      await push(registry, APP, first, 'latest');
      await push(registry, APP, second, 'rc');
      expect((await clean({ repositories: APP })).exitCode).toBe(0);
      const unknown = '{"errors":[{"code":"NAME_UNKNOWN"}]}';
      relay.intercept(({ path, method }) =>
        path.startsWith(`/v2/${APP}/`)
          ? { kind: 'answer', status: 404, body: method === 'HEAD' ? '' : unknown }
          : undefined,
      );
      for (const night of [1, 2]) {
        const done = await clean({ repositories: APP });
        expect([night, done.exitCode]).toEqual([night, 1]);
        expect(done.log).toContain('now the registry shows none of them and no tag');
      }
      relay.intercept();
      await push(registry, APP, third, 'rc');
      const after = await clean({ repositories: APP });
      expect(after.exitCode).toBe(0);
      expect(after.outputs['deleted-count']).toBe('1');
      expect(users().size).toBe(2);
    });
  });
}
