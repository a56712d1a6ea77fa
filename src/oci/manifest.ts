/**
 * Manifests and descriptors, read from bytes that a registry sent. Nothing in them is trusted: a body
 * that does not fit its media type becomes `unknown`, which is kept together with all it mentions.
 */
import * as v from 'valibot';

import { digestsIn, isDigest, type Digest } from './digest.js';
import { JsonLimitError, checkJson, inForm, lenient } from './json.js';
import { Labels, type Version } from './labels.js';
import { isIndexType, isManifestType, isSchema1Type, mediaTypeOf } from './media-types.js';
import { OCI_INDEX, OCI_MANIFEST } from './media-types.js';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** A descriptor of a blob or manifest. `digest` of a blob may be of any algorithm: it's only a key. */
export interface Descriptor {
  /** in small letters and without parameters; as it stands there when it has not the form of a media type */
  readonly mediaType: string;
  readonly digest: string;
  /** bytes, as the manifest claims */
  readonly size: number;
  readonly platform?: Platform;
  /** of those only the ones that say what an attestation is about */
  readonly annotations?: Readonly<Record<string, string>>;
  /** present when the blob is to be fetched from elsewhere and may not be in the registry at all */
  readonly urls?: readonly string[];
}

/** A descriptor whose digest this program can verify, and may therefore fetch and judge. */
export interface ManifestDescriptor extends Descriptor {
  readonly digest: Digest;
}

interface Common {
  /** computed from the bytes */
  readonly digest: Digest;
  readonly mediaType: string;
  /** bytes of the manifest itself */
  readonly size: number;
  /** by its annotations; absent when they have neither */
  readonly labels?: Version;
}

export interface ImageManifest extends Common {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Digest;
  readonly artifactType?: string;
}

export interface IndexManifest extends Common {
  readonly kind: 'index';
  /** the entries that are manifests: the index's children */
  readonly children: readonly ManifestDescriptor[];
  /**
   * all other entries: old BuildKit caches list their layers here. Their media type may be `''` (absent, empty or
   * no text), and their digest of any algorithm
   */
  readonly others: readonly Descriptor[];
  readonly subject?: Digest;
  readonly artifactType?: string;
}

/** JSON of a media type, or in a shape, that we don't know. It protects every digest in its text. */
interface UnknownManifest extends Common {
  readonly kind: 'unknown';
  readonly mentions: readonly Digest[];
  readonly subject?: undefined;
}

export type Manifest = ImageManifest | IndexManifest | UnknownManifest;

/** The body can't be taken for a manifest at all, so what it would have protected is not known. */
export class ManifestError extends Error {
  override name = 'ManifestError';
}

export const SCHEMA_1 =
  "it is of Docker's old schema 1, whose digest can't be verified. Push the image again with a current " +
  'client, or leave its repository out with `repositories`';

/** The longest list there is, a fallback index of 4 MiB, holds some 14,000 referrers. */
const MOST_DESCRIPTORS = 20_000;
/** Lists, objects and commas: more than 4 MiB of the least descriptors with a platform hold. */
const MOST_VALUES = 150_000;
const TOO_MUCH =
  ', which no tool makes. If nobody needs it, delete it with another tool, or leave its repository out with ' +
  '`repositories`';

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A text that isn't a media type stays as it is, to be shown. */
const MediaType = v.pipe(
  v.string(),
  v.transform((text) => mediaTypeOf(text) || text),
);

/** The only ones that anything is read from: the rest would be most of what a large run keeps in memory. */
const Annotations = v.pipe(
  v.object({
    'vnd.docker.reference.type': lenient(v.string()),
    'vnd.docker.reference.digest': lenient(v.string()),
  }),
  v.transform((all) => {
    const texts: (string | undefined)[] = Object.values(all);
    return texts.some((text) => text !== undefined) ? all : undefined;
  }),
);

const DescriptorSchema = v.object({
  mediaType: MediaType,
  digest: v.string(),
  size: v.fallback(Size, 0),
  platform: lenient(
    v.object({ os: v.string(), architecture: v.string(), variant: lenient(v.string()) }),
  ),
  annotations: lenient(Annotations),
  urls: lenient(v.array(v.string())),
});

/** Every entry of an index is read: one without a type may be a manifest all the same. */
const EntrySchema = v.object({
  ...DescriptorSchema.entries,
  mediaType: v.fallback(MediaType, ''),
});

const common = {
  mediaType: v.nullish(v.string()),
  subject: v.nullish(v.object({ digest: v.string() })),
  artifactType: lenient(v.string()),
  annotations: lenient(Labels),
};

/** `v.never()` on the other kind's fields: a body that is both an image and an index is neither
 *  (CVE-2021-41190). */
const ImageSchema = v.object({
  ...common,
  config: DescriptorSchema,
  layers: v.nullish(v.array(DescriptorSchema), []),
  manifests: v.optional(v.never()),
});
const IndexSchema = v.object({
  ...common,
  // Go writes an empty list as null. A body without a list may have its children elsewhere.
  manifests: v.nullable(v.array(EntrySchema), []),
  config: v.optional(v.never()),
  layers: v.optional(v.never()),
});

/**
 * Whether an object has one of these keys in other letters. Go, and with it most registries and clients,
 * reads `Manifests`, and `manifeſts` too, as `manifests`: what they find there would be overlooked here.
 * The last of several keys that are the same to the letter counts, for Go as for us; where Go adds the first one
 * to it, the last one alone does not fit its schema.
 */
function otherwiseSpelt(keys: readonly string[]): (value: unknown) => boolean {
  const exact = new Set(keys);
  // Both flags together fold case as Go does.
  const folded = new RegExp(`^(?:${keys.join('|')})$`, 'iu');
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).some((key) => !exact.has(key) && folded.test(key));
}

const isBodyOtherwiseSpelt = otherwiseSpelt(['schemaVersion', ...Object.keys(IndexSchema.entries)]);
const isDescriptorOtherwiseSpelt = otherwiseSpelt(Object.keys(DescriptorSchema.entries));

function isOtherwiseSpelt(body: Body): boolean {
  const { config, subject, layers, manifests } = body;
  const descriptors = [config, subject, layers, manifests].flat();
  return isBodyOtherwiseSpelt(body) || descriptors.some(isDescriptorOtherwiseSpelt);
}

type Body = Record<string, unknown>;

function manifestDigest(text: string, role: string): Digest {
  if (!isDigest(text)) {
    throw new ManifestError(`its ${role} has a digest of an algorithm that can't be verified`);
  }
  return text;
}

function parseBody(bytes: Uint8Array): { text: string; body: Body } {
  let body: unknown;
  let text: string;
  try {
    checkJson(bytes, MOST_VALUES);
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    body = JSON.parse(text);
  } catch (error) {
    throw new ManifestError(
      error instanceof JsonLimitError
        ? `its body ${error.message}${TOO_MUCH}`
        : "its body isn't valid JSON",
    );
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ManifestError("its body isn't a JSON object");
  }
  return { text, body: body as Body };
}

/** Most say no more than three things, and a large run keeps millions. */
function descriptor(parsed: v.InferOutput<typeof DescriptorSchema>): Descriptor {
  const { mediaType, digest, size, annotations, urls, platform } = parsed;
  return [annotations, urls, platform].every((more) => more === undefined)
    ? { mediaType, digest, size }
    : { mediaType, digest, size, annotations, urls, platform };
}

/** The types that a server gives to bytes that it knows nothing about. Any other type counts. */
const SAYS_NOTHING = new Set([
  '',
  'application/octet-stream',
  'binary/octet-stream',
  'application/x-octet-stream',
  'application/unknown',
  'application/json',
  'text/json',
  'text/plain',
]);

/**
 * By its shape, a body without a `mediaType`, which only OCI's may lack. Config and layers both, or manifests:
 * other things have a `config`, too.
 */
function typeOfShape({ schemaVersion, config, layers, manifests }: Body): string {
  const isImage = Array.isArray(layers) && config !== undefined;
  const type = Array.isArray(manifests) ? OCI_INDEX : isImage ? OCI_MANIFEST : '';
  return schemaVersion === 2 ? type : '';
}

export interface ReadManifest {
  readonly manifest: Manifest;
  /** whether the body says itself of which type it is: that is proved by its digest */
  readonly saysItsType: boolean;
  /** whether the Content-Type told nothing */
  readonly isUntyped: boolean;
}

/**
 * Reads a manifest from the bytes of an answer.
 *
 * @param contentType the answer's Content-Type, with which the body's own `mediaType` has to agree. Where it says
 *   nothing, the body decides: its `mediaType`, or else its shape
 * @param digest the digest of exactly these bytes, computed by the caller
 * @throws ManifestError when the bytes aren't a JSON object, are Docker schema 1, hold more than any manifest does,
 *   or name a child or subject by a digest that can't be verified
 */
export function readManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  digest: Digest,
): ReadManifest {
  const { text, body } = parseBody(bytes);
  const { mediaType: said } = body;
  const own = typeof said === 'string' ? mediaTypeOf(said) : '';
  const answered = mediaTypeOf(contentType);
  const isUntyped = SAYS_NOTHING.has(answered);
  // Go writes a media type that is not there as an empty one, or null.
  const isSilent = (said ?? '') === '';
  const told = isSilent ? typeOfShape(body) : own;
  const mediaType = isUntyped && told !== '' ? told : answered;
  if (isSchema1Type(mediaType) || body['schemaVersion'] === 1) {
    throw new ManifestError(SCHEMA_1);
  }
  const base = { digest, mediaType, size: bytes.byteLength };
  const agrees = isSilent || own === mediaType;
  const manifest =
    isManifestType(mediaType) && agrees && !isOtherwiseSpelt(body)
      ? (isIndexType(mediaType) ? readIndex : readImage)(body, base)
      : undefined;
  return {
    manifest: manifest ?? { ...base, kind: 'unknown', mentions: mentionsIn(text, body, digest) },
    saysItsType: own !== '' && own === mediaType,
    isUntyped,
  };
}

/** As `readManifest`, where only the manifest matters. */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  digest: Digest,
): Manifest {
  return readManifest(bytes, contentType, digest).manifest;
}

/** Escapes such as \u003a hide a digest from the raw text, duplicate keys from the parsed one. */
function mentionsIn(text: string, body: unknown, digest: Digest): Digest[] {
  const all = digestsIn(text.includes('\\') ? `${text}\n${JSON.stringify(body)}` : text);
  checkCount(all, 'mentions');
  return all.filter((other) => other !== digest);
}

function checkCount(descriptors: readonly unknown[] = [], what: string): void {
  if (descriptors.length > MOST_DESCRIPTORS) {
    throw new ManifestError(`it has more than ${String(MOST_DESCRIPTORS)} ${what}${TOO_MUCH}`);
  }
}

function readImage(body: unknown, base: Common): ImageManifest | undefined {
  const parsed = inForm(ImageSchema, body);
  checkCount(parsed?.layers, 'layers');
  return (
    parsed && {
      ...base,
      kind: 'image',
      config: descriptor(parsed.config),
      layers: parsed.layers.map(descriptor),
      subject: subjectOf(parsed),
      artifactType: parsed.artifactType,
      ...(parsed.annotations && { labels: parsed.annotations }),
    }
  );
}

function readIndex(body: unknown, base: Common): IndexManifest | undefined {
  const parsed = inForm(IndexSchema, body);
  checkCount(parsed?.manifests, 'entries');
  const entries = parsed?.manifests.map(descriptor) ?? [];
  return (
    parsed && {
      ...base,
      kind: 'index',
      children: entries
        .filter((entry) => isManifestType(entry.mediaType))
        .map((entry) => ({ ...entry, digest: manifestDigest(entry.digest, 'child') })),
      others: entries.filter((entry) => !isManifestType(entry.mediaType)),
      subject: subjectOf(parsed),
      artifactType: parsed.artifactType,
      ...(parsed.annotations && { labels: parsed.annotations }),
    }
  );
}

function subjectOf({ subject }: { subject?: { digest: string } | null }): Digest | undefined {
  return subject ? manifestDigest(subject.digest, 'subject') : undefined;
}
