/** The container packages of owners, which are the repositories of the registry. */
import { isRepository } from '../../../oci/reference.js';
import type { Catalog } from '../../registry.js';
import type { VersionList } from './versions.js';

/**
 * @param owners whose packages are listed: at least one
 * @throws RequestFailure also for an owner that the server doesn't know, or whose packages the account may not see
 */
export async function readPackages(
  versions: VersionList,
  owners: readonly string[],
): Promise<Catalog> {
  const all: string[] = [];
  for (const owner of owners) {
    const what = `list the packages of ${owner}`;
    const names = await versions.read({ owner, what }, (rows) =>
      Promise.resolve(new Set(rows.map(({ name }) => name))),
    );
    all.push(...[...names].sort().map((name) => `${owner}/${name}`));
  }
  const repositories = all.filter(isRepository);
  return { repositories, unnameable: all.length - repositories.length, isPartial: true };
}
