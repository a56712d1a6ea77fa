/**
 * `kill -9` at every single request of a run, once before it is carried out and once after: no tag that stays is
 * ever broken, the next run ends where an undisturbed one does, and what the killed run saved gives back all that
 * was there before it, byte for byte.
 */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';

import {
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { LEDGER } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import {
  copyOfState,
  emptyState,
  loadState,
  repositoryOf,
  type RegistryState,
} from '../support/servers/memory/state.js';
import { seed, send } from '../support/clients/push.js';
import {
  Killing,
  killsAtAll,
  playRun,
  type KillServer,
  type Played,
} from '../support/scenes/kills.js';

// Hundreds of processes on a small machine that others use, too.
jest.setTimeout(300_000);

const APP = 'team/app';
/** So many processes at a time, each with a registry of its own. */
const SERVERS = 2;

const shared = image('shared', { platform: LINUX_ARM64 });
const first = index([image('first'), shared]);
const second = index([image('second'), shared]);
const stable = image('stable');
const lone = image('lone');
const nested = index([index([image('inner')])]);
const former = image('former');
/** It lists an image under a type that nobody knows: that has to be there before it, all the same. */
const odd = index([
  { ...lone, descriptor: { ...lone.descriptor, mediaType: 'application/vnd.example.thing' } },
]);

/** A signature of cosign's, and an SBOM as clients of registries without a referrers API push it. */
function about(state: RegistryState, content: Content): void {
  seed(state, APP, cosign('sig', content), digestTag(content.digest, 'sig'));
  seed(state, APP, fallbackIndex([referrer('sbom', content)]), digestTag(content.digest));
}

/** What a run saw and remembers. */
function yesterday(): RegistryState {
  const state = emptyState();
  seed(state, APP, first, 'latest');
  about(state, first);
  seed(state, APP, stable, 'stable');
  seed(state, APP, cosign('sig', stable), digestTag(stable.digest, 'sig'));
  seed(state, APP, former, 'former');
  seed(state, APP, cosign('sig', former), digestTag(former.digest, 'sig'));
  return state;
}

/** What happened since. */
function today(before: RegistryState): RegistryState {
  const state = copyOfState(before);
  seed(state, APP, second, 'latest');
  about(state, second);
  const { manifests, tags } = repositoryOf(state, APP);
  // By another tool, which left the signature.
  manifests.delete(former.digest);
  tags.delete('former');
  // Pushed by digest, and seen by no run.
  seed(state, APP, odd);
  seed(state, APP, nested);
  return state;
}

/** `digests`: what the ledger can't know of. The fewer requests a run has, the sooner all are tried. */
const INPUTS = {
  repositories: APP,
  'grace-period': '0',
  digests: [odd, lone, nested].map(({ digest }) => `${APP}@${digest}`).join('\n'),
};
const ORPHANS = 11;

type Server = KillServer<RegistryState> & Pick<MemoryRegistry, 'stop'>;

async function start(): Promise<Server> {
  const registry = await startMemoryRegistry();
  const { state } = registry;
  return {
    inputs: { 'registry-url': registry.url },
    state,
    snapshot: () => copyOfState(state),
    load: (snapshot) => {
      loadState(state, snapshot);
    },
    intercept: (interceptor) => {
      registry.intercept(({ method, path }) => interceptor?.(method, path));
    },
    settle: async () => {
      await send(registry, { method: 'GET', path: '/v2/' });
    },
    stop: () => registry.stop(),
  };
}

let servers: Server[];
let before: Played<RegistryState>;
let undisturbed: Played<RegistryState>;
const killing = new Killing<RegistryState>({ repository: APP, ledger: LEDGER, inputs: INPUTS });

beforeAll(async () => {
  servers = await Promise.all(Array.from({ length: SERVERS }, start));
  const [server] = servers as [Server];
  const seen = await playRun(server, yesterday(), INPUTS);
  expect(seen.run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '0' } });
  const state = today(seen.state);
  before = { ...seen, state, snapshot: state };
  const inputs = { ...INPUTS, 'backup-dir': killing.directory() };
  undisturbed = await playRun(server, state, inputs);
  expect(undisturbed.run).toMatchObject({
    exitCode: 0,
    outputs: { 'deleted-count': String(ORPHANS) },
  });
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  killing.clear();
});

it('kill-recovers: a run that is killed at any of its requests breaks nothing, and can be completed or restored', async () => {
  const kills = killsAtAll(undisturbed.requests);
  expect(await killing.judgeAll(servers, kills, before, undisturbed)).toEqual([]);
});

it('kill-recovers: a run that was not killed can be restored', async () => {
  const [server] = servers as [Server];
  const backup = undisturbed.run.outputs['backup-dir'] ?? '';
  const { run, state } = await playRun(server, undisturbed.state, { 'restore-from': backup });
  expect(run).toMatchObject({ exitCode: 0, outputs: { 'restored-count': String(ORPHANS) } });
  expect(killing.users(state)).toEqual(killing.users(before.state));
});
