/** The referrers API (distribution-spec, "Listing Referrers"). Only reads. */
import * as v from 'valibot';

import type { HttpResponse } from '../../http/message.js';
import { isDigest, type Digest } from '../../oci/digest.js';
import { OCI_INDEX, mediaTypeOf } from '../../oci/media-types.js';
import { RegistryError } from '../registry-error.js';
import type { Reader } from '../registry.js';
import { scopeOf, type Client } from './client.js';
import { jsonOf, mayLackRoute } from './errors.js';
import { MANIFEST_BYTES } from './manifests.js';

/** Pages of them are indexes, so larger ones than manifests may be are not sent (distribution-spec). */
const REFERRERS_BYTES = 2 * MANIFEST_BYTES;

const ReferrersBody = v.object({
  manifests: v.nullable(v.array(v.object({ digest: v.string() }))),
});

class NoReferrersApi extends Error {}

export function createReferrers(client: Client): Reader['referrers'] {
  // Only what an OCI index has proved is remembered. An answer without the API may be a proxy's page that
  // passes: it must not speak for other repositories, nor for a second request.
  let hasApi = false;

  function read(response: HttpResponse, what: string): Digest[] | undefined {
    client.expectFresh(response, what);
    // Servers without the API answer in many ways; only an OCI index is an answer.
    const isIndex =
      response.status === 200 && mediaTypeOf(response.headers['content-type']) === OCI_INDEX;
    // Checked now: while this question was under way, another one may have been answered.
    if (!isIndex && !hasApi && mayLackRoute(response)) {
      throw new NoReferrersApi();
    }
    const body = isIndex ? jsonOf(ReferrersBody, response) : undefined;
    hasApi ||= body !== undefined;
    return (
      body &&
      (body.manifests ?? []).map(({ digest }) => {
        if (!isDigest(digest)) {
          throw new RegistryError(
            'unexpected',
            `could not ${what}: one of them has a digest of an algorithm that can't be verified`,
            'manifest-not-understood',
          );
        }
        return digest;
      })
    );
  }

  return async (repository, digest) => {
    const what = `list the referrers of ${repository}@${digest}`;
    const doing = { what, scope: scopeOf(repository, 'pull') };
    const path = `${repository}/referrers/${digest}`;
    try {
      return await client.pages(path, doing, (page) => read(page, what), {
        maxBytes: REFERRERS_BYTES,
      });
    } catch (error) {
      // A registry that has the API never answers 404.
      if (error instanceof NoReferrersApi) {
        return undefined;
      }
      throw error;
    }
  };
}
