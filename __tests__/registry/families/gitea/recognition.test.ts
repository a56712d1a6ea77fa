/** The answers by which a registry is recognised as Gitea or Forgejo, and the requests that ask for them. */
import { describe, expect, it } from '@jest/globals';

import type { Credentials } from '../../../../src/http/credentials.js';
import { findRegistry, openRegistry } from '../../../../src/registry/families/families.js';
import { connect } from '../../../support/scenes/run.js';
import {
  CHALLENGE,
  LOGIN,
  refusal,
  startScript,
  type Answer,
} from '../../../support/scenes/gitea-script.js';
import { stopAfterTest } from '../../../support/servers/stop-after-test.js';

const GITLAB = 'Bearer realm="https://gitlab.test/jwt/auth",service="container_registry"';
const HARBOR = 'Bearer realm="https://harbor.test/service/token",service="harbor-registry"';

const version = (text: unknown): Answer => ({ status: 200, body: { version: text } });
const NONE: Answer = { status: 404, body: 'Not found.\n' };

interface Server {
  readonly challenge?: string;
  readonly gitea?: Answer;
  readonly forgejo?: Answer;
}

/** @returns the family that is found, with what the registry was asked of the API */
async function find(
  { challenge = CHALLENGE, gitea = NONE, forgejo = NONE }: Server,
  { type = 'auto', credentials = LOGIN }: { type?: string; credentials?: Credentials } = {},
) {
  const server = await startScript(({ headers }, { pathname }) => {
    if (pathname === '/api/v1/version') {
      return gitea;
    }
    if (pathname === '/api/forgejo/v1/version') {
      return forgejo;
    }
    if (/token|auth/.test(pathname)) {
      return { status: 200, body: { token: 'abc' } };
    }
    // The realm of the challenge has to be here, or it gets no credentials.
    const own = challenge.replace(/https?:\/\/[a-z]+\.test/, `http://${headers.host ?? ''}`);
    return challenge !== '' && headers.authorization === undefined
      ? { status: 401, headers: { 'WWW-Authenticate': own } }
      : { status: 200, headers: { 'docker-distribution-api-version': 'registry/2.0' }, body: {} };
  });
  const { transport, quote } = connect({ url: server.url, credentials });
  stopAfterTest({
    stop: () => {
      transport.close();
      return Promise.resolve();
    },
  });
  const settings = { registry: new URL(server.url), registryType: type };
  const wires = { ...transport, quote };
  const { family } = await findRegistry(settings, wires);
  const registry = openRegistry(settings, wires, family);
  const asked = server.seen.filter(({ path }) => path.startsWith('/api/'));
  return { family: registry.family, registry, asked };
}

describe('A registry', () => {
  it.each<[string, Server, string]>([
    ['Gitea', { gitea: version('1.26.0') }, 'Gitea'],
    ['Forgejo', { gitea: version('9.0.3'), forgejo: version('9.0.3+gitea-1.22.0') }, 'Forgejo'],
    [
      'a Gitea that names only one of its logins',
      { challenge: CHALLENGE.split(', ')[0], gitea: version('1.26.0') },
      'Gitea',
    ],
    [
      'a Gitea that names the other one',
      { challenge: 'Basic realm="Gitea Container Registry"', gitea: version('1.26.0') },
      'Gitea',
    ],
    ['a Gitea that tells no version', { gitea: version('') }, 'Distribution'],
    ['a server with a version of another form', { gitea: version({ major: 1 }) }, 'Distribution'],
    ['a server with JSON of its own', { gitea: { status: 200, body: [] } }, 'Distribution'],
    [
      'a server with a page in every place',
      {
        gitea: { status: 200, body: '<!DOCTYPE html>' },
        forgejo: { status: 200, body: '<!DOCTYPE html>' },
      },
      'Distribution',
    ],
    [
      'a server with a large page in every place',
      { gitea: { status: 200, body: '<'.repeat(100_000) } },
      'Distribution',
    ],
    [
      'a server that leads elsewhere',
      { gitea: { status: 302, headers: { location: 'http://127.0.0.1:1/login' } } },
      'Distribution',
    ],
    ['a server that fails', { gitea: { status: 400 }, forgejo: { status: 400 } }, 'Distribution'],
  ])('is found by its answers: %s', async (_, server, family) => {
    expect((await find(server)).family).toBe(family);
  });

  it.each<[string, string]>([
    ['GitLab', GITLAB],
    ['Harbor', HARBOR],
    ['a registry with a login by Basic', 'Basic realm="Registry Realm"'],
    ['a registry without a login', ''],
    [
      'a registry with another service',
      CHALLENGE.replace('container_', 'other_').split(', ')[0] ?? '',
    ],
  ])(
    'is not asked for its version where its login is not that of Gitea: %s',
    async (_, challenge) => {
      const { family, asked } = await find({ challenge, gitea: version('1.26.0') });
      expect(family).toBe('Distribution');
      expect(asked).toEqual([]);
    },
  );

  it('is asked with the login only where it wants one', async () => {
    const { asked } = await find({ gitea: version('1.26.0') });
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    const closed = refusal(401, 'Only signed in user is allowed to call APIs.');
    const wanted = await find({ gitea: closed });
    const basic = `Basic ${Buffer.from('bot:pass-word-1').toString('base64')}`;
    expect(wanted.asked.map(({ headers }) => headers.authorization)).toContain(basic);
  });

  it('is asked without a login where the user has none', async () => {
    const { asked } = await find(
      { challenge: '', gitea: refusal(401, 'no') },
      { type: 'gitea', credentials: { kind: 'none' } },
    );
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  });
});

describe('A registry that the user calls Gitea', () => {
  it.each<[string, Server, string]>([
    ['is one where it tells no version', { challenge: '' }, 'Gitea'],
    ['is Forgejo where it says so', { challenge: '', forgejo: version('9.0.3') }, 'Forgejo'],
  ])('%s', async (_, server, family) => {
    expect((await find(server, { type: 'gitea' })).family).toBe(family);
  });
});

describe('The warnings of a registry', () => {
  it('say of Forgejo what it deletes by itself, and what to do for signatures', async () => {
    const { registry } = await find({ gitea: version('9.0.3'), forgejo: version('9.0.3') });
    const [warning = '', ...more] = registry.warnings ?? [];
    expect(warning).toMatch(
      /deletes by itself, 24 hours after its push.*\[server-cleans-itself\]$/,
    );
    expect(warning).toContain('attach them by tags');
    expect(more).toEqual([]);
  });

  it('are empty for Gitea', async () => {
    const { registry } = await find({ gitea: version('1.26.0') });
    expect(registry.warnings ?? []).toEqual([]);
  });
});
