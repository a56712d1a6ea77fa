/**
 * The owners of packages. GitHub has one set of routes for organizations, one for users, and one for the user whose token
 * it is, which alone lists that user's private packages.
 */
import * as v from 'valibot';

import { inForm } from '../../../oci/json.js';
import { isRepository } from '../../../oci/reference.js';
import { guarded } from '../../guard.js';
import { RegistryError } from '../../registry-error.js';
import type { GitHubApi } from './api.js';

export interface Owner {
  /** the beginning of the routes of this owner's packages, in octokit's form */
  readonly prefix: '/orgs/{owner}' | '/users/{owner}' | '/user';
  /** as given, in lower case; GitHub finds it in any case */
  readonly owner: string;
}

/** A package, which is a repository of the registry. */
export interface Package extends Owner {
  /** without the owner; may hold slashes */
  readonly name: string;
  /** where people manage it */
  readonly settings: string;
}

const User = v.object({ login: v.string(), type: v.string() });

export class Owners {
  readonly #api: GitHubApi;
  readonly #owners = new Map<string, Promise<Owner>>();

  constructor(api: GitHubApi) {
    this.#api = api;
  }

  /** @throws RequestFailure also for a name that has no owner: without a name, routes of one package are others */
  async packageOf(repository: string): Promise<Package> {
    const [owner = '', ...rest] = guarded('repository', repository, isRepository).split('/');
    const name = rest.join('/');
    if (owner === '' || name === '') {
      throw new RegistryError(
        'unexpected',
        `${repository} isn't a package of GitHub: \`repositories\` takes \`owner/name\``,
      );
    }
    const found = await this.ownerOf(owner);
    return { ...found, name, settings: settingsOf(this.#api.base, found, name) };
  }

  /** Asked once for each owner. @throws RequestFailure */
  ownerOf(owner: string): Promise<Owner> {
    const known = this.#owners.get(owner);
    if (known !== undefined) {
      return known;
    }
    const asked = this.#ask(owner).catch((error: unknown) => {
      this.#owners.delete(owner);
      throw error;
    });
    this.#owners.set(owner, asked);
    return asked;
  }

  async #ask(owner: string): Promise<Owner> {
    const what = `find the owner ${owner}`;
    const answer = await this.#api.ask({ route: 'GET /users/{owner}', parameters: { owner } });
    if (answer.status !== 200) {
      const advice = `\`repositories\` takes \`owner/name\`, where the owner is a user or an organization`;
      throw this.#api.refusal(answer, what, advice);
    }
    const user = inForm(User, answer.data);
    if (user === undefined) {
      throw this.#api.misunderstood(what);
    }
    if (user.type === 'Organization') {
      return { prefix: '/orgs/{owner}', owner };
    }
    return { prefix: (await this.#isOurs(owner)) ? '/user' : '/users/{owner}', owner };
  }

  /** Whether the token is this user's own. */
  async #isOurs(owner: string): Promise<boolean> {
    if (this.#api.isJobToken) {
      return false;
    }
    const { status, data } = await this.#api.ask({ route: 'GET /user' });
    return status === 200 && inForm(User, data)?.login.toLowerCase() === owner;
  }
}

/** @param api `https://api.github.com`, `https://api.NAME.ghe.com` or `https://HOST/api/v3` */
function settingsOf({ protocol, host }: URL, { prefix, owner }: Owner, name: string): string {
  const web = `${protocol}//${host.replace(/^api\./, '')}`;
  const kind = prefix === '/orgs/{owner}' ? 'orgs' : 'users';
  return `${web}/${kind}/${owner}/packages/container/${encodeURIComponent(name)}/settings`;
}

/**
 * A missing right, and how to get it: GitHub's answers don't tell which one it is. The link comes early, since long messages
 * are cut.
 */
export function rightsOf({ settings }: Pick<Package, 'settings'>): string {
  return (
    'A job needs `permissions: packages: write`, and its repository the role Admin on the package, under "Manage Actions ' +
    `access" of ${settings} (a personal access token has to be a classic one of an admin of the package, with ` +
    '`read:packages` and `delete:packages`)'
  );
}
