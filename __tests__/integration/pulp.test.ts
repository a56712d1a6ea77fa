/**
 * The estate on Pulp, for real: the bundled action finds every orphan that Pulp lists, without a ledger and without any
 * input that names one, and says what it can't see. Pulp's own database tells what exists.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';

import { image, index, referrer } from '../support/builders/build.js';
import { estate, going, staying, type Estate } from '../support/builders/estate.js';
import { deletedIn, expectGreen } from '../support/clients/outcome.js';
import { pull, pullWhole, skopeo } from '../support/clients/pull.js';
import { push } from '../support/clients/push.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { describeWith } from '../support/servers/describe-with.js';
import type { Answer } from '../support/servers/memory/answer.js';
import { findPulp, startPulp, type Pulp } from '../support/servers/pulp.js';
import { adopt, API, ask, placeOf, within } from '../support/servers/pulp-content.js';
import { listsLayers, present } from '../support/servers/real-registries.js';
import { startRelay } from '../support/servers/relay.js';

// A push of a tag is a task there, and one repository has one at a time.
jest.setTimeout(300_000);

const program = findPulp();

/** One for both blocks, since a start costs seconds of both cores. They have repositories of their own. */
let running: Pulp | undefined;
const thePulp = (): Pulp => present(running);

beforeAll(async () => {
  running = program === undefined ? undefined : await startPulp(program);
});

afterAll(async () => {
  await running?.stop();
});

/** No name there may begin with another one and a slash, and an index of layers is refused. */
function onPulp({ pushes, expectations }: Estate): Estate {
  const refused = new Set(
    pushes.flatMap(({ content }) => (listsLayers(content) ? [content.digest] : [])),
  );
  const named = <T extends { readonly repository: string }>(each: T): T => ({
    ...each,
    repository: `estate/${each.repository.replaceAll('/', '_')}`,
  });
  return {
    pushes: pushes.filter(({ content }) => !refused.has(content.digest)).map(named),
    expectations: expectations.filter(({ digest }) => !refused.has(digest)).map(named),
  };
}

/** Pushed by its digest alone, as referrers are, and taken in by no push of a tag: Pulp doesn't list it. */
const UNSEEN = 'estate/unseen';
const described = image('described and gone');
const report = referrer('report that nobody sees', described);
const current = image('current');
const unseen = `${UNSEEN}@${report.digest}`;

describeWith('pulp', program, 'an estate on Pulp', () => {
  const everything = onPulp(estate(Date.now()));
  const home = mkdtempSync(path.join(tmpdir(), 'pulp-estate-'));
  const backup = path.join(home, 'backup');
  let pulp: Pulp;
  let tags: Map<string, string>;

  const orphans = new Set([...going(everything), `${UNSEEN}@${described.digest}`]);
  const left = new Set([...staying(everything), `${UNSEEN}@${current.digest}`, unseen]);
  const all = new Set([...left, ...orphans]);

  beforeAll(async () => {
    pulp = thePulp();
    const to = { ...pulp, sent: new Set<string>() };
    // One after the other: Pulp refuses the push of a tag (429) that waits for two seconds.
    for (const { repository, content, tags: names } of everything.pushes) {
      await push(to, repository, content, ...names);
    }
    await push(pulp, UNSEEN, described, 'latest');
    await push(pulp, UNSEEN, current, 'latest');
    await pulp.settled();
    await adopt(pulp, ...new Set(everything.pushes.map((each) => each.repository)));
    await push(pulp, UNSEEN, report);
    tags = await pulp.tags();
  });

  afterAll(() => {
    rmSync(home, { recursive: true, force: true });
  });

  const clean = (inputs: Record<string, string> = {}): Promise<ActionRun> =>
    runAction({
      'registry-url': pulp.url,
      username: pulp.admin.username,
      password: pulp.admin.password,
      ...inputs,
    });

  // The tests of this block follow each other as the runs of a workflow do.
  it('is stored whole, and Pulp lists all but what was pushed by digest alone', async () => {
    expect(await pulp.manifests()).toEqual(all);
    const listed = await pulp.listed();
    expect([...all].filter((each) => !listed.has(each))).toEqual([unseen]);
  });

  it('loses nothing in a dry-run, which finds every orphan that can be seen', async () => {
    const run = await clean({ 'dry-run': 'true' });
    expectGreen(run, { 'orphans-found': String(orphans.size), 'deleted-count': '0' });
    await pulp.settled();
    expect(await pulp.manifests()).toEqual(all);
    expect(await pulp.tags()).toEqual(tags);
  });

  it('in-use-stays: is left with exactly what must be left, and the run says what it can not see', async () => {
    const run = await clean({ 'backup-dir': backup });
    await pulp.settled();
    expect(await pulp.manifests()).toEqual(left);
    expectGreen(run, { 'failed-count': '0', 'deleted-count': String(orphans.size) });
    expect(deletedIn(run)).toEqual(orphans);
    expect(run.report).toMatchObject({ visibility: { untaggedListing: 'without-digest-pushes' } });
    expect(run.report).not.toHaveProperty('ledger');
    expect(run.summary).toMatch(/but not those that were pushed by digest alone/);
  });

  it('has every tag that is left whole', async () => {
    const still = await pulp.tags();
    expect(still.size).toBeGreaterThan(20);
    for (const [name, digest] of still) {
      expect(tags.get(name)).toBe(digest);
      const cut = name.lastIndexOf(':');
      expect(await pullWhole(pulp, name.slice(0, cut), name.slice(cut + 1))).toEqual([]);
    }
  });

  describeWith('skopeo', skopeo, 'and skopeo', () => {
    it('pulls every tag of an image entirely', async () => {
      const login = `${pulp.admin.username}:${pulp.admin.password}`;
      const images = [...(await pulp.tags())].filter(([name]) =>
        /:(?:latest|v\d[.\d]*|stable|nightly|main|branch)$/.test(name),
      );
      expect(images.length).toBeGreaterThan(8);
      // Pulp takes ten seconds to refuse the TLS with which skopeo begins.
      const relay = await startRelay({ url: pulp.url });
      try {
        for (const [name, digest] of images) {
          const cut = name.lastIndexOf(':');
          const options = { repository: name.slice(0, cut), login };
          const { host } = new URL(relay.url);
          expect(await pull({ host }, name.slice(cut + 1), options)).toBe(digest);
        }
      } finally {
        await relay.stop();
      }
    });
  });

  it('second-run-empty: loses nothing in a second run', async () => {
    const run = await clean();
    expectGreen(run, { 'orphans-found': '0', 'deleted-count': '0' });
    await pulp.settled();
    expect(await pulp.manifests()).toEqual(left);
  });

  it('has every manifest and tag again after a run with restore-from', async () => {
    const run = await clean({ 'restore-from': backup });
    expectGreen(run, { 'restored-count': String(orphans.size) });
    await pulp.settled();
    expect(await pulp.manifests()).toEqual(all);
    expect(await pulp.tags()).toEqual(tags);
  });
});

describeWith('pulp', program, 'a run on Pulp that can not see an index', () => {
  const repository = 'hidden/app';
  const child = image('child of an index that stays');
  const parent = index([child]);
  const kept = image('kept beside it');
  let pulp: Pulp;

  beforeAll(async () => {
    pulp = thePulp();
    await push(pulp, repository, kept, 'latest');
    await push(pulp, repository, parent, 'gone');
    // The tag goes, and the index stays in Pulp's list; the relay below hides it.
    await ask(pulp, 'POST', `${await placeOf(pulp, repository)}untag/`, { tag: 'gone' });
    await pulp.settled();
  });

  it('in-use-stays, red-or-right: is red, and says that Pulp kept the child though it took the delete', async () => {
    const before = await pulp.manifests();
    const relay = await startRelay({ url: pulp.url });
    try {
      relay.intercept(({ path: asked }) =>
        asked.startsWith(API)
          ? { kind: 'rewrite', rewrite: (answer) => withoutManifest(answer, parent.digest) }
          : undefined,
      );
      const run = await runAction({
        'registry-url': relay.url,
        username: pulp.admin.username,
        password: pulp.admin.password,
        repositories: repository,
        'grace-period': '0',
        'max-deletes': '100%',
      });
      expect(run.exitCode).toBe(1);
      expect(run.outputs).toMatchObject({ 'deleted-count': '0', 'failed-count': '1' });
      for (const said of [run.log, run.summary]) {
        expect(said).toMatch(
          /Pulp said that it deleted .*the manifest is still there\. A tag or an index names it/,
        );
      }
      const after = await pulp.manifests();
      expect(after).toEqual(before);
      expect(within(after, repository)).toEqual(
        new Set([kept, parent, child].map(({ digest }) => digest)),
      );
    } finally {
      await relay.stop();
    }
  });
});

interface Body {
  count?: number;
  results?: { readonly digest?: string }[];
  content_summary?: { present?: { 'container.manifest'?: { count: number } } };
}

/** The API's answer as if this manifest were not in the repository. */
function withoutManifest(answer: Answer, digest: string): Answer {
  const body = JSON.parse(answer.body.toString('utf8')) as Body;
  const left = body.results?.filter((row) => row.digest !== digest);
  if (left !== undefined && left.length < (body.results?.length ?? 0)) {
    body.results = left;
    body.count = left.length;
  }
  const counted = body.content_summary?.present?.['container.manifest'];
  if (counted !== undefined) {
    counted.count -= 1;
  }
  return { ...answer, body: Buffer.from(JSON.stringify(body)) };
}
