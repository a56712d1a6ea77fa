/**
 * A random estate in the tests' own words (numbered nodes), and what becomes of it: real bytes, an
 * in-memory registry's state, an inventory. It judges nothing: that is `model.ts`.
 */
import type { Inventory } from '../../../src/plan/inventory.js';
import type { Digest } from '../../../src/oci/digest.js';
import { parseManifest, type Manifest } from '../../../src/oci/manifest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import {
  digestTag,
  image,
  index,
  manifest,
  opaque,
  referrer,
  type Content,
  type Family,
} from './build.js';
import { linkBlob, repositoryOf, setTag, type RegistryState } from '../servers/memory/state.js';
import { DAY, NOW, YOUNG } from './inventories.js';
import { seed } from '../clients/push.js';

export const GRACE = DAY;
const OLD = new Date(NOW - 90 * DAY).toISOString();

/** Epoch milliseconds of what a node's `created` says. */
export const CREATED = { young: Date.parse(YOUNG), old: Date.parse(OLD), none: undefined } as const;

/** A node's number. It only refers to smaller ones: digests can't form a circle. */
export type Id = number;

export interface Node {
  readonly form:
    | 'image'
    /** an artifact without an image's config: its age is never known */
    | 'artifact'
    | 'index'
    /** a media type that nobody knows */
    | 'unknown'
    /** the type of an image, and the fields of an index as well (CVE-2021-41190) */
    | 'ambiguous';
  readonly family: Family;
  /** of an index */
  readonly children: readonly Id[];
  readonly subject?: Id;
  /** of unknown and ambiguous ones: digests in the body; of an index: entries of an unknown type */
  readonly mentions: readonly Id[];
  /** of an artifact: a layer for each of these, with its very bytes, as of an OCI layout that is pushed file by file */
  readonly layers?: readonly Id[];
  /** in an image's config; an index has none */
  readonly created: 'young' | 'old' | 'none';
  /** whether the registry has it at the beginning */
  readonly present: boolean;
  /** whether the user named it */
  readonly candidate: boolean;
}

export interface Tag {
  readonly name:
    | { readonly kind: 'plain'; readonly name: string }
    | {
        readonly kind: 'digest';
        readonly names: Id;
        readonly role?: 'sig' | 'att' | 'sbom';
      };
  readonly target: Id;
}

export interface RandomEstate {
  readonly nodes: readonly Node[];
  readonly tags: readonly Tag[];
}

/** An estate with its bytes. */
export interface Built {
  readonly estate: RandomEstate;
  /** by number */
  readonly contents: readonly Content[];
  readonly idOf: ReadonlyMap<string, Id>;
  readonly candidates: ReadonlySet<Digest>;
}

function at<T>(list: readonly T[], position: number): T {
  const item = list[position];
  if (item === undefined) {
    throw new Error(`nothing at ${String(position)}`);
  }
  return item;
}

export function build(estate: RandomEstate): Built {
  const contents: Content[] = [];
  estate.nodes.forEach((node, id) => {
    contents.push(contentOf(node, id, contents));
  });
  const named = estate.nodes.flatMap((node, id) => (node.candidate ? [at(contents, id)] : []));
  return {
    estate,
    contents,
    idOf: new Map(contents.map(({ digest }, id) => [digest, id])),
    candidates: new Set(named.map(({ digest }) => digest)),
  };
}

/** Types of which a client may not see that they are a manifest's. */
const ODD_TYPES = ['application/vnd.example.thing', '', 'application/octet-stream', 'index'];

function contentOf(node: Node, id: Id, before: readonly Content[]): Content {
  const name = `n${String(id)}`;
  const { family } = node;
  const subject = node.subject === undefined ? {} : { subject: at(before, node.subject) };
  const mentions = node.mentions.map((each) => at(before, each));
  switch (node.form) {
    case 'image': {
      const created = { young: YOUNG, old: OLD, none: null }[node.created];
      return image(name, { family, created, ...subject });
    }
    case 'artifact':
      return node.subject === undefined || node.layers !== undefined
        ? manifest({
            config: { mediaType: 'application/vnd.example.config', bytes: Buffer.from(name) },
            layers: (node.layers ?? []).map((each) => ({
              mediaType: 'application/octet-stream',
              bytes: at(before, each).bytes,
            })),
            ...subject,
          })
        : referrer(name, at(before, node.subject));
    case 'index': {
      // How an index lists something else than manifests; here that is a manifest all the same.
      const odd = mentions.map((content, n) => ({
        ...content,
        descriptor: {
          ...content.descriptor,
          mediaType: ODD_TYPES[(id + n) % ODD_TYPES.length] ?? '',
        },
      }));
      const children = [...node.children.map((child) => at(before, child)), ...odd];
      return index(children, { family, ...subject, annotations: { name } });
    }
    case 'unknown':
      return opaque('application/vnd.example.unknown+json', {
        name,
        ...(node.subject === undefined ? {} : { subject: at(before, node.subject).descriptor }),
        see: mentions.map(({ digest }) => digest),
      });
    case 'ambiguous': {
      const mediaType = id % 2 === 0 ? OCI_MANIFEST : OCI_INDEX;
      const [config] = image(name).blobs.keys();
      return opaque(mediaType, {
        schemaVersion: 2,
        mediaType,
        annotations: { name },
        config: { mediaType: 'application/vnd.example.config', digest: config, size: 2 },
        manifests: mentions.map(({ descriptor }) => descriptor),
      });
    }
  }
}

export function nameOf(tag: Tag, { contents }: Pick<Built, 'contents'>): string {
  return tag.name.kind === 'plain'
    ? tag.name.name
    : digestTag(at(contents, tag.name.names).digest, tag.name.role);
}

/** Puts one manifest and its blobs into a registry, without what it refers to. */
export function put(state: RegistryState, repository: string, content: Content): void {
  for (const [digest, blob] of content.blobs) {
    linkBlob(state, repository, digest, blob);
  }
  const { digest, mediaType, bytes } = content;
  repositoryOf(state, repository).manifests.set(digest, { mediaType, bytes });
}

/** Tagged in every repository, and part of no estate: one without any ordinary tag is refused as a whole. */
export const ANCHOR = image('what is always tagged');
export const ANCHOR_TAG = 'anchor';

/** The estate as the registry has it at the beginning. */
export function settle(state: RegistryState, repository: string, built: Built): void {
  const target = repositoryOf(state, repository);
  target.everTagged = true;
  target.everLayered = true;
  seed(state, repository, ANCHOR, ANCHOR_TAG);
  built.estate.nodes.forEach((node, id) => {
    if (node.present) {
      put(state, repository, at(built.contents, id));
    }
  });
  for (const tag of built.estate.tags) {
    setTag(target, nameOf(tag, built), at(built.contents, tag.target).digest);
  }
}

/** The estate as a survey would have read it if it had seen every manifest that is present. */
export function inventoryOfBuilt(built: Built): Inventory {
  const { estate, contents } = built;
  const manifests = new Map<Digest, Manifest>();
  const absent = new Set<Digest>();
  const facts = new Map<Digest, { created?: number }>();
  estate.nodes.forEach((node, id) => {
    const { bytes, mediaType, digest } = at(contents, id);
    if (!node.present) {
      absent.add(digest);
      return;
    }
    manifests.set(digest, parseManifest(bytes, mediaType, digest));
    if (node.form === 'image' && node.created !== 'none') {
      facts.set(digest, { created: Date.parse(node.created === 'young' ? YOUNG : OLD) });
    }
  });
  const tags = new Map<string, Digest>();
  const brokenTags: string[] = [];
  for (const tag of new Map(estate.tags.map((each) => [nameOf(each, built), each]))) {
    const [name, { target }] = tag;
    const { digest } = at(contents, target);
    if (manifests.has(digest)) {
      tags.set(name, digest);
    } else {
      brokenTags.push(name);
    }
  }
  return {
    repository: 'a/b',
    tags,
    manifests,
    absent,
    ghosts: new Map(),
    brokenTags,
    referrers: new Map(),
    facts,
    past: new Map(),
    formerTags: new Map(),
    gaps: [],
  };
}

/** Something that other people do to a registry while a run is under way. */
export type Change =
  /** of a node with its children, under a tag where there is one */
  | { readonly kind: 'push'; readonly node: Id; readonly tag?: string }
  | { readonly kind: 'untag'; readonly tag: string };

export function change(state: RegistryState, repository: string, built: Built, what: Change): void {
  const target = repositoryOf(state, repository);
  if (what.kind === 'untag') {
    target.tags.delete(what.tag);
    return;
  }
  pushTree(state, repository, built, what.node);
  if (what.tag !== undefined) {
    setTag(target, what.tag, at(built.contents, what.node).digest);
  }
}

/** Registries refuse an index whose children they don't have, but not a missing subject. */
function pushTree(state: RegistryState, repository: string, built: Built, id: Id): void {
  at(built.estate.nodes, id).children.forEach((child) => {
    pushTree(state, repository, built, child);
  });
  put(state, repository, at(built.contents, id));
}
