/** The client of `/v2/` on Gitea and Forgejo: the same as everywhere, but for what some refusals mean. */
import { parseChallenges } from '../../../http/challenge.js';
import type { HttpResponse } from '../../../http/message.js';
import { Client } from '../../distribution/client.js';
import type { Doing } from '../../distribution/errors.js';
import { RegistryError } from '../../registry-error.js';
import { RIGHTS, unknownOwner } from './api.js';

/**
 * Named by a 401 for an account that is known and lacks a right (Gitea, routers/api/packages/api.go, reqPackageAccess).
 */
const RIGHT_MISSING = 'Gitea Package API';

export class GiteaClient extends Client {
  protected override refused(response: HttpResponse, doing: Doing): RegistryError {
    if (response.status === 401 && realmsOf(response).includes(RIGHT_MISSING)) {
      return new RegistryError(
        'forbidden',
        `the registry refused to ${doing.what}: it answered 401, and says that the login is good and lacks a right. ` +
          RIGHTS,
      );
    }
    const [, owner] = /^\/v2\/([^/]+)\//.exec(response.url.pathname) ?? [];
    // In plain text, where every other answer of these routes is JSON.
    return response.status === 404 && isNotFound(response) && owner !== undefined
      ? unknownOwner(doing.what, owner)
      : super.refused(response, doing);
  }
}

function realmsOf({ headers }: HttpResponse): (string | undefined)[] {
  return parseChallenges(headers['www-authenticate']).map(({ params }) => params.get('realm'));
}

function isNotFound({ body }: HttpResponse): boolean {
  return body.toString('utf8').trim() === 'Not found.';
}
