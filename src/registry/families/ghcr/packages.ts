/** The packages of owners, which are the repositories of the registry. */
import * as v from 'valibot';

import { LinkError, nextPage } from '../../../http/link.js';
import { inForm } from '../../../oci/json.js';
import { isRepository } from '../../../oci/reference.js';
import { RegistryError } from '../../registry-error.js';
import type { Catalog } from '../../registry.js';
import type { ApiAnswer, GitHubApi } from './api.js';
import type { Owners } from './owners.js';

const Packages = v.array(v.object({ name: v.string() }));

const PER_PAGE = 100;
/** GitHub refuses a page behind its ten thousandth package. */
const MOST_PAGES = 100;

const NEEDS_NAMES =
  "A job's own token can't list packages: name them in `repositories`, as `owner/name`, or give `github-token` a " +
  'classic personal access token with `read:packages`';

/**
 * @param owners whose packages are listed
 * @throws RequestFailure
 */
export async function readPackages(
  api: GitHubApi,
  owners: Owners,
  names: readonly string[],
): Promise<Catalog> {
  if (names.length === 0) {
    throw new RegistryError(
      'unexpected',
      'could not list the packages: GitHub lists them by owner. Begin the patterns of `repositories` with an owner, ' +
        'such as `owner/**`',
    );
  }
  const all: string[] = [];
  for (const owner of names) {
    all.push(...(await packagesOf(api, owners, owner)));
  }
  const repositories = all.filter(isRepository);
  return { repositories, unnameable: all.length - repositories.length, isPartial: true };
}

async function packagesOf(api: GitHubApi, owners: Owners, owner: string): Promise<string[]> {
  const what = `list the packages of ${owner}`;
  const { prefix } = await owners.ownerOf(owner);
  const names: string[] = [];
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const answer = await api.ask({
      route: `GET ${prefix}/packages`,
      parameters: {
        ...(prefix === '/user' ? {} : { owner }),
        package_type: 'container',
        per_page: PER_PAGE,
        page,
      },
    });
    if (answer.status !== 200) {
      const refused = api.refusal(answer, what, NEEDS_NAMES);
      // "Invalid argument.", to every token of a job (cli/cli#9606).
      throw answer.status === 400
        ? new RegistryError('forbidden', `could not ${what}: GitHub answered 400. ${NEEDS_NAMES}`)
        : refused;
    }
    const packages = inForm(Packages, answer.data);
    if (packages === undefined) {
      throw api.misunderstood(what);
    }
    names.push(...packages.map(({ name }) => `${owner}/${name.toLowerCase()}`));
    if (!hasNext(answer)) {
      return names;
    }
  }
  throw new RegistryError(
    'unexpected',
    `could not ${what}: GitHub lists 10,000 of an owner at most, and there are more. Name them in \`repositories\``,
  );
}

/** @throws RegistryError when the header makes no sense: packages could be missed */
function hasNext({ headers, url }: ApiAnswer): boolean {
  try {
    return nextPage(headers['link'], url) !== undefined;
  } catch (error) {
    throw error instanceof LinkError
      ? new RegistryError('unexpected', error.message, 'paging-broken')
      : error;
  }
}
