/** Patterns of `repositories`: the packages of the owners that they begin with. */
import { describe, expect, it } from '@jest/globals';

import { image } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  openScene,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN } from '../../../support/servers/ghcr/options.js';

const [kept, orphan] = [image('kept'), image('orphan')];
const ACCOUNTS = [
  { login: 'Octocat', type: 'User' },
  { login: 'acme', type: 'Organization' },
  { login: 'other', type: 'Organization' },
] as const;

const JSON_TYPE = { 'Content-Type': 'application/json' };

type Scene = Awaited<ReturnType<typeof startScene>>;

async function filled(...repositories: readonly string[]): Promise<Scene> {
  const ghcr = await startScene({ accounts: ACCOUNTS });
  repositories.forEach((repository) => {
    seed(ghcr.state, repository, kept, 'v1');
    seed(ghcr.state, repository, orphan);
  });
  return ghcr;
}

const read = (ghcr: Scene, token: string, ...namespaces: readonly string[]) =>
  openScene(ghcr, { token, namespaces }).repositories();

describe('The packages of an owner', () => {
  it('come in several pages', async () => {
    const names = Array.from({ length: 205 }, (_, n) => `acme/app-${String(n)}`);
    const ghcr = await filled(...names);
    const { repositories, unnameable } = await read(ghcr, PERSONAL_TOKEN, 'acme');
    expect([...repositories].sort()).toEqual([...names].sort());
    expect(unnameable).toBe(0);
    const asked = ghcr.apiRequests.map(({ url }) => url).filter((url) => url.includes('packages'));
    expect(asked).toEqual(
      [1, 2, 3].map(
        (page) => `/orgs/acme/packages?package_type=container&per_page=100&page=${String(page)}`,
      ),
    );
  });

  it('may be those of the user of the token', async () => {
    const ghcr = await filled('octocat/app', 'octocat/team/deep', 'acme/app');
    const { repositories } = await read(ghcr, PERSONAL_TOKEN, 'octocat');
    expect([...repositories].sort()).toEqual(['octocat/app', 'octocat/team/deep']);
    expect(ghcr.apiRequests.at(-1)?.url).toMatch(/^\/user\/packages\?/);
  });

  it('are those of several owners', async () => {
    const ghcr = await filled('octocat/app', 'acme/app', 'other/app');
    const { repositories } = await read(ghcr, PERSONAL_TOKEN, 'acme', 'other');
    expect([...repositories].sort()).toEqual(['acme/app', 'other/app']);
  });

  it('are in lower case, and those that no repository can be named like are counted', async () => {
    const ghcr = await startScene({ accounts: ACCOUNTS, validates: false });
    ghcr.apiIntercept(({ route }) =>
      route?.kind === 'packages'
        ? {
            kind: 'answer',
            status: 200,
            headers: JSON_TYPE,
            body: '[{"name":"App"},{"name":"a b"},{"name":"../x"}]',
          }
        : undefined,
    );
    expect(await read(ghcr, PERSONAL_TOKEN, 'acme')).toEqual({
      repositories: ['acme/app'],
      unnameable: 2,
      isPartial: true,
    });
  });

  it('are not shown to a job, whose message says that names or another token are needed', async () => {
    const ghcr = await filled('acme/app');
    await expect(read(ghcr, JOB_TOKEN, 'acme')).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringMatching(
        /^could not list the packages of acme: GitHub answered 400\. .*name them in `repositories`.*classic personal access token with `read:packages`/,
      ),
    });
  });

  it('need an owner in the patterns', async () => {
    const ghcr = await filled('acme/app');
    await expect(read(ghcr, PERSONAL_TOKEN)).rejects.toThrow('such as `owner/**`');
    expect(ghcr.apiRequests).toEqual([]);
  });

  it.each([
    ['is in another form', '{"packages":[]}', '', "isn't in the form"],
    ['has a Link header that makes no sense', '[]', '<x', 'Link header'],
    ['never ends', '[]', '<?page=2>; rel="next"', 'GitHub lists 10,000 of an owner at most'],
  ])('are not known where the list %s', async (_, body, link, words) => {
    const ghcr = await startScene({ accounts: ACCOUNTS, validates: false });
    const headers = { ...JSON_TYPE, Link: link };
    ghcr.apiIntercept(({ route }) => {
      ghcr.quota.set({ remaining: 5000 });
      return route?.kind === 'packages'
        ? { kind: 'answer', status: 200, headers, body }
        : undefined;
    });
    await expect(read(ghcr, PERSONAL_TOKEN, 'acme')).rejects.toThrow(words);
  });
});

describe('A run with a pattern', () => {
  it('cleans the packages that it matches', async () => {
    const ghcr = await filled('acme/app', 'acme/web', 'acme/tools/lint', 'other/app');
    const {
      green,
      complaints,
      run: done,
    } = await cleanScene(ghcr, {
      githubToken: PERSONAL_TOKEN,
      repositories: ['acme/*'],
      namespaces: ['acme'],
    });
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(done?.repositories.map(({ inventory }) => inventory.repository).sort()).toEqual([
      'acme/app',
      'acme/web',
    ]);
    expect(standing(ghcr, 'acme/app')).toEqual(digestsOf(kept));
    expect(standing(ghcr, 'acme/web')).toEqual(digestsOf(kept));
    expect(standing(ghcr, 'acme/tools/lint')).toEqual(digestsOf(kept, orphan));
    expect(standing(ghcr, 'other/app')).toEqual(digestsOf(kept, orphan));
  });

  it('is red with the token of a job, and deletes nothing', async () => {
    const ghcr = await filled('acme/app');
    const { green, complaints } = await cleanScene(ghcr, {
      repositories: ['acme/*'],
      namespaces: ['acme'],
    });
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain("A job's own token can't list packages");
    expect(deletesAt(ghcr)).toEqual([]);
  });
});
