/**
 * Pushes (distribution-spec, "Push"): blobs and manifests of our own making, and what users pushed when it is put
 * back.
 */
import type { HttpRequest, HttpResponse } from '../../http/message.js';
import { placeOf } from '../../http/redirect.js';
import { digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { RegistryError } from '../registry-error.js';
import type { Pusher } from '../registry.js';
import { scopeOf, type Client } from './client.js';
import { ANSWER_BYTES } from './deletes.js';
import { errorOf } from './errors.js';
import { isSuccess } from './success.js';

/** An upload belongs to one connection's session: when it was lost on the way, only a new one helps. */
const MOST_UPLOADS = 3;
const MOST_TRIES = 5;

export function createPusher(client: Client): Pusher {
  return {
    async pushBlob(repository, bytes) {
      const digest = digestOf(bytes);
      for (let round = 1; ; round += 1) {
        const response = await upload(client, repository, digest, bytes);
        if (isSuccess(response, 201, 204)) {
          return digest;
        }
        if (response.status !== 404 || round === MOST_UPLOADS) {
          throw refused(client, response, `upload a blob to ${repository}`, repository);
        }
      }
    },

    async pushManifest(repository, reference, { mediaType, bytes }, { isLate } = {}) {
      for (let round = 1; ; round += 1) {
        const response = await client.send({
          method: 'PUT',
          path: `${repository}/manifests/${reference}`,
          headers: { 'content-type': mediaType },
          body: bytes,
          scope: scopeOf(repository, 'pull,push'),
          maxBytes: ANSWER_BYTES,
          isLate,
        });
        if (isSuccess(response, 201)) {
          return;
        }
        // Distribution reads its link files while others write them, and takes one that is still empty for
        // a wrong digest (seen on 2.8.2, twenty clients at once).
        const isPassing = response.status === 400 && errorOf(response)?.code === 'DIGEST_INVALID';
        if (!isPassing || round === MOST_TRIES || isLate?.() === true) {
          const at = isDigest(reference) ? '@' : ':';
          throw refused(client, response, `push ${repository}${at}${reference}`, repository);
        }
      }
    },
  };
}

async function upload(
  client: Client,
  repository: string,
  digest: Digest,
  body: Buffer,
): Promise<HttpResponse> {
  const scope = scopeOf(repository, 'pull,push');
  const what = `start an upload to ${repository}`;
  const path = `${repository}/blobs/uploads/`;
  // Safe to repeat: an upload that nobody goes on with is dropped by the registry.
  const start = { method: 'POST', scope, repeatable: true, maxBytes: ANSWER_BYTES } as const;
  const started = await client.send({ ...start, path });
  if (started.status === 404 && errorOf(started) !== undefined) {
    const { message } = refused(client, started, what, repository);
    const advice = 'This registry makes no repository by itself: create it there first';
    throw new RegistryError('no-repository', `${message}. ${advice}`);
  }
  const { location } = started.headers;
  if (!isSuccess(started, 202) || location === undefined) {
    throw refused(client, started, what, repository);
  }
  // What is uploaded would be readable on the way, and so would the credentials.
  const request: HttpRequest = { ...start, url: client.url(path) };
  const target = placeOf(request, location, 'Location of an upload');
  target.searchParams.set('digest', digest);
  return client.sendTo(target, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body,
    scope,
    maxBytes: ANSWER_BYTES,
  });
}

function refused(
  client: Client,
  response: HttpResponse,
  what: string,
  repository: string,
): RegistryError {
  const doing = { what, scope: scopeOf(repository, 'pull,push'), pushes: true } as const;
  const { kind, message } = client.refusal(response, doing);
  return response.status === 405 && !message.includes('with a page of HTML')
    ? new RegistryError('read-only', `${message}. It takes no pushes there`)
    : new RegistryError(kind, message);
}
