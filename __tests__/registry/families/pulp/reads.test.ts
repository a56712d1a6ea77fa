/** Reads of real Pulp: its list, how it is recognised, and answers of its API that make no sense. */
import { describe, expect, it } from '@jest/globals';

import { Client } from '../../../../src/registry/distribution/client.js';
import { ADVICE, distribution } from '../../../../src/registry/families/distribution.js';
import { PulpApi } from '../../../../src/registry/families/pulp/api.js';
import { Content } from '../../../../src/registry/families/pulp/content.js';
import { pulp as family } from '../../../../src/registry/families/pulp/pulp.js';
import { image, index, referrer } from '../../../support/builders/build.js';
import { stagePulp } from '../../../support/scenes/pulp.js';
import { describeWith } from '../../../support/servers/describe-with.js';
import type { Answer } from '../../../support/servers/memory/answer.js';
import { findPulp } from '../../../support/servers/pulp.js';

const program = findPulp();
const [one, two, child, current] = ['one', 'two', 'child', 'current'].map((name) => image(name));
const list = index([child ?? image('')]);

describeWith('pulp', program, 'a read of Pulp', () => {
  const pulp = stagePulp(program);
  if (one === undefined || two === undefined || child === undefined || current === undefined) {
    throw new Error('unreachable: they were made above');
  }

  /** A repository with two orphans, an index with a child, and an image with two tags. */
  async function filled(): Promise<string> {
    const repository = pulp.repository();
    for (const content of [one, two, current].flatMap((each) => each ?? [])) {
      await pulp.put(repository, content, 'latest');
    }
    await pulp.put(repository, current ?? list, 'v1');
    await pulp.put(repository, list, 'multi');
    return repository;
  }
  /** The same one for all tests that only read: filling it takes five tasks. */
  let shared: Promise<string> | undefined;
  const unchanged = (): Promise<string> => (shared ??= filled());
  const tagsIn = async (repository: string) =>
    new Map(
      [...((await pulp.open().lister?.manifests(repository)) ?? [])].map(
        ([digest, { tags }]) => [digest, tags.toSorted()] as const,
      ),
    );
  const everything = new Map([
    [one.digest, []],
    [two.digest, []],
    [child.digest, []],
    [list.digest, ['multi']],
    [current.digest, ['latest', 'v1']],
  ]);

  describe('the list', () => {
    it('has every manifest of the latest version with its tags, and an id that a backup takes', async () => {
      const repository = await unchanged();
      expect(await tagsIn(repository)).toEqual(everything);
      const listed = await pulp.open().lister?.manifests(repository);
      for (const { id, pushedAt } of listed?.values() ?? []) {
        expect(id).toMatch(/^[!-~]{1,100}$/);
        expect(pushedAt).toBeUndefined();
      }
    }, 60_000);

    it('lacks what was pushed by its digest alone, and says so', async () => {
      const repository = await filled();
      const attached = referrer('attached', current);
      await pulp.put(repository, attached);
      expect(await pulp.isServed(repository, attached)).toBe(true);
      expect(await tagsIn(repository)).toEqual(everything);
      expect(pulp.open().lister?.lacks).toBe('digest-pushes');
    }, 60_000);

    it('is read page by page, wherever Pulp says that the next one is', async () => {
      const repository = await unchanged();
      const connection = pulp.connection();
      const asked: string[] = [];
      pulp.relay.intercept(({ path }) => {
        asked.push(path);
        const rewrite = (answer: Answer): Answer => ({
          ...answer,
          body: Buffer.from(
            answer.body.toString().replace(/"next":"[^"]*"/, '"next":"https://evil.example/x"'),
          ),
        });
        return path.includes('/content/') ? { kind: 'rewrite', rewrite } : undefined;
      });
      const content = new Content(new PulpApi(connection), new Client(connection, ADVICE), 2);
      expect(new Set((await content.read(repository)).keys())).toEqual(new Set(everything.keys()));
      expect(asked.filter((path) => path.includes('/manifests/'))).toHaveLength(3);
    }, 60_000);

    it('is empty for a repository that is not there', async () => {
      expect(await tagsIn(pulp.repository())).toEqual(new Map());
    });

    it('is refused for a private repository that the user may not view', async () => {
      const repository = await filled();
      const { pulp_href: href = '' } = await pulp.distribution(repository);
      await pulp.api('PATCH', href, { private: true });
      await pulp.server.settled();
      const login = await pulp.user();
      const { lister } = pulp.open({ login });
      await expect(lister?.manifests(repository)).rejects.toMatchObject({ kind: 'hidden' });
    }, 60_000);

    it('is refused without a role on a public repository', async () => {
      const repository = await unchanged();
      const { lister } = pulp.open({ login: await pulp.user() });
      await expect(lister?.manifests(repository)).rejects.toMatchObject({ kind: 'forbidden' });
    }, 60_000);

    it('is refused for a name that serves a fixed version', async () => {
      const repository = await filled();
      const { repository: href = '', pulp_href: at = '' } = await pulp.distribution(repository);
      const { latest_version_href: version } = (await pulp.api('GET', href)) as {
        readonly latest_version_href: string;
      };
      await pulp.api('PATCH', at, { repository: null, repository_version: version });
      await pulp.server.settled();
      await expect(pulp.open().lister?.manifests(repository)).rejects.toThrow('a fixed version');
    }, 60_000);

    it.each<[string, RegExp, (body: string) => string, string]>([
      ['a digest that is none', /manifests/, (b) => b.replace('sha256:', 'sha1:'), 'form'],
      ['a name that is none', /tags/, (b) => b.replace('"multi"', '"../x"'), 'form'],
      ['a name of a manifest that is none', /manifests/, (b) => b.replace('/pulp/', '/x/'), 'form'],
      ['no count', /manifests/, (b) => b.replace('"count"', '"number"'), 'form'],
      ['too large a count', /manifests/, (b) => b.replace(/"count":\d+/, '"count":99'), 'empty'],
      ['a row less', /manifests/, (b) => b.replace(/{"pulp_href[^}]*},/, ''), 'complete'],
      ['no rows', /tags/, () => '{"count":0,"results":[]}', 'Pulp counts'],
      ['a web page', /tags/, () => '<html>', 'form'],
    ])(
      'is not believed with %s',
      async (_, where, edit, words) => {
        const repository = await unchanged();
        pulp.relay.intercept(({ path }) => {
          const rewrite = (answer: Answer): Answer => ({
            ...answer,
            body: Buffer.from(edit(answer.body.toString())),
          });
          const isMeant =
            path.includes('/content/container/') && where.test(path.split('?')[0] ?? '');
          return isMeant && !path.includes('offset=4') ? { kind: 'rewrite', rewrite } : undefined;
        });
        await expect(pulp.open().lister?.manifests(repository)).rejects.toThrow(words);
      },
      60_000,
    );

    it('is read again where its version is removed meanwhile', async () => {
      const repository = await filled();
      let isFirst = true;
      pulp.relay.intercept(async ({ path }) => {
        if (isFirst && path.includes('/content/container/tags/')) {
          isFirst = false;
          const { repository: href = '' } = await pulp.distribution(repository);
          const { latest_version_href: version } = (await pulp.api('GET', href)) as {
            readonly latest_version_href: string;
          };
          await pulp.put(repository, two, 'more');
          await pulp.api('DELETE', version);
          await pulp.server.settled();
        }
        return undefined;
      });
      expect((await tagsIn(repository)).get(two.digest)).toEqual(['more']);
    }, 60_000);
  });

  it('the catalog has the repositories that the user may view', async () => {
    const repository = await unchanged();
    const { repositories } = await pulp.open().repositories();
    expect(repositories).toContain(repository);
  }, 60_000);

  describe('the rights', () => {
    const grant = async (repository: string, username: string, role: string) => {
      const { repository: href = '', namespace = '' } = await pulp.distribution(repository);
      const at = role.includes('namespace') ? namespace : href;
      await pulp.api('POST', `${at}add_role/`, { role, users: [username] });
    };

    it.each<[string, readonly string[], boolean, boolean]>([
      ['the administrator', [], false, false],
      ['a content manager', ['container.containerrepository_content_manager'], false, false],
      ['an owner of the namespace', ['container.containernamespace_owner'], false, false],
      [
        'a viewer of repository and namespace',
        ['container.containerrepository_viewer', 'container.containernamespace_consumer'],
        true,
        true,
      ],
      // Whether a role on the namespace lets this user delete, only the namespace tells.
      ['a viewer of the repository', ['container.containerrepository_viewer'], false, true],
    ])(
      'of %s are known',
      async (who, roles, isKnownToLack, isRefused) => {
        const repository = await unchanged();
        const login = who === 'the administrator' ? pulp.server.admin : await pulp.user();
        for (const role of roles) {
          await grant(repository, login.username, role);
        }
        const { rights } = pulp.open({ login });
        const role = 'container.containerrepository_content_manager';
        const lacking = await rights.lacksDelete(repository);
        expect(lacking?.includes(role) === true).toBe(isKnownToLack);
        const refused = await rights.probeDeletes([repository]);
        expect(refused?.includes(role) === true).toBe(isRefused);
        await pulp.server.settled();
        expect(await tagsIn(repository)).toEqual(everything);
      },
      90_000,
    );
  });

  describe('the registry', () => {
    it('is recognised by its greeting and its status', async () => {
      expect((await pulp.find()).family).toBe(family);
    });

    it.each<[string, number, string]>([
      ['has no such route', 404, ''],
      ['is a web page', 200, '<html></html>'],
      ['does not know the plugin', 200, '{"versions":[{"component":"core"}]}'],
      ['is not in form', 200, '{"versions":[{"component":1}]}'],
    ])('is taken for a plain one where its status %s', async (_, status, body) => {
      pulp.relay.intercept(({ path }) =>
        path.includes('/status/') ? { kind: 'answer', status, body } : undefined,
      );
      expect((await pulp.find()).family).toBe(distribution);
    });

    it('is not asked where the greeting is that of another registry', async () => {
      const asked: string[] = [];
      pulp.relay.intercept(({ path }) => {
        asked.push(path);
        return undefined;
      });
      const connection = pulp.connection();
      expect(await family.identify?.(connection, {})).toBeUndefined();
      expect(await family.identify?.(connection)).toBeUndefined();
      const headers = { 'x-registry-supports-signatures': '1' };
      expect(await family.identify?.(connection, headers)).toBeUndefined();
      expect(asked).toEqual([]);
    });

    it('is opened by its type alone', async () => {
      expect((await pulp.find('pulp')).family).toBe(family);
    });
  });
});
