/** Walks a list that comes in pages (distribution-spec, "Listing Tags"): the one paging loop there is. */
import type { HttpResponse, Send } from '../http/message.js';
import { LinkError, nextPage } from '../http/link.js';
import { RegistryError } from './answer.js';
import { FRESH } from './freshness.js';

/** A list of a million long tags in one page, as Distribution 2.x sends it, is some 140 MB. */
const LIST_BYTES = 256 * 1024 * 1024;
/** More pages than any registry has: a server that pages for ever is stopped here. */
const MOST_PAGES = 100_000;

/**
 * @param read turns one page's answer into its items; throws when the answer isn't the list. `page`
 *   counts from 1: what means "there is no such list" on the first is a cut-off list on a later one
 * @throws RegistryError when a page was seen before or there is no end; TransportError
 */
export async function readPages<T>(
  send: Send,
  first: URL,
  scope: string,
  read: (response: HttpResponse, page: number) => readonly T[],
): Promise<T[]> {
  const items: T[] = [];
  const seen = new Set<string>();
  let url: URL | undefined = first;
  while (url !== undefined) {
    if (seen.has(url.href) || seen.size >= MOST_PAGES) {
      throw new RegistryError(
        'unexpected',
        `the registry's pages of ${first.pathname} do not end: after ${String(seen.size)} pages another one is said to follow`,
      );
    }
    seen.add(url.href);
    const response: HttpResponse = await send({
      method: 'GET',
      url,
      headers: FRESH,
      scope,
      maxBytes: LIST_BYTES,
    });
    for (const item of read(response, seen.size)) {
      items.push(item);
    }
    url = following(response, url);
  }
  return items;
}

function following(response: HttpResponse, page: URL): URL | undefined {
  try {
    return nextPage(response.headers['link'], page);
  } catch (error) {
    throw error instanceof LinkError ? new RegistryError('unexpected', error.message) : error;
  }
}
