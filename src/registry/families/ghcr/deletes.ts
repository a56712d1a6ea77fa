/**
 * Deletes of versions, by their id. A delete takes all tags of the version along, and GitHub protects neither tagged
 * versions nor children of indexes.
 */
import type { Digest } from '../../../oci/digest.js';
import { guarded } from '../../guard.js';
import { RegistryError } from '../../registry-error.js';
import type { Deleter } from '../../registry.js';
import type { ApiAnswer, GitHubApi } from './api.js';
import { rightsOf, type Owners, type Package } from './owners.js';
import type { Pace } from './pace.js';
import type { VersionList } from './versions.js';

/** Milliseconds: a recheck lists all versions, at a request for each hundred. */
const RECHECK_EVERY = 60_000;
/** So many in a row, none deleted, are no coincidence. */
const MOST_HIDDEN = 3;

/** Refusals that no run can overcome, and what helps. The words are GitHub's (kairos-io/kairos#4723, posit-dev/positron#15764). */
const UNDELETABLE: readonly (readonly [RegExp, (found: Package) => string])[] = [
  [
    /last (?:tagged )?version of a package/i,
    ({ settings }) =>
      `It is the last tagged version, which goes only with the whole package. Tag another version, or delete the package in its settings: ${settings}`,
  ],
  [
    /more than 5,?000 downloads/i,
    ({ settings }) =>
      `It is public and was downloaded more than 5,000 times. Make the package private first, or ask the support of GitHub. The settings of the package: ${settings}`,
  ],
];

export interface DeletesOptions {
  readonly api: GitHubApi;
  readonly owners: Owners;
  readonly versions: VersionList;
  readonly pace: Pace;
  /** told of each repository before its first delete */
  readonly onDelete: (repository: string) => void;
}

export function createVersionDeleter(options: DeletesOptions): Deleter {
  const { api, owners, versions, pace, onDelete } = options;
  /** by repository, how many 404s there were for versions that are still there */
  const hidden = new Map<string, number>();
  /** repositories in which a delete worked */
  const working = new Set<string>();

  async function idOf(repository: string, digest: Digest): Promise<string | undefined> {
    const known = versions.latest(repository)?.get(digest)?.id;
    return known ?? (await versions.read(repository)).get(digest)?.id;
  }

  /** A 404 is a missing right as well as a version that is gone. */
  async function judgeMissing(repository: string, id: string, found: Package, what: string) {
    if (working.has(repository)) {
      return;
    }
    const answer = await api.ask({
      route: routeOf('GET', found, id),
      parameters: parametersOf(found),
    });
    if (answer.status !== 200) {
      return;
    }
    const times = (hidden.get(repository) ?? 0) + 1;
    hidden.set(repository, times);
    throw new RegistryError(
      times < MOST_HIDDEN ? 'hidden' : 'forbidden',
      `could not ${what}: GitHub answered 404, and the version is still there. ${rightsOf(found)}`,
    );
  }

  return {
    recheckEvery: RECHECK_EVERY,
    async deleteManifest(
      repository,
      digest,
      { isLate, what = `delete ${repository}@${digest}` } = {},
    ) {
      const found = await owners.packageOf(repository);
      const id = await idOf(repository, digest);
      if (id === undefined) {
        return 'gone';
      }
      onDelete(repository);
      await pace.turn(isLate);
      const answer = await api.ask({
        route: routeOf('DELETE', found, id),
        parameters: parametersOf(found),
        isLate,
      });
      if (answer.status === 204) {
        working.add(repository);
        return 'deleted';
      }
      if (answer.status === 404) {
        // After an answer of 500 an earlier try may have taken effect. The list tells, and a single version may lag.
        if (answer.tries === undefined) {
          await judgeMissing(repository, id, found, what);
        }
        return 'gone';
      }
      throw undeletable(answer, found, what) ?? api.refusal(answer, what, rightsOf(found));
    },
  };

  function undeletable(answer: ApiAnswer, found: Package, what: string): RegistryError | undefined {
    const refused = api.refusal(answer, what, '');
    const advice = UNDELETABLE.find(([words]) => words.test(refused.message))?.[1];
    return answer.status === 400 && advice !== undefined
      ? new RegistryError('undeletable', `GitHub refuses to ${what}. ${advice(found)}`)
      : undefined;
  }
}

/**
 * The route of one version. Without an id it would be the route of the whole package, which a DELETE removes.
 *
 * @throws RegistryError for anything but a number
 */
export function routeOf(
  method: 'GET' | 'DELETE' | 'POST',
  { prefix }: Package,
  id: string,
): string {
  // It may come from a backup that somebody has changed.
  const version = guarded('id of a version', id, (text) => /^[1-9]\d{0,15}$/.test(text));
  return `${method} ${prefix}/packages/container/{name}/versions/${version}${method === 'POST' ? '/restore' : ''}`;
}

/** The parameters of that route. @throws RegistryError for an empty name */
export function parametersOf({ prefix, owner, name }: Package): Record<string, string> {
  guarded('name of a package', name, (text) => text !== '');
  return prefix === '/user' ? { name } : { owner, name };
}
