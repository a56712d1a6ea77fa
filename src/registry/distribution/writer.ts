/**
 * The write half of a registry's client: deletes manifests, by digest only. A tag is never passed on:
 * Distribution 3 would untag, others delete what the tag points at by then.
 */
import type { Send } from '../../http/message.js';
import type { Digest } from '../../oci/digest.js';
import { RegistryError, errorOf, refusal, saysUnknown } from './answer.js';
import { isSuccess } from './success.js';

export interface DeleteOptions {
  /**
   * Asked before each try: once it is true none is sent, and the promise rejects with TooLate, or with what came of
   * the try before.
   */
  readonly isLate?: () => boolean;
  /** continues "the registry refused to …" in messages; default: to delete this manifest, by its name */
  readonly what?: string;
  /**
   * The repository was just read, so an answer that there is none (NAME_UNKNOWN) says something else: that the account
   * has no rights there, most likely. The promise rejects with a RegistryError of the kind `hidden`.
   */
  readonly isHere?: true;
}

/** Rejects with RegistryError or TransportError, whose messages are safe to print. */
export interface RegistryWriter {
  /**
   * What the registry says that it did; whether the manifest is gone, only a read can tell. `gone` when the registry
   * says that it has no such manifest (any more).
   */
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
      const { isLate, isHere, what = `delete ${repository}@${digest}` } = options;
      // Distribution's own challenge asks for `delete` alone; others want `pull` beside it.
      const scope = `repository:${repository}:pull,delete`;
      const response = await send({
        method: 'DELETE',
        url: new URL(`/v2/${repository}/manifests/${digest}`, base),
        scope,
        maxBytes: 1024 * 1024,
        isLate,
      });
      // 202 by the spec; 200 and 204 are seen elsewhere.
      if (isSuccess(response, 200, 202, 204)) {
        return 'deleted';
      }
      const doing = { what, scope, deletes: true } as const;
      if (saysUnknown(response)) {
        if (isHere === true && errorOf(response)?.code === 'NAME_UNKNOWN') {
          throw new RegistryError('hidden', refusal(response, doing, quote).message);
        }
        return 'gone';
      }
      throw refusal(response, doing, quote);
    },
  };
}
