/**
 * What a manifest is, in words that its owner knows: image, index, signature, chart. Told from media
 * types, annotations, digest tags and parents that were read anyway; a description never decides
 * anything. Strings in it come from the registry: escape labels before printing.
 */
import type { Inventory } from '../plan/inventory.js';
import { isDigest, type Digest } from '../oci/digest.js';
import type {
  ImageManifest,
  IndexManifest,
  ManifestDescriptor,
  Platform,
} from '../oci/manifest.js';
import { isImageConfigType } from '../oci/media-types.js';
import { parseDigestTag, type DigestTag } from '../oci/reference.js';
import { printable } from '../text/printable.js';
import { shortDigest } from '../text/words.js';

type CosignRole = 'signature' | 'attestation' | 'SBOM';

export type Description =
  | { readonly kind: 'image'; readonly platform?: Platform }
  | { readonly kind: 'index'; readonly platforms: readonly Platform[] }
  /** BuildKit's provenance or SBOM, an index's child beside the image that it describes */
  | { readonly kind: 'build-attestation'; readonly of?: Digest }
  | { readonly kind: 'cosign'; readonly role: CosignRole; readonly of?: Digest }
  | { readonly kind: 'referrer'; readonly of: Digest; readonly artifactType?: string }
  /** the index under a fallback tag, which lists a manifest's referrers */
  | { readonly kind: 'referrers-index'; readonly of: Digest }
  | { readonly kind: 'build-cache' }
  | { readonly kind: 'helm-chart' }
  | { readonly kind: 'artifact'; readonly artifactType: string }
  | { readonly kind: 'unknown'; readonly mediaType?: string };

const CACHE_CONFIG = 'application/vnd.buildkit.cacheconfig.v0';
const HELM_CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const IN_TOTO = 'application/vnd.in-toto+json';
const DSSE = 'application/vnd.dsse.envelope.v1+json';
const LAYER = /^application\/vnd\.(?:oci\.image\.layer\.|docker\.image\.rootfs\.)/;
const COSIGN_ROLES = { sig: 'signature', att: 'attestation', sbom: 'SBOM' } as const;
const PLATFORMS_SHOWN = 6;
const TYPE_LENGTH = 100;
const PLATFORM_LENGTH = 40;

interface Parent {
  readonly digest: Digest;
  readonly entry: ManifestDescriptor;
}

/** A function that describes this inventory's manifests. Reads all of its indexes once. */
export function describer(inventory: Inventory): (digest: Digest) => Description {
  const parents = parentsOf(inventory);
  const digestTags = digestTagsOf(inventory);
  return (digest) => {
    const manifest = inventory.manifests.get(digest);
    switch (manifest?.kind) {
      case 'image': {
        const parent = parents.get(digest);
        const platform = known(parent?.platform) ?? known(inventory.facts.get(digest)?.platform);
        return describeImage(manifest, digestTags.get(digest), parent, platform);
      }
      case 'index':
        return describeIndex(manifest, digestTags.get(digest));
      case 'unknown':
        return { kind: 'unknown', mediaType: manifest.mediaType };
      case undefined:
        return { kind: 'unknown' };
    }
  };
}

/** Each child's entry. Of several parents the one with the least digest speaks, whatever was read first. */
function parentsOf(inventory: Inventory): ReadonlyMap<Digest, ManifestDescriptor> {
  const parents = new Map<Digest, Parent>();
  for (const [digest, manifest] of inventory.manifests) {
    for (const entry of manifest.kind === 'index' ? manifest.children : []) {
      const parent = parents.get(entry.digest);
      if (parent === undefined || digest < parent.digest) {
        parents.set(entry.digest, { digest, entry });
      }
    }
  }
  return new Map([...parents].map(([child, { entry }]) => [child, entry]));
}

function digestTagsOf(inventory: Inventory): ReadonlyMap<Digest, DigestTag> {
  const digestTags = new Map<Digest, DigestTag>();
  for (const [tag, digest] of inventory.tags) {
    const parsed = parseDigestTag(tag);
    const other = digestTags.get(digest);
    if (parsed !== undefined && (other === undefined || parsed.tag < other.tag)) {
      digestTags.set(digest, parsed);
    }
  }
  return digestTags;
}

function describeImage(
  manifest: ImageManifest,
  digestTag: DigestTag | undefined,
  parent: ManifestDescriptor | undefined,
  platform: Platform | undefined,
): Description {
  const { config, layers, subject } = manifest;
  const of = subject === undefined ? {} : { of: subject };
  const type = manifest.artifactType ?? config.mediaType;
  const isImage = manifest.artifactType === undefined && isImageConfigType(config.mediaType);
  const holds = (mediaType: string) => layers.some((layer) => layer.mediaType === mediaType);
  if (digestTag !== undefined && digestTag.role !== 'fallback') {
    return { kind: 'cosign', role: COSIGN_ROLES[digestTag.role], of: digestTag.names };
  }
  if (holds(SIMPLE_SIGNING)) {
    return { kind: 'cosign', role: 'signature', ...of };
  }
  if (parent?.annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') {
    const described = parent.annotations['vnd.docker.reference.digest'] ?? '';
    return { kind: 'build-attestation', ...(isDigest(described) ? { of: described } : {}) };
  }
  if (config.mediaType === CACHE_CONFIG) {
    return { kind: 'build-cache' };
  }
  if (config.mediaType === HELM_CONFIG) {
    return { kind: 'helm-chart' };
  }
  if (subject !== undefined) {
    return { kind: 'referrer', of: subject, ...(isImage ? {} : { artifactType: type }) };
  }
  if (holds(DSSE)) {
    return { kind: 'cosign', role: 'attestation' };
  }
  if (isImage) {
    // An attestation whose index isn't here: BuildKit gives it an image's config, but no image's layers.
    return holds(IN_TOTO) ? { kind: 'build-attestation' } : { kind: 'image', platform };
  }
  return { kind: 'artifact', artifactType: type };
}

function describeIndex(manifest: IndexManifest, digestTag: DigestTag | undefined): Description {
  const { children, others, subject, artifactType } = manifest;
  if (digestTag?.role === 'fallback') {
    return { kind: 'referrers-index', of: digestTag.names };
  }
  if (others.some(({ mediaType }) => mediaType === CACHE_CONFIG || LAYER.test(mediaType))) {
    return { kind: 'build-cache' };
  }
  if (subject !== undefined) {
    return { kind: 'referrer', of: subject, artifactType };
  }
  if (artifactType !== undefined) {
    return { kind: 'artifact', artifactType };
  }
  const platforms = new Map<string, Platform>();
  for (const child of children) {
    const platform = known(child.platform);
    if (platform !== undefined) {
      platforms.set(platformName(platform), platform);
    }
  }
  return { kind: 'index', platforms: [...platforms.values()] };
}

/** Tools write `unknown/unknown` for what runs nowhere, such as attestations. */
function known(platform: Platform | undefined): Platform | undefined {
  const empty = ['', 'unknown'];
  return platform === undefined ||
    (empty.includes(platform.os) && empty.includes(platform.architecture))
    ? undefined
    : platform;
}

/** `linux/arm64/v8` */
function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** In a few words, digests cut short. Plain text on one line that may hold anything the registry says. */
export function label(description: Description): string {
  switch (description.kind) {
    case 'image':
      return description.platform === undefined ? 'image' : `image ${shown(description.platform)}`;
    case 'index':
      return indexLabel(description.platforms);
    case 'build-attestation':
      return `build attestation${ofDigest(description.of)}`;
    case 'cosign':
      return `${description.role}${ofDigest(description.of)}`;
    case 'referrer': {
      const { artifactType } = description;
      return `referrer${ofDigest(description.of)}${artifactType === undefined ? '' : `, ${type(artifactType)}`}`;
    }
    case 'referrers-index':
      return `list of referrers${ofDigest(description.of)}`;
    case 'build-cache':
      return 'build cache';
    case 'helm-chart':
      return 'Helm chart';
    case 'artifact':
      return `artifact ${type(description.artifactType)}`;
    case 'unknown':
      return description.mediaType === undefined
        ? 'unknown manifest'
        : `unknown manifest ${type(description.mediaType)}`;
  }
}

function indexLabel(platforms: readonly Platform[]): string {
  const names = platforms.slice(0, PLATFORMS_SHOWN).map(shown);
  const more = platforms.length - names.length;
  const all = more > 0 ? [...names, `${String(more)} more`] : names;
  return all.length === 0 ? 'index' : `index of ${all.join(', ')}`;
}

const shown = (platform: Platform) => printable(platformName(platform), PLATFORM_LENGTH);
const type = (mediaType: string) => printable(mediaType, TYPE_LENGTH);
const ofDigest = (of: Digest | undefined) => (of === undefined ? '' : ` of ${shortDigest(of)}`);
