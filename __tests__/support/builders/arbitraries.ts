/**
 * Random estates, faults and changes. They are made so that what the design is about comes up often:
 * shared and nested children, circles, digest tags that look right and such that don't, things missing.
 */
import fc from 'fast-check';

import {
  build,
  nameOf,
  type Built,
  type Change,
  type RandomEstate,
  type Node,
  type Tag,
} from './random-estate.js';

/** Runs of a property: `FC_RUNS` multiplies them for a longer hunt, `FC_SEED` repeats one. */
export function runs(numRuns: number): fc.Parameters<unknown> {
  const seed = process.env['FC_SEED'];
  return {
    numRuns: Math.ceil(numRuns * Number(process.env['FC_RUNS'] ?? '1')),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  };
}

const nat = (max: number) => fc.nat({ max });
const often = (share: number) => fc.nat({ max: 99 }).map((n) => n < share);

interface RawNode {
  readonly form: Node['form'] | 'fallback';
  readonly family: Node['family'];
  readonly children: readonly number[];
  readonly subject: number | undefined;
  readonly mentions: readonly number[];
  readonly created: Node['created'];
  readonly present: boolean;
  readonly candidate: boolean;
}

const rawNode: fc.Arbitrary<RawNode> = fc.record({
  form: fc.oneof(
    { weight: 8, arbitrary: fc.constant('image' as const) },
    { weight: 3, arbitrary: fc.constant('artifact' as const) },
    { weight: 7, arbitrary: fc.constant('index' as const) },
    { weight: 3, arbitrary: fc.constant('fallback' as const) },
    { weight: 1, arbitrary: fc.constant('unknown' as const) },
    { weight: 1, arbitrary: fc.constant('ambiguous' as const) },
  ),
  family: fc.oneof(fc.constant('oci' as const), fc.constant('docker' as const)),
  children: fc.array(nat(50), { maxLength: 3 }),
  subject: fc.option(nat(50), { nil: undefined, freq: 3 }),
  mentions: fc.array(nat(50), { maxLength: 2 }),
  created: fc.oneof(
    { weight: 12, arbitrary: fc.constant('old' as const) },
    { weight: 3, arbitrary: fc.constant('none' as const) },
    { weight: 1, arbitrary: fc.constant('young' as const) },
  ),
  present: often(88),
  candidate: often(80),
});

interface RawTag {
  readonly kind: 'plain' | 'role' | 'fallback' | 'self';
  readonly name: number;
  readonly role: 'sig' | 'att' | 'sbom' | undefined;
  readonly names: number;
  readonly target: number;
}

const rawTag: fc.Arbitrary<RawTag> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constant('plain' as const) },
    { weight: 4, arbitrary: fc.constant('role' as const) },
    { weight: 2, arbitrary: fc.constant('fallback' as const) },
    { weight: 1, arbitrary: fc.constant('self' as const) },
  ),
  name: nat(4),
  role: fc.constantFrom('sig', 'att', 'sbom', undefined),
  names: nat(50),
  target: nat(50),
});

/**
 * @param size at most so many manifests
 * @param more.withLayers whether artifacts have layers with the bytes of manifests
 */
export function estates(size: number, { withLayers = false } = {}): fc.Arbitrary<RandomEstate> {
  return fc
    .record({
      raw: fc.array(rawNode, { minLength: 1, maxLength: size }),
      rawTags: fc.array(rawTag, { maxLength: Math.ceil(size * 0.8) }),
    })
    .map(({ raw, rawTags }) => {
      const nodes: Node[] = [];
      const fallbacks: Tag[] = [];
      raw.forEach((each, id) => {
        const { node, of } = nodeOf(each, id, nodes);
        nodes.push(withLayers ? layered(node, each, id) : node);
        if (of !== undefined) {
          fallbacks.push({ name: { kind: 'digest', names: of }, target: id });
        }
      });
      return { nodes, tags: [...fallbacks, ...rawTags.map((tag) => tagOf(tag, nodes.length))] };
    });
}

/** Some artifacts have layers that are manifests as well. Only where no registry is asked, which may serve these. */
function layered(node: Node, { mentions }: RawNode, id: number): Node {
  const layers = id === 0 ? [] : [...new Set(mentions.map((each) => each % id))];
  return node.form === 'artifact' && layers.length > 0 ? { ...node, layers } : node;
}

function nodeOf(
  raw: RawNode,
  id: number,
  before: readonly Node[],
): { readonly node: Node; readonly of?: number } {
  const older = (ids: readonly number[]) =>
    id === 0 ? [] : [...new Set(ids.map((each) => each % id))];
  const { family, created, present, candidate } = raw;
  const base = { family, created, present, candidate };
  const subject = raw.subject === undefined || id === 0 ? {} : { subject: raw.subject % id };
  const bare = { children: [], mentions: [] };
  switch (raw.form) {
    case 'image':
      // Half of the images describe nothing, as most do.
      return {
        node: { ...base, ...bare, form: 'image', ...((raw.subject ?? 0) % 2 === 0 ? {} : subject) },
      };
    case 'artifact':
      return { node: { ...base, ...bare, form: 'artifact', ...subject } };
    case 'index': {
      const odd = raw.mentions.length === 2 ? older(raw.mentions.slice(0, 1)) : [];
      const entries = older(raw.children).filter((child) => !odd.includes(child));
      return { node: { ...base, form: 'index', ...split(entries, odd, before), ...subject } };
    }
    case 'fallback': {
      // An index of what describes some manifest, under the tag that names it.
      const described = before.flatMap((node) => node.subject ?? []);
      const of = described[(raw.subject ?? 0) % Math.max(described.length, 1)];
      const entries = before.flatMap((node, each) => (node.subject === of ? [each] : []));
      return of === undefined
        ? { node: { ...base, ...bare, form: 'index' } }
        : { node: { ...base, form: 'index', ...split(entries, [], before) }, of };
    }
    case 'unknown':
      return {
        node: { ...base, ...bare, form: 'unknown', mentions: older(raw.mentions), ...subject },
      };
    case 'ambiguous':
      return { node: { ...base, ...bare, form: 'ambiguous', mentions: older(raw.mentions) } };
  }
}

/** An index's entries: what has an unknown media type is no child of it. */
function split(
  entries: readonly number[],
  odd: readonly number[],
  before: readonly Node[],
): Pick<Node, 'children' | 'mentions'> {
  const isKnown = (id: number) => before[id]?.form !== 'unknown';
  return {
    children: entries.filter(isKnown),
    mentions: [...odd, ...entries.filter((id) => !isKnown(id))],
  };
}

function tagOf(raw: RawTag, count: number): Tag {
  const target = raw.target % count;
  const names = raw.kind === 'self' ? target : raw.names % count;
  if (raw.kind === 'plain') {
    return { name: { kind: 'plain', name: `v${String(raw.name)}` }, target };
  }
  const role = raw.kind === 'role' && raw.role !== undefined ? { role: raw.role } : {};
  return { name: { kind: 'digest', names, ...role }, target };
}

export function builtEstates(size: number, more = {}): fc.Arbitrary<Built> {
  return estates(size, more).map(shown);
}

/** An estate with its bytes; it prints as the estate. */
export function shown(estate: RandomEstate): Built {
  return Object.defineProperty(build(estate), fc.toStringMethod, {
    value: () => JSON.stringify(estate),
  });
}

/** A change, and before which request of a run it happens (from 1). */
export interface Timed {
  readonly before: number;
  readonly change: Change;
}

/** Pushes, moved tags and lost tags: of names that are there, and of new ones. */
export function changes(built: Built, latest: number): fc.Arbitrary<readonly Timed[]> {
  const existing = built.estate.tags.map((tag) => nameOf(tag, built));
  const tag = fc.constantFrom(...existing, 'v0', 'v1', 'new');
  const node = nat(built.contents.length - 1);
  const one: fc.Arbitrary<Change> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('push' as const), node, tag }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('push' as const), node }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('untag' as const), tag }) },
  );
  return fc.array(fc.record({ before: fc.integer({ min: 1, max: latest }), change: one }), {
    maxLength: 5,
  });
}
