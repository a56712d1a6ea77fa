/**
 * GHCR, the registry of GitHub: ghcr.io, and `containers.HOST` of GitHub Enterprise Server. It is read and pushed to by the
 * OCI distribution API, and lists and deletes by the REST API of GitHub Packages. It has no referrers API.
 */
import { RequestFailure } from '../../../http/message.js';
import { AuthError } from '../../../http/token.js';
import type { Digest } from '../../../oci/digest.js';
import { openDistribution } from '../../distribution/distribution.js';
import { RegistryError } from '../../registry-error.js';
import type {
  Advice,
  Budget,
  Connection,
  Family,
  Reader,
  Registry,
  Restorer,
  Rights,
} from '../../registry.js';
import { GitHubApi } from './api.js';
import { createVersionDeleter, parametersOf, routeOf } from './deletes.js';
import { Owners, rightsOf } from './owners.js';
import { Pace } from './pace.js';
import { readPackages } from './packages.js';
import { VersionList } from './versions.js';

const FAMILY = 'GHCR';
const DAY = 24 * 60 * 60 * 1000;
/** docs.github.com, "Deleting and restoring a package" */
const RESTORE_WINDOW = 30 * DAY;
/** Requests of the quota that are left to others: a token's quota is that of all workflows of its repository. */
const RESERVE = 100;
/** Deletes that were sent, and whose answers haven't told yet what is left: at the pace of deletes, those of 2.5 seconds. */
const UNDER_WAY = 10;

const ADVICE: Advice = {
  allowDeletes: 'see the settings of the package',
  freeDisk: "Nothing has to be run for that: the storage is GitHub's, which frees it by itself.",
  keepBlobs:
    'GitHub restores deleted versions for 30 days: run this with `restore-from` and the backup, or push the images that ' +
    'broke again.',
  restore: "by GitHub's own restore where that is possible, and otherwise by a push",
};

function open(connection: Connection): Registry {
  const plain = openDistribution(connection, FAMILY, ADVICE);
  const api = new GitHubApi(connection);
  const owners = new Owners(api);
  const versions = new VersionList(api, owners, connection.clock);
  const deleting = new Set<string>();
  const deleter = createVersionDeleter({
    api,
    owners,
    versions,
    pace: new Pace(connection.clock),
    onDelete: (repository) => deleting.add(repository),
  });
  return {
    ...plain,
    reader: withUnknownPackages(plain.reader, versions),
    deleter,
    lister: {
      confirmsDeletes: true,
      manifests: (repository) => versions.read(repository),
      former: (repository) => formerOf(repository, versions),
    },
    rights: createPackageRights(api),
    restorer: createRestorer(api, owners, versions),
    budget: createBudget(connection, api, versions, deleting),
    repositories: () => readPackages(api, owners, connection.namespaces),
  };
}

/** Where they can't be read, what describes one of them stays. */
async function formerOf(repository: string, versions: VersionList): Promise<ReadonlySet<Digest>> {
  try {
    return new Set((await versions.deleted(repository)).map(({ name }) => name));
  } catch (error) {
    if (!(error instanceof RequestFailure)) {
      throw error;
    }
    return new Set();
  }
}

/** A package that isn't there yet is denied to the login, as one is that the account may not see. A ledger begins so. */
function withUnknownPackages(reader: Reader, versions: VersionList): Reader {
  const orNone = async <T>(repository: string, none: T, read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      if (isDenied(error) && (await versions.isUnknown(repository))) {
        return none;
      }
      throw error;
    }
  };
  return {
    ...reader,
    tags: (repository) => orNone(repository, [], () => reader.tags(repository)),
    blob: (repository, ...rest) =>
      orNone(repository, undefined, () => reader.blob(repository, ...rest)),
  };
}

function isDenied(error: unknown): boolean {
  if (error instanceof AuthError) {
    return error.status === 403 || error.status === 404;
  }
  return error instanceof RegistryError && error.kind === 'forbidden';
}

/** Only a classic token's scopes are known before the first delete: nothing tells who has the role Admin. */
function createPackageRights(api: GitHubApi): Rights {
  const lacksDelete = () =>
    Promise.resolve(
      api.scopes === undefined || api.scopes.has('delete:packages')
        ? undefined
        : "the personal access token in `github-token` can't delete packages: it lacks the scope `delete:packages`",
    );
  return { lacksDelete, probeDeletes: lacksDelete };
}

function createRestorer(api: GitHubApi, owners: Owners, versions: VersionList): Restorer {
  /** by repository: the list is asked for once, since nothing comes back to it during a run */
  const ids = new Map<string, Promise<ReadonlySet<string>>>();
  const read = async (repository: string) =>
    new Set((await versions.deleted(repository)).map(({ id }) => String(id)));
  return {
    window: RESTORE_WINDOW,
    async isRestorable(repository, id) {
      const known = ids.get(repository) ?? read(repository);
      ids.set(repository, known);
      return (await known).has(id);
    },
    async restore(repository, id) {
      const found = await owners.packageOf(repository);
      const route = routeOf('POST', found, id);
      const answer = await api.ask({ route, parameters: parametersOf(found) });
      if (answer.status !== 204) {
        throw api.refusal(answer, `restore the version ${id} of ${repository}`, rightsOf(found));
      }
    },
  };
}

function createBudget(
  { quota, clock }: Connection,
  api: GitHubApi,
  versions: VersionList,
  deleting: ReadonlySet<string>,
): Budget {
  return {
    left(repository) {
      const known = quota(api.base.host);
      if (known === undefined || known.resetsAt <= clock.now()) {
        return undefined;
      }
      // Another recheck, and the list that confirms the deletes.
      const names = new Set([...deleting, repository]);
      const owed = [...names].reduce((sum, name) => sum + 2 * versions.cost(name), 0);
      const deletes = Math.max(0, known.remaining - RESERVE - UNDER_WAY - owed);
      return { deletes, until: known.resetsAt };
    },
  };
}

export const ghcr: Family = {
  name: 'ghcr',
  hasApi: true,
  isOfGitHub: true,
  concurrency: 64,
  matches: ({ hostname }, github) =>
    hostname === 'ghcr.io' ||
    (github !== undefined && hostname === `containers.${github.server.hostname}`),
  api: ({ hostname }, github) =>
    hostname === 'ghcr.io' ? new URL('https://api.github.com') : github?.api,
  open,
};
