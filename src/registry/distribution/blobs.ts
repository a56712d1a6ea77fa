/** The read half for blobs. Their bytes are checked against their digest, whoever served them. */
import { TransportError, type Send } from '../../http/message.js';
import { algorithmOf, digestOf, type Digest } from '../../oci/digest.js';
import { RegistryError, refusal, saysBlobUnknown } from './answer.js';

export type ReadBlob = (
  repository: string,
  digest: Digest,
  maxBytes: number,
) => Promise<Buffer | undefined>;

/** One HEAD. False for every 404: an answer to HEAD has no body that could say more. */
export type HasBlob = (repository: string, digest: Digest) => Promise<boolean>;

/** @param quote makes text of the registry safe to print */
export function createBlobCheck(send: Send, base: URL, quote: (text: string) => string): HasBlob {
  return async (repository, digest) => {
    const scope = `repository:${repository}:pull`;
    const url = new URL(`/v2/${repository}/blobs/${digest}`, base);
    const response = await send({ method: 'HEAD', url, scope, maxBytes: 0 });
    if (response.status !== 200 && response.status !== 404) {
      const what = `look for the blob ${digest} of ${repository}`;
      throw refusal(response, { what, scope }, quote);
    }
    return response.status === 200;
  };
}

/** @param quote makes text of the registry safe to print */
export function createBlobReader(send: Send, base: URL, quote: (text: string) => string): ReadBlob {
  return async (repository, digest, maxBytes) => {
    const scope = `repository:${repository}:pull`;
    const response = await send({
      method: 'GET',
      url: new URL(`/v2/${repository}/blobs/${digest}`, base),
      scope,
      maxBytes,
    });
    if (saysBlobUnknown(response)) {
      return undefined;
    }
    const what = `read the blob ${digest} of ${repository}`;
    if (response.status !== 200) {
      throw refusal(response, { what, scope }, quote);
    }
    // Some stores call a blob encoded that was compressed before it was pushed: then it is what came.
    const bytes = [response.body, response.encoded].find(
      (each) => each !== undefined && digestOf(each, algorithmOf(digest)) === digest,
    );
    if (bytes === undefined) {
      throw new RegistryError(
        'wrong-bytes',
        `could not ${what}: the bytes that came have another digest`,
      );
    }
    return bytes;
  };
}

/** For configs, which only tell how old an image is. */
export function rethrowWithoutConfigs(error: unknown): never {
  if (error instanceof TransportError && error.isElsewhere) {
    const message = `${error.message}. Where the runner can't get blobs, \`grace-period: 0\` does without configs`;
    throw new TransportError(error.kind, message, { cause: error.cause, isElsewhere: true });
  }
  throw error;
}
