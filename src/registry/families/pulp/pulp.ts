/**
 * Pulp's container registry (pulp_container). It is read and pushed to by the OCI distribution API, and lists, deletes and
 * restores by the REST API of Pulp, on the same address. Facts: docs/registries/pulp.md.
 */
import * as v from 'valibot';

import { RequestFailure } from '../../../http/message.js';
import { isRepository } from '../../../oci/reference.js';
import { Client } from '../../distribution/client.js';
import { createDeleter } from '../../distribution/deletes.js';
import { openDistribution } from '../../distribution/distribution.js';
import { jsonOf } from '../../distribution/errors.js';
import { RegistryError } from '../../registry-error.js';
import type { Advice, Connection, Family, Registry, Restorer, Rights } from '../../registry.js';
import { PulpApi, RIGHTS } from './api.js';
import { Content } from './content.js';
import { createRemovalDeleter } from './deletes.js';
import { Tasks } from './tasks.js';

const ADVICE: Advice = {
  allowDeletes: RIGHTS,
  freeDisk: [
    'Older versions of a repository keep what was deleted, so that it can be restored. Let Pulp retain only a few, and then remove what no version has:',
    '',
    '```sh',
    'pulp container repository update --name NAME --retain-repo-versions 1',
    'pulp orphan cleanup',
    '```',
  ].join('\n'),
  keepBlobs:
    'Do not remove older versions of the repository, and run no orphan cleanup, before the problems above are solved. Until ' +
    'then a run with `restore-from` and the backup restores what broke.',
  restore:
    'from what Pulp still has of them: as long as older versions of the repository, or other repositories, hold them, and ' +
    'otherwise until its orphan cleanup',
};

const Status = v.object({ versions: v.array(v.object({ component: v.string() })) });
const Permissions = v.object({ permissions: v.array(v.string()) });
/** The permission that lets `remove/` work, by the resource that has it (viewsets.py, ContainerRepositoryViewSet). */
const MODIFY = {
  repository: 'container.modify_content_containerrepository',
  namespace: 'container.namespace_modify_content_containerrepository',
} as const;

function open(connection: Connection): Registry {
  const client = new Client(connection, ADVICE);
  const plain = openDistribution(connection, 'Pulp', ADVICE, client);
  const api = new PulpApi(connection);
  const content = new Content(api, client);
  const tasks = new Tasks(api, connection.clock);
  const pending = createDeleter(client);
  return {
    ...plain,
    lister: { lacks: 'digest-pushes', manifests: (repository) => content.read(repository) },
    deleter: createRemovalDeleter({ api, content, tasks, reader: plain.reader, pending }),
    rights: createPulpRights(api, content, tasks),
    restorer: createRestorer(api, content, tasks),
    // `_catalog` has what may be pulled; only of these the API shows the manifests.
    async repositories() {
      const names = await content.names('list the repositories');
      const repositories = names.filter(isRepository).sort();
      return { repositories, unnameable: names.length - repositories.length };
    },
  };
}

function createPulpRights(api: PulpApi, content: Content, tasks: Tasks): Rights {
  /** @returns `undefined` when Pulp doesn't say */
  async function may(kind: keyof typeof MODIFY, href: string): Promise<boolean | undefined> {
    const answer = await api.ask('GET', `${href}my_permissions/`);
    const granted = answer.status === 200 ? jsonOf(Permissions, answer)?.permissions : undefined;
    return granted?.includes(MODIFY[kind]);
  }
  return {
    async lacksDelete(repository) {
      const place = await content.place(repository, `ask for the rights in ${repository}`);
      if (place?.namespace === undefined) {
        return undefined;
      }
      const { namespace } = place;
      // A user who may not view the namespace isn't told: only the probe tells then.
      return (await may('repository', place.repository)) === false &&
        (await may('namespace', namespace)) === false
        ? `these credentials can't delete in ${repository}. ${RIGHTS}`
        : undefined;
    },

    /** A removal of nothing: it makes no version. */
    async probeDeletes(repositories) {
      let refused: string | undefined;
      for (const repository of repositories) {
        const what = `delete a manifest (asked in ${repository}, with no manifest to remove)`;
        try {
          const place = await content.place(repository, what);
          if (place !== undefined) {
            await tasks.change(place.repository, 'remove', [], what);
          }
          return undefined;
        } catch (error) {
          if (!(error instanceof RegistryError && error.kind === 'forbidden')) {
            return undefined;
          }
          refused ??= error.message;
        }
      }
      return refused;
    },
  };
}

function createRestorer(api: PulpApi, content: Content, tasks: Tasks): Restorer {
  return {
    async isRestorable(_repository, id) {
      const href = api.guarded('manifest', id);
      const answer = await api.ask('GET', href, { query: { fields: 'digest' } });
      if (answer.status !== 200 && answer.status !== 404) {
        throw api.refusal(answer, `ask for ${href}`);
      }
      return answer.status === 200;
    },
    /** An index comes back with all that it lists. */
    async restore(repository, id) {
      const what = `restore ${api.guarded('manifest', id)} in ${repository}`;
      const place = await content.place(repository, what);
      if (place === undefined) {
        throw new RegistryError(
          'no-repository',
          `could not ${what}: Pulp has no such repository any more. Create it, or push to it, first`,
        );
      }
      await tasks.change(place.repository, 'add', [id], what);
    },
  };
}

export const pulp: Family = {
  name: 'pulp',
  hasApi: true,
  matches: () => false,
  /** Its first 401 has both headers (pulp_container, registry_api.py); its status then has to know the plugin. */
  async identify(connection, greeting = {}) {
    const isLikely =
      greeting['x-registry-supports-signatures'] === '1' &&
      greeting['correlation-id'] !== undefined;
    return isLikely && (await hasPlugin(new PulpApi(connection))) ? pulp : undefined;
  },
  open,
};

async function hasPlugin(api: PulpApi): Promise<boolean> {
  const answer = await api.ask('GET', api.route('status/')).catch((error: unknown) => {
    if (error instanceof RequestFailure) {
      return undefined;
    }
    throw error;
  });
  const known = answer?.status === 200 ? jsonOf(Status, answer) : undefined;
  return known?.versions.some(({ component }) => component === 'container') === true;
}
