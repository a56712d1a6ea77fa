/**
 * Reads a tag by its bytes. A HEAD may be answered with another manifest's digest (distribution-spec#207), so HEAD
 * alone is good enough only where nothing is deleted because of it.
 */
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { RegistryError } from '../registry/registry-error.js';

/** A push writes a tag in several steps, and Distribution lists it after the first: so often it is asked for. */
export const MOST_READS = 4;
/** Milliseconds between them. */
export const PAUSE = 500;

/** So often a tag is read where HEAD and GET disagree: it may move between the two questions, but not each time. */
const MOST_ROUNDS = 3;

/**
 * One GET, and where the tag is not where it was, one HEAD, which has to say the same.
 *
 * @param before where it was seen before
 * @param get reads it; `undefined` when the registry says that its manifest is unknown
 * @param head resolves it; `undefined` when the answer does not tell
 * @throws RegistryError when the two go on to disagree
 */
export async function readTag(
  before: Digest | undefined,
  get: () => Promise<Manifest | undefined>,
  head: () => Promise<Digest | undefined>,
): Promise<Manifest | undefined> {
  for (let round = 1; ; round += 1) {
    const manifest = await get();
    if (manifest === undefined || before === undefined || manifest.digest === before) {
      return manifest;
    }
    const said = await head();
    if (said === undefined || said === manifest.digest) {
      return manifest;
    }
    if (round === MOST_ROUNDS) {
      throw new RegistryError(
        'unexpected',
        `HEAD says that it points at ${said}, and GET brings ${manifest.digest}. A proxy that ignores \`Accept\` ` +
          'answers so: let it pass requests under `/v2/` through unchanged, or give `registry-url` the address of the ' +
          'registry itself',
      );
    }
  }
}
