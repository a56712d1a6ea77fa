/** Walks a list that comes in pages (distribution-spec, "Listing Tags"): the one paging loop there is. */
import pLimit from 'p-limit';

import { TransportError, type HttpResponse, type Send } from '../../http/message.js';
import { LinkError, nextPage } from '../../http/link.js';
import { RegistryError } from '../registry-error.js';
import { FRESH } from './freshness.js';

const MIB = 1024 * 1024;

/** A list of a million tags in one page, as Distribution 2.x sends it, is some 30 MB. */
const LIST_BYTES = 64 * MIB;
/** The limit of a first request. A larger page is asked for once more, by one repository at a time. */
const SMALL_BYTES = 8 * MIB;
/** Several pages of 64 MiB at once would take more memory than a small runner has. */
const large = pLimit(1);
/** The items of all pages: more than any registry has in one list. */
const MOST_ITEMS = 1_000_000;
/** More pages than any registry has: a server that pages for ever is stopped here. */
const MOST_PAGES = 10_000;
/** In a row: where much is hidden from an account, a few may well be empty. */
const MOST_EMPTY = 1000;

export interface PagingOptions {
  /** of one page; default 64 MiB */
  readonly maxBytes?: number;
  readonly mostTries?: number;
}

/**
 * @param read turns one page's answer into its items; throws when the answer isn't the list. `page`
 *   counts from 1: what means "there is no such list" on the first is a cut-off list on a later one
 * @throws RegistryError when a page was seen before, there is no end, or there is more than any registry has;
 *   TransportError
 */
export async function readPages<T>(
  send: Send,
  first: URL,
  scope: string,
  read: (response: HttpResponse, page: number) => readonly T[],
  { maxBytes = LIST_BYTES, mostTries }: PagingOptions = {},
): Promise<T[]> {
  const items: T[] = [];
  const seen = new Set<string>();
  const ask = async (page: URL, most: number): Promise<[readonly T[], URL | undefined]> => {
    const request = { method: 'GET', url: page, headers: FRESH, scope, mostTries } as const;
    const response = await send({ ...request, maxBytes: most });
    return [read(response, seen.size), following(response, page)];
  };
  const readPage = (page: URL) =>
    ask(page, Math.min(maxBytes, SMALL_BYTES)).catch((error: unknown) => {
      const isLarge = error instanceof TransportError && error.kind === 'too-large';
      if (isLarge && maxBytes > SMALL_BYTES) {
        return large(() => ask(page, maxBytes));
      }
      throw error;
    });
  let empty = 0;
  let url: URL | undefined = first;
  while (url !== undefined) {
    if (seen.has(url.href) || seen.size >= MOST_PAGES || empty >= MOST_EMPTY) {
      throw new RegistryError(
        'unexpected',
        `the registry's pages of ${first.pathname} do not end: after ${String(seen.size)} pages another one is said to follow`,
      );
    }
    seen.add(url.href);
    const [page, next]: [readonly T[], URL | undefined] = await readPage(url);
    page.forEach((item) => items.push(item));
    if (items.length > MOST_ITEMS) {
      throw new RegistryError(
        'unexpected',
        `the registry's list ${first.pathname} has over ${String(MOST_ITEMS)} entries, more than this program reads. ` +
          'Check what answers there',
      );
    }
    empty = page.length === 0 ? empty + 1 : 0;
    url = next;
  }
  return items;
}

function following(response: HttpResponse, page: URL): URL | undefined {
  try {
    return nextPage(response.headers['link'], page);
  } catch (error) {
    throw error instanceof LinkError
      ? new RegistryError('unexpected', error.message, 'paging-broken')
      : error;
  }
}
