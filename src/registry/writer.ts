/**
 * The write half of a registry's client: deletes manifests, by digest only. A tag is never passed on:
 * Distribution 3 would untag, others delete what the tag points at by then.
 */
import type { Send } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import { mediaTypeOf } from '../oci/media-types.js';
import { refusal, saysUnknown } from './answer.js';

export interface DeleteOptions {
  /**
   * Asked before each try: once it is true none is sent, and the promise rejects with TooLate, or with what came of
   * the try before.
   */
  readonly isLate?: () => boolean;
  /** continues "the registry refused to …" in messages; default: to delete this manifest, by its name */
  readonly what?: string;
}

/** Rejects with RegistryError or TransportError, whose messages are safe to print. */
export interface RegistryWriter {
  /** `gone` when the registry says that it has no such manifest (any more). */
  deleteManifest(
    repository: string,
    digest: Digest,
    options?: DeleteOptions,
  ): Promise<'deleted' | 'gone'>;
}

export function createWriter(
  send: Send,
  base: URL,
  quote: (text: string) => string,
): RegistryWriter {
  return {
    async deleteManifest(repository, digest, options = {}) {
      const { isLate, what = `delete ${repository}@${digest}` } = options;
      // Distribution's own challenge asks for `delete` alone; others want `pull` beside it.
      const scope = `repository:${repository}:pull,delete`;
      const response = await send({
        method: 'DELETE',
        url: new URL(`/v2/${repository}/manifests/${digest}`, base),
        scope,
        maxBytes: 1024 * 1024,
        ...(isLate === undefined ? {} : { isLate }),
      });
      // 202 by the spec; 200 and 204 are seen elsewhere. A page is the answer of something in between.
      const isPage = mediaTypeOf(response.headers['content-type']) === 'text/html';
      if ([200, 202, 204].includes(response.status) && !isPage) {
        return 'deleted';
      }
      if (saysUnknown(response)) {
        return 'gone';
      }
      const doing = { what, scope, deletes: true } as const;
      throw refusal(response, doing, quote);
    },
  };
}
