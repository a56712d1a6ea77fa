/**
 * Parks the blobs of manifests that are about to be deleted, where the registry frees them with their manifest. Where
 * that is refused, nothing brings the manifest back: its delete is final, and the report says so.
 */
import pMap from 'p-map';

import { failureMessage } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { entriesOf } from '../plan/naming.js';
import type { Parking } from '../registry/registry.js';
import { requiredBlobsOf } from './saved-copy.js';

/** After so many refusals and no success, the others would be refused as well. */
const MOST_REFUSED = 3;

export interface ParkingOptions {
  readonly parking: Parking;
  readonly concurrency: number;
}

/**
 * Parks all blobs of these manifests, each of them once.
 *
 * @returns by manifest that can't be restored after its delete, the reason; safe to print
 */
export async function parkBlobs(
  repository: string,
  manifests: readonly Manifest[],
  { parking, concurrency }: ParkingOptions,
): Promise<ReadonlyMap<Digest, string>> {
  const blobs = new Set(manifests.flatMap(requiredBlobsOf));
  const refusals = new Map<Digest, string>();
  let hasParked = false;
  let last = '';
  const park = async (blob: Digest) => {
    if (!hasParked && refusals.size >= MOST_REFUSED) {
      refusals.set(blob, last);
      return;
    }
    try {
      await parking.park(repository, blob);
      hasParked = true;
    } catch (error) {
      last = failureMessage(error);
      refusals.set(blob, last);
    }
  };
  await pMap(blobs, park, { concurrency });
  return finalOf(manifests, refusals);
}

/** An index can't be restored without its entries. */
function finalOf(
  manifests: readonly Manifest[],
  refusals: ReadonlyMap<Digest, string>,
): ReadonlyMap<Digest, string> {
  const final = new Map<Digest, string>();
  let before: number;
  do {
    before = final.size;
    for (const manifest of manifests) {
      const parts = manifest.kind === 'index' ? entriesOf(manifest) : [];
      const why = [
        ...requiredBlobsOf(manifest).map((digest) => refusals.get(digest)),
        ...parts.map((digest) => final.get(digest)),
      ].find((each) => each !== undefined);
      if (why !== undefined && !final.has(manifest.digest)) {
        final.set(manifest.digest, why);
      }
    }
  } while (final.size > before);
  return final;
}
