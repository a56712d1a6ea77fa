/**
 * What certainty costs: the requests of the bundled action on real registries, one by one; and on the simulator of GHCR
 * how many there are of each kind.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import {
  APP,
  attestation,
  image,
  index,
  LINUX_AMD64,
  LINUX_ARM64,
  type Content,
} from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import { LEDGER } from '../support/clients/ledger.js';
import { expectQuiet } from '../support/clients/outcome.js';
import { clean, cleanAtOnce } from '../support/clients/run-action.js';
import { push, seed } from '../support/clients/push.js';
import { startGhcr, type Ghcr } from '../support/servers/ghcr/ghcr.js';
import { JOB_TOKEN } from '../support/servers/ghcr/options.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';
import { startRelayed } from '../support/scenes/relayed.js';

const old = image('requests old');
const current = image('requests current');
const other = image('requests other');
const lone = image('requests lone');
const NAMES = new Map([
  [old.digest, 'old'],
  [current.digest, 'current'],
  [other.digest, 'other'],
  [lone.digest, 'lone'],
]);

const distributions = realRegistries.filter(({ hasReferrersApi }) => !hasReferrersApi);

for (const kind of distributions) {
  describeWith(kind.name, kind.found, `a run on ${kind.name}`, () => {
    let registry: RealRegistry;
    let relay: Relay;
    let sent: string[];

    beforeEach(async () => {
      ({ registry, relay } = await startRelayed(kind));
      relay.intercept(({ method, path }) => {
        const named = [...NAMES].reduce((text, [digest, name]) => text.replace(digest, name), path);
        sent.push(`${method} ${named}`);
        return undefined;
      });
      await push(registry, APP, old, 'latest');
      await push(registry, APP, other, 'stable');
    });

    /** @returns sorted, since tags are read at the same time; without the ledger's own and the run's */
    async function ask(inputs: Readonly<Record<string, string>> = {}): Promise<string[]> {
      sent = [];
      const run = await cleanAtOnce(relay, inputs);
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
      const [, ...others] = sent;
      return others
        .filter((each) => !each.includes(LEDGER) && !each.includes('/v2/_catalog'))
        .map((each) =>
          each
            .replace(`/v2/${APP}/`, '')
            .replace(/sha256:\w{64}/, 'nothing')
            // Of which of them it asks first is no matter.
            .replace(/referrers\/.*/, 'referrers'),
        )
        .sort();
    }

    const read = (...tags: readonly string[]) => tags.map((tag) => `GET manifests/${tag}`);
    const resolve = (...tags: readonly string[]) => tags.map((tag) => `HEAD manifests/${tag}`);

    it('asks for the list of tags, and once for each tag, where there is no orphan', async () => {
      const list = 'GET tags/list';
      expect(await ask()).toEqual([...read('latest', 'stable'), list]);
      expect(await ask()).toEqual([list, ...resolve('latest', 'stable')]);
      expect(await ask({ 'ledger-repository': 'off' })).toEqual([
        ...read('latest', 'stable'),
        list,
      ]);
    });

    const look = ['GET referrers', 'GET tags/list', ...read('latest', 'stable')];
    const rights = 'DELETE manifests/nothing';
    const proof = ['GET tags/list', ...read('latest', 'stable')];

    it('sends one HEAD for each orphan that a run saw in use, and one GET of a tag that has moved', async () => {
      await ask();
      await push(registry, APP, current, 'latest');
      const asked = await ask();
      expect(asked.filter((each) => each.endsWith('manifests/old'))).toEqual([
        'DELETE manifests/old',
        // Whether it is there, before; and whether it is gone, after.
        'HEAD manifests/old',
        'HEAD manifests/old',
      ]);
      const first = ['GET tags/list', 'GET manifests/current', ...resolve('latest', 'stable')];
      const moved = ['GET manifests/latest', 'GET referrers'];
      const deleting = [rights, 'DELETE manifests/old', ...resolve('old', 'old')];
      expect(asked).toEqual([...first, ...moved, ...look, ...deleting, ...proof].sort());
    });

    it('sends one HEAD more for an orphan that only an input names, whether it is a layer', async () => {
      await push(registry, APP, lone);
      const asked = await ask({ digests: `${APP}@${lone.digest}`, 'ledger-repository': 'off' });
      const first = ['GET tags/list', ...read('latest', 'stable', 'lone'), 'GET referrers'];
      const deleting = [rights, 'DELETE manifests/lone', 'HEAD manifests/lone', 'HEAD blobs/lone'];
      expect(asked).toEqual([...first, ...look, ...deleting, ...proof].sort());
    });
  });
}

describe('a run on GHCR', () => {
  /** More than a hundred versions, so that the list has two pages. */
  const TAGS = 20;
  const ORPHANS = 2;
  /** of an index of two platforms and two attestations */
  const EACH = 5;
  let ghcr: Ghcr;

  function built(name: string): Content {
    const platforms = [LINUX_AMD64, LINUX_ARM64].map((platform) => image(name, { platform }));
    return index([...platforms, ...platforms.map((platform) => attestation(name, platform))]);
  }

  beforeEach(async () => {
    ghcr = await startGhcr();
    for (let n = 0; n < ORPHANS; n += 1) {
      seed(ghcr.state, 'acme/app', built(`orphan ${n}`));
    }
    for (let n = 0; n < TAGS; n += 1) {
      seed(ghcr.state, 'acme/app', built(`current ${n}`), `v${n}`);
    }
  });

  afterEach(async () => ghcr.stop());

  interface Asked {
    readonly rest: number;
    readonly registry: number;
    readonly reads: number;
  }

  async function ask(inputs: Readonly<Record<string, string>>, deleted: number): Promise<Asked> {
    ghcr.requests.length = 0;
    ghcr.apiRequests.length = 0;
    const run = await clean(ghcr, {
      'registry-type': 'ghcr',
      'api-url': ghcr.api,
      'github-token': JOB_TOKEN,
      repositories: 'acme/app',
      ...inputs,
    });
    expectQuiet(run, { 'deleted-count': String(deleted) });
    return {
      rest: ghcr.apiRequests.length,
      registry: ghcr.requests.length,
      reads: ghcr.requests.filter(
        ({ method, path }) => method === 'GET' && path.includes('/manifests/'),
      ).length,
    };
  }

  /** Two pages, and both again, since either may have shifted. */
  const LIST = 4;
  /** of the owner, who is an organization or a user */
  const REST = 1 + LIST;
  /** The list of a hundred versions is one page, which is read again. */
  const CLEAN_REST = 3;
  /** the ping without and with a login, a token for it and one for the package, and the list of tags */
  const REGISTRY = 5;
  const ledger = { 'ledger-repository': 'acme/ledger' };

  it('reads each version once, where something is an orphan', async () => {
    const reads = (TAGS + ORPHANS) * EACH;
    const asked = await ask({ 'dry-run': 'true' }, 0);
    expect(asked).toEqual({ rest: REST, registry: REGISTRY + reads, reads });
  });

  it('reads what the tags point at and nothing else, once the package is clean', async () => {
    await ask({}, ORPHANS * EACH);
    const asked = await ask({}, 0);
    expect(asked).toEqual({ rest: CLEAN_REST, registry: REGISTRY + TAGS, reads: TAGS });
  });

  it('reads no manifest that an earlier run with a ledger has read', async () => {
    await ask(ledger, ORPHANS * EACH);
    expect(await ask(ledger, 0)).toMatchObject({ rest: CLEAN_REST, reads: 0 });
    seed(ghcr.state, 'acme/app', built('new'), 'new');
    // Its platforms and attestations name nothing that matters while all is in use.
    expect(await ask(ledger, 0)).toMatchObject({ reads: 1 });
  });
});
