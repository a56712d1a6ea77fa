/** The OCI distribution API as plain Distribution speaks it, and most other registries beside an API of their own. */
import { isPage } from './page.js';
import type { Advice, Connection, Reader, Registry } from '../registry.js';
import { RegistryError } from '../registry-error.js';
import { createBlobs } from './blobs.js';
import { readCatalog } from './catalog.js';
import { Client } from './client.js';
import { createDeleter } from './deletes.js';
import { Manifests } from './manifests.js';
import { createPusher } from './pushes.js';
import { createReferrers } from './referrers.js';
import { createRights } from './rights.js';
import { serverTime } from './server-time.js';
import { listTags } from './tags.js';

/** Everything but what a family adds. */
export function openDistribution(
  connection: Connection,
  family: string,
  advice: Advice,
  client = new Client(connection, advice),
): Registry {
  const deleter = createDeleter(client);
  return {
    family,
    advice,
    reader: createReader(client),
    deleter,
    pusher: createPusher(client),
    rights: createRights(deleter, connection.granted),
    repositories: () => readCatalog(client),
  };
}

function createReader(client: Client): Reader {
  const manifests = new Manifests(client);
  return {
    ping: () => ping(client),
    tags: (repository) => listTags(client, repository),
    manifest: (repository, reference) => manifests.read(repository, reference),
    resolve: (repository, reference) => manifests.resolve(repository, reference),
    isThere: (repository, digest) => manifests.isThere(repository, digest),
    referrers: createReferrers(client),
    ...createBlobs(client),
  };
}

async function ping(client: Client): Promise<number | undefined> {
  const { origin } = client.base;
  const response = await client.sendTo(client.url(''), 'GET');
  if (response.url.origin !== origin) {
    throw new RegistryError(
      'not-a-registry',
      `could not speak with ${origin}/v2/: it redirects to ${response.url.origin}, and only reads may follow. ` +
        `Put \`${response.url.origin}\` into \`registry-url\``,
    );
  }
  // Some web servers answer every path with a page.
  if (response.status !== 200 || isPage(response)) {
    throw client.refusal(response, `speak with ${origin}/v2/`);
  }
  return serverTime(response.headers);
}
