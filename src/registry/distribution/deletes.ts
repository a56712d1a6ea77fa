/**
 * Deletes of manifests, by digest only. A tag is never passed on: Distribution 3 would untag, others delete the
 * manifest that the tag points at.
 */
import type { HttpResponse } from '../../http/message.js';
import { isDigest } from '../../oci/digest.js';
import { isRepository } from '../../oci/reference.js';
import { withoutCodes } from '../../text/code.js';
import { guarded } from '../guard.js';
import { RegistryError } from '../registry-error.js';
import type { Deleter } from '../registry.js';
import type { Client } from './client.js';
import { errorOf, isSuccess, saysUnknown } from './errors.js';

/**
 * @param whyReferenced of a refusal: why the registry keeps a manifest that something names, and what to do;
 *   `undefined` where that is not what it says
 */
export function createDeleter(
  client: Client,
  whyReferenced: (response: HttpResponse) => string | undefined = () => undefined,
): Deleter {
  return {
    async deleteManifest(repository, digest, options = {}) {
      const { isLate, isHere, what = `delete ${repository}@${digest}` } = options;
      const route = `manifests/${guarded('digest', digest, isDigest)}`;
      guarded('repository', repository, isRepository);
      const response = await client.send('DELETE', repository, route, { isLate });
      // 202 by the spec; 200 and 204 are seen elsewhere.
      if (isSuccess(response, 200, 202, 204)) {
        return 'deleted';
      }
      const refused = client.refusal(response, what);
      // A more exact kind has a more exact code.
      const said = withoutCodes(refused.message);
      const why = whyReferenced(response);
      if (why !== undefined) {
        throw new RegistryError('referenced', `${said}. ${why}`);
      }
      if (!saysUnknown(response)) {
        throw refused;
      }
      if (isHere === true && errorOf(response)?.code === 'NAME_UNKNOWN') {
        throw new RegistryError('hidden', said);
      }
      return 'gone';
    },
  };
}
