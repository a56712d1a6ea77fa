/**
 * Names as the OCI distribution spec allows them (distribution-spec spec.md, "Pulling manifests").
 * Every name that a registry or a user gives to a repository or a tag passes through here before it comes near
 * a URL or a log.
 */
import { parseDigest, type Digest } from './digest.js';

const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const DIGEST_TAG = /^sha256-([0-9a-f]{64})(?:\.(sig|att|sbom))?$/;

/** "Many clients impose a limit of 255 characters" (distribution-spec); so do registries. */
const REPOSITORY_LENGTH = 255;

export function isRepository(text: string): boolean {
  return text.length <= REPOSITORY_LENGTH && REPOSITORY.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * The meaning of a digest tag's name. `fallback` is the referrers tag of the distribution spec
 * (`sha256-<hex>`); the others are cosign's. Cosign's optional prefix and sha512 (cut off in tags) make
 * an ordinary tag here, and so a root: keeping too much is the safe mistake.
 */
export interface DigestTag {
  readonly tag: string;
  readonly names: Digest;
  readonly role: 'fallback' | 'sig' | 'att' | 'sbom';
}

export function parseDigestTag(tag: string): DigestTag | undefined {
  const match = DIGEST_TAG.exec(tag);
  if (match === null) {
    return undefined;
  }
  const role = match[2] as 'sig' | 'att' | 'sbom' | undefined;
  return { tag, names: parseDigest(`sha256:${match[1] ?? ''}`), role: role ?? 'fallback' };
}
