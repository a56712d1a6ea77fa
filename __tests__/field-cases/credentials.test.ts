/**
 * Credentials as people have them: Docker configs with several keys for a host, registries that are open and show more
 * to those they know, tokens whose time has not come, registries that repeat what they were shown. The bundle is run as
 * GitHub runs it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { PASSWORD, startDockerRegistry, USERNAME } from '../support/servers/docker-registry.js';
import { basicHeader } from '../support/servers/memory/auth.js';
import type { Action, SeenRequest } from '../support/servers/memory/script.js';
import { push } from '../support/clients/push.js';
import { distribution3, dockerRegistry, present } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { startRelay, type Relay } from '../support/servers/relay.js';

const AUTH = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
const HEADER = basicHeader(USERNAME, PASSWORD);
const LOGIN = { username: USERNAME, password: PASSWORD };
const [orphan, kept] = [image('credentials 1'), image('credentials 2')];

const programs = [
  { name: 'docker-registry', program: dockerRegistry },
  { name: 'distribution-3', program: distribution3 },
] as const;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'credentials-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function filled(starting: Promise<RealRegistry>): Promise<RealRegistry> {
  const registry = stopAfterTest(await starting);
  await push(registry, 'team/app', orphan, 'latest');
  await push(registry, 'team/app', kept, 'latest');
  return registry;
}

async function before(registry: RealRegistry): Promise<Relay> {
  return stopAfterTest(await startRelay({ url: registry.url }));
}

async function clean(
  url: string,
  inputs: Record<string, string> = {},
  config?: string,
  more: Record<string, string> = {},
) {
  if (config !== undefined) {
    await writeFile(join(folder, 'config.json'), config);
  }
  const env = { DOCKER_CONFIG: folder, ...more };
  return runAction(
    { 'registry-url': url, digests: `team/app@${orphan.digest}`, 'grace-period': '0', ...inputs },
    { env },
  );
}

const refused = (status: number, headers: Record<string, string> = {}): Action => ({
  kind: 'answer',
  status,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify({ errors: [{ code: 'DENIED', message: 'denied' }] }),
});

describe.each(programs)('$name', ({ name, program }) => {
  describeWith(name, program, 'a login by a Docker config', () => {
    let registry: RealRegistry;
    let host: string;
    beforeEach(async () => {
      registry = await filled(startDockerRegistry(present(program), { auth: 'htpasswd' }));
      host = new URL(registry.url).host;
    });

    it('takes the exact key, wherever keys that become it by shortening stand', async () => {
      const other = { auth: btoa('other:wrong') };
      const auths = {
        [`${host}/team-b`]: other,
        [`https://${host}/v1/`]: other,
        [host]: { auth: AUTH.replace(/.{8}/g, '$&\n') },
        [`http://${host}`]: other,
      };
      const run = await clean(registry.url, {}, JSON.stringify({ auths }));
      expect(run.log).not.toContain('::error');
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
    });

    it('takes the exact key of credHelpers, too', async () => {
      const helper = (name: string, secret: string) =>
        writeFile(
          join(folder, `docker-credential-${name}`),
          `#!/bin/sh\ncat > /dev/null\necho '${JSON.stringify({ Username: USERNAME, Secret: secret })}'\n`,
          { mode: 0o755 },
        );
      await helper('right', PASSWORD);
      await helper('wrong', 'wrong');
      const credHelpers = {
        [`${host}/team-b`]: 'wrong',
        [`https://${host}/v1/`]: 'wrong',
        [host]: 'right',
        [`http://${host}`]: 'wrong',
      };
      const config = JSON.stringify({ credHelpers, credsStore: 'wrong' });
      const run = await clean(registry.url, {}, config, {
        PATH: `${folder}:${process.env['PATH'] ?? ''}`,
      });
      expect(run.log).not.toContain('::error');
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
    });

    it.each<[string, string | undefined, string]>([
      ['there is none', undefined, 'No credentials were given, and there is no Docker config ('],
      ['it is empty', '', 'it has none at all. Give `username` and `password`'],
      [
        'it has others',
        JSON.stringify({ auths: { 'b.test': { auth: AUTH }, 'https://a.test/v1/': {} } }),
        'it has a.test, b.test. Give `username` and `password`',
      ],
    ])('is told what the config has when %s', async (_name, config, expected) => {
      const run = await clean(registry.url, {}, config);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain(expected);
      expect(run.log).toContain(config === undefined ? 'No credentials' : `has none for ${host};`);
      expect(run.log).not.toContain(AUTH);
    });
  });

  describeWith(name, program, 'a registry that is open to everybody', () => {
    let registry: RealRegistry;
    let relay: Relay;
    beforeEach(async () => {
      registry = await filled(startDockerRegistry(present(program)));
      relay = await before(registry);
    });

    /** Shows its catalog to everybody, but `team/app` and deletes only to those it knows, and never asks. */
    const filter = ({ path, method, headers }: SeenRequest): Action | undefined =>
      headers.authorization === HEADER
        ? undefined
        : path.startsWith('/v2/_catalog')
          ? { kind: 'answer', status: 200, body: '{"repositories":[]}' }
          : path === '/v2/' && method === 'GET'
            ? undefined
            : refused(403);

    it('shows the account its repositories, with as many requests', async () => {
      const shown: string[] = [];
      relay.intercept((request) => {
        shown.push(request.headers.authorization ?? '-');
        return filter(request);
      });
      const run = await clean(relay.url, LOGIN);
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
      expect(run.log).toContain(
        'never asked for a login; the user name and password were sent anyway',
      );
      const [first, ...others] = shown;
      expect(first).toBe('-');
      expect(new Set(others)).toEqual(new Set([HEADER]));
    });

    it('leads to an error that it never asked for a login where it refuses', async () => {
      relay.intercept(({ path }) => (path === '/v2/' ? undefined : refused(403)));
      const run = await clean(relay.url, LOGIN);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain('The registry never asked for a login. The credentials were sent');
      expect(run.log).not.toContain('lack the scope');
    });

    it('leads to a warning that the identity token was not sent', async () => {
      const auths = { [new URL(relay.url).host]: { identitytoken: 'an-identity-token' } };
      const seen: (string | undefined)[] = [];
      relay.intercept(({ headers }) => {
        seen.push(headers.authorization);
        return undefined;
      });
      const run = await clean(relay.url, {}, JSON.stringify({ auths }));
      expect(run.log).toMatch(/::warning::the registry never asked for a login, so the identity/);
      expect(new Set(seen)).toEqual(new Set([undefined]));
    });

    it('gets no credentials sent on where it redirects', async () => {
      const other = await before(registry);
      const seen: (string | undefined)[] = [];
      other.intercept(({ headers }) => {
        seen.push(headers.authorization);
        return refused(403);
      });
      relay.intercept(({ path, method }) =>
        path.includes('/tags/list') && method === 'GET'
          ? { kind: 'answer', status: 307, headers: { Location: `${other.url}${path}` } }
          : undefined,
      );
      const run = await clean(relay.url, LOGIN);
      expect(run.exitCode).toBe(1);
      expect(new Set(seen)).toEqual(new Set([undefined]));
      expect(run.log).toContain(
        `the answer came from ${other.url}, to which the registry redirects`,
      );
    });

    it('leads to an error that no credentials are sent where it redirects to', async () => {
      const other = await before(registry);
      other.intercept(() => refused(403));
      relay.intercept(({ path, method }) =>
        path.endsWith(`/manifests/${orphan.digest}`) && method === 'GET'
          ? { kind: 'answer', status: 307, headers: { Location: `${other.url}${path}` } }
          : undefined,
      );
      const run = await clean(relay.url, LOGIN);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain(`That answer came from ${other.url}`);
      expect(run.log).toContain('to which the registry redirects and which gets no credentials');
      expect(registry.manifests().size).toBeGreaterThanOrEqual(2);
    });

    it('leads to an error that names the kind of login it asks for', async () => {
      relay.intercept(() => refused(401, { 'Www-Authenticate': 'Negotiate' }));
      const run = await clean(relay.url, LOGIN);
      expect(run.log).toContain('The credentials were not shown: the registry asks for a login by');
    });

    it('leads to an error where it asks an identity token for user and password', async () => {
      const auths = { [new URL(relay.url).host]: { identitytoken: 'an-identity-token' } };
      relay.intercept(() => refused(401, { 'Www-Authenticate': 'Basic realm="x"' }));
      const run = await clean(relay.url, {}, JSON.stringify({ auths }));
      expect(run.log).toContain('and the Docker config has an identity token for it');
    });

    it.each(['http://169.254.169.254/token', 'http://[::ffff:a9fe:a9fe]/token'])(
      'gets nothing sent to the token realm %s',
      async (realm) => {
        relay.intercept(() => refused(401, { 'Www-Authenticate': `Bearer realm="${realm}"` }));
        const run = await clean(relay.url, LOGIN);
        expect(run.exitCode).toBe(1);
        expect(run.log).toContain(
          'a link-local address, and is not on one itself: credentials are',
        );
      },
    );

    it('has no spelling of a secret printed that it repeats', async () => {
      const bytes = Buffer.from(PASSWORD);
      const url = encodeURIComponent(PASSWORD);
      const spelled = [
        bytes.toString('base64'),
        bytes.toString('base64url'),
        bytes.toString('hex'),
        bytes.toString('hex').toUpperCase(),
        url.replace(/%../g, (code) => code.toLowerCase()),
        Buffer.from(AUTH).toString('base64'),
        Buffer.from(AUTH).toString('hex'),
        PASSWORD.replace(',', '&#44;'),
      ];
      for (const form of spelled) {
        const body = JSON.stringify({ errors: [{ code: 'DENIED', message: `not ${form}` }] });
        relay.intercept(({ path }) =>
          path.includes('/manifests/') ? { kind: 'answer', status: 403, body } : undefined,
        );
        const run = await clean(relay.url, { ...LOGIN, 'dry-run': 'true' });
        expect(run.log).toContain('not ***');
        expect(JSON.stringify([run.log, run.summary, run.report])).not.toContain(form);
      }
    });

    it('has no part of a secret printed that it repeats in longer base64', async () => {
      const whole = Buffer.from(`id:${PASSWORD}\n`).toString('base64');
      const body = JSON.stringify({ errors: [{ code: 'DENIED', message: `not ${whole}` }] });
      relay.intercept(({ path }) =>
        path.includes('/manifests/') ? { kind: 'answer', status: 403, body } : undefined,
      );
      const run = await clean(relay.url, LOGIN);
      expect(run.log).toMatch(/not \w{4}\*\*\*/);
      expect(JSON.stringify([run.log, run.summary, run.report])).not.toContain(whole.slice(6, 12));
    });
  });

  describeWith(name, program, 'a registry with a token server', () => {
    it('leads to an error that no credentials were given, with the entries of the Docker config', async () => {
      const registry = await filled(startDockerRegistry(present(program), { auth: 'token' }));
      const config = JSON.stringify({ auths: { 'a.test': { auth: AUTH } } });
      const run = await clean(registry.url, {}, config);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain('gives no token without credentials (status 401). No credentials');
      expect(run.log).toContain('; it has a.test. Give `username` and `password`');
      expect(run.log).not.toContain('refused the credentials');
    });

    it('gets a fresh token once more where its clock is ahead', async () => {
      const registry = await filled(startDockerRegistry(present(program), { auth: 'token' }));
      const relay = await before(registry);
      const tokens: string[] = [];
      // The registry itself allows for a minute, so the relay refuses in its place, with its own challenge.
      let challenge = '';
      relay.intercept(({ headers: { authorization } }) => {
        if (authorization === undefined) {
          return {
            kind: 'rewrite',
            rewrite: (answer) => {
              challenge = answer.headers['www-authenticate'] ?? '';
              return answer;
            },
          };
        }
        tokens.push(authorization);
        return tokens.length === 1
          ? refused(401, { 'Www-Authenticate': `${challenge},error="invalid_token"` })
          : undefined;
      });
      const run = await clean(relay.url, LOGIN);
      expect(tokens[1]).toBe(tokens[0]);
      expect(run.log).not.toContain('::error');
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
    });
  });
});
