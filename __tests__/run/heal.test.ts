import { afterEach, describe, expect, it } from '@jest/globals';

import { heal, type HealOptions } from '../../src/run/heal.js';
import { OCI_INDEX } from '../../src/oci/media-types.js';
import type { Reader } from '../../src/registry/registry.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import {
  cosign,
  digestTag,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { setTag } from '../support/servers/memory/state.js';
import { undoOf, type UndoOptions } from '../support/servers/memory/undo.js';
import { errorAnswer, stopClients, tally, when } from '../support/clients/client.js';
import { APP, childGone, digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const current = image('current');
const old = image('old');
const NOTHING = { restored: [], broken: [], unverified: false };

interface Story {
  /** there before the sweep, which deletes them: each with its tags */
  readonly condemned: readonly (readonly [Content, ...string[]])[];
  /** comes while they are deleted: what it holds of them is there at first */
  readonly push: (scene: Scene) => void;
  readonly before?: (scene: Scene) => void;
  readonly options?: Partial<HealOptions>;
  /** of the condemned, what the sweep did not save */
  readonly unsaved?: readonly Content[];
  /** of the condemned, what the sweep saw in use again */
  readonly back?: readonly Content[];
  /** the registry can restore by itself what is deleted */
  readonly undo?: UndoOptions;
  /** called when all is deleted, right before `heal` */
  readonly then?: (scene: Scene) => void;
}

/** A repository with one tagged image, from which a sweep has deleted what a push began to use. */
async function healAfter(story: Story) {
  const { condemned, before, push, options = {}, unsaved = [], then } = story;
  const back = new Set(digests(story.back ?? []));
  const scene = await startScene();
  scene.put(current, 'v1');
  condemned.forEach(([content, ...tags]) => {
    scene.put(content, ...tags);
  });
  before?.(scene);
  const { inventory } = await scene.look(condemned.map(([content]) => content));
  const undo = story.undo && undoOf(scene.registry, APP, story.undo);
  push(scene);
  const gone = new Set(digests(condemned.map(([content]) => content)));
  for (const digest of gone) {
    scene.app.manifests.delete(digest);
  }
  for (const [tag, digest] of inventory.tags) {
    if (gone.has(digest) && scene.app.tags.get(tag) === digest) {
      scene.app.tags.delete(tag);
    }
  }
  const lost = condemned
    .filter(([content]) => !unsaved.includes(content))
    .map(([{ digest, mediaType, bytes }, ...tags]) => {
      const id = undo?.idOf(digest);
      return { digest, mediaType, bytes, tags, id };
    });
  scene.registry.requests.length = 0;
  then?.(scene);
  const { reader, pusher } = scene;
  const { tags, verified, ...proof } = await heal(
    { inventory, tried: gone, usedAgain: back, lost },
    {
      reader,
      pusher,
      concurrency: 4,
      clock: fakeClock({ auto: true }),
      stop: new AbortController().signal,
      restorer: undo?.restorer,
      ...options,
    },
  );
  return { scene, proof, tags, verified };
}

/** As a push leaves it that found the children there: only the index, and its tag. */
function over(children: readonly Content[], tag = 'late') {
  const { digest, mediaType, bytes } = index(children);
  return ({ app }: Scene) => {
    app.manifests.set(digest, { mediaType, bytes });
    setTag(app, tag, digest);
  };
}

describe('push-heals: a manifest that a push began to use while it was deleted', () => {
  it('is restored with the same bytes, and verified', async () => {
    const other = image('other');
    const { scene, proof, verified } = await healAfter({
      condemned: [[old], [other]],
      push: over([old]),
    });
    // Its own tag and that of the push, and the child of the index.
    expect(verified).toEqual({ tags: 2, children: 1 });
    expect(proof).toEqual({ ...NOTHING, restored: [old.digest] });
    expect(scene.app.manifests.get(old.digest)).toEqual({
      mediaType: old.mediaType,
      bytes: old.bytes,
    });
    // What nobody uses stays away.
    expect(scene.app.manifests.has(other.digest)).toBe(false);
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 2, 'PUT manifest': 1 });
  });

  it('is restored by the registry itself, though its layers are gone', async () => {
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      undo: {},
      then: ({ app }) => {
        app.blobs.clear();
      },
    });
    expect(proof).toEqual({ ...NOTHING, restored: [old.digest] });
    expect(scene.app.manifests.get(old.digest)?.bytes).toEqual(old.bytes);
    expect(tally(scene.registry)).toEqual(expect.not.objectContaining({ 'PUT manifest': 1 }));
  });

  it('is pushed if the registry does not restore it by itself', async () => {
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      undo: { refuses: () => true },
    });
    expect(proof).toEqual({ ...NOTHING, restored: [old.digest] });
    expect(tally(scene.registry)).toMatchObject({ 'PUT manifest': 1 });
  });

  it('is restored with its nested children, its signatures, and their referrers', async () => {
    const inner = index([old]);
    const sig = cosign('sig', inner);
    const sbom = referrer('sbom', old);
    const about = referrer('signature', sbom);
    const others = [image('other'), cosign('sig', image('other'))] as const;
    const tag = digestTag(inner.digest, 'sig');
    const { scene, proof } = await healAfter({
      condemned: [
        [inner],
        [old],
        [sig, tag],
        [sbom],
        [about],
        [others[0]],
        [others[1], digestTag(others[0].digest, 'sig')],
      ],
      push: over([inner]),
    });
    const back = [inner, old, sig, sbom, about];
    expect(new Set(proof.restored)).toEqual(new Set(digests(back)));
    expect(proof).toMatchObject({ broken: [], unverified: false });
    expect(scene.app.tags.get(tag)).toBe(sig.digest);
    for (const { digest, bytes } of back) {
      expect(scene.app.manifests.get(digest)?.bytes).toEqual(bytes);
    }
    digests(others).forEach((digest) => {
      expect(scene.app.manifests.has(digest)).toBe(false);
    });
  });

  it('is restored also if it is deep in the pushed index', async () => {
    const inner = index([old]);
    const { proof } = await healAfter({
      condemned: [[old]],
      push: (scene) => {
        const { digest, mediaType, bytes } = inner;
        scene.app.manifests.set(digest, { mediaType, bytes });
        over([inner])(scene);
      },
    });
    expect(proof).toEqual({ ...NOTHING, restored: [old.digest] });
  });

  it('is followed by those that only the second verify misses', async () => {
    const two = image('two');
    const { scene, proof } = await healAfter({
      condemned: [[old], [two]],
      push: over([old]),
      then: (scene) => {
        scene.registry.intercept(
          when(`PUT /v2/${APP}/manifests/${old.digest}`, () => {
            over([two], 'later')(scene);
            return undefined;
          }),
        );
      },
    });
    expect(proof).toEqual({ ...NOTHING, restored: [old.digest, two.digest] });
    expect(tally(scene.registry)['GET tags']).toBe(3);
  });

  it('is restored in three rounds at most', async () => {
    const chain = Array.from({ length: 6 }, (_, n) => image(`image ${String(n)}`));
    const { scene, proof } = await healAfter({
      condemned: chain.map((each) => [each]),
      push: over(chain.slice(0, 1)),
      then: (scene) => {
        scene.registry.intercept(
          when(/^PUT/, ({ path }) => {
            const n = chain.findIndex(({ digest }) => path.endsWith(digest));
            over(chain.slice(n + 1, n + 2), `late-${String(n)}`)(scene);
            return undefined;
          }),
        );
      },
    });
    const [, , , fourth = old] = chain;
    expect(proof).toEqual({
      restored: digests(chain.slice(0, 3)),
      broken: [{ what: `manifest ${fourth.digest}`, why: childGone(index([fourth]), 'late-2') }],
      unverified: false,
    });
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 4, 'PUT manifest': 3 });
  });

  it('is neither restored nor reported if it was pushed again in the meantime', async () => {
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      then: (scene) => {
        let isMissed = false;
        scene.registry.intercept(
          when(`HEAD /v2/${APP}/manifests/${old.digest}`, () => {
            if (isMissed) {
              scene.put(old);
            }
            isMissed = true;
            return undefined;
          }),
        );
      },
    });
    expect(proof).toEqual(NOTHING);
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });
});

describe('a sweep in which nothing came into use', () => {
  it('needs one verify, and nothing is pushed', async () => {
    const { scene, proof } = await healAfter({ condemned: [[old]], push: () => undefined });
    expect(proof).toEqual(NOTHING);
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET manifest': 1 });
  });

  it('reports a tag that broke otherwise, and does not restore it', async () => {
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: ({ app }) => app.manifests.delete(current.digest),
    });
    expect(proof).toEqual({
      ...NOTHING,
      broken: [{ what: 'tag v1', why: 'its manifest is gone' }],
    });
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });

  it('does not ask for a child that was missing before', async () => {
    const lost = image('lost before');
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: () => undefined,
      before: (scene) => {
        scene.put(index([lost]), 'v2');
        setTag(scene.app, 'v3', lost.digest);
        scene.app.manifests.delete(lost.digest);
      },
    });
    expect(proof).toEqual(NOTHING);
    expect(scene.registry.requests.map(({ path }) => path).join()).not.toContain(lost.digest);
  });
});

describe('a manifest that could not be restored', () => {
  it('is broken because a blob is gone, with the reason', async () => {
    const { scene, proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      then: ({ app }) => {
        app.blobs.clear();
      },
    });
    expect(proof).toEqual({
      ...NOTHING,
      broken: [
        {
          what: `manifest ${old.digest}`,
          why: expect.stringMatching(
            `^${childGone(index([old]), 'late')}, and it could not be restored: the registry no longer has what it consists of`,
          ),
        },
      ],
    });
    // Nothing came back, so there is nothing to prove again.
    expect(tally(scene.registry)['GET tags']).toBe(1);
  });

  it('is broken because it was not saved', async () => {
    const { proof } = await healAfter({ condemned: [[old]], push: over([old]), unsaved: [old] });
    const why = childGone(index([old]), 'late');
    expect(proof).toEqual({ ...NOTHING, broken: [{ what: `manifest ${old.digest}`, why }] });
  });

  it('is reported if it only belongs to another one, though every tag can be pulled', async () => {
    const sig = cosign('sig', old);
    const { proof } = await healAfter({
      condemned: [[old], [sig, digestTag(old.digest, 'sig')]],
      push: over([old]),
      then: ({ registry }) => {
        registry.intercept(when(new RegExp(`PUT .*${sig.digest}`), errorAnswer(403, 'DENIED')));
      },
    });
    expect(proof).toEqual({
      restored: [old.digest],
      broken: [
        {
          what: `manifest ${sig.digest}`,
          why: expect.stringMatching(
            /^it was deleted with a manifest that came into use meanwhile, and it could not be restored: .*403/,
          ),
        },
      ],
      unverified: false,
    });
  });

  it('is restored if the second try worked', async () => {
    const two = image('two');
    let refused = 0;
    const { proof } = await healAfter({
      condemned: [[old], [two]],
      push: over([old, two]),
      then: ({ registry }) => {
        registry.intercept(
          when(new RegExp(`PUT .*${old.digest}`), () => {
            refused += 1;
            return refused === 1 ? errorAnswer(403, 'DENIED') : undefined;
          }),
        );
      },
    });
    expect(proof).toEqual({ ...NOTHING, restored: [two.digest, old.digest] });
  });

  it.each([
    ['is refused', true],
    ['names something else now', false],
  ])('is reported as far as its digest tag tells, which %s', async (_, isRefused) => {
    const sig = cosign('sig', old);
    const tag = digestTag(old.digest, 'sig');
    const newer = image('a newer signature');
    const { scene, proof } = await healAfter({
      condemned: [[old], [sig, tag]],
      push: over([old]),
      then: (scene) => {
        if (isRefused) {
          scene.registry.intercept(when(new RegExp(`PUT .*${tag}`), errorAnswer(403, 'DENIED')));
        } else {
          scene.put(newer, tag);
        }
      },
    });
    expect(new Set(proof.restored)).toEqual(new Set(digests([old, sig])));
    const why = expect.stringMatching(/^its manifest is gone, and it could not be restored: .*403/);
    expect(proof.broken).toEqual(isRefused ? [{ what: `tag ${tag}`, why }] : []);
    expect(scene.app.tags.get(tag)).toBe(isRefused ? undefined : newer.digest);
  });

  it('is reported in order with the rest', async () => {
    const [sig, sbom] = [cosign('sig', old), referrer('sbom', old)];
    const { proof } = await healAfter({
      condemned: [[old], [sig, digestTag(old.digest, 'sig')], [sbom]],
      push: over([old]),
      then: ({ app, registry }) => {
        setTag(app, 'broken', image('lost').digest);
        registry.intercept(({ method, path }) =>
          method === 'PUT' && !path.endsWith(old.digest) ? errorAnswer(403, 'DENIED') : undefined,
        );
      },
    });
    const manifests = digests([sig, sbom]).map((digest) => `manifest ${digest}`);
    expect(proof.broken.map(({ what }) => what)).toEqual([...manifests.sort(), 'tag broken']);
  });
});

describe('a heal that is stopped', () => {
  it('says that its verify is not complete, and calls nothing broken', async () => {
    const stop = new AbortController();
    const { proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      options: { stop: stop.signal },
      then: ({ registry }) => {
        registry.intercept(
          when(/tags\/list/, () => {
            stop.abort('SIGTERM');
            return errorAnswer(403, 'DENIED');
          }),
        );
      },
    });
    expect(proof).toEqual({ ...NOTHING, unverified: true });
  });

  it('says that restored manifests were not verified', async () => {
    const stop = new AbortController();
    const { proof } = await healAfter({
      condemned: [[old]],
      push: over([old]),
      options: { stop: stop.signal },
      then: ({ registry }) => {
        registry.intercept(({ method }) => {
          if (method === 'PUT') {
            stop.abort('SIGTERM');
            return undefined;
          }
          return stop.signal.aborted && method === 'HEAD' ? { kind: 'reset' } : undefined;
        });
      },
    });
    expect(proof).toEqual({ restored: [old.digest], broken: [], unverified: true });
  });
});

it('an index that lists layers is restored, too', async () => {
  const list = opaque(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
  const { proof } = await healAfter({ condemned: [[list]], push: over([list]) });
  expect(proof).toEqual({ ...NOTHING, restored: [list.digest] });
});

it('faults of this program are thrown', async () => {
  const tags: Reader['tags'] = () => Promise.reject(new TypeError('ours'));
  const scene = await startScene();
  const options = { reader: { ...scene.reader, tags } };
  await expect(healAfter({ condemned: [[old]], push: over([old]), options })).rejects.toThrow(
    TypeError,
  );
});
