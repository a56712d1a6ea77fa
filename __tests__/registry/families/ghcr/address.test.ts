/** Which registries are GitHub's, where their API is, and where people manage their packages. */
import { describe, expect, it } from '@jest/globals';

import { familyOf } from '../../../../src/registry/families/families.js';
import { ghcr as family } from '../../../../src/registry/families/ghcr/ghcr.js';
import type { GitHub } from '../../../../src/registry/registry.js';
import { image } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import { openScene, REPOSITORY, startScene } from '../../../support/scenes/ghcr.js';
import { GitHubApi } from '../../../../src/registry/families/ghcr/api.js';
import { Owners } from '../../../../src/registry/families/ghcr/owners.js';
import { connect } from '../../../support/scenes/run.js';
import { JOB_TOKEN } from '../../../support/servers/ghcr/options.js';

const gitHub = (server: string, api: string): GitHub => ({
  server: new URL(server),
  api: new URL(api),
});
const GHES = gitHub('https://git.corp.example', 'https://git.corp.example/api/v3');
const PUBLIC = gitHub('https://github.com', 'https://api.github.com');

describe('The address of a registry', () => {
  it.each<[string, GitHub | undefined, string, string | undefined]>([
    ['https://ghcr.io', PUBLIC, 'ghcr', 'https://api.github.com/'],
    ['https://ghcr.io', undefined, 'ghcr', 'https://api.github.com/'],
    ['https://ghcr.io', GHES, 'ghcr', 'https://api.github.com/'],
    ['https://containers.git.corp.example', GHES, 'ghcr', 'https://git.corp.example/api/v3'],
    ['https://containers.git.corp.example', PUBLIC, 'distribution', undefined],
    ['https://containers.git.corp.example', undefined, 'distribution', undefined],
    ['https://ghcr.io.example.com', PUBLIC, 'distribution', undefined],
    ['https://notghcr.io', PUBLIC, 'distribution', undefined],
    ['https://x.ghcr.io', PUBLIC, 'distribution', undefined],
  ])('%s belongs to a registry with its own API or to none', (url, github, name, api) => {
    const registry = new URL(url);
    const found = familyOf({
      registry,
      registryType: 'auto',
      ...(github === undefined ? {} : { github }),
    });
    expect(found?.name).toBe(name);
    expect(name === 'ghcr' ? family.api?.(registry, github)?.href : undefined).toBe(api);
  });
});

describe('The settings of a package', () => {
  it.each([
    ['https://api.github.com', 'https://github.com'],
    ['https://api.octo.ghe.com', 'https://octo.ghe.com'],
    ['https://git.corp.example/api/v3', 'https://git.corp.example'],
  ])('are beside the API %s at %s', async (base, web) => {
    const ghcr = await startScene({ accounts: [{ login: 'octocat', type: 'User' }] });
    seed(ghcr.state, REPOSITORY, image('one'), 'v1');
    const { transport, quote } = connect({ url: ghcr.url });
    // The questions go to the simulator, whose address no settings have.
    const api = new GitHubApi({
      ...transport,
      quote,
      base: new URL(ghcr.url),
      api: new URL(base),
      githubToken: JOB_TOKEN,
      namespaces: [],
      send: async (request) => {
        const path = request.url.pathname.replace('/api/v3', '');
        const answer = await transport.send({ ...request, url: new URL(`${ghcr.api}${path}`) });
        return { ...answer, url: request.url };
      },
    });
    const owners = new Owners(api);
    expect((await owners.packageOf('acme/team/app')).settings).toBe(
      `${web}/orgs/acme/packages/container/team%2Fapp/settings`,
    );
    expect((await owners.packageOf('octocat/app')).settings).toBe(
      `${web}/users/octocat/packages/container/app/settings`,
    );
    transport.close();
  });
});

describe('An API below a path', () => {
  it.each(['/api/v3', '/api/v3/'])('is asked there (%s)', async (path) => {
    const ghcr = await startScene({ apiPath: '/api/v3' });
    seed(ghcr.state, REPOSITORY, image('one'), 'v1');
    const { lister } = openScene({ ...ghcr, api: ghcr.api.replace('/api/v3', path) });
    expect((await lister?.manifests(REPOSITORY))?.size).toBe(1);
    expect(ghcr.apiRequests.every(({ url }) => url.startsWith('/api/v3/'))).toBe(true);
  });
});
