/**
 * The push half of a registry's client (distribution-spec, "Push"): blobs and manifests of our own making, and
 * what users pushed when it is put back.
 */
import type { HttpRequest, HttpResponse, Send } from '../../http/message.js';
import { placeOf } from '../../http/redirect.js';
import { digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { RegistryError, errorOf, refusal } from './answer.js';
import { isSuccess } from './success.js';

export interface PushOptions {
  /** asked before each try: once it is true none is sent, and the promise rejects with what came of the one before */
  readonly isLate?: () => boolean;
}

/** Rejects with RequestFailure, whose message is safe to print. */
export interface RegistryPusher {
  /** @returns the digest that the bytes are stored under */
  pushBlob(repository: string, bytes: Buffer): Promise<Digest>;
  /**
   * Everything that the manifest names has to be there. A tag that exists moves.
   *
   * @param reference a tag, or the manifest's digest
   */
  pushManifest(
    repository: string,
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Buffer },
    options?: PushOptions,
  ): Promise<void>;
}

const ANSWER_BYTES = 1024 * 1024;
/** An upload belongs to one connection's session: when it was lost on the way, only a new one helps. */
const MOST_UPLOADS = 3;
const MOST_TRIES = 5;

/** @param quote makes text of the registry safe to print */
export function createPusher(
  send: Send,
  base: URL,
  quote: (text: string) => string,
): RegistryPusher {
  function failed(response: HttpResponse, what: string, scope: string): RegistryError {
    const { kind, message } = refusal(response, { what, scope, pushes: true }, quote);
    return response.status === 405 && !message.includes('with a page of HTML')
      ? new RegistryError('read-only', `${message}. It takes no pushes there`)
      : new RegistryError(kind, message);
  }

  async function upload(repository: string, digest: Digest, body: Buffer): Promise<HttpResponse> {
    const scope = `repository:${repository}:pull,push`;
    const what = `start an upload to ${repository}`;
    const url = new URL(`/v2/${repository}/blobs/uploads/`, base);
    // Safe to repeat: an upload that nobody goes on with is dropped by the registry.
    const start: HttpRequest = {
      method: 'POST',
      url,
      scope,
      repeatable: true,
      maxBytes: ANSWER_BYTES,
    };
    const started = await send(start);
    if (started.status === 404 && errorOf(started) !== undefined) {
      const { message } = failed(started, what, scope);
      const advice = 'This registry makes no repository by itself: create it there first';
      throw new RegistryError('no-repository', `${message}. ${advice}`);
    }
    const { location } = started.headers;
    if (!isSuccess(started, 202) || location === undefined) {
      throw failed(started, what, scope);
    }
    // What is uploaded would be readable on the way, and so would the credentials.
    const target = placeOf(start, location, 'Location of an upload');
    target.searchParams.set('digest', digest);
    return send({
      method: 'PUT',
      url: target,
      headers: { 'content-type': 'application/octet-stream' },
      body,
      scope,
      maxBytes: ANSWER_BYTES,
    });
  }

  return {
    async pushBlob(repository, bytes) {
      const digest = digestOf(bytes);
      for (let round = 1; ; round += 1) {
        const response = await upload(repository, digest, bytes);
        if (isSuccess(response, 201, 204)) {
          return digest;
        }
        if (response.status !== 404 || round === MOST_UPLOADS) {
          const scope = `repository:${repository}:pull,push`;
          throw failed(response, `upload a blob to ${repository}`, scope);
        }
      }
    },

    async pushManifest(repository, reference, { mediaType, bytes }, { isLate } = {}) {
      const scope = `repository:${repository}:pull,push`;
      for (let round = 1; ; round += 1) {
        const response = await send({
          method: 'PUT',
          url: new URL(`/v2/${repository}/manifests/${reference}`, base),
          headers: { 'content-type': mediaType },
          body: bytes,
          scope,
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
          throw failed(response, `push ${repository}${at}${reference}`, scope);
        }
      }
    },
  };
}
