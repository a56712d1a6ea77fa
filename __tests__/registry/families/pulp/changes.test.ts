/** Deletes and restores on real Pulp: tasks, what it keeps silently, and what is in no version. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { systemClock } from '../../../../src/http/clock.js';
import { RegistryError } from '../../../../src/registry/registry-error.js';
import type { Registry } from '../../../../src/registry/registry.js';
import {
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../../../support/builders/build.js';
import { fakeClock } from '../../../support/scenes/fake-clock.js';
import { runRestore } from '../../../support/scenes/restore-run.js';
import { stagePulp } from '../../../support/scenes/pulp.js';
import { describeWith } from '../../../support/servers/describe-with.js';
import { findPulp } from '../../../support/servers/pulp.js';

const program = findPulp();

describeWith('pulp', program, 'a change on Pulp', () => {
  const pulp = stagePulp(program);
  let made = 0;
  const fresh = (name: string, options?: Parameters<typeof image>[1]) => {
    made += 1;
    return image(`${name} ${String(made)}`, options);
  };
  /** A repository with a tag, `latest`, that has moved from `old` to `current`. */
  async function moved() {
    const repository = pulp.repository();
    const [old, current] = [fresh('old'), fresh('current')];
    await pulp.put(repository, old, 'latest');
    await pulp.put(repository, current, 'latest');
    return { repository, old, current };
  }
  /** The same one for all tests that leave it as it is. */
  let untouched: ReturnType<typeof moved> | undefined;
  const unchanged = (): ReturnType<typeof moved> => (untouched ??= moved());
  const listed = async (registry: Registry, repository: string) =>
    new Set((await registry.lister?.manifests(repository))?.keys());
  const refusalOf = (failing: Promise<unknown>): Promise<unknown> =>
    failing.then(
      () => undefined,
      (error: unknown) => error,
    );

  describe('a delete', () => {
    it('removes an orphan and nothing else, and is done when it ends', async () => {
      const { repository, old, current } = await moved();
      const { deleter } = pulp.open();
      expect(await deleter.deleteManifest(repository, old.digest)).toBe('deleted');
      expect(await pulp.isServed(repository, old)).toBe(false);
      expect(await pulp.isListed(repository, current)).toBe(true);
      expect(await deleter.deleteManifest(repository, old.digest)).toBe('gone');
    }, 60_000);

    it('removes several at once in few versions', async () => {
      const { repository, current } = await moved();
      const orphans = Array.from({ length: 5 }, () => fresh('orphan'));
      for (const orphan of orphans) {
        await pulp.put(repository, orphan, 'next');
      }
      await pulp.put(repository, current, 'next');
      const { deleter } = pulp.open();
      const version = async () => {
        const { repository: href = '' } = await pulp.distribution(repository);
        const { latest_version_href: latest } = (await pulp.api('GET', href)) as {
          readonly latest_version_href: string;
        };
        return Number(/(\d+)\/$/.exec(latest)?.[1]);
      };
      const before = await version();
      const results = orphans.map(({ digest }) => deleter.deleteManifest(repository, digest));
      expect(new Set(await Promise.all(results))).toEqual(new Set(['deleted']));
      expect(await version()).toBeLessThanOrEqual(before + 2);
      expect(await Promise.all(orphans.map((each) => pulp.isServed(repository, each)))).toEqual(
        orphans.map(() => false),
      );
    }, 90_000);

    it('of an index takes its children along, which then count as deleted', async () => {
      const { repository, current } = await moved();
      const [one, two] = [fresh('one'), fresh('two')];
      const list = index([one, two]);
      await pulp.put(repository, list, 'multi');
      await pulp.put(repository, current, 'multi');
      const registry = pulp.open();
      expect(await listed(registry, repository)).toContain(one.digest);
      const { deleter } = registry;
      expect(await deleter.deleteManifest(repository, list.digest)).toBe('deleted');
      expect(await pulp.isServed(repository, one)).toBe(false);
      expect(await deleter.deleteManifest(repository, one.digest)).toBe('deleted');
    }, 60_000);

    it('of a child of an index that stays is refused, though Pulp says that it worked', async () => {
      const repository = pulp.repository();
      const child = fresh('child');
      await pulp.put(repository, index([child]), 'multi');
      const failure = await refusalOf(pulp.open().deleter.deleteManifest(repository, child.digest));
      expect(failure).toBeInstanceOf(RegistryError);
      expect(failure).toMatchObject({ kind: 'referenced' });
      expect(String(failure)).toContain('A tag or an index names it');
      expect(await pulp.isServed(repository, child)).toBe(true);
    }, 60_000);

    it('of a manifest that somebody has tagged is refused', async () => {
      const { repository, old, current } = await moved();
      await pulp.put(repository, old, 'again');
      const { deleter } = pulp.open();
      const failure = await refusalOf(deleter.deleteManifest(repository, old.digest));
      expect(failure).toMatchObject({ kind: 'referenced' });
      // A tag that is said to point there and does not is left alone.
      const tags = ['latest'];
      await refusalOf(deleter.deleteManifest(repository, old.digest, { tags }));
      expect(await pulp.server.tags()).toEqual(
        new Map([
          ...(await pulp.server.tags()),
          [`${repository}:latest`, current.digest],
          [`${repository}:again`, old.digest],
        ]),
      );
    }, 60_000);

    it('removes the tags that go with an orphan', async () => {
      const { repository, old } = await moved();
      const signature = cosign('sig', old);
      const tag = digestTag(old.digest, 'sig');
      await pulp.put(repository, signature, tag);
      const { deleter } = pulp.open();
      expect(await deleter.deleteManifest(repository, signature.digest, { tags: [tag] })).toBe(
        'deleted',
      );
      expect((await pulp.server.tags()).has(`${repository}:${tag}`)).toBe(false);
      expect(await pulp.isServed(repository, signature)).toBe(false);
    }, 60_000);

    it('removes what was pushed by its digest alone, which is in no version', async () => {
      const { repository, current } = await moved();
      const attached = referrer('attached', current);
      await pulp.put(repository, attached);
      expect(await pulp.isListed(repository, attached)).toBe(false);
      const { deleter } = pulp.open();
      expect(await deleter.deleteManifest(repository, attached.digest)).toBe('deleted');
      expect(await pulp.isServed(repository, attached)).toBe(false);
      expect(await pulp.isListed(repository, current)).toBe(true);
    }, 60_000);

    it('removes what is in the version and was pushed by its digest as well', async () => {
      const { repository, old } = await moved();
      await pulp.putByDigest(repository, old);
      expect(await pulp.open().deleter.deleteManifest(repository, old.digest)).toBe('deleted');
      expect(await pulp.isServed(repository, old)).toBe(false);
    }, 60_000);

    it('in a repository that is not there finds nothing', async () => {
      const { deleter } = pulp.open();
      const { digest } = fresh('nowhere');
      expect(await deleter.deleteManifest(pulp.repository(), digest)).toBe('gone');
    });

    it('that is late sends nothing', async () => {
      const { repository, old } = await unchanged();
      const isLate = () => true;
      const failure = await refusalOf(
        pulp.open().deleter.deleteManifest(repository, old.digest, { isLate }),
      );
      expect(failure).toMatchObject({ name: 'TooLate' });
      await pulp.server.settled();
      expect(await pulp.isListed(repository, old)).toBe(true);
    }, 60_000);
  });

  describe('a task', () => {
    const answering = (body: unknown) =>
      pulp.relay.intercept(({ path }) =>
        path.startsWith('/pulp/api/v3/tasks/')
          ? { kind: 'answer', status: 200, body: JSON.stringify(body) }
          : undefined,
      );

    it.each(['failed', 'canceled', 'skipped'])(
      'that ends as %s fails the delete, in the words of Pulp',
      async (state) => {
        const { repository, old } = await moved();
        answering({ state, error: { description: 'the worker\nhas gone missing' } });
        const failure = await refusalOf(pulp.open().deleter.deleteManifest(repository, old.digest));
        expect(failure).toMatchObject({ kind: 'unexpected' });
        expect(String(failure)).toContain('server-failed');
        expect(String(failure)).toContain(`ended as ${state}: the worker`);
        expect(String(failure)).not.toContain('\n');
      },
      60_000,
    );

    it('that does not end within five minutes fails the delete', async () => {
      const { repository, old } = await moved();
      answering({ state: 'waiting', error: null });
      const clock = fakeClock({ auto: true });
      const { deleter } = pulp.open({ clock });
      const failure = await refusalOf(deleter.deleteManifest(repository, old.digest));
      expect(failure).toMatchObject({ kind: 'unexpected' });
      expect(String(failure)).toContain('server-failed');
      expect(String(failure)).toContain('after 5 minutes the task in Pulp is still waiting');
      expect(clock.slept.length).toBeLessThan(150);
      expect(Math.max(...clock.slept)).toBe(3000);
    }, 60_000);

    it.each(['/pulp/api/v3/repositories/', 'http://127.0.0.1:1/pulp/api/v3/tasks/x/', ''])(
      'with the name %j is not asked for',
      async (task) => {
        const { repository, old } = await unchanged();
        pulp.relay.intercept(({ method, path }) =>
          method === 'POST' && path.endsWith('/remove/')
            ? { kind: 'answer', status: 202, body: JSON.stringify({ task }) }
            : undefined,
        );
        await expect(pulp.open().deleter.deleteManifest(repository, old.digest)).rejects.toThrow(
          "isn't in the form of Pulp's API",
        );
        expect(await pulp.isListed(repository, old)).toBe(true);
      },
      60_000,
    );
  });

  it('is never asked for with another name than that of a manifest', async () => {
    const { repository, old } = await unchanged();
    const sent: string[] = [];
    pulp.relay.intercept(({ method, path }) => {
      sent.push(`${method} ${path}`);
      return path.includes('/content/container/manifests/')
        ? {
            kind: 'answer',
            status: 200,
            body: JSON.stringify({ count: 1, results: [{ pulp_href: '*', digest: old.digest }] }),
          }
        : undefined;
    });
    await expect(pulp.open().deleter.deleteManifest(repository, old.digest)).rejects.toThrow(
      "isn't in the form of Pulp's API",
    );
    expect(sent.filter((each) => each.startsWith('POST'))).toEqual([]);
  }, 60_000);

  describe('a restore', () => {
    it('brings back an index with its children, by its id in the list', async () => {
      const { repository, current } = await moved();
      const child = fresh('child');
      const list = index([child]);
      await pulp.put(repository, list, 'multi');
      await pulp.put(repository, current, 'multi');
      const { lister, deleter, restorer } = pulp.open();
      const id = (await lister?.manifests(repository))?.get(list.digest)?.id ?? '';
      await deleter.deleteManifest(repository, list.digest);
      expect(await pulp.isServed(repository, child)).toBe(false);
      expect(await restorer?.isRestorable(repository, id)).toBe(true);
      await restorer?.restore(repository, id);
      expect(await pulp.isListed(repository, list)).toBe(true);
      expect(await pulp.isListed(repository, child)).toBe(true);
    }, 60_000);

    it('is not offered for what Pulp does not have', async () => {
      const id = '/pulp/api/v3/content/container/manifests/01a22279-d5ea-770d-a3a3-89ddaa18b3db/';
      expect(await pulp.open().restorer?.isRestorable(pulp.repository(), id)).toBe(false);
    });

    it.each(['*', '', '/pulp/api/v3/content/container/tags/', '/v2/', '../../users/1/'])(
      'sends nothing for the id %j',
      async (id) => {
        const { restorer } = pulp.open();
        const sent: string[] = [];
        pulp.relay.intercept(({ path }) => {
          sent.push(path);
          return undefined;
        });
        const repository = pulp.repository();
        await expect(restorer?.restore(repository, id)).rejects.toThrow('nothing was sent');
        await expect(restorer?.isRestorable(repository, id)).rejects.toThrow('nothing was sent');
        expect(sent).toEqual([]);
      },
    );
  });

  describe('a run', () => {
    it('deletes all orphans and keeps what is in use, and a second one finds nothing', async () => {
      const { repository, old, current } = await moved();
      const [shared, lone, inner] = [fresh('shared'), fresh('lone'), fresh('inner')];
      const before = index([shared, lone]);
      const after = index([shared, index([inner])]);
      const signature = cosign('sig', old);
      const signed = referrer('sbom', current);
      await pulp.put(repository, before, 'multi');
      await pulp.put(repository, after, 'multi');
      await pulp.put(repository, signature, digestTag(old.digest, 'sig'));
      await pulp.put(repository, signed);
      const ran = await pulp.clean(repository);
      expect(ran.complaints).toEqual([]);
      const left = async (...contents: readonly Content[]) =>
        Promise.all(contents.map((content) => pulp.isServed(repository, content)));
      expect(await left(old, before, lone, signature)).toEqual([false, false, false, false]);
      expect(await left(current, after, shared, inner, signed)).toEqual(Array(5).fill(true));
      const second = await pulp.clean(repository);
      expect(second.complaints).toEqual([]);
      expect(second.plans.flatMap(({ orphans }) => orphans)).toEqual([]);
    }, 120_000);

    it('restores from its backup every manifest and tag that it deleted', async () => {
      const { repository, old, current } = await moved();
      const lost = index([fresh('part')]);
      const signature = cosign('sig', old);
      const tag = digestTag(old.digest, 'sig');
      await pulp.put(repository, lost, 'multi');
      await pulp.put(repository, current, 'multi');
      await pulp.put(repository, signature, tag);
      const state = async () => [await pulp.server.listed(), await pulp.server.tags()];
      const before = await state();
      const backupDirectory = await mkdtemp(join(tmpdir(), 'pulp-backup-'));
      try {
        expect((await pulp.clean(repository, { backupDirectory })).complaints).toEqual([]);
        expect(await state()).not.toEqual(before);
        const { complaints } = await runRestore({
          url: pulp.relay.url,
          credentials: { kind: 'basic', ...pulp.server.admin },
          restoreFrom: backupDirectory,
          clock: systemClock,
        });
        expect(complaints).toEqual([]);
        await pulp.server.settled();
        expect(await state()).toEqual(before);
      } finally {
        await rm(backupDirectory, { recursive: true, force: true });
      }
    }, 120_000);

    it('deletes nothing for a user without the right, and says which role is missing', async () => {
      const { repository, old } = await unchanged();
      const login = await pulp.user();
      const { repository: href = '' } = await pulp.distribution(repository);
      const role = 'container.containerrepository_viewer';
      await pulp.api('POST', `${href}add_role/`, { role, users: [login.username] });
      const ran = await pulp.clean(repository, { credentials: { kind: 'basic', ...login } });
      expect(ran.green).toBe(false);
      expect(ran.complaints.join('\n')).toContain('container.containerrepository_content_manager');
      expect(await pulp.isListed(repository, old)).toBe(true);
    }, 60_000);

    it('is red for a user who may not view the repository', async () => {
      const { repository, old } = await unchanged();
      const login = await pulp.user();
      const ran = await pulp.clean(repository, { credentials: { kind: 'basic', ...login } });
      expect(ran.green).toBe(false);
      expect(ran.complaints.join('\n')).toContain('container.containerrepository_content_manager');
      expect(await pulp.isListed(repository, old)).toBe(true);
    }, 60_000);
  });
});
