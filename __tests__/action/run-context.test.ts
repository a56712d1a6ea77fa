import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { startRunner, type Runner } from '../support/scenes/runner.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
  runner.env('GITHUB_EVENT_PATH', undefined);
});
afterEach(() => {
  runner.restore();
});

const GITHUB = {
  GITHUB_REPOSITORY: 'team/ops',
  GITHUB_RUN_ID: '4711',
  GITHUB_WORKFLOW: 'Nightly clean-up',
  GITHUB_EVENT_NAME: 'schedule',
  GITHUB_SERVER_URL: 'https://github.example.com',
};

/** @actions/github reads the environment when it is loaded, so it is loaded anew. */
async function contextWith(env: Readonly<Record<string, string | undefined>>): Promise<unknown> {
  for (const [name, value] of Object.entries(env)) {
    runner.env(name, value);
  }
  jest.resetModules();
  const { runContext } = await import('../../src/action/run-context.js');
  return runContext();
}

describe('runContext', () => {
  it('describes the run as GitHub does', async () => {
    expect(await contextWith(GITHUB)).toEqual({
      url: 'https://github.example.com/team/ops/actions/runs/4711',
      repository: 'team/ops',
      workflow: 'Nightly clean-up',
      event: 'schedule',
    });
  });

  it('is at github.com by default', async () => {
    expect(await contextWith({ ...GITHUB, GITHUB_SERVER_URL: undefined })).toMatchObject({
      url: 'https://github.com/team/ops/actions/runs/4711',
    });
  });

  it.each([
    ['no repository', { GITHUB_REPOSITORY: undefined }],
    ['an empty one', { GITHUB_REPOSITORY: '' }],
    ['no run', { GITHUB_RUN_ID: undefined }],
  ])('is nothing outside of GitHub Actions: %s', async (_, env) => {
    expect(await contextWith({ ...GITHUB, ...env })).toBeUndefined();
  });
});
