/**
 * Where a client that trusts Gitea would be wrong, for real: layers that can't be kept, a list that shifts while it is
 * read, a token that may only read; and Forgejo, which has the same API and removes manifests by itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';

import { OCI_CONFIG } from '../../src/oci/media-types.js';
import {
  image,
  index,
  manifest,
  type Content,
  type ManifestOptions,
} from '../support/builders/build.js';
import { deletedIn, expectGreen, warningsOf } from '../support/clients/outcome.js';
import { pullWhole } from '../support/clients/pull.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { describeWith } from '../support/servers/describe-with.js';
import { findGitea, startGitea, type Gitea } from '../support/servers/gitea.js';
import type { SeenRequest } from '../support/servers/memory/script.js';
import { present } from '../support/servers/real-registries.js';
import { startRelay, type Relay } from '../support/servers/relay.js';

// The pushes of a thousand manifests take a while on a busy machine.
jest.setTimeout(300_000);

const program = findGitea();

const isPage = ({ path: asked }: SeenRequest): boolean =>
  /^\/api\/v1\/packages\/bot(?:\/container\/many)?\?/.test(asked);

/** The config and the layer of an image, for others that consist of the same. */
function partsOf({ blobs }: Content): Pick<ManifestOptions, 'config' | 'layers'> {
  const [config, layer] = [...blobs.values()];
  if (config === undefined || layer === undefined) {
    throw new Error('an image has a config and a layer');
  }
  return {
    config: { mediaType: OCI_CONFIG, bytes: config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', bytes: layer }],
  };
}

describeWith('gitea', program, 'Gitea behind a relay', () => {
  const home = mkdtempSync(path.join(tmpdir(), 'gitea-traps-'));
  let gitea: Gitea;
  let relay: Relay;
  let requests: SeenRequest[];

  beforeAll(async () => {
    gitea = await startGitea(present(program));
  });

  afterAll(async () => {
    await gitea.stop();
    rmSync(home, { recursive: true, force: true });
  });

  beforeEach(async () => {
    // Not with the credentials of `gitea`, which it would tell in the place of those that clients send.
    relay = await startRelay({ url: gitea.url });
    requests = [];
  });

  afterEach(async () => {
    await relay.stop();
  });

  const clean = (inputs: Record<string, string>): Promise<ActionRun> =>
    runAction({
      'registry-url': relay.url,
      username: gitea.bot.username,
      password: gitea.bot.token,
      'grace-period': '0',
      ...inputs,
    });

  const digestsIn = async (repository: string) =>
    new Set(
      [...(await gitea.manifests())].flatMap((each) => {
        const [name, digest = ''] = each.split('@');
        return name === repository ? [digest] : [];
      }),
    );

  /** A kept image, and an orphan index with a child. */
  async function lay(repository: string): Promise<{ kept: Content; orphans: Content[] }> {
    const kept = image(`${repository} kept`);
    const child = image(`${repository} child`);
    const parent = index([child]);
    await push(gitea, repository, kept, 'latest');
    await push(gitea, repository, parent);
    return { kept, orphans: [parent, child] };
  }

  async function putAll(repository: string, contents: readonly Content[]): Promise<void> {
    const open = [...contents];
    const work = async () => {
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        await putManifest(gitea, repository, next, next.digest);
      }
    };
    await Promise.all(Array.from({ length: 8 }, work));
  }

  it.each([
    [202, { location: '/v2/bot/final/blobs/uploads/1' }],
    [404, {}],
  ])(
    'that answers a mount with %s: the deletes are said to be final, and no restore is promised',
    async (status, headers) => {
      const repository = `bot/final-${String(status)}`;
      const { kept, orphans } = await lay(repository);
      relay.intercept(({ method, path: asked }) =>
        method === 'POST' && asked.includes('mount=')
          ? { kind: 'answer', status, headers }
          : undefined,
      );
      const backup = path.join(home, `final-${String(status)}`);
      const inputs = { repositories: repository, 'max-deletes': '100%' };
      const dry = await clean({ ...inputs, 'dry-run': 'true' });
      const run = await clean({ ...inputs, 'backup-dir': backup });
      expectGreen(run, { 'deleted-count': '2', 'failed-count': '0' });
      expect(deletedIn(run)).toEqual(
        new Set(orphans.map(({ digest }) => `${repository}@${digest}`)),
      );
      expect(await digestsIn(repository)).toEqual(new Set([kept.digest]));
      // A dry-run can't try it, and so promises nothing.
      for (const said of [dry.log, dry.summary]) {
        expect(said).toContain('deletes there are final unless their layers are kept');
      }
      for (const said of [run.log, run.summary]) {
        expect(said).toMatch(/the delete of 2 manifests is final/);
        expect(said).not.toContain('restore-from');
      }
      expect(warningsOf(run)).toHaveLength(1);
      const back = await clean({ repositories: repository, 'restore-from': backup });
      expect(back.exitCode).toBe(1);
      expect(back.outputs).toMatchObject({ 'restored-count': '0' });
      expect(await digestsIn(repository)).toEqual(new Set([kept.digest]));
    },
  );

  it('that has 1,200 versions, which others change while they are listed: nothing is skipped, and nothing twice', async () => {
    const repository = 'bot/many';
    const shared = image('many');
    await push(gitea, repository, shared, 'latest');
    const many = (kind: string, count: number) =>
      Array.from({ length: count }, (_, n) =>
        manifest({ ...partsOf(shared), annotations: { kind, n: String(n) } }),
      );
    const children = many('child', 1100);
    // More than a page of the list is left of them.
    const orphans = many('orphan', 100);
    await putAll(repository, orphans);
    await gitea.analyze();
    await putAll(repository, children);
    const kept = index(children);
    await putManifest(gitea, repository, kept, 'all');

    // With each of the first pages that are read, one of the oldest versions goes, and a tag comes.
    const removed: Content[] = [];
    const added: Content[] = [];
    relay.intercept(async (request) => {
      requests.push(request);
      const next = orphans[orphans.length - 1 - removed.length];
      if (!isPage(request) || removed.length >= 30 || next === undefined) {
        return undefined;
      }
      removed.push(next);
      const fresh = manifest({
        ...partsOf(shared),
        annotations: { kind: 'new', n: String(removed.length) },
      });
      added.push(fresh);
      const tag = `new-${String(removed.length)}`;
      const { status } = await send(gitea, {
        method: 'DELETE',
        path: `/api/v1/packages/bot/container/many/${next.digest}`,
      });
      expect(status).toBe(204);
      await putManifest(gitea, repository, fresh, tag);
      return undefined;
    });
    const run = await clean({ repositories: repository, 'max-deletes': '100%' });

    const rest = orphans.filter((each) => !removed.includes(each));
    expect(removed).toHaveLength(30);
    expectGreen(run, { 'deleted-count': String(rest.length), 'failed-count': '0' });
    expect(deletedIn(run)).toEqual(new Set(rest.map(({ digest }) => `${repository}@${digest}`)));
    expect(await digestsIn(repository)).toEqual(
      new Set([shared, kept, ...children, ...added].map(({ digest }) => digest)),
    );
    const deletes = requests.flatMap(({ method, path: asked }) =>
      method === 'DELETE' ? [decodeURIComponent(asked)] : [],
    );
    for (const { digest } of rest) {
      expect(deletes.filter((each) => each.endsWith(digest))).toHaveLength(1);
    }
  });

  it('whose token may only read: one message names the right, and nothing is asked in a loop', async () => {
    const repository = 'bot/readable';
    const { kept, orphans } = await lay(repository);
    relay.intercept((request) => {
      requests.push(request);
      return undefined;
    });
    const run = await clean({
      repositories: repository,
      'max-deletes': '100%',
      password: await gitea.token(['read:package']),
    });
    expect(run.exitCode).toBe(1);
    expect(run.log.match(/^::error::.*$/gm)).toEqual([expect.stringContaining('`write:package`')]);
    expect(run.outputs).toMatchObject({ 'deleted-count': '0' });
    expect(await digestsIn(repository)).toEqual(
      new Set([kept, ...orphans].map(({ digest }) => digest)),
    );
    expect(requests.length).toBeLessThan(30);
  });

  it('that answers as Forgejo does: the run says what the server removes by itself', async () => {
    const repository = 'bot/forgejo';
    const { kept } = await lay(repository);
    relay.intercept(({ path: asked }) =>
      asked === '/api/forgejo/v1/version'
        ? {
            kind: 'answer',
            status: 200,
            headers: { 'Content-Type': 'application/json;charset=utf-8' },
            body: '{"version":"12.0.1+gitea-1.22.0"}',
          }
        : undefined,
    );
    const run = await clean({ repositories: repository, 'max-deletes': '100%' });
    expectGreen(run, { 'deleted-count': '2' });
    expect(await digestsIn(repository)).toEqual(new Set([kept.digest]));
    expect(await pullWhole(gitea, repository, 'latest')).toEqual([]);
    expect(warningsOf(run).join('\n')).toMatch(/This server is Forgejo, which deletes by itself/);
    expect(run.summary).toContain('This server is Forgejo');
  });
});
