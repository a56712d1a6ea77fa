/**
 * Contents to push: images, indexes, attestations, signatures, referrers, build caches, charts. Pure: the
 * same name and options always give the same bytes, and so the same digest.
 */
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import type { Descriptor, Platform } from '../../../src/oci/manifest.js';
import {
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../../src/oci/media-types.js';

/** A manifest, with all that has to be in the registry before it. */
export interface Content {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly digest: Digest;
  /** config and layers, by digest; those of the children are with the children */
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** the manifests that an index lists */
  readonly children: readonly Content[];
  /** how an index lists it */
  readonly descriptor: Descriptor;
}

export type Family = 'oci' | 'docker';

/** A day long before any test runs: nothing created then is young. */
export const OLD = '2020-01-02T03:04:05Z';

export const LINUX_AMD64: Platform = { os: 'linux', architecture: 'amd64' };
export const LINUX_ARM64: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };

const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
const LAYER = {
  oci: 'application/vnd.oci.image.layer.v1.tar+gzip',
  docker: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

interface Blob {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ManifestOptions {
  readonly family?: Family;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly platform?: Platform;
  readonly artifactType?: string;
  readonly subject?: Content;
  readonly annotations?: Readonly<Record<string, string>>;
  /** false: without the `mediaType` field, which OCI manifests may leave out */
  readonly typed?: boolean;
}

/** An image manifest of exactly this config and these layers. */
export function manifest(options: ManifestOptions): Content {
  const { family = 'oci', config, layers, platform, artifactType, subject, annotations } = options;
  const mediaType = family === 'oci' ? OCI_MANIFEST : DOCKER_MANIFEST;
  return content(
    mediaType,
    {
      schemaVersion: 2,
      ...(options.typed === false ? {} : { mediaType }),
      ...(artifactType === undefined ? {} : { artifactType }),
      config: describe(config),
      layers: layers.map(describe),
      ...(subject === undefined ? {} : { subject: bare(subject.descriptor) }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    {
      blobs: [config, ...layers].map(({ bytes }) => bytes),
      ...(platform === undefined ? {} : { platform }),
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    },
  );
}

export interface ImageOptions {
  readonly family?: Family;
  /** RFC 3339; null leaves `created` out; default `OLD` */
  readonly created?: string | null;
  readonly platform?: Platform;
  /** how many layers of its own; default 1 */
  readonly layers?: number;
  /** layers that it has before its own, the same bytes for everybody who names them */
  readonly base?: readonly string[];
  readonly subject?: Content;
  readonly typed?: boolean;
}

/** A runnable image by its looks: its layers are not really tars. */
export function image(name: string, options: ImageOptions = {}): Content {
  const { family = 'oci', created = OLD, platform = LINUX_AMD64, subject, typed } = options;
  const own = Array.from({ length: options.layers ?? 1 }, (_, n) => `${name} ${String(n)}`);
  const layers = [...(options.base ?? []), ...own].map(layerBytes);
  const config = {
    ...(created === null ? {} : { created }),
    ...platform,
    config: { Labels: { name } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => digestOf(layer)) },
    history: layers.map(() => ({ created: OLD, created_by: 'COPY . /' })),
  };
  return manifest({
    family,
    config: { mediaType: family === 'oci' ? OCI_CONFIG : DOCKER_CONFIG, bytes: encode(config) },
    layers: layers.map((bytes) => ({ mediaType: LAYER[family], bytes })),
    platform,
    ...(subject === undefined ? {} : { subject }),
    ...(typed === undefined ? {} : { typed }),
  });
}

export interface IndexOptions {
  readonly family?: Family;
  readonly subject?: Content;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly typed?: boolean;
}

/** An index (OCI) or manifest list (Docker) of these children, which may be indexes themselves. */
export function index(children: readonly Content[], options: IndexOptions = {}): Content {
  const { family = 'oci', subject, artifactType, annotations } = options;
  const mediaType = family === 'oci' ? OCI_INDEX : DOCKER_LIST;
  return content(
    mediaType,
    {
      schemaVersion: 2,
      ...(options.typed === false ? {} : { mediaType }),
      ...(artifactType === undefined ? {} : { artifactType }),
      manifests: children.map(({ descriptor }) => descriptor),
      ...(subject === undefined ? {} : { subject: bare(subject.descriptor) }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    { children },
  );
}

/** BuildKit's attestation of an image: a sibling of the image in the index that holds both. */
export function attestation(name: string, of: Content): Content {
  const statement = encode({
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: 'https://slsa.dev/provenance/v0.2',
    subject: [{ name, digest: { sha256: of.digest.slice('sha256:'.length) } }],
  });
  const platform = { os: 'unknown', architecture: 'unknown' };
  const plain = manifest({
    config: {
      mediaType: OCI_CONFIG,
      bytes: encode({ ...platform, rootfs: { type: 'layers', diff_ids: [digestOf(statement)] } }),
    },
    layers: [
      {
        mediaType: 'application/vnd.in-toto+json',
        bytes: statement,
        annotations: { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' },
      },
    ],
    platform,
  });
  const annotations = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': of.digest,
  };
  return { ...plain, descriptor: { ...plain.descriptor, annotations } };
}

/** An OCI 1.1 artifact that describes `subject` (SBOM, signature, scan), with an empty config. */
export function referrer(
  name: string,
  subject: Content,
  artifactType = 'application/spdx+json',
): Content {
  return manifest({
    config: { mediaType: EMPTY_TYPE, bytes: Buffer.from('{}') },
    layers: [{ mediaType: artifactType, bytes: encode({ name, about: subject.digest }) }],
    artifactType,
    subject,
    annotations: { 'org.opencontainers.image.created': OLD },
  });
}

export type CosignRole = 'sig' | 'att' | 'sbom';

const COSIGN_LAYER: Readonly<Record<CosignRole, string>> = {
  sig: 'application/vnd.dev.cosign.simplesigning.v1+json',
  att: 'application/vnd.dsse.envelope.v1+json',
  sbom: 'text/spdx+json',
};

/** What cosign pushes under `digestTag(of.digest, role)`: no subject, only the tag's name tells. */
export function cosign(role: CosignRole, of: Content): Content {
  const payload = encode({ critical: { image: { 'docker-manifest-digest': of.digest } }, role });
  return manifest({
    config: {
      mediaType: OCI_CONFIG,
      bytes: encode({
        architecture: '',
        os: '',
        created: '0001-01-01T00:00:00Z',
        rootfs: { type: 'layers', diff_ids: [digestOf(payload)] },
      }),
    },
    layers: [{ mediaType: COSIGN_LAYER[role], bytes: payload }],
  });
}

/** `sha256-<hex>`, the referrers fallback tag of the distribution spec, or cosign's with its suffix. */
export function digestTag(digest: Digest, role?: CosignRole): string {
  return `${digest.replace(':', '-')}${role === undefined ? '' : `.${role}`}`;
}

/** The index that clients keep under `digestTag(subject.digest)` where there is no referrers API. */
export function fallbackIndex(referrers: readonly Content[]): Content {
  return index(referrers);
}

/**
 * A build cache as BuildKit exports it: as an image manifest (`image-manifest=true`), or in the older form,
 * an index that lists *layers*. `base` names layers that it shares with images.
 */
export function buildCache(
  name: string,
  form: 'manifest' | 'index',
  base: readonly string[] = [],
): Content {
  const layers = [...base, `${name} cache`].map((layer) => ({
    mediaType: LAYER.oci,
    bytes: layerBytes(layer),
  }));
  const config = {
    mediaType: 'application/vnd.buildkit.cacheconfig.v0',
    bytes: encode({ layers: layers.map(({ bytes }) => ({ blob: digestOf(bytes) })), records: [] }),
  };
  if (form === 'manifest') {
    return manifest({ config, layers });
  }
  return content(
    OCI_INDEX,
    { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...layers, config].map(describe) },
    { blobs: [...layers, config].map(({ bytes }) => bytes) },
  );
}

export function helmChart(name: string, version: string): Content {
  return manifest({
    config: {
      mediaType: 'application/vnd.cncf.helm.config.v1+json',
      bytes: encode({ apiVersion: 'v2', name, version }),
    },
    layers: [
      {
        mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
        bytes: Buffer.from(`chart ${name} ${version}\n`),
      },
    ],
  });
}

/** Any JSON under any type. Distribution refuses types it doesn't know: seed these in memory. */
export function opaque(mediaType: string, body: unknown): Content {
  return content(mediaType, body, {});
}

function content(
  mediaType: string,
  body: unknown,
  more: {
    readonly blobs?: readonly Buffer[];
    readonly children?: readonly Content[];
    readonly platform?: Platform;
    readonly artifactType?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  },
): Content {
  const { blobs = [], children = [], ...described } = more;
  const bytes = encode(body);
  const digest = digestOf(bytes);
  return {
    bytes,
    mediaType,
    digest,
    blobs: new Map(blobs.map((blob) => [digestOf(blob), blob])),
    children,
    descriptor: { mediaType, digest, size: bytes.length, ...described },
  };
}

function layerBytes(name: string): Buffer {
  return Buffer.from(`layer ${name}\n`);
}

function describe({ mediaType, bytes, annotations }: Blob): Descriptor {
  return {
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** A subject is named by its plain descriptor. */
function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** It, its children, theirs, and so on. */
export function withChildren(content: Content): Content[] {
  return [content, ...content.children.flatMap(withChildren)];
}

/** `repository@digest` of each. */
export function names(repository: string, ...contents: readonly Content[]): string[] {
  return contents.map(({ digest }) => `${repository}@${digest}`);
}

/** The repository of most tests. */
export const APP = 'team/app';
