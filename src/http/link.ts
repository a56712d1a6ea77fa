/**
 * The next page of a listing, from the Link header (RFC 8288). A header that can't be read, or that
 * leads away from the registry, is an error: taken for the last page it would hide what comes after.
 */
import LinkHeader from 'http-link-header';

export class LinkError extends Error {
  override name = 'LinkError';
}

/**
 * @param link the Link header's value, if there was one
 * @param page the URL of the page that it came with
 * @returns the next page's URL, or undefined when this page is the last
 * @throws LinkError when the header makes no sense or names another origin (scheme, host and port)
 */
export function nextPage(link: string | string[] | undefined, page: URL): URL | undefined {
  const value = typeof link === 'string' ? link : (link ?? []).join(', ');
  const target = parse(value).find(({ rel }) => rel?.trim().toLowerCase() === 'next')?.uri;
  if (target === undefined) {
    return undefined;
  }
  if (!URL.canParse(target, page.href)) {
    throw new LinkError(`the Link header of a page from ${page.origin} leads to no URL`);
  }
  const url = new URL(target, page);
  if (url.origin !== page.origin) {
    throw new LinkError(
      `the next page of a listing at ${page.origin} is said to be at ${url.origin}; ` +
        'pages of another origin are not read',
    );
  }
  url.username = '';
  url.password = '';
  return url;
}

function parse(value: string): { uri: string; rel?: string }[] {
  if (value.trim() === '') {
    return [];
  }
  try {
    return new LinkHeader(value).refs;
  } catch {
    throw new LinkError('the Link header of a page can not be read, so its next page is not known');
  }
}
