/** What certainty costs: the requests of the bundled action on real registries, one by one. */
import { beforeEach, expect, it } from '@jest/globals';

import { image, APP } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import { LEDGER } from '../support/clients/ledger.js';
import { cleanAtOnce } from '../support/clients/run-action.js';
import { push } from '../support/clients/push.js';
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
