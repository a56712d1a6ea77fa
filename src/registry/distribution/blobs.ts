/** Blobs. Only reads. Their bytes are checked against their digest, whoever served them. */
import { TransportError } from '../../http/message.js';
import { algorithmOf, digestOf, isDigest } from '../../oci/digest.js';
import { factsOf } from '../../oci/image-config.js';
import { JsonLimitError } from '../../oci/json.js';
import { RegistryError } from '../registry-error.js';
import type { Reader } from '../registry.js';
import type { Client } from './client.js';
import { saysBlobUnknown } from './errors.js';
import { isPage } from './page.js';

const CONFIG_BYTES = 4 * 1024 * 1024;

export function createBlobs(client: Client): Pick<Reader, 'blob' | 'hasBlob' | 'imageFacts'> {
  const blob: Reader['blob'] = async (repository, digest, maxBytes) => {
    const response = await client.send('GET', repository, `blobs/${digest}`, { maxBytes });
    if (saysBlobUnknown(response)) {
      return undefined;
    }
    const what = `read the blob ${digest} of ${repository}`;
    if (response.status !== 200) {
      throw client.refusal(response, what);
    }
    // Some stores call a blob encoded that was compressed before it was pushed: then it is what came.
    const bytes = [response.body, response.encoded].find(
      (each) => each !== undefined && digestOf(each, algorithmOf(digest)) === digest,
    );
    if (bytes === undefined) {
      const message = `could not ${what}: the bytes that came have another digest`;
      throw new RegistryError('wrong-bytes', message);
    }
    return bytes;
  };
  return {
    blob,

    async hasBlob(repository, digest) {
      const response = await client.send('HEAD', repository, `blobs/${digest}`, { maxBytes: 0 });
      // A web page comes from something in between, and says nothing about the blob.
      if (isPage(response) || (response.status !== 200 && response.status !== 404)) {
        throw client.refusal(response, `look for the blob ${digest} of ${repository}`);
      }
      return response.status === 200;
    },

    async imageFacts(repository, { config: { digest } }) {
      const bytes = isDigest(digest)
        ? await blob(repository, digest, CONFIG_BYTES).catch(rethrowWithoutConfigs)
        : undefined;
      try {
        return bytes === undefined ? {} : factsOf(bytes);
      } catch (error) {
        throw error instanceof JsonLimitError
          ? new RegistryError(
              'unexpected',
              `the config ${digest} of ${repository} ${error.message}, which no image's does. If nobody needs the image, ` +
                'delete it with another tool, or leave its repository out with `repositories`',
            )
          : error;
      }
    },
  };
}

/** Configs only tell how old an image is. */
function rethrowWithoutConfigs(error: unknown): never {
  if (error instanceof TransportError && error.isElsewhere) {
    const message = `${error.message}. Where the runner can't get blobs, \`grace-period: 0\` does without configs`;
    throw new TransportError(error.kind, message, { cause: error.cause, isElsewhere: true });
  }
  throw error;
}
