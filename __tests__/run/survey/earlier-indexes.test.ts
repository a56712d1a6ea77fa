/** The lists of referrers that later ones have replaced, on a registry that can't list them. */
import { afterEach, describe, expect, it } from '@jest/globals';

import type { Knowledge } from '../../../src/run/survey-options.js';
import { parseDigest } from '../../../src/oci/digest.js';
import type { Plan } from '../../../src/plan/plan.js';
import type { Lister } from '../../../src/registry/registry.js';
import {
  APP,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  referrer,
  type Content,
} from '../../support/builders/build.js';
import { fate, fates, protecting, YOUNG } from '../../support/builders/inventories.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { remembered, startScene } from '../../support/scenes/survey.js';

afterEach(stopClients);

const app = image('app');
const TAG = digestTag(app.digest);

/** The falling order of digests is none that a client sorts by. */
const [sig, sbom, scan, later] = ['sig', 'sbom', 'scan', 'later']
  .map((name) => referrer(name, app))
  .sort((a, b) => (a.digest < b.digest ? 1 : -1)) as [Content, Content, Content, Content];
const first = fallbackIndex([sig]);
const second = fallbackIndex([sig, sbom]);
const third = fallbackIndex([sig, sbom, scan]);
const fourth = fallbackIndex([sig, sbom, scan, later]);

async function pushed(...indexes: readonly Content[]) {
  const scene = await startScene();
  scene.put(app, 'v1');
  indexes.forEach((each) => scene.put(each, TAG));
  return scene;
}

function orphansOf({ orphans }: Plan): Set<string> {
  return new Set(orphans.map(({ digest }) => digest));
}

/** A ledger of an earlier run that saw these, and also what no tag names any more. */
function known(contents: readonly Content[], deleted: readonly Content[] = []): Knowledge {
  const [now, before] = [remembered(contents), remembered(deleted, { status: 'deleted' })];
  return {
    manifests: new Map([...before.manifests, ...now.manifests]),
    past: new Map([...before.past, ...now.past]),
  };
}

describe('an index that a fallback tag pointed at before', () => {
  it('is found and deleted, with all before it, though nothing names it', async () => {
    const { registry, look } = await pushed(first, second, third);
    const { inventory, plan, bodies } = await look();
    expect(fates(plan, { first, second, third, sig, sbom, scan, app })).toEqual({
      first: 'delete: unreachable',
      second: 'delete: unreachable',
      third: 'keep: digest-tag',
      sig: 'keep: referrer',
      sbom: 'keep: referrer',
      scan: 'keep: referrer',
      app: 'keep: tagged',
    });
    expect(bodies.get(second.digest)).toBe(second.bytes.toString());
    expect(inventory.gaps).toEqual([]);
    // 2 tags, 3 referrers, 2 earlier indexes
    expect(tally(registry)).toMatchObject({ 'GET tags': 1, 'GET manifest': 7, 'HEAD blob': 2 });
  });

  it('is asked for once with one GET, and is not missing where it is not there', async () => {
    const { registry, look, progress } = await pushed(third);
    const { inventory, plan } = await look();
    expect(plan.orphans).toEqual([]);
    expect(inventory.absent).toEqual(new Set());
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 7 });
    expect(progress.finished).toBe(progress.expected);
  });

  it('is found after one that somebody else has deleted', async () => {
    const { app: state, look } = await pushed(first, second, third);
    state.manifests.delete(second.digest);
    expect(orphansOf((await look()).plan)).toEqual(new Set([first.digest]));
  });

  it('costs nothing as long as the tag stands where an earlier run saw it', async () => {
    const { registry, look } = await pushed(first, second, third);
    const { plan } = await look([], { known: remembered([app, third]) });
    expect(plan.orphans).toEqual([]);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'HEAD manifest': 2 });
  });

  it('is asked for only where the tag stands elsewhere, of several images', async () => {
    const { registry, put, look } = await pushed(first, second, third);
    const other = image('other');
    const [one, two] = ['one', 'two']
      .map((name) => referrer(name, other))
      .sort((a, b) => (a.digest < b.digest ? 1 : -1)) as [Content, Content];
    put(other, 'v2');
    [[one], [one, two]].forEach((each) => put(fallbackIndex(each), digestTag(other.digest)));
    put(cosign('sig', other), digestTag(other.digest, 'sig'));
    const { plan } = await look([], { known: remembered([app, other, third]) });
    expect(orphansOf(plan)).toEqual(new Set([fallbackIndex([one]).digest]));
    const paths = registry.requests.map(({ path }) => path);
    expect(paths.filter((path) => path.includes(second.digest))).toEqual([]);
  });

  it('is asked for as far as the index that an earlier run saw', async () => {
    const { registry, look } = await pushed(first, second, third, fourth);
    const { plan } = await look([], { known: known([app, second]) });
    expect(fates(plan, { first, second, third })).toEqual({
      first: 'unknown',
      second: 'delete: unreachable',
      third: 'delete: unreachable',
    });
    const paths = registry.requests.map(({ path }) => path);
    expect(paths.filter((path) => path.includes(first.digest))).toEqual([]);
  });

  it('is asked for again where it was deleted, and a client has brought it back', async () => {
    const { look } = await pushed(third, fourth);
    const { plan } = await look([], { known: known([app], [third]) });
    expect(fate(plan, third)).toBe('delete: unreachable');
    const gone = await pushed(fourth);
    const { inventory, plan: other } = await gone.look([], { known: known([app], [third]) });
    expect(other.orphans).toEqual([]);
    expect(inventory.gaps).toEqual([]);
  });

  it('stays if it has another tag, or is protected', async () => {
    const { put, look } = await pushed(first, second, third);
    put(second, 'pinned');
    const protection = protecting(`${APP}@${first.digest}`);
    const { plan } = await look([], { policy: { protection } });
    expect(fates(plan, { first, second })).toEqual({
      first: 'keep: protected',
      second: 'keep: tagged',
    });
  });

  it('stays as long as the image that it describes is young', async () => {
    const { put, look } = await startScene();
    const fresh = image('fresh', { created: YOUNG });
    const about = ['a', 'b']
      .map((name) => referrer(name, fresh))
      .sort((a, b) => (a.digest < b.digest ? 1 : -1));
    put(fresh, 'v1');
    [about.slice(0, 1), about].forEach((each) => put(fallbackIndex(each), digestTag(fresh.digest)));
    const earlier = fallbackIndex(about.slice(0, 1));
    expect(fate((await look()).plan, earlier)).toBe('keep: young');
    // Its push was complete if a run saw the image in use.
    expect(fate((await look([], { known: remembered([fresh]) })).plan, earlier)).toBe(
      'delete: unreachable',
    );
  });

  it('is not asked for where an ordinary tag has such a name', async () => {
    const { registry, put, look } = await startScene();
    put(fallbackIndex([image('b'), image('a')]), TAG);
    await look();
    // Whoever the tag names, its two children, and itself.
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET manifest': 4 });
  });

  it('is not asked for where the registry lists its manifests', async () => {
    const { registry, look, app: state } = await pushed(first, second, third);
    const lister: Lister = {
      manifests: async () =>
        new Map(
          [...state.manifests.keys()].map((digest) => {
            const tags = [...state.tags].filter(([, target]) => target === digest);
            return [parseDigest(digest), { tags: tags.map(([tag]) => tag) }];
          }),
        ),
    };
    state.manifests.delete(second.digest);
    const { plan } = await look([], { lister });
    expect(orphansOf(plan)).toEqual(new Set([first.digest]));
    const paths = registry.requests.map(({ path }) => path);
    expect(paths.filter((path) => path.includes(second.digest))).toEqual([]);
  });

  it('is a gap if it cannot be read', async () => {
    const { registry, look } = await pushed(first, second, third);
    registry.intercept(when(new RegExp(second.digest), errorAnswer(400, 'DENIED')));
    const { inventory, plan } = await look();
    expect(inventory.gaps.map(({ what }) => what)).toEqual([`manifest ${second.digest}`]);
    expect(plan.orphans).toEqual([]);
  });

  it('is read again by the recheck, and stays if a tag points at it by then', async () => {
    const { put, look } = await pushed(first, second, third);
    const before = await look();
    put(second, TAG);
    const { plan } = await look([first, second], { earlier: before.inventory });
    expect(fates(plan, { first, second, third })).toEqual({
      first: 'delete: unreachable',
      second: 'keep: digest-tag',
      third: 'unknown',
    });
  });
});
