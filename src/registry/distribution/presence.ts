/**
 * Whether a manifest is still there after its delete. What a DELETE was answered proves nothing: registries were
 * seen to answer 202 and do nothing (distribution#1349), and to hide missing rights behind a 404.
 */
import type { HttpRequest, Send } from '../../http/message.js';
import type { Digest } from '../../oci/digest.js';
import { mediaTypeOf } from '../../oci/media-types.js';
import { MANIFEST_ACCEPT } from '../../oci/media-types.js';
import { refusal, saysUnknown } from './answer.js';
import { isSuccess } from './success.js';

/** Rejects with RequestFailure, whose message is safe to print, when it can't be found out. */
export type IsThere = (repository: string, digest: Digest) => Promise<boolean>;

/** "Registries … SHOULD support manifests of at least 4 MiB". */
const MANIFEST_BYTES = 4 * 1024 * 1024;
/** A registry that has no HEAD on this route, or a 404 that comes from something in between. */
const UNCLEAR = [404, 405, 501];

/**
 * One HEAD; and a GET where its answer settles nothing: a 404 to HEAD can't name its code, so one that isn't even
 * JSON may be a web server's. Where a GET has shown what such a 404 means, others like it are believed: olareg sends
 * its errors as text/plain.
 *
 * @param quote makes text of the registry safe to print
 */
export function createPresence(send: Send, base: URL, quote: (text: string) => string): IsThere {
  const believed = new Set<string>();
  return async (repository, digest) => {
    const scope = `repository:${repository}:pull`;
    const request: Omit<HttpRequest, 'method'> = {
      url: new URL(`/v2/${repository}/manifests/${digest}`, base),
      headers: { accept: MANIFEST_ACCEPT, 'cache-control': 'no-cache' },
      scope,
      maxBytes: MANIFEST_BYTES,
    };
    const head = await send({ ...request, method: 'HEAD' });
    if (isSuccess(head, 200)) {
      return true;
    }
    const type = head.headers['content-type'] ?? '';
    if (head.status === 404 && (isJson(type) || believed.has(type))) {
      return false;
    }
    const answer = UNCLEAR.includes(head.status) ? await send({ ...request, method: 'GET' }) : head;
    if (saysUnknown(answer)) {
      if (head.status === 404) {
        believed.add(type);
      }
      return false;
    }
    if (isSuccess(answer, 200)) {
      return true;
    }
    const what = `look whether ${repository}@${digest} is still there`;
    throw refusal(answer, { what, scope }, quote);
  };
}

function isJson(contentType: string): boolean {
  const type = mediaTypeOf(contentType);
  return type === 'application/json' || type.endsWith('+json');
}
