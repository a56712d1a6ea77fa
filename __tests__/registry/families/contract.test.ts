/** What every family of registries has to do, whatever its API looks like. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Digest } from '../../../src/oci/digest.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import { DAY, NOW } from '../../support/builders/inventories.js';
import { when } from '../../support/clients/client.js';
import { seed } from '../../support/clients/push.js';
import { connect, run, type Ran, type RunOptions } from '../../support/scenes/run.js';
import { SUBJECTS, type FamilyServer, type FamilySubject } from '../../support/servers/families.js';
import { closeServers, startServer } from '../../support/servers/servers.js';

const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(ended.splice(0).map((end) => end()));
  await closeServers();
});

const kept = image('kept');
const moved = image('moved');
const child = image('child');
const other = image('other');
const list = index([child]);
const signature = cosign('sig', moved);
const sbom = referrer('sbom of kept', kept);

describe.each(SUBJECTS)('a registry of the type $type', (subject: FamilySubject) => {
  const [APP, WEB] = subject.repositories;

  async function start(options?: Parameters<FamilySubject['start']>[0]): Promise<FamilyServer> {
    const server = await subject.start(options);
    ended.push(() => server.registry.stop());
    return server;
  }

  /** A repository with a tag that moved, an index, a signature and a referrer; of them, two manifests are orphans. */
  async function filled(options?: Parameters<FamilySubject['start']>[0]): Promise<FamilyServer> {
    const server = await start(options);
    const { state } = server.registry;
    seed(state, APP, kept, 'latest');
    seed(state, APP, list, 'multi');
    seed(state, APP, moved);
    seed(state, APP, signature, digestTag(moved.digest, 'sig'));
    seed(state, APP, sbom);
    seed(state, WEB, other, 'v1');
    return server;
  }

  const left = ({ registry }: FamilyServer, name = APP) =>
    new Set(registry.state.repositories.get(name)?.manifests.keys());
  const tagsOf = ({ registry }: FamilyServer, name = APP) =>
    new Map(registry.state.repositories.get(name)?.tags);
  const set = (...contents: readonly { readonly digest: Digest }[]) =>
    new Set(contents.map(({ digest }) => digest));

  function open({ registry, credentials, settings: more }: FamilyServer) {
    const { transport, quote } = connect({ url: registry.url, credentials });
    ended.push(async () => {
      transport.close();
    });
    const place = { registry: new URL(registry.url), registryType: subject.type };
    const settings = { ...place, ...more };
    return openRegistry(settings, { ...transport, quote });
  }

  /** What a family can't list is named by an input. */
  function clean(
    { registry, credentials, settings, list: lists }: FamilyServer,
    more: Partial<RunOptions> = {},
  ): Promise<Ran> {
    const named = lists === undefined ? set(moved, signature, sbom) : new Set<Digest>();
    return run({
      url: registry.url,
      registryType: subject.type,
      credentials,
      ...settings,
      repositories: [APP],
      candidates: new Map([[APP, named]]),
      ...more,
    });
  }

  describe('a run', () => {
    it('deletes every orphan, its tags with it, and nothing else', async () => {
      const server = await filled();
      const { green, complaints } = await clean(server);
      expect(complaints).toEqual([]);
      expect(green).toBe(true);
      expect(left(server)).toEqual(set(kept, list, child, sbom));
      expect([...tagsOf(server).keys()].sort()).toEqual(['latest', 'multi']);
      expect(left(server, WEB)).toEqual(set(other));
    });

    it('finds nothing more in a second run', async () => {
      const server = await filled();
      await clean(server);
      const { run: second, green } = await clean(server);
      expect(green).toBe(true);
      expect(second?.repositories.flatMap(({ plan }) => plan.orphans)).toEqual([]);
    });

    it('is red where a DELETE is said to have worked and nothing is deleted', async () => {
      const server = await filled();
      server.answerDeletes(204);
      const { green, complaints } = await clean(server);
      expect(green).toBe(false);
      expect(complaints.join('\n')).toContain('the manifest is still there');
      expect(left(server).has(moved.digest)).toBe(true);
    });

    it('the run is red, and deletes nothing, where the account has no right to delete', async () => {
      const server = await filled({ mayDelete: false });
      const before = left(server);
      const { green, complaints } = await clean(server);
      expect(green).toBe(false);
      expect(complaints.join('\n')).toMatch(/403|401|can't delete/);
      expect(left(server)).toEqual(before);
    });

    it('keeps what was pushed within the grace period', async () => {
      const server = await start();
      const created = new Date(NOW - DAY / 2).toISOString();
      const [young, old] = [image('young', { created }), image('old')];
      seed(server.registry.state, APP, kept, 'latest');
      seed(server.registry.state, APP, young);
      seed(server.registry.state, APP, old);
      server.list?.setPushTime(APP, young.digest, NOW - DAY / 2);
      server.list?.setPushTime(APP, old.digest, NOW - 2 * DAY);
      const candidates = new Map([[APP, server.list ? new Set<Digest>() : set(young, old)]]);
      await clean(server, { gracePeriod: DAY, candidates });
      expect(left(server)).toEqual(set(kept, young));
    });

    it('sends nothing but GET and HEAD in a dry-run', async () => {
      const server = await filled();
      const before = left(server);
      const { run: done } = await clean(server, { dryRun: true });
      expect(done?.repositories.flatMap(({ plan }) => plan.orphans)).toHaveLength(2);
      const methods = new Set(server.registry.requests.map(({ method }) => method));
      expect([...methods].filter((method) => !['GET', 'HEAD'].includes(method))).toEqual([]);
      expect(left(server)).toEqual(before);
    });

    it('shows its credentials to no other origin', async () => {
      const server = await filled();
      const elsewhere = await startServer((_, response) => {
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      });
      server.registry.intercept(
        when(/^(GET|HEAD) .*(blobs|manifests)\/sha256/, {
          kind: 'answer',
          status: 307,
          headers: { Location: `${elsewhere.url.origin}/v2/x/manifests/${kept.digest}` },
        }),
      );
      await clean(server);
      expect(elsewhere.seen.length).toBeGreaterThan(0);
      expect(elsewhere.seen.filter(({ headers }) => 'authorization' in headers)).toEqual([]);
    });
  });

  describe('the deleter', () => {
    it('says of a manifest that is not there that it is gone', async () => {
      const server = await filled();
      const { deleter } = open(server);
      expect(await deleter.deleteManifest(APP, image('never pushed').digest)).toBe('gone');
    });

    it('deletes a tagged manifest with the tags that it is told of', async () => {
      const server = await filled();
      const tag = digestTag(moved.digest, 'sig');
      const { deleter, reader } = open(server);
      expect(await deleter.deleteManifest(APP, signature.digest, { tags: [tag] })).toBe('deleted');
      expect(await reader.isThere(APP, signature.digest)).toBe(false);
      expect(tagsOf(server).has(tag)).toBe(false);
    });

    it('rejects with what the registry said of rights that are missing', async () => {
      const { deleter } = open(await filled({ mayDelete: false }));
      await expect(deleter.deleteManifest(APP, moved.digest)).rejects.toMatchObject({
        kind: expect.stringMatching(/forbidden|unauthorized/),
      });
    });
  });

  it('has an untagger where a tag can be removed alone, and a lister where it can list', async () => {
    const { untagger, lister } = open(await filled());
    expect({ canUntag: untagger !== undefined, canList: lister !== undefined }).toEqual({
      canUntag: subject.canUntag,
      canList: subject.canList,
    });
  });

  if (subject.canUntag) {
    describe('the untagger', () => {
      it('removes the tag, and leaves the manifest', async () => {
        const server = await filled();
        await open(server).untagger?.untag(APP, 'latest', kept.digest);
        expect(tagsOf(server).has('latest')).toBe(false);
        expect(left(server).has(kept.digest)).toBe(true);
      });

      it('leaves a tag that points elsewhere', async () => {
        const server = await filled();
        await open(server).untagger?.untag(APP, 'latest', moved.digest);
        expect(tagsOf(server).get('latest')).toBe(kept.digest);
      });
    });
  }

  if (subject.canList) {
    describe('the lister', () => {
      it('lists every manifest, with its tags and the time of its push', async () => {
        const server = await filled();
        server.list?.setPushTime(APP, moved.digest, NOW - DAY);
        const listing = await open(server).lister?.manifests(APP);
        const tags = [...(listing ?? [])].flatMap(([digest, listed]) =>
          listed.tags.map((tag) => [tag, digest] as const),
        );
        expect(new Set(listing?.keys())).toEqual(left(server));
        expect(new Map(tags)).toEqual(tagsOf(server));
        expect(listing?.get(moved.digest)?.pushedAt).toBe(NOW - DAY);
      });

      it('lists nothing of a repository that the registry does not know, or says that it may be hidden', async () => {
        const server = await filled();
        const listing = open(server).lister?.manifests(`${APP}-unknown`);
        const said = await listing?.then(
          ({ size }) => size,
          (error: unknown) => (error as Error).message,
        );
        expect(String(said)).toMatch(subject.hidesUnknown ? /404/ : /^0$/);
      });

      it.each([500, 403, 404])('rejects where the list is answered with %d', async (status) => {
        const server = await filled();
        server.list?.answer(status);
        const listing = open(server).lister?.manifests(APP);
        await expect(listing).rejects.toThrow(String(status));
      });

      it('makes a gap of half a list, and nothing is deleted', async () => {
        const server = await filled();
        server.list?.leaveOut(kept.digest);
        const before = left(server);
        const { green, complaints } = await clean(server);
        expect(green).toBe(false);
        expect(complaints.join('\n')).toContain(
          `it lacks ${kept.digest}, which the registry serves`,
        );
        expect(left(server)).toEqual(before);
      });

      it('leads to what no tag, index or input names', async () => {
        const server = await filled();
        const { run: done } = await clean(server, { dryRun: true, candidates: new Map() });
        const orphans = done?.repositories.flatMap(({ plan }) => plan.orphans) ?? [];
        expect(new Set(orphans.map(({ digest }) => digest))).toEqual(set(moved, signature));
        expect(done?.ledger).toBeUndefined();
      });
    });
  }
});
