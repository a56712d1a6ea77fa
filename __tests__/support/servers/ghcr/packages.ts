/** Accounts, packages and versions as the REST API shows them. */
import type { RegistryState } from '../memory/state.js';
import type { Account } from './options.js';
import type { Version } from './shelf.js';
import type { Versions } from './versions.js';

export interface Owner extends Account {
  readonly id: number;
}

/** Who owns what: the accounts of the options, and an organization for every other name in front of a repository's. */
export interface Owners {
  byLogin(login: string): Owner | undefined;
  byId(id: string): Owner | undefined;
}

export function createOwners(state: RegistryState, accounts: readonly Account[]): Owners {
  const owners = new Map<string, Owner>();
  const add = (account: Account): void => {
    const login = account.login.toLowerCase();
    if (!owners.has(login)) {
      owners.set(login, { ...account, id: 1000 + owners.size });
    }
  };
  accounts.forEach(add);
  const seek = (): Map<string, Owner> => {
    for (const name of state.repositories.keys()) {
      add({ login: name.split('/')[0] ?? '', type: 'Organization' });
    }
    return owners;
  };
  return {
    byLogin: (login) => seek().get(login.toLowerCase()),
    byId: (id) => [...seek().values()].find((owner) => String(owner.id) === id),
  };
}

/** The repository in the registry that a package is. */
export function repositoryOfPackage(owner: Owner, packageName: string): string {
  return `${owner.login}/${packageName}`.toLowerCase();
}

/** The names of an owner's packages: of repositories with at least one manifest. */
export function packagesOf(state: RegistryState, owner: Owner): string[] {
  const prefix = `${owner.login.toLowerCase()}/`;
  return [...state.repositories]
    .filter(([name, { manifests }]) => name.startsWith(prefix) && manifests.size > 0)
    .map(([name]) => name.slice(prefix.length));
}

export interface Place {
  /** `http://127.0.0.1:<port>`, with the path of the API */
  readonly api: string;
  /** `/orgs/acme`, `/users/octocat` or `/user` */
  readonly path: string;
  readonly owner: Owner;
}

export function packageJson(
  { api, path, owner }: Place,
  packageName: string,
  versions: Versions,
  visibility: (repository: string) => 'public' | 'private',
): object {
  const repository = repositoryOfPackage(owner, packageName);
  versions.sync(repository);
  const all = versions.all(repository).filter(({ deletedAt }) => deletedAt === undefined);
  return {
    id: 1 + (all[0]?.id ?? 0),
    name: packageName,
    package_type: 'container',
    owner: simpleUser(api, owner),
    version_count: versions.count(repository),
    visibility: visibility(repository),
    url: `${api}${path}/packages/container/${encodeURIComponent(packageName)}`,
    created_at: timestamp(Math.min(...all.map(({ createdAt }) => createdAt))),
    updated_at: timestamp(Math.max(...all.map(({ updatedAt }) => updatedAt))),
    html_url: pageOf(owner, packageName),
  };
}

/** @param deleted how a deleted one is shown; absent: as one that is there */
export function versionJson(
  { api, path, owner }: Place,
  packageName: string,
  { id, digest, createdAt, updatedAt, tags, deletedAt }: Version,
  deleted?: { readonly hasTags: boolean; readonly hasTime: boolean },
): object {
  return {
    id,
    name: digest,
    url: `${api}${path}/packages/container/${encodeURIComponent(packageName)}/versions/${String(id)}`,
    package_html_url: pageOf(owner, packageName),
    created_at: timestamp(createdAt),
    updated_at: timestamp(updatedAt),
    ...(deleted?.hasTime === true ? { deleted_at: timestamp(deletedAt ?? 0) } : {}),
    html_url: `${pageOf(owner, packageName)}/${String(id)}`,
    metadata: {
      package_type: 'container',
      container: { tags: deleted?.hasTags === false ? [] : tags },
    },
  };
}

/** In whole seconds, as GitHub's are. */
export function timestamp(time: number): string {
  return new Date(Math.floor(time / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

function pageOf({ login, type }: Owner, packageName: string): string {
  const owner = type === 'Organization' ? `orgs/${login}` : `users/${login}`;
  return `https://github.com/${owner}/packages/container/package/${encodeURIComponent(packageName)}`;
}

function simpleUser(api: string, { login, type, id }: Owner): object {
  const url = `${api}/users/${login}`;
  return {
    login,
    id,
    node_id: `U_${String(id)}`,
    avatar_url: `https://avatars.githubusercontent.com/u/${String(id)}?v=4`,
    gravatar_id: '',
    url,
    html_url: `https://github.com/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type,
    user_view_type: 'public',
    site_admin: false,
  };
}

export function accountJson(api: string, owner: Owner): object {
  return {
    ...simpleUser(api, owner),
    name: null,
    company: null,
    blog: '',
    location: null,
    email: null,
    hireable: null,
    bio: null,
    public_repos: 1,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: '2011-01-25T18:44:36Z',
    updated_at: '2020-01-02T03:04:05Z',
  };
}
