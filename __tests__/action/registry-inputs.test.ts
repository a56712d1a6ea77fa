import { describe, expect, it } from '@jest/globals';

import { githubOf, readApiUrl } from '../../src/action/registry-inputs.js';
import { distribution } from '../../src/registry/families/distribution.js';
import type { Family, GitHub } from '../../src/registry/registry.js';
import { OF_GITHUB, OTHER } from '../support/builders/families.js';
import { noteMistakes } from '../support/builders/mistakes.js';

const CLOUD = {
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_API_URL: 'https://api.github.com',
};

describe('the GitHub that runs the workflow', () => {
  it('is where the runner says', () => {
    expect(githubOf(CLOUD)).toEqual({
      server: new URL('https://github.com'),
      api: new URL('https://api.github.com'),
    });
    const server = 'https://github.example.com';
    expect(
      githubOf({ GITHUB_SERVER_URL: server, GITHUB_API_URL: `${server}/api/v3` })?.api.href,
    ).toBe(`${server}/api/v3`);
  });

  it.each([
    [{}],
    [{ GITHUB_SERVER_URL: CLOUD.GITHUB_SERVER_URL }],
    [{ GITHUB_API_URL: CLOUD.GITHUB_API_URL }],
    [{ ...CLOUD, GITHUB_API_URL: '' }],
    [{ ...CLOUD, GITHUB_SERVER_URL: 'github.com' }],
    [{ ...CLOUD, GITHUB_API_URL: 'file:///etc/passwd' }],
    [{ ...CLOUD, GITHUB_API_URL: 'https://user:pw@api.github.com' }],
  ])('is nowhere with %j', (env) => {
    expect(githubOf(env)).toBeUndefined();
  });
});

describe('api-url', () => {
  interface Case {
    readonly registry?: string;
    readonly family?: Family;
    readonly github?: GitHub;
  }
  function read(text: string, { registry, family = OTHER, github }: Case = {}) {
    const { noted, mistake } = noteMistakes();
    const base = new URL(registry ?? 'https://registry.example.com');
    const api = readApiUrl(text, { registry: base, family, github }, mistake);
    return { api: api?.href, noted };
  }
  const github = (api: string) => ({ server: new URL('https://github.com'), api: new URL(api) });

  it.each([
    ['https://api.example.com', 'https://registry.example.com'],
    ['https://github.example.com/api/v3', 'https://registry.example.com'],
    ['http://localhost:8080', 'https://registry.example.com'],
    ['http://127.0.0.1:8080/api', 'https://registry.example.com'],
    ['http://[::1]:8080', 'https://registry.example.com'],
    ['http://api.example.com', 'http://registry.example.com'],
  ])('may be %s for %s', (text, registry) => {
    expect(read(text, { registry })).toEqual({ api: new URL(text).href, noted: [] });
  });

  it('is left to the family when it is empty', () => {
    expect(read('')).toEqual({ api: undefined, noted: [] });
    const family = OF_GITHUB;
    expect(read('', { family }).noted).toEqual([]);
    expect(read('', { family, github: github('https://api.github.com') }).noted).toEqual([]);
  });

  it.each(['api.example.com', 'ftp://api.example.com', '/api', 'https://'])(
    '%j is a mistake',
    (text) => {
      const takes = 'an address such as `https://api.example.com`, without a user name';
      expect(read(text)).toEqual({
        api: undefined,
        noted: [{ input: 'api-url', takes, got: text }],
      });
    },
  );

  it.each(['https://user:hunter2@api.example.com', 'https://:hunter2@api.example.com'])(
    'is a mistake with credentials, and not printed: %s',
    (text) => {
      const { api, noted } = read(text);
      expect(api).toBeUndefined();
      expect(noted).toEqual([
        { input: 'api-url', takes: expect.stringContaining('without a user name') },
      ]);
    },
  );

  it('is a mistake where a token would be sent there unencrypted', () => {
    const takes = 'an address with `https://`';
    const why = 'a token would be sent there unencrypted';
    for (const got of ['http://api.example.com/', 'http://localhost.example.com/']) {
      expect(read(got)).toEqual({
        api: undefined,
        noted: [{ input: 'api-url', takes, got, why }],
      });
    }
  });

  it('is a mistake where the default of the runner is unencrypted', () => {
    const inputs = { family: OF_GITHUB, github: github('http://github.example.com/api/v3') };
    expect(read('', inputs).noted).toEqual([
      {
        input: 'api-url',
        takes: 'an address with `https://`',
        got: 'http://github.example.com/api/v3',
        why: 'that is the default here, and a token would be sent there unencrypted',
      },
    ]);
    expect(read('https://github.example.com/api/v3', inputs).noted).toEqual([]);
    expect(read('', { ...inputs, registry: 'http://containers.example.com' }).noted).toEqual([]);
  });

  it('is a mistake for a family without an API of its own', () => {
    const takes = 'nothing: a registry of the type `distribution` has no API beside `/v2/`';
    const got = 'https://api.example.com';
    const input = 'api-url';
    expect(read(got, { family: distribution }).noted).toEqual([{ input, takes, got }]);
    expect(read('', { family: distribution }).noted).toEqual([]);
  });
});
