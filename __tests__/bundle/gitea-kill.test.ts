/**
 * `kill -9` at requests of a run on a real Gitea: nothing is ever broken, the next run ends where an undisturbed one does,
 * and the backup of the killed run gives back all that was there before it, from the blobs that the run had kept. Tried
 * are all writes, before and after they are carried out, and every third read: a run that dies at a read leaves what it
 * left at the write before. Reads and writes are counted apart, as their order is not the same in all runs.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { cosign, digestTag, image, index, LINUX_ARM64 } from '../support/builders/build.js';
import { push } from '../support/clients/push.js';
import {
  IMAGE,
  startGiteaImage,
  type GiteaImage,
  type ImageSnapshot,
} from '../support/scenes/gitea-image.js';
import { Killing, playRun, type Kill, type Played } from '../support/scenes/kills.js';
import { describeWith } from '../support/servers/describe-with.js';
import { findGitea, startGitea, type Gitea } from '../support/servers/gitea.js';
import { repositoryOf } from '../support/servers/memory/state.js';
import { present } from '../support/servers/real-registries.js';

// A hundred processes on a small machine that others use, too.
jest.setTimeout(300_000);

/** The number of processes at a time, each with an image of its own on the one Gitea. */
const IMAGES = 4;

const base = ['base'];
const stable = image('stable', { base });
const shared = image('shared', { platform: LINUX_ARM64 });
/** Its digest comes after those of its platform and its signature, so the order of digests is a wrong one for deletes. */
const first = index([image('replaced', { base }), shared]);
const second = index([image('second', { base }), shared]);
const signature = cosign('sig', first);
const lone = image('lone', { base });
/** `first`, its own platform, its signature, and `lone` */
const ORPHANS = 4;

const DEFAULTS = { 'grace-period': '0', 'max-deletes': '100%' };
/** Gitea remembers no image that is gone, so by default a signature that a killed run left would stay. */
const INPUTS = { ...DEFAULTS, 'dangling-referrers': 'delete' };

const READ = /^(?:GET|HEAD) /;
const WRITE = /^(?!GET |HEAD )/;
/** one read out of so many is tried */
const READS = 3;

const program = findGitea();

describeWith('gitea', program, 'kill-recovers: a run on Gitea', () => {
  const killing = new Killing<ImageSnapshot>({ repository: IMAGE, inputs: INPUTS });
  let gitea: Gitea;
  let images: GiteaImage[] = [];
  let before: Played<ImageSnapshot>;
  let undisturbed: Played<ImageSnapshot>;

  beforeAll(async () => {
    const [platform] = first.children;
    expect(first.digest > signature.digest && first.digest > (platform?.digest ?? '')).toBe(true);
    gitea = await startGitea(present(program));
    images = await Promise.all(
      Array.from({ length: IMAGES }, (_, n) => startGiteaImage(gitea, `kill-${String(n + 1)}`)),
    );
    const [server] = images as [GiteaImage];
    const { repository } = server;
    await push(gitea, repository, stable, 'stable');
    await push(gitea, repository, first, 'latest');
    const seen = await playRun(server, undefined, INPUTS);
    expect(seen.run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '0' } });
    await push(gitea, repository, first);
    await push(gitea, repository, signature, digestTag(first.digest, 'sig'));
    await push(gitea, repository, second, 'latest');
    await push(gitea, repository, lone);
    const snapshot = await server.snapshot();
    before = { ...seen, state: snapshot.state, snapshot };
    const backup = killing.directory();
    undisturbed = await playRun(server, snapshot, { ...INPUTS, 'backup-dir': backup });
    expect(undisturbed.run).toMatchObject({
      exitCode: 0,
      outputs: { 'deleted-count': String(ORPHANS), 'backup-dir': backup },
    });
  });

  afterAll(async () => {
    await Promise.all(images.map((each) => each.stop()));
    await gitea.stop();
    killing.clear();
  });

  it('that is killed at any of its writes or at a read breaks nothing, and can be completed or restored', async () => {
    const every = (among: RegExp, when: Kill['when']): Kill[] =>
      undisturbed.requests
        .filter((request) => among.test(request))
        .map((_, earlier) => ({ n: earlier + 1, when, among }));
    const kills = [
      ...every(READ, 'before').filter(({ n }) => n % READS === 0),
      ...every(WRITE, 'before'),
      ...every(WRITE, 'after'),
    ];
    expect(await killing.judgeAll(images, kills, before, undisturbed)).toEqual([]);
  });

  describe('that is killed between an image and its signature', () => {
    /** @returns how the next run ends, and what it leaves */
    const after = async (given: Readonly<Record<string, string>>) => {
      const [server] = images as [GiteaImage];
      const hex = signature.digest.slice('sha256:'.length);
      const kill: Kill = { n: 1, when: 'before', among: new RegExp(`^DELETE /api/.*${hex}$`) };
      const inputs = () => ({ ...DEFAULTS, ...given, 'backup-dir': killing.directory() });
      const killed = await playRun(server, before.snapshot, inputs(), kill);
      expect(killed.run.exitCode).toBeNull();
      expect(repositoryOf(killed.state, IMAGE).manifests.has(first.digest)).toBe(false);
      const next = await playRun(server, undefined, inputs());
      expect(next.run).toMatchObject({ exitCode: 0 });
      return { server, next };
    };

    it('leaves the signature, and the next run names the input to delete it', async () => {
      const { server, next } = await after({});
      expect(next.run.summary).toContain('`dangling-referrers: delete` deletes it');
      const { manifests, tags } = repositoryOf(next.state, IMAGE);
      expect(manifests.has(signature.digest)).toBe(true);
      expect(tags.get(digestTag(first.digest, 'sig'))).toBe(signature.digest);
      const last = await playRun(server, undefined, INPUTS);
      expect(last.run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '1' } });
      expect(killing.users(last.state)).toEqual(killing.users(undisturbed.state));
    });

    it('leaves nothing after the next run, if a ledger remembers the image', async () => {
      const { next } = await after({ 'ledger-repository': 'bot/kill-ledger' });
      expect(killing.users(next.state)).toEqual(killing.users(undisturbed.state));
    });
  });

  it('that was not killed can be restored', async () => {
    const [server] = images as [GiteaImage];
    const backup = undisturbed.run.outputs['backup-dir'] ?? '';
    const inputs = { 'restore-from': backup };
    const { run, state } = await playRun(server, undisturbed.snapshot, inputs);
    expect(run).toMatchObject({ exitCode: 0, outputs: { 'restored-count': String(ORPHANS) } });
    expect(killing.users(state)).toEqual(killing.users(before.state));
  });
});
