/** The token of the job, which every run has by default: a registry that isn't GitHub's never sees it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import { seed } from '../support/clients/push.js';
import type { MemoryRegistryOptions } from '../support/servers/memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';

const TOKEN = 'ghs_0123456789abcdefghijklmnopqrstuvwxyz';
const ENV = {
  GITHUB_ACTOR: 'octocat',
  GITHUB_REPOSITORY: 'Acme/Shop',
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_API_URL: 'https://api.github.com',
};
const orphan = image('token orphan');

let registry: MemoryRegistry;
let shown: string[];

async function start(options?: MemoryRegistryOptions): Promise<void> {
  registry = await startMemoryRegistry(options);
  seed(registry.state, 'team/app', orphan);
  seed(registry.state, 'team/app', image('token kept'), 'latest');
  registry.intercept(({ headers }) => {
    shown.push(headers.authorization ?? 'none');
    return undefined;
  });
}

beforeEach(() => {
  shown = [];
});
afterEach(async () => registry.stop());

const run = () =>
  runAction(
    {
      'registry-url': registry.url,
      'github-token': TOKEN,
      digests: `team/app@${orphan.digest}`,
      'grace-period': '0',
    },
    { env: ENV },
  );

describe('a registry that is not of GitHub', () => {
  it('is cleaned without the token, and with all its repositories', async () => {
    await start();
    const { exitCode, outputs, log } = await run();
    expect(log).not.toContain(TOKEN);
    expect({ exitCode, deleted: outputs['deleted-count'] }).toEqual({ exitCode: 0, deleted: '1' });
    expect(new Set(shown)).toEqual(new Set(['none']));
  });

  it('does not get the token when it asks for a login', async () => {
    await start({ auth: { kind: 'basic', username: ENV.GITHUB_ACTOR, password: TOKEN } });
    const { exitCode, log } = await run();
    expect(exitCode).toBe(1);
    expect(log).toContain('[credentials-refused]');
    expect(new Set(shown)).toEqual(new Set(['none']));
  });
});
