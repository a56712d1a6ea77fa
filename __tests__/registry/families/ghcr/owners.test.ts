/** The owners of packages: which routes are theirs, and how they are named. */
import { describe, expect, it } from '@jest/globals';

import { image } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import { digestsOf, openScene, startScene } from '../../../support/scenes/ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN } from '../../../support/servers/ghcr/options.js';

const one = image('one');
const USER = { login: 'Octocat', type: 'User' } as const;
const STRANGER = { login: 'hubot', type: 'User' } as const;

async function pathsOf(
  repository: string,
  token: string,
): Promise<{ paths: string[]; digests: Set<string> }> {
  const ghcr = await startScene({
    accounts: [USER, STRANGER, { login: 'ACME', type: 'Organization' }],
  });
  seed(ghcr.state, repository, one, 'v1');
  const listing = await openScene(ghcr, { token }).lister?.manifests(repository);
  const paths = ghcr.apiRequests.map(({ url }) => url.replace(/\?.*$/, ''));
  return { paths: [...new Set(paths)], digests: new Set(listing?.keys()) };
}

describe('The owner of a package', () => {
  it.each([
    ['an organization', 'acme/app', JOB_TOKEN, ['/users/acme', '/orgs/acme']],
    ['a user, for a job', 'octocat/app', JOB_TOKEN, ['/users/octocat', '/users/octocat']],
    ['another user', 'hubot/app', PERSONAL_TOKEN, ['/users/hubot', '/user', '/users/hubot']],
    ['the user of the token', 'octocat/app', PERSONAL_TOKEN, ['/users/octocat', '/user', '/user']],
  ])('has the routes of %s', async (_, repository, token, expected) => {
    const { paths, digests } = await pathsOf(repository, token);
    const list = '/packages/container/app/versions';
    expect(paths).toEqual([...expected.slice(0, -1), `${String(expected.at(-1))}${list}`]);
    expect(digests).toEqual(digestsOf(one));
  });

  it('may have a package whose name holds slashes, which are encoded', async () => {
    const { paths, digests } = await pathsOf('acme/team/deep/app', JOB_TOKEN);
    expect(paths.at(-1)).toBe('/orgs/acme/packages/container/team%2Fdeep%2Fapp/versions');
    expect(digests).toEqual(digestsOf(one));
  });

  it('is asked for once by all that is done with its packages at the same time', async () => {
    const ghcr = await startScene({ accounts: [USER] });
    ['octocat/a', 'octocat/b', 'octocat/c'].forEach((name) => seed(ghcr.state, name, one, 'v1'));
    const { lister, restorer } = openScene(ghcr, { token: PERSONAL_TOKEN });
    const listings = ['octocat/a', 'octocat/b', 'octocat/c'].map((name) => lister?.manifests(name));
    await Promise.all([...listings, restorer?.isRestorable('octocat/a', '1')]);
    const asked = ghcr.apiRequests
      .map(({ url }) => url)
      .filter((url) => /^\/users?(\/[^/]+)?$/.test(url));
    expect(asked).toEqual(['/users/octocat', '/user']);
  });

  it('is asked for again after a question that failed', async () => {
    const ghcr = await startScene();
    seed(ghcr.state, 'acme/app', one, 'v1');
    ghcr.apiIntercept(({ n }) => (n <= 3 ? { kind: 'answer', status: 500 } : undefined));
    const { lister } = openScene(ghcr);
    await expect(lister?.manifests('acme/app')).rejects.toThrow('could not find the owner acme');
    expect((await lister?.manifests('acme/app'))?.size).toBe(1);
  });

  it('is named in the message where GitHub does not know it', async () => {
    const ghcr = await startScene();
    await expect(openScene(ghcr).lister?.manifests('nobody/app')).rejects.toMatchObject({
      kind: 'hidden',
      message: expect.stringMatching(
        /^could not find the owner nobody: GitHub answered 404 \(Not Found\).*owner\/name/,
      ),
    });
  });

  it.each([
    ['an answer that is not about an account', '{"login":7}'],
    ['an answer without JSON', '<html></html>'],
  ])('is not guessed from %s', async (_, body) => {
    const ghcr = await startScene({ validates: false });
    seed(ghcr.state, 'acme/app', one, 'v1');
    ghcr.apiIntercept(({ route }) =>
      route?.kind === 'account' ? { kind: 'answer', status: 200, body } : undefined,
    );
    await expect(openScene(ghcr).lister?.manifests('acme/app')).rejects.toThrow(
      'could not find the owner acme',
    );
  });
});
