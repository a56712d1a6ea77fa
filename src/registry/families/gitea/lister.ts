/**
 * A repository's manifests, from the versions of its package. A version is named after a digest or a tag, and only the
 * registry tells what a tag points at. One manifest may have both, or a tag alone.
 */
import pMap from 'p-map';

import { isDigest, type Digest } from '../../../oci/digest.js';
import { isTag } from '../../../oci/reference.js';
import { RegistryError } from '../../registry-error.js';
import type { Listed, Lister, Listing, Reader } from '../../registry.js';
import { imageOf } from './api.js';
import type { PackageVersion, VersionList } from './versions.js';

const TAGS_AT_ONCE = 32;

/** A version, and the manifest that it is of. */
interface Named extends PackageVersion {
  readonly digest: Digest;
}

export function createLister(
  versions: VersionList,
  reader: Pick<Reader, 'resolve' | 'manifest'>,
): Lister {
  return {
    manifests(repository) {
      const { owner, name } = imageOf(repository);
      const what = `list the versions of ${repository}`;
      return versions.read({ owner, name, what }, async (all) => {
        // The server finds parts of names, in which `_` stands for any character.
        const own = all.filter((version) => version.name === name);
        const digestFor = (version: string) => digestOfVersion(reader, repository, version, what);
        const named = await pMap(
          own,
          async (version) => ({ ...version, digest: await digestFor(version.version) }),
          { concurrency: TAGS_AT_ONCE },
        );
        return named.every(isNamed) ? listingOf(named) : undefined;
      });
    },
  };
}

function isNamed(
  version: Omit<Named, 'digest'> & { digest: Digest | undefined },
): version is Named {
  return version.digest !== undefined;
}

/** @returns `undefined` for a tag that isn't there any more */
async function digestOfVersion(
  reader: Pick<Reader, 'resolve' | 'manifest'>,
  repository: string,
  version: string,
  what: string,
): Promise<Digest | undefined> {
  if (isDigest(version)) {
    return version;
  }
  if (!isTag(version)) {
    throw new RegistryError(
      'unexpected',
      `could not ${what}: the list has a version that is neither a tag nor a digest`,
    );
  }
  const said = await reader.resolve(repository, version);
  if (said !== undefined) {
    return said;
  }
  const answer = await reader.manifest(repository, version);
  return answer.kind === 'found' ? answer.manifest.digest : undefined;
}

function listingOf(versions: readonly Named[]): Listing {
  const listing = new Map<Digest, Listed & { readonly pushedAt: number }>();
  for (const { digest, version, created_at } of versions) {
    const known = listing.get(digest) ?? { tags: [], pushedAt: created_at };
    listing.set(digest, {
      tags: isDigest(version) ? known.tags : [...known.tags, version],
      // Each push replaces the version that it names, so its time is that of the last push.
      pushedAt: Math.max(known.pushedAt, created_at),
    });
  }
  return listing;
}
