/**
 * `kill -9` at every request of a run on GHCR, simulated, to the registry and to the API: nothing is ever broken, the next
 * run ends where an undisturbed one does, and the backup of the killed run gives back all that was there before it. A run
 * that dies at a read leaves the same whether that was answered or not, so only writes are tried both ways.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import {
  cosign,
  digestTag,
  image,
  index,
  LINUX_ARM64,
  referrer,
} from '../support/builders/build.js';
import { seed } from '../support/clients/push.js';
import {
  Killing,
  killsAtAll,
  playRun,
  type KillServer,
  type Played,
} from '../support/scenes/kills.js';
import { startGhcr, type Ghcr, type Snapshot } from '../support/servers/ghcr/ghcr.js';
import { JOB_TOKEN, type Assumptions } from '../support/servers/ghcr/options.js';

// Hundreds of processes on a small machine that others use, too.
jest.setTimeout(300_000);

const APP = 'acme/app';
const LEDGER = 'acme/ledger';
/** So many processes at a time, each with a GHCR of its own: most of them wait for the pace of deletes. */
const SERVERS = 4;

const shared = image('shared', { platform: LINUX_ARM64 });
const first = index([image('first'), shared]);
const second = index([image('second'), shared]);
const stable = image('stable');
const sbom = referrer('sbom', first);
const other = index([image('other')]);
const ORPHANS = 6;

type Server = KillServer<Snapshot> & Pick<Ghcr, 'stop'>;

async function start(assume: Partial<Assumptions>): Promise<Server> {
  const ghcr = await startGhcr({ assume });
  return {
    inputs: {
      'registry-url': ghcr.url,
      'registry-type': 'ghcr',
      'api-url': ghcr.api,
      'github-token': JOB_TOKEN,
    },
    env: { GITHUB_ACTOR: 'octocat' },
    state: ghcr.state,
    snapshot: () => {
      // It takes note of what was seeded.
      ghcr.versions(APP);
      return ghcr.snapshot();
    },
    load: (snapshot) => {
      ghcr.load(snapshot);
    },
    intercept: (interceptor) => {
      ghcr.intercept(({ method, path }) => interceptor?.(method, path));
      ghcr.apiIntercept(({ method, path }) => interceptor?.(method, path));
    },
    settle: async () => {
      await Promise.all([fetch(`${ghcr.url}/v2/`), fetch(`${ghcr.api}/rate_limit`)]);
      // Hundreds of runs, and each has the quota of an hour.
      ghcr.quota.set({ remaining: 1000 });
    },
    stop: () => ghcr.stop(),
  };
}

describe.each([
  ['without a ledger', undefined, {}],
  [
    'with a ledger, where a restore by GitHub brings no tags back',
    LEDGER,
    { restoreBringsTags: false, repush: 'same-id', listOrder: 'updated' },
  ],
] as const)('kill-recovers: a run on GHCR %s', (_, ledger, assume) => {
  const inputs = {
    repositories: APP,
    'grace-period': '0',
    'max-deletes': '100%',
    ...(ledger === undefined ? {} : { 'ledger-repository': ledger }),
  };
  const killing = new Killing<Snapshot>({
    repository: APP,
    ...(ledger === undefined ? {} : { ledger }),
    inputs,
  });
  let servers: Server[];
  let before: Played<Snapshot>;
  let undisturbed: Played<Snapshot>;

  beforeAll(async () => {
    servers = await Promise.all(Array.from({ length: SERVERS }, () => start(assume)));
    const [server] = servers as [Server];
    const { state } = server;
    seed(state, APP, stable, 'stable');
    seed(state, APP, first, 'latest');
    seed(state, APP, cosign('sig', first), digestTag(first.digest, 'sig'));
    seed(state, APP, sbom);
    const seen = await playRun(server, undefined, inputs);
    expect(seen.run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '0' } });
    seed(state, APP, second, 'latest');
    seed(state, APP, cosign('sig', second), digestTag(second.digest, 'sig'));
    seed(state, APP, other);
    const snapshot = await server.snapshot();
    before = { ...seen, state: snapshot.state, snapshot };
    const backup = killing.directory();
    undisturbed = await playRun(server, snapshot, { ...inputs, 'backup-dir': backup });
    expect(undisturbed.run).toMatchObject({
      exitCode: 0,
      outputs: { 'deleted-count': String(ORPHANS), 'backup-dir': backup },
    });
  });

  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    killing.clear();
  });

  it('that is killed at any of its requests breaks nothing, and can be completed or restored', async () => {
    const kills = killsAtAll(undisturbed.requests);
    expect(await killing.judgeAll(servers, kills, before, undisturbed)).toEqual([]);
  });

  it('that was not killed can be restored, by GitHub itself', async () => {
    const [server] = servers as [Server];
    const backup = undisturbed.run.outputs['backup-dir'] ?? '';
    const { run, state, requests } = await playRun(server, undisturbed.snapshot, {
      'restore-from': backup,
    });
    expect(run).toMatchObject({ exitCode: 0, outputs: { 'restored-count': String(ORPHANS) } });
    expect(killing.users(state)).toEqual(killing.users(before.state));
    expect(requests.filter((each) => /^POST .*\/restore$/.test(each))).toHaveLength(ORPHANS);
  });
});
