/**
 * The estate on Gitea, for real: the bundled action finds every orphan in one run, without a ledger and without any
 * input that names one, and after the run a backup brings all of them back. Gitea's own database tells what exists.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import {
  attestation,
  cosign,
  digestTag,
  image,
  index,
  LINUX_ARM64,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { estate, going, pushEstate, staying, type Estate } from '../support/builders/estate.js';
import { deletedIn, expectGreen } from '../support/clients/outcome.js';
import { pull, pullWhole, skopeo } from '../support/clients/pull.js';
import { push } from '../support/clients/push.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { describeWith } from '../support/servers/describe-with.js';
import { findGitea, startGitea, type Gitea } from '../support/servers/gitea.js';
import { listsLayers, present } from '../support/servers/real-registries.js';

const DAY = 24 * 60 * 60 * 1000;
const YOUNG = 'younger than the grace period';

const program = findGitea();
const now = Date.now();

/**
 * The estate of one owner, without what Gitea refuses: an index in an index, on which all of `team/multi` rests, and an
 * index of layers. Each is pushed by its digest, too: what is pushed by its tag alone goes when the tag moves.
 */
function onGitea({ pushes, expectations }: Estate): Estate {
  const isTaken = ({ repository }: { repository: string }) => repository !== 'team/multi';
  const refused = new Set(
    pushes.flatMap(({ content }) => (listsLayers(content) ? [content.digest] : [])),
  );
  return {
    pushes: pushes
      .filter((each) => isTaken(each) && !refused.has(each.content.digest))
      .map(({ repository, content, tags }) => ({
        repository: `bot/${repository}`,
        content,
        tags: tags.length === 0 ? [] : [...tags, content.digest],
      })),
    expectations: expectations
      .filter((each) => isTaken(each) && !refused.has(each.digest))
      .map((each) => ({ ...each, repository: `bot/${each.repository}` })),
  };
}

const everything = onGitea(estate(now));

/** An image that was pushed by tag alone: when the tag moves, Gitea deletes the version that it named before. */
const MOVED = 'bot/team/moved';
const [amd, arm] = [image('moved amd64'), image('moved arm64', { platform: LINUX_ARM64 })];
const provenance = attestation('moved', amd);
const before = index([amd, arm, provenance]);
const next = image('moved amd64 next');
const after = index([next, arm]);
const signature = cosign('sig', before);
const report = referrer('report', amd);
const byDigest = index([arm, image('moved lone')]);

const moved = {
  stay: [after, next, arm, signature],
  go: [amd, provenance, report, byDigest, image('moved lone')],
};

const named = (contents: readonly Content[]) => contents.map(({ digest }) => `${MOVED}@${digest}`);

describeWith('gitea', program, 'an estate on Gitea', () => {
  const home = mkdtempSync(path.join(tmpdir(), 'gitea-estate-'));
  const backup = path.join(home, 'backup');
  const left = new Set([...staying(everything), ...named(moved.stay)]);
  const orphans = new Set([...going(everything), ...named(moved.go)]);
  const all = new Set([...left, ...orphans]);
  let gitea: Gitea;
  let tags: Map<string, string>;

  beforeAll(async () => {
    gitea = await startGitea(present(program));
    await pushEstate(gitea, everything);
    await push(gitea, MOVED, before, 'latest');
    await push(gitea, MOVED, signature, digestTag(before.digest, 'sig'));
    await push(gitea, MOVED, report);
    await push(gitea, MOVED, after, 'latest');
    await push(gitea, MOVED, byDigest);
    const young = everything.expectations.filter(({ why }) => why === YOUNG);
    const isYoung = (each: string) =>
      young.some(({ repository, digest }) => each === `${repository}@${digest}`);
    const old = [...all].filter((name) => !isYoung(name));
    await gitea.setPushTime(old, now - 2 * DAY);
    tags = await gitea.tags();
  });

  afterAll(async () => {
    await gitea.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const clean = (inputs: Record<string, string> = {}): Promise<ActionRun> =>
    runAction({
      'registry-url': gitea.url,
      username: gitea.bot.username,
      password: gitea.bot.token,
      ...inputs,
    });

  // The tests of this block follow each other as the runs of a workflow do.
  it('is stored as it was pushed, but for an index whose tag moved', async () => {
    expect(await gitea.manifests()).toEqual(all);
    expect(all).not.toContain(`${MOVED}@${before.digest}`);
  });

  it('loses nothing in a dry-run, which finds every orphan', async () => {
    const blobs = await gitea.blobs();
    const run = await clean({ 'dry-run': 'true' });
    expectGreen(run, { 'orphans-found': String(orphans.size), 'deleted-count': '0' });
    expect(await gitea.manifests()).toEqual(all);
    expect(await gitea.tags()).toEqual(tags);
    expect(await gitea.blobs()).toEqual(blobs);
  });

  it('in-use-stays: is left with exactly what must be left after one run, without a ledger', async () => {
    const run = await clean({ 'backup-dir': backup });
    expect(await gitea.manifests()).toEqual(left);
    expectGreen(run, { 'failed-count': '0', 'deleted-count': String(orphans.size) });
    expect(deletedIn(run)).toEqual(orphans);
    expect(run.report).toMatchObject({ visibility: { untaggedListing: 'complete' } });
    expect(run.report).not.toHaveProperty('ledger');
    expect(run.log).not.toContain(gitea.bot.token);
  });

  it('has every tag that is left whole', async () => {
    const still = await gitea.tags();
    expect(still.size).toBeGreaterThan(20);
    for (const [name, digest] of still) {
      expect(tags.get(name)).toBe(digest);
      const cut = name.lastIndexOf(':');
      expect(await pullWhole(gitea, name.slice(0, cut), name.slice(cut + 1))).toEqual([]);
    }
  });

  describeWith('skopeo', skopeo, 'and skopeo', () => {
    it('pulls every tag of an image entirely', async () => {
      const login = `${gitea.bot.username}:${gitea.bot.token}`;
      const images = [...(await gitea.tags())].filter(([name]) =>
        /:(?:latest|v\d[.\d]*|stable|nightly|main|branch)$/.test(name),
      );
      expect(images.length).toBeGreaterThan(8);
      for (const [name, digest] of images) {
        const cut = name.lastIndexOf(':');
        const options = { repository: name.slice(0, cut), login };
        expect(await pull(gitea, name.slice(cut + 1), options)).toBe(digest);
      }
    });
  });

  it('second-run-empty: loses nothing in a second run', async () => {
    const run = await clean();
    expectGreen(run, { 'orphans-found': '0', 'deleted-count': '0' });
    expect(await gitea.manifests()).toEqual(left);
  });

  it('has every byte and tag again after a run with restore-from', async () => {
    const run = await clean({ 'restore-from': backup });
    expectGreen(run, { 'restored-count': String(orphans.size) });
    expect(await gitea.manifests()).toEqual(all);
    expect(await gitea.tags()).toEqual(tags);
    for (const each of orphans) {
      const [repository = '', digest = ''] = each.split('@');
      expect(await pullWhole(gitea, repository, digest)).toEqual([]);
    }
  });
});
