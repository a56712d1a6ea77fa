/**
 * The container registry of Gitea and Forgejo. It is read and pushed to by the OCI distribution API, and lists and
 * deletes by the packages API of the same server. It has no referrers API.
 */
import type { IncomingHttpHeaders } from 'node:http';

import * as v from 'valibot';

import { parseChallenges, type Challenge } from '../../../http/challenge.js';
import { TransportError, type HttpRequest } from '../../../http/message.js';
import { inForm, tryJson } from '../../../oci/json.js';
import { coded } from '../../../text/code.js';
import { openDistribution } from '../../distribution/distribution.js';
import type { Advice, Connection, Family, Registry } from '../../registry.js';
import { GiteaApi, routeAt } from './api.js';
import { GiteaClient } from './client.js';
import { createVersionDeleter } from './deletes.js';
import { createLister } from './lister.js';
import { readPackages } from './packages.js';
import { createParking } from './parking.js';
import { createOwnerRights } from './rights.js';
import { VersionList } from './versions.js';

const ADVICE: Advice = {
  allowDeletes:
    'Gitea has no switch for them, so something in front of it refuses. Allow the method DELETE there',
  freeDisk:
    'The server does so by itself, in its task `cleanup_packages`: what a run has kept for a restore goes when it is 24 ' +
    'hours old, and the rest when the task runs next.',
  keepBlobs:
    'The server frees the layers of deleted images about 24 hours after the delete. Run this with `restore-from` and the ' +
    'backup before that, or push the images that broke again.',
  restore: 'as long as the server keeps their layers',
};

const CLEANS_ITSELF = coded(
  'This server is Forgejo, which deletes by itself, 24 hours after its push, every manifest without a tag that no tagged ' +
    'index lists. Signatures and SBOMs that were pushed as referrers go, too: to keep them, attach them by tags, as ' +
    '`cosign` does with its `.sig` tags',
  'server-cleans-itself',
);

const VERSION_BYTES = 64 * 1024;
const Version = v.object({ version: v.pipe(v.string(), v.minLength(1)) });

function openAs(family: string, connection: Connection): Registry {
  const client = new GiteaClient(connection, ADVICE);
  const plain = openDistribution(connection, family, ADVICE, client);
  const api = new GiteaApi(connection);
  const versions = new VersionList(api, connection.clock);
  const { namespaces, granted } = connection;
  return {
    ...plain,
    deleter: createVersionDeleter(api, plain.reader),
    lister: createLister(versions, plain.reader),
    rights: createOwnerRights(plain.deleter, granted),
    parking: createParking(client),
    repositories: () =>
      namespaces.length === 0 ? plain.repositories() : readPackages(versions, namespaces),
  };
}

/** Whether a 401 looks like Gitea's. GitLab names the same service, and another realm. */
function isGreeting(headers: IncomingHttpHeaders): boolean {
  return parseChallenges(headers['www-authenticate']).some(isOfGitea);
}

function isOfGitea({ scheme, params }: Challenge): boolean {
  const realm = params.get('realm') ?? '';
  return scheme === 'bearer'
    ? params.get('service') === 'container_registry' && realm.endsWith('/v2/token')
    : realm === 'Gitea Container Registry';
}

/** Whether the server answers this route with its version. It is asked with the login only where it wants one. */
async function hasVersion(connection: Connection, route: string): Promise<boolean> {
  const { send, basic } = connection;
  const url = routeAt(connection, route);
  const request: HttpRequest = {
    method: 'GET',
    url,
    headers: { accept: 'application/json' },
    maxBytes: VERSION_BYTES,
  };
  try {
    const first = await send(request);
    const isClosed = (first.status === 401 || first.status === 403) && basic !== undefined;
    const answer = isClosed ? await send({ ...request, authorization: basic }) : first;
    return (
      answer.status === 200 &&
      answer.url.origin === url.origin &&
      inForm(Version, tryJson(answer.body.toString('utf8'))) !== undefined
    );
  } catch (error) {
    // Another server answers with a page, or sends us elsewhere.
    const isAnswer =
      error instanceof TransportError &&
      (error.isElsewhere || ['too-large', 'redirect'].includes(error.kind));
    if (isAnswer) {
      return false;
    }
    throw error;
  }
}

export const gitea: Family = {
  name: 'gitea',
  hasApi: true,
  // Anybody may run one, at any address.
  matches: () => false,
  async identify(connection, greeting) {
    if (greeting !== undefined && !isGreeting(greeting)) {
      return undefined;
    }
    // Forgejo answers the other route, too.
    if (await hasVersion(connection, 'forgejo/v1/version')) {
      return forgejo;
    }
    return (await hasVersion(connection, 'v1/version')) ? gitea : undefined;
  },
  open: (connection) => openAs('Gitea', connection),
};

const forgejo: Family = {
  ...gitea,
  open: (connection) => ({
    ...openAs('Forgejo', connection),
    warnings: [CLEANS_ITSELF],
  }),
};
