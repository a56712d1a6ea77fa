/** Which protected digests a run found nowhere, neither as manifests nor as configs or layers of any. Pure. */
import { blobsOf } from './naming.js';
import type { Survey } from './survey.js';
import type { Digest } from '../oci/digest.js';
import { PROTECT, type Protection } from './protection.js';
import { coded } from '../text/code.js';

/** How many digests of files are in no repository, as far as was looked. */
export function unmet({ digests }: Protection, surveys: readonly Survey[]): number {
  const ofFiles = [...digests].flatMap(([digest, by]) =>
    by.some((one) => one !== PROTECT) ? [digest] : [],
  );
  return missing(ofFiles, surveys).length;
}

/**
 * A warning for each digest of `protect` that protects nothing. A repository that could not be read whole says
 * nothing of what is in it, and one that doesn't exist is told elsewhere.
 */
export function notFound(
  { digests, pinned }: Protection,
  surveys: readonly Survey[],
): readonly string[] {
  // The configs and layers of unread children are unknown.
  const isWhole = ({ inventory: { gaps, unread } }: Survey) =>
    gaps.length === 0 && unread === undefined;
  const everywhere = [...digests].flatMap(([digest, by]) => (by.includes(PROTECT) ? [digest] : []));
  const nowhere = surveys.every(isWhole) ? missing(everywhere, surveys) : [];
  return [
    ...nowhere.map((digest) => warning(digest, 'in no repository')),
    ...[...pinned].flatMap(([repository, named]) => {
      const here = surveys.filter(({ inventory }) => inventory.repository === repository);
      return (here.some(isWhole) ? missing(named, here) : []).map((digest) =>
        warning(`${repository}@${digest}`, 'not in that repository'),
      );
    }),
  ];
}

function warning(entry: string, where: string): string {
  return coded(
    `\`protect\` names \`${entry}\`, which this run found ${where}, ` +
      'neither as a manifest nor as the config or a layer of one (without a tag, it is searched for only where something would be deleted). Is it right?',
    'protection-unmatched',
  );
}

function missing(digests: Iterable<Digest>, surveys: readonly Survey[]): Digest[] {
  const left = new Set(digests);
  for (const { inventory } of left.size === 0 ? [] : surveys) {
    inventory.unread?.forEach((digest) => left.delete(digest));
    for (const manifest of inventory.manifests.values()) {
      [manifest.digest, ...blobsOf(manifest)].forEach((digest) => left.delete(digest));
    }
  }
  return [...left];
}
