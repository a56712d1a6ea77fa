/** What every family of registries has to do, whatever its API looks like. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';

import { RequestFailure } from '../../../src/http/message.js';
import type { Digest } from '../../../src/oci/digest.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import type { Registry } from '../../../src/registry/registry.js';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import { DAY, NOW } from '../../support/builders/inventories.js';
import { when } from '../../support/clients/client.js';
import { connect, run, type Ran, type RunOptions } from '../../support/scenes/run.js';
import { describeWith } from '../../support/servers/describe-with.js';
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

for (const subject of SUBJECTS) {
  if (subject.real === undefined) {
    describe(`a registry of the type ${subject.type}`, () => {
      contractOf(subject);
    });
  } else {
    const { program, found } = subject.real;
    describeWith(program, found, `a registry of the type ${subject.type}`, () => {
      contractOf(subject);
    });
  }
}

function contractOf(subject: FamilySubject): void {
  async function start(): Promise<FamilyServer> {
    const server = await subject.start();
    ended.push(() => server.stop());
    return server;
  }

  let untouchedServer: Promise<FamilyServer> | undefined;
  let withoutRights: Promise<FamilyServer> | undefined;

  afterAll(async () => {
    await (await untouchedServer)?.stop();
    await (await withoutRights)?.stop();
  });

  /** The same one for all tests that change nothing: to fill a real server takes seconds. */
  function untouched(): Promise<FamilyServer> {
    untouchedServer ??= subject.start().then(fill);
    return untouchedServer;
  }

  /** The same one for all tests whose account may not delete: these change nothing, either. */
  function undeletable(): Promise<FamilyServer> {
    withoutRights ??= subject.start({ mayDelete: false }).then(fill);
    return withoutRights;
  }

  /**
   * For a test that changes nothing but some of the answers. A real server is the one of all tests, and answers for
   * itself again after the test.
   */
  async function scripted(): Promise<FamilyServer> {
    if (subject.real === undefined) {
      return filled();
    }
    const server = await untouched();
    ended.push(async () => {
      server.intercept(() => undefined);
    });
    return server;
  }

  async function filled(): Promise<FamilyServer> {
    return fill(await start());
  }

  /** A repository with a tag that moved, an index, a signature and a referrer; of them, two manifests are orphans. */
  async function fill(server: FamilyServer): Promise<FamilyServer> {
    const [app, web] = server.repositories;
    await server.put(app, kept, 'latest');
    await server.put(app, list, 'multi');
    await server.put(app, moved);
    await server.put(app, signature, digestTag(moved.digest, 'sig'));
    await server.put(app, sbom);
    await server.put(web, other, 'v1');
    return server;
  }

  const left = (server: FamilyServer) => server.manifests(server.repositories[0]);
  const tagsOf = (server: FamilyServer) => server.tags(server.repositories[0]);
  const set = (...contents: readonly { readonly digest: Digest }[]) =>
    new Set(contents.map(({ digest }) => digest));

  function open({ url, credentials, settings: more, clock }: FamilyServer) {
    const { transport, quote } = connect({ url, credentials, clock });
    ended.push(async () => {
      transport.close();
    });
    const place = { registry: new URL(url), registryType: subject.type };
    const settings = { ...place, ...more };
    return openRegistry(settings, { ...transport, quote });
  }

  /** What a family can't list is named by an input. */
  function clean(
    { url, credentials, settings, list: lists, repositories: [app], clock }: FamilyServer,
    more: Partial<RunOptions> = {},
  ): Promise<Ran> {
    const named = lists === undefined ? set(moved, signature, sbom) : new Set<Digest>();
    return run({
      url,
      registryType: subject.type,
      credentials,
      ...settings,
      repositories: [app],
      clock,
      candidates: new Map([[app, named]]),
      ...more,
    });
  }

  describe('a run', () => {
    it('deletes every orphan, its tags with it, and nothing else', async () => {
      const server = await filled();
      const { green, complaints } = await clean(server);
      expect(complaints).toEqual([]);
      expect(green).toBe(true);
      expect(await left(server)).toEqual(set(kept, list, child, sbom));
      expect([...(await tagsOf(server)).keys()].sort()).toEqual(['latest', 'multi']);
      expect(await server.manifests(server.repositories[1])).toEqual(set(other));
    });

    it('finds nothing more in a second run', async () => {
      const server = await filled();
      await clean(server);
      const { run: second, green } = await clean(server);
      expect(green).toBe(true);
      expect(second?.repositories.flatMap(({ plan }) => plan.orphans)).toEqual([]);
    });

    it('is red where a DELETE is said to have worked and nothing is deleted', async () => {
      const server = await scripted();
      const before = await left(server);
      server.feignDeletes();
      const { green, complaints } = await clean(server);
      expect(green).toBe(false);
      expect(complaints.join('\n')).toContain('the manifest is still there');
      expect(before).toContain(moved.digest);
      expect(await left(server)).toEqual(before);
    });

    it('the run is red, and deletes nothing, where the account has no right to delete', async () => {
      const server = await undeletable();
      const before = await left(server);
      const { green, complaints } = await clean(server);
      expect(green).toBe(false);
      expect(complaints.join('\n')).toMatch(/403|401|can't delete/);
      expect(await left(server)).toEqual(before);
    });

    it('keeps what was pushed within the grace period', async () => {
      const server = await start();
      const created = new Date(NOW - DAY / 2).toISOString();
      const [young, old] = [image('young', { created }), image('old')];
      const [app] = server.repositories;
      await server.put(app, kept, 'latest');
      await server.put(app, young);
      await server.put(app, old);
      await server.list?.setPushTime?.(app, young.digest, NOW - DAY / 2);
      await server.list?.setPushTime?.(app, old.digest, NOW - 2 * DAY);
      const candidates = new Map([[app, server.list ? new Set<Digest>() : set(young, old)]]);
      await clean(server, { gracePeriod: DAY, candidates });
      expect(await left(server)).toEqual(set(kept, young));
    });

    it('sends nothing but GET and HEAD in a dry-run', async () => {
      const server = await untouched();
      const before = await left(server);
      const earlier = server.requests.length;
      const { run: done } = await clean(server, { dryRun: true });
      expect(done?.repositories.flatMap(({ plan }) => plan.orphans)).toHaveLength(2);
      const methods = new Set(server.requests.slice(earlier).map(({ method }) => method));
      expect(methods).toContain('GET');
      expect([...methods].filter((method) => !['GET', 'HEAD'].includes(method))).toEqual([]);
      expect(await left(server)).toEqual(before);
    });

    it('shows its credentials to no other origin', async () => {
      const server = await scripted();
      const elsewhere = await startServer((_, response) => {
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      });
      server.intercept(
        when(/^(GET|HEAD) .*(blobs|manifests)\/sha256/, {
          kind: 'answer',
          status: 307,
          headers: { Location: `${elsewhere.url.origin}/v2/x/manifests/${kept.digest}` },
        }),
      );
      const before = await left(server);
      await clean(server);
      expect(await left(server)).toEqual(before);
      expect(elsewhere.seen.length).toBeGreaterThan(0);
      expect(elsewhere.seen.filter(({ headers }) => 'authorization' in headers)).toEqual([]);
    });
  });

  describe('the deleter', () => {
    it('says of a manifest that is not there that it is gone', async () => {
      const server = await untouched();
      const { deleter } = open(server);
      expect(
        await deleter.deleteManifest(server.repositories[0], image('never pushed').digest),
      ).toBe('gone');
    });

    it('deletes a tagged manifest with the tags that it is told of', async () => {
      const server = await filled();
      const tag = digestTag(moved.digest, 'sig');
      const { deleter, reader } = open(server);
      expect(
        await deleter.deleteManifest(server.repositories[0], signature.digest, { tags: [tag] }),
      ).toBe('deleted');
      expect(await reader.isThere(server.repositories[0], signature.digest)).toBe(false);
      expect((await tagsOf(server)).has(tag)).toBe(false);
    });

    it('rejects with what the registry said of rights that are missing', async () => {
      const server = await undeletable();
      const { deleter } = open(server);
      await expect(
        deleter.deleteManifest(server.repositories[0], moved.digest),
      ).rejects.toMatchObject({
        kind: expect.stringMatching(/forbidden|unauthorized/),
      });
    });
  });

  /** Calls with names that would make another address than meant: each may reject, and none may change anything. */
  async function tryAll(calls: readonly (() => Promise<unknown> | undefined)[]): Promise<void> {
    for (const call of calls) {
      try {
        await call();
      } catch (error) {
        if (!(error instanceof RequestFailure)) {
          throw error;
        }
      }
    }
  }

  describe('an empty or malformed name', () => {
    const HEX = 'a'.repeat(64);
    const wrong = ['', ' ', '/', '.', '..', '*', '%2e%2e', 'a/..', '?x=1', '#', '../app', 'x\n'];
    const digests = [...wrong, 'latest', 'sha256:', `sha256:${HEX}/..`, `sha256:${HEX}?`, HEX];
    const writes = ({ requests }: FamilyServer) =>
      requests.filter(({ method }) => !['GET', 'HEAD'].includes(method));

    async function expectNoWrite(
      calls: (registry: Registry, app: string) => readonly (() => Promise<unknown> | undefined)[],
    ): Promise<void> {
      const server = await untouched();
      const [app] = server.repositories;
      const before = [await left(server), await tagsOf(server)];
      const earlier = writes(server).length;
      await tryAll(calls(open(server), app));
      expect(writes(server).slice(earlier)).toEqual([]);
      expect([await left(server), await tagsOf(server)]).toEqual(before);
    }

    it('never reaches an address that deletes: as a digest', async () => {
      await expectNoWrite(({ deleter }, app) =>
        digests.map((digest) => () => deleter.deleteManifest(app, digest as Digest)),
      );
    });

    it('never reaches an address that deletes: as a repository', async () => {
      await expectNoWrite(({ deleter }, app) =>
        [...wrong, `${app}/`, `${app}/..`, `/${app}`].map(
          (repository) => () => deleter.deleteManifest(repository, moved.digest),
        ),
      );
    });

    it('never reaches an address that untags', async () => {
      await expectNoWrite(({ untagger }, app) => [
        ...wrong.map((tag) => () => untagger?.untag(app, tag, kept.digest)),
        ...wrong.map((repository) => () => untagger?.untag(repository, 'latest', kept.digest)),
      ]);
    });

    it('never reaches an address that restores or parks', async () => {
      await expectNoWrite(({ restorer, parking }, app) => [
        ...wrong.map((id) => () => restorer?.restore(app, id)),
        ...wrong.map((repository) => () => restorer?.restore(repository, '1')),
        ...digests.map((blob) => () => parking?.park(app, blob as Digest)),
        ...wrong.map((repository) => () => parking?.park(repository, moved.digest)),
      ]);
    });
  });

  it('has an untagger where a tag can be removed alone, and a lister where it can list', async () => {
    const { untagger, lister } = open(await untouched());
    expect({ canUntag: untagger !== undefined, canList: lister !== undefined }).toEqual({
      canUntag: subject.canUntag,
      canList: subject.canList,
    });
  });

  if (subject.canUntag) {
    describe('the untagger', () => {
      it('removes the tag, and leaves the manifest', async () => {
        const server = await filled();
        await open(server).untagger?.untag(server.repositories[0], 'latest', kept.digest);
        expect((await tagsOf(server)).has('latest')).toBe(false);
        expect((await left(server)).has(kept.digest)).toBe(true);
      });

      it('leaves a tag that points elsewhere', async () => {
        const server = await filled();
        await open(server).untagger?.untag(server.repositories[0], 'latest', moved.digest);
        expect((await tagsOf(server)).get('latest')).toBe(kept.digest);
      });
    });
  }

  if (subject.canList) {
    describe('the lister', () => {
      it('lists every manifest, with its tags and the time of its push', async () => {
        const server = await untouched();
        const hasTime = server.list?.setPushTime !== undefined;
        await server.list?.setPushTime?.(server.repositories[0], moved.digest, NOW - DAY);
        const listing = await open(server).lister?.manifests(server.repositories[0]);
        const tags = [...(listing ?? [])].flatMap(([digest, listed]) =>
          listed.tags.map((tag) => [tag, digest] as const),
        );
        expect(new Set(listing?.keys())).toEqual(await left(server));
        expect(new Map(tags)).toEqual(await tagsOf(server));
        expect(listing?.get(moved.digest)?.pushedAt).toBe(hasTime ? NOW - DAY : undefined);
      });

      it('lists nothing of a repository that the registry does not know, or says that it may be hidden', async () => {
        const server = await untouched();
        const listing = open(server).lister?.manifests(`${server.repositories[0]}-unknown`);
        const said = await listing?.then(
          ({ size }) => size,
          (error: unknown) => (error as Error).message,
        );
        expect(String(said)).toMatch(subject.hidesUnknown ? /404/ : /^0$/);
      });

      it.each([500, 403, 404])('rejects where the list is answered with %d', async (status) => {
        const server = await scripted();
        server.list?.answer(status);
        const listing = open(server).lister?.manifests(server.repositories[0]);
        await expect(listing).rejects.toThrow(String(status));
      });

      if (subject.lacksDigestPushes !== true) {
        it('makes a gap of half a list, and nothing is deleted', async () => {
          const server = await scripted();
          server.list?.leaveOut(kept.digest);
          const before = await left(server);
          const { green, complaints } = await clean(server);
          expect(green).toBe(false);
          expect(complaints.join('\n')).toContain(
            `it lacks ${kept.digest}, which the registry serves`,
          );
          expect(await left(server)).toEqual(before);
        });
      }

      it('leads to what no tag, index or input names', async () => {
        const server = await untouched();
        const { run: done } = await clean(server, { dryRun: true, candidates: new Map() });
        const orphans = done?.repositories.flatMap(({ plan }) => plan.orphans) ?? [];
        expect(new Set(orphans.map(({ digest }) => digest))).toEqual(set(moved, signature));
        expect(done?.ledger).toBeUndefined();
      });
    });
  }
}
