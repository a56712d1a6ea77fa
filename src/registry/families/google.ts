/**
 * Google Artifact Registry, and gcr.io, which it serves. Its tags/list holds every manifest, tagged or not
 * (go-containerregistry, pkg/v1/google/list.go). It deletes no manifest that a tag or an index names.
 */
import * as v from 'valibot';

import type { HttpResponse } from '../../http/message.js';
import { isDigest, type Digest } from '../../oci/digest.js';
import { isRepository, isTag } from '../../oci/reference.js';
import { Client, scopeOf } from '../distribution/client.js';
import { createDeleter } from '../distribution/deletes.js';
import { openDistribution } from '../distribution/distribution.js';
import { errorOf, isSuccess, jsonOf, saysUnknown } from '../distribution/errors.js';
import { createRights } from '../distribution/rights.js';
import { guarded } from '../guard.js';
import { RegistryError } from '../registry-error.js';
import type {
  Advice,
  Connection,
  Deleter,
  Family,
  Listed,
  Lister,
  Reader,
  Registry,
  Untagger,
} from '../registry.js';

const FAMILY = 'Google Artifact Registry';

const ADVICE: Advice = {
  allowDeletes:
    'remote and virtual repositories take no deletes. Clean the standard repository behind this one',
  freeDisk: `${FAMILY} does so by itself.`,
  keepBlobs:
    `${FAMILY} frees the layers of deleted images by itself, and nobody says when. Push the images that broke again, or ` +
    'run with `restore-from` the backup, soon.',
  restore: 'as long as Google has not freed their layers: nobody says when it does',
};

/** Milliseconds since 1970, as a string; older clients of Google's met a number. */
const Time = v.union([
  v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number)),
  v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
]);
const ListBody = v.object({
  // Without the map it is some other registry's answer, and says nothing of untagged manifests.
  manifest: v.record(
    v.string(),
    v.object({ tag: v.nullish(v.array(v.string()), []), timeUploadedMs: v.optional(Time) }),
  ),
});

function open(connection: Connection): Registry {
  const client = new Client(connection, ADVICE);
  const plain = openDistribution(connection, FAMILY, ADVICE, client);
  const untagger = createUntagger(client, plain.reader);
  const untagged = createDeleter(client, whyKept);
  const deleter: Deleter = {
    // A manifest can be deleted only without its tags, so they go first.
    async deleteManifest(repository, digest, options = {}) {
      for (const tag of options.tags ?? []) {
        await untagger.untag(repository, tag, digest, options);
      }
      return untagged.deleteManifest(repository, digest, options);
    },
  };
  return {
    ...plain,
    deleter,
    untagger,
    rights: createRights(deleter, connection.granted),
    lister: createLister(client),
  };
}

function createLister(client: Client): Lister {
  return {
    async manifests(repository) {
      const what = `list the manifests of ${repository}`;
      const doing = { what, scope: scopeOf(repository, 'pull') };
      const entries = await client.pages(`${repository}/tags/list`, doing, (response, page) => {
        client.expectFresh(response, what);
        if (page === 1 && saysUnknown(response)) {
          return [];
        }
        return response.status === 200 ? listedIn(response, what) : undefined;
      });
      return new Map(entries);
    },
  };
}

function listedIn(response: HttpResponse, what: string): [Digest, Listed][] {
  const body = jsonOf(ListBody, response);
  if (body === undefined) {
    throw new RegistryError(
      'unexpected',
      `could not ${what}: the answer to tags/list has no list of manifests in ${FAMILY}'s form. Is \`registry-type\` right?`,
    );
  }
  return Object.entries(body.manifest).map(([digest, { tag, timeUploadedMs }]) => {
    if (!isDigest(digest)) {
      throw new RegistryError(
        'unexpected',
        `could not ${what}: the list has a digest of an algorithm that can't be verified`,
      );
    }
    // 0 stands for a time that nobody knows.
    return [digest, { tags: tag, pushedAt: timeUploadedMs === 0 ? undefined : timeUploadedMs }];
  });
}

/** Codes for a manifest that came into use after the recheck: the registry protects it. */
const REFERENCED = ['GOOGLE_MANIFEST_DANGLING_TAG', 'GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE'];

function whyKept(response: HttpResponse): string | undefined {
  return response.status === 400 && REFERENCED.includes(errorOf(response)?.code ?? '')
    ? 'A tag or an index names it: it was pushed or tagged during this run, or an index was deleted that still counts. ' +
        'The next run decides again'
    : undefined;
}

function createUntagger(client: Client, reader: Reader): Untagger {
  return {
    async untag(repository, tag, digest, { isLate } = {}) {
      const route = `manifests/${guarded('tag', tag, isTag)}`;
      guarded('repository', repository, isRepository);
      // Right before the delete: it may point elsewhere now, at a manifest in use.
      if ((await reader.resolve(repository, tag)) !== digest) {
        return;
      }
      const response = await client.send('DELETE', repository, route, { isLate });
      if (!isSuccess(response, 200, 202, 204) && !saysUnknown(response)) {
        throw client.refusal(response, `remove the tag ${repository}:${tag}`);
      }
    },
  };
}

export const google: Family = {
  name: 'google',
  hasApi: false,
  matches: ({ hostname }) =>
    hostname === 'gcr.io' || hostname.endsWith('.gcr.io') || hostname.endsWith('.pkg.dev'),
  open,
};
