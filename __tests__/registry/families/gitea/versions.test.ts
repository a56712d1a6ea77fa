/** The list of versions, which comes in pages that shift, and the manifests that it stands for. */
import { describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../../src/oci/digest.js';
import { image } from '../../../support/builders/build.js';
import {
  openGitea,
  refusal,
  startScript,
  type Row,
  type Script,
  type Scripted,
} from '../../../support/scenes/gitea-script.js';

const APP = 'acme/app';
const many = Array.from({ length: 120 }, (_, n) => image(`many ${String(n)}`));
const [tagged, pushed] = [image('tagged'), image('pushed')];

/** Three pages: the newest has the highest id. */
async function filled(script?: Script, contents = many): Promise<Scripted> {
  const gitea = await startScript(script);
  gitea.rows.push(
    ...contents.map(({ digest }, n) => ({ id: contents.length - n, version: digest })),
  );
  return gitea;
}

const list = async ({ url }: Scripted) => openGitea(url).lister?.manifests(APP);
const pagesOf = ({ sent }: Scripted) =>
  sent()
    .filter((line) => line.startsWith('GET /api/'))
    .map((line) => new URL(line.slice(4), 'http://x').searchParams.get('page'));

/** Does this each time when a page of the list is asked for, before the answer is made. */
function onPage(change: (page: string | null, n: number) => void): Script {
  let n = 0;
  return ({ path }, { searchParams }) => {
    if (path.startsWith('/api/')) {
      n += 1;
      change(searchParams.get('page'), n);
    }
    return undefined;
  };
}

describe('The pages of a list', () => {
  it('are read once, but for the first, which is read again at the end', async () => {
    const gitea = await filled();
    expect(new Set((await list(gitea))?.keys())).toEqual(new Set(many.map((each) => each.digest)));
    expect([...pagesOf(gitea)].sort()).toEqual(['1', '1', '2', '3']);
    expect(pagesOf(gitea).at(-1)).toBe('1');
    expect(gitea.sent()[0]).toBe('GET /api/v1/packages/acme?type=container&q=app&limit=50&page=1');
  });

  it('have no rows where the package has no version, or belongs to another owner', async () => {
    const gitea = await filled(undefined, []);
    expect(await list(gitea)).toEqual(new Map());
  });

  it('may be smaller than those that were asked for', async () => {
    const gitea = await filled((_, url) => {
      const page = Number(url.searchParams.get('page'));
      const row = {
        id: 4 - page,
        type: 'container',
        name: 'app',
        created_at: '2026-01-02T00:00:00Z',
      };
      return {
        status: 200,
        headers: { 'X-Total-Count': '3' },
        body: [{ ...row, version: many[page]?.digest }],
      };
    });
    expect((await list(gitea))?.size).toBe(3);
    expect([...pagesOf(gitea)].sort()).toEqual(['1', '1', '2', '3']);
  });

  it.each<[string, (rows: Row[], page: string | null) => void]>([
    ['a push before the second page', (rows) => rows.unshift({ id: 500, version: pushed.digest })],
    ['a delete from a page that was read', (rows) => rows.splice(3, 1)],
    [
      'a delete and a push at the same time',
      (rows) => {
        rows.splice(3, 1);
        rows.unshift({ id: 500, version: pushed.digest });
      },
    ],
    ['a delete from a page that was not read', (rows) => rows.splice(110, 1)],
  ])('are read again after %s', async (_, change) => {
    const gitea: Scripted = await filled(
      onPage((page, n) => {
        if (page === '2' && n < 4) {
          change(gitea.rows, page);
        }
      }),
    );
    const listing = await list(gitea);
    expect(new Set(listing?.keys())).toEqual(new Set(gitea.rows.map(({ version }) => version)));
    expect(pagesOf(gitea).length).toBeGreaterThan(4);
  });

  it('are read again where a push came and went while they were read', async () => {
    const gitea: Scripted = await filled(
      onPage((page, n) => {
        if (n === 2) {
          gitea.rows.unshift({ id: 500, version: pushed.digest });
        } else if (n === 4 && page === '1') {
          gitea.rows.shift();
        }
      }),
    );
    expect((await list(gitea))?.size).toBe(120);
    expect(pagesOf(gitea).length).toBeGreaterThan(4);
  });

  it('are read four times at most, and then the list says when to come back', async () => {
    const gitea: Scripted = await filled(
      onPage((_, n) => gitea.rows.unshift({ id: 500 + n, version: image(String(n)).digest })),
    );
    await expect(list(gitea)).rejects.toThrow(
      /changed while it was read, 4 times in a row\. Run this again when nobody pushes/,
    );
    expect(pagesOf(gitea).filter((page) => page === '2')).toHaveLength(4);
  });

  it.each<[string, object | string, Record<string, string>]>([
    ['no number of all rows', [], {}],
    ['a number that is none', [], { 'X-Total-Count': 'many' }],
    ['rows and a number that denies them', [], { 'X-Total-Count': '5' }],
    ['an object', { rows: [] }, { 'X-Total-Count': '0' }],
    ['a page of HTML', '<!DOCTYPE html>', { 'X-Total-Count': '0' }],
    ['a row without an id', [{ version: 'v1' }], { 'X-Total-Count': '1' }],
    ['a row without a version', [{ id: 1 }], { 'X-Total-Count': '1' }],
    ['an empty version', [{ id: 1, version: '' }], { 'X-Total-Count': '1' }],
    ['a time that is none', [{ id: 1, version: 'v', created_at: 'x' }], { 'X-Total-Count': '1' }],
    ['another kind of package', [{ id: 1, version: 'v', type: 'npm' }], { 'X-Total-Count': '1' }],
    ['a million pages', [{ id: 1, version: 'v' }], { 'X-Total-Count': '1000000' }],
  ])('that have %s are no list', async (_, body, headers) => {
    const row = { type: 'container', name: 'app', created_at: '2026-01-02T03:04:05Z' };
    const whole = Array.isArray(body) ? body.map((each: object) => ({ ...row, ...each })) : body;
    const gitea = await startScript(() => ({ status: 200, headers, body: whole }));
    await expect(list(gitea)).rejects.toThrow("isn't in the form of Gitea's packages API");
    expect(gitea.seen).toHaveLength(1);
  });

  it.each(['v1/2', '../x', 'sha256:abc', 'sha256:', '_upload:x', 'a b'])(
    'that name a version "%s" are no list',
    async (version) => {
      const gitea = await startScript();
      gitea.rows.push({ id: 1, version });
      await expect(list(gitea)).rejects.toThrow('neither a tag nor a digest');
      expect(gitea.seen).toHaveLength(1);
    },
  );

  it.each([
    [401, 'token is required', 'credentials-refused'],
    [403, 'user should have specific permission or be a site admin', 'right-missing'],
    [404, 'user redirect does not exist [name: acme]', 'repository-missing'],
    [500, '', 'server-failed'],
  ])('that are refused with %i reject', async (status, message, code) => {
    const gitea = await startScript(() => refusal(status, message));
    await expect(list(gitea)).rejects.toThrow(`[${code}]`);
  });

  it('are not asked for without a login', async () => {
    const gitea = await startScript();
    const { lister } = openGitea(gitea.url, { credentials: { kind: 'none' } });
    await expect(lister?.manifests(APP)).rejects.toThrow(
      /could not list the versions of acme\/app: .*Give `username` and `password`/,
    );
    expect(gitea.seen).toEqual([]);
  });

  it('are asked for with the user name and the password', async () => {
    const gitea = await filled();
    await list(gitea);
    const header = `Basic ${Buffer.from('bot:pass-word-1').toString('base64')}`;
    expect(new Set(gitea.seen.map(({ headers }) => headers.authorization))).toEqual(
      new Set([header]),
    );
  });
});

describe('The versions of an image', () => {
  it('are one manifest where a digest and tags name the same', async () => {
    const gitea = await startScript();
    gitea.tags.set('v1', tagged.digest).set('latest', tagged.digest);
    gitea.rows.push(
      { id: 3, version: 'latest', created_at: '2026-03-01T00:00:00Z' },
      { id: 2, version: 'v1', created_at: '2026-02-01T00:00:00Z' },
      { id: 1, version: tagged.digest, created_at: '2026-01-01T00:00:00Z' },
    );
    const pushedAt = Date.parse('2026-03-01T00:00:00Z');
    expect(await list(gitea)).toEqual(
      new Map([[tagged.digest, { tags: ['latest', 'v1'], pushedAt }]]),
    );
  });

  it('have their times in the zone of the server', async () => {
    const gitea = await startScript();
    gitea.rows.push({ id: 1, version: tagged.digest, created_at: '2026-01-01T03:00:00+02:00' });
    const pushedAt = Date.parse('2026-01-01T01:00:00Z');
    expect((await list(gitea))?.get(tagged.digest)?.pushedAt).toBe(pushedAt);
  });

  it('are a manifest where only a tag names it', async () => {
    const gitea = await startScript();
    gitea.tags.set('v1', tagged.digest);
    gitea.rows.push({ id: 1, version: 'v1' });
    expect((await list(gitea))?.get(tagged.digest)?.tags).toEqual(['v1']);
  });

  it('leave out those of images whose names are only alike', async () => {
    const gitea = await startScript();
    gitea.rows.push(
      { id: 4, version: tagged.digest, name: 'my-app' },
      { id: 3, version: tagged.digest, name: 'app/sub' },
      { id: 2, version: tagged.digest, name: 'xpp' },
      { id: 1, version: pushed.digest, name: 'App' },
    );
    expect([...((await list(gitea))?.keys() ?? [])]).toEqual([pushed.digest]);
  });

  it('are listed again where a tag went before it could be read', async () => {
    const gitea: Scripted = await startScript(({ method, path }) => {
      if (method === 'GET' && path.includes('/manifests/gone')) {
        gitea.rows.shift();
      }
      return undefined;
    });
    gitea.rows.push({ id: 2, version: 'gone' }, { id: 1, version: tagged.digest });
    expect([...((await list(gitea))?.keys() ?? [])]).toEqual([tagged.digest]);
    expect(pagesOf(gitea)).toEqual(['1', '1', '1']);
  });

  it('reject where a tag that is listed is denied every time', async () => {
    const gitea = await startScript();
    gitea.rows.push({ id: 2, version: 'never' });
    await expect(list(gitea)).rejects.toThrow('4 times in a row');
  });

  it('are listed again where a tag was set on another manifest meanwhile', async () => {
    let isMoved = false;
    const gitea: Scripted = await startScript(({ method, path }) => {
      if (method === 'HEAD' && path.endsWith('/v1') && !isMoved) {
        isMoved = true;
        gitea.tags.set('v1', pushed.digest);
        gitea.rows.splice(0, 1, { id: 9, version: 'v1' });
      }
      return undefined;
    });
    gitea.tags.set('v1', tagged.digest);
    gitea.rows.push({ id: 2, version: 'v1' }, { id: 1, version: tagged.digest });
    const listing = await list(gitea);
    expect(listing?.get(pushed.digest)?.tags).toEqual(['v1']);
    expect(listing?.get(tagged.digest)?.tags).toEqual([]);
    expect(pagesOf(gitea)).toHaveLength(4);
  });
});

describe('The repositories of owners', () => {
  it('are all images of each owner that a pattern names, once', async () => {
    const gitea = await startScript((_, { pathname }) =>
      pathname.endsWith('/nobody') ? refusal(404, 'user redirect does not exist') : undefined,
    );
    const digest: Digest = tagged.digest;
    gitea.rows.push(
      { id: 4, version: 'v1', name: 'web' },
      { id: 3, version: digest, name: 'app' },
      { id: 2, version: digest, name: 'web' },
      { id: 1, version: 'x', name: 'not a name' },
    );
    const registry = openGitea(gitea.url, { namespaces: ['acme'] });
    expect(await registry.repositories()).toEqual({
      repositories: ['acme/app', 'acme/web'],
      unnameable: 1,
      isPartial: true,
    });
    expect(gitea.sent()[0]).toBe('GET /api/v1/packages/acme?type=container&limit=50&page=1');
    const unknown = openGitea(gitea.url, { namespaces: ['nobody'] });
    await expect(unknown.repositories()).rejects.toThrow('no user or organization `nobody`');
  });

  it('are those of the catalog where no pattern names an owner', async () => {
    const gitea = await startScript((_, { pathname }) =>
      pathname === '/v2/_catalog'
        ? { status: 200, body: { repositories: ['acme/app', 'other/web'] } }
        : undefined,
    );
    const { repositories } = await openGitea(gitea.url).repositories();
    expect(repositories).toEqual(['acme/app', 'other/web']);
  });
});
