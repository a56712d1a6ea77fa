import { afterEach, describe, expect, it } from '@jest/globals';

import {
  restoreRepository,
  type Restored,
  type RestoreOptions,
} from '../../src/run/restore-repository.js';
import type { SavedCopy } from '../../src/run/saved-copy.js';
import { undoAt } from '../../src/run/server-undo.js';
import { RegistryError } from '../../src/registry/registry-error.js';
import type { Restorer } from '../../src/registry/registry.js';
import { restored } from '../support/builders/restored.js';
import { image, index, type Content } from '../support/builders/build.js';
import { errorAnswer, stopClients, when } from '../support/clients/client.js';
import { undoOf, type Undo, type UndoOptions } from '../support/servers/memory/undo.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { APP, digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const child = image('child');
const sibling = image('sibling');
const inner = index([child]);
const outer = index([inner, sibling]);
const whole = [outer, inner, child, sibling];

const NOTHING = restored(APP);

interface Loss {
  readonly scene: Scene;
  readonly undo: Undo;
  readonly clock: ReturnType<typeof fakeClock>;
  readonly saved: (content: Content, ...tags: readonly string[]) => SavedCopy;
  readonly restore: (
    lost: readonly SavedCopy[],
    more?: Partial<RestoreOptions>,
    restorer?: Restorer,
  ) => Promise<Restored>;
  /** the same without a pusher */
  readonly look: (lost: readonly SavedCopy[], restorer?: Restorer) => Promise<Restored>;
}

/** A repository that has lost these manifests, with their tags and all blobs, at a registry that can restore them. */
async function lossOf(
  contents: readonly (readonly [Content, ...string[]])[],
  options?: UndoOptions,
): Promise<Loss> {
  const scene = await startScene();
  contents.forEach(([content, ...tags]) => {
    scene.put(content, ...tags);
  });
  const undo = undoOf(scene.registry, APP, options);
  scene.registry.intercept(undo.interceptor);
  scene.app.manifests.clear();
  scene.app.tags.clear();
  scene.app.blobs.clear();
  const clock = fakeClock({ auto: true });
  const { reader, pusher } = scene;
  const at = (restorer = undo.restorer) => undoAt(restorer, APP, clock);
  return {
    scene,
    undo,
    clock,
    saved: ({ digest, mediaType, bytes }, ...tags) => ({
      digest,
      mediaType,
      bytes,
      tags,
      id: undo.idOf(digest),
    }),
    restore: (lost, more, restorer) =>
      restoreRepository(APP, lost, {
        reader,
        pusher,
        concurrency: 4,
        undo: at(restorer),
        ...more,
      }),
    look: (lost, restorer) =>
      restoreRepository(APP, lost, { reader, concurrency: 4, undo: at(restorer) }),
  };
}

function requests({ registry }: Scene, method: string): string[] {
  return registry.requests.filter((each) => each.method === method).map(({ path }) => path);
}

/** Has a registry blobs again, as it may have for a push. */
function refill({ scene }: Loss, ...contents: readonly Content[]): void {
  contents.forEach((content) => {
    scene.put(content);
    scene.app.manifests.delete(content.digest);
  });
}

describe('a manifest with an id', () => {
  it('is restored by the registry itself, without a push and without a question about blobs', async () => {
    const { scene, restore, saved } = await lossOf([[child, 'v1']]);
    expect(await restore([saved(child, 'v1')])).toEqual({
      ...NOTHING,
      restored: [child.digest],
      byServer: [child.digest],
      tags: ['v1'],
    });
    expect(scene.app.manifests.get(child.digest)?.bytes).toEqual(child.bytes);
    expect(scene.app.tags.get('v1')).toBe(child.digest);
    expect(requests(scene, 'PUT')).toEqual([]);
    expect(scene.registry.requests.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });

  it('is restored after its entries and before the tags are read', async () => {
    const { undo, restore, saved } = await lossOf(whole.map((content) => [content]));
    const { byServer } = await restore(
      whole.map((content) => saved(content)),
      { concurrency: 16 },
    );
    expect(byServer).toEqual(digests(whole).sort());
    const at = ({ digest }: Content) => undo.asked.indexOf(digest);
    expect(undo.asked).toHaveLength(4);
    expect(at(child)).toBeLessThan(at(inner));
    expect(Math.max(at(inner), at(sibling))).toBeLessThan(at(outer));
  });

  it('is not restored without its entries, though the registry would do it', async () => {
    const loss = await lossOf([[inner], [child]], { refuses: (digest) => digest === child.digest });
    const { undo, restore, saved } = loss;
    expect(await restore([saved(inner), saved(child)])).toMatchObject({
      restored: [],
      failed: expect.arrayContaining([
        { digest: inner.digest, why: `${child.digest}, which it lists, could not be restored` },
      ]),
    });
    expect(await restore([saved(inner)])).toMatchObject({
      restored: [],
      failed: [{ digest: inner.digest, why: expect.stringContaining('neither there nor in') }],
    });
    expect(undo.asked).toEqual([child.digest]);
  });

  it('is left alone where it stands', async () => {
    const { scene, undo, restore, saved } = await lossOf([[child]]);
    scene.put(child);
    expect(await restore([saved(child)])).toEqual({ ...NOTHING, standing: [child.digest] });
    expect(undo.asked).toEqual([]);
  });

  it('is pushed where the registry has no undo, and so is one without an id', async () => {
    const loss = await lossOf([[child], [sibling]]);
    refill(loss, child, sibling);
    const { id: _, ...without } = loss.saved(sibling);
    const byPush = { ...NOTHING, restored: [child.digest] };
    expect(await loss.restore([loss.saved(child)], { undo: undefined })).toEqual(byPush);
    expect(await loss.restore([without])).toEqual({ ...NOTHING, restored: [sibling.digest] });
    expect(loss.undo.asked).toEqual([]);
  });
});

describe('a manifest that the registry does not restore by itself', () => {
  it('is pushed', async () => {
    const loss = await lossOf([[inner, 'v1'], [child]], { refuses: () => true });
    refill(loss, child);
    const { saved, restore, undo, scene, clock } = loss;
    expect(await restore([saved(inner, 'v1'), saved(child)])).toEqual({
      ...NOTHING,
      restored: digests([inner, child]).sort(),
      tags: ['v1'],
    });
    expect(undo.asked).toEqual(digests([child, inner]));
    expect(scene.app.tags.get('v1')).toBe(inner.digest);
    expect(clock.slept).toEqual([]);
  });

  it('is named with both reasons if its blobs are gone, too', async () => {
    const { scene, saved, restore } = await lossOf([[child]], { refuses: () => true });
    expect(await restore([saved(child, 'v1')])).toEqual({
      ...NOTHING,
      failed: [
        {
          digest: child.digest,
          why: expect.stringMatching(
            /^the registry refused to restore version 45000: its time is over.*\. It can't be pushed either: the registry no longer has what it consists of \(/,
          ),
        },
      ],
      failedTags: [{ tag: 'v1', why: `${child.digest} could not be restored` }],
    });
    expect(requests(scene, 'PUT')).toEqual([]);
  });

  it('is named with both reasons if the push is refused, too', async () => {
    const loss = await lossOf([[child]], { refuses: () => true });
    refill(loss, child);
    loss.scene.registry.intercept(when(/^PUT/, errorAnswer(403, 'DENIED')));
    const { failed } = await loss.restore([loss.saved(child)]);
    expect(failed).toEqual([
      {
        digest: child.digest,
        why: expect.stringMatching(
          /its time is over.*It can't be pushed either: .*push team\/app@/,
        ),
      },
    ]);
  });

  it('is restored if the refusal was wrong, and it is there', async () => {
    const { saved, restore, scene } = await lossOf([[child]], { loses: () => true });
    const { byServer, failed } = await restore([saved(child)]);
    expect([byServer, failed]).toEqual([[child.digest], []]);
    expect(requests(scene, 'PUT')).toEqual([]);
  });

  it('lets faults of this program be thrown', async () => {
    const { undo, saved, restore, look, scene } = await lossOf([[child]]);
    const fault = () => Promise.reject(new TypeError('ours'));
    const lost = [saved(child)];
    const broken = { ...undo.restorer, restore: fault, isRestorable: fault };
    await expect(restore(lost, {}, broken)).rejects.toThrow(TypeError);
    await expect(look(lost, broken)).rejects.toThrow(TypeError);
    let reads = 0;
    const manifest: typeof scene.reader.manifest = (...about) => {
      reads += 1;
      return reads > 1 ? fault() : scene.reader.manifest(...about);
    };
    await expect(restore(lost, { reader: { ...scene.reader, manifest } })).rejects.toThrow(
      TypeError,
    );
  });
});

describe('a manifest that is not there right after its restore', () => {
  it('is read again after a pause, and not pushed', async () => {
    const { scene, saved, restore, clock } = await lossOf([[child, 'v1']], { lag: 3 });
    expect(await restore([saved(child, 'v1')])).toMatchObject({
      byServer: [child.digest],
      tags: ['v1'],
    });
    expect(clock.slept).toEqual([1000, 1000, 1000]);
    expect(requests(scene, 'PUT')).toEqual([]);
  });

  it('is read again if a read fails', async () => {
    const { scene, saved, restore, clock, undo } = await lossOf([[child]]);
    let reads = 0;
    scene.registry.intercept(({ method }) => {
      reads += method === 'GET' && undo.asked.length > 0 ? 1 : 0;
      return reads === 1 ? errorAnswer(403, 'DENIED') : undefined;
    });
    expect(await restore([saved(child)])).toMatchObject({ byServer: [child.digest] });
    expect(clock.slept).toEqual([1000]);
  });

  it('is pushed when it has not come after a few reads', async () => {
    const loss = await lossOf([[child]], { lag: Infinity });
    refill(loss, child);
    expect(await loss.restore([loss.saved(child)])).toEqual({
      ...NOTHING,
      restored: [child.digest],
    });
    expect(loss.clock.slept).toHaveLength(4);
    expect(requests(loss.scene, 'PUT')).toEqual([`/v2/${APP}/manifests/${child.digest}`]);
  });

  it('is named with both reasons if it can not be pushed', async () => {
    const { saved, restore } = await lossOf([[child]], { lag: Infinity });
    const { failed } = await restore([saved(child)]);
    expect(failed[0]?.why).toMatch(
      /^the registry took the restore, and the manifest could not be read after it\. It can't be pushed either: /,
    );
  });
});

describe('a tag of a manifest that the registry restored by itself', () => {
  it('is pushed if it did not come back with it', async () => {
    const { scene, saved, restore } = await lossOf([[child, 'v1']], { withTags: false });
    expect(await restore([saved(child, 'v1')])).toMatchObject({
      byServer: [child.digest],
      tags: ['v1'],
    });
    expect(scene.app.tags.get('v1')).toBe(child.digest);
    expect(requests(scene, 'PUT')).toEqual([`/v2/${APP}/manifests/v1`]);
  });

  it('is left where it is if it names something else now', async () => {
    const { scene, saved, restore } = await lossOf([[child, 'v1']]);
    scene.put(sibling, 'v1');
    expect(await restore([saved(child, 'v1')])).toMatchObject({
      byServer: [child.digest],
      failedTags: [{ tag: 'v1', why: `it names ${sibling.digest} now, and was left there` }],
    });
    expect(scene.app.tags.get('v1')).toBe(sibling.digest);
  });

  it('is left alone if the backup does not have it', async () => {
    const { scene, saved, restore } = await lossOf([[child, 'v1', 'other']]);
    const { tags, failedTags } = await restore([saved(child, 'v1')]);
    expect([tags, failedTags]).toEqual([['v1'], []]);
    expect(scene.app.tags).toEqual(
      new Map([
        ['v1', child.digest],
        ['other', child.digest],
      ]),
    );
    expect(requests(scene, 'PUT')).toEqual([]);
  });

  it('is left alone if it once named the manifest, and came back with it', async () => {
    const { scene, saved, restore } = await lossOf([[child, 'v1']]);
    const { failedTags } = await restore([{ ...saved(child), formerTags: ['v1', 'v0'] }]);
    expect(failedTags).toEqual([]);
    expect(scene.app.tags).toEqual(
      new Map([
        ['v0', child.digest],
        ['v1', child.digest],
      ]),
    );
    expect(requests(scene, 'PUT')).toEqual([`/v2/${APP}/manifests/v0`]);
  });
});

describe('a dry-run at a registry that restores by itself', () => {
  it('promises what the registry says that it can restore, without a question about blobs', async () => {
    const { scene, saved, look, undo } = await lossOf(whole.map((content) => [content]));
    expect(await look(whole.map((content) => saved(content)))).toEqual({
      ...NOTHING,
      restored: digests(whole).sort(),
      byServer: digests(whole).sort(),
    });
    expect(undo.asked).toEqual([]);
    expect(scene.app.manifests.size).toBe(0);
    const { requests: sent } = scene.registry;
    expect(new Set(sent.map(({ method }) => method))).toEqual(new Set(['GET', 'HEAD']));
    expect(sent.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });

  it('promises no more than a push can do for what the registry does not list', async () => {
    const loss = await lossOf([[child], [sibling]], { refuses: () => true });
    refill(loss, child);
    expect(await loss.look([loss.saved(child), loss.saved(sibling)])).toEqual({
      ...NOTHING,
      restored: [child.digest],
      failed: [
        {
          digest: sibling.digest,
          why: expect.stringMatching(
            /^the registry's own restore doesn't offer it any more\. It can't be pushed either: the registry no longer has/,
          ),
        },
      ],
    });
  });

  it('promises no more than a push can do if the list can not be read', async () => {
    const loss = await lossOf([[child], [sibling]]);
    refill(loss, child);
    const isRestorable = () => Promise.reject(new RegistryError('forbidden', 'no list for you'));
    const lost = [loss.saved(child), loss.saved(sibling)];
    expect(await loss.look(lost, { ...loss.undo.restorer, isRestorable })).toEqual({
      ...NOTHING,
      restored: [child.digest],
      failed: [
        {
          digest: sibling.digest,
          why: expect.stringMatching(
            /^no list for you.*It can't be pushed either: the registry no/,
          ),
        },
      ],
    });
  });

  it('reports the tags that would be set, and those that would be left', async () => {
    const { scene, saved, look } = await lossOf([[child]]);
    scene.put(sibling, 'v2');
    expect(await look([saved(child, 'v1', 'v2')])).toMatchObject({
      tags: ['v1'],
      failedTags: [{ tag: 'v2' }],
    });
  });
});
