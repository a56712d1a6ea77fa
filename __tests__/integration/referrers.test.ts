/**
 * Referrers as the libraries of real clients attach them, on real registries without the referrers API: each one
 * replaces the index under the fallback tag, and leaves the one before. The registry's directory is the judge.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { beforeEach, describe, expect, it, jest } from '@jest/globals';

import { digestOf } from '../../src/oci/digest.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
import { APP, digestTag, image, names } from '../support/builders/build.js';
import { apart } from '../support/clients/ledger.js';
import { deletedIn, expectQuiet } from '../support/clients/outcome.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { cleanAtOnce } from '../support/clients/run-action.js';
import { startRelayed } from '../support/scenes/relayed.js';
import { describeWith } from '../support/servers/describe-with.js';
import { findAttach } from '../support/servers/go-programs.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import type { Relay } from '../support/servers/relay.js';

// Many processes at once on a small machine that others use, too.
jest.setTimeout(180_000);

const attach = findAttach();
const app = image('app');
const TAG = digestTag(app.digest);

const distributions = realRegistries.filter(({ hasReferrersApi }) => !hasReferrersApi);

describe.each(distributions)('$name', (kind) => {
  describeWith(kind.name, kind.found, 'a fallback tag', () => {
    describe.each(['oras-go', 'go-containerregistry', 'regclient'])('of %s', (library) => {
      describeWith('attach', attach, 'the indexes that it left', () => {
        let registry: RealRegistry;
        let relay: Relay;

        beforeEach(async () => {
          ({ registry, relay } = await startRelayed(kind));
          await push(registry, APP, app, 'v1');
        });

        /** Attaches these one after the other. @returns the index after each of them, as `repository@digest` */
        async function attachAll(...all: readonly string[]): Promise<string[]> {
          const left: string[] = [];
          for (const each of all) {
            const place = [registry.host, APP, app.digest];
            await promisify(execFile)(attach ?? '', [library, ...place, each]);
            left.push(`${APP}@${(await indexNow()).digest}`);
          }
          return left;
        }

        async function indexNow() {
          const headers = { Accept: OCI_INDEX };
          const path = `/v2/${APP}/manifests/${TAG}`;
          const answer = await send(registry, { method: 'GET', path, headers });
          return { digest: digestOf(answer.body), bytes: answer.body };
        }

        const users = () => apart(registry.manifests()).users;

        it('are orphans of the first run, and nothing else is', async () => {
          const [first = '', second = '', third = ''] = await attachAll(
            'sbom',
            'signature',
            'scan',
          );
          const before = registry.manifests();
          expect(before.size).toBe(7);

          const look = await cleanAtOnce(relay, { 'dry-run': 'true' });
          expectQuiet(look, { 'orphans-found': '2', 'deleted-count': '0' });
          expect(registry.manifests()).toEqual(before);

          const run = await cleanAtOnce(relay);
          expectQuiet(run, { 'orphans-found': '2', 'deleted-count': '2' });
          expect(deletedIn(run)).toEqual(new Set([first, second]));
          expect(users()).toEqual(
            new Set([...before].filter((each) => ![first, second].includes(each))),
          );
          expect(users()).toContain(third);
        });

        it('are orphans of the next run if several referrers come between two runs', async () => {
          const [first = ''] = await attachAll('sbom');
          expectQuiet(await cleanAtOnce(relay), { 'orphans-found': '0' });
          const [second = '', third = '', fourth = ''] = await attachAll(
            'signature',
            'scan',
            'test report',
          );
          const run = await cleanAtOnce(relay);
          // The first one was seen by the first run, and the others by none.
          expectQuiet(run, { 'orphans-found': '3', 'deleted-count': '3' });
          expect(deletedIn(run)).toEqual(new Set([first, second, third]));
          expect(users()).toContain(fourth);
          expect(users().size).toBe(1 + 4 + 1);

          const asked: string[] = [];
          relay.intercept(({ method, path }) => {
            asked.push(`${method} ${path}`);
            return undefined;
          });
          expectQuiet(await cleanAtOnce(relay), { 'orphans-found': '0' });
          const read = asked.filter((each) => each.includes(`${APP}/manifests/`)).sort();
          const resolved = ['v1', TAG].map((tag) => `HEAD /v2/${APP}/manifests/${tag}`);
          expect(read).toEqual(resolved.sort());
        });

        it('stay where a tag or an input names them', async () => {
          const [first = ''] = await attachAll('sbom');
          await attachAll('signature');
          const pinned = await indexNow();
          const [third = ''] = await attachAll('scan');
          await putManifest(registry, APP, { ...app, ...pinned, mediaType: OCI_INDEX }, 'pinned');
          const run = await cleanAtOnce(relay, { protect: first });
          expectQuiet(run, { 'orphans-found': '0' });
          const staying = [...names(APP, app), first, `${APP}@${pinned.digest}`, third];
          expect([...users()]).toEqual(expect.arrayContaining(staying));
        });
      });
    });
  });
});
