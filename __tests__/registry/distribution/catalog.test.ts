import { afterEach, describe, expect, it } from '@jest/globals';

import { image } from '../../support/builders/build.js';
import type { Action } from '../../support/servers/memory/script.js';
import { repositoryOf } from '../../support/servers/memory/state.js';
import { seed } from '../../support/clients/push.js';
import type { Send } from '../../../src/http/message.js';
import { readCatalog } from '../../../src/registry/distribution/catalog.js';
import { respond } from '../../support/builders/answers.js';
import {
  errorAnswer,
  jsonAnswer,
  apiClient,
  startClient,
  stopClients,
  tally,
  when,
} from '../../support/clients/client.js';

afterEach(stopClients);

const app = image('app');

describe('catalog', () => {
  it('the catalog is sorted, each name once, over as many pages as there are', async () => {
    const { repositories, registry } = await startClient();
    for (const name of ['b', 'a', 'a/b']) {
      seed(registry.state, name, app, 'v1');
    }
    registry.intercept(
      when(/_catalog/, ({ path }) =>
        path.endsWith('last=b')
          ? jsonAnswer({ repositories: ['a/b', 'b'] })
          : jsonAnswer({ repositories: ['b', 'a'] }, { Link: '</v2/_catalog?last=b>; rel="next"' }),
      ),
    );
    expect(await repositories()).toEqual({ repositories: ['a', 'a/b', 'b'], unnameable: 0 });
    expect(tally(registry)).toEqual({ 'GET catalog': 2 });
  });

  it('reads more than a page of a real listing', async () => {
    const { repositories, registry } = await startClient();
    const names = Array.from({ length: 1500 }, (_, n) => `r${String(n).padStart(4, '0')}`);
    names.forEach((name) => {
      repositoryOf(registry.state, name).everLayered = true;
    });
    expect((await repositories()).repositories).toEqual(names);
    expect(tally(registry)).toEqual({ 'GET catalog': 2 });
  });

  it('asks past a last page that is full, where Distribution 2.8 may have ended early', async () => {
    const { registry, repositories } = await startClient();
    const names = Array.from({ length: 1000 }, (_, n) => `r${String(n + 1000)}`);
    registry.intercept(
      when(/_catalog/, ({ path }) =>
        jsonAnswer({ repositories: path.endsWith('last=r1999') ? ['zz', 'zz/top'] : names }),
      ),
    );
    expect((await repositories()).repositories).toEqual([...names, 'zz', 'zz/top']);
    expect(tally(registry)).toEqual({ 'GET catalog': 2 });
  });

  it('the catalog ends where a full page is followed by the beginning once more', async () => {
    const { registry, repositories } = await startClient();
    const names = Array.from({ length: 1000 }, (_, n) => `r${String(n + 1000)}`);
    registry.intercept(when(/_catalog/, jsonAnswer({ repositories: names })));
    expect((await repositories()).repositories).toEqual(names);
    expect(tally(registry)).toEqual({ 'GET catalog': 2 });
  });

  it('may be null', async () => {
    const { repositories, registry } = await startClient();
    registry.intercept(when(/_catalog/, jsonAnswer({ repositories: null })));
    expect(await repositories()).toEqual({ repositories: [], unnameable: 0 });
  });

  it('drops names that break the grammar, and counts them', async () => {
    const { repositories, registry } = await startClient();
    const names = ['app', '../../etc', 'Team/App', '::error::x', 'a b', 'app', 'a b'];
    registry.intercept(when(/_catalog/, jsonAnswer({ repositories: names })));
    expect(await repositories()).toEqual({ repositories: ['app'], unnameable: 4 });
  });

  it('asks without n where the page is too large for the registry', async () => {
    const { repositories, registry } = await startClient();
    seed(registry.state, 'app', app, 'v1');
    registry.intercept(when(/n=1000/, errorAnswer(400, 'PAGINATION_NUMBER_INVALID')));
    expect(await repositories()).toEqual({ repositories: ['app'], unnameable: 0 });
    expect(registry.requests.map(({ path }) => path)).toEqual([
      '/v2/_catalog?n=1000',
      '/v2/_catalog',
    ]);
  });

  it.each<[string, Action]>([
    ['504', { kind: 'answer', status: 504 }],
    ['a page with 504', { kind: 'html', status: 504 }],
    ['500', errorAnswer(500, 'UNKNOWN')],
    ['a reset', { kind: 'reset' }],
    ['half a body', { kind: 'truncate' }],
  ])('asks for 100 where 1,000 are too many at once: %s', async (_, action) => {
    const { registry, repositories } = await startClient();
    const names = Array.from({ length: 250 }, (_name, n) => `r${String(n + 1000)}`);
    names.forEach((name) => {
      repositoryOf(registry.state, name).everLayered = true;
    });
    registry.intercept(when(/n=1000/, action));
    expect((await repositories()).repositories).toEqual(names);
    expect(registry.requests.map(({ path }) => /n=\d+/.exec(path)?.[0])).toEqual([
      ...['n=1000', 'n=1000'],
      ...['n=100', 'n=100', 'n=100'],
    ]);
  });

  it('ends where each page brings new names for ever', async () => {
    let page = 0;
    const send: Send = async (request) => {
      page += 1;
      const repositories = Array.from({ length: 1000 }, (_, n) =>
        n === 0 ? `a${String(page)}` : `r${String(n)}`,
      );
      return Promise.resolve(respond(request, { body: JSON.stringify({ repositories }) }));
    };
    const reading = readCatalog(apiClient(send, 'https://r.test'));
    await expect(reading).rejects.toThrow(/_catalog do not end.*`repositories`/);
    expect(page).toBe(1000);
  });

  it.each<[string, Action, string | RegExp]>([
    ['401', errorAnswer(401, 'UNAUTHORIZED'), '`registry:catalog:*`'],
    ['403', errorAnswer(403, 'DENIED'), '`registry:catalog:*`'],
    ['404', { kind: 'answer', status: 404 }, '404'],
    ['405', errorAnswer(405, 'UNSUPPORTED'), '405'],
    ['500', errorAnswer(500, 'UNKNOWN'), '500'],
    ['no list', jsonAnswer({ repositories: {} }), '200'],
    ['HTML', { kind: 'html' }, 'text/html'],
    ['too small a page as well', errorAnswer(400, 'PAGINATION_NUMBER_INVALID'), '400'],
  ])(
    'the error names `repositories` where the catalog is not to be had: %s',
    async (_, action, words) => {
      const { repositories, registry } = await startClient();
      registry.intercept(when(/_catalog/, action));
      const reading = repositories();
      await expect(reading).rejects.toThrow('`repositories`');
      await expect(reading).rejects.toThrow(words);
      await expect(reading).rejects.not.toThrow('Deleting is switched off');
    },
  );

  it('may be missing, which says nothing against `registry-url`', async () => {
    const { repositories, registry } = await startClient();
    registry.intercept(when(/_catalog/, { kind: 'answer', status: 404 }));
    const reading = repositories();
    await expect(reading).rejects.toThrow('name the repositories in `repositories`');
    await expect(reading).rejects.not.toThrow('registry-url');
  });
});
