import { afterEach, describe, expect, it } from '@jest/globals';

import { selectRepositories } from '../../src/plan/selection.js';
import { chooseApproved, chooseRepositories } from '../../src/run/choose.js';
import { image } from '../support/builders/build.js';
import { seed } from '../support/clients/push.js';
import { startClient, stopClients, tally } from '../support/clients/client.js';

afterEach(stopClients);

async function choose(patterns: readonly string[], named: readonly string[] = []) {
  const client = await startClient();
  const { registry } = client;
  for (const repository of ['team/app', 'team/web', 'app']) {
    seed(registry.state, repository, image(repository), 'v1');
  }
  const choice = await chooseRepositories(client, selectRepositories(patterns), named);
  return { choice, requests: tally(registry) };
}

describe('the choice of repositories', () => {
  it.each<[string, string[], string[], string[], boolean]>([
    ['everything', [], [], ['app', 'team/app', 'team/web'], true],
    ['a glob', ['team/*'], [], ['team/app', 'team/web'], false],
    ['a glob for everything', ['**'], [], ['app', 'team/app', 'team/web'], true],
    [
      'what candidates name beside the catalog',
      [],
      ['hidden/app', 'app'],
      ['app', 'hidden/app', 'team/app', 'team/web'],
      true,
    ],
    [
      'candidates that no pattern matches',
      ['team/*'],
      ['hidden/app'],
      ['team/app', 'team/web'],
      false,
    ],
    [
      'all but a candidate',
      ['!hidden/app'],
      ['hidden/app'],
      ['app', 'team/app', 'team/web'],
      false,
    ],
    ['nothing', ['nothing-*'], [], [], false],
  ])('takes %s', async (_, patterns, named, repositories, isComplete) => {
    const { choice, requests } = await choose(patterns, named);
    expect(choice).toMatchObject({ repositories, isComplete, unnameable: 0 });
    expect(requests).toEqual({ 'GET catalog': 1 });
  });

  it('is not complete where nobody can list all that the registry has', async () => {
    const repositories = () =>
      Promise.resolve({ repositories: ['acme/app'], unnameable: 0, isPartial: true } as const);
    const choice = await chooseRepositories({ repositories }, selectRepositories(['acme/**']), []);
    expect(choice).toMatchObject({ repositories: ['acme/app'], isComplete: false });
  });

  it('needs no catalog for plain names, existing or not', async () => {
    const { choice, requests } = await choose(['team/web', 'not/yet'], ['app']);
    expect(choice).toMatchObject({
      repositories: ['not/yet', 'team/web'],
      isComplete: false,
      unnameable: 0,
    });
    expect(requests).toEqual({});
  });

  it('is not complete if the name of a repository is not allowed', async () => {
    const catalog = async () => ({ repositories: ['a'], unnameable: 1 });
    expect(
      await chooseRepositories({ repositories: catalog }, selectRepositories([]), []),
    ).toMatchObject({
      repositories: ['a'],
      isComplete: false,
      unnameable: 1,
    });
  });
});

describe('the warnings of a choice', () => {
  const warnings = async (patterns: readonly string[], named: readonly string[] = []) =>
    (await choose(patterns, named)).choice.warnings;

  it('are empty if there is something to read, or names were given', async () => {
    expect(await warnings([])).toEqual([]);
    expect(await warnings(['team/*'])).toEqual([]);
    expect(await warnings(['not/yet'])).toEqual([]);
  });

  it('name patterns that match nothing', async () => {
    expect(await warnings(['nothing-*'], ['hidden/app'])).toEqual([
      '`repositories` matches no repository: the catalog and the inputs name 4 others [nothing-selected]',
    ]);
  });

  it('count the only repository as one', async () => {
    const catalog = async () => ({ repositories: ['app'], unnameable: 0 });
    const choice = await chooseRepositories(
      { repositories: catalog },
      selectRepositories(['team/*']),
      [],
    );
    expect(choice.warnings).toEqual([
      '`repositories` matches no repository: the catalog and the inputs name 1 other [nothing-selected]',
    ]);
  });

  it('report an empty catalog for all patterns', async () => {
    const catalog = async () => ({ repositories: [], unnameable: 0 });
    for (const patterns of [[], ['team/*']]) {
      const choice = await chooseRepositories(
        { repositories: catalog },
        selectRepositories(patterns),
        [],
      );
      expect(choice.warnings).toEqual([
        'the catalog lists no repository: the registry has none, or these credentials may see none [catalog-empty]',
      ]);
    }
  });

  it('report patterns that leave out a whole plan, but not an empty plan', () => {
    const none = selectRepositories(['team/*']);
    expect(chooseApproved(['app'], none).warnings).toEqual([
      '`repositories` leaves out every repository of the plan [nothing-selected]',
    ]);
    expect(chooseApproved(['app', 'team/app'], none).warnings).toEqual([]);
    expect(chooseApproved([], none).warnings).toEqual([]);
  });
});

describe('the choice of repositories for a plan', () => {
  const plan = ['team/web', 'app', 'team/app'];

  it.each<[string, string[], string[]]>([
    ['all that the plan says', [], ['app', 'team/app', 'team/web']],
    ['those of them that a glob matches', ['team/*'], ['team/app', 'team/web']],
    ['those that nothing excludes', ['!team/app'], ['app', 'team/web']],
    ['those that are named', ['app', 'not/in-plan'], ['app']],
    ['none', ['not/in-plan'], []],
  ])('takes %s', (_, patterns, repositories) => {
    expect(chooseApproved(plan, selectRepositories(patterns))).toMatchObject({
      repositories,
      // Others may hold the same blobs.
      isComplete: false,
      unnameable: 0,
    });
  });

  it('takes none of an empty plan', () => {
    expect(chooseApproved([], selectRepositories([])).repositories).toEqual([]);
  });
});
