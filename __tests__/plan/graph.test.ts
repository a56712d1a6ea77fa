import { describe, expect, it } from '@jest/globals';

import { buildGraph, compare, reach } from '../../src/plan/graph.js';
import type { Digest } from '../../src/oci/digest.js';
import type { ImageManifest, Manifest } from '../../src/oci/manifest.js';
import { OCI_MANIFEST } from '../../src/oci/media-types.js';
import {
  buildCache,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { inventoryOf, parsed } from '../support/builders/inventories.js';

const named = image('named');
const other = image('other');
const bare = digestTag(named.digest);
const right = referrer('sbom', named);

/** Under a manifest's type, but its body is of another: its kind is `unknown`. */
const unreadable = opaque(OCI_MANIFEST, { mediaType: 'application/vnd.future+json' });

function edgesOf(graph: ReturnType<typeof buildGraph>, { digest }: Content) {
  return graph.edges.get(digest);
}

describe('a tag', () => {
  it.each([
    ['an index whose entries all describe it', fallbackIndex([right, referrer('sig', named)]), []],
    ['an index without entries', fallbackIndex([]), []],
    [
      'an index one of whose entries is gone and the others describe it',
      fallbackIndex([right, referrer('lost', named)]),
      [referrer('lost', named)],
    ],
  ])('is a digest tag as sha256-<hex> that points at %s', (_, target, absent) => {
    const graph = buildGraph(inventoryOf({ tags: { [bare]: target }, untagged: [named], absent }));
    expect(graph.rootTags.size).toBe(0);
    expect(graph.digestTags).toEqual([
      { tag: bare, names: named.digest, role: 'fallback', target: target.digest },
    ]);
    expect(edgesOf(graph, named)).toContainEqual({
      kind: 'digest-tag',
      tag: bare,
      to: target.digest,
    });
  });

  it.each([
    ['an index with an entry that describes another', index([right, referrer('x', other)]), []],
    ['an index with an entry that describes nothing', index([right, other]), []],
    ['an index with an entry of an unknown kind', index([right, unreadable]), []],
    ['an index of layers', buildCache('cache', 'index'), []],
    ['an index whose entries are all gone', index([right]), [right]],
    ['the manifest itself', named, []],
    ['the manifest itself, an index', index([image('child')]), []],
    ['an ordinary image', other, []],
    ['an image that describes it', right, []],
    ['a manifest of an unknown kind', unreadable, []],
  ])('is an ordinary one as sha256-<hex> that points at %s', (what, target, absent) => {
    const tag = what.startsWith('the manifest itself') ? digestTag(target.digest) : bare;
    const graph = buildGraph(inventoryOf({ tags: { [tag]: target }, untagged: [named], absent }));
    expect(graph.digestTags).toEqual([]);
    expect(graph.rootTags).toEqual(new Map([[target.digest, [tag]]]));
  });

  it.each(['sig', 'att', 'sbom'] as const)('is a digest tag as .%s, wherever it points', (role) => {
    const tag = digestTag(named.digest, role);
    for (const target of [cosign(role, named), index([other]), unreadable]) {
      const graph = buildGraph(inventoryOf({ tags: { [tag]: target } }));
      expect(graph.digestTags).toEqual([{ tag, names: named.digest, role, target: target.digest }]);
      expect(graph.rootTags.size).toBe(0);
    }
  });

  it.each(['sig', 'att', 'sbom'] as const)(
    'is a root as .%s at the named manifest itself',
    (role) => {
      const tag = digestTag(named.digest, role);
      const graph = buildGraph(inventoryOf({ tags: { [tag]: named } }));
      expect(graph.rootTags).toEqual(new Map([[named.digest, [tag]]]));
    },
  );
});

describe('an edge', () => {
  it('leads from an index to its children and its subject', () => {
    const list = index([image('a')], { subject: named });
    const graph = buildGraph(inventoryOf({ untagged: [list, named] }));
    expect(edgesOf(graph, list)).toEqual([
      { kind: 'child', to: image('a').digest },
      { kind: 'subject', to: named.digest },
    ]);
  });

  it('leads from a manifest to its subject, and from the subject to it', () => {
    const graph = buildGraph(inventoryOf({ untagged: [named, right] }));
    expect(edgesOf(graph, right)).toEqual([{ kind: 'subject', to: named.digest }]);
    expect(edgesOf(graph, named)).toEqual([{ kind: 'referrer', to: right.digest }]);
  });

  it('leads from a manifest to those that the registry lists as its referrers, once, and not to itself', () => {
    const unread = image('unread');
    const listed = [right, other, unread, named, other].map(({ digest }) => digest);
    const inventory = inventoryOf({
      untagged: [named, right, other],
      more: {
        referrers: new Map([
          [named.digest, listed],
          [unread.digest, [other.digest]],
        ]),
      },
    });
    const graph = buildGraph(inventory);
    expect(edgesOf(graph, named)).toEqual(
      [right.digest, other.digest].sort().map((to) => ({ kind: 'referrer', to })),
    );
    // Its body does not say so, and it may be used without what it describes.
    expect(edgesOf(graph, other)).toEqual([]);
    expect(edgesOf(graph, unread)).toBeUndefined();
  });

  it('leads from an unknown manifest, and from an index of layers, to the digests in it', () => {
    const unknown = opaque('a/b', { about: named.digest });
    const cache = buildCache('cache', 'index');
    // A registry keeps layers and manifests apart, but nothing stops one from being both.
    const manifest = parsed(cache);
    const [layer] = manifest.kind === 'index' ? manifest.others : [];
    const both: Manifest = { ...parsed(image('both')), digest: layer?.digest as Digest };
    const inventory = inventoryOf({ untagged: [unknown, named, cache] });
    const graph = buildGraph({
      ...inventory,
      manifests: new Map([...inventory.manifests, [both.digest, both]]),
    });
    expect(edgesOf(graph, unknown)).toEqual([{ kind: 'mentioned', to: named.digest }]);
    expect(edgesOf(graph, cache)).toEqual([{ kind: 'mentioned', to: both.digest }]);
  });

  it('leads to no manifest that was not read', () => {
    const list = index([image('a')], { subject: named });
    const graph = buildGraph(inventoryOf({ untagged: [list], absent: [image('a'), named] }));
    expect(edgesOf(graph, list)).toEqual([]);
  });

  it('stands in a fixed order, the plainest reason first, then by digest', () => {
    const sig = cosign('sig', named);
    const children = ['a', 'b', 'c'].map((name) => image(name));
    const list = index(children);
    const sbom = referrer('sbom', list);
    const tags = {
      [digestTag(list.digest, 'att')]: sig,
      [digestTag(list.digest, 'sig')]: sig,
    };
    const graph = buildGraph(inventoryOf({ tags, untagged: [sbom, list] }));
    expect(edgesOf(graph, list)).toEqual([
      ...children
        .map(({ digest }) => digest)
        .sort(compare)
        .map((to) => ({ kind: 'child', to })),
      { kind: 'referrer', to: sbom.digest },
      { kind: 'digest-tag', tag: digestTag(list.digest, 'att'), to: sig.digest },
      { kind: 'digest-tag', tag: digestTag(list.digest, 'sig'), to: sig.digest },
    ]);
  });

  it('root tags are sorted', () => {
    const graph = buildGraph(inventoryOf({ tags: { v2: named, latest: named, v1: named } }));
    expect(graph.rootTags).toEqual(new Map([[named.digest, ['latest', 'v1', 'v2']]]));
  });
});

describe('the order of reasons', () => {
  it.each([
    ['a', 'b', -1],
    ['b', 'a', 1],
    ['a', 'a', 0],
    ['B', 'a', -1],
  ])('puts %s and %s in this order: %i', (a, b, expected) => {
    expect(compare(a, b)).toBe(expected);
  });
});

describe('the reach of roots', () => {
  it('goes to any depth, and tells the first step that led to each', () => {
    const leaf = image('leaf');
    const inner = index([leaf]);
    const outer = index([inner]);
    const graph = buildGraph(inventoryOf({ untagged: [outer, other] }));
    expect(reach(graph, [outer.digest])).toEqual(
      new Map([
        [inner.digest, { from: outer.digest, edge: { kind: 'child', to: inner.digest } }],
        [leaf.digest, { from: inner.digest, edge: { kind: 'child', to: leaf.digest } }],
      ]),
    );
  });

  it('leaves the roots themselves out, also those that another root leads to', () => {
    const leaf = image('leaf');
    const list = index([leaf]);
    const graph = buildGraph(inventoryOf({ untagged: [list] }));
    expect(reach(graph, [list.digest, leaf.digest])).toEqual(new Map());
  });

  it('ends in a circle of subjects', () => {
    const [a, b] = [image('a'), image('b')];
    const circle = new Map<Digest, Manifest>([
      [a.digest, { ...parsed(a), subject: b.digest } as Manifest],
      [b.digest, { ...parsed(b), subject: a.digest } as Manifest],
    ]);
    const graph = buildGraph({ ...inventoryOf({}), manifests: circle });
    expect([...reach(graph, [a.digest]).keys()]).toEqual([b.digest]);
  });

  it('reaches nothing from a root that was not read', () => {
    const graph = buildGraph(inventoryOf({ untagged: [named] }));
    expect(reach(graph, [other.digest])).toEqual(new Map());
  });

  it('copes with chains that are longer than the call stack is deep', () => {
    const length = 20_000;
    const template = parsed(named) as ImageManifest;
    const digests = Array.from(
      { length },
      (_, n) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest,
    );
    const manifests = new Map<Digest, Manifest>();
    digests.forEach((digest, n) => {
      const subject = digests[n - 1];
      manifests.set(digest, {
        ...template,
        digest,
        ...(subject === undefined ? {} : { subject }),
      });
    });
    const graph = buildGraph({ ...inventoryOf({}), manifests });
    expect(reach(graph, digests.slice(-1)).size).toBe(length - 1);
  });
});

it('an edge leads from an image to its config and layers that are manifests as well', () => {
  const digest = [...other.blobs.keys()].at(-1) as Digest;
  const layer: Manifest = { ...parsed(named), digest };
  const inventory = inventoryOf({ untagged: [other] });
  const graph = buildGraph({
    ...inventory,
    manifests: new Map([...inventory.manifests, [digest, layer]]),
  });
  expect(edgesOf(graph, other)).toEqual([{ kind: 'blob', to: digest }]);
});

describe('an absent manifest that is remembered', () => {
  const gone = image('gone');
  const sbom = referrer('sbom', gone);
  const ghosts = (...contents: readonly Content[]) =>
    new Map(contents.map((content) => [content.digest, parsed(content)]));
  const without = (...contents: readonly Content[]) => ({
    absent: contents,
    more: { ghosts: ghosts(...contents) },
  });

  it('is reached from an index that lists it, with what describes it', () => {
    const list = index([gone, other]);
    const inventory = inventoryOf({ untagged: [list, sbom], ...without(gone) });
    expect(new Set(reach(buildGraph(inventory), [list.digest]).keys())).toEqual(
      new Set([gone.digest, other.digest, sbom.digest]),
    );
  });

  it('is not reached from its subject', () => {
    const inventory = inventoryOf({ untagged: [gone], ...without(sbom) });
    expect([...reach(buildGraph(inventory), [gone.digest]).keys()]).toEqual([]);
    const tag = digestTag(gone.digest, 'sig');
    const signature = cosign('sig', gone);
    const formerTags = new Map([[signature.digest, new Set([tag])]]);
    const signed = inventoryOf({
      untagged: [gone],
      absent: [signature],
      more: { ghosts: ghosts(signature), formerTags },
    });
    expect([...reach(buildGraph(signed), [gone.digest]).keys()]).toEqual([]);
  });

  it('is not reached from its referrers', () => {
    const inventory = inventoryOf({ untagged: [sbom], ...without(gone) });
    expect([...reach(buildGraph(inventory), [sbom.digest]).keys()]).toEqual([]);
  });
});
