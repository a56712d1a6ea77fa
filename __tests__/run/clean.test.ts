import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Named, Settings, CleanSettings } from '../../src/run/settings.js';
import { selectRepositories } from '../../src/plan/selection.js';
import type { Digest } from '../../src/oci/digest.js';
import { PROTECT } from '../../src/plan/protection.js';
import { cleanSettings } from '../support/builders/settings.js';
import { NO_PROTECTION } from '../support/builders/protections.js';
import type { Run } from '../../src/run/run.js';
import { cleanRegistry } from '../../src/run/clean.js';
import { NOW } from '../support/builders/inventories.js';
import { connect } from '../support/scenes/run.js';
import { image } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { errorAnswer } from '../support/clients/client.js';
import { seed } from '../support/clients/push.js';
import { digestsWith } from '../../src/plan/fate.js';

const kept = image('stages kept');
const orphan = image('stages orphan');
const NAMES = ['a', 'b', 'c'];

let registry: MemoryRegistry;
let backupDirectory: string;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  backupDirectory = await mkdtemp(join(tmpdir(), 'stages-'));
});

afterEach(async () => {
  await registry.stop();
  await rm(backupDirectory, { recursive: true });
});

function fill(): void {
  for (const name of NAMES) {
    seed(registry.state, name, kept, 'latest');
    seed(registry.state, name, orphan);
  }
}

const all = (digest: Digest) => new Map(NAMES.map((name) => [name, new Set([digest])]));

interface Given extends Partial<Named> {
  /** the run is told to stop when it sends the first request that matches */
  readonly stopAt?: RegExp;
  /** whether the registry sends manifests without their media types */
  readonly isUntyped?: boolean;
  /** the registry refuses the requests that match */
  readonly refuseAt?: RegExp;
  /** whether this action has a fault that shows at this request, `METHOD path` */
  readonly isFaultAt?: (request: string) => boolean;
  /** what o'clock it is by the registry */
  readonly registryTime?: number;
}

async function run(
  given: Partial<CleanSettings> = {},
  { stopAt, refuseAt, isUntyped, isFaultAt, registryTime, ...named }: Given = {},
): Promise<Run> {
  const { transport, quote } = connect({ url: registry.url });
  const controller = new AbortController();
  registry.intercept(({ method, path }) => {
    if (registryTime !== undefined && path === '/v2/') {
      const headers = { Date: new Date(registryTime).toUTCString() };
      return { kind: 'answer', status: 200, headers, body: '{}' };
    }
    if (stopAt?.test(`${method} ${path}`) === true) {
      controller.abort('SIGTERM');
    }
    if (isUntyped === true && method === 'GET' && path.includes('/manifests/')) {
      return { kind: 'rewrite', rewrite: (answer) => ({ ...answer, headers: {} }) };
    }
    return refuseAt?.test(`${method} ${path}`) === true ? errorAnswer(403, 'DENIED') : undefined;
  });
  const settings = cleanSettings(registry.url, backupDirectory, given);
  const intake = { candidates: all(orphan.digest), understood: 3, notUnderstood: 0, examples: [] };
  const send: typeof transport.send = async (request) => {
    if (isFaultAt?.(`${request.method} ${request.url.pathname}`) === true) {
      throw new TypeError('ours');
    }
    return transport.send(request);
  };
  try {
    return await cleanRegistry(
      settings,
      { intake, pinned: { files: 0, digests: 0 }, ...named },
      {
        transport: { ...transport, send },
        quote,
        clock: { now: () => NOW, sleep: async () => undefined },
        progress: { begin: () => undefined, expect: () => undefined, done: () => undefined },
        stop: controller.signal,
      },
    );
  } finally {
    transport.close();
  }
}

describe('a run that is told to stop', () => {
  it('has read every repository if the stop came in the sweep', async () => {
    fill();
    const stopped = await run({}, { stopAt: /^DELETE .*\/b\// });
    expect(stopped.failures).toEqual([expect.stringContaining('told to stop (SIGTERM)')]);
    expect(stopped).toMatchObject({ everyRepositoryScanned: true, unread: 0 });
    // What it did not come to is not saved either.
    const saved = await readFile(join(backupDirectory, 'index.jsonl'), 'utf8');
    expect(saved).toContain('"repository":"b"');
    expect(saved).not.toContain('"repository":"c"');
  });

  it('counts the repositories that it did not reach if the stop came in the survey', async () => {
    fill();
    const stopped = await run({}, { stopAt: /\/b\/tags\/list/ });
    expect(stopped.failures).toEqual([expect.stringContaining('before it came to 1 of 3')]);
    expect(stopped).toMatchObject({ everyRepositoryScanned: false, unread: 1 });
    expect(stopped.repositories.map(({ inventory }) => inventory.repository)).toEqual(['a', 'b']);
  });
});

describe('the ledger entry of a survey with a gap', () => {
  const entries = async (given: Given) => {
    fill();
    await run(
      { selection: selectRepositories(['a']), ledger: { kind: 'named', repository: 'memory' } },
      { refuseAt: /manifests\/latest/, ...given },
    );
    return registry.state.repositories.get('memory')?.tags.size ?? 0;
  };

  it('is written if the registry refused a read', async () => {
    expect(await entries({})).toBe(1);
  });

  it('is not written if the run was stopped meanwhile', async () => {
    expect(await entries({ stopAt: /manifests\/latest/ })).toBe(0);
  });
});

describe('a repository in which no tag is left', () => {
  const deleted = async (given: Given) => {
    seed(registry.state, 'a', orphan);
    seed(registry.state, 'a', kept);
    const digests = new Set([orphan.digest, kept.digest]);
    const intake = { understood: 2, notUnderstood: 0, examples: [] };
    const candidates = new Map([['a', digests]]);
    const done = await run({}, { intake: { ...intake, candidates }, ...given });
    return done.repositories.map(({ fates, refusal }) => [
      digestsWith(fates, 'deleted').length,
      refusal?.kind,
    ]);
  };

  it('keeps all its manifests', async () => {
    expect(await deleted({})).toEqual([[0, 'no-tags']]);
  });

  it('is cleaned where somebody has approved the plan', async () => {
    const repositories = new Map([['a', new Set([orphan.digest, kept.digest])]]);
    expect(await deleted({ approval: { createdAt: NOW, repositories } })).toEqual([[2, undefined]]);
  });
});

describe('a fault of this program in one repository', () => {
  const failure = expect.stringMatching(/^b: this action failed by a fault of its own: .*ours/);
  const deletedIn = ({ repositories }: Run) =>
    repositories.map(({ inventory, fates }) => [
      inventory.repository,
      digestsWith(fates, 'deleted'),
    ]);

  it('makes the run red where it occurs in the survey, and the others are cleaned', async () => {
    fill();
    const done = await run({}, { isFaultAt: (request) => request.includes('/b/tags/list') });
    expect(done.failures).toEqual([failure]);
    expect(done).toMatchObject({ everyRepositoryScanned: false, unread: 1 });
    expect(deletedIn(done)).toEqual([
      ['a', [orphan.digest]],
      ['c', [orphan.digest]],
    ]);
  });

  it('makes the run red where it occurs in the deletes, and the others are cleaned', async () => {
    fill();
    const at = `DELETE /v2/b/manifests/${orphan.digest}`;
    const done = await run({}, { isFaultAt: (request) => request === at });
    expect(done.failures).toEqual([failure]);
    expect(deletedIn(done)).toEqual([
      ['a', [orphan.digest]],
      ['b', []],
      ['c', [orphan.digest]],
    ]);
    expect([...(done.repositories[1]?.fates.values() ?? [])]).toMatchObject([{ kind: 'skipped' }]);
  });

  it('makes the run red where it occurs after the deletes, which are still reported', async () => {
    fill();
    let lists = 0;
    const done = await run(
      {},
      {
        isFaultAt(request) {
          lists += request.includes('/b/tags/list') ? 1 : 0;
          return lists === 3 && request.includes('/b/tags/list');
        },
      },
    );
    expect(done.failures).toEqual([failure]);
    expect(deletedIn(done)).toEqual(NAMES.map((name) => [name, [orphan.digest]]));
    expect(done.repositories[1]?.unverified).toBe(true);
  });
});

it('a run names a backup only where something was saved', async () => {
  fill();
  expect((await run({ dryRun: true })).backup).toBeUndefined();
  expect(await run()).toMatchObject({ backup: backupDirectory });
  expect((await run()).backup).toBeUndefined();
});

it('a dry-run knows where its plan is to be written', async () => {
  fill();
  expect(await run({ dryRun: true, planFile: 'plan.json' })).toMatchObject({
    settings: { planFile: 'plan.json' },
  });
  expect((await run({ dryRun: true })).settings.planFile).toBeUndefined();
});

it('a run holds no secret of its settings', async () => {
  fill();
  const login = { username: 'robot', password: 'hunter2-secret' };
  const { settings } = await run({ login, ca: 'PEM' } as Partial<Settings>);
  expect(settings).toEqual({
    registry: new URL(registry.url),
    dryRun: false,
    gracePeriod: 0,
    unusedFor: 0,
    danglingReferrers: 'keep',
    keepUntagged: 0,
  });
  expect(JSON.stringify(settings)).not.toMatch(/hunter2-secret|PEM/);
});

it('a run warns of what `protect` names and the registry does not have', async () => {
  fill();
  const protection = { ...NO_PROTECTION, repositories: ['a', 'team/ap'] };
  const { warnings } = await run({ protection });
  expect(warnings).toEqual([
    '`protect` names `team/ap`, which matches no repository of this registry, and so protects nothing. Check it for a ' +
      'typo, or remove it [protection-unmatched]',
  ]);
});

it('a run warns of a registry that does not tell what its manifests are', async () => {
  seed(registry.state, 'a', kept, 'latest');
  const { repositories } = await run({}, { isUntyped: true });
  expect(repositories[0]?.warnings).toEqual([
    expect.stringMatching(/^the registry sends manifests without a Content-Type/),
  ]);
});

it('a run counts the digests of files that are in none of the repositories', async () => {
  fill();
  const [lost, input] = [image('stages lost'), image('stages input')];
  const digests = new Map([
    [kept.digest, ['a.yaml']],
    [orphan.digest, ['a.yaml', 'b.yaml']],
    [lost.digest, [PROTECT, 'b.yaml']],
    // Of the input itself nobody asks here.
    [input.digest, [PROTECT]],
  ]);
  const pinned = { files: 2, digests: 3 };
  const done = await run({ protection: { ...NO_PROTECTION, digests } }, { pinned });
  expect(done.pinned).toEqual({ files: 2, digests: 3, unmet: 1 });
});

describe('an age', () => {
  const HOUR = 3_600_000;
  const young = image('stages young', { created: new Date(NOW - 2 * HOUR).toISOString() });
  const candidates = new Map([['a', new Set([young.digest])]]);
  const intake = { candidates, understood: 1, notUnderstood: 0, examples: [] };
  const clean = async (registryTime: number) => {
    seed(registry.state, 'a', kept, 'latest');
    seed(registry.state, 'a', young);
    return run({ gracePeriod: HOUR }, { intake, registryTime });
  };

  it.each([
    ['the registry is behind', NOW - 3 * HOUR, [], 1],
    ['the registry is ahead', NOW + 3 * HOUR, [young.digest], 1],
    ['they agree', NOW - 60_000, [young.digest], 0],
  ])('is measured by the earlier clock: %s', async (_, registryTime, deleted, warnings) => {
    const done = await clean(registryTime);
    expect(done.repositories.flatMap(({ fates }) => digestsWith(fates, 'deleted'))).toEqual(
      deleted,
    );
    expect(done.warnings).toHaveLength(warnings);
    expect(done.warnings.join()).toMatch(warnings === 0 ? /^$/ : /clocks of runner and registry/);
  });
});

describe('a run over no repository', () => {
  it('warns that the patterns match none of the repositories', async () => {
    fill();
    const done = await run({ selection: selectRepositories(['team/*']) });
    expect(done.repositories).toEqual([]);
    expect(done.warnings).toEqual([
      '`repositories` matches no repository: the catalog and the inputs name 3 others [nothing-selected]',
    ]);
    expect((await run()).warnings).toEqual([]);
  });

  it('warns that they leave out all repositories of the plan', async () => {
    const approval = { createdAt: NOW, repositories: all(orphan.digest) };
    const done = await run({ selection: selectRepositories(['team/*']) }, { approval });
    expect(done.warnings).toEqual([
      '`repositories` leaves out every repository of the plan [nothing-selected]',
    ]);
    expect(done.applied?.ignored).toBe(3);
  });
});
