import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { credentialsOf, readGithubToken } from '../../src/action/login.js';
import { ghcr } from '../../src/registry/families/ghcr/ghcr.js';
import type { GitHub } from '../../src/registry/registry.js';
import { OF_GITHUB, OTHER } from '../support/builders/families.js';
import { noteMistakes } from '../support/builders/mistakes.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
});
afterEach(() => {
  runner.restore();
});

const TOKEN = 'ghs_t0ken';

describe('github-token', () => {
  const HOME = { server: new URL('https://github.com'), api: new URL('https://api.github.com') };
  const place = { registry: undefined, github: undefined, apiUrl: undefined };

  function read(
    token: string,
    family = OF_GITHUB,
    more: Partial<{ github: GitHub; apiUrl: URL }> = {},
  ) {
    const { noted, mistake } = noteMistakes();
    runner.inputs({ 'github-token': token });
    const registry = new URL('https://ghcr.io');
    return { token: readGithubToken({ ...place, registry, family, ...more }, mistake), noted };
  }

  it('is for the registry of GitHub', () => {
    expect(read(` ${TOKEN}\n`)).toEqual({ token: TOKEN, noted: [] });
    expect(read('')).toEqual({ token: undefined, noted: [] });
  });

  it('goes to no other registry', () => {
    expect(read(TOKEN, OTHER)).toEqual({ token: undefined, noted: [] });
    const { mistake } = noteMistakes();
    expect(readGithubToken({ ...place, family: undefined }, mistake)).toBeUndefined();
  });

  it.each([
    ['GitHub', OF_GITHUB],
    ['another registry', OTHER],
  ])('is masked for %s', (_, family) => {
    read(TOKEN, family);
    expect(runner.lines()).toEqual([`::add-mask::${TOKEN}`]);
  });

  it.each(['ghs_one\nghs_two', 'Bearer ghs_one', 'ghs_\u0007one', 'ghs_öne'])(
    'is a mistake where no header can hold it, masked and not quoted: %j',
    (token) => {
      const { token: taken, noted } = read(token);
      expect(taken).toBeUndefined();
      expect(noted).toEqual([
        {
          input: 'github-token',
          takes: 'one token of GitHub, without spaces or line feeds within',
        },
      ]);
      expect(runner.printed()).toMatch(/^::add-mask::/);
    },
  );

  describe('on the runner of another GitHub', () => {
    const github = {
      server: new URL('https://git.example.com'),
      api: new URL('https://git.example.com/api/v3'),
    };

    it('is a mistake where it is the token of the job', () => {
      expect(read(TOKEN, ghcr, { github })).toEqual({
        token: undefined,
        noted: [
          {
            input: 'github-token',
            takes:
              "a personal access token for api.github.com: the job's own token is one of git.example.com",
          },
        ],
      });
    });

    it('is taken where it is personal, where the API is named, and where both are the same', () => {
      expect(read('ghp_t0ken', ghcr, { github }).noted).toEqual([]);
      expect(read(TOKEN, ghcr, { github, apiUrl: HOME.api }).noted).toEqual([]);
      expect(read(TOKEN, ghcr, { github: HOME }).noted).toEqual([]);
    });
  });

  it('may be anything for a registry that never sees it', () => {
    expect(read('two words', OTHER).noted).toEqual([]);
  });
});

describe('the login to the registry', () => {
  const registry = new URL('https://ghcr.io');
  const login = { username: 'joe', password: 's3cret' };
  const stored = { username: 'ann', password: 'st0red' };
  const env = (more: NodeJS.ProcessEnv = {}) => ({
    DOCKER_CONFIG: runner.directory,
    HOME: runner.directory,
    ...more,
  });
  const store = (text: string) => {
    writeFileSync(join(runner.directory, 'config.json'), text);
  };
  const storeFor = (host: string) => {
    const auth = Buffer.from(`${stored.username}:${stored.password}`).toString('base64');
    store(JSON.stringify({ auths: { [host]: { auth } } }));
  };

  it('is that of the inputs first', async () => {
    storeFor('ghcr.io');
    const found = await credentialsOf({ registry, login, githubToken: TOKEN }, env());
    expect(found).toEqual({ kind: 'basic', ...login });
  });

  it('is then that of the Docker config', async () => {
    storeFor('ghcr.io');
    const found = await credentialsOf({ registry, githubToken: TOKEN }, env());
    expect(found).toEqual({ kind: 'basic', ...stored });
  });

  it.each([
    ['octocat', 'octocat'],
    ['', 'github-actions'],
    [undefined, 'github-actions'],
  ])('is then the token of GitHub, with the actor %j as %s', async (actor, username) => {
    const token = { kind: 'basic', username, password: TOKEN };
    const given = { registry, githubToken: TOKEN };
    expect(await credentialsOf(given, env({ GITHUB_ACTOR: actor }))).toEqual(token);
    storeFor('registry.example.com');
    expect(await credentialsOf(given, env({ GITHUB_ACTOR: actor }))).toEqual(token);
  });

  it('is none without any of them', async () => {
    const found = await credentialsOf({ registry }, env({ GITHUB_ACTOR: 'octocat' }));
    expect(found).toEqual({ kind: 'none', why: expect.stringContaining('no Docker config') });
  });

  it('fails with a broken Docker config, and takes no other login in its place', async () => {
    store('{');
    const answer = credentialsOf({ registry, githubToken: TOKEN }, env());
    await expect(answer).rejects.toThrow(/isn't valid JSON.*\[docker-config-unusable\]/);
  });
});
