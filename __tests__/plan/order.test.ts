import { describe, expect, it } from '@jest/globals';

import { buildGraph, type Edge, type Graph } from '../../src/plan/graph.js';
import { deletionOrder } from '../../src/plan/order.js';
import type { Digest } from '../../src/oci/digest.js';
import {
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { inventoryOf, type Estate } from '../support/builders/inventories.js';

/** The order of all of an estate's manifests, by the names that the test gives them. */
function order(
  names: Readonly<Record<string, Content>>,
  estate: Estate = { untagged: Object.values(names) },
): { name: string; after: string[] }[] {
  const inventory = inventoryOf(estate);
  const nameOf = (digest: Digest) =>
    Object.entries(names).find(([, content]) => content.digest === digest)?.[0] ?? digest;
  return deletionOrder(buildGraph(inventory), new Set(inventory.manifests.keys())).map(
    ({ digest, after }) => ({ name: nameOf(digest), after: after.map(nameOf).sort() }),
  );
}

const a = image('a');

describe('the order of deletes', () => {
  it('is empty without orphans', () => {
    expect(deletionOrder(buildGraph(inventoryOf({ untagged: [a] })), new Set())).toEqual([]);
  });

  it('has parents before children, at any depth', () => {
    const inner = index([a]);
    const outer = index([inner]);
    expect(order({ a, inner, outer })).toEqual([
      { name: 'outer', after: [] },
      { name: 'inner', after: ['outer'] },
      { name: 'a', after: ['inner'] },
    ]);
  });

  it('has a shared child after all of its parents', () => {
    const [one, two] = [index([a]), index([a, image('b')])];
    const result = order({ a, b: image('b'), one, two });
    expect(result.find(({ name }) => name === 'a')).toEqual({ name: 'a', after: ['one', 'two'] });
    expect(
      result
        .slice(0, 2)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['one', 'two']);
  });

  it('has subjects before referrers, along the whole chain', () => {
    const sbom = referrer('sbom', a);
    const signature = referrer('signature', sbom);
    expect(order({ signature, sbom, a })).toEqual([
      { name: 'a', after: [] },
      { name: 'sbom', after: ['a'] },
      { name: 'signature', after: ['sbom'] },
    ]);
  });

  it('has the manifest that a digest tag names before the one it points at', () => {
    const sig = cosign('sig', a);
    expect(
      order({ a, sig }, { tags: { [digestTag(a.digest, 'sig')]: sig }, untagged: [a] }),
    ).toEqual([
      { name: 'a', after: [] },
      { name: 'sig', after: ['a'] },
    ]);
  });

  it('does not depend on manifests that stay', () => {
    const list = index([a]);
    const graph = buildGraph(inventoryOf({ untagged: [list] }));
    expect(deletionOrder(graph, new Set([a.digest]))).toEqual([{ digest: a.digest, after: [] }]);
  });

  it('sorts those that are free at the same time by digest', () => {
    const all = Array.from({ length: 20 }, (_, n) => image(String(n)));
    const inventory = inventoryOf({ untagged: all });
    const digests = deletionOrder(buildGraph(inventory), new Set(inventory.manifests.keys())).map(
      ({ digest }) => digest,
    );
    expect(digests).toEqual([...digests].sort());
  });

  it('has an index that holds its subject first: no index without its child', () => {
    const list = index([a], { subject: a });
    expect(order({ a, list })).toEqual([
      { name: 'list', after: [] },
      { name: 'a', after: ['list'] },
    ]);
  });

  it('has a child that describes another child of the same index after both', () => {
    const sbom = referrer('sbom', a);
    const list = index([a, sbom]);
    expect(order({ a, sbom, list })).toEqual([
      { name: 'list', after: [] },
      { name: 'a', after: ['list'] },
      { name: 'sbom', after: ['a', 'list'] },
    ]);
  });

  it('breaks a circle of digest tags somewhere', () => {
    const b = image('b');
    const tags = { [digestTag(a.digest, 'sig')]: b, [digestTag(b.digest, 'sig')]: a };
    const result = order({ a, b }, { tags });
    expect(result.map(({ after }) => after.length)).toEqual([0, 1]);
  });
});

describe('the order of deletes in graphs made by hand', () => {
  const d = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
  const graphOf = (edges: Readonly<Record<number, readonly Edge[]>>): Graph => ({
    rootTags: new Map(),
    digestTags: [],
    edges: new Map(Object.entries(edges).map(([n, list]) => [d(Number(n)), list])),
  });
  const child = (n: number): Edge => ({ kind: 'child', to: d(n) });
  const referrerEdge = (n: number): Edge => ({ kind: 'referrer', to: d(n) });

  it('breaks a circle where no parent is left, not at the smallest digest', () => {
    // 2 and 3 describe each other; 3 holds 1, so 1 may not be the first though it is the smallest.
    const graph = graphOf({ 2: [referrerEdge(3)], 3: [referrerEdge(2), child(1)] });
    expect(deletionOrder(graph, new Set([d(1), d(2), d(3)]))).toEqual([
      { digest: d(2), after: [] },
      { digest: d(3), after: [d(2)] },
      { digest: d(1), after: [d(3)] },
    ]);
  });

  it('counts two edges between the same two once', () => {
    const graph = graphOf({ 1: [child(2), referrerEdge(2)] });
    expect(deletionOrder(graph, new Set([d(1), d(2)]))).toEqual([
      { digest: d(1), after: [] },
      { digest: d(2), after: [d(1)] },
    ]);
  });

  it('refuses indexes that contain each other, which no digests do', () => {
    const graph = graphOf({ 1: [child(2)], 2: [child(1)] });
    expect(() => deletionOrder(graph, new Set([d(1), d(2)]))).toThrow('contain each other');
  });
});
