/**
 * The next page of a listing, from the Link header (RFC 8288). A header that can't be read, or that
 * leads away from the registry, is an error: taken for the last page it would hide what comes after.
 *
 * A parser of our own, after appendix B of the RFC: those of the libraries guess where a header is odd, or leave
 * out what they can't read, and take time in proportion to the square of a header's blanks.
 */
export class LinkError extends Error {
  override name = 'LinkError';
}

interface Link {
  readonly target: string;
  /** relation types in lower case; none where there is no parameter `rel`, or it is for another context */
  readonly relations: readonly string[];
}

/** What a last page may say beside nothing. */
const NO_NEXT = ['prev', 'first', 'last'];

const BLANKS = /[ \t]*/y;
const BETWEEN = /[ \t,]*/y;
const TARGET = /<([^<>]*)>/y;
const SEMICOLON = /;/y;
const NAME = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\[^])*)"/y;
/** A token, or what servers send unquoted though it is none. */
const BARE = /[^\s;,"<>]+/y;

/**
 * @param link the Link header's value, if there was one
 * @param page the URL of the page that it came with
 * @returns the next page's URL, or undefined when this page is the last
 * @throws LinkError when the header makes no sense or names another origin (scheme, host and port)
 */
export function nextPage(link: string | string[] | undefined, page: URL): URL | undefined {
  const value = typeof link === 'string' ? link : (link ?? []).join(', ');
  if (value === '') {
    return undefined;
  }
  const links = parse(value);
  const targets = new Set(
    links.filter(({ relations }) => relations.includes('next')).map(({ target }) => target),
  );
  const [target] = targets;
  if (target === undefined) {
    const isLast = links.every(({ relations }) => isWithin(relations, NO_NEXT));
    if (links.length === 0 || !isLast) {
      throw unreadable('names no next page, but other relations than `prev`, `first` and `last`');
    }
    return undefined;
  }
  if (targets.size > 1) {
    throw unreadable('names more than one next page');
  }
  if (!URL.canParse(target, page.href)) {
    throw new LinkError(
      `the Link header of a page from ${page.origin} doesn't lead to a valid URL`,
    );
  }
  const url = new URL(target, page);
  if (url.origin !== page.origin) {
    throw new LinkError(
      `a page of a listing at ${page.origin} names its next page at ${url.origin}; ` +
        'pages of another origin are not read',
    );
  }
  url.username = '';
  url.password = '';
  return url;
}

function isWithin(relations: readonly string[], allowed: readonly string[]): boolean {
  return relations.length > 0 && relations.every((relation) => allowed.includes(relation));
}

/** Each step takes what it reads, and no step reads it twice: the time is in proportion to the length. */
function parse(text: string): Link[] {
  const links: Link[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    at = match === null ? at : pattern.lastIndex;
    return match ?? undefined;
  };
  for (take(BETWEEN); at < text.length; take(BETWEEN)) {
    const target = take(TARGET)?.[1];
    if (target === undefined) {
      throw unreadable('has no target in angle brackets');
    }
    const params = new Map<string, string>();
    for (take(BLANKS); take(SEMICOLON) !== undefined; take(BLANKS)) {
      take(BLANKS);
      // Empty parameters and those without a value are allowed (appendix B.3).
      const name = take(NAME)?.[0].toLowerCase();
      const hasValue = name !== undefined && take(EQUALS) !== undefined;
      const value = hasValue ? valueOf(take) : '';
      if (name !== undefined) {
        const before = params.get(name);
        if (name === 'rel' && before !== undefined && before !== value) {
          throw unreadable('has two relations for one target');
        }
        params.set(name, before ?? value);
      }
    }
    if (at < text.length && text[at] !== ',') {
      throw unreadable('has text between two links');
    }
    const relations = (params.get('rel') ?? '').toLowerCase().split(/[ \t]+/);
    const isOfPage = (params.get('anchor') ?? '') === '';
    links.push({ target, relations: isOfPage ? relations.filter((each) => each !== '') : [] });
  }
  return links;
}

function valueOf(take: (pattern: RegExp) => RegExpExecArray | undefined): string {
  const value = take(QUOTED)?.[1]?.replace(/\\([^])/g, '$1') ?? take(BARE)?.[0];
  if (value === undefined) {
    throw unreadable('has a parameter without a valid value');
  }
  return value;
}

function unreadable(why: string): LinkError {
  return new LinkError(
    `the Link header of a page can't be read, so its next page is not known: it ${why}. Check whether a proxy changes it`,
  );
}
