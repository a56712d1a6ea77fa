import { afterEach, describe, expect, it } from '@jest/globals';

import type { Inventory } from '../../src/plan/inventory.js';
import { verifyRepository, type VerifyOptions } from '../../src/run/verify.js';
import { RequestFailure } from '../../src/http/message.js';
import { NotSent } from '../../src/http/stop.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import type { Reader } from '../../src/registry/registry.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { setTag } from '../support/servers/memory/state.js';
import { errorAnswer, jsonAnswer, stopClients, tally, when } from '../support/clients/client.js';
import { parsed } from '../support/builders/inventories.js';
import { APP, childGone, digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const child = image('child');
const old = image('old');

function optionsFor(reader: Reader, more: Partial<VerifyOptions> = {}): VerifyOptions {
  return {
    reader,
    concurrency: 4,
    clock: fakeClock({ auto: true }),
    stop: new AbortController().signal,
    ...more,
  };
}

/** Looks, lets something happen that stands for a sweep, and verifies. */
async function verify(
  scene: Scene,
  deleted: readonly Content[] = [],
  sweep: () => void = () => undefined,
  reader: Partial<Scene['reader']> = {},
) {
  const { inventory } = await scene.look();
  scene.registry.requests.length = 0;
  sweep();
  const { broken } = await verifyRepository(
    inventory,
    new Set(digests(deleted)),
    optionsFor({ ...scene.reader, ...reader }),
  );
  return broken;
}

const signatureTag = ({ digest }: Content) => `${digest.replace(':', '-')}.sig`;

const BROKEN_TAG = 'its manifest is gone';

describe('verifyRepository', () => {
  it('reports nothing if everything resolves, at a GET for each tag and a HEAD for each child', async () => {
    const scene = await startScene();
    scene.put(index([index([child]), current]), 'v1', 'latest');
    scene.put(current, 'v2');
    expect(await verify(scene)).toEqual([]);
    // 3 tags, and the 3 children
    expect(tally(scene.registry)).toEqual({
      'GET tags': 1,
      'GET manifest': 3,
      'HEAD manifest': 3,
    });
  });

  it('asks for a child that several indexes share once', async () => {
    const scene = await startScene();
    scene.put(index([child]), 'v1');
    scene.put(index([child, current]), 'v2');
    await verify(scene);
    const paths = scene.registry.requests.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
  });

  it.each([
    ['vanished with its manifest', true],
    ['is still listed', false],
  ])('reports a kept tag that %s', async (_, untag) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old, 'v2');
    const broken = await verify(scene, [], () => {
      scene.app.manifests.delete(current.digest);
      if (untag) {
        scene.app.tags.delete('v1');
      }
    });
    expect(broken).toEqual([{ what: 'tag v1', why: BROKEN_TAG }]);
  });

  it.each([
    ['goes with the image that it names', true, true, []],
    ['goes alone', false, true, [{ what: `tag ${signatureTag(old)}`, why: BROKEN_TAG }]],
    ['goes with the image and leaves its tag behind', true, false, []],
    [
      'goes alone and leaves its tag behind',
      false,
      false,
      [{ what: `tag ${signatureTag(old)}`, why: BROKEN_TAG }],
    ],
  ])('lets another run delete a signature: it %s', async (_, image, untag, expected) => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old, 'v2');
    scene.put(child, signatureTag(old));
    const broken = await verify(scene, image ? [old] : [], () => {
      scene.app.manifests.delete(child.digest);
      if (image) {
        scene.app.manifests.delete(old.digest);
        scene.app.tags.delete('v2');
      }
      if (untag) {
        scene.app.tags.delete(signatureTag(old));
      }
    });
    expect(broken).toEqual(expected);
  });

  it('reports a child that vanished, at any depth', async () => {
    const scene = await startScene();
    const inner = index([child]);
    const outer = index([inner, current]);
    scene.put(outer, 'v1');
    const broken = await verify(scene, [], () => {
      scene.app.manifests.delete(child.digest);
      scene.app.manifests.delete(current.digest);
    });
    expect(new Set(broken)).toEqual(
      new Set([
        { what: `manifest ${child.digest}`, why: childGone(inner) },
        { what: `manifest ${current.digest}`, why: childGone(outer, 'v1') },
      ]),
    );
    expect(broken.map(({ what }) => what)).toEqual(broken.map(({ what }) => what).sort());
  });

  it('says nothing about a child whose indexes another run deletes', async () => {
    const scene = await startScene();
    const [one, two] = [index([child, current]), index([child, old])];
    scene.put(one, 'v1');
    scene.put(two, 'v2');
    scene.put(current, 'v3');
    const { inventory } = await scene.look();
    // The tags resolve, and then the other run comes.
    scene.registry.intercept(
      when(new RegExp(`HEAD .*${child.digest}`), () => {
        for (const { digest } of [one, two, child]) {
          scene.app.manifests.delete(digest);
        }
        return undefined;
      }),
    );
    const options = optionsFor(scene.reader, { concurrency: 1 });
    const { broken } = await verifyRepository(inventory, new Set(), options);
    expect(broken).toEqual([]);
  });

  it('follows a tag that moved to what it points at now', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const broken = await verify(scene, [old], () => {
      scene.put(index([old, child]), 'v1');
      scene.app.manifests.delete(old.digest);
    });
    const why = childGone(index([old, child]), 'v1');
    expect(broken).toEqual([{ what: `manifest ${old.digest}`, why }]);
  });

  it('checks a new tag, too', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const broken = await verify(scene, [old], () => {
      scene.put(index([index([old])]), 'new');
      scene.app.manifests.delete(old.digest);
    });
    expect(broken).toEqual([{ what: `manifest ${old.digest}`, why: childGone(index([old])) }]);
  });

  it('reads the children of children that a push brought', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    expect(
      await verify(scene, [], () => {
        scene.put(index([index([old])]), 'v1');
      }),
    ).toEqual([]);
    expect(tally(scene.registry)['GET manifest']).toBe(3);
  });

  it('reports a new tag on a deleted manifest', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const broken = await verify(scene, [old], () => {
      setTag(scene.app, 'late', old.digest);
    });
    expect(broken).toMatchObject([{ what: 'tag late' }]);
  });

  it('does not ask for the tags of deleted manifests that went with them', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old, 'sha256-x.sig');
    const broken = await verify(scene, [old], () => {
      scene.app.manifests.delete(old.digest);
      scene.app.tags.delete('sha256-x.sig');
    });
    expect(broken).toEqual([]);
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
  });

  it('says nothing about tags of deleted manifests that a registry leaves behind', async () => {
    const scene = await startScene();
    scene.put(old, 'sha256-x.sig');
    expect(
      await verify(scene, [old], () => {
        scene.app.manifests.delete(old.digest);
      }),
    ).toEqual([]);
  });

  it('does not blame the sweep for tags and children that were broken before', async () => {
    const scene = await startScene();
    scene.put(index([child, current]), 'v1');
    setTag(scene.app, 'v0', image('lost').digest);
    scene.app.manifests.delete(child.digest);
    expect(await verify(scene)).toEqual([]);
  });

  it.each([
    ['a tag', /HEAD|GET .*manifests\/v1$/, 'tag v1'],
    ['a child', new RegExp(`manifests/${child.digest}$`), `manifest ${child.digest}`],
    ['the list of tags', /tags\/list/, 'the list of tags'],
  ])('reports a failed read: %s', async (_, pattern, what) => {
    const scene = await startScene();
    scene.put(index([child]), 'v1');
    const broken = await verify(scene, [], () => {
      scene.registry.intercept(when(pattern, errorAnswer(403, 'DENIED')));
    });
    expect(broken).toEqual([
      { what, why: expect.stringMatching(/^could not be read again: .*403/) },
    ]);
  });

  it('checks the kept tags even when their list can not be read', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const broken = await verify(scene, [], () => {
      scene.app.manifests.delete(current.digest);
      scene.registry.intercept(when(/tags\/list/, { kind: 'reset' }));
    });
    expect(broken).toMatchObject([
      { what: 'tag v1', why: BROKEN_TAG },
      { what: 'the list of tags' },
    ]);
  });

  it('reads whole where HEAD names no digest', async () => {
    const scene = await startScene({ digestHeader: false });
    scene.put(index([child]), 'v1');
    expect(await verify(scene)).toEqual([]);
    expect(tally(scene.registry)).toEqual({
      'GET tags': 1,
      'HEAD manifest': 2,
      'GET manifest': 2,
    });
  });

  it('verifies more children than a call can have arguments', async () => {
    // As a registry of that size would answer, which takes too long to fill.
    const digestOfNumber = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
    const PER_INDEX = 2_000;
    const tags = new Map<string, Digest>();
    const manifests = new Map<Digest, Manifest>();
    for (let n = 0; n < 75; n += 1) {
      const digest = digestOfNumber(n);
      const children = Array.from({ length: PER_INDEX }, (_, m) => ({
        mediaType: current.mediaType,
        digest: digestOfNumber(1_000_000 + n * PER_INDEX + m),
        size: 1,
      }));
      tags.set(`v${String(n)}`, digest);
      manifests.set(digest, {
        kind: 'index',
        digest,
        mediaType: index([]).mediaType,
        size: 1,
        children,
        others: [],
      });
      for (const child of children) {
        manifests.set(child.digest, { ...parsed(current), digest: child.digest });
      }
    }
    const scene = await startScene();
    const { inventory } = await scene.look();
    const reader: Reader = {
      ...scene.reader,
      tags: async () => [...tags.keys()],
      resolve: async (_, digest) => digest as Digest,
      manifest: async (_, tag) => {
        const manifest = manifests.get(tags.get(tag) ?? digestOfNumber(0));
        return manifest === undefined ? { kind: 'absent' } : { kind: 'found', manifest, body: '' };
      },
    };
    const verified = await verifyRepository(
      { ...inventory, tags, manifests },
      new Set(),
      optionsFor(reader),
    );
    expect(verified).toEqual({
      broken: [],
      missing: [],
      asked: { tags: 75, children: 150_000 },
      tags,
      isComplete: true,
    });
  });

  it('sends GET and HEAD only', async () => {
    const scene = await startScene();
    scene.put(index([child]), 'v1');
    await verify(scene);
    expect(new Set(scene.registry.requests.map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
  });

  it('throws faults of this program', async () => {
    const scene = await startScene();
    const tags = () => Promise.reject(new TypeError('ours'));
    await expect(verify(scene, [], undefined, { tags })).rejects.toThrow(TypeError);
  });

  it('does not trip over a kept tag whose manifest the inventory lacks', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const { inventory } = await scene.look();
    const thin: Inventory = { ...inventory, manifests: new Map() };
    expect(await verifyRepository(thin, new Set(), optionsFor(scene.reader))).toEqual({
      broken: [],
      missing: [],
      asked: { tags: 1, children: 0 },
      tags: inventory.tags,
      isComplete: true,
    });
  });
});

describe('a missing manifest', () => {
  it('is that of a kept tag, or a child of a kept index, and none that was not there', async () => {
    const scene = await startScene();
    const lost = image('lost before');
    scene.put(current, 'v1');
    scene.put(index([child, lost]), 'v2');
    scene.app.manifests.delete(lost.digest);
    setTag(scene.app, 'v0', lost.digest);
    const { inventory } = await scene.look();
    scene.put(index([old, lost]), 'new');
    [current, child, old].forEach(({ digest }) => scene.app.manifests.delete(digest));
    const found = await verifyRepository(inventory, new Set(), optionsFor(scene.reader));
    expect(new Set(found.missing)).toEqual(new Set(digests([current, child, old])));
    expect(found.broken.map(({ what }) => what)).toEqual(
      [`tag v1`, ...digests([child, old]).map((digest) => `manifest ${digest}`)].sort(),
    );
  });

  it('is not reported for a new tag, since nobody knows what it named', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const { inventory } = await scene.look();
    setTag(scene.app, 'late', old.digest);
    const found = await verifyRepository(inventory, new Set(), optionsFor(scene.reader));
    expect(found).toMatchObject({ broken: [{ what: 'tag late' }], missing: [] });
  });
});

describe('a tag that is listed before it can be read', () => {
  const READ = /^GET .*manifests\/late$/;

  async function pushing(after: number) {
    const scene = await startScene();
    scene.put(current, 'v1');
    const { inventory } = await scene.look();
    setTag(scene.app, 'late', old.digest);
    let asked = 0;
    scene.registry.intercept(
      when(READ, () => {
        asked += 1;
        if (asked === after) {
          scene.put(old);
        }
        return undefined;
      }),
    );
    const clock = fakeClock({ auto: true });
    const { broken } = await verifyRepository(
      inventory,
      new Set(),
      optionsFor(scene.reader, { clock }),
    );
    return { broken, asked, slept: clock.slept };
  }

  it.each([2, 4])('is read again until it is there: read %i', async (look) => {
    expect(await pushing(look)).toEqual({
      broken: [],
      asked: look,
      slept: Array.from({ length: look - 1 }, () => 500),
    });
  });

  it('is broken if it can never be read', async () => {
    expect(await pushing(5)).toEqual({
      broken: [{ what: 'tag late', why: BROKEN_TAG }],
      asked: 4,
      slept: [500, 500, 500],
    });
  });
});

describe('a run that is stopped while it verifies', () => {
  it.each<[string, () => Error]>([
    ['a read is not sent any more', () => new NotSent('not sent: the run was told to stop')],
    [
      'a read gets no answer soon enough',
      () => new RequestFailure('no answer soon enough', 'registry-unreachable'),
    ],
  ])('finds nothing broken, and says that it is not done: %s', async (_, failure) => {
    const scene = await startScene();
    scene.put(index([child]), 'v1');
    scene.put(current, 'v2');
    const { inventory } = await scene.look();
    const stop = new AbortController();
    const resolve: Reader['resolve'] = () => {
      stop.abort('SIGTERM');
      return Promise.reject(failure());
    };
    const found = await verifyRepository(
      inventory,
      new Set(),
      optionsFor({ ...scene.reader, resolve }, { stop: stop.signal }),
    );
    expect(found).toMatchObject({ broken: [], missing: [], isComplete: false });
  });

  it('still reports what it saw before', async () => {
    const scene = await startScene();
    scene.put(index([child]), 'v1');
    const { inventory } = await scene.look();
    scene.app.manifests.delete(child.digest);
    const stop = new AbortController();
    stop.abort('SIGTERM');
    const found = await verifyRepository(
      inventory,
      new Set(),
      optionsFor(scene.reader, { stop: stop.signal }),
    );
    expect(found).toMatchObject({ missing: [child.digest], isComplete: true });
  });
});

describe('a tag that was listed before and is not any more', () => {
  const tag = digestTag(old.digest, 'sig');
  const sig = cosign('sig', old);

  /** A list that leaves out this tag from the first look after the sweep on, so many times. */
  async function leftOut(name: string, content: Content, times = 100) {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(content, name);
    const { inventory } = await scene.look();
    let listed = 0;
    scene.registry.intercept(
      when(/tags\/list/, () => {
        listed += 1;
        return listed > times ? undefined : jsonAnswer({ name: APP, tags: ['v1'] });
      }),
    );
    const clock = fakeClock({ auto: true });
    const options = optionsFor(scene.reader, { clock });
    return { scene, clock, look: () => verifyRepository(inventory, new Set(), options) };
  }

  it('is a problem, though it still resolves by its name, as from a cache', async () => {
    const { look, clock } = await leftOut('latest', child);
    expect(await look()).toMatchObject({
      broken: [{ what: 'tag latest', why: expect.stringContaining('not in the list of tags') }],
      missing: [child.digest],
    });
    expect(clock.slept).toEqual([500, 500, 500]);
  });

  it.each([1, 3])('is no problem if the list had only lagged: %i', async (times) => {
    const { look } = await leftOut('latest', child, times);
    expect(await look()).toMatchObject({ broken: [], missing: [], isComplete: true });
  });

  it('is no problem if it described a manifest that another run has deleted', async () => {
    const { look } = await leftOut(tag, sig);
    expect(await look()).toMatchObject({ broken: [], missing: [] });
  });

  it('is a problem if it describes a kept manifest', async () => {
    const { scene, look } = await leftOut(tag, sig);
    scene.put(old, 'kept');
    expect(await look()).toMatchObject({ broken: [{ what: `tag ${tag}` }] });
  });
});
