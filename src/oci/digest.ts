/**
 * Digests as the OCI image spec writes them (image-spec descriptor.md, "Digests").
 * Only the two registered algorithms that this program can compute are digests here: what can't be
 * verified must never be judged.
 */
import { createHash } from 'node:crypto';

/** `sha256:<64 lower-case hex>` or `sha512:<128 lower-case hex>`. */
export type Digest = string & { readonly __brand: 'Digest' };

type Algorithm = 'sha256' | 'sha512';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const MENTION = /sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])/g;

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** @throws Error when `text` is not a digest of a supported algorithm. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new Error('not a sha256 or sha512 digest');
  }
  return text;
}

export function algorithmOf(digest: Digest): Algorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The digest of exactly these bytes. */
export function digestOf(bytes: Uint8Array, algorithm: Algorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** Every digest that stands anywhere in `text`, in order of appearance, each once. */
export function digestsIn(text: string): Digest[] {
  const found = [...new Set(text.match(MENTION))];
  // Each is a view of the whole text, for the engine, which would stay in memory with it: so they are copied.
  return JSON.parse(JSON.stringify(found)) as Digest[];
}
