/**
 * What a manifest is, in words that its owner knows: image, index, signature, chart. Told from media
 * types, annotations, digest tags and parents that were read anyway; a description never decides
 * anything. Strings in it come from the registry: escape labels before printing.
 */
import type { Inventory } from '../plan/inventory.js';
import type { Version } from '../oci/labels.js';
import { isDigest, type Digest } from '../oci/digest.js';
import type {
  ImageManifest,
  IndexManifest,
  ManifestDescriptor,
  Platform,
} from '../oci/manifest.js';
import { isImageConfigType } from '../oci/media-types.js';
import { compare } from '../plan/graph.js';
import { parseDigestTag, type DigestTag } from '../oci/reference.js';
import { code } from '../text/markdown.js';
import { printable } from '../text/printable.js';
import { count, digits, shortDigest } from '../text/words.js';

const NOUNS = {
  image: 'image',
  index: 'index',
  /** BuildKit's provenance or SBOM, an index's child beside the image that it describes */
  'build-attestation': 'build attestation',
  cosign: 'cosign manifest',
  referrer: 'referrer',
  /** the index under a fallback tag, which lists a manifest's referrers */
  'referrers-index': 'list of referrers',
  'build-cache': 'build cache',
  'helm-chart': 'Helm chart',
  artifact: 'artifact',
  unknown: 'unknown manifest',
};

export interface Description {
  readonly kind: keyof typeof NOUNS;
  /** of a `cosign` manifest */
  readonly role?: 'signature' | 'attestation' | 'SBOM';
  /** the manifest that it describes, signs, lists the referrers of or refers to */
  readonly of?: Digest;
  /** of a `referrer` or `artifact` */
  readonly artifactType?: string;
  /** of an `unknown` manifest that was read */
  readonly mediaType?: string;
  /** of an `image` */
  readonly platform?: Platform;
  /** of an `index`: each once */
  readonly platforms?: readonly Platform[];
}

const CACHE_CONFIG = 'application/vnd.buildkit.cacheconfig.v0';
const HELM_CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const IN_TOTO = 'application/vnd.in-toto+json';
const DSSE = 'application/vnd.dsse.envelope.v1+json';
const LAYER = /^application\/vnd\.(?:oci\.image\.layer\.|docker\.image\.rootfs\.)/;
const COSIGN_ROLES = { sig: 'signature', att: 'attestation', sbom: 'SBOM' } as const;
const PLATFORMS_SHOWN = 6;
/** More of them are only counted, since the rows of a table below name each. */
const BRIEF_PLATFORMS = 2;
const TYPE_LENGTH = 100;
const BRIEF_TYPE_LENGTH = 40;
const PLATFORM_LENGTH = 40;

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
      default:
        return { kind: 'unknown', mediaType: manifest?.mediaType };
    }
  };
}

/** Each child's entry. Of several parents the one with the least digest counts, in whatever order they were read. */
function parentsOf({ manifests }: Inventory): ReadonlyMap<Digest, ManifestDescriptor> {
  const parents = new Map<Digest, ManifestDescriptor>();
  const indexes = [...manifests.values()].filter((manifest) => manifest.kind === 'index');
  for (const { children } of indexes.sort((a, b) => compare(a.digest, b.digest))) {
    for (const entry of children) {
      parents.set(entry.digest, parents.get(entry.digest) ?? entry);
    }
  }
  return parents;
}

function digestTagsOf({ tags }: Inventory): ReadonlyMap<Digest, DigestTag> {
  const named = [...tags].flatMap(([tag, digest]) => {
    const parsed = parseDigestTag(tag);
    return parsed === undefined ? [] : [[digest, parsed] as const];
  });
  // The last that is set stays: the least.
  return new Map(named.sort(([, a], [, b]) => compare(b.tag, a.tag)));
}

function describeImage(
  manifest: ImageManifest,
  digestTag: DigestTag | undefined,
  parent: ManifestDescriptor | undefined,
  platform: Platform | undefined,
): Description {
  const { config, layers, subject } = manifest;
  const type = manifest.artifactType ?? config.mediaType;
  const isImage = manifest.artifactType === undefined && isImageConfigType(config.mediaType);
  const holds = (mediaType: string) => layers.some((layer) => layer.mediaType === mediaType);
  if (digestTag !== undefined && digestTag.role !== 'fallback') {
    return { kind: 'cosign', role: COSIGN_ROLES[digestTag.role], of: digestTag.names };
  }
  if (holds(SIMPLE_SIGNING)) {
    return { kind: 'cosign', role: 'signature', of: subject };
  }
  if (parent?.annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') {
    const described = parent.annotations['vnd.docker.reference.digest'] ?? '';
    return { kind: 'build-attestation', of: isDigest(described) ? described : undefined };
  }
  if (config.mediaType === CACHE_CONFIG) {
    return { kind: 'build-cache' };
  }
  if (config.mediaType === HELM_CONFIG) {
    return { kind: 'helm-chart' };
  }
  if (subject !== undefined) {
    return { kind: 'referrer', of: subject, artifactType: isImage ? undefined : type };
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
  const platforms = children.flatMap(({ platform }) => known(platform) ?? []);
  const byName = new Map(platforms.map((platform) => [platformName(platform), platform]));
  return { kind: 'index', platforms: [...byName.values()] };
}

/** Tools write `unknown/unknown` for what runs nowhere, such as attestations. */
function known(platform: Platform | undefined): Platform | undefined {
  const { os = '', architecture = '' } = platform ?? {};
  const isKnown = [os, architecture].some((part) => !['', 'unknown'].includes(part));
  return isKnown ? platform : undefined;
}

/** `linux/arm64/v8` */
function platformName({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** The version and revision that its builder wrote into it: its annotations, or else its config's labels. */
export function versionOf(digest: Digest, { manifests, facts }: Inventory): Version {
  const own = manifests.get(digest)?.labels;
  return { ...facts.get(digest)?.labels, ...own };
}

const VERSION_LENGTH = 20;

/**
 * The version, unless a tag has said it already, and the revision, cut short as Git does; in Markdown.
 *
 * @param tags that the manifest had last
 */
export function versionWords(
  { version, revision }: Version,
  tags: readonly string[] = [],
): readonly string[] {
  const commit = revision?.replace(/^([0-9a-f]{7})[0-9a-f]+$/, '$1');
  return [
    version !== undefined && !tags.includes(version) && `version ${code(version, VERSION_LENGTH)}`,
    commit !== undefined && `revision ${code(commit, VERSION_LENGTH)}`,
  ].filter((fact) => fact !== false);
}

/**
 * In a few words, digests cut short. Plain text on one line that may hold anything the registry says.
 *
 * @param isBrief for a table: digests without their algorithm, and many platforms only counted
 */
export function label(description: Description, isBrief = false): string {
  const { kind, role, of, artifactType, mediaType, platform, platforms = [] } = description;
  const type = artifactType ?? mediaType;
  const short = isBrief ? digits : shortDigest;
  return [
    role ?? NOUNS[kind],
    platform === undefined ? '' : ` ${platformLabel(platform)}`,
    platforms.length === 0 ? '' : ` of ${platformList(platforms, isBrief)}`,
    of === undefined ? '' : ` of ${short(of)}`,
    type === undefined
      ? ''
      : `${of === undefined ? '' : ','} ${printable(type, isBrief ? BRIEF_TYPE_LENGTH : TYPE_LENGTH)}`,
  ].join('');
}

function platformList(platforms: readonly Platform[], isBrief: boolean): string {
  if (isBrief && platforms.length > BRIEF_PLATFORMS) {
    return count(platforms.length, 'platform');
  }
  const shown = platforms.slice(0, PLATFORMS_SHOWN).map(platformLabel);
  const more = platforms.length - shown.length;
  return (more > 0 ? [...shown, `${String(more)} more`] : shown).join(', ');
}

function platformLabel(platform: Platform): string {
  return printable(platformName(platform), PLATFORM_LENGTH);
}
