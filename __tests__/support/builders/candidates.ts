/** Digests and results as the tests of candidates write them down. */
import type { Intake } from '../../../src/run/candidates/candidate.js';
import { parseDigest, type Digest } from '../../../src/oci/digest.js';

/** A digest that is made of one character. */
export function digest(hex: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${hex.repeat(algorithm === 'sha256' ? 64 : 128)}`);
}

/** `repository@digest`, sorted. */
export function named(intake: Intake): string[] {
  return [...intake.candidates]
    .flatMap(([repository, digests]) => [...digests].map((one) => `${repository}@${one}`))
    .sort();
}
