/** Tells web pages, which something in between sends, from answers of a registry. */
import type { HttpResponse } from '../../http/message.js';
import { mediaTypeOf } from '../../oci/media-types.js';

/** Bytes: enough to see whether a body is a page. */
const START = 64;
const PAGES = ['text/html', 'application/xhtml+xml'];

/** Registries answer in JSON, in plain text, or with blobs. Pages that they store are not read here. */
export function isPage({ headers, body }: Pick<HttpResponse, 'headers' | 'body'>): boolean {
  const start = body.subarray(0, START).toString('utf8').replace('\uFEFF', '');
  return PAGES.includes(mediaTypeOf(headers['content-type'])) || /^\s*</.test(start);
}
