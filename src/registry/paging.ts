/** Walks a list that comes in pages (distribution-spec, "Listing Tags"): the one paging loop there is. */
import type { HttpResponse, Send } from '../http/message.js';
import { LinkError, nextPage } from '../http/link.js';
import { RegistryError } from './answer.js';
import { FRESH } from './freshness.js';

const MIB = 1024 * 1024;

/** A list of a million tags in one page, as Distribution 2.x sends it, is some 30 MB. */
const LIST_BYTES = 64 * MIB;
/** The items of all pages: more than any registry has in one list. */
const MOST_ITEMS = 1_000_000;
/**
 * What one page is made of: commas and opening brackets. Counted before it is parsed, since three bytes can become
 * eighty.
 */
const MOST_PARTS = 2_000_000;
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
  const tooMuch = (what: string) =>
    new RegistryError(
      'unexpected',
      `the registry's list ${first.pathname} has ${what}, more than this program reads. Look what answers there`,
    );
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
    const response: HttpResponse = await send({
      method: 'GET',
      url,
      headers: FRESH,
      scope,
      maxBytes,
      ...(mostTries === undefined ? {} : { mostTries }),
    });
    if (partsOf(response.body) > MOST_PARTS) {
      throw tooMuch(`a page of over ${String(MOST_PARTS)} values`);
    }
    const page = read(response, seen.size);
    for (const item of page) {
      items.push(item);
    }
    if (items.length > MOST_ITEMS) {
      throw tooMuch(`over ${String(MOST_ITEMS)} entries`);
    }
    empty = page.length === 0 ? empty + 1 : 0;
    url = following(response, url);
  }
  return items;
}

const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

function partsOf(body: Buffer): number {
  // No page of so few bytes has more, and nearly all pages are such.
  if (body.length <= MOST_PARTS) {
    return 0;
  }
  let parts = 0;
  for (const byte of body) {
    if (byte === COMMA || byte === BRACKET || byte === BRACE) {
      parts += 1;
    }
  }
  return parts;
}

function following(response: HttpResponse, page: URL): URL | undefined {
  try {
    return nextPage(response.headers['link'], page);
  } catch (error) {
    throw error instanceof LinkError ? new RegistryError('unexpected', error.message) : error;
  }
}
