/** Missing rights: the answers of `/v2/`, and what a run knows before its first change. */
import { describe, expect, it } from '@jest/globals';

import { image } from '../../../support/builders/build.js';
import {
  CHALLENGE,
  openGitea,
  startScript,
  type Answer,
  type Script,
} from '../../../support/scenes/gitea-script.js';

const orphan = image('orphan');
const RIGHT_MISSING: Answer = {
  status: 401,
  headers: { 'WWW-Authenticate': 'Basic realm="Gitea Package API"' },
  body: 'reqPackageAccess\n',
};
const UNKNOWN: Answer = {
  status: 404,
  body: { errors: [{ code: 'MANIFEST_UNKNOWN', message: '' }] },
};

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Asks for a login by token, whose access token has these scopes; then the script answers. */
function behindLogin(scopes: string, script: Script): Script {
  return (request, url) => {
    if (url.pathname === '/v2/token') {
      const claims = { UserID: 1, Scope: scopes, ActionsUserTaskID: 0 };
      return { status: 200, body: { token: `${segment({})}.${segment(claims)}.c2ln` } };
    }
    const { authorization, host = '' } = request.headers;
    if (url.pathname.startsWith('/v2/') && authorization === undefined) {
      const challenge = CHALLENGE.replace('registry.test', host);
      return { status: 401, headers: { 'WWW-Authenticate': challenge } };
    }
    return script(request, url);
  };
}

const deletesOf = (seen: readonly { readonly method: string; readonly path: string }[]) =>
  seen.filter(({ method }) => method === 'DELETE').map(({ path }) => path);

describe('A 401 of the packages, which means that the account lacks a right', () => {
  const bytes = Buffer.from('{}');
  const manifest = { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes };

  it.each([
    ['a blob', 'start an upload to acme/app'],
    ['a manifest', 'push acme/app:v1'],
  ])('says so of a push of %s, and asks no more than twice', async (what, words) => {
    const gitea = await startScript(behindLogin('all', () => RIGHT_MISSING));
    const { pusher } = openGitea(gitea.url);
    const pushed =
      what === 'a blob'
        ? pusher.pushBlob('acme/app', bytes)
        : pusher.pushManifest('acme/app', 'v1', manifest);
    await expect(pushed).rejects.toThrow(
      `refused to ${words}: it answered 401, and says that the login is good and lacks a right`,
    );
    await expect(pushed).rejects.toThrow('access token with the scope `write:package`');
    await expect(pushed).rejects.toMatchObject({ kind: 'forbidden' });
    const writes = gitea.seen.filter(({ method }) => method === 'PUT' || method === 'POST');
    // Without a login, with the token, and with user and password.
    expect(writes).toHaveLength(3);
  });

  it('says so of a list of tags', async () => {
    const gitea = await startScript(behindLogin('all', () => RIGHT_MISSING));
    await expect(openGitea(gitea.url).reader.tags('acme/app')).rejects.toMatchObject({
      kind: 'forbidden',
    });
  });

  it('is not the 401 of another realm', async () => {
    const other = { ...RIGHT_MISSING, headers: { 'WWW-Authenticate': 'Basic realm="Proxy"' } };
    const gitea = await startScript(behindLogin('all', () => other));
    await expect(openGitea(gitea.url).reader.tags('acme/app')).rejects.toMatchObject({
      kind: 'unauthorized',
    });
  });
});

it('An owner that the server does not know is named by the list of tags', async () => {
  const gitea = await startScript(() => ({ status: 404, body: 'Not found.\n' }));
  await expect(openGitea(gitea.url).reader.tags('nobody/app')).rejects.toThrow(
    'the server knows no user or organization `nobody`. Check the name',
  );
});

describe('A dry-run', () => {
  it('knows from the token that its scopes allow no delete, and changes nothing', async () => {
    const gitea = await startScript(behindLogin('read:package', () => UNKNOWN));
    const { rights, reader } = openGitea(gitea.url);
    await reader.tags('acme/app');
    const why = await rights.lacksDelete('acme/app');
    expect(why).toContain("can't delete in acme/app: it lacks the scope `write:package`");
    expect(new Set(gitea.seen.map(({ method }) => method))).toEqual(new Set(['GET']));
  });

  it.each(['all', 'write:package', ''])(
    'knows nothing against deletes where the scopes are "%s"',
    async (scopes) => {
      const gitea = await startScript(behindLogin(scopes, () => UNKNOWN));
      const { rights, reader } = openGitea(gitea.url);
      await reader.tags('acme/app');
      expect(await rights.lacksDelete('acme/app')).toBeUndefined();
    },
  );
});

describe('The question before the first delete', () => {
  const answering = (answers: Readonly<Record<string, Answer>>) =>
    startScript(
      behindLogin('all', (_, { pathname }) => answers[pathname.split('/')[2] ?? ''] ?? UNKNOWN),
    );

  it('is a delete of a digest that nothing has, once for each owner', async () => {
    const gitea = await answering({ acme: RIGHT_MISSING });
    const { rights } = openGitea(gitea.url);
    expect(await rights.probeDeletes(['acme/app', 'acme/web', 'other/app'])).toBeUndefined();
    const asked = deletesOf(gitea.seen).map((path) => path.replace(/sha256:[0-9a-f]{64}$/, '…'));
    expect(new Set(asked)).toEqual(
      new Set(['/v2/acme/web/manifests/…', '/v2/other/app/manifests/…']),
    );
    expect(asked).not.toContain(orphan.digest);
  });

  it('is answered with the refusal where every owner refuses', async () => {
    const gitea = await answering({ acme: RIGHT_MISSING, other: RIGHT_MISSING });
    const { rights } = openGitea(gitea.url);
    const why = await rights.probeDeletes(['acme/app', 'other/app']);
    expect(why).toContain('with a digest that no manifest has');
    expect(why).toContain('`write:package`');
  });

  it('says nothing of rights where the server fails', async () => {
    const gitea = await answering({ acme: { status: 400, body: { errors: [] } } });
    expect(await openGitea(gitea.url).rights.probeDeletes(['acme/app'])).toBeUndefined();
  });

  it('is left out where there are many owners, each of which may answer in its own way', async () => {
    const gitea = await answering({});
    const { rights } = openGitea(gitea.url);
    await rights.probeDeletes(['a/app', 'b/app', 'c/app', 'd/app']);
    expect(gitea.seen).toEqual([]);
  });
});
