/**
 * Manifests and descriptors, read from bytes that a registry sent. Nothing in them is trusted: a body
 * that does not fit its media type becomes `unknown`, which is kept together with all it mentions.
 */
import * as v from 'valibot';

import { digestsIn, isDigest, type Digest } from './digest.js';
import {
  isIndexType,
  isManifestType,
  isSchema1Type,
  isSameType,
  mediaTypeOf,
} from './media-types.js';

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
  readonly artifactType?: string;
  readonly platform?: Platform;
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
}

export interface ImageManifest extends Common {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
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
  readonly annotations?: Readonly<Record<string, string>>;
}

/** JSON of a media type, or in a shape, that we don't know. It protects every digest in its text. */
export interface UnknownManifest extends Common {
  readonly kind: 'unknown';
  readonly mentions: readonly Digest[];
}

export type Manifest = ImageManifest | IndexManifest | UnknownManifest;

/** The body can't be taken for a manifest at all, so what it would have protected is not known. */
export class ManifestError extends Error {
  override name = 'ManifestError';
}

export const SCHEMA_1 =
  "it is of Docker's old schema 1, whose digest can't be verified. Push the image again with a current " +
  'client, or leave its repository out with `repositories`';

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** What is only shown or counted is dropped when it is malformed; it can't make a manifest unreadable. */
const lenient = <T>(schema: v.GenericSchema<unknown, T>) =>
  v.fallback(v.optional(schema), undefined);

/** What is no media type at all stays as it is, to be shown. */
const MediaType = v.pipe(
  v.string(),
  v.transform((text) => mediaTypeOf(text) || text),
);

const DescriptorSchema = v.object({
  mediaType: MediaType,
  digest: v.string(),
  size: v.fallback(Size, 0),
  artifactType: lenient(v.string()),
  platform: lenient(
    v.object({ os: v.string(), architecture: v.string(), variant: lenient(v.string()) }),
  ),
  annotations: lenient(v.record(v.string(), v.string())),
  urls: lenient(v.array(v.string())),
});

/** The entry of an index is read whatever its type: one that says none may be a manifest all the same. */
const EntrySchema = v.object({
  ...DescriptorSchema.entries,
  mediaType: v.fallback(MediaType, ''),
});

const common = {
  mediaType: v.nullish(v.string()),
  subject: v.nullish(v.object({ digest: v.string() })),
  artifactType: lenient(v.string()),
  annotations: lenient(v.record(v.string(), v.string())),
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
  // Go writes an empty list as null. What has no list at all may have its children elsewhere.
  manifests: v.nullable(v.array(EntrySchema), []),
  config: v.optional(v.never()),
  layers: v.optional(v.never()),
});

/**
 * Whether an object has one of these keys in other letters. Go, and with it most registries and clients,
 * reads `Manifests`, and `manifeſts` too, as `manifests`: what they find there would be overlooked here.
 * Of keys that are the same to the letter the last one counts, for Go as for us; where Go adds the first one
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

function isOtherwiseSpelt(body: Record<string, unknown>): boolean {
  const { config, subject, layers, manifests } = body;
  const descriptors = [config, subject, layers, manifests].flat();
  return isBodyOtherwiseSpelt(body) || descriptors.some(isDescriptorOtherwiseSpelt);
}

function manifestDigest(text: string, role: string): Digest {
  if (!isDigest(text)) {
    throw new ManifestError(`its ${role} has a digest of an algorithm that can't be verified`);
  }
  return text;
}

function parseBody(bytes: Uint8Array): { text: string; body: Record<string, unknown> } {
  let body: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    body = JSON.parse(text);
  } catch {
    throw new ManifestError('its body is not JSON');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ManifestError('its body is not a JSON object');
  }
  return { text, body: body as Record<string, unknown> };
}

/** Go writes a media type that is not there as an empty one, or null. */
function agrees(said: unknown, mediaType: string): boolean {
  const isSilent = said === undefined || said === null || said === '';
  return isSilent || (typeof said === 'string' && isSameType(said, mediaType));
}

/** Leaves out the keys without a value, as exactOptionalPropertyTypes wants it. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function descriptor(parsed: v.InferOutput<typeof DescriptorSchema>): Descriptor {
  const { mediaType, digest, size, artifactType, annotations, urls, platform } = parsed;
  return {
    mediaType,
    digest,
    size,
    ...defined({
      artifactType,
      annotations,
      urls,
      platform: platform && {
        os: platform.os,
        architecture: platform.architecture,
        ...defined({ variant: platform.variant }),
      },
    }),
  };
}

/**
 * Reads a manifest from the bytes of an answer.
 *
 * @param contentType the answer's Content-Type; the body's own `mediaType` has to agree with it
 * @param digest the digest of exactly these bytes, computed by the caller
 * @throws ManifestError when the bytes are no JSON object, are Docker schema 1, or name a child or
 *   subject by a digest that can't be verified
 */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  digest: Digest,
): Manifest {
  const { text, body } = parseBody(bytes);
  const mediaType = mediaTypeOf(contentType);
  if (isSchema1Type(mediaType) || body['schemaVersion'] === 1) {
    throw new ManifestError(SCHEMA_1);
  }
  const base = { digest, mediaType, size: bytes.byteLength };
  const isTyped = isManifestType(mediaType) && agrees(body['mediaType'], mediaType);
  if (isTyped && !isOtherwiseSpelt(body)) {
    const known = isIndexType(mediaType) ? readIndex(body, base) : readImage(body, base);
    if (known !== undefined) {
      return known;
    }
  }
  // Escapes such as \u003a hide a digest from the raw text, duplicate keys from the parsed one.
  const mentions = digestsIn(`${text}\n${unescaped(body)}`).filter((other) => other !== digest);
  return { ...base, kind: 'unknown', mentions };
}

function unescaped(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch {
    // The engine's stack is all that JSON can be too much for.
    throw new ManifestError('its body is nested too deeply');
  }
}

function readImage(body: unknown, base: Common): ImageManifest | undefined {
  const parsed = v.safeParse(ImageSchema, body);
  if (!parsed.success) {
    return undefined;
  }
  const { config, layers, ...rest } = parsed.output;
  return {
    ...base,
    kind: 'image',
    config: descriptor(config),
    layers: layers.map(descriptor),
    ...shared(rest),
  };
}

function readIndex(body: unknown, base: Common): IndexManifest | undefined {
  const parsed = v.safeParse(IndexSchema, body);
  if (!parsed.success) {
    return undefined;
  }
  const { manifests, ...rest } = parsed.output;
  const entries = manifests.map(descriptor);
  return {
    ...base,
    kind: 'index',
    children: entries
      .filter((entry) => isManifestType(entry.mediaType))
      .map((entry) => ({ ...entry, digest: manifestDigest(entry.digest, 'child') })),
    others: entries.filter((entry) => !isManifestType(entry.mediaType)),
    ...shared(rest),
  };
}

function shared(fields: {
  subject?: { digest: string } | null | undefined;
  artifactType?: string | undefined;
  annotations?: Record<string, string> | undefined;
}) {
  const { subject, artifactType, annotations } = fields;
  return defined({
    subject: subject ? manifestDigest(subject.digest, 'subject') : undefined,
    artifactType,
    annotations,
  });
}
