/**
 * The next page of a listing, from the Link header (RFC 8288). A header that can't be read, or that
 * leads away from the registry, is an error: taken for the last page it would hide what comes after.
 *
 * A parser of our own, after appendix B of the RFC: those of the libraries guess where a header is odd, or leave
 * out what they can't read, and take time in proportion to the square of a header's blanks.
 */
import { TOKEN, createCursor } from './cursor.js';
import { foreignUrl } from './foreign-url.js';

export class LinkError extends Error {
  override name = 'LinkError';
}

interface Link {
  readonly target: string;
  /** relation types in lower case; none where there is no parameter `rel`, or it is for another context */
  readonly relations: readonly string[];
}

/** The only relations that a last page may have. */
const NO_NEXT = ['prev', 'first', 'last'];

const BLANKS = /[ \t]*/y;
const BETWEEN = /[ \t,]*/y;
const TARGET = /<([^<>]*)>/y;
const SEMICOLON = /;/y;
const EQUALS = /[ \t]*=[ \t]*/y;
/** A token, or another text that servers send without quotes. */
const BARE = /[^\s;,"<>]+/y;

/**
 * @param link the Link header's value, if there was one
 * @param page the URL of the page that it came with
 * @returns the next page's URL, or undefined when this page is the last
 * @throws LinkError when the header makes no sense or names another origin (scheme, host and port)
 */
export function nextPage(link: string | string[] | undefined, page: URL): URL | undefined {
  const value = valueOf(link);
  if (value === '') {
    return undefined;
  }
  const links = parse(value);
  const targets = new Set(
    links.filter(({ relations }) => relations.includes('next')).map(({ target }) => target),
  );
  const [target] = targets;
  if (target === undefined) {
    const isLast = links.every(
      ({ relations }) => relations.length > 0 && relations.every((each) => NO_NEXT.includes(each)),
    );
    if (links.length === 0 || !isLast) {
      throw unreadable('names no next page, but other relations than `prev`, `first` and `last`');
    }
    return undefined;
  }
  if (targets.size > 1) {
    throw unreadable('names more than one next page');
  }
  const url = foreignUrl(target, page);
  if (url === undefined) {
    const where = `the Link header of a page from ${page.origin}`;
    throw new LinkError(`${where} doesn't lead to a valid URL`);
  }
  if (url.origin !== page.origin) {
    throw new LinkError(
      `a page of a listing at ${page.origin} names its next page at ${url.origin}; ` +
        'pages of another origin are not read',
    );
  }
  return url;
}

/**
 * The number in the parameter `page` of the last page, where the header names one; it isn't an address to follow.
 *
 * @throws LinkError when the header makes no sense
 */
export function lastPageNumber(link: string | string[] | undefined, page: URL): number | undefined {
  const last = parse(valueOf(link)).find(({ relations }) => relations.includes('last'));
  const number = last && foreignUrl(last.target, page)?.searchParams.get('page');
  return number === undefined || number === null || !/^[1-9]\d{0,8}$/.test(number)
    ? undefined
    : Number(number);
}

function valueOf(link: string | string[] | undefined): string {
  return typeof link === 'string' ? link : (link ?? []).join(', ');
}

function parse(text: string): Link[] {
  const links: Link[] = [];
  const { take, value, next } = createCursor(text);
  for (take(BETWEEN); next() !== undefined; take(BETWEEN)) {
    const target = take(TARGET)?.[1];
    if (target === undefined) {
      throw unreadable('has no target in angle brackets');
    }
    const params = new Map<string, string>();
    for (take(BLANKS); take(SEMICOLON) !== undefined; take(BLANKS)) {
      take(BLANKS);
      // Empty parameters and those without a value are allowed (appendix B.3).
      const name = take(TOKEN)?.[0].toLowerCase();
      const found = name !== undefined && take(EQUALS) !== undefined ? value(BARE) : '';
      if (found === undefined) {
        throw unreadable('has a parameter without a valid value');
      }
      if (name === 'rel' && (params.get(name) ?? found) !== found) {
        throw unreadable('has two relations for one target');
      }
      // The first one counts. No parameter is called `''`.
      params.set(name ?? '', params.get(name ?? '') ?? found);
    }
    if (next() !== undefined && next() !== ',') {
      throw unreadable('has text between two links');
    }
    const relations = (params.get('rel') ?? '').toLowerCase().split(/[ \t]+/);
    const isOfPage = (params.get('anchor') ?? '') === '';
    links.push({ target, relations: isOfPage ? relations.filter((each) => each !== '') : [] });
  }
  return links;
}

function unreadable(why: string): LinkError {
  return new LinkError(
    `the Link header of a page can't be read, so its next page is not known: it ${why}. Check whether a proxy changes it`,
  );
}
