/**
 * Pushes (distribution-spec, "Push"): blobs and manifests of our own making, and what users pushed when it is put
 * back.
 */
import { placeOf } from '../../http/redirect.js';
import { digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { RegistryError } from '../registry-error.js';
import type { Pusher } from '../registry.js';
import type { Answer, Client } from './client.js';
import { errorOf, isSuccess } from './errors.js';

/** An upload belongs to one connection's session: when it was lost on the way, only a new one helps. */
const MOST_UPLOADS = 3;
const MOST_TRIES = 5;

/** Codes for a manifest that lists what the registry doesn't have (distribution-spec, "Error Codes"). */
const PART_MISSING = ['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN'];

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
          throw client.refusal(response, `upload a blob to ${repository}`);
        }
      }
    },

    async pushManifest(repository, reference, { mediaType, bytes }, { isLate } = {}) {
      for (let round = 1; ; round += 1) {
        const response = await client.send('PUT', repository, `manifests/${reference}`, {
          headers: { 'content-type': mediaType },
          body: bytes,
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
          const refusal = client.refusal(response, `push ${repository}${at}${reference}`);
          throw PART_MISSING.includes(errorOf(response)?.code ?? '')
            ? new RegistryError('part-missing', refusal.message)
            : refusal;
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
): Promise<Answer> {
  const what = `start an upload to ${repository}`;
  const url = client.url(`${repository}/blobs/uploads/`);
  // Safe to repeat: an upload that nobody goes on with is dropped by the registry.
  const started = await client.sendTo(url, 'POST', repository, { repeatable: true });
  if (started.status === 404 && errorOf(started) !== undefined) {
    const { message } = client.refusal(started, what);
    const advice = 'This registry makes no repository by itself: create it there first';
    throw new RegistryError('no-repository', `${message}. ${advice}`);
  }
  const { location } = started.headers;
  if (!isSuccess(started, 202) || location === undefined) {
    throw client.refusal(started, what);
  }
  // Both the upload and the credentials would be readable on the way.
  const target = placeOf({ method: 'POST', url }, location, 'Location of an upload');
  target.searchParams.set('digest', digest);
  return client.sendTo(target, 'PUT', repository, {
    headers: { 'content-type': 'application/octet-stream' },
    body,
  });
}
