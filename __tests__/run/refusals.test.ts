import { afterEach, describe, expect, it } from '@jest/globals';
import { createRights } from '../../src/registry/distribution/rights.js';

import type { MaxDeletes, RepositoryRefusal } from '../../src/plan/brakes.js';
import type { Survey } from '../../src/plan/survey.js';
import type { Grant } from '../../src/http/grant.js';
import { allowed, refuseDeletes, type RefusingOptions } from '../../src/run/refusals.js';
import { makePlan } from '../../src/plan/plan.js';
import { inventoryOf, policy } from '../support/builders/inventories.js';
import { image } from '../support/builders/build.js';
import type { MemoryRegistryOptions } from '../support/servers/memory/options.js';
import { seed } from '../support/clients/push.js';
import { startClient, stopClients } from '../support/clients/client.js';

afterEach(stopClients);

/** A repository with one manifest that has a tag, and so many orphans. */
function survey(repository: string, orphans: number): Survey {
  const inventory = inventoryOf({
    tags: { v1: image('current') },
    untagged: Array.from({ length: orphans }, (_, n) => image(`orphan ${String(n)}`)),
    more: { repository },
  });
  return { inventory, plan: makePlan(inventory, policy()), bodies: new Map() };
}

const run = [survey('a', 1), survey('b', 0), survey('c', 3), survey('d', 1)];
const SHARE: MaxDeletes = { kind: 'share', percent: 50, exempt: 0 };
const share: RepositoryRefusal = { kind: 'share', orphans: 3, manifests: 4, percent: 50 };
const noTags: RepositoryRefusal = { kind: 'no-tags', remembered: 3 };

/** Asks a real client; the repositories exist, and every question is noted. */
async function refuse(
  options: Partial<RefusingOptions> & {
    readonly first?: ReadonlyMap<string, RepositoryRefusal>;
    readonly memory?: MemoryRegistryOptions;
    readonly grants?: (scope: string) => Grant;
  } = {},
) {
  const { registry, deleter } = await startClient(options.memory);
  run.forEach(({ plan }) => {
    seed(registry.state, plan.repository, image('current'), 'v1');
  });
  const scopes: string[] = [];
  const refusals = await refuseDeletes(run, options.first ?? new Map(), {
    maxDeletes: undefined,
    dryRun: false,
    concurrency: 2,
    rights: createRights(deleter, async (scope) => {
      scopes.push(scope);
      return options.grants?.(scope) ?? { kind: 'unknown' };
    }),
    stop: new AbortController().signal,
    ...options,
  });
  const sent = registry.requests.map(({ method, path }) => `${method} ${path.split('@')[0] ?? ''}`);
  return {
    refusals,
    scopes,
    sent,
    left: allowed(run, refusals).map(({ plan }) => plan.repository),
  };
}

describe('the questions before the first delete', () => {
  it('are one DELETE of a digest that can’t exist, in the first repository with orphans', async () => {
    const { refusals, sent, scopes, left } = await refuse();
    expect(refusals).toEqual(new Map());
    expect(sent).toEqual([
      expect.stringMatching(/^DELETE \/v2\/a\/manifests\/sha256:[0-9a-f]{64}$/),
    ]);
    expect(scopes).toEqual([]);
    expect(left).toEqual(['a', 'c', 'd']);
  });

  it('leave out a repository that is refused already, and keep its reason', async () => {
    const { refusals, sent, left } = await refuse({
      first: new Map([['a', noTags]]),
      maxDeletes: SHARE,
    });
    expect(refusals).toEqual(
      new Map<string, RepositoryRefusal>([
        ['a', noTags],
        ['c', share],
      ]),
    );
    expect(sent).toEqual([expect.stringMatching(/^DELETE \/v2\/d\//)]);
    expect(left).toEqual(['d']);
  });

  it('send no DELETE if nothing remains to delete', async () => {
    const { refusals, sent, left } = await refuse({ maxDeletes: { kind: 'count', count: 4 } });
    const count: RepositoryRefusal = { kind: 'count', orphans: 5, count: 4 };
    expect(refusals).toEqual(
      new Map([
        ['a', count],
        ['c', count],
        ['d', count],
      ]),
    );
    expect(sent).toEqual([]);
    expect(left).toEqual([]);
  });

  it('keep the reason of a repository beside that of the run', async () => {
    const first = new Map([['c', noTags]]);
    const { refusals } = await refuse({ first, maxDeletes: { kind: 'count', count: 4 } });
    expect(refusals.get('c')).toEqual(noTags);
    expect(refusals.get('a')).toEqual({ kind: 'count', orphans: 5, count: 4 });
  });

  it('refuse the whole run once if the registry takes no deletes', async () => {
    const first = new Map([['c', noTags]]);
    const { refusals, sent, left } = await refuse({ first, memory: { deleteEnabled: false } });
    const why = expect.stringContaining(
      'REGISTRY_STORAGE_DELETE_ENABLED=true',
    ) as unknown as string;
    const refused: RepositoryRefusal = { kind: 'no-deletes', why };
    expect(refusals).toEqual(
      new Map<string, RepositoryRefusal>([
        ['a', refused],
        ['c', noTags],
        ['d', refused],
      ]),
    );
    expect(sent).toHaveLength(1);
    expect(left).toEqual([]);
  });

  it('send no DELETE in a run that was stopped', async () => {
    const { refusals, sent } = await refuse({ stop: AbortSignal.abort('SIGTERM') });
    expect(refusals).toEqual(new Map());
    expect(sent).toEqual([]);
  });
});

describe('a dry-run', () => {
  it('asks what a token would grant, for each repository with something to delete, and sends nothing', async () => {
    const { refusals, scopes, sent } = await refuse({
      dryRun: true,
      maxDeletes: SHARE,
      grants: (scope) =>
        scope.startsWith('repository:d:')
          ? { kind: 'lacking', actions: ['pull'] }
          : { kind: 'granted' },
    });
    expect(scopes.sort()).toEqual(['repository:a:pull,delete', 'repository:d:pull,delete']);
    const why = expect.stringContaining("these credentials can't delete in d") as unknown as string;
    expect(refusals).toEqual(
      new Map<string, RepositoryRefusal>([
        ['c', share],
        ['d', { kind: 'no-rights', why }],
      ]),
    );
    expect(sent).toEqual([]);
  });

  it('sends no DELETE either where something was refused before', async () => {
    const { refusals, sent } = await refuse({ dryRun: true, first: new Map([['a', noTags]]) });
    expect(refusals).toEqual(new Map([['a', noTags]]));
    expect(sent).toEqual([]);
  });
});
